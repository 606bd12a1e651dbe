//! Plays a script with harms, on the bed, and says how it went.

use std::{cell::Cell, sync::Arc};

use breakwater_rehearsal::{
    apiserver::{ApiServer, Call, Write},
    bed::Bed,
    process::USER,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    harm::{EDITED, Harm, Injector, WRONG},
    script::{self, Act, Script, WAVES, When},
};

/// How often the script looks.
const TICK: SignedDuration = SignedDuration::from_secs(5);
/// How long a controller that died is away.
const AWAY: SignedDuration = SignedDuration::from_secs(7);
/// How long nothing may be written in the end.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// The tenant that no selector means.
pub const STRANGER: &str = "stranger";

/// How a run went.
pub struct Ran {
    /// The end was reached.
    pub converged: bool,
    /// When, in seconds.
    pub seconds: i64,
    /// Tenants, Rollout, reports and actions as they stand.
    pub end: Value,
    /// Every write of everybody, in order.
    pub writes: Vec<Write>,
    /// Every call of the controllers, in order.
    pub calls: Vec<Call>,
    /// What the controller still wrote when all was done.
    pub restless: Vec<String>,
    /// Panics of any task.
    pub panics: usize,
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts panics per thread from now on; a run keeps to one thread.
pub fn count_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            usual(info);
        }));
    });
}

/// Plays; `bound` is the longest virtual time, in seconds.
pub fn play(script: &Script, harms: &[Harm], bound: i64) -> Ran {
    count_panics();
    PANICS.set(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let ran = runtime.block_on(async { Stage::set(script, harms).run(bound).await });
    runtime.shutdown_background();
    ran
}

struct Stage<'a> {
    bed: Bed,
    script: &'a Script,
    injector: Arc<Injector>,
    /// Harms at moments, the latest first.
    moments: Vec<(i64, Moment)>,
    step: usize,
    stepped_at: SignedDuration,
}

/// What happens at a moment.
#[derive(Debug, Clone)]
enum Moment {
    Begin(Harm),
    End(Harm),
    Restart,
    /// The fields of an edit get the values that they had in this spec.
    SetBack(Value, Value),
    /// The Rollout is created with this spec.
    Create(Value),
}

impl<'a> Stage<'a> {
    fn set(script: &'a Script, harms: &[Harm]) -> Self {
        let injector = Injector::new(harms);
        let mut bed = Bed::make(&script::rollout(), &script::fleet(), 7).expect("a bed");
        bed.set_fates(injector.clone());
        bed.fleet.lock().faults.clone_from(&script.faults);
        injector.serve(bed.api.clone());
        rings(&bed.api);
        bed.api.record();
        let mut moments: Vec<(i64, Moment)> =
            harms.iter().filter_map(|harm| Some((harm.at()?, Moment::Begin(harm.clone())))).collect();
        moments.sort_by_key(|(at, _)| -at);
        bed.start_controller().expect("a controller");
        Self { bed, script, injector, moments, step: 0, stepped_at: SignedDuration::ZERO }
    }

    async fn run(mut self, bound: i64) -> Ran {
        let mut converged = false;
        loop {
            let now = self.bed.time.elapsed();
            if now.as_secs() > bound {
                break;
            }
            self.moments_until(now.as_secs());
            self.steps(now).await;
            if self.step == self.script.steps.len()
                && self.moments.is_empty()
                && self.holds(self.script.end, now)
            {
                converged = true;
                break;
            }
            self.wait(now + TICK).await;
        }
        let seconds = self.bed.time.elapsed().as_secs();
        let restless = if converged { self.quiescence().await } else { Vec::new() };
        let end = self.end();
        self.bed.kill_controllers();
        Ran {
            converged,
            seconds,
            end,
            writes: self.bed.api.writes(),
            calls: self.injector.log.lock().expect("no panic").clone(),
            restless,
            panics: PANICS.get(),
        }
    }

    async fn wait(&mut self, until: SignedDuration) {
        tokio::select! {
            biased;
            () = self.bed.time.sleep_until(until) => {}
            () = self.injector.struck.notified() => {
                self.bed.kill_controllers();
                self.injector.buried();
                let at = (self.bed.time.elapsed() + AWAY).as_secs();
                self.push(at, Moment::Restart);
            }
        }
    }

    fn push(&mut self, at: i64, moment: Moment) {
        self.moments.push((at, moment));
        self.moments.sort_by_key(|(at, _)| -at);
    }

    fn moments_until(&mut self, now: i64) {
        while self.moments.last().is_some_and(|(at, _)| *at <= now) {
            match self.moments.pop() {
                Some((_, Moment::Begin(harm))) => self.begin(&harm, now),
                Some((_, Moment::End(harm))) => self.end_of(&harm),
                Some((_, Moment::Restart)) => self.bed.start_controller().expect("a controller"),
                Some((_, Moment::SetBack(mut back, was))) => {
                    set_back(&mut back, &was);
                    self.merge(&back);
                }
                Some((_, Moment::Create(spec))) => self.create(&spec),
                None => {}
            }
        }
    }

    /// The Rollout's spec as it is.
    fn spec(&self) -> Option<Value> {
        self.bed.api.look("Rollout", &self.bed.namespace, &self.bed.name, |rollout| rollout["spec"].clone())
    }

    fn merge(&self, edit: &Value) -> bool {
        let at = ("Rollout", self.bed.namespace.as_str(), self.bed.name.as_str());
        let merged = self.bed.api.modify("sre", at, |rollout| json_patch::merge(&mut rollout["spec"], edit));
        if let Some(rollout) = self.bed.rollout() {
            let _ = self.bed.metrics.learn(&rollout.spec); // what it refuses, the controller refuses
        }
        merged
    }

    /// Creates the Rollout, unless the script has done so.
    fn create(&self, spec: &Value) {
        let mut rollout = serde_json::to_value(script::rollout()).expect("a Rollout");
        rollout.as_object_mut().expect("an object").remove("status");
        json_patch::merge(&mut rollout["spec"], spec);
        let _ = self.bed.api.put(rollout);
    }

    fn begin(&mut self, harm: &Harm, now: i64) {
        match harm {
            Harm::Crash { .. } | Harm::Answer { .. } | Harm::Rival { .. } => {}
            Harm::Away { seconds, .. } => {
                self.bed.api_away(true);
                self.push(now + seconds, Moment::End(harm.clone()));
            }
            Harm::Compact { .. } => {
                self.bed.api.compact();
                self.bed.api.hang_up();
            }
            Harm::Stale { seconds, restart, .. } => {
                if *restart {
                    self.bed.start_controller().expect("a controller");
                }
                for process in self.bed.controllers() {
                    process.line().hold();
                }
                self.push(now + seconds, Moment::End(harm.clone()));
            }
            Harm::Unseen { anew, .. } => self.unseen(*anew),
            Harm::Clock { by, .. } => {
                self.bed.time.step(SignedDuration::from_secs(*by));
                self.push(now + WRONG, Moment::End(harm.clone()));
            }
            Harm::Lie { lie, seconds, .. } => {
                self.bed.metrics.lie(Some(*lie));
                self.push(now + seconds, Moment::End(harm.clone()));
            }
            Harm::Edit { which, .. } => {
                if let Some(was) = self.spec() {
                    let edit = script::edits(&was).swap_remove(*which);
                    // What the API server itself refuses is no edit, nor is what stands there already: setting that back
                    // would undo the script's own.
                    if self.merge(&edit) && self.spec().as_ref() != Some(&was) {
                        self.push(now + EDITED, Moment::SetBack(edit, was));
                    }
                }
            }
            Harm::Wipe { .. } => {
                self.bed.api.put_status(("Rollout", &self.bed.namespace, &self.bed.name), &json!({}));
            }
            Harm::Delete { .. } => {
                let was = self.spec().unwrap_or_else(|| json!({"version": "1.1.0"}));
                self.bed.api.remove("Rollout", &self.bed.namespace, &self.bed.name);
                self.push(now + EDITED, Moment::Create(was));
            }
            Harm::Double { .. } => self.bed.add_controller().expect("a controller"),
            Harm::Zombie { seconds, .. } => {
                // The first one's calls are late from now on; the second one has fates of its own.
                let first = std::mem::replace(&mut self.injector, Injector::new(&[]));
                first.slow(seconds.unsigned_abs());
                let log = first.log.lock().expect("no panic").clone();
                *self.injector.log.lock().expect("no panic") = log;
                self.bed.set_fates(self.injector.clone());
                self.bed.add_controller().expect("a controller");
            }
        }
    }

    fn end_of(&mut self, harm: &Harm) {
        match harm {
            Harm::Away { .. } => self.bed.api_away(false),
            Harm::Clock { by, .. } => self.bed.time.step(SignedDuration::from_secs(-by)),
            Harm::Lie { .. } => self.bed.metrics.lie(None),
            Harm::Stale { .. } => {
                for process in self.bed.controllers() {
                    process.line().release();
                }
            }
            _ => {}
        }
    }

    /// Watches that relist never see what came and went between.
    fn unseen(&self, anew: bool) {
        let kind = self.bed.tenant_kind();
        let Some(tenant) = self.bed.api.list(&kind).into_iter().find(|tenant| name(tenant) != STRANGER)
        else {
            return;
        };
        let (namespace, name) = ("shop", name(&tenant).to_owned());
        for process in self.bed.controllers() {
            process.line().hold();
        }
        if anew {
            self.bed.api.remove(&kind, namespace, &name);
            self.bed.api.put(tenant).expect("it is gone");
        } else {
            let was = tenant.clone();
            let at = (kind.as_str(), namespace, name.as_str());
            // A manager from whom the version may be taken over (R24).
            self.bed.api.modify("helm", at, |tenant| set_version(tenant, "0.9.0"));
            self.bed.api.modify("helm", at, |tenant| tenant["spec"] = was["spec"].clone());
        }
        self.bed.api.compact();
        self.bed.api.hang_up();
        for process in self.bed.controllers() {
            process.line().release();
        }
    }

    async fn steps(&mut self, now: SignedDuration) {
        while let Some((when, act)) = self.script.steps.get(self.step) {
            if !self.holds(*when, now) {
                return;
            }
            if !self.act(&act.clone()).await {
                return;
            }
            (self.step, self.stepped_at) = (self.step + 1, now);
        }
    }

    fn holds(&self, when: When, now: SignedDuration) -> bool {
        let rollout = self.bed.api.get("Rollout", &self.bed.namespace, &self.bed.name).unwrap_or_default();
        let status = &rollout["status"];
        match when {
            When::Now => true,
            When::After(minutes) => now - self.stepped_at >= SignedDuration::from_mins(minutes),
            When::Completed(version) => status["phase"] == "Completed" && status["stableVersion"] == version,
            When::Phase(phase) => status["phase"] == phase,
            When::Braked => status["brakes"].as_array().is_some_and(|brakes| !brakes.is_empty()),
            When::MidWave(wave) => {
                let tenants = self.bed.api.list(&self.bed.tenant_kind());
                let mut updated = tenants
                    .iter()
                    .filter(|tenant| name(tenant) != STRANGER && (wave == "first") == is_first(tenant))
                    .map(|tenant| rollout["spec"]["version"] == version(tenant));
                let first = updated.next();
                updated.any(|is| Some(is) != first)
            }
        }
    }

    /// False where there is no Rollout to act on; what the API server refuses is done.
    async fn act(&mut self, act: &Act) -> bool {
        match act {
            Act::Edit(spec) => {
                let edited = self.bed.edit(spec.clone()).await;
                return !matches!(edited, Err(kube::Error::Api(why)) if why.code == 404);
            }
            Act::Ask(verb, version, subject) => {
                // A brake is lifted by its name, which its action gave it.
                let brake = self
                    .bed
                    .rollout()
                    .and_then(|rollout| rollout.status?.brakes.first().map(|b| b.name.clone()));
                let subject =
                    if *verb == breakwater_crds::action::Verb::Lift { brake.as_deref() } else { *subject };
                self.bed.act(*verb, *version, subject).expect("an action");
            }
            Act::Delete => {
                self.bed.api.remove("Rollout", &self.bed.namespace, &self.bed.name);
            }
            Act::Create(version) => {
                self.create(&json!({ "version": version }));
            }
        }
        true
    }

    /// What the controller writes although nothing happens, besides its lease, and the accounts of deviations, to which two
    /// hours are added after the decision.
    async fn quiescence(&mut self) -> Vec<String> {
        let settled = self.bed.time.elapsed() + QUIET;
        self.bed.time.sleep_until(settled).await;
        let before = self.bed.api.writes().len();
        self.bed.time.sleep_until(settled + QUIET).await;
        let ours = |write: &&Write| {
            write.user == USER && !matches!(write.kind.as_str(), "Lease" | "DeviationReport")
        };
        let writes = self.bed.api.writes();
        writes[before..].iter().filter(ours).map(|write| format!("{:?} {}", write.verb, write.kind)).collect()
    }

    /// How everything stands, without what differs between two runs that did the same: times, counters, UIDs.
    fn end(&self) -> Value {
        let mut tenants = serde_json::Map::new();
        for tenant in self.bed.api.list(&self.bed.tenant_kind()) {
            let marker = |key: &str| tenant["metadata"]["annotations"][key].clone();
            let ready = tenant["status"]["observedGeneration"] == tenant["metadata"]["generation"];
            let mut stands = json!({"version": version(&tenant), "ready": ready});
            if !self.script.counts_vary {
                stands["target"] = marker("breakwater.dev/target-version");
                stands["wave"] = marker("breakwater.dev/wave");
            }
            tenants.insert(name(&tenant).to_owned(), stands);
        }
        let rollout = self.bed.api.get("Rollout", &self.bed.namespace, &self.bed.name).unwrap_or_default();
        let status = &rollout["status"];
        let mut told = json!({});
        for field in ["phase", "stableVersion", "candidateVersion", "queued", "rejected", "brakes"] {
            told[field] = status[field].clone();
        }
        if self.script.counts_vary {
            told["attribution"] = status["revert"]["attribution"].clone();
        } else {
            told["counts"] = status["counts"].clone();
            told["waves"] = status["waves"].as_array().into_iter().flatten().map(standing).collect();
        }
        let actions = self.bed.api.list("RolloutAction");
        let answers: Vec<Value> =
            actions.iter().map(|action| json!([name(action), action["status"]["result"]])).collect();
        let reports = self.bed.api.list("DeviationReport");
        let outcomes: Vec<Value> = reports
            .iter()
            .map(|report| json!([report["spec"]["version"], report["status"]["outcome"]]))
            .collect();
        json!({"tenants": tenants, "rollout": told, "actions": answers, "reports": outcomes})
    }
}

fn standing(wave: &Value) -> Value {
    let mut stands = json!({"passed": wave["passedAt"].is_string()});
    for field in ["name", "total", "updated", "ready", "failed"] {
        stands[field] = wave[field].clone();
    }
    stands
}

/// Puts the tenants into the waves of the scripts, and a stranger beside them.
fn rings(api: &ApiServer) {
    let tenants = api.list("Deployment");
    for tenant in tenants.iter().take(WAVES[0]) {
        api.modify("setup", ("Deployment", "shop", name(tenant)), |tenant| {
            tenant["metadata"]["labels"]["ring"] = "first".into();
        });
    }
    let mut stranger = tenants[0].clone();
    stranger["metadata"] =
        json!({"name": STRANGER, "namespace": "shop", "generation": 1, "labels": {"app": "another"}});
    api.put(stranger).expect("a stranger");
}

/// Whether a tenant is in the first wave.
pub fn is_first(tenant: &Value) -> bool {
    tenant["metadata"]["labels"]["ring"] == "first"
}

/// Gives the fields of `edit` the values that they had in `was`; those that were not there are removed.
fn set_back(edit: &mut Value, was: &Value) {
    match edit {
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| match was.get(name) {
                Some(was) => set_back(value, was),
                None => *value = Value::Null,
            });
        }
        value => *value = was.clone(),
    }
}

pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub fn version(tenant: &Value) -> &str {
    let image =
        tenant.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
    image.rsplit_once(':').map_or("", |(_, tag)| tag)
}

fn set_version(tenant: &mut Value, version: &str) {
    tenant["spec"]["template"]["spec"]["containers"][0]["image"] =
        format!("registry.example/app:{version}").into();
}
