//! The bed itself: what the other suites take for granted.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::alertmanager::Receiver;
use breakwater_tests::bed::controlplane::client_of;
use breakwater_tests::bed::folder::Folder;
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::{Area, Bed, Controller, ControllerOptions, Fleet, Kind, Tenant, Webhook, eventually};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

async fn all_run(fleet: &Fleet, area: &Area, version: &str) -> Result<()> {
    eventually(&format!("all run {version}"), SOON, async || fleet.all_run(area.namespace(), version).await)
        .await
}

#[tokio::test]
async fn a_deployment_rolls_to_the_new_version_by_the_real_controllers() -> Result<()> {
    let area = Bed::shared().await?.area("roll").await?;
    let fleet = area.fleet(Kind::Deployment);
    let tenant = |name| Tenant::new(area.namespace(), name, "v1").replicas(2).ring("early");
    fleet.create([tenant("a"), tenant("b").sidecar("mesh", "registry.local/mesh:7")]).await?;
    all_run(&fleet, &area, "v1").await?;
    fleet.set_version(area.namespace(), "b", "v2").await?;
    eventually("b runs v2, a stays", SOON, async || {
        let running = fleet.running(area.namespace()).await?;
        ensure!(running["a"] == "v1" && running["b"] == "v2", "{running:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pods_of_troubled_versions_never_become_ready_and_say_why() -> Result<()> {
    let area = Bed::shared().await?.area("trouble").await?;
    let fleet = area.fleet(Kind::Deployment);
    let troubles = ["stuck", "imagepull", "crashloop", "unschedulable"];
    let tenant = |trouble| Tenant::new(area.namespace(), trouble, &format!("v2-{trouble}"));
    fleet.create(troubles.map(tenant)).await?;
    let pods: Api<Pod> = Api::namespaced(area.client(), area.namespace());
    let said = ["ContainersNotReady", "ImagePullBackOff", "CrashLoopBackOff", "Unschedulable"];
    eventually("each pod tells its trouble", SOON, async || {
        let pods = serde_json::to_string(&pods.list(&ListParams::default()).await?.items)?;
        ensure!(said.iter().all(|reason| pods.contains(reason)), "{pods}");
        Ok(())
    })
    .await?;
    let running = fleet.running(area.namespace()).await?;
    ensure!(running.values().all(String::is_empty), "{running:?}");
    Ok(())
}

#[tokio::test]
async fn every_custom_kind_is_made_ready_by_its_operator_or_not() -> Result<()> {
    let area = Bed::shared().await?.area("custom").await?;
    for kind in [Kind::Mattermost, Kind::HelmRelease, Kind::Application, Kind::Tenant] {
        let fleet = area.fleet(kind);
        let name = format!("{kind:?}").to_lowercase();
        fleet.create([Tenant::new(area.namespace(), &name, "v1")]).await?;
        all_run(&fleet, &area, "v1").await.with_context(|| format!("{kind:?}"))?;
        for (version, done) in [("v2", true), ("v3-stuck", false), ("v4-fail", false), ("v1", true)] {
            fleet.set_version(area.namespace(), &name, version).await?;
            if done {
                all_run(&fleet, &area, version).await.with_context(|| format!("{kind:?}"))?;
            } else {
                tokio::time::sleep(Duration::from_millis(700)).await;
                let running = fleet.running(area.namespace()).await?;
                ensure!(running[&name].is_empty(), "{kind:?} runs {running:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_version_shows_in_prometheus_only_where_it_runs() -> Result<()> {
    let bed = Bed::shared().await?;
    let area = bed.area("bad").await?;
    area.tenants().behave("v2-bad", Behaviour::errors(0.5));
    let fleet = area.fleet(Kind::Deployment);
    fleet.create(["a", "b"].map(|name| Tenant::new(area.namespace(), name, "v1"))).await?;
    all_run(&fleet, &area, "v1").await?;
    fleet.set_version(area.namespace(), "b", "v2-bad").await?;
    let share = |name| {
        let of = |code| {
            let id = format!("{}/{name}", area.namespace());
            format!("sum(rate(app_requests_total{{installation=\"{id}\",code=~\"{code}\"}}[5s]))")
        };
        format!("{} / {}", of("500"), of(".*"))
    };
    eventually("the errors of b show, and a has few", SOON, async || {
        let (a, b) = (bed.prometheus().value(&share("a")).await?, bed.prometheus().value(&share("b")).await?);
        ensure!(b > 0.3 && a < 0.1, "a {a}, b {b}");
        Ok(())
    })
    .await?;
    area.tenants().outage(0.9);
    eventually("an outage hits a too", SOON, async || {
        let a = bed.prometheus().value(&share("a")).await?;
        ensure!(a > 0.6, "a {a}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn slow_requests_show_in_the_histogram_and_silent_tenants_in_nothing() -> Result<()> {
    let bed = Bed::shared().await?;
    let area = bed.area("slow").await?;
    let fleet = area.fleet(Kind::Mattermost);
    fleet.create(["a", "b"].map(|name| Tenant::new(area.namespace(), name, "v1"))).await?;
    let id = |name| format!("{}/{name}", area.namespace());
    area.tenants().behave("v1", Behaviour::slow(0.8).only([id("a")]));
    area.tenants().behave_tenant(&id("b"), Behaviour::silent());
    let bucket =
        |name| format!("sum by (le) (rate(app_request_seconds_bucket{{installation=\"{}\"}}[5s]))", id(name));
    eventually("the median of a is above 1 s", SOON, async || {
        let median = bed.prometheus().value(&format!("histogram_quantile(0.5, {})", bucket("a"))).await?;
        ensure!(median > 1.0, "median {median}");
        Ok(())
    })
    .await?;
    let silent =
        bed.prometheus().query(&format!("app_requests_total{{installation=\"{}\"}}", id("b"))).await?;
    ensure!(silent.is_empty(), "{silent:?}");
    Ok(())
}

#[tokio::test]
async fn an_alert_reaches_a_webhook_with_its_bearer_token() -> Result<()> {
    let bed = Bed::shared().await?;
    let area = bed.area("alert").await?;
    let hook = Webhook::start().await?;
    let receiver = Receiver {
        matchers: vec![format!("area=\"{}\"", area.namespace())],
        url: format!("{}/alerts", hook.url()),
        token: Some("s3cret".into()),
    };
    bed.alertmanager().receiver(area.namespace(), receiver).await?;
    let rule = json!({"alert": "Wave", "expr": "vector(1)", "labels": {"area": area.namespace()}});
    let rules = json!({"groups": [{"name": area.namespace(), "rules": [rule]}]});
    bed.prometheus().rules(area.namespace(), &rules.to_string()).await?;
    let first = eventually("the webhook is called", SOON, async || {
        hook.received().into_iter().next().context("nothing received yet")
    })
    .await?;
    ensure!(first.line == "POST /alerts" && first.authorization == "Bearer s3cret", "{first:?}");
    ensure!(first.body.contains(area.namespace()), "{first:?}");
    Ok(())
}

#[tokio::test]
async fn users_and_service_accounts_have_the_rights_they_were_given() -> Result<()> {
    let bed = Bed::shared().await?;
    let area = bed.area("rights").await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(area.client(), area.namespace());
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "controller"}}))?;
    accounts.create(&PostParams::default(), &account).await?;
    let kubeconfig =
        bed.control_plane().api().service_account_kubeconfig(area.namespace(), "controller").await?;
    for (who, client) in [
        (format!("\"system:serviceaccount:{}:controller\"", area.namespace()), client_of(&kubeconfig).await?),
        ("\"alice\"".into(), bed.client_of("alice").await?),
    ] {
        let refused = Api::<Pod>::namespaced(client, area.namespace()).list(&ListParams::default()).await;
        let error = refused.err().map(|error| error.to_string()).context("it was allowed")?;
        ensure!(error.contains("forbidden") && error.contains(&who), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_controller_is_run_with_its_flags_and_obeys_signals() -> Result<()> {
    let folder = Folder::new()?;
    let program = folder.join("program");
    let script = "#!/bin/sh\necho \"$KUBECONFIG $MODE $*\"\ntrap 'echo bye; exit 3' TERM\nwhile :; do sleep 0.05; done\n";
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    let options =
        ControllerOptions::new(Path::new("/kube")).args(["--fast"]).env("MODE", "test").program(&program);
    let controller = Controller::start(&folder, options)?;
    let said = format!("/kube test run --listen {} --fast", controller.address());
    let says = async |words: &str| {
        eventually(words, SOON, async || {
            let log = controller.process().last_words();
            ensure!(log.contains(words), "{log}");
            Ok(())
        })
        .await
    };
    says(&said).await?;
    controller.process().stop();
    let early = controller.process().terminate(Duration::from_millis(300));
    ensure!(early.is_err(), "it was stopped and yet ended with {early:?}");
    controller.process().cont();
    ensure!(controller.process().wait(SOON)?.code() == Some(3), "it did not end by its trap");
    says("bye").await
}

#[tokio::test]
async fn parts_come_back_on_their_data_and_leave_nothing_behind() -> Result<()> {
    let bed = Bed::own().await?;
    let area = bed.area("parts").await?;
    let fleet = area.fleet(Kind::Tenant);
    fleet.create([Tenant::new(area.namespace(), "a", "v1")]).await?;
    let series =
        format!("count(count_over_time(app_requests_total{{installation=\"{}/a\"}}[10m]))", area.namespace());
    eventually("there is data", SOON, async || bed.prometheus().value(&series).await).await?;

    bed.prometheus().process().restart()?;
    bed.prometheus().ready().await?;
    ensure!(bed.prometheus().value(&series).await? > 0.0, "prometheus forgot");

    let (api, etcd) = (bed.control_plane().api(), bed.control_plane().etcd());
    etcd.kill();
    api.process().kill();
    etcd.restart()?;
    api.process().restart()?;
    api.ready().await?;
    all_run(&fleet, &area, "v1").await?;
    let other = bed.control_plane().another_api("other-apiserver").await?;
    Fleet::new(other.client("admin").await?, Kind::Tenant).set_version(area.namespace(), "a", "v2").await?;
    all_run(&fleet, &area, "v2").await?;

    let folder = bed.folder().to_path_buf();
    ensure!(!processes_in(&folder)?.is_empty(), "the bed has no processes");
    drop(other);
    drop(bed);
    let left = processes_in(&folder)?;
    ensure!(left.is_empty() && !folder.exists(), "left behind: {left:?} {}", folder.display());
    Ok(())
}

#[test]
fn a_killed_test_binary_leaves_nothing_behind() -> Result<()> {
    // This binary again, as a child that starts a bed and waits to be killed.
    let root = std::env::temp_dir().join(format!("breakwater-killed-{}", std::process::id()));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "--ignored", "bed::a_bed_that_waits_to_be_killed"])
        .env("BREAKWATER_BEDS", &root)
        .spawn()?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while processes_in(&root)?.len() < 5 {
        ensure!(Instant::now() < deadline, "the bed did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    // On a busy machine the kernel takes its time to end them.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut left = processes_in(&root)?;
    while !left.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
        left = processes_in(&root)?;
    }
    std::fs::remove_dir_all(&root)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "run by a_killed_test_binary_leaves_nothing_behind"]
async fn a_bed_that_waits_to_be_killed() -> Result<()> {
    let _bed = Bed::own().await?;
    tokio::time::sleep(Duration::from_mins(2)).await;
    Ok(())
}

/// The command lines that name a bed's folder.
fn processes_in(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.display().to_string();
    let lines = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    Ok(lines.filter(|line| line.contains(&folder)).collect())
}
