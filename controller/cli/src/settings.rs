//! The command line of the controller, parsed once into checked [`Settings`].

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are help texts, shown as they stand")]

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use breakwater_crds::{
    Span,
    identity::{HUB_ID_MAX, is_hub_id},
};
use breakwater_operator::lease;
use clap::{Args, Parser, Subcommand};

use crate::logging::{LogFormat, Logging};

/// Where a pod's own namespace stands.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Where the chart puts the controller.
const DEFAULT_NAMESPACE: &str = "breakwater-system";
/// Most writes in flight that any API server is fond of.
const IN_FLIGHT_MAX: usize = 1024;

const ABOUT: &str = "\
Breakwater rolls one version over a fleet of tenants, wave by wave, watches the SLOs, and takes the version out again \
by itself when users feel it. This program is its controller; `kubectl breakwater` shows and steers what it does.";

/// The controller of Breakwater.
#[derive(Debug, Parser)]
#[command(name = "breakwater", version, long_about = ABOUT, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller until SIGTERM or SIGINT
    #[command(long_about = "\
Run the controller until SIGTERM or SIGINT.

Several may run: the one that holds the Lease works, the others wait. Every flag can be given as an environment \
variable too; flags win.")]
    Run(Box<RunArgs>),
    /// Play a Rollout against a synthetic fleet: weeks in seconds, no cluster needed
    #[command(long_about = "\
Play a Rollout against a synthetic fleet: weeks in seconds, no cluster needed.

The controller's own code runs on an API server in memory and a virtual clock. It answers what an SRE asks before the \
first tenant is touched: would this manifest catch such a fault, how soon, and how many tenants would have felt it? \
Without arguments it plays a built-in fleet and story.

Exit codes: 0 the rehearsal ran, whatever became of the release; 1 it could not run; 2 bad input.")]
    Rehearse(Box<crate::rehearse::Args>),
    /// Replay the judge over what Prometheus recorded: would it have cried wolf, and how soon are faults caught?
    #[command(long_about = "\
Replay the judge over what Prometheus recorded: would it have cried wolf, and how soon are faults caught?

Nothing was rolled out then, so whatever the judge would have reverted is a false alarm; and faults that are put into the \
recorded counts show how soon it catches them, wave by wave. The guards, the comparison, and what arms it are the \
controller's own. Tenants are what the SLOs' tenantLabels name in the series; no cluster is needed, only Prometheus is \
read, one query after the other.

Exit codes: 0 no false alarm, and every fault of judge.mustDetect or more was found in every wave that leaves others to \
compare with; 1 a false alarm, a comparison that could not be armed, or such a fault that was not found; 2 bad input, or no answer from Prometheus.")]
    Backtest(Box<crate::backtest::args::Args>),
    /// Compare load tests of two versions: is the candidate slower where users would feel it?
    Loadtest {
        /// What to do with them
        #[command(subcommand)]
        command: crate::loadtest::Command,
    },
    /// Review schema migrations before they enter the waves, and before a revert
    #[command(
        subcommand,
        long_about = "\
Review schema migrations before they enter the waves, and before a revert.

Exit codes of review: 0 quiet and safe to revert; 1 it needs attention, or a measurement disagrees; 2 bad input."
    )]
    Migrations(crate::migrations::args::Command),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Raw arguments of `run`; [`RunArgs::parse`] checks them.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Path of the kubeconfig [default: $KUBECONFIG, then ~/.kube/config, then the pod's service account]
    #[arg(long, env = "BREAKWATER_KUBECONFIG", value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "BREAKWATER_CONTEXT", value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Namespace of the controller: the ConfigMap breakwater-stop there stops every write, and the webhook's Secret is
    /// read there [default: $POD_NAMESPACE, then the service account's, then breakwater-system]
    #[arg(long, env = "BREAKWATER_CONTROLLER_NAMESPACE", value_name = "NAMESPACE", help_heading = "Cluster")]
    pub controller_namespace: Option<String>,

    /// Namespace of the Lease that makes one controller the leader; none but the controller's
    #[arg(long, env = "BREAKWATER_LEASE_NAMESPACE", value_name = "NAMESPACE", help_heading = "Leadership")]
    pub lease_namespace: Option<String>,
    /// Name of the Lease
    #[arg(
        long,
        env = "BREAKWATER_LEASE_NAME",
        value_name = "NAME",
        default_value = "breakwater",
        help_heading = "Leadership"
    )]
    pub lease_name: String,
    /// Name of this process in the Lease; no two may share one [default: $POD_NAME, then host name and process id]
    #[arg(long, env = "BREAKWATER_IDENTITY", value_name = "NAME", help_heading = "Leadership")]
    pub identity: Option<String>,
    /// How long a Lease that is not renewed keeps others out; a new leader waits this long, plus --write-timeout
    #[arg(
        long,
        env = "BREAKWATER_LEASE_DURATION",
        value_name = "DURATION",
        default_value = "15s",
        help_heading = "Leadership"
    )]
    pub lease_duration: Span,
    /// How long the leader tries to renew before it stops writing; less than --lease-duration
    #[arg(
        long,
        env = "BREAKWATER_RENEW_DEADLINE",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Leadership"
    )]
    pub renew_deadline: Span,
    /// How often the Lease is renewed, or looked at; less than --renew-deadline
    #[arg(
        long,
        env = "BREAKWATER_RETRY_PERIOD",
        value_name = "DURATION",
        default_value = "2s",
        help_heading = "Leadership"
    )]
    pub retry_period: Span,

    /// Time limit of one write; fits into --renew-deadline, so that no write outlives the leadership
    #[arg(
        long,
        env = "BREAKWATER_WRITE_TIMEOUT",
        value_name = "DURATION",
        default_value = "5s",
        help_heading = "Writing"
    )]
    pub write_timeout: Span,
    /// Most tenant writes in flight at once, over all Rollouts
    #[arg(
        long,
        env = "BREAKWATER_MAX_IN_FLIGHT_WRITES",
        value_name = "COUNT",
        default_value_t = 32,
        help_heading = "Writing"
    )]
    pub max_in_flight_writes: usize,
    /// At most this often is a Rollout's status written while it advances or reverts; transitions are written at once
    #[arg(
        long,
        env = "BREAKWATER_STATUS_INTERVAL",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Writing"
    )]
    pub status_interval: Span,

    /// Address of metrics, health checks and the alert webhook
    #[arg(
        long,
        env = "BREAKWATER_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        help_heading = "Surroundings"
    )]
    pub listen: SocketAddr,
    /// Address of the health checks alone, which nobody else can crowd
    #[arg(long, env = "BREAKWATER_PROBE_LISTEN", value_name = "ADDRESS", help_heading = "Surroundings")]
    pub probe_listen: Option<SocketAddr>,
    /// What else Rollouts may name in spec.prometheus.url: a host, a suffix that begins with a dot, or `*`; may be given several times.
    /// Link-local, loopback and metadata addresses only by the address itself
    #[arg(
        long,
        env = "BREAKWATER_PROMETHEUS_ALLOW",
        value_name = "HOST",
        value_delimiter = ',',
        help_heading = "Surroundings"
    )]
    pub prometheus_allow: Vec<String>,
    /// Id of this hub, which names its Rollouts' markers; without it the uid of namespace kube-system. A hub that is rebuilt
    /// keeps its tenants if it keeps its id
    #[arg(long, env = "BREAKWATER_HUB_ID", value_name = "ID", help_heading = "Surroundings")]
    pub hub_id: Option<String>,
    /// Prometheus of Rollouts that name none, such as `http://prometheus.monitoring:9090`
    #[arg(long, env = "BREAKWATER_PROMETHEUS_URL", value_name = "URL", help_heading = "Surroundings")]
    pub prometheus_url: Option<String>,
    /// Secret of the controller's namespace with the webhook's bearer token under `token`; without it there is no webhook
    #[arg(long, env = "BREAKWATER_WEBHOOK_TOKEN_SECRET", value_name = "NAME", help_heading = "Surroundings")]
    pub webhook_token_secret: Option<String>,

    /// Form of the log, on standard error
    #[arg(
        long,
        env = "BREAKWATER_LOG_FORMAT",
        value_enum,
        default_value = "text",
        value_name = "FORM",
        help_heading = "Log"
    )]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as info,breakwater_operator=debug
    #[arg(
        long,
        env = "BREAKWATER_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info",
        help_heading = "Log"
    )]
    pub log_level: String,
}

/// Everything the controller has to be told, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path of the kubeconfig, where one is named.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, where one is named.
    pub context: Option<String>,
    /// The controller's namespace: Lease, stop ConfigMap, webhook Secret.
    pub controller_namespace: String,
    /// Name of the Lease, in the controller's namespace.
    pub lease_name: String,
    /// This process in the Lease; never empty.
    pub identity: String,
    /// The Lease's times, in an order that lets no write outlive the leadership (R26).
    pub lease: lease::Config,
    /// Most tenant writes in flight, 1 to 1024.
    pub max_in_flight_writes: NonZeroUsize,
    /// Least time between two status writes without a transition; never zero.
    pub status_interval: Duration,
    /// Address of metrics, health and webhook.
    pub listen: SocketAddr,
    /// Address of the health checks alone.
    pub probe_listen: Option<SocketAddr>,
    /// What else Rollouts may name: hosts, suffixes, `*`.
    pub prometheus_allow: Vec<String>,
    /// Prometheus of Rollouts that name none: `http://` or `https://`, without a slash at the end.
    pub prometheus_url: Option<String>,
    /// Id of the hub: lower-case letters, digits, `-` and `.`, at most 63.
    pub hub_id: Option<String>,
    /// Secret of the controller's namespace with the webhook's token.
    pub webhook_token_secret: Option<String>,
}

impl RunArgs {
    /// Checks the arguments; the error names the flag and what it must be.
    pub fn parse(self) -> Result<(Settings, Logging), String> {
        let logging = Logging::parse(self.log_format, &self.log_level)?;
        if self.status_interval.is_zero() || self.write_timeout.is_zero() {
            return Err("--status-interval and --write-timeout must be at least 1s".into());
        }
        let lease = lease::Config {
            duration: duration(self.lease_duration),
            renew_deadline: duration(self.renew_deadline),
            retry: duration(self.retry_period),
            write_timeout: duration(self.write_timeout),
        };
        lease.check().map_err(|error| {
            format!("--lease-duration, --renew-deadline, --retry-period, --write-timeout do not go together: {error}")
        })?;
        let max_in_flight_writes = NonZeroUsize::new(self.max_in_flight_writes)
            .filter(|count| count.get() <= IN_FLIGHT_MAX)
            .ok_or_else(|| format!("--max-in-flight-writes must be 1 to {IN_FLIGHT_MAX}"))?;
        let controller_namespace = given(self.controller_namespace)
            .or_else(own_namespace)
            .unwrap_or_else(|| DEFAULT_NAMESPACE.into());
        if let Some(other) = given(self.lease_namespace).filter(|other| *other != controller_namespace) {
            return Err(format!(
                "--lease-namespace ({other}) must be --controller-namespace ({controller_namespace}): the Lease stands \
                 beside the controller's other objects"
            ));
        }
        let settings = Settings {
            kubeconfig: self.kubeconfig.filter(|path| !path.as_os_str().is_empty()),
            context: given(self.context),
            controller_namespace,
            lease_name: given(Some(self.lease_name)).ok_or("--lease-name must not be empty")?,
            identity: given(self.identity)
                .or_else(own_name)
                .ok_or("this host has no name: give --identity")?,
            lease,
            max_in_flight_writes,
            status_interval: duration(self.status_interval),
            listen: self.listen,
            prometheus_url: given(self.prometheus_url).map(|url| base_url(&url)).transpose()?,
            probe_listen: self.probe_listen,
            prometheus_allow: self
                .prometheus_allow
                .into_iter()
                .filter_map(|host| given(Some(host)))
                .collect(),
            hub_id: given(self.hub_id).map(|id| hub_id(&id)).transpose()?,
            webhook_token_secret: given(self.webhook_token_secret),
        };
        Ok((settings, logging))
    }
}

/// A value that says something: charts render what is not set as an empty variable.
fn given(value: Option<String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

const fn duration(span: Span) -> Duration {
    Duration::from_secs(span.as_seconds().unsigned_abs())
}

fn hub_id(id: &str) -> Result<String, String> {
    if is_hub_id(id) {
        return Ok(id.to_owned());
    }
    Err(format!(
        "--hub-id {id:?} must be lower-case letters, digits, '-' and '.', at most {HUB_ID_MAX} of them, with a letter or digit at \
         both ends"
    ))
}

fn base_url(url: &str) -> Result<String, String> {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['@', ' ', '?', '#']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "--prometheus-url {url:?} must be http://HOST or https://HOST, without credentials, query or fragment"
        )),
    }
}

fn own_namespace() -> Option<String> {
    given(std::env::var("POD_NAMESPACE").ok()).or_else(|| given(std::fs::read_to_string(NAMESPACE_FILE).ok()))
}

/// The pod's name; else host and process, because two processes of one host must not take each other for themselves.
fn own_name() -> Option<String> {
    given(std::env::var("POD_NAME").ok()).or_else(|| {
        let host = given(std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
            .or_else(|| given(std::env::var("HOSTNAME").ok()))?;
        Some(format!("{host}-{}", std::process::id()))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Settings, String> {
        let line =
            [&["breakwater", "run", "--identity", "me", "--controller-namespace", "ns"], flags].concat();
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Run(arguments) => arguments.parse().map(|(settings, _)| settings),
            Command::Rehearse(_)
            | Command::Backtest(_)
            | Command::Loadtest { .. }
            | Command::Migrations(_)
            | Command::Completion { .. } => Err("not run".into()),
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        Cli::command().debug_assert();
        insta::assert_debug_snapshot!(parse(&[]).unwrap());
    }

    #[test]
    fn r26_no_write_outlives_the_leadership() {
        let refused = |flags: &[&str]| parse(flags).unwrap_err();
        assert!(refused(&["--write-timeout", "10s"]).contains("--write-timeout"));
        assert!(refused(&["--lease-duration", "8s"]).contains("--renew-deadline"));
        assert!(refused(&["--retry-period", "0"]).contains("--retry-period"));
        assert!(refused(&["--write-timeout", "0"]).contains("at least 1s"));
        assert_eq!(refused(&["--max-in-flight-writes", "0"]), "--max-in-flight-writes must be 1 to 1024");
    }

    #[test]
    fn a_url_without_a_host_or_with_credentials_is_refused() {
        assert!(parse(&["--prometheus-url", "prometheus:9090"]).is_err());
        assert!(parse(&["--prometheus-url", "http://user:pw@prometheus"]).is_err());
        assert_eq!(
            parse(&["--prometheus-url", "http://p:9090/"]).unwrap().prometheus_url.as_deref(),
            Some("http://p:9090")
        );
        assert_eq!(
            parse(&["--prometheus-url", ""]).unwrap().prometheus_url,
            None,
            "an unset value of the chart"
        );
    }

    #[test]
    fn the_lease_stands_in_the_controllers_namespace() {
        assert!(parse(&["--lease-namespace", "ns"]).is_ok());
        assert!(parse(&["--lease-namespace", "other"]).is_err());
    }

    #[test]
    fn a_bad_log_filter_is_refused_by_name() {
        assert!(parse(&["--log-level", "info,foo=bar=baz"]).unwrap_err().starts_with("--log-level"));
    }
}
