//! The bed, the controller's release build on it, and two fleets that are twins: one is a Rollout's, one is nobody's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::bare::Bare;
use super::tape::{Lap, Tape};
use super::{CONNECTIONS, progress};
use crate::bed::Bed;
use crate::kinds::{Kind, TENANT_LABEL, Tenant};
use crate::scene::control::{Control, NAMESPACE, Tempo};
use crate::{Controller, ControllerOptions, eventually};

/// Longest wait for anything; a machine that compiles beside it is slow.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// The version that everything comes back to.
pub(super) const STABLE: &str = "1.0.0";
/// The label of an alert that names a tenant.
pub(super) const ALERT_TENANT: &str = "installation";

/// A whole wave at once, ready at once, watched by a query that is always fine, reverted by the first alert.
const ROLLOUT: &str = r#"
version: $VERSION
adopt: Start
tenants:
  resource: {apiVersion: test.breakwater.dev/v1, kind: Tenant}
  selector: {matchLabels: {app: tenant}}
  fields: [{path: spec.version}]
  ready: object.spec.version == version
  dormant: object.spec.replicas == 0
  warmUp: 0s
  takeFrom: [deployer]
prometheus: {url: $PROMETHEUS}
slos:
  - {name: calm, query: vector(0), limit: {max: 1, for: 1m}, step: $STEP}
alerts:
  - {matchers: ['severity="page"'], tenantLabel: installation, action: Revert, minTenants: 1, for: 0s}
waves:
  - {name: all, soak: 7d, maxConcurrent: 100%}
revert: {maxConcurrent: 100%, verifyFor: 5s}
gates: {openDeviations: Ignore}
"#;

/// Everything the benches stand on.
pub(super) struct Stage {
    // Fields go in this order: the controller first, then what it talks to.
    controller: Option<Controller>,
    tape: Tape,
    bare: Bare,
    client: Client,
    own: String,
    twin: String,
    program: PathBuf,
    bed: Bed,
}

impl Stage {
    /// Starts a bed and installs the chart; no controller runs yet.
    pub(super) async fn start() -> Result<Self> {
        progress("building the controller for release");
        let program = program()?;
        let bed = Bed::own().await?;
        let control = Control::install(&bed, Tempo::AsShipped, Some(&program)).await?;
        control.controller().process().terminate(Duration::from_secs(30))?;
        let client = bed.client().await?;
        let area = bed.area("own").await?;
        let twin = area.another_namespace("twin").await?;
        let bare = Bare::new(bed.client().await?, &twin);
        let tape = Tape::start(bed.client().await?);
        let own = area.namespace().to_owned();
        Ok(Self { controller: None, tape, bare, client, own, twin, program, bed })
    }

    /// The watch that measures.
    pub(super) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The plain client.
    pub(super) fn bare(&self) -> &Bare {
        &self.bare
    }

    /// An admin's client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Namespace of the Rollout and its fleet.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    /// Namespace of the other fleet.
    pub(super) fn twin(&self) -> &str {
        &self.twin
    }

    /// The running controller.
    pub(super) fn controller(&self) -> Result<&Controller> {
        self.controller.as_ref().context("no controller runs")
    }

    /// Starts the controller as shipped, but for the address; ends the one before.
    pub(super) async fn restart(&mut self) -> Result<()> {
        if let Some(former) = self.controller.take() {
            former.process().terminate(Duration::from_mins(1))?;
        }
        let kubeconfig = self.bed.control_plane().api().kubeconfig(&format!("{NAMESPACE}-breakwater"));
        let options = ControllerOptions::new(&kubeconfig).program(&self.program).args([
            format!("--controller-namespace={NAMESPACE}"),
            format!("--max-in-flight-writes={CONNECTIONS}"),
            "--webhook-token-secret=webhook".into(),
            "--prometheus-allow=127.0.0.1".into(),
        ]);
        let controller = Controller::start(self.bed.folder(), options)?;
        controller.answers("/readyz", PATIENCE).await?;
        self.controller = Some(controller);
        Ok(())
    }

    /// Another controller takes over, and has seen the fleet.
    pub(super) async fn relieve(&mut self) -> Result<()> {
        let epoch = self.until("has an epoch", |_| true).await?["epoch"].as_i64();
        self.restart().await?;
        self.until("is led anew", |status| status["epoch"].as_i64() > epoch).await.map(drop)
    }

    /// Starts a controller if none runs.
    pub(super) async fn controlled(&mut self) -> Result<()> {
        if self.controller.is_none() { self.restart().await } else { Ok(()) }
    }

    /// Makes both fleets `count` tenants large; nobody else acts on them, or measures them.
    pub(super) async fn grow(&self, count: usize) -> Result<()> {
        let present = self.tape.len(&self.own);
        if count <= present {
            return Ok(());
        }
        progress(&format!("creating tenants {present} to {count}, twice"));
        for namespace in [&self.own, &self.twin] {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), namespace, &Kind::Tenant.resource());
            let params = PostParams { field_manager: Some("deployer".into()), ..PostParams::default() };
            let create = async |i: usize| -> Result<()> {
                let mut tenant = Tenant::new(namespace, &format!("tenant-{i:05}"), STABLE).unmeasured();
                tenant.labels.remove(TENANT_LABEL); // the bed's operator leaves it alone
                let object: DynamicObject = serde_json::from_value(Kind::Tenant.object(&tenant))?;
                api.create(&params, &object)
                    .await
                    .map(drop)
                    .with_context(|| format!("create {}", tenant.id()))
            };
            stream::iter(present..count)
                .map(create)
                .buffer_unordered(CONNECTIONS)
                .try_collect::<()>()
                .await?;
        }
        eventually("the fleets are seen", PATIENCE, async || {
            let seen = [self.tape.len(&self.own), self.tape.len(&self.twin)];
            ensure!(seen == [count, count], "{seen:?} of {count}");
            Ok(())
        })
        .await
    }

    /// Applies the Rollout at the stable version, with SLO steps of `step`, and waits until that is what all run.
    pub(super) async fn settle(&self, step: &str) -> Result<()> {
        let spec = ROLLOUT
            .replace("$VERSION", STABLE)
            .replace("$PROMETHEUS", self.bed.prometheus().url())
            .replace("$STEP", step);
        let spec: Value = serde_yaml::from_str(&spec).context("read the Rollout's YAML")?;
        let manifest = json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "bench", "namespace": self.own}, "spec": spec,
        });
        let params = PatchParams::apply("gitops").force();
        self.rollouts()
            .patch("bench", &params, &Patch::Apply(manifest))
            .await
            .context("apply the Rollout")?;
        self.is_in("Completed").await.map(drop)
    }

    /// Brings all of the own fleet to `version`, and into its soak.
    pub(super) async fn soaks(&self, version: &str) -> Result<Value> {
        let count = self.tape.len(&self.own);
        self.settle("1m").await?;
        self.wants(version).await?;
        let soaks = |status: &Value| status["phase"] == "Soaking" && status["counts"]["ready"] == count;
        self.until(&format!("soaks with {count} tenants"), soaks).await
    }

    /// Waits until all of the own fleet is on `version`; the status tells such things every five minutes only.
    pub(super) async fn all_on(&self, version: &str) -> Result<()> {
        eventually(&format!("all run {version}"), PATIENCE, async || {
            let objects = self.tape.objects(&self.own);
            let others = objects.iter().filter(|(_, facts)| facts.version != version).count();
            ensure!(others == 0, "{others} of {} do not", objects.len());
            Ok(())
        })
        .await
    }

    /// Asks for another version.
    pub(super) async fn wants(&self, version: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"version": version}}));
        let params = PatchParams { field_manager: Some("gitops".into()), ..PatchParams::default() };
        self.rollouts().patch("bench", &params, &patch).await.map(drop).context("edit the Rollout")
    }

    /// The Rollout's status, once it speaks of the newest spec and is in `phase`.
    pub(super) async fn is_in(&self, phase: &str) -> Result<Value> {
        self.until(&format!("is {phase}"), |status| status["phase"] == phase).await
    }

    /// The Rollout's status, once it speaks of the newest spec and is as `probe` wants it.
    pub(super) async fn until(&self, what: &str, probe: impl Fn(&Value) -> bool) -> Result<Value> {
        let rollouts = self.rollouts();
        eventually(&format!("the rollout {what}"), PATIENCE, async || {
            let object = serde_json::to_value(rollouts.get("bench").await?)?;
            let status = &object["status"];
            let current = status["observedGeneration"] == object["metadata"]["generation"];
            ensure!(
                current && probe(status),
                "{} {}: {}",
                status["phase"],
                status["counts"],
                status["message"]
            );
            Ok(status.clone())
        })
        .await
    }

    /// The own fleet goes to `version`, all of it.
    pub(super) async fn own_run(&self, version: &str) -> Result<Lap> {
        self.tape.forget();
        self.wants(version).await?;
        self.tape.until(&self.own, version, self.tape.len(&self.own), PATIENCE).await
    }

    /// The twins go to `version`, all of them.
    pub(super) async fn bare_run(&self, version: &str) -> Result<Lap> {
        self.tape.forget();
        let objects = self.tape.objects(&self.twin);
        let count = objects.len();
        self.bare.write(objects, version).await?;
        self.tape.until(&self.twin, version, count, PATIENCE).await
    }

    fn rollouts(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("breakwater.dev", "v1alpha1", "Rollout");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "rollouts");
        Api::namespaced_with(self.client.clone(), &self.own, &resource)
    }
}

/// The controller's release build: beside this one, if this is one; made first. `BREAKWATER_BIN` names a folder with
/// another.
fn program() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BREAKWATER_BIN") {
        return Ok(Path::new(&folder).join("breakwater"));
    }
    let bench = std::env::current_exe().context("find this program")?;
    // <target>/<profile>/bench
    let target = bench.ancestors().nth(2).context("this program is not in a cargo target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--release"]);
    command.args(["-p", "breakwater-cli", "--bin", "breakwater", "--target-dir"]).arg(target);
    let status = command.status().context("run cargo build")?;
    ensure!(status.success(), "cargo build of the controller ended with {status}");
    Ok(target.join("release/breakwater"))
}
