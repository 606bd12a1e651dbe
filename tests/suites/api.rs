//! The API as users meet it: the chart applies, the examples are accepted, what is malformed is refused by name, and
//! who may do what. On a control plane of its own, since the chart's policies hold for a whole cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::http::Request;
use breakwater_tests::bed::background;
use breakwater_tests::bed::binaries;
use breakwater_tests::bed::controlplane::{ADMIN, ControlPlane, User};
use breakwater_tests::bed::folder::Folder;
use breakwater_tests::eventually;
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewStatus};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::malformed::{self, ABSENT, at};

/// Where the chart is installed.
const HOME: &str = "breakwater-system";
/// Where the suite's Rollouts are.
pub(crate) const SHOP: &str = "shop";
/// Where the examples are stored.
const EXAMPLES: &str = "examples";
const SOON: Duration = Duration::from_secs(30);

/// A control plane with the chart on it.
pub(crate) struct Cluster {
    plane: ControlPlane,
    folder: Folder,
}

impl Cluster {
    pub(crate) async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self> {
        let users =
            ["alice", "mallory", "dave", "eve", "trent", "ivan"].map(|name| User::new(name, &["shop-sre"]));
        let cluster = background::run(move || async move {
            breakwater_tests::install_crypto();
            let folder = Folder::new()?;
            let plane = ControlPlane::start(&folder, &users).await?;
            Ok(Self { plane, folder })
        })
        .await?;
        for namespace in [HOME, SHOP, EXAMPLES, "tenants"] {
            cluster.kubectl(&["create", "namespace", namespace], None)?;
        }
        cluster.apply(&rendered(EVERY_FLEET)?)?;
        for (user, role) in [
            ("alice", "breakwater-operator"),
            ("mallory", "breakwater-may-hold"),
            ("mallory", "breakwater-viewer"),
            ("mallory", "breakwater-may-lift"),
            ("dave", "breakwater-editor"),
            ("eve", "breakwater-editor"),
            ("ivan", "breakwater-may-investigate"),
        ] {
            let binding = format!("{user}-{role}");
            let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
            cluster.kubectl(&["create", "rolebinding", &binding, "-n", SHOP, &role, &user], None)?;
        }
        // An author who may write Deployments where the Rollouts are, and the owner of what is in the tenants' namespace.
        let writer = ["create", "role", "writer", "-n", SHOP, "--verb=patch", "--resource=deployments.apps"];
        cluster.kubectl(&writer, None)?;
        cluster.kubectl(
            &["create", "rolebinding", "eve-writer", "-n", SHOP, "--role=writer", "--user=eve"],
            None,
        )?;
        cluster.kubectl(
            &["create", "rolebinding", "trent", "-n", "tenants", "--clusterrole=edit", "--user=trent"],
            None,
        )?;
        cluster.policies_act().await?;
        Ok(cluster)
    }

    /// Policies and aggregated roles take effect a moment after they are stored.
    async fn policies_act(&self) -> Result<()> {
        eventually("a forged action is refused", SOON, async || {
            let answer = self.create(ADMIN, "rolloutactions", &action("Hold", "somebody else")).await?;
            ensure!(answer.is_err(), "it is not");
            Ok(())
        })
        .await?;
        eventually("alice is an operator", SOON, async || {
            let answer = self.create("alice", "rolloutactions", &action("Stop", "alice")).await?;
            answer.map(drop).map_err(|why| anyhow::anyhow!(why))
        })
        .await
    }

    pub(crate) async fn client(&self, user: &str) -> Result<Client> {
        self.plane.api().client(user).await
    }

    /// Runs kubectl as the admin; the answer is what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut command = Command::new(binaries::find("kubectl")?);
        command.arg("--kubeconfig").arg(self.plane.api().kubeconfig(ADMIN)).args(arguments);
        command.env("HOME", &*self.folder);
        run(command, input)
    }

    fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(manifests))
    }

    /// Asks for an object of ours as strictly as kubectl does, without storing it; a refusal is its message.
    pub(crate) async fn create(
        &self,
        user: &str,
        plural: &str,
        object: &Value,
    ) -> Result<Result<Value, String>> {
        let path = format!("/apis/breakwater.dev/v1alpha1/namespaces/{SHOP}/{plural}");
        let request = Request::post(format!("{path}?fieldValidation=Strict&dryRun=All"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(object)?)?;
        match self.client(user).await?.request(request).await {
            Ok(created) => Ok(Ok(created)),
            Err(kube::Error::Api(status)) => Ok(Err(status.message)),
            Err(error) => Err(error).context("create"),
        }
    }
}

/// Values under which every example's kind may be rolled.
const EVERY_FLEET: &str = r#"
fleets:
  - {apiGroup: apps, resource: deployments, kind: Deployment, namespaces: [tenants]}
  - {apiGroup: installation.mattermost.com, resource: mattermosts, kind: Mattermost, paths: [spec.version]}
  - {apiGroup: helm.toolkit.fluxcd.io, resource: helmreleases, kind: HelmRelease}
  - {apiGroup: argoproj.io, resource: applications, kind: Application}
  - {apiGroup: "", resource: configmaps, kind: ConfigMap, namespaces: [tenants], paths: ["*"]}
prometheus: {url: "http://prometheus.monitoring:9090", secretNamespaces: [shop]}
webhook: {tokenSecret: alertmanager}
networkPolicy: {enabled: true}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `helm template` makes of the chart.
fn rendered(values: &str) -> Result<String> {
    let mut command = Command::new(binaries::find("helm")?);
    command.args(["template", "breakwater", "--namespace", HOME, "--values", "-"]);
    command.arg(root().join("charts/breakwater"));
    run(command, Some(values))
}

fn run(mut command: Command, input: Option<&str>) -> Result<String> {
    use std::io::Write as _;
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn example(name: &str) -> Result<Value> {
    let text = std::fs::read_to_string(root().join("crds/examples").join(name))?;
    Ok(serde_yaml::from_str(&text)?)
}

pub(crate) fn action(verb: &str, requested_by: &str) -> Value {
    json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "RolloutAction", "metadata": {"generateName": "test-"},
        "spec": {
            "rollout": "shop", "verb": verb, "version": "1.4.0", "wave": "rest", "requestedBy": requested_by,
        },
    })
}

#[tokio::test]
async fn the_charts_output_applies_again_and_again_and_with_other_values() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for values in [EVERY_FLEET, "fleets: []", "admission: {enabled: false}", "crds: {install: false}"] {
        let manifests = rendered(values)?;
        let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
        cluster.kubectl(&dry, Some(&manifests)).with_context(|| values.to_owned())?;
    }
    cluster.apply(&rendered(EVERY_FLEET)?)?;
    for misspelt in ["fleet: []", "controller: {replica: 3}", "prometheus: {url: prometheus}"] {
        ensure!(rendered(misspelt).is_err(), "{misspelt} is taken");
    }
    Ok(())
}

#[tokio::test]
async fn the_controller_passes_the_restricted_pod_security_standard() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    let answer =
        cluster.kubectl(&["label", "--dry-run=server", "--overwrite", "namespace", HOME, label], None)?;
    ensure!(!answer.contains("violate"), "{answer}");
    let pods = ["get", "deployment", "breakwater", "-n", HOME, "-o", "jsonpath={.spec.template}"];
    let template: Value = serde_json::from_str(&cluster.kubectl(&pods, None)?)?;
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}});
    pod["spec"] = template["spec"].clone();
    cluster.kubectl(&["create", "namespace", "restricted"], None)?;
    cluster.kubectl(&["label", "namespace", "restricted", label], None)?;
    let dry = ["create", "-n", "restricted", "--dry-run=server", "-f", "-"];
    cluster.kubectl(&dry, Some(&pod.to_string()))?;
    Ok(())
}

#[tokio::test]
async fn every_example_is_accepted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("crds/examples"))?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    ensure!(files.len() >= 10, "only {} examples", files.len());
    for file in files {
        let path = file.path();
        let path = path.to_str().context("a path that is not text")?;
        cluster.kubectl(&["create", "-n", EXAMPLES, "--validate=strict", "-f", path], None)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_smallest_example_takes_no_more_than_twelve_lines_of_spec() -> Result<()> {
    let text = std::fs::read_to_string(root().join("crds/examples/deployments-smallest.yaml"))?;
    let lines = text.lines().skip_while(|line| *line != "spec:").skip(1).count();
    ensure!(lines <= 12, "{lines} lines");
    Ok(())
}

#[tokio::test]
async fn fields_that_are_null_are_as_good_as_absent() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut rollout = example("deployments-smallest.yaml")?;
    for field in ["adopt", "schedule", "alerts", "prometheus", "revert", "paused"] {
        rollout["spec"][field] = Value::Null;
    }
    for field in ["namespaceSelector", "fields", "exclude", "warmUp", "takeFrom"] {
        rollout["spec"]["tenants"][field] = Value::Null;
    }
    rollout["spec"]["tenants"]["selector"] = json!({"matchLabels": null, "matchExpressions": null});
    rollout["spec"]["waves"][0]["selector"] = Value::Null;
    let stored = cluster.create(ADMIN, "rollouts", &rollout).await?.map_err(|why| anyhow::anyhow!(why))?;
    ensure!(stored["spec"]["adopt"] == "Approve", "{stored}");
    ensure!(stored["spec"]["tenants"].get("namespaceSelector").is_none(), "{stored}");
    ensure!(stored["spec"]["tenants"]["selector"].get("matchLabels").is_none(), "{stored}");
    Ok(())
}

#[tokio::test]
async fn a_malformed_rollout_is_refused_by_a_message_that_names_the_field() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let good = example("deployments.yaml")?;
    cluster.create(ADMIN, "rollouts", &good).await?.map_err(|why| anyhow::anyhow!(why))?;
    let mut wrong = Vec::new();
    for case in malformed::rollouts() {
        let mut rollout = good.clone();
        case.edit(&mut rollout)?;
        match cluster.create(ADMIN, "rollouts", &rollout).await? {
            Ok(_) => wrong.push(format!("{case:?} is accepted")),
            Err(why) if !why.contains(&case.named) => wrong.push(format!("{case:?} is refused as {why}")),
            Err(_) => {}
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_malformed_action_is_refused_by_a_message_that_names_the_field() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for (verb, edit, named) in [
        ("Approve", at("/spec/version", ABSENT), "version is required for Approve"),
        ("Approve", at("/spec/wave", ABSENT), "wave is required for Approve"),
        ("Lift", at("/spec/reason", json!("over")), "subject is required for Lift"),
        ("Hold", at("/spec/subject", json!("x")), "Acknowledge (the gate), and only there"),
        ("Acknowledge", at("/spec/subject", json!("x")), "subject of an Acknowledge is one of migrations"),
        ("Revert", at("/spec/until", json!("2026-12-01T00:00:00Z")), "until is for Hold and Stop only"),
        ("Hold", at("/spec/until", json!("tomorrow")), "spec.until"),
        ("hold", at("/spec/reason", json!("")), "spec.verb"),
        ("Hold", at("/spec/rollout", json!("")), "spec.rollout"),
        ("Hold", at("/spec/requestedBy", ABSENT), "spec.requestedBy"),
        ("Hold", at("/spec/becuase", json!("x")), "spec.becuase"),
        ("Hold", at("/spec/reason", json!("r".repeat(1025))), "spec.reason"),
    ] {
        let mut action = action(verb, ADMIN);
        edit.edit(&mut action)?;
        match cluster.create(ADMIN, "rolloutactions", &action).await? {
            Ok(_) => bail!("{verb}, {edit:?} is accepted"),
            Err(why) => ensure!(why.contains(named), "{verb}, {edit:?} is refused as {why}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn r39_a_rollout_of_a_kind_or_a_field_outside_the_charts_fleets_is_refused() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut secrets = example("deployments-smallest.yaml")?;
    secrets["spec"]["tenants"]["resource"] = json!({"apiVersion": "v1", "kind": "Secret"});
    let mut image = example("mattermost.yaml")?;
    image["spec"]["tenants"]["fields"] = json!([{"path": "spec.image"}]);
    for (rollout, named) in [(secrets, "spec.tenants.resource: /Secret"), (image, "spec.tenants.fields")] {
        let Err(why) = cluster.create(ADMIN, "rollouts", &rollout).await? else {
            bail!("{rollout} is accepted")
        };
        ensure!(why.contains(named), "{why}");
    }
    Ok(())
}

#[tokio::test]
async fn each_verb_needs_its_own_right_and_the_users_own_name() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for verb in ["Approve", "Hold", "Stop", "Promote", "Revert", "Retry"] {
        let asked = cluster.create("alice", "rolloutactions", &action(verb, "alice")).await?;
        ensure!(asked.is_ok(), "alice, who may all, is refused {verb}: {asked:?}");
    }
    ensure!(cluster.create("mallory", "rolloutactions", &action("Hold", "mallory")).await?.is_ok());
    for (user, action, named) in [
        ("mallory", action("Approve", "mallory"), "spec.verb: mallory may not approve here"),
        ("mallory", action("Stop", "mallory"), "spec.verb: mallory may not stop here"),
        (
            "mallory",
            action("Hold", "alice"),
            "spec.requestedBy: must be the user who asks, mallory, not alice",
        ),
        ("alice", action("Hold", ADMIN), "spec.requestedBy"),
        ("dave", action("Hold", "dave"), "cannot create resource \"rolloutactions\""),
    ] {
        let Err(why) = cluster.create(user, "rolloutactions", &action).await? else {
            bail!("{user} may {action}")
        };
        ensure!(why.contains(named), "{user}: {why}");
    }
    Ok(())
}

#[tokio::test]
async fn an_action_is_neither_edited_nor_deleted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut kept = action("Hold", ADMIN);
    kept["metadata"] = json!({"name": "kept"});
    cluster.kubectl(&["create", "-n", SHOP, "-f", "-"], Some(&kept.to_string()))?;
    let edit = ["patch", "-n", SHOP, "rolloutaction", "kept", "--type=merge", "--patch"];
    for (field, value) in [("verb", "Lift"), ("requestedBy", "alice"), ("reason", "none")] {
        let patch = json!({"spec": {field: value}}).to_string();
        let Err(why) = cluster.kubectl(&[&edit[..], &[patch.as_str()]].concat(), None) else {
            bail!("{field} is edited")
        };
        ensure!(why.to_string().contains("spec is immutable"), "{why}");
    }
    for all in [
        &["delete", "-n", SHOP, "rolloutaction", "kept"][..],
        &["delete", "-n", SHOP, "rolloutactions", "--all"],
    ] {
        let Err(why) = cluster.kubectl(all, None) else { bail!("deleted") };
        ensure!(why.to_string().contains("audit trail"), "{why}");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_report_people_write_what_they_found_out_and_nothing_else() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let report = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport", "metadata": {"name": "found"},
        "spec": {"rollout": "shop", "version": "1.4.0"},
    });
    cluster.kubectl(&["create", "-n", SHOP, "-f", "-"], Some(&report.to_string()))?;
    let edit = |spec: serde_json::Value| {
        let patch = json!({ "spec": spec }).to_string();
        let edit = ["patch", "-n", SHOP, "deviationreport", "found", "--type=merge", "--patch", &patch];
        cluster.kubectl(&edit, None)
    };
    for (spec, named) in [
        (json!({"version": "1.4.1"}), "version is immutable"),
        (json!({"rollout": "other"}), "rollout is immutable"),
        (json!({"investigation": {"state": "Fixed"}}), "fixedIn is required for state Fixed"),
        (json!({"investigation": {"state": "Solved"}}), "Unsupported value"),
    ] {
        let Err(why) = edit(spec.clone()) else { bail!("{spec} is taken") };
        ensure!(why.to_string().contains(named), "{spec}: {why}");
    }
    edit(json!({"investigation": {"state": "Fixed", "fixedIn": "1.4.1", "notes": "a cache"}}))?;
    edit(json!({"investigation": {"state": "NotAttributed", "fixedIn": null}}))?;
    let Err(why) = cluster.kubectl(&["delete", "-n", SHOP, "deviationreport", "found"], None) else {
        bail!("deleted, and with it the rejection of its version")
    };
    ensure!(why.to_string().contains("rejects its version"), "{why}");
    Ok(())
}

#[tokio::test]
async fn the_controller_has_the_rights_it_needs_and_no_more() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client(ADMIN).await?);
    for (allowed, namespace, group, resource, verbs, name) in [
        (true, "tenants", "apps", "deployments", "get list watch patch", ""),
        (false, "tenants", "apps", "deployments", "create update delete", ""),
        (false, SHOP, "apps", "deployments", "get patch", ""),
        (true, SHOP, "installation.mattermost.com", "mattermosts", "get list watch patch", ""),
        (false, SHOP, "installation.mattermost.com", "mattermosts/status", "patch", ""),
        (true, SHOP, "breakwater.dev", "rollouts", "get list watch", ""),
        (false, SHOP, "breakwater.dev", "rollouts", "create update patch delete", ""),
        (true, SHOP, "breakwater.dev", "rollouts/status", "update patch", ""),
        (false, SHOP, "breakwater.dev", "rollouts/status", "get", ""),
        (true, SHOP, "breakwater.dev", "rolloutactions/status", "patch", ""),
        (false, SHOP, "breakwater.dev", "rolloutactions/status", "get update", ""),
        (true, SHOP, "breakwater.dev", "deviationreports/status", "update", ""),
        (false, SHOP, "breakwater.dev", "deviationreports/status", "get patch", ""),
        (true, SHOP, "breakwater.dev", "rolloutactions", "list watch create delete", ""),
        (true, SHOP, "breakwater.dev", "rolloutactions/hold", "create", ""),
        (false, SHOP, "breakwater.dev", "rolloutactions/approve", "create", ""),
        (true, SHOP, "breakwater.dev", "deviationreports", "get list watch create", ""),
        (false, SHOP, "breakwater.dev", "deviationreports", "update patch delete", ""),
        (true, SHOP, "breakwater.dev", "rolloutstates", "list create delete", ""),
        (false, SHOP, "breakwater.dev", "rolloutstates", "get watch update patch", ""),
        (true, HOME, "coordination.k8s.io", "leases", "create", ""),
        (true, HOME, "coordination.k8s.io", "leases", "get update", "breakwater"),
        (false, SHOP, "coordination.k8s.io", "leases", "create get update", "breakwater"),
        (true, HOME, "", "configmaps", "get list watch", "breakwater-stop"),
        (true, SHOP, "", "configmaps", "get", ""),
        (false, HOME, "", "configmaps", "list watch create update", ""),
        (true, SHOP, "breakwater.dev", "releases", "list watch", ""),
        (false, SHOP, "breakwater.dev", "releases", "get", ""),
        (false, SHOP, "breakwater.dev", "releases", "create update patch delete", ""),
        (true, SHOP, "breakwater.dev", "releases/status", "update", ""),
        (false, SHOP, "breakwater.dev", "releases/status", "get patch", ""),
        (false, SHOP, "batch", "jobs", "create list", ""),
        (true, HOME, "", "secrets", "get", "alertmanager"),
        (false, HOME, "", "secrets", "get list", ""),
        (true, SHOP, "", "secrets", "get", "token"),
        (false, SHOP, "", "secrets", "list watch", ""),
        (false, "kube-system", "", "secrets", "get", "token"),
        (true, SHOP, "", "pods", "list", ""),
        (false, SHOP, "", "pods", "get", ""),
        (false, SHOP, "", "pods", "delete", ""),
        (true, "", "", "namespaces", "get list watch", ""),
        (true, SHOP, "events.k8s.io", "events", "create patch", ""),
        (false, SHOP, "", "events", "create patch", ""),
        (true, SHOP, "apps", "controllerrevisions", "get list create delete", ""),
        (false, SHOP, "", "serviceaccounts", "impersonate", ""),
    ] {
        for verb in verbs.split(' ') {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let review = serde_json::from_value(json!({"spec": {
                "user": format!("system:serviceaccount:{HOME}:breakwater"),
                "resourceAttributes": {
                    "namespace": namespace, "group": group, "resource": resource, "subresource": subresource,
                    "verb": verb, "name": name,
                },
            }}))?;
            let status = reviews.create(&PostParams::default(), &review).await?.status;
            let answer = status.is_some_and(|SubjectAccessReviewStatus { allowed, .. }| allowed);
            ensure!(
                answer == allowed,
                "{verb} {group}/{resource}/{subresource} {name} in {namespace}: {answer}"
            );
        }
    }
    Ok(())
}
