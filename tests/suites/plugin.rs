//! `kubectl breakwater` beside a running controller, with the rights of the user who calls it.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use breakwater_tests::Scene;
use breakwater_tests::bed::binaries;

const WAVES: &str = r"
version: 1.1.0
watchAfter: 1s
waves:
  - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 20m, maxConcurrent: 2}
  - {name: rest, soak: 5s, maxConcurrent: 2, approval: Before}
";

/// Runs the plugin as a user, to its end.
pub(crate) fn run(scene: &Scene, user: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binaries::own("kubectl-breakwater")?);
    command.args(arguments).args(["--namespace", scene.namespace()]);
    command.env("KUBECONFIG", scene.bed().control_plane().api().kubeconfig(user));
    command.output().context("run kubectl-breakwater")
}

/// The same, where it must succeed and say something.
fn says(scene: &Scene, user: &str, arguments: &[&str], words: &[&str]) -> Result<()> {
    let output = run(scene, user, arguments)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?} ended with {}: {said}{complaint}", output.status);
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(missing.is_empty(), "{arguments:?} does not say {missing:?} but\n{said}");
    Ok(())
}

#[tokio::test]
async fn the_plugin_shows_approves_promotes_reverts_and_tells_ci_by_its_exit_code() -> Result<()> {
    Scene::play("plugin", async |scene| {
        scene.has_fleet(&[("canary", 2), ("rest", 2)]).await?;
        let app = scene.rollout(WAVES).await?;
        app.is_at("Soaking", "canary").await?;
        says(scene, "carol", &["get", "app"], &["1.0.0", "1.1.0", "canary", "rest", "errors"])?;
        let refused = run(scene, "carol", &["promote", "app"])?;
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(2) && complaint.contains("promote"), "{complaint}");
        says(scene, "alice", &["promote", "app"], &[])?;
        app.is_at("AwaitingApproval", "rest").await?;
        says(scene, "alice", &["approve", "app"], &[])?;
        says(scene, "alice", &["status", "app", "--wait", "--timeout", "4m"], &["1.1.0"])?;
        // Reading tenants takes the right to read their kind, which no role of ours gives.
        let refused = run(scene, "carol", &["tenants", "app"])?;
        ensure!(refused.status.code() == Some(2), "{refused:?}");
        says(scene, "admin", &["tenants", "app"], &["canary-0", "rest-1", "1.1.0", "1.0.0"])?;
        says(scene, "alice", &["revert", "app", "--version", "1.1.0", "--reason", "tickets"], &[])?;
        let status = run(scene, "alice", &["status", "app", "--wait", "--timeout", "4m"])?;
        ensure!(status.status.code() == Some(1), "{status:?}");
        app.reverts("1.1.0").await?;
        says(scene, "carol", &["history", "app"], &["alice", "Completed", "Reverted", "tickets"])
    })
    .await
}
