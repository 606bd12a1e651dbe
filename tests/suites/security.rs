//! Nobody gets more than they were given: what gave way when it was tried (S2 to S12), asked of a real API server under real users.
//! eve writes Rollouts and may patch Deployments beside them, dave writes Rollouts alone, trent owns the tenants' namespace, ivan may
//! investigate, mallory may hold and lift.

use anyhow::{Result, bail, ensure};
use axum::http::Request;
use breakwater_tests::Scene;
use serde_json::{Value, json};

use crate::api::{Cluster, SHOP, action, example};

/// Asks as `user`; a refusal is its message.
async fn ask(
    cluster: &Cluster,
    user: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Result<Value, String>> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(serde_json::to_vec(body)?)?;
    match cluster.client(user).await?.request(request).await {
        Ok(answer) => Ok(Ok(answer)),
        Err(kube::Error::Api(status)) => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}

fn is_refused(answer: Result<Value, String>, named: &str) -> Result<()> {
    let Err(why) = answer else { bail!("it is taken: {answer:?}") };
    ensure!(why.contains(named), "{why}");
    Ok(())
}

fn is_taken(answer: Result<Value, String>) -> Result<()> {
    answer.map(drop).map_err(anyhow::Error::msg)
}

fn deployments(fields: &Value) -> Result<Value> {
    let mut rollout = example("deployments-smallest.yaml")?;
    rollout["metadata"]["namespace"] = json!(SHOP);
    rollout["spec"]["tenants"]["fields"] = fields.clone();
    Ok(rollout)
}

#[tokio::test]
async fn s2_a_rollout_names_no_secret_that_its_author_may_not_read() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut rollout = deployments(&json!([]))?;
    rollout["spec"]["prometheus"] =
        json!({"url": "https://prometheus.monitoring", "headersSecretRef": {"name": "db-credentials"}});
    is_refused(cluster.create("eve", "rollouts", &rollout).await?, "may not read Secrets db-credentials")?;
    rollout["spec"]["prometheus"] = json!({"url": "https://prometheus.monitoring"});
    is_taken(cluster.create("eve", "rollouts", &rollout).await?)
}

#[tokio::test]
async fn s3_a_rollout_writes_versions_and_only_for_who_may_write_them() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for path in [
        "spec.template.spec.serviceAccountName",
        "spec.template.spec.containers[name=app].env[name=DB_HOST].value",
        "spec.template.metadata.labels.app",
    ] {
        let rollout = deployments(&json!([{"path": path}]))?;
        is_refused(cluster.create("eve", "rollouts", &rollout).await?, "spec.tenants.fields")?;
    }
    let image = json!([{"path": "spec.template.spec.containers[name=app].image", "format": "registry/app:{version}"}]);
    let rollout = deployments(&image)?;
    is_taken(cluster.create("eve", "rollouts", &rollout).await?)?;
    is_refused(cluster.create("dave", "rollouts", &rollout).await?, "dave may not write apps/Deployment here")
}

#[tokio::test]
async fn s4_nobody_else_makes_a_job_that_passes_for_the_controllers() -> Result<()> {
    Scene::play("strangers", async |scene| {
        scene.bind("carol", "edit").await?;
        let client = scene.bed().control_plane().api().client("carol").await?;
        let job = |labels: Value| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "forged-", "labels": labels},
                "spec": {"completions": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}},
            })
        };
        let path = format!("/apis/batch/v1/namespaces/{}/jobs?dryRun=All", scene.namespace());
        for (labels, forged) in [(json!({"breakwater.dev/job-of": "0123"}), true), (json!({"app": "x"}), false)] {
            let request = Request::post(&path).header("content-type", "application/json");
            let answer = client.request::<Value>(request.body(serde_json::to_vec(&job(labels))?)?).await;
            match (answer, forged) {
                (Err(kube::Error::Api(status)), true) => ensure!(status.message.contains("markers"), "{}", status.message),
                (Ok(_), false) => {}
                (answer, _) => bail!("{answer:?}"),
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn s5_an_owner_that_is_not_there_takes_no_report_and_no_action_along() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let report = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport", "metadata": {"name": "rejects"},
        "spec": {"rollout": "shop", "version": "6.6.6"},
    });
    cluster.kubectl(&["create", "-n", SHOP, "-f", "-"], Some(&report.to_string()))?;
    let path = format!("/apis/breakwater.dev/v1alpha1/namespaces/{SHOP}/deviationreports/rejects");
    let dead = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "nope", "uid": "11111111-1111-1111-1111-111111111111"}]);
    let owned = json!({"metadata": {"ownerReferences": dead}});
    is_refused(ask(cluster, "ivan", "PATCH", &path, &owned).await?, "metadata.ownerReferences")?;
    let kept = json!({"metadata": {"finalizers": ["example.com/never"]}});
    is_refused(ask(cluster, "ivan", "PATCH", &path, &kept).await?, "metadata.finalizers")?;
    is_taken(
        ask(cluster, "ivan", "PATCH", &path, &json!({"spec": {"investigation": {"state": "NotAttributed"}}}))
            .await?,
    )?;
    let mut hold = action("Hold", "alice");
    hold["metadata"]["ownerReferences"] = dead;
    is_refused(cluster.create("alice", "rolloutactions", &hold).await?, "metadata.ownerReferences")
}

#[tokio::test]
async fn s7_s8_a_tenants_owner_writes_no_marker() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "t1"},
        "spec": {
            "selector": {"matchLabels": {"app": "t1"}},
            "template": {"metadata": {"labels": {"app": "t1"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}},
        },
    });
    let path = "/apis/apps/v1/namespaces/tenants/deployments";
    let mut decoy = deployment.clone();
    decoy["metadata"] = json!({"name": "decoy", "labels": {"breakwater.dev/rollout": "0123456789abcdef"}});
    is_refused(ask(cluster, "trent", "POST", path, &decoy).await?, "may not write breakwater.dev/ markers")?;
    is_taken(ask(cluster, "trent", "POST", path, &deployment).await?)?;
    let one = format!("{path}/t1");
    for (key, value) in [("previous-version", "0.9.0-vulnerable"), ("written-at", "2999-01-01T00:00:00Z")] {
        let mut annotations = json!({});
        annotations[format!("breakwater.dev/{key}")] = json!(value);
        let forged = json!({"metadata": {"annotations": annotations}});
        is_refused(ask(cluster, "trent", "PATCH", &one, &forged).await?, "markers")?;
        // Whoever restores a backup brings the markers along.
        is_taken(ask(cluster, breakwater_tests::bed::controlplane::ADMIN, "PATCH", &one, &forged).await?)?;
    }
    let own = json!({"metadata": {"annotations": {"team": "tenants"}}, "spec": {"replicas": 2}});
    is_taken(ask(cluster, "trent", "PATCH", &one, &own).await?)?;
    let gone = json!({"metadata": {"annotations": {"breakwater.dev/previous-version": null}}});
    is_refused(ask(cluster, "trent", "PATCH", &one, &gone).await?, "markers")
}

#[tokio::test]
async fn s12_doors_that_open_one_way_and_brakes_that_only_their_own_take_off() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let release = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Release", "metadata": {"name": "bad"},
        "spec": {"version": "6.6.6", "withdrawn": "loses data"},
    });
    cluster.kubectl(&["create", "-n", SHOP, "-f", "-"], Some(&release.to_string()))?;
    let path = format!("/apis/breakwater.dev/v1alpha1/namespaces/{SHOP}/releases/bad");
    let back = json!({"spec": {"withdrawn": null}});
    is_refused(ask(cluster, "dave", "PATCH", &path, &back).await?, "may not take that back")?;
    is_refused(ask(cluster, "dave", "DELETE", &path, &json!({})).await?, "may not take that back")?;
    is_taken(
        ask(cluster, "dave", "PATCH", &path, &json!({"spec": {"withdrawn": "loses data, INC-1"}})).await?,
    )?;
    let lift = |lifts: &str| {
        let mut lift = action("Lift", "mallory");
        lift["spec"] = json!({"rollout": "shop", "verb": "Lift", "subject": "a-stop", "lifts": lifts, "requestedBy": "mallory"});
        lift
    };
    is_refused(
        cluster.create("mallory", "rolloutactions", &lift("Stop")).await?,
        "may not lift a Stop here",
    )?;
    is_taken(cluster.create("mallory", "rolloutactions", &lift("Hold")).await?)
}
