//! Releases on the real bed: evidence in `ConfigMap`s that the controller works out, gates, acknowledgements under the chart's
//! admission policies, a revert that the schema forbids, and one that a Job per tenant makes possible (R21).

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::PATIENCE;
use breakwater_tests::{Scene, eventually};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

const RINGS: [(&str, usize); 2] = [("canary", 2), ("rest", 3)];

/// Two waves, and whatever `extra` says.
fn rollout(version: &str, extra: &str) -> String {
    format!(
        "version: {version}\nwaves:\n  - {{name: canary, selector: {{matchLabels: {{ring: canary}}}}, soak: 10s, maxConcurrent: 2}}\n  \
         - {{name: rest, soak: 5s, maxConcurrent: 5}}\n{extra}"
    )
}

/// The migrations of 1.0.0, and those of 1.1.0: one that any binary bears, one that takes a column away.
async fn has_migrations(scene: &Scene) -> Result<()> {
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "migrations"},
        "data": {
            "000001_base.up.sql": "CREATE TABLE posts (id varchar(26) PRIMARY KEY, message text, filenames text);",
            "000001_base.down.sql": "DROP TABLE posts;",
            "000002_drafts.up.sql": "CREATE TABLE drafts (id varchar(26) PRIMARY KEY);",
            "000002_drafts.down.sql": "DROP TABLE drafts;",
            "000003_drop_filenames.up.sql": "ALTER TABLE posts DROP COLUMN filenames;",
            "000003_drop_filenames.down.sql": "ALTER TABLE posts ADD COLUMN filenames text;",
        },
    }))?;
    let api: Api<ConfigMap> = Api::namespaced(scene.client(), scene.namespace());
    api.create(&PostParams::default(), &map).await.map(drop).context("create the migrations")
}

/// A Release of 1.1.0 with migrations up to `to`.
fn release(to: u32) -> Value {
    json!({"version": "1.1.0", "migrations": {
        "dialect": "PostgreSQL", "serverVersion": "15.4", "from": 1, "to": to, "configMaps": ["migrations"], "rows": {"posts": 1000},
    }})
}

async fn has_release(scene: &Scene, spec: Value) -> Result<Value> {
    scene.put("Release", "releases", "app-1.1.0", spec).await?;
    let api = scene.own("Release", "releases");
    eventually("the release is assessed", PATIENCE, async || {
        let found = api.get("app-1.1.0").await?;
        let assessed = found.data["status"]["observedGeneration"] == json!(found.metadata.generation);
        ensure!(assessed, "{}", found.data);
        Ok(found.data["status"].clone())
    })
    .await
}

async fn acknowledge(scene: &Scene, gate: &str) -> Result<()> {
    let fields = json!({"version": "1.1.0", "subject": gate, "reason": "tried on a copy"});
    let (result, words) = scene.act("Acknowledge", fields).await?;
    ensure!(result == "Honoured", "{words}");
    Ok(())
}

#[tokio::test]
async fn r21_a_migration_without_a_way_back_gates_rolls_when_acknowledged_and_holds_its_revert() -> Result<()>
{
    Scene::play("schema", async |scene| {
        has_migrations(scene).await?;
        let status = has_release(scene, release(3)).await?;
        ensure!(status["migrations"]["revert"] == "RevertLosesData", "{status}");
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&rollout("1.1.0", "")).await?;
        let waits = app.is_held("Migrations").await?;
        let words = waits["message"].as_str().unwrap_or_default();
        ensure!(
            words.contains(
                "from 1.0.0 it is RevertLosesData (migration 3 drop_filenames of Release app-1.1.0"
            ),
            "{words}"
        );
        scene.all_run("1.0.0").await?;
        acknowledge(scene, "migrations").await?;
        app.is_at("Soaking", "canary").await?;
        scene.tenants().behave("1.1.0", Behaviour::errors(0.5));
        app.is_held("RevertGated").await?;
        scene.tenants().behave("1.1.0", Behaviour::default()); // that it is over changes nothing
        let report = &scene.reports().await?[0]["status"];
        ensure!(report["outcome"] == "Held", "{report}");
        let steps = report["downSteps"].as_array().context("no way down")?;
        ensure!(
            steps.len() == 2 && steps[0]["sql"] == "ALTER TABLE posts ADD COLUMN filenames text;",
            "{steps:?}"
        );
        scene.runs(&[("canary-0", "1.1.0"), ("canary-1", "1.1.0")]).await?;
        acknowledge(scene, "revert").await?;
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await
    })
    .await
}

#[tokio::test]
async fn r21_with_a_down_job_a_tenant_goes_back_after_its_job() -> Result<()> {
    let job = r#"
revert:
  downJob:
    deadline: 2m
    spec:
      backoffLimit: 0
      template:
        spec:
          nodeName: node-0
          restartPolicy: Never
          containers: [{name: down, image: "registry/app:{newer}", args: [db, down, "--to={older}", "{tenant}"]}]
"#;
    Scene::play("downjob", async |scene| {
        has_migrations(scene).await?;
        has_release(scene, release(3)).await?;
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&rollout("1.1.0", job)).await?;
        app.is_held("Migrations").await?; // data are lost, Job or no Job
        acknowledge(scene, "migrations").await?;
        app.is_at("Soaking", "canary").await?;
        scene.tenants().behave("1.1.0", Behaviour::errors(0.5));
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        let jobs: Api<Job> = Api::namespaced(scene.client(), scene.namespace());
        let jobs = jobs.list(&ListParams::default().labels("breakwater.dev/job-of")).await?.items;
        ensure!(jobs.len() == 2, "{} Jobs", jobs.len());
        for job in jobs {
            let ended = job
                .status
                .as_ref()
                .and_then(|status| status.completion_time.as_ref())
                .context("a Job did not end")?
                .0;
            let container =
                &job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("no pod")?.containers
                    [0];
            let args = container.args.clone().unwrap_or_default();
            ensure!(
                container.image.as_deref() == Some("registry/app:1.1.0") && args[2] == "--to=1.0.0",
                "{container:?}"
            );
            let back = scene.fleet().object(scene.namespace(), &args[3]).await?;
            let written =
                back.pointer("/metadata/annotations/breakwater.dev~1written-at").and_then(Value::as_str);
            let written = written.context("no marker")?;
            let written: jiff::Timestamp = written.parse()?;
            ensure!(written >= ended, "{} was written at {written}, its Job ended at {ended}", args[3]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_withdrawn_release_never_starts_also_after_the_rollout_was_made_anew() -> Result<()> {
    Scene::play("withdrawn", async |scene| {
        has_migrations(scene).await?;
        let mut withdrawn = release(2);
        withdrawn["withdrawn"] = json!("it loses drafts");
        has_release(scene, withdrawn).await?;
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&rollout("1.1.0", "")).await?;
        let waits = app.is_held("Withdrawn").await?;
        let words = waits["message"].as_str().unwrap_or_default();
        ensure!(words == "version 1.1.0 is withdrawn by Release app-1.1.0: it loses drafts", "{words}");
        let fields = json!({"version": "1.1.0", "subject": "migrations", "reason": "x"});
        let (result, _) = scene.act("Acknowledge", fields).await?;
        ensure!(result == "Refused", "{result}");
        app.is_deleted().await?;
        // In the same moment, and the Rollout first: the Release is looked for before anything starts.
        scene.own("Release", "releases").delete("app-1.1.0", &DeleteParams::default()).await?;
        let mut again = release(2);
        again["withdrawn"] = json!("it loses drafts");
        let manifest = rollout("1.1.0", "");
        let (app, made) =
            tokio::join!(scene.rollout(&manifest), scene.put("Release", "releases", "app-1.1.0", again));
        made?;
        app?.is_held("Withdrawn").await?;
        scene.all_run("1.0.0").await?;
        ensure!(scene.recorder().moves() == 0, "{}", scene.recorder().story());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r21_a_release_whose_evidence_is_missing_is_unknown_until_it_is_there() -> Result<()> {
    Scene::play("evidence", async |scene| {
        let status = has_release(scene, release(2)).await?;
        ensure!(status["migrations"]["impact"] == "Unknown", "{status}");
        ensure!(
            status["message"]
                .as_str()
                .is_some_and(|words| words.contains("ConfigMap migrations: there is none")),
            "{status}"
        );
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&rollout("1.1.0", "")).await?;
        app.is_held("Migrations").await?;
        has_migrations(scene).await?;
        app.completes("1.1.0").await?; // the ConfigMap is found by itself; the load test that is missing is only told
        ensure!(app.told("LoadTest").await? == 1, "{}", app.status().await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_acknowledge_and_who_may_have_jobs_made_is_rbacs_to_say() -> Result<()> {
    Scene::play("asked", async |scene| {
        scene.bind("bob", "breakwater-may-hold").await?;
        let fields = json!({"version": "1.1.0", "subject": "migrations", "reason": "x"});
        let refused = scene.ask("bob", "bob", "Acknowledge", fields.clone()).await.unwrap_err();
        ensure!(format!("{refused:#}").contains("create on rolloutactions/acknowledge"), "{refused:#}");
        for (change, says) in [
            (json!({"reason": null}), "reason is required for Acknowledge"),
            (json!({"subject": null}), "subject is required"),
            (json!({"subject": "migration"}), "subject of an Acknowledge is one of migrations"),
            (json!({"version": null}), "version is required"),
        ] {
            let mut wrong = fields.clone();
            breakwater_tests::scene::merge(&mut wrong, change);
            let refused = scene.ask("alice", "alice", "Acknowledge", wrong).await.unwrap_err();
            ensure!(format!("{refused:#}").contains(says), "{refused:#}");
        }
        scene.bind("dave", "breakwater-editor").await?;
        let dave = scene.rollouts_of("dave").await?;
        let make = async |extra: &str| {
            let manifest = scene.manifest("daves", &rollout("1.1.0", extra))?;
            let object = serde_json::from_value(manifest)?;
            dave.create(&PostParams { dry_run: true, ..PostParams::default() }, &object)
                .await
                .map(drop)
                .map_err(anyhow::Error::from)
        };
        make("").await?;
        let refused = make("beforeUpdateJob: {spec: {template: {}}}").await.unwrap_err();
        ensure!(format!("{refused:#}").contains("dave may not make Jobs here"), "{refused:#}");
        Ok(())
    })
    .await
}
