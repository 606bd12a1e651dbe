//! The real Alertmanager: suites add receivers (webhooks) with the labels they are meant for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::process::{Process, Program};
use super::{binaries, http, ports};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    process: Process,
    folder: PathBuf,
    address: String,
    receivers: Mutex<BTreeMap<String, Receiver>>,
}

/// A webhook that is called for alerts with certain labels.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Which alerts, for example `area="soak-1a2b"`.
    pub matchers: Vec<String>,
    /// Where to POST them.
    pub url: String,
    /// The bearer token to show there, if any.
    pub token: Option<String>,
}

impl Alertmanager {
    /// Starts it without receivers.
    pub async fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("alertmanager");
        std::fs::create_dir_all(&folder).context("create alertmanager's folder")?;
        let receivers = BTreeMap::new();
        write_config(&folder, &receivers)?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let program = Program::new("alertmanager", binaries::find("alertmanager")?)
            .arg(format!("--config.file={}", folder.join("alertmanager.yaml").display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--cluster.listen-address=", "--log.level=warn"]);
        let process = Process::start(program, &folder)?;
        let alertmanager = Self { process, folder, address, receivers: Mutex::new(receivers) };
        alertmanager.ready().await?;
        Ok(alertmanager)
    }

    /// Waits until it serves: at first, and after a restart.
    pub async fn ready(&self) -> Result<()> {
        let page = format!("{}/-/ready", self.url());
        self.process.serves(READY_WITHIN, async || http::get(&page).await.map(drop)).await
    }

    /// The process, to be killed, stopped and restarted; see [`Self::ready`].
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds (or replaces) the receiver `name`. Several may get the same alert.
    pub async fn receiver(&self, name: &str, receiver: Receiver) -> Result<()> {
        let mut receivers = self.receivers.lock().await;
        receivers.insert(name.into(), receiver);
        write_config(&self.folder, &receivers)?;
        http::answer(http::client()?.post(format!("{}/-/reload", self.url()))).await.map(drop)
    }

    /// The alerts it holds, as its API shows them.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let body = http::get(&format!("{}/api/v2/alerts", self.url())).await?;
        serde_json::from_str(&body).context("read alertmanager's alerts")
    }
}

fn write_config(folder: &Path, receivers: &BTreeMap<String, Receiver>) -> Result<()> {
    let mut routes = Vec::new();
    let mut hooks = vec![json!({"name": "nobody"})];
    for (name, Receiver { matchers, url, token }) in receivers {
        let http =
            token.as_ref().map(|token| json!({"authorization": {"type": "Bearer", "credentials": token}}));
        let hook =
            json!({"url": url, "send_resolved": true, "http_config": http.unwrap_or_else(|| json!({}))});
        hooks.push(json!({"name": name, "webhook_configs": [hook]}));
        routes.push(json!({"receiver": name, "matchers": matchers, "continue": true}));
    }
    let route = json!({
        "receiver": "nobody", "group_by": ["..."], "routes": routes,
        "group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1m",
    });
    let config = json!({"route": route, "receivers": hooks});
    std::fs::write(folder.join("alertmanager.yaml"), config.to_string()).context("write alertmanager.yaml")
}
