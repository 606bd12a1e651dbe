//! The real Prometheus, scraping every second: the exporter, and whatever a suite adds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::process::{Process, Program};
use super::{binaries, http, ports};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// A running Prometheus with its data, which a kill and a restart keep.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    folder: PathBuf,
    url: String,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' labels.
    pub labels: BTreeMap<String, String>,
    /// Its value; NaN and the infinities included.
    pub value: f64,
}

impl Prometheus {
    /// Starts it; alerts go to the Alertmanager at `alertmanager` (`host:port`).
    pub async fn start(folder: &Path, alertmanager: &str) -> Result<Self> {
        let folder = folder.join("prometheus");
        for part in ["rules", "targets"] {
            std::fs::create_dir_all(folder.join(part)).context("create prometheus's folders")?;
        }
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [{
                "job_name": "bed",
                "file_sd_configs": [{"files": ["targets/*.json"], "refresh_interval": "1s"}],
            }],
        });
        std::fs::write(folder.join("prometheus.yaml"), config.to_string())
            .context("write prometheus.yaml")?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let program = Program::new("prometheus", binaries::find("prometheus")?)
            .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // An alert that fires before Alertmanager is discovered is dropped; so it is sent again soon.
            .args(["--rules.alert.resend-delay=1s", "--web.enable-lifecycle", "--log.level=warn"]);
        let process = Process::start(program, &folder)?;
        let prometheus = Self { process, folder, url: format!("http://{address}") };
        prometheus.ready().await?;
        Ok(prometheus)
    }

    /// Waits until it answers queries: at first, and after a restart.
    pub async fn ready(&self) -> Result<()> {
        let page = format!("{}/-/ready", self.url);
        self.process.serves(READY_WITHIN, async || http::get(&page).await.map(drop)).await
    }

    /// The process, to be killed, stopped and restarted; see [`Self::ready`].
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scrapes `address` (`host:port`, path `/metrics`) from now on, under the job label `job`.
    pub fn scrape(&self, job: &str, address: &str) -> Result<()> {
        let targets = json!([{"targets": [address], "labels": {"job": job}}]);
        // Written aside and moved, for Prometheus watches the folder.
        let aside = self.folder.join(format!("{job}.new"));
        std::fs::write(&aside, targets.to_string()).context("write a scrape target")?;
        std::fs::rename(aside, self.folder.join("targets").join(job).with_extension("json"))
            .context("add a target")
    }

    /// Puts (or replaces) the rule file `name` and loads it. `rules` is YAML: `groups: [...]`.
    pub async fn rules(&self, name: &str, rules: &str) -> Result<()> {
        std::fs::write(self.folder.join("rules").join(name).with_extension("yaml"), rules)
            .context("write rules")?;
        self.reload().await
    }

    /// Loads configuration and rules again; an error if they are refused.
    pub async fn reload(&self) -> Result<()> {
        http::answer(http::client()?.post(format!("{}/-/reload", self.url))).await.map(drop)
    }

    /// An instant query whose result is a vector.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>> {
        let request = http::client()?.post(format!("{}/api/v1/query", self.url));
        let form = format!("query={}", percent_encoded(promql));
        let form_type = "application/x-www-form-urlencoded";
        let body = http::answer(request.header("content-type", form_type).body(form)).await?;
        let answer: Answer =
            serde_json::from_str(&body).with_context(|| format!("read a vector from {body}"))?;
        answer.data.result.into_iter().map(Sample::try_from).collect()
    }

    /// The only value of an instant query; an error that shows the result if there is none, or more.
    pub async fn value(&self, promql: &str) -> Result<f64> {
        let samples = self.query(promql).await?;
        match samples.as_slice() {
            [sample] => Ok(sample.value),
            other => anyhow::bail!("{promql} has {} results: {other:?}", other.len()),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl TryFrom<Element> for Sample {
    type Error = anyhow::Error;

    fn try_from(element: Element) -> Result<Self> {
        let Element { metric, value: (_, text) } = element;
        let value = text.parse().with_context(|| format!("{text} is no number"))?;
        Ok(Self { labels: metric, value })
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().flat_map(|byte| ['%', hex(byte >> 4), hex(byte & 15)]).collect()
}

fn hex(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0')
}
