//! One bed: control plane, Prometheus, Alertmanager, exporter and operator, started together.

pub mod alertmanager;
pub mod background;
pub mod binaries;
pub mod controlplane;
pub mod exporter;
pub mod folder;
pub mod http;
pub mod operator;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod recorded;
pub mod traffic;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::eventually;
use crate::fleet::Fleet;
use crate::kinds::{Kind, NODE};
use alertmanager::Alertmanager;
use controlplane::{ADMIN, ControlPlane, User};
use exporter::{Exporter, Scope};
use folder::Folder;
use operator::Operator;
use prometheus::Prometheus;

/// The seed of the exporter's noise; the same in every run.
const SEED: u64 = 20_260_101;

/// Everything a suite stands on. Dropped, all of it ends.
#[derive(Debug)]
pub struct Bed {
    _operator: Operator,
    exporter: Exporter,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    control_plane: ControlPlane,
    folder: Folder,
}

impl Bed {
    /// The bed all suites of a test binary share, started by the first that asks. It may not be harmed.
    pub async fn shared() -> Result<&'static Self> {
        // A bed that does not start fails all suites at once, so the failure is kept too.
        static SHARED: OnceCell<Result<Bed, String>> = OnceCell::const_new();
        let start = async || Self::own().await.map_err(|error| format!("{error:#}"));
        SHARED
            .get_or_init(start)
            .await
            .as_ref()
            .map_err(|error| anyhow!("the shared bed did not start: {error}"))
    }

    /// A bed of one's own, whose parts may be killed.
    pub async fn own() -> Result<Self> {
        Self::with_users(&[
            User::new("alice", &["sre"]),
            User::new("bob", &["sre"]),
            User::new("carol", &["developers"]),
            User::new("dave", &[]),
        ])
        .await
    }

    /// A bed of one's own with these users beside the admin.
    pub async fn with_users(users: &[User]) -> Result<Self> {
        let users = users.to_vec();
        background::run(|| async move { Self::start(&users).await }).await
    }

    async fn start(users: &[User]) -> Result<Self> {
        crate::install_crypto();
        let started = Instant::now();
        let folder = Folder::new()?;
        let (control_plane, alertmanager) =
            tokio::try_join!(ControlPlane::start(&folder, users), Alertmanager::start(&folder))?;
        let client = control_plane.api().client(ADMIN).await?;
        let prometheus = Prometheus::start(&folder, alertmanager.address());
        let (prometheus, (), ()) = tokio::try_join!(prometheus, install_crds(&client), create_node(&client))?;
        let exporter = Exporter::start(client.clone(), SEED).await?;
        prometheus.scrape("exporter", exporter.address())?;
        let operator = Operator::start(&client);
        eprintln!("bed {} is up after {:.1?}", folder.display(), started.elapsed());
        Ok(Self { _operator: operator, exporter, prometheus, alertmanager, control_plane, folder })
    }

    /// The cluster.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The metrics' store.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Where its alerts go.
    pub fn alertmanager(&self) -> &Alertmanager {
        &self.alertmanager
    }

    /// Where the tenants' metrics come from.
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Where data and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An admin's client, for the calling test's runtime.
    pub async fn client(&self) -> Result<Client> {
        self.client_of(ADMIN).await
    }

    /// The client of a user: `admin`, `alice`, `bob` (both of group `sre`), `carol` (`developers`), `dave`.
    pub async fn client_of(&self, user: &str) -> Result<Client> {
        self.control_plane.api().client(user).await
    }

    /// A part of the bed for one suite: a new namespace, and its tenants' behaviour.
    pub async fn area(&self, name: &str) -> Result<Area> {
        let prefix = format!("{name}-{:06x}", fastrand::u32(..0x0100_0000));
        let area = Area { client: self.client().await?, scope: self.exporter.within(&prefix), prefix };
        area.create_namespace(&area.prefix).await?;
        Ok(area)
    }
}

/// A suite's own part of a bed. Its namespaces all begin with its name, so what it says of its tenants' behaviour
/// concerns nobody else.
pub struct Area {
    client: Client,
    scope: Scope,
    prefix: String,
}

impl Area {
    /// Its first namespace.
    pub fn namespace(&self) -> &str {
        &self.prefix
    }

    /// One more namespace, `<first>-<suffix>`.
    pub async fn another_namespace(&self, suffix: &str) -> Result<String> {
        let name = format!("{}-{suffix}", self.prefix);
        self.create_namespace(&name).await?;
        Ok(name)
    }

    /// The admin's client the area was made with.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its tenants of a kind.
    pub fn fleet(&self, kind: Kind) -> Fleet {
        Fleet::new(self.client(), kind)
    }

    /// How its tenants behave.
    pub fn tenants(&self) -> &Scope {
        &self.scope
    }

    async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let created = Api::all(self.client()).create(&PostParams::default(), &namespace).await;
        created.map(drop).with_context(|| format!("create namespace {name}"))
    }
}

async fn create_node(client: &Client) -> Result<()> {
    let node: Node = serde_json::from_value(json!({"metadata": {"name": NODE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &node).await.context("create a node")?;
    Ok(())
}

/// Installs the custom kinds' definitions and waits until they are served.
async fn install_crds(client: &Client) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let files = std::fs::read_dir(&folder).context("read the folder of definitions")?;
    let files = files.collect::<std::io::Result<Vec<_>>>()?;
    try_join_all(files.iter().map(async |file| install(client, &file.path()).await)).await?;
    Ok(())
}

/// Installs the definitions in one YAML file (also one a suite brings) and waits until they are served.
pub async fn install(client: &Client, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for document in serde_yaml::Deserializer::from_str(&text) {
        let crd =
            CustomResourceDefinition::deserialize(document).with_context(|| file.display().to_string())?;
        let name = crd.metadata.name.clone().context("a definition has no name")?;
        api.create(&PostParams::default(), &crd).await.with_context(|| format!("create {name}"))?;
        eventually(&format!("{name} is served"), Duration::from_secs(30), async || {
            let status = api.get(&name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let established = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
            ensure!(established, "{conditions:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
