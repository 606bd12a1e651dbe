//! The arguments, and what they come to once they are checked. I/O: files only.

use std::{path::PathBuf, time::Duration};

use breakwater_backtest::Inject;
use breakwater_crds::{Percent, Span, rollout::Prometheus};
use breakwater_operator::telemetry::Settings;
use breakwater_plan::spec::{Checked, is_per_tenant};
use breakwater_text::near::nearest;
use clap::ValueEnum;

use crate::prometheus::Access;

/// Longest past.
const FROM_MAX: Span = Span::seconds(400 * 86_400);
/// Most faults at once: each is a judge of its own.
const INJECTS_MAX: usize = 32;

/// Examples, below the help.
pub const EXAMPLES: &str = "\
Examples:
  # Would it have cried wolf in the last 30 days, and how soon are faults of 1.5x to 10x caught?
  breakwater backtest -f rollout.yaml --prometheus http://prometheus:9090

  # Twice the errors in a tenth of the candidates, three days after the start; and one request in a hundred on top
  breakwater backtest -f rollout.yaml --from 6w --inject 2x@tenant-share=10%,start=3d --inject +1%

  # For a pull request that changes margins or SLOs: exit code 1 says no
  breakwater backtest -f rollout.yaml --from 14d -o json > backtest.json

  # A page with charts
  breakwater backtest -f rollout.yaml --slo api-errors --html backtest.html";

/// Raw arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The Rollout, as it would be applied (YAML or JSON; `-`: standard input)
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
    /// How far back to begin; the first judge.history of it teaches, the rest is tried
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub from: Span,
    /// How far back to end
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub to: Span,
    /// A fault to put in: `SIZE[@tenant-share=10%,start=3d]`, where SIZE is 2x (times the bad events) or +1% (of all requests
    /// on top); `start` counts from the end of the part that teaches. May be given several times
    /// [default: 1.5x 2x 3x 5x 10x, a day in]
    #[arg(long, value_name = "FAULT")]
    pub inject: Vec<Inject>,
    /// Only this SLO; may be given several times [default: all that are counted by tenant]
    #[arg(long, value_name = "NAME")]
    pub slo: Vec<String>,
    /// Share of the tenants that a wave with a selector is taken to have
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub selector_share: Percent,
    /// Draws other tenants into the waves [default: the rollout's own draw]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write a page that stands alone, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
    /// No colours, wherever the output goes
    #[arg(long)]
    pub no_color: bool,

    /// Prometheus; the flags below stand in place of the Rollout's Secrets [default: the Rollout's spec.prometheus.url]
    #[arg(long, env = "BREAKWATER_PROMETHEUS_URL", value_name = "URL", help_heading = "Prometheus")]
    pub prometheus: Option<String>,
    /// In place of the Rollout's Secrets
    #[command(flatten)]
    pub access: Access,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// A page that stands alone.
    Html,
}

impl Args {
    /// What cannot be checked flag by flag; the error names the flag, its value, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let Self { from, to, .. } = self;
        if from <= to || *from > FROM_MAX {
            return Err(format!("--from {from}: must be longer ago than --to ({to}) and at most {FROM_MAX}"));
        }
        if self.inject.len() > INJECTS_MAX {
            return Err(format!("--inject: {} faults, more than {INJECTS_MAX}", self.inject.len()));
        }
        for inject in &self.inject {
            let most = Span::seconds(from.as_seconds() - to.as_seconds());
            if inject.start.is_some_and(|start| start >= most) {
                return Err(format!(
                    "--inject {inject}: start must be less than the {most} from --from to --to"
                ));
            }
        }
        if self.selector_share.as_ratio() <= 0.0 {
            return Err(format!("--selector-share {}: must be more than 0%", self.selector_share));
        }
        Ok(())
    }

    /// The faults, or the usual ones.
    pub fn injects(&self) -> Vec<Inject> {
        if self.inject.is_empty() { Inject::usual() } else { self.inject.clone() }
    }

    /// Indices of the SLOs that are asked for.
    pub fn slos(&self, checked: &Checked) -> Result<Vec<usize>, String> {
        let slos = &checked.spec.slos;
        let names: Vec<String> =
            slos.iter().filter(|slo| is_per_tenant(slo)).map(|slo| slo.name.clone()).collect();
        if names.is_empty() {
            return Err("spec.slos: none is counted by tenant, so there is nothing to replay".to_owned());
        }
        for wanted in &self.slo {
            if !names.contains(wanted) {
                let near = nearest(wanted, &names).join(", ");
                return Err(format!(
                    "--slo {wanted:?}: no SLO of this name is counted by tenant; there are {near}"
                ));
            }
        }
        let asked = |name: &String| self.slo.is_empty() || self.slo.contains(name);
        Ok((0..slos.len()).filter(|at| is_per_tenant(&slos[*at]) && asked(&slos[*at].name)).collect())
    }

    /// Where and how to ask.
    pub fn settings(&self, prometheus: Option<&Prometheus>) -> Result<Settings, String> {
        let given = self.prometheus.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let url = given.or(prometheus.map(|prometheus| &*prometheus.url)).ok_or(
            "--prometheus: the Rollout has no spec.prometheus.url; give the URL, such as http://prometheus:9090",
        )?;
        let settings = self.access.settings(url)?;
        Ok(match prometheus {
            Some(prometheus) => Settings {
                flavor: prometheus.flavor,
                timeout: Duration::from_secs(prometheus.timeout.as_seconds().unsigned_abs()),
                ..settings
            },
            None => settings,
        })
    }
}
