//! One Rollout of a scene, seen and edited as a user does.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{PATIENCE, Scene};
use crate::eventually;

/// A Rollout by name.
pub struct Rollout<'s> {
    scene: &'s Scene,
    name: String,
}

impl<'s> Rollout<'s> {
    pub(super) fn new(scene: &'s Scene, name: &str) -> Self {
        Self { scene, name: name.into() }
    }

    /// The whole object.
    pub async fn object(&self) -> Result<Value> {
        let found = self.scene.rollouts(self.scene.namespace()).get(&self.name).await;
        Ok(serde_json::to_value(found.with_context(|| format!("get rollout {}", self.name))?)?)
    }

    /// Its status.
    pub async fn status(&self) -> Result<Value> {
        Ok(self.object().await?["status"].take())
    }

    /// Edits the spec by a merge patch, written as YAML, as `kubectl edit` would.
    pub async fn edit(&self, change: &str) -> Result<()> {
        let change: Value = serde_yaml::from_str(&self.scene.expand(change))?;
        self.patch(&Patch::Merge(json!({"spec": change}))).await
    }

    /// Asks for another version.
    pub async fn wants(&self, version: &str) -> Result<()> {
        self.edit(&format!("version: '{version}'")).await
    }

    async fn patch(&self, patch: &Patch<Value>) -> Result<()> {
        let params = PatchParams { field_manager: Some("gitops".into()), ..PatchParams::default() };
        let api = self.scene.rollouts(self.scene.namespace());
        api.patch(&self.name, &params, patch)
            .await
            .map(drop)
            .with_context(|| format!("edit rollout {}", self.name))
    }

    /// Deletes it, and waits until it is gone.
    pub async fn is_deleted(&self) -> Result<()> {
        let api = self.scene.rollouts(self.scene.namespace());
        api.delete(&self.name, &DeleteParams::default()).await.context("delete a rollout")?;
        eventually("the rollout is gone", PATIENCE, async || match api.get_opt(&self.name).await? {
            None => Ok(()),
            Some(_) => bail!("it is still there"),
        })
        .await
    }

    /// Waits until the status, which must speak of the newest spec, is as `probe` wants it; the error says what is.
    pub async fn until(&self, what: &str, probe: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(&format!("rollout {}: {what}", self.name), PATIENCE, async || {
            let object = self.object().await?;
            let status = &object["status"];
            let current = status["observedGeneration"] == object["metadata"]["generation"];
            ensure!(current && probe(status), "{}", told(status));
            Ok(status.clone())
        })
        .await
    }

    /// Waits until the phase is one of `phases`.
    pub async fn is_in(&self, phases: &[&str]) -> Result<Value> {
        self.until(&format!("is {phases:?}"), |status| phases.iter().any(|phase| status["phase"] == *phase))
            .await
    }

    /// Waits until a wave is in a phase.
    pub async fn is_at(&self, phase: &str, wave: &str) -> Result<Value> {
        self.until(&format!("{phase} of {wave}"), |status| status["phase"] == phase && status["wave"] == wave)
            .await
    }

    /// Waits until `version` is the stable one, which kstatus calls ready (R29).
    pub async fn completes(&self, version: &str) -> Result<Value> {
        let done = |status: &Value| status["phase"] == "Completed" && status["stableVersion"] == version;
        let status = self.until(&format!("{version} is completed"), done).await?;
        is_condition(&status, "Ready", "True")?;
        is_condition(&status, "Stalled", "False")?;
        Ok(status)
    }

    /// Waits until `version` is rejected and out of every tenant, which kstatus calls stalled (R29).
    pub async fn reverts(&self, version: &str) -> Result<Value> {
        let done = |status: &Value| status["phase"] == "Reverted" && rejects(status, version);
        let status = self.until(&format!("{version} is reverted"), done).await?;
        is_condition(&status, "Ready", "False")?;
        is_condition(&status, "Stalled", "True")?;
        Ok(status)
    }

    /// Waits until it is held for this reason.
    pub async fn is_held(&self, reason: &str) -> Result<Value> {
        self.until(&format!("held: {reason}"), |status| {
            condition(status, "Held") == Some(("True".into(), reason.into()))
        })
        .await
    }

    /// Waits until nothing holds it.
    pub async fn is_free(&self) -> Result<Value> {
        let free = |status: &Value| condition(status, "Held").is_some_and(|(held, _)| held == "False");
        self.until("not held", free).await
    }

    /// Waits until `count` of the fleet are counted as `name` in `status.counts`.
    pub async fn counts(&self, name: &str, count: u64) -> Result<Value> {
        let counted = |status: &Value| status["counts"][name].as_u64().unwrap_or(0) == count;
        self.until(&format!("{count} {name}"), counted).await
    }

    /// How often its history tells this.
    pub async fn told(&self, reason: &str) -> Result<usize> {
        let status = self.status().await?;
        let history = status["history"].as_array().into_iter().flatten();
        Ok(history.filter(|entry| entry["reason"] == reason).count())
    }
}

/// Whether a status lists `version` as rejected.
pub fn rejects(status: &Value, version: &str) -> bool {
    status["rejected"].as_array().is_some_and(|rejected| rejected.iter().any(|one| one == version))
}

/// Status and reason of a condition.
pub fn condition(status: &Value, type_: &str) -> Option<(String, String)> {
    let found = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

fn is_condition(status: &Value, type_: &str, wanted: &str) -> Result<()> {
    let is = condition(status, type_);
    ensure!(is.as_ref().is_some_and(|(is, _)| is == wanted), "{type_} is {is:?}: {}", told(status));
    Ok(())
}

/// The entry of a wave.
pub fn wave<'v>(status: &'v Value, name: &str) -> Option<&'v Value> {
    status["waves"].as_array()?.iter().find(|wave| wave["name"] == name)
}

/// The status in one line, for errors.
fn told(status: &Value) -> String {
    let text = |field: &str| status[field].as_str().unwrap_or("-");
    format!(
        "{} wave {} ({}): {}",
        text("summary"),
        text("wave"),
        status["progress"]["updated"],
        text("message")
    )
}
