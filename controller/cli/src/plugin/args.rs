//! The command line of the plugin. Pure.

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are help texts, shown as they stand")]

use std::{path::PathBuf, str::FromStr};

use breakwater_crds::{Span, report::InvestigationState, words::GateSubject};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

const ABOUT: &str = "\
Breakwater rolls one version over a fleet of tenants, wave by wave, watches the SLOs, and takes the version out again \
by itself when users feel it.

This plugin shows where a Rollout stands and asks the controller for things. It never writes a Rollout or a tenant: \
what it asks for is a RolloutAction, an immutable object that the controller honours once or refuses with a reason, so \
that nothing fights Git and everything is on record under your own name.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `status`: the version is Completed
  1  refused; for `status`: the version was reverted, rejected, or its spec is invalid
  2  wrong usage, or the API server could not be asked or said no
  3  not decided: the time is over, or (status without --wait) the rollout is still under way";

/// Shows and steers Rollouts of Breakwater.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-breakwater",
    bin_name = "kubectl breakwater",
    version,
    long_about = ABOUT,
    after_help = EXIT_CODES,
    max_term_width = 110
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Namespace of the Rollout [default: the context's]
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// All namespaces; for `get` without a name
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig [default: $KUBECONFIG, then ~/.kube/config, then the pod's service account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Print it in this form instead of for people
    #[arg(short, long, global = true, value_name = "FORM")]
    pub output: Option<Form>,
    /// No colours; they are also left out when NO_COLOR is set or the output is no terminal
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The objects as JSON.
    Json,
    /// The objects as YAML.
    Yaml,
    /// More columns.
    Wide,
    /// `kind.group/name`, one a line.
    Name,
    /// Markdown; for `report`
    #[value(name = "md")]
    Markdown,
    /// One HTML file with charts; for `report`
    Html,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a Rollout: phase, waves, SLOs, holds, tenants in trouble, events; without a name: all of the namespace
    Get(Get),
    /// List tenants with wave and version, as their markers say
    Tenants(Tenants),
    /// List what happened to a Rollout: transitions, what was asked by whom, deviation reports
    History {
        /// Name of the Rollout; one that was deleted still has its actions and reports
        name: String,
    },
    /// List deviation reports, show one (-o html with charts, -o md for a ticket), or close one
    Report(Report),
    /// Tell by exit code whether the wanted version is Completed; for CI
    Status(Status),
    /// Let a wave start, or end, that waits for an approval; also starts the adoption of a fleet
    Approve(Approve),
    /// Nothing advances until this is lifted; watching and reverting go on
    #[command(alias = "pause")]
    Hold(Hold),
    /// End a Hold or a Stop
    #[command(alias = "resume")]
    Lift(Lift),
    /// The brake: no write at all, reverts included; watching goes on
    Stop(Stop),
    /// End the soak of the wave in flight now; never past a deviation
    Promote {
        /// Name of the Rollout
        name: String,
        /// How to ask.
        #[command(flatten)]
        asking: Asking,
    },
    /// Take the version out: every touched tenant goes back to its own last verified version, and it is rejected
    Revert(Revert),
    /// Close the rejection of a version, so that it may be rolled out again
    Retry {
        /// Name of the Rollout
        name: String,
        /// The rejected version [default: the one rejected last]
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// How to ask.
        #[command(flatten)]
        asking: Asking,
    },
    /// Let a version pass a gate that keeps it, or its revert, waiting; for what the gate says now, and no other version
    Acknowledge(Acknowledge),
    /// Print the completion script of a shell
    #[command(after_help = "\
To load it in bash:  source <(kubectl breakwater completion bash)
It completes `kubectl-breakwater`, the program's own name.")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `get`.
#[derive(Debug, Args)]
#[command(after_help = "\
✔ done   ◌ going on   ॥ waits for somebody   ✖ deviation or revert   ⚠ needs a look   • not yet

Examples:
  kubectl breakwater get                 a table of the namespace's Rollouts
  kubectl breakwater get app -n ops -w   redrawn on every change; lines of changes where the output is no terminal")]
pub struct Get {
    /// Name of the Rollout; without it: a table
    pub name: Option<String>,
    /// Stay, and show every change
    #[arg(short, long)]
    pub watch: bool,
}

/// Arguments of `tenants`.
#[derive(Debug, Args)]
#[command(after_help = "\
Wave and versions come from the marker that Breakwater leaves on a tenant with its first write; `-` is a tenant that
was not touched. The Rollout's `exclude` and `dormant` expressions are not evaluated here.")]
pub struct Tenants {
    /// Name of the Rollout; may be left out where the namespace has only one
    pub name: Option<String>,
    /// Only tenants that were touched in this wave
    #[arg(long, value_name = "WAVE")]
    pub wave: Option<String>,
    /// Only the tenants in trouble that the status lists (the worst 32), with the reason
    #[arg(long)]
    pub trouble: bool,
    /// Objects that one request reads
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub chunk_size: u32,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
While a report is open, other versions of its Rollout wait (spec.gates.openDeviations: Require, Warn, Ignore).

Examples:
  kubectl breakwater report                                      the namespace's reports, newest first
  kubectl breakwater report app-1a2b3c4d-1 -o html --out a.html  one file with charts, fit to attach to an incident
  kubectl breakwater report app-1a2b3c4d-1 --close fixed --in 1.2.1 --notes 'cache key; INC-4711'")]
pub struct Report {
    /// Name of the report; without it a table, or with -o html and -o md the only one that is there or open
    pub name: Option<String>,
    /// Write to this file instead of to standard output
    #[arg(long, value_name = "FILE", conflicts_with = "close")]
    pub out: Option<PathBuf>,
    /// Say what was found, which lets other versions start
    #[arg(long, value_name = "ANSWER")]
    pub close: Option<Close>,
    /// The version that mends it; for --close fixed
    #[arg(long = "in", value_name = "VERSION", requires = "close")]
    pub fixed_in: Option<String>,
    /// What was found; without it the notes stay as they are
    #[arg(long, value_name = "TEXT", requires = "close")]
    pub notes: Option<String>,
}

/// What an investigation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Close {
    /// The release was the cause, and a version mends it
    Fixed,
    /// The release was the cause
    Attributed,
    /// Something else was
    NotAttributed,
}

impl Close {
    /// The state as the API has it.
    pub const fn state(self) -> InvestigationState {
        match self {
            Self::Fixed => InvestigationState::Fixed,
            Self::Attributed => InvestigationState::Attributed,
            Self::NotAttributed => InvestigationState::NotAttributed,
        }
    }
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Status {
    /// Name of the Rollout
    pub name: String,
    /// The version that must complete [default: the one the spec wants when the command starts]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Stay until it is decided; prints a line for every change
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as 30m or 2w; 0: for ever
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    pub timeout: Span,
}

/// How to ask the controller.
#[derive(Debug, Clone, Copy, Args)]
pub struct Asking {
    /// Do not wait (up to 10s) for the controller's answer
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// Name of the Rollout
    pub name: String,
    /// The wave [default: the one that waits]
    #[arg(long, value_name = "WAVE")]
    pub wave: Option<String>,
    /// The version; an approval given for one never serves another [default: the one under way]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// Arguments of `hold`.
#[derive(Debug, Args)]
pub struct Hold {
    /// Name of the Rollout
    pub name: String,
    /// When and why.
    #[command(flatten)]
    pub brake: Brake,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// When a Hold or Stop ends, and why it is there.
#[derive(Debug, Clone, Args)]
pub struct Brake {
    /// When it ends by itself: 2h, 3d, or 2026-12-24T12:00:00Z [default: when it is lifted]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Until>,
    /// Why; shown to everybody who looks
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Name of the Rollout
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,
    /// Stop every Rollout of the cluster, by creating the ConfigMap breakwater-stop
    #[arg(long, conflicts_with = "until")]
    pub all: bool,
    /// Where `--all` writes.
    #[command(flatten)]
    pub controller: Controller,
    /// When and why.
    #[command(flatten)]
    pub brake: Brake,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// Where the controller lives.
#[derive(Debug, Clone, Args)]
pub struct Controller {
    /// The controller's namespace, for --all
    #[arg(long, value_name = "NAMESPACE", default_value = "breakwater-system")]
    pub controller_namespace: String,
}

/// Arguments of `lift`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl breakwater lift app                    the only Hold or Stop of app
  kubectl breakwater lift app app-hold-x7k2p     one by its name, as `get app` lists them
  kubectl breakwater lift app --all              all of app
  kubectl breakwater lift --all                  the stop of the whole cluster (`stop --all`)")]
pub struct Lift {
    /// Name of the Rollout
    #[arg(required_unless_present = "all")]
    pub name: Option<String>,
    /// Name of the Hold or Stop [default: the only one in force]
    #[arg(conflicts_with = "all")]
    pub subject: Option<String>,
    /// All of the named Rollout; without a name: the stop of the whole cluster
    #[arg(long)]
    pub all: bool,
    /// Where `--all` deletes.
    #[command(flatten)]
    pub controller: Controller,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// Arguments of `revert`.
#[derive(Debug, Args)]
pub struct Revert {
    /// Name of the Rollout
    pub name: String,
    /// Why; it stands in the deviation report
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// The version [default: the one under way]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// Arguments of `acknowledge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl breakwater acknowledge app migrations --reason 'index build watched by ops, INC-4711'
  kubectl breakwater acknowledge app revert --reason 'down steps of app-1a2b3c4d-1 were run by hand'
  kubectl breakwater acknowledge app --hub 0b1c2d3e-... --reason 'the cluster was rebuilt from Git'")]
pub struct Acknowledge {
    /// Name of the Rollout
    pub name: String,
    /// The gate
    #[arg(required_unless_present = "hub")]
    pub gate: Option<Gate>,
    /// Instead of a gate: the other hub whose markers are this Rollout's from here on
    #[arg(long, value_name = "ID", conflicts_with_all = ["gate", "version"])]
    pub hub: Option<String>,
    /// Why it may be passed; shown to everybody who looks
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// The version [default: for `revert` the one under way, else the one that the spec wants]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// How to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// What can be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Gate {
    /// The Release's schema migrations
    Migrations,
    /// The Release's load tests
    #[value(name = "loadTest")]
    LoadTest,
    /// Deviation reports that nobody has answered
    #[value(name = "openDeviations")]
    OpenDeviations,
    /// The soak of another Rollout
    Soak,
    /// A revert that the schema forbids
    Revert,
    /// An emergency release: passes every other gate, windows and approvals
    Emergency,
}

impl Gate {
    /// As an Acknowledge's subject.
    pub const fn subject(self) -> GateSubject {
        match self {
            Self::Migrations => GateSubject::Migrations,
            Self::LoadTest => GateSubject::LoadTest,
            Self::OpenDeviations => GateSubject::OpenDeviations,
            Self::Soak => GateSubject::Soak,
            Self::Revert => GateSubject::Revert,
            Self::Emergency => GateSubject::Emergency,
        }
    }
}

/// When something ends: after a while, or at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// So long from now.
    In(Span),
    /// Then.
    At(Timestamp),
}

impl Until {
    /// The instant; none where it lies beyond the calendar.
    pub fn instant(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::In(span) => now.checked_add(span.as_duration()).ok(),
            Self::At(at) => Some(at),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse(), text.parse()) {
            (Ok(span), _) => Ok(Self::In(span)),
            (_, Ok(at)) => Ok(Self::At(at)),
            _ => Err(format!(
                "{text:?} is neither a duration such as 2h or 3d nor a time such as 2026-12-24T12:00:00Z"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pause_and_resume_are_hold_and_lift() {
        let parse = |args: &[&str]| {
            Cli::try_parse_from([&["kubectl-breakwater"], args].concat()).map(|cli| cli.command)
        };
        assert!(matches!(parse(&["pause", "app", "--until", "2h"]), Ok(Command::Hold(_))));
        assert!(matches!(parse(&["resume", "app"]), Ok(Command::Lift(Lift { all: false, .. }))));
        assert!(matches!(parse(&["lift", "--all"]), Ok(Command::Lift(Lift { name: None, all: true, .. }))));
        assert!(parse(&["lift"]).is_err(), "a name or --all");
        assert!(parse(&["stop", "app", "--all"]).is_err(), "one or all");
        assert!(parse(&["revert", "app"]).is_err(), "a revert needs a reason");
        assert!(parse(&["revert", "app", "--reason", ""]).is_err(), "and one that says something");
        assert!(parse(&["acknowledge", "app", "loadTest", "--reason", "x"]).is_ok());
        assert!(parse(&["acknowledge", "app", "loadTest"]).is_err(), "who passes a gate says why");
        assert!(parse(&["acknowledge", "app", "--hub", "eu", "--reason", "x"]).is_ok());
        assert!(parse(&["acknowledge", "app", "--reason", "x"]).is_err(), "neither gate nor hub");
        assert!(parse(&["acknowledge", "app", "soak", "--hub", "eu", "--reason", "x"]).is_err());
        assert!(parse(&["report", "app-1-1", "--close", "fixed", "--in", "1.2.1"]).is_ok());
        assert!(parse(&["report", "app-1-1", "--in", "1.2.1"]).is_err(), "an answer first");
    }

    #[test]
    fn until_is_a_span_or_an_instant() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let instant = |text: &str| text.parse::<Until>().map(|until| until.instant(now).unwrap().to_string());
        assert_eq!(instant("2h").unwrap(), "2026-03-01T14:00:00Z");
        assert_eq!(instant("2026-12-24T12:00:00+02:00").unwrap(), "2026-12-24T10:00:00Z");
        assert!(instant("tomorrow").is_err());
    }

    #[test]
    fn the_help_says_what_ci_must_know() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_help());
    }
}
