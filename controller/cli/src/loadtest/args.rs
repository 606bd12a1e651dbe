//! The arguments, and the runs that they come to. I/O: files only.

use std::path::{Path, PathBuf};

use breakwater_loadtest::{Rules, Run, prometheus::Range};
use clap::ValueEnum;
use jiff::Timestamp;

use crate::prometheus::Access;

/// Most runs a side.
const RUNS_MAX: usize = 32;
/// Most bytes of a file, packed or not.
const FILE_MAX: u64 = 256 << 20;

/// Examples, below the help.
pub const EXAMPLES: &str = "\
Examples:
  # One run of each version
  breakwater loadtest compare v10.7.json v10.8-rc1.json

  # Three runs a side give the noise; a Warn too is exit code 1
  breakwater loadtest compare base-*.json.gz --candidate rc-*.json.gz --strict

  # For a pull request
  breakwater loadtest compare base.json rc.json --rules loadtest.yaml -o md >> comment.md

  # Without reports: two stretches of time of a Prometheus
  breakwater loadtest compare --from-prometheus http://prometheus:9090 --matchers 'namespace=\"load\"' \\
    --base 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z --candidate 2026-03-02T08:00:00Z/2026-03-02T09:30:00Z";

/// Raw arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Reports of the base and one of the candidate; with --candidate all are the base's. JSON, plain or gzip
    #[arg(value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// Reports of the candidate; with --from-prometheus stretches of time, FROM/TO
    #[arg(long, value_name = "REPORT|FROM/TO", num_args = 1..)]
    pub candidate: Vec<String>,
    /// Stretches of time of the base, FROM/TO
    #[arg(long, value_name = "FROM/TO", num_args = 1.., requires = "from_prometheus")]
    pub base: Vec<String>,
    /// What is noise, what fails, and what is known of the traffic (YAML) [default: as documented]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Users that the servers carried in tests without a bound, BASE/CANDIDATE: within 5% is noise
    #[arg(long, value_name = "N/N")]
    pub users: Option<String>,
    /// A Warn is exit code 1 as well
    #[arg(long)]
    pub strict: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
    /// No colours, wherever the output goes
    #[arg(long)]
    pub no_color: bool,

    /// Read the two sides from this Prometheus, in place of reports
    #[arg(long, value_name = "URL", conflicts_with = "reports", help_heading = "Prometheus")]
    pub from_prometheus: Option<String>,
    /// Label matchers for every selector, such as namespace="load"
    #[arg(
        long,
        value_name = "MATCHERS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Prometheus"
    )]
    pub matchers: String,
    /// What is needed beside the URL
    #[command(flatten)]
    pub access: Access,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// JSON, with every metric.
    Json,
    /// Markdown, for tickets and pull requests.
    Md,
    /// A page that stands alone, with every metric.
    Html,
}

/// Both sides.
pub struct Sides<T> {
    /// What is compared with.
    pub base: T,
    /// What is in question.
    pub candidate: T,
}

impl Args {
    /// The rules, or the default ones.
    pub fn rules(&self) -> Result<Rules, String> {
        let Some(path) = &self.rules else { return Ok(Rules::default()) };
        let bytes = read("--rules", path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| format!("--rules {}: not a text in UTF-8", path.display()))?;
        Rules::parse(text).map_err(|why| format!("--rules {}: {why}", path.display()))
    }

    /// The runs of both sides, from files.
    pub fn runs(&self) -> Result<Sides<Vec<Run>>, String> {
        let candidate: Vec<PathBuf> = self.candidate.iter().map(PathBuf::from).collect();
        let (base, candidate) = match (&*self.reports, &*candidate) {
            ([base, candidate], []) => (vec![base.clone()], vec![candidate.clone()]),
            (reports, []) => {
                return Err(format!(
                    "reports: {} given; give a base and a candidate, or the candidate's with --candidate",
                    reports.len()
                ));
            }
            ([], _) => return Err("no report of the base: give it before --candidate".to_owned()),
            (base, candidate) => (base.to_vec(), candidate.to_vec()),
        };
        if base.len() > RUNS_MAX || candidate.len() > RUNS_MAX {
            return Err(format!("more than {RUNS_MAX} runs a side"));
        }
        let all = |paths: &[PathBuf]| paths.iter().map(|path| report(path)).collect::<Result<Vec<_>, _>>();
        Ok(Sides { base: all(&base)?, candidate: all(&candidate)? })
    }

    /// The stretches of time of both sides, with their texts.
    pub fn ranges(&self) -> Result<Sides<Vec<(String, Range)>>, String> {
        let all = |flag: &str, texts: &[String]| {
            if texts.is_empty() || texts.len() > RUNS_MAX {
                return Err(format!(
                    "{flag}: --from-prometheus wants 1 to {RUNS_MAX} stretches of time, FROM/TO"
                ));
            }
            texts.iter().map(|text| range(flag, text).map(|range| (text.clone(), range))).collect()
        };
        Ok(Sides { base: all("--base", &self.base)?, candidate: all("--candidate", &self.candidate)? })
    }

    /// Users of both sides, where they are given.
    pub fn users(&self) -> Result<Option<Sides<f64>>, String> {
        let Some(text) = &self.users else { return Ok(None) };
        let number =
            |text: &str| text.trim().parse::<f64>().ok().filter(|users| users.is_finite() && *users > 0.0);
        let parsed = text
            .split_once('/')
            .and_then(|(base, candidate)| Some(Sides { base: number(base)?, candidate: number(candidate)? }));
        parsed.map(Some).ok_or_else(|| format!("--users {text:?}: write BASE/CANDIDATE, such as 17339/17639"))
    }
}

fn range(flag: &str, text: &str) -> Result<Range, String> {
    let instant = |text: &str| {
        text.trim()
            .parse::<Timestamp>()
            .map_err(|_| format!("{flag} {text:?}: not an instant such as 2026-03-01T08:00:00Z"))
    };
    let (from, to) = text.split_once('/').ok_or_else(|| {
        format!("{flag} {text:?}: write FROM/TO, such as 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z")
    })?;
    Range::new(instant(from)?, instant(to)?).map_err(|why| format!("{flag} {why}"))
}

fn report(path: &Path) -> Result<Run, String> {
    Run::parse(&path.display().to_string(), &read("report", path)?).map_err(|why| why.to_string())
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    let failed = |why: std::io::Error| format!("{what} {}: cannot read it: {why}", path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_MAX {
        return Err(format!("{what} {}: more than {} MiB", path.display(), FILE_MAX >> 20));
    }
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_time_is_two_instants() {
        assert!(range("--base", "2026-03-01T08:00:00Z/2026-03-01T09:30:00Z").is_ok());
        let why = |text| range("--base", text).unwrap_err();
        assert!(why("2026-03-01").contains("write FROM/TO"));
        assert!(why("yesterday/today").contains("\"yesterday\": not an instant"));
        assert!(why("2026-03-01T08:00:00Z/2026-03-01T08:01:00Z").contains("must be 10 minutes to 14 days"));
    }
}
