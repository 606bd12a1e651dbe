//! Releases on the real bed: evidence in `ConfigMap`s that the controller works out, gates, acknowledgements under the chart's
//! admission policies, a revert that the schema forbids, and one that a Job per tenant makes possible (R21).

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::PATIENCE;
use breakwater_tests::{Scene, eventually};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRole;
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

/// A Job that `path` of the spec runs for each tenant.
fn job(path: &str) -> String {
    let job = r#"{deadline: 2m, spec: {backoffLimit: 0, template: {spec: {nodeName: node-0, restartPolicy: Never,
        containers: [{name: sql, image: "registry/app:{newer}", args: [db, run, "--from={older}", "{tenant}"]}]}}}}"#;
    path.replace("JOB", job)
}

/// Each of `count` tenants was written, last, after its Job had ended.
async fn jobs_came_first(scene: &Scene, count: usize) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(scene.client(), scene.namespace());
    let jobs = jobs.list(&ListParams::default().labels("breakwater.dev/job-of")).await?.items;
    ensure!(jobs.len() == count, "{} Jobs", jobs.len());
    for job in jobs {
        let completed = job.status.as_ref().and_then(|status| status.completion_time.as_ref());
        let ended = completed.context("a Job did not end")?.0;
        let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("no pod")?;
        let (container, args) = (&pod.containers[0], pod.containers[0].args.clone().unwrap_or_default());
        let filled = container.image.as_deref() == Some("registry/app:1.1.0") && args[2] == "--from=1.0.0";
        ensure!(filled, "{container:?}");
        let tenant = scene.fleet().object(scene.namespace(), &args[3]).await?;
        let written =
            tenant.pointer("/metadata/annotations/breakwater.dev~1written-at").and_then(Value::as_str);
        let written: jiff::Timestamp = written.context("no marker")?.parse()?;
        ensure!(written >= ended, "{} was written at {written}, its Job ended at {ended}", args[3]);
    }
    Ok(())
}

#[tokio::test]
async fn r21_with_a_down_job_a_tenant_goes_back_after_its_job() -> Result<()> {
    Scene::play("downjob", async |scene| {
        has_migrations(scene).await?;
        has_release(scene, release(3)).await?;
        scene.has_fleet(&RINGS).await?;
        let app = scene.rollout(&rollout("1.1.0", &job("revert: {downJob: JOB}"))).await?;
        app.is_held("Migrations").await?; // data are lost, Job or no Job
        acknowledge(scene, "migrations").await?;
        app.is_at("Soaking", "canary").await?;
        scene.tenants().behave("1.1.0", Behaviour::errors(0.5));
        app.reverts("1.1.0").await?;
        scene.all_run("1.0.0").await?;
        jobs_came_first(scene, 2).await
    })
    .await
}

#[tokio::test]
async fn r8_off_hours_migrations_want_a_window_and_their_job_runs_first() -> Result<()> {
    Scene::play("offhours", async |scene| {
        let index = json!({"version": "1.1.0", "migrations": {
            "dialect": "PostgreSQL", "serverVersion": "15.4", "from": 1,
            "inline": {
                "000001_base.up.sql": "CREATE TABLE posts (id varchar(26) PRIMARY KEY, message text);",
                "000002_index.up.sql": "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON posts (message);",
                "000002_index.down.sql": "-- morph:nontransactional\nDROP INDEX CONCURRENTLY IF EXISTS i;",
            },
            "rowsFrom": {"labelPrefix": "rows.example.com/"},
        }});
        scene.has_fleet(&RINGS).await?;
        let labels = json!({"metadata": {"labels": {"rows.example.com/posts": "30000000"}}});
        scene.patch_tenant("rest-1", "dba", labels).await?;
        let app = scene.rollout(&rollout("1.0.0", "")).await?; // whose tenants are asked
        app.completes("1.0.0").await?;
        let status = has_release(scene, index).await?;
        let largest = json!([{"table": "posts", "rows": 30_000_000, "tenant": scene.id("rest-1")}]);
        ensure!(status["migrations"]["impact"] == "OffHours" && status["migrations"]["rows"] == largest, "{status}");
        app.edit(&rollout("1.1.0", &job("beforeUpdateJob: JOB"))).await?;
        let waits = app.is_held("Migrations").await?;
        let words = waits["message"].as_str().unwrap_or_default();
        ensure!(words.contains("OffHours, and no window of spec.schedule.allow is marked offHours"), "{words}");
        app.edit("schedule: {allow: [{cron: '0 * * * *', duration: 1h, offHours: true}]}").await?;
        app.completes("1.1.0").await?;
        jobs_came_first(scene, 5).await
    })
    .await
}

#[tokio::test]
async fn rows_are_read_from_a_metric_as_well() -> Result<()> {
    Scene::play("rows", async |scene| {
        has_migrations(scene).await?;
        scene.has_fleet(&RINGS).await?;
        scene.rollout(&rollout("1.0.0", "")).await?.completes("1.0.0").await?;
        let series = format!("app_requests_total{{installation=~\"{}.*\",code=\"200\"}}", scene.namespace());
        let rows = format!("label_replace(max by (installation) ({series}), \"relname\", \"posts\", \"\", \"\")");
        let mut spec = release(3);
        let of = |query: &str| json!({"metric": {"query": query, "tableLabel": "relname", "tenantLabels": ["installation"]}});
        spec["migrations"]["rowsFrom"] = of(&rows);
        let status = has_release(scene, spec.clone()).await?;
        let found = &status["migrations"]["rows"][0];
        let named = found["tenant"].as_str().is_some_and(|tenant| tenant.starts_with(scene.namespace()));
        ensure!(found["table"] == "posts" && found["rows"].as_u64() > Some(0) && named, "{status}");
        spec["migrations"]["rowsFrom"] = of("nothing_of_that_name");
        let status = has_release(scene, spec).await?;
        ensure!(status["migrations"]["revert"] == "Unknown", "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_release_waits_until_another_rollout_has_soaked_what_it_includes() -> Result<()> {
    Scene::alone("soaked", async |scene| {
        has_migrations(scene).await?;
        scene.has_fleet(&[("community", 1), ("canary", 1)]).await?;
        let of = |ring: &str, version: &str, extra: &str| {
            format!(
                "version: {version}\ntenants: {{selector: {{matchLabels: {{ring: {ring}}}}}}}\nwaves: [{{name: all, soak: 1h}}]\n{extra}"
            )
        };
        let mut spec = release(2);
        let tenant = scene.fleet().object(scene.namespace(), "canary-0").await?;
        spec["includesSince"] = tenant["metadata"]["creationTimestamp"].clone();
        spec["rollouts"] = json!(["app"]);
        has_release(scene, spec).await?;
        let gate = "gates: {soak: {rollout: {name: community}, atLeast: 20s}}";
        let app = scene.rollout(&of("canary", "1.1.0", gate)).await?;
        let waits = app.is_held("SoakGate").await?;
        let words = waits["message"].as_str().unwrap_or_default();
        ensure!(words.contains("Rollout community cannot be read: there is none of that name"), "{words}");
        scene.rollout_named("community", &of("community", "1.1.0-build9", "")).await?;
        app.until("it starts", |status| status["phase"] == "Soaking").await?;
        let soaked = scene.named("community").status().await?["soakedDays"].clone();
        let seconds: i64 = soaked.as_array().into_iter().flatten().filter_map(|day| day["seconds"].as_i64()).sum();
        ensure!(seconds >= 20, "{soaked}");
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

/// Binds a user to the right to patch Deployments, and to no other.
async fn may_patch_deployments(scene: &Scene, user: &str) -> Result<()> {
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": "patches-deployments"},
        "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}],
    }))?;
    Api::all(scene.client()).create(&PostParams::default(), &role).await?;
    scene.bind(user, "patches-deployments").await
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
        let refused = make("").await.unwrap_err();
        ensure!(format!("{refused:#}").contains("dave may not write apps/Deployment here"), "{refused:#}");
        may_patch_deployments(scene, "dave").await?;
        eventually("dave may write Deployments", PATIENCE, async || make("").await).await?;
        let refused = make("beforeUpdateJob: {spec: {template: {}}}").await.unwrap_err();
        ensure!(format!("{refused:#}").contains("dave may not make Jobs here"), "{refused:#}");
        Ok(())
    })
    .await
}
