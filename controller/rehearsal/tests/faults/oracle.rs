//! What must hold of every run (testbed.md, oracles).

use std::collections::BTreeMap;

use breakwater_rehearsal::{apiserver::Write, process::USER};
use serde_json::{Value, json};

use super::{
    harm::Harm,
    play::{Ran, STRANGER, is_first, name, version},
    script::{Script, WAVES},
};

/// What is wrong with a run, compared with the one without harm.
pub fn check(script: &Script, plain: &Ran, ran: &Ran, harms: &[Harm], bound: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    if !ran.converged {
        wrong.push(format!("it has not converged within {bound} s; it stands at {}", ran.end));
        return wrong;
    }
    if ran.panics > 0 {
        wrong.push(format!("{} panics", ran.panics));
    }
    let forgets = harms.iter().any(Harm::forgets);
    let (end, mut plain) =
        if forgets { (core(&ran.end), core(&plain.end)) } else { (ran.end.clone(), plain.end.clone()) };
    // No answer is allowed then, another one never.
    let unanswered = end.pointer("/rollout/attribution").is_some_and(Value::is_null);
    if let Some(answer) = plain.pointer_mut("/rollout/attribution")
        && unanswered
        && harms.iter().any(Harm::outruns_verification)
    {
        *answer = Value::Null;
    }
    if end != plain {
        wrong.push(format!("it ends as {end}\n      instead of {plain}"));
    }
    if !ran.restless.is_empty() {
        wrong.push(format!("it does not rest: {:?}", ran.restless));
    }
    wrong.extend(Rules::default().over(script, &ran.writes));
    wrong
}

/// What is left when the memory was taken away: where tenants stand, and what is stable and rejected.
fn core(end: &Value) -> Value {
    let tenants = end["tenants"].as_object().cloned().unwrap_or_default();
    let versions: Vec<Value> =
        tenants.into_iter().map(|(name, tenant)| json!([name, tenant["version"]])).collect();
    json!({"tenants": versions, "phase": end["rollout"]["phase"], "stable": end["rollout"]["stableVersion"],
           "rejected": end["rollout"]["rejected"]})
}

/// The rules of product.md, over all writes in order.
#[derive(Default)]
struct Rules {
    rollout: Value,
    epoch: i64,
    /// Version and readiness per tenant.
    tenants: BTreeMap<String, Tenant>,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Tenant {
    wave: usize,
    ready: bool,
    /// The versions that the controller wrote, and the one before.
    versions: Vec<String>,
}

impl Rules {
    fn over(mut self, script: &Script, writes: &[Write]) -> Vec<String> {
        for write in writes {
            match (write.kind.as_str(), &write.after) {
                ("Rollout", after) => self.rollout = after.clone().unwrap_or_default(),
                ("Lease", Some(lease)) => {
                    let held = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
                    self.epoch = self.epoch.max(held);
                }
                ("Deployment", Some(after)) => self.tenant(write, after),
                _ => {}
            }
        }
        for (name, tenant) in &self.tenants {
            let mut path = script.path.iter();
            if !tenant.versions.iter().all(|version| path.any(|step| step == version)) {
                self.wrong
                    .push(format!("{name} went through {:?}, not along {:?}", tenant.versions, script.path));
            }
        }
        self.wrong
    }

    fn tenant(&mut self, write: &Write, after: &Value) {
        let name = name(after).to_owned();
        let tenant = self.tenants.entry(name.clone()).or_default();
        tenant.wave = usize::from(!is_first(after));
        let settled = after["status"]["observedGeneration"] == after["metadata"]["generation"];
        tenant.ready = settled && after["status"]["availableReplicas"] == after["spec"]["replicas"];
        if write.user != USER {
            return;
        }
        if name == STRANGER {
            self.wrong.push(format!("R17: the stranger was written at {}", write.at));
        }
        let from = write.before.as_ref().map_or("", version).to_owned();
        let to = version(after).to_owned();
        if from == to {
            return;
        }
        let versions = &mut tenant.versions;
        if versions.last() != Some(&from) {
            versions.push(from);
        }
        versions.push(to.clone());
        let wave = tenant.wave;
        tenant.ready = false;
        self.forward_or_back(write, after, wave, &to);
    }

    fn forward_or_back(&mut self, write: &Write, after: &Value, wave: usize, to: &str) {
        let (spec, status) = (&self.rollout["spec"], &self.rollout["status"]);
        let at = format!("{} at {}", name(after), write.at);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let phase = text(&status["phase"]);
        let epoch =
            after["metadata"]["annotations"]["breakwater.dev/epoch"].as_str().and_then(|e| e.parse().ok());
        if epoch.is_none_or(|epoch: i64| epoch < self.epoch) {
            self.wrong.push(format!("R26: {at} was written in epoch {epoch:?}, in term {}", self.epoch));
        }
        if self.rollout.is_null() {
            self.wrong.push(format!("{at} was written although there is no Rollout"));
            return;
        }
        if status["candidateVersion"] != to {
            let back = ["Reverting", "Reverted", "RevertedPartly"].contains(&phase.as_str());
            if !back {
                self.wrong.push(format!(
                    "R28: {at} went to {to} in {phase}, candidate {}",
                    status["candidateVersion"]
                ));
            }
            return;
        }
        if phase != "Advancing" {
            self.wrong.push(format!("R1: {at} went to {to} in phase {phase}"));
        }
        if spec["paused"] == true {
            self.wrong.push(format!("{at} went to {to} while paused"));
        }
        let names = ["first", "rest"];
        let current = names.iter().position(|known| status["wave"] == *known);
        if current.is_none_or(|current| wave > current) {
            self.wrong
                .push(format!("R1: {at} of wave {} went to {to} in wave {}", names[wave], status["wave"]));
        }
        let rejected = status["rejected"].as_array().is_some_and(|rejected| rejected.iter().any(|r| r == to));
        if rejected {
            self.wrong.push(format!("R19: {at} went to {to}, which is rejected"));
        }
        let most = spec["waves"][wave]["maxConcurrent"].as_u64().and_then(|most| usize::try_from(most).ok());
        let under_way =
            |tenant: &&Tenant| tenant.wave == wave && !tenant.ready && !tenant.versions.is_empty();
        let updating = self.tenants.values().filter(under_way).count();
        if updating > most.unwrap_or(WAVES[wave]) {
            self.wrong.push(format!("R2: {at} is one of {updating} under way, of at most {most:?}"));
        }
    }
}
