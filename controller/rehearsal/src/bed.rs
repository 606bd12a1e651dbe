//! The bed: API server, tenants, metrics and a controller, put together for one Rollout.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use breakwater_crds::{
    DeviationReport, Release, Rollout, RolloutAction, RolloutState, action::Verb, marker,
    report::Investigation,
};
use breakwater_operator::{
    ground::CountsOf,
    telemetry::Counts,
    tenants::{lens::Lens, marks::Hubs},
};
use breakwater_plan::spec::Checked;
use jiff::{SignedDuration, Timestamp};
use kube::{CustomResourceExt as _, ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    apiserver::{ApiServer, Call, Failure, Fate, Fates, Unharmed},
    fleet::{Crew, Fleet, FleetSpec, Metrics, Population, shape::Shape},
    outcome::Report,
    process::{self, HUB, Process},
    time::VirtualTime,
};

/// Monday, 5 January 2026, 00:00 UTC: when every rehearsal begins.
pub const ORIGIN: Timestamp = Timestamp::constant(1_767_571_200, 0);

/// Why there can be no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// The Rollout's spec is refused: what the controller itself would say.
    #[error("{0}")]
    Refused(String),
    /// The tenants cannot be made.
    #[error("{0}")]
    Tenants(String),
    /// A runtime could not be made.
    #[error("cannot start a rehearsal")]
    Runtime(#[from] std::io::Error),
}

/// Everything that a controller sees, in one process and one thread.
pub struct Bed {
    /// The API server.
    pub api: ApiServer,
    /// The time.
    pub time: VirtualTime,
    /// The tenants.
    pub fleet: Fleet,
    /// What Prometheus says.
    pub metrics: Metrics,
    /// Namespace of the Rollout.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    shape: Shape,
    away: Arc<Away>,
    fates: Arc<dyn Fates>,
    processes: Vec<Process>,
    started: usize,
    calls_before: u64,
    asked: usize,
}

/// Whether the API server answers.
#[derive(Debug, Default)]
struct Away(AtomicBool);

impl Fates for Away {
    fn fate(&self, _: &Call) -> Fate {
        if self.0.load(Ordering::Relaxed) { Fate::Break } else { Fate::Pass }
    }
}

/// What befalls a controller's calls: what is wrong with the API server, and what a test adds.
struct Weather {
    away: Arc<Away>,
    fates: Arc<dyn Fates>,
}

impl Fates for Weather {
    fn fate(&self, call: &Call) -> Fate {
        match self.away.fate(call) {
            Fate::Pass => self.fates.fate(call),
            fate => fate,
        }
    }
}

/// Checks a Rollout as the controller does; the error names every field that is wrong.
pub fn check(rollout: &Rollout) -> Result<Lens, String> {
    let namespace = rollout.namespace().unwrap_or_else(|| "default".into());
    let checked = Checked::parse(&rollout.spec);
    let lens = Lens::compile(&Hubs::only(HUB), &namespace, &rollout.name_any(), &rollout.spec);
    match (checked, lens) {
        (Ok(_), Ok(lens)) => Ok(lens),
        (checked, lens) => {
            let errors = checked.err().into_iter().flatten().chain(lens.err().into_iter().flatten());
            let lines: Vec<String> = errors.map(|error| error.to_string()).collect();
            Err(lines.join("\n"))
        }
    }
}

/// An API server that serves what the controller works with, and the tenants' kind.
fn serve(time: &VirtualTime, shape: &Shape) -> Result<ApiServer, BedError> {
    let api = ApiServer::new(time.true_clock());
    let ours =
        [Rollout::crd(), Release::crd(), RolloutAction::crd(), DeviationReport::crd(), RolloutState::crd()];
    for crd in ours {
        let crd = serde_json::to_value(crd).map_err(|why| BedError::Tenants(why.to_string()))?;
        api.define(&crd).map_err(BedError::Tenants)?;
    }
    if !shape.is_builtin() {
        api.serve(shape.kind());
    }
    Ok(api)
}

impl Bed {
    /// Makes a bed; no controller runs yet. Must be called inside a runtime whose clock is paused.
    pub fn make(rollout: &Rollout, fleet: &FleetSpec, seed: u64) -> Result<Self, BedError> {
        let bed = Self::empty(rollout, fleet, seed, ORIGIN)?;
        bed.populate()?;
        bed.hire(check(rollout).map_err(BedError::Refused)?);
        bed.put_rollout(rollout)?;
        Ok(bed)
    }

    /// Makes a bed that begins at `at` with what an API server held then: one Rollout, its tenants, and all that a
    /// controller left. Their UIDs, owners and times are kept. No controller runs yet; the same runtime as for
    /// [`Bed::make`] is needed.
    pub fn restore(objects: &[Value], fleet: &FleetSpec, seed: u64, at: Timestamp) -> Result<Self, BedError> {
        let rollout = objects.iter().find(|object| object["kind"] == "Rollout");
        let rollout = rollout.ok_or_else(|| BedError::Refused("there is no Rollout".into()))?;
        let rollout: Rollout =
            serde_json::from_value(rollout.clone()).map_err(|why| BedError::Refused(why.to_string()))?;
        let lens = check(&rollout).map_err(BedError::Refused)?;
        let mut bed = Self::empty(&rollout, fleet, seed, at)?;
        bed.asked = objects.iter().filter(|object| object["kind"] == "RolloutAction").count();
        for object in objects {
            bed.api.restore(object.clone()).map_err(|why| BedError::Tenants(why.to_string()))?;
            bed.recall(object, &lens, at);
        }
        bed.hire(lens);
        Ok(bed)
    }

    /// Everything but objects, and nobody who works.
    fn empty(rollout: &Rollout, fleet: &FleetSpec, seed: u64, at: Timestamp) -> Result<Self, BedError> {
        let (namespace, name) = (rollout.namespace().unwrap_or_else(|| "default".into()), rollout.name_any());
        let (shape, time) = (Shape::new(rollout, fleet).map_err(BedError::Tenants)?, VirtualTime::begin(at));
        let api = serve(&time, &shape)?;
        let population = Population::new(fleet.clone(), &namespace, seed, at.as_second());
        api.namespace(process::NAMESPACE, &[]);
        api.namespace(&namespace, &[]);
        if let Some(other) = fleet.namespace.as_deref().filter(|other| *other != namespace) {
            api.namespace(other, &[(marker::CONSENT_LABEL, &namespace)]);
        }
        let fleet = Fleet::new(population);
        let lens = check(rollout).map_err(BedError::Refused)?;
        let metrics = Metrics::new(fleet.clone(), &rollout.spec, shape.clone(), lens, time.true_clock())
            .map_err(BedError::Refused)?;
        Ok(Self {
            api,
            time,
            fleet,
            metrics,
            namespace,
            name,
            shape,
            away: Arc::default(),
            fates: Arc::new(Unharmed),
            processes: Vec::new(),
            started: 0,
            calls_before: 0,
            asked: 0,
        })
    }

    /// Sets the tenants' own operators to work.
    fn hire(&self, lens: Lens) {
        let client = kube::Client::new(self.api.line("tenant-operator", self.away.clone()), "default");
        let crew = Crew::new(client, self.fleet.clone(), self.shape.clone(), lens, self.time.true_clock());
        tokio::spawn(crew.run());
    }

    /// A tenant that is put back serves on its version since the write that its marker tells of.
    fn recall(&self, object: &Value, lens: &Lens, at: Timestamp) {
        let Ok(object) = serde_json::from_value::<DynamicObject>(object.clone()) else { return };
        let mut fleet = self.fleet.lock();
        let found = fleet.find(&object.namespace().unwrap_or_default(), &object.name_any());
        if let (Some(index), Some(digest)) = (found, lens.digest(&object, at))
            && let (Some(version), Some(marker)) = (digest.tenant.version.version(), digest.tenant.marker)
        {
            fleet.runs(index, version, marker.written_at.as_second());
        }
    }

    fn populate(&self) -> Result<(), BedError> {
        let tenants: Vec<Value> = {
            let fleet = self.fleet.lock();
            fleet.tenants.iter().map(|tenant| self.grown(tenant, &fleet.spec.version)).collect()
        };
        for object in tenants {
            self.api.put(object).map_err(|why| BedError::Tenants(why.to_string()))?;
        }
        Ok(())
    }

    /// A tenant that has been ready for long.
    fn grown(&self, tenant: &crate::fleet::Tenant, version: &str) -> Value {
        let mut object = self.shape.object(tenant, version);
        object["metadata"]["generation"] = 1.into();
        let long_ago = ORIGIN - SignedDuration::from_hours(30 * 24);
        object["status"] = self.shape.ready_status(&object, version, &long_ago.to_string());
        object
    }

    fn put_rollout(&self, rollout: &Rollout) -> Result<(), BedError> {
        let mut object = serde_json::to_value(rollout).map_err(|why| BedError::Refused(why.to_string()))?;
        object["metadata"]["namespace"] = self.namespace.as_str().into();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        self.api.put(object).map(drop).map_err(|why| BedError::Refused(why.to_string()))
    }

    /// From now on this befalls the calls of controllers that are started.
    pub fn set_fates(&mut self, fates: Arc<dyn Fates>) {
        self.fates = fates;
    }

    /// Starts a controller; those that run are killed first.
    pub fn start_controller(&mut self) -> Result<(), BedError> {
        self.kill_controllers();
        self.add_controller()
    }

    /// Starts one more controller.
    pub fn add_controller(&mut self) -> Result<(), BedError> {
        self.started += 1;
        let settings = process::settings(&format!("breakwater-{}", self.started));
        let weather = Arc::new(Weather { away: self.away.clone(), fates: self.fates.clone() });
        let process = Process::start(&self.api, &self.time, self.counts(), weather, &settings);
        self.processes.push(process.map_err(|why| BedError::Tenants(why.to_string()))?);
        Ok(())
    }

    /// Kills every controller that runs.
    pub fn kill_controllers(&mut self) {
        for process in self.processes.drain(..) {
            self.calls_before += process.calls();
            process.kill();
        }
    }

    /// The controllers that run, in order of their start.
    pub fn controllers(&self) -> &[Process] {
        &self.processes
    }

    /// The source of counts, as the controller asks for it.
    pub fn counts(&self) -> CountsOf {
        let metrics = self.metrics.clone();
        Arc::new(move |_, _| Arc::new(metrics.clone()) as Arc<dyn Counts>)
    }

    /// Requests of all controllers so far.
    pub fn calls(&self) -> u64 {
        self.calls_before + self.processes.iter().map(Process::calls).sum::<u64>()
    }

    /// Writes of all controllers to tenants so far.
    pub fn tenant_writes(&self) -> u64 {
        self.api.writes_of(process::USER, &self.shape.kind().kind)
    }

    /// The kind of the tenants.
    pub fn tenant_kind(&self) -> String {
        self.shape.kind().kind
    }

    /// The resourceVersion of the Rollout.
    pub fn rollout_version(&self) -> Option<String> {
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        self.api.look("Rollout", &self.namespace, &self.name, version)?
    }

    /// The Rollout as it is stored.
    pub fn rollout(&self) -> Option<Rollout> {
        serde_json::from_value(self.api.get("Rollout", &self.namespace, &self.name)?).ok()
    }

    /// Edits the Rollout's spec with a merge patch, as `kubectl patch` would.
    pub async fn edit(&self, spec: Value) -> Result<(), kube::Error> {
        let api: kube::Api<Rollout> = kube::Api::namespaced(self.api.client("sre"), &self.namespace);
        let patch = kube::api::Patch::Merge(json!({ "spec": spec }));
        let edited = api.patch(&self.name, &kube::api::PatchParams::default(), &patch).await?;
        if self.metrics.learn(&edited.spec).is_err() {
            tracing::debug!("an edit that the controller will refuse");
        }
        Ok(())
    }

    /// The reports of the Rollout as they are stored, in order of their names.
    pub fn reports(&self) -> Vec<Report> {
        let read = |object| serde_json::from_value::<DeviationReport>(object).ok();
        let reports = self.api.list("DeviationReport").into_iter().filter_map(read);
        let mine = reports.filter(|report| report.spec.rollout == self.name);
        let mut reports: Vec<Report> = mine
            .map(|report| Report {
                name: report.name_any(),
                spec: report.spec,
                status: report.status.unwrap_or_default(),
            })
            .collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }

    /// Answers the open reports of the Rollout, as `kubectl breakwater report --close` does; their names.
    pub async fn answer_reports(&self, investigation: &Investigation) -> Result<Vec<String>, kube::Error> {
        let api: kube::Api<DeviationReport> = kube::Api::namespaced(self.api.client("sre"), &self.namespace);
        let patch = kube::api::Patch::Merge(json!({"spec": {"investigation": investigation}}));
        let mut answered = Vec::new();
        for report in api.list(&kube::api::ListParams::default()).await? {
            let closed = report.status.as_ref().is_some_and(|status| status.closed_by.is_some());
            let is_open = !report.spec.is_answered_for("") && !closed;
            if report.spec.rollout == self.name && is_open {
                api.patch(&report.name_any(), &kube::api::PatchParams::default(), &patch).await?;
                answered.push(report.name_any());
            }
        }
        Ok(answered)
    }

    /// Asks for something by a `RolloutAction`.
    pub fn act(&mut self, verb: Verb, version: Option<&str>, wave: Option<&str>) -> Result<String, Failure> {
        self.asked += 1;
        let name = format!("rehearsal-{}", self.asked);
        let mut spec =
            json!({"rollout": self.name, "verb": verb, "reason": "rehearsed", "requestedBy": "sre"});
        match verb {
            Verb::Approve => {
                spec["version"] = version.into();
                spec["wave"] = wave.into();
            }
            Verb::Promote | Verb::Revert | Verb::Retry => spec["version"] = version.into(),
            Verb::Lift => {
                spec["subject"] = wave.into();
                spec["lifts"] = "Stop".into(); // covers a Hold as well
            }
            Verb::Acknowledge => {
                spec["version"] = version.into();
                spec["subject"] = wave.into();
            }
            Verb::Hold | Verb::Stop => {}
        }
        self.api.put(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "RolloutAction",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        }))?;
        Ok(name)
    }

    /// The API server answers nobody, or answers again.
    pub fn api_away(&self, away: bool) {
        self.away.0.store(away, Ordering::Relaxed);
        if away {
            self.api.hang_up();
        }
    }

    /// Creates tenants.
    pub fn add_tenants(&self, count: usize) -> Result<(), Failure> {
        let now = self.time.truth().as_second();
        for _ in 0..count {
            let object = {
                let mut fleet = self.fleet.lock();
                let index = fleet.add(now);
                let version = fleet.spec.version.clone();
                self.grown(&fleet.tenants[index], &version)
            };
            self.api.put(object)?;
        }
        Ok(())
    }

    /// Deletes tenants, the oldest first.
    pub fn remove_tenants(&self, count: usize) {
        let there = |tenant: &&crate::fleet::Tenant| tenant.gone_at.is_none();
        let named: Vec<(String, String)> = {
            let fleet = self.fleet.lock();
            let named = fleet.tenants.iter().filter(there).take(count);
            named.map(|tenant| (tenant.namespace.clone(), tenant.name.clone())).collect()
        };
        for (namespace, name) in named {
            self.api.remove(&self.shape.kind().kind, &namespace, &name);
        }
    }
}
