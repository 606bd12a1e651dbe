//! The benches: a whole controller, built for release, on the real bed, against what the API server gives a plain
//! client. Every figure is printed beside its aim; nothing is asserted, for a busy machine is no failure.
//!
//! Both sides write the same kind of object with the same patch, through as many connections, with as many watches
//! open, one after the other in turns, and both are measured by one and the same watch on the API server.

mod bare;
mod react;
mod resources;
mod stage;
mod table;
mod tape;
mod wave;

use anyhow::{Context, Result, bail};

use stage::Stage;
pub use table::Table;

/// Writes in flight: the default of the controller's `--max-in-flight-writes`, and the plain client's connections.
const CONNECTIONS: usize = 32;

/// What to measure, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Tenants of the large fleet; the small one has a tenth.
    pub tenants: usize,
    /// Pairs of runs, own and bare, of which medians are taken.
    pub pairs: usize,
    /// One part; `None`: all.
    pub only: Option<Part>,
}

/// A part of the benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A whole wave and a whole revert against bare patches.
    Wave,
    /// From the webhook to the first tenant written back.
    React,
    /// Memory per tenant.
    Memory,
    /// Processor time while nothing, or little, happens.
    Cpu,
}

impl Default for Options {
    fn default() -> Self {
        Self { tenants: 10_000, pairs: 5, only: None }
    }
}

impl Options {
    /// Reads `--tenants N`, `--pairs N` and `--only wave|react|memory|cpu`.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--tenants" => options.tenants = value()?.parse().context("--tenants must be a number")?,
                "--pairs" => options.pairs = value()?.parse().context("--pairs must be a number")?,
                "--only" => options.only = Some(Part::parse(&value()?)?),
                _ => bail!("unknown argument {flag}; there are --tenants, --pairs and --only"),
            }
        }
        if options.tenants < 100 || options.pairs == 0 {
            bail!("--tenants must be at least 100, --pairs at least 1");
        }
        Ok(options)
    }

    fn includes(self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "wave" => Self::Wave,
            "react" => Self::React,
            "memory" => Self::Memory,
            "cpu" => Self::Cpu,
            _ => bail!("--only must be wave, react, memory or cpu, not {name}"),
        })
    }
}

/// Measures, with progress on standard error.
pub async fn run(options: Options) -> Result<Table> {
    let mut table = Table::default();
    let mut stage = Stage::start().await?;
    if options.includes(Part::Memory) {
        resources::memory(&mut stage, options, &mut table).await?;
    }
    stage.grow(options.tenants).await?;
    if options.includes(Part::Cpu) {
        resources::cpu(&mut stage, &mut table).await?;
    }
    if options.includes(Part::Wave) {
        wave::measure(&mut stage, options, &mut table).await?;
    }
    if options.includes(Part::React) {
        react::measure(&mut stage, options, &mut table).await?;
    }
    Ok(table)
}

/// Tells how far the bench is.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// The time as alerts and markers write it.
#[expect(clippy::disallowed_methods, reason = "benches measure real time, and have no clock to be given")]
fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().to_string()
}

/// The middle one, or the upper of the two in the middle; NaN where there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn arguments_are_read_and_unknown_ones_refused() {
        let wave = Options { tenants: 500, pairs: 7, only: Some(Part::Wave) };
        assert_eq!(parse(&["--tenants", "500", "--only", "wave", "--pairs", "7"]).ok(), Some(wave));
        for wrong in [&["--only", "all"][..], &["--pairs"], &["--pairs", "0"], &["10"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
