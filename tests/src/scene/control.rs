//! The controller as a user gets it: the chart rendered by helm and applied by kubectl, and the program run with the
//! arguments of the chart's own Deployment, under its own service account.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::bed::{Bed, binaries};
use crate::kinds::Kind;
use crate::{Controller, ControllerOptions, eventually};

/// The namespace and the name of the release; by the chart's rule also the name of its service account.
pub const NAMESPACE: &str = "breakwater-system";
const RELEASE: &str = "breakwater";
const WEBHOOK_SECRET: &str = "webhook";
/// The bearer token that Alertmanager shows.
pub const WEBHOOK_TOKEN: &str = "s3cret-of-alertmanager";
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How much of the log is told with a failure, in lines.
const LOG_LINES: usize = 60;

/// How long a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// As the chart has it: the status every ten seconds, a lease of fifteen.
    AsShipped,
    /// A lease of seconds, for scenes that kill the leader.
    Hasty,
}

/// The installed controller.
#[derive(Debug)]
pub struct Control {
    controller: Controller,
    kubeconfig: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
}

impl Control {
    /// The one of the shared bed, installed by the first scene that asks.
    pub async fn shared(bed: &'static Bed) -> Result<&'static Self> {
        static SHARED: OnceCell<Result<Control, String>> = OnceCell::const_new();
        let install =
            async || Self::install(bed, Tempo::AsShipped, None).await.map_err(|error| format!("{error:#}"));
        let installed = SHARED.get_or_init(install).await;
        installed.as_ref().map_err(|error| anyhow!("the shared controller did not start: {error}"))
    }

    /// Renders and applies the chart, and runs what its Deployment says: with `program`, or with a fresh build.
    pub async fn install(bed: &Bed, tempo: Tempo, program: Option<&Path>) -> Result<Self> {
        let client = bed.client().await?;
        prepare(&client).await?;
        let rendered = render(bed, tempo)?;
        apply(bed, &rendered)?;
        served(&client).await?;
        let arguments = arguments(&rendered)?;
        let kubeconfig = bed.control_plane().api().service_account_kubeconfig(NAMESPACE, RELEASE).await?;
        let folder = bed.folder().to_path_buf();
        let controller = start(&folder, &kubeconfig, &arguments, program)?;
        controller.answers("/readyz", READY_WITHIN).await?;
        Ok(Self { controller, kubeconfig, arguments, folder })
    }

    /// The running program.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// One more replica, which stands by until the lease is free; `args` are added to the chart's.
    pub fn another(&self, args: &[&str]) -> Result<Controller> {
        let arguments: Vec<String> =
            self.arguments.iter().cloned().chain(args.iter().map(|&a| a.into())).collect();
        start(&self.folder, &self.kubeconfig, &arguments, None)
    }

    /// The last lines of the log that name `about`, and the last ones at all.
    pub fn last_words(&self, about: &str) -> String {
        let log = std::fs::read(self.controller.process().log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let about: Vec<&str> = log.lines().filter(|line| line.contains(about)).collect();
        let words = about[about.len().saturating_sub(LOG_LINES)..].join("\n");
        format!("{}\n{words}", self.controller.process().log().display())
    }
}

fn start(
    folder: &Path,
    kubeconfig: &Path,
    arguments: &[String],
    program: Option<&Path>,
) -> Result<Controller> {
    let options = ControllerOptions::new(kubeconfig).args(arguments);
    let options = match program {
        Some(program) => options.program(program),
        None => options,
    };
    Controller::start(folder, options)
}

/// The namespace, and the Secret that the chart only names.
async fn prepare(client: &Client) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .context("create the namespace")?;
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": WEBHOOK_SECRET}, "stringData": {"token": WEBHOOK_TOKEN},
    }))?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    secrets.create(&PostParams::default(), &secret).await.map(drop).context("create the webhook's secret")
}

fn values(tempo: Tempo) -> Value {
    let fleets = Kind::ALL.map(|kind| {
        let resource = kind.resource();
        json!({"apiGroup": resource.group, "resource": resource.plural, "kind": resource.kind, "paths": ["*"]})
    });
    let hasty = [
        "--lease-duration=5s",
        "--renew-deadline=4s",
        "--retry-period=1s",
        "--write-timeout=2s",
        "--status-interval=1s",
    ];
    let extra: &[&str] = match tempo {
        Tempo::AsShipped => &[],
        Tempo::Hasty => &hasty,
    };
    json!({
        "fleets": fleets,
        "webhook": {"tokenSecret": WEBHOOK_SECRET},
        "jobs": {"enabled": true},
        // The bed's Prometheus listens on the machine itself.
        "prometheus": {"allow": ["127.0.0.1"]},
        "controller": {"logFormat": "text", "logLevel": "info,breakwater_operator=debug", "extraArgs": extra},
    })
}

/// The chart as helm renders it, in the bed's folder.
fn render(bed: &Bed, tempo: Tempo) -> Result<PathBuf> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/breakwater");
    // JSON is YAML.
    let file = bed.folder().join("values.yaml");
    std::fs::write(&file, values(tempo).to_string()).context("write values.yaml")?;
    let mut helm = Command::new(binaries::find("helm")?);
    helm.args(["template", RELEASE]).arg(chart).args(["--namespace", NAMESPACE, "--kube-version", "1.34.0"]);
    helm.arg("--values").arg(file);
    let rendered = bed.folder().join("chart.yaml");
    std::fs::write(&rendered, output(helm)?).context("write the rendered chart")?;
    Ok(rendered)
}

fn apply(bed: &Bed, rendered: &Path) -> Result<()> {
    let mut kubectl = Command::new(binaries::find("kubectl")?);
    kubectl.arg("--kubeconfig").arg(bed.control_plane().api().kubeconfig("admin"));
    kubectl.args(["apply", "--server-side", "--cache-dir"]).arg(bed.folder().join("kubectl-cache"));
    kubectl.arg("--filename").arg(rendered);
    output(kubectl).map(drop)
}

fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {words}", output.status);
    Ok(output.stdout)
}

/// Waits until the chart's own definitions are served.
async fn served(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    eventually("our definitions are served", READY_WITHIN, async || {
        for plural in ["rollouts", "releases", "rolloutactions", "deviationreports", "rolloutstates"] {
            let crd = api.get(&format!("{plural}.breakwater.dev")).await?;
            let conditions = crd.status.unwrap_or_default().conditions.unwrap_or_default();
            let up = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
            ensure!(up, "{plural}: {conditions:?}");
        }
        Ok(())
    })
    .await
}

/// The arguments of the chart's Deployment after `run`, without the address, which is the test's to choose.
fn arguments(rendered: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(rendered)?;
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    let documents =
        documents.collect::<std::result::Result<Vec<Value>, _>>().context("read the rendered chart")?;
    let deployment = documents.iter().find(|object| object["kind"] == "Deployment");
    let deployment = deployment.context("the chart has no Deployment")?;
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
    let arguments =
        arguments.context("the chart's container has no arguments")?.iter().filter_map(Value::as_str);
    let mut arguments = arguments
        .filter(|argument| !argument.starts_with("--listen") && !argument.starts_with("--probe-listen"));
    ensure!(arguments.next() == Some("run"), "the chart's container does not run the controller");
    Ok(arguments.map(String::from).collect())
}
