//! A Prometheus that has recorded for weeks: the data are written at once, with its own `promtool`, and it scrapes nobody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use super::process::{Process, Program};
use super::traffic::poisson;
use super::{binaries, http, ports};

const READY_WITHIN: Duration = Duration::from_mins(1);
const DAY_SECONDS: i64 = 86_400;

/// What was recorded: requests of tenants, as counters `app_requests_total{installation, code}`.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Tenants; their labels are `t-0`, `t-1` and so on.
    pub tenants: u32,
    /// How long before `until` it begins.
    pub days: i64,
    /// The last sample, rounded down to the interval.
    pub until: Timestamp,
    /// Seconds between two samples.
    pub scrape_seconds: i64,
    /// Requests a minute and tenant by day; tenants differ, and nights are quieter.
    pub requests_per_minute: f64,
    /// Share of requests answered with 500, on average; tenants differ.
    pub error_ratio: f64,
    /// Tenants whose share of errors is this many times theirs, in the last so many seconds.
    pub broken: BTreeMap<u32, (f64, i64)>,
    /// Seconds before the end, from and to, in which nothing was recorded.
    pub gap: Option<(i64, i64)>,
    /// Decides all chance.
    pub seed: u64,
}

/// A running Prometheus with these data.
#[derive(Debug)]
pub struct Recorded {
    process: Process,
    url: String,
}

impl Recorded {
    /// Writes the data below `folder` and serves them.
    pub async fn start(folder: &Path, recording: &Recording) -> Result<Self> {
        Self::serve(folder, &recording.open_metrics()?).await
    }

    /// The same with any data, as `OpenMetrics` text with times.
    pub async fn serve(folder: &Path, open_metrics: &str) -> Result<Self> {
        let (text, data) = (folder.join("recorded.om"), folder.join("recorded"));
        fs::write(&text, open_metrics).context("write what was recorded")?;
        // One block a week: made in blocks of two hours, the text would be read anew for each of them.
        let made = Command::new(binaries::find("promtool")?)
            .args(["tsdb", "create-blocks-from", "--max-block-duration=168h", "openmetrics"])
            .args([&text, &data])
            .output()
            .context("run promtool")?;
        ensure!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
        fs::remove_file(&text)?;
        let config = folder.join("recorded.yaml");
        fs::write(&config, json!({"global": {"scrape_interval": "1m"}}).to_string())?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let program = Program::new("recorded-prometheus", binaries::find("prometheus")?)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--storage.tsdb.retention.time=1y", "--log.level=warn"]);
        let recorded = Self { process: Process::start(program, folder)?, url: format!("http://{address}") };
        let page = format!("{}/-/ready", recorded.url);
        recorded.process.serves(READY_WITHIN, async || http::get(&page).await.map(drop)).await?;
        Ok(recorded)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Recording {
    /// Its samples in the `OpenMetrics` text format: series after series, each in order of time.
    fn open_metrics(&self) -> Result<String> {
        let mut text = String::from("# HELP app_requests Requests.\n# TYPE app_requests counter\n");
        for tenant in 0..self.tenants {
            self.tenant(tenant, &mut text)?;
        }
        text.push_str("# EOF\n");
        Ok(text)
    }

    fn tenant(&self, tenant: u32, text: &mut String) -> Result<()> {
        let mut chance = Rng::with_seed(self.seed.wrapping_mul(1_000_003) + u64::from(tenant));
        let (size, quality) = (0.5 + chance.f64(), 0.5 + chance.f64());
        let end = self.until.as_second().div_euclid(self.scrape_seconds) * self.scrape_seconds;
        let (mut good, mut bad, mut goods) = (0, 0, String::new());
        let count = self.days * DAY_SECONDS / self.scrape_seconds;
        for sample in 0..=count {
            let at = end - (count - sample) * self.scrape_seconds;
            let day = (at % DAY_SECONDS) as f64 / DAY_SECONDS as f64;
            let busy = 0.6 - 0.4 * (day * std::f64::consts::TAU).cos();
            let mean = self.requests_per_minute * size * busy * self.scrape_seconds as f64 / 60.0;
            let broken = self.broken.get(&tenant).filter(|(_, seconds)| end - at < *seconds);
            let ratio = (self.error_ratio * quality * broken.map_or(1.0, |(times, _)| *times)).min(1.0);
            good += poisson(mean * (1.0 - ratio), &mut chance);
            bad += poisson(mean * ratio, &mut chance);
            if self.gap.is_some_and(|(from, to)| (to..from).contains(&(end - at))) {
                continue;
            }
            writeln!(goods, "app_requests_total{{installation=\"t-{tenant}\",code=\"200\"}} {good} {at}")?;
            writeln!(text, "app_requests_total{{installation=\"t-{tenant}\",code=\"500\"}} {bad} {at}")?;
        }
        text.push_str(&goods);
        Ok(())
    }
}
