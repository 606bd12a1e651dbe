//! A whole small world around the planner: tenants, an executor, a status store, a Prometheus, a clock. Pure.
//!
//! Every plan that is made here is checked: against the oracles of `oracles.rs`, and by planning again on its result.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use breakwater_crds::{
    DeviationReportSpec, DeviationReportStatus, RolloutSpec, RolloutStatus,
    action::{ActionResult, RolloutActionSpec, Verb},
    marker::stable_hash,
    report::{Investigation, InvestigationState},
    status::{Phase, Transition},
};
use breakwater_plan::{
    Observed, Plan,
    frozen::{self, Freeze, Stored, Thawed},
    observed::{
        Action, Asked, Cause, Claim, Clock, Elsewhere, Fleet, Job, JobState, Listing, Marker, Measured,
        ObjectFacts, Readiness, Reading, Report, SloReading, Tenant,
    },
    outcome::{JobWrite, Purpose, Write},
    plan,
    release::{Release, Soaked},
    spec::Checked,
    study::Studied,
    trace::Trace,
};
use breakwater_slo::{Learned, Profile, State, TenantId};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::oracles;

mod prometheus;

/// The hub that the controller runs in.
pub const HUB: &str = "hub";
pub const STEP_SECONDS: i64 = 60;
pub const LAG_SECONDS: i64 = 90;
/// Bucket edges beside a latency's threshold of 500 ms, in seconds.
pub const SLOWER_EDGES: [f64; 4] = [0.1, 0.25, 1.0, 2.5];
/// Requests of one tenant in one step.
const REQUESTS: f64 = 1_000.0;

pub fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

pub fn minutes(n: i64) -> SignedDuration {
    seconds(60 * n)
}

/// A tenant and what it will do.
#[derive(Debug, Clone)]
pub struct Sim {
    pub tenant: Tenant,
    /// When it will be ready; `None`: never.
    pub ready_at: Option<Timestamp>,
    /// Versions and since when, oldest first: Prometheus remembers.
    pub versions: Vec<(Timestamp, Arc<str>)>,
}

impl Sim {
    pub fn version(&self) -> &str {
        self.tenant.version.version().map_or("", |version| version)
    }

    fn version_at(&self, at: Timestamp) -> Option<&str> {
        self.versions.iter().rev().find(|(since, _)| *since <= at).map(|(_, version)| &**version)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.tenant.readiness, Readiness::Ready { .. })
    }

    pub fn touch(&mut self) {
        let version: u64 = self.tenant.object.resource_version.parse().unwrap();
        self.tenant.object.resource_version = (version + 1).to_string().into();
        self.tenant.confirmed = false;
    }
}

/// How a version behaves.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// Share of bad requests.
    pub errors: f64,
    /// Seconds until ready; `None`: never.
    pub ready_after: Option<i64>,
}

/// When the SLOs were looked at as they are.
#[derive(Debug, Clone, Copy)]
pub enum LookedAt {
    Never,
    /// A moment ago, whenever it is asked.
    Now,
    At(Timestamp),
}

pub struct World {
    pub now: Timestamp,
    /// When the present controller's term began.
    pub led_since: Timestamp,
    /// The wall clock right after its last step.
    pub stepped_to: Option<Timestamp>,
    pub created_at: Timestamp,
    pub json: Value,
    pub spec: Checked,
    pub refused: Option<String>,
    pub generation: i64,
    pub epoch: i64,
    /// What is stored in the API, and what the controller carries in memory.
    pub status: RolloutStatus,
    pub sims: Vec<Sim>,
    pub actions: Vec<Action>,
    pub answers: BTreeMap<String, (ActionResult, String)>,
    pub reports: Vec<Report>,
    pub listing: Listing,
    pub stopped: Option<String>,
    pub in_flight: HashSet<TenantId>,
    pub problems: HashMap<TenantId, String>,
    pub causes: HashMap<TenantId, Cause>,
    /// Releases, assessed.
    pub releases: Vec<Release>,
    /// Why they cannot be listed.
    pub releases_unread: Option<String>,
    /// Why what is known of them is not what the API has.
    pub releases_behind: Option<String>,
    /// What the Rollout of `gates.soak` has soaked.
    pub soaked: Option<Result<Soaked, String>>,
    /// Jobs, as the API has them.
    pub jobs: HashMap<TenantId, Vec<Job>>,
    /// What becomes of a Job at the next turn.
    pub job_ends: JobState,
    /// Whom Jobs were made for, in order.
    pub job_names: Vec<String>,
    /// What a look-up of any tenant's cause finds.
    pub cause: Cause,
    /// Alerts that fire.
    pub firing: Vec<String>,
    /// People answer every report before the next turn.
    pub answers_reports: bool,
    judges: Vec<Option<State>>,
    traces: Vec<Option<Arc<Trace>>>,
    histories: Vec<Timestamp>,
    studies: HashMap<Timestamp, Result<Arc<Studied>, String>>,
    /// `RolloutStates`, as the API has them.
    pub states: Vec<Stored>,
    /// How many of a wave's objects are stored before the controller dies; `None`: all of them.
    pub stores_states: Option<usize>,
    /// They cannot be read.
    pub states_unread: bool,
    /// Prometheus has forgotten every week before.
    pub forgotten: bool,
    /// What a look at the past comes to.
    pub learned: Result<Learned, String>,
    watch_since: Option<Timestamp>,
    /// Up to where steps were handed over, by SLO.
    fetched: Vec<Option<i64>>,
    pub behaviours: BTreeMap<String, Behaviour>,
    /// By version the share of requests above each of the edges; `None`: it has no such edge. Empty: no edge is read.
    pub slower: BTreeMap<String, [Option<f64>; 4]>,
    /// The edges that steps come with.
    pub slower_edges: Vec<f64>,
    /// Intervals in which Prometheus could not be read; what was missed is fetched at their end.
    pub outages: Vec<(Timestamp, Timestamp)>,
    /// Seconds by which an SLO's steps are read later than the others', within what is on time.
    pub delays: Vec<i64>,
    /// Tenants whose series are gone.
    pub silent: BTreeSet<TenantId>,
    /// Tenants that burned in the seven days before.
    pub burned_before: BTreeSet<TenantId>,
    /// Tenants that a version fails for, and how much of their requests.
    pub ailing: BTreeMap<TenantId, (String, f64)>,
    /// Tenants without series, ever.
    pub uninstrumented: BTreeSet<TenantId>,
    /// When the SLOs were looked at as they are.
    pub looked_at: LookedAt,
    pub transitions: Vec<Transition>,
    pub writes: Vec<(Timestamp, Purpose, String, String)>,
    pub last: Option<Plan>,
    /// Whether writes are carried out; else they are lost.
    pub executes: bool,
    /// Longest time between two turns.
    pub pace: SignedDuration,
    actions_made: usize,
}

/// A valid spec: two selector waves and the rest, minutes in place of days.
pub fn spec(version: &str) -> Value {
    json!({
        "version": version,
        "adopt": "Start",
        "tenants": {"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}, "warmUp": "2m", "progressDeadline": "10m"},
        "waves": [
            {"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "20m", "maxConcurrent": 2},
            {"name": "two", "selector": {"matchLabels": {"ring": "1"}}, "soak": "20m", "maxConcurrent": 2},
            {"name": "rest", "soak": "20m", "maxConcurrent": "50%"},
        ],
        "watchAfter": "30m",
        "slos": [{"name": "api-errors", "errors": {"bad": "errors_total", "total": "requests_total"}, "objective": "99%",
                  "tenantLabels": ["tenant"], "step": "1m"}],
        "judge": {"comparison": "Disabled"},
        "revert": {"maxConcurrent": 3, "verifyFor": "10m", "tenantDeadline": "10m"},
    })
}

/// What a quiet past teaches.
pub fn learned() -> Learned {
    Learned {
        phi: 1.25,
        phi_tenant: 1.25,
        phi_past: 1.25,
        phi_traffic: 1.25,
        shape: None,
        profile: week(),
        doubt: None,
        detectable: None,
        replayed: 1_000,
    }
}

/// Twenty tenants that had 0.4 % errors all week, in stretches of ten minutes: seconds, bad, exposure, good, usual.
fn week() -> Profile {
    let requests = 20.0 * 10.0 * REQUESTS;
    let stretch = [600.0, requests * 0.004, requests * 0.001, requests * 0.996, requests];
    serde_json::from_value(json!({"stretches": vec![stretch; 1_008]})).unwrap()
}

/// `base` with the members of `patch` in place of its own; null removes.
pub fn merged(mut base: Value, patch: Value) -> Value {
    if let (Value::Object(base), Value::Object(patch)) = (&mut base, patch) {
        for (key, value) in patch {
            if value.is_null() {
                base.remove(&key);
            } else {
                let old = base.remove(&key).filter(|old| old.is_object() && value.is_object());
                base.insert(key, old.map_or(value.clone(), |old| merged(old, value)));
            }
        }
    }
    base
}

pub fn checked(json: &Value) -> Checked {
    let spec: RolloutSpec = serde_json::from_value(json.clone()).unwrap();
    Checked::parse(&spec).unwrap()
}

/// A tenant that is ready at `version` since long ago.
pub fn sim(name: &str, ring: Option<u8>, version: &str, now: Timestamp) -> Sim {
    let since = now - SignedDuration::from_hours(24 * 30);
    let version: Arc<str> = version.into();
    Sim {
        tenant: Tenant {
            id: TenantId(stable_hash(&["ops", "app", "tenants", name])),
            namespace: "tenants".into(),
            name: name.into(),
            object: ObjectFacts {
                uid: format!("uid-{name}").into(),
                resource_version: "1".into(),
                ..ObjectFacts::default()
            },
            metric_id: None,
            version: Reading::Version(version.clone()),
            selected: true,
            selector_wave: ring,
            excluded: false,
            dormant: false,
            terminating: false,
            consented: true,
            readiness: Readiness::Ready { since },
            marker: None,
            foreign_owner: None,
            confirmed: false,
        },
        ready_at: Some(since),
        versions: vec![(since, version)],
    }
}

impl World {
    /// Tenants `a..` in ring 0, `b..` in ring 1, `c..` in none, all on 1.0.0.
    pub fn new(json: Value, rings: [usize; 3]) -> Self {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let names = |letter: char, n: usize, ring: Option<u8>| {
            (0..n).map(move |i| sim(&format!("{letter}{i}"), ring, "1.0.0", now)).collect::<Vec<_>>()
        };
        let sims = [names('a', rings[0], Some(0)), names('b', rings[1], Some(1)), names('c', rings[2], None)]
            .concat();
        let spec = checked(&json);
        let slos = spec.spec.slos.len();
        let good = Behaviour { errors: 0.001, ready_after: Some(30) };
        let bad = Behaviour { errors: 0.5, ..good };
        let behaviours = [("1.0.0", good), ("2.0.0", good), ("3.0.0", good), ("6.6.6", bad)];
        Self {
            now,
            led_since: now,
            stepped_to: None,
            created_at: now,
            json,
            spec,
            refused: None,
            generation: 1,
            epoch: 7,
            status: RolloutStatus::default(),
            sims,
            actions: Vec::new(),
            answers: BTreeMap::new(),
            reports: Vec::new(),
            listing: Listing::Complete,
            stopped: None,
            in_flight: HashSet::new(),
            problems: HashMap::new(),
            causes: HashMap::new(),
            releases: Vec::new(),
            releases_unread: None,
            releases_behind: None,
            soaked: None,
            jobs: HashMap::new(),
            job_ends: JobState::Succeeded,
            job_names: Vec::new(),
            cause: Cause::Unknown,
            firing: Vec::new(),
            answers_reports: false,
            judges: vec![None; slos],
            traces: vec![None; slos],
            histories: Vec::new(),
            studies: HashMap::new(),
            states: Vec::new(),
            stores_states: None,
            states_unread: false,
            forgotten: false,
            learned: Ok(learned()),
            watch_since: None,
            fetched: vec![None; slos],
            behaviours: behaviours.into_iter().map(|(version, how)| (version.to_owned(), how)).collect(),
            slower: BTreeMap::new(),
            slower_edges: SLOWER_EDGES.to_vec(),
            outages: Vec::new(),
            delays: Vec::new(),
            silent: BTreeSet::new(),
            burned_before: BTreeSet::new(),
            ailing: BTreeMap::new(),
            uninstrumented: BTreeSet::new(),
            looked_at: LookedAt::Now,
            transitions: Vec::new(),
            writes: Vec::new(),
            last: None,
            executes: true,
            pace: minutes(4),
            actions_made: 0,
        }
    }

    /// Three in ring 0, four in ring 1, six more.
    pub fn usual(version: &str) -> Self {
        Self::new(spec(version), [3, 4, 6])
    }

    pub fn edit(&mut self, patch: Value) {
        self.json = merged(self.json.take(), patch);
        let old = std::mem::replace(&mut self.spec, checked(&self.json));
        self.generation += 1;
        if old.definitions != self.spec.definitions {
            self.forget_judges();
        }
    }

    fn forget_judges(&mut self) {
        let slos = self.spec.spec.slos.len();
        (self.judges, self.fetched) = (vec![None; slos], vec![None; slos]);
        self.traces = vec![None; slos];
    }

    /// The controller starts anew: nothing but the API is left.
    pub fn restart(&mut self) {
        self.forget_judges();
        self.histories.clear();
        self.studies.clear();
        self.causes.clear();
        self.in_flight.clear();
        self.epoch += 1;
        (self.led_since, self.stepped_to) = (self.now, None);
        for sim in &mut self.sims {
            if let Readiness::Ready { since } = &mut sim.tenant.readiness {
                *since = self.now;
            }
        }
    }

    pub fn sim(&mut self, name: &str) -> &mut Sim {
        self.sims.iter_mut().find(|sim| &*sim.tenant.name == name).unwrap()
    }

    pub fn version_of(&self, name: &str) -> &str {
        self.sims.iter().find(|sim| &*sim.tenant.name == name).unwrap().version()
    }

    pub fn on(&self, version: &str) -> usize {
        self.sims.iter().filter(|sim| sim.version() == version).count()
    }

    /// Names of tenants on a version.
    pub fn names_on(&self, version: &str) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.sims.iter().filter(|sim| sim.version() == version).map(|sim| &*sim.tenant.name).collect();
        names.sort_unstable();
        names
    }

    /// A version fails for one tenant.
    pub fn ail(&mut self, name: &str, version: &str, errors: f64) {
        let id = self.sim(name).tenant.id;
        self.ailing.insert(id, (version.into(), errors));
    }

    /// Somebody else sets a tenant's version.
    pub fn set_version(&mut self, name: &str, version: &str) {
        let now = self.now;
        let sim = self.sim(name);
        sim.tenant.version = Reading::Version(version.into());
        sim.versions.push((now, version.into()));
        sim.touch();
    }

    pub fn act(&mut self, verb: Verb, patch: Value) -> String {
        self.actions_made += 1;
        let name = format!("act-{}", self.actions_made);
        let mut base = json!({"rollout": "app", "verb": verb.as_str(), "requestedBy": "ada"});
        if verb == Verb::Lift {
            base["lifts"] = json!("Stop"); // which lifts a Hold as well
        }
        let spec: RolloutActionSpec = serde_json::from_value(merged(base, patch)).unwrap();
        self.actions.push(Action {
            uid: format!("uid-{name}"),
            name: name.clone(),
            created_at: self.now,
            spec,
        });
        name
    }

    /// Somebody writes a report that rejects a version.
    pub fn reject(&mut self, version: &str) {
        let name = format!("app-by-hand-{version}");
        let spec =
            DeviationReportSpec { rollout: "app".into(), version: version.into(), investigation: None };
        self.reports.retain(|report| report.name != name); // names are unique: this one is made anew
        self.reports.push(Report { name, spec, status: DeviationReportStatus::default() });
    }

    /// People answer every report.
    pub fn answer_reports(&mut self) {
        let state = InvestigationState::Attributed;
        for report in &mut self.reports {
            report.spec.investigation = Some(Investigation { state, ..Investigation::default() });
        }
    }

    pub fn told(&self, reason: &str) -> usize {
        self.transitions.iter().filter(|told| told.reason.as_str() == reason).count()
    }

    pub fn condition(&self, type_: &str) -> (bool, String) {
        let found =
            self.status.conditions.iter().find(|condition| condition.type_.as_str() == type_).unwrap();
        (found.status == breakwater_crds::status::ConditionStatus::True, found.reason.clone())
    }

    /// What the controller observes now, but for the telemetry.
    fn observe<'a>(
        &'a self,
        tenants: &'a [Tenant],
        readings: &'a [SloReading],
        status: &'a RolloutStatus,
        reports: &'a [Report],
        kept: &'a Thawed,
    ) -> Observed<'a> {
        Observed {
            asked: Asked {
                namespace: "ops",
                name: "app",
                created_at: self.created_at,
                generation: self.generation,
                spec: &self.spec,
                refused: self.refused.as_deref(),
                revision: Some("app-1"),
                actions: &self.actions,
                stopped: self.stopped.as_deref(),
            },
            status,
            clock: Clock { began: self.led_since, stepped_to: self.stepped_to },
            epoch: self.epoch,
            hub: HUB,
            fleet: Fleet {
                listing: self.listing.clone(),
                tenants,
                in_flight: &self.in_flight,
                problems: &self.problems,
                causes: &self.causes,
                jobs: &self.jobs,
            },
            measured: Measured {
                readings,
                firing: &self.firing,
                kept: (!self.states_unread).then_some(kept),
            },
            elsewhere: Elsewhere {
                reports,
                releases: &self.releases,
                releases_unread: self.releases_unread.as_deref(),
                releases_behind: self.releases_behind.as_deref(),
                soaked: self.soaked.as_ref(),
            },
        }
    }

    /// Plans once, checks the plan, and plans again until nothing changes, as the controller would before any write
    /// has had an effect. The first and the last plan are the same but for what the decision itself leads to.
    pub fn think(&mut self) -> Plan {
        let tenants: Vec<Tenant> = self.sims.iter().map(|sim| sim.tenant.clone()).collect();
        let kept = frozen::thaw(&self.states, &self.spec, &self.status);
        let mut readings = self.readings();
        if !self.states_unread {
            kept.lend(&mut readings);
        }
        let observed = self.observe(&tenants, &readings, &self.status, &self.reports, &kept);
        let first = plan(&observed, self.now);
        oracles::check(&observed, &first, self.now);
        let (mut last, mut reports) = (first.clone(), self.reports.clone());
        let mut told = first.transitions.clone();
        let mut settled = false;
        for _ in 0..4 {
            store(&mut reports, &last);
            for (i, reading) in readings.iter_mut().enumerate() {
                let until = last.read_until_seconds(i);
                reading.steps.retain(|step| until.is_none_or(|until| step.end_seconds > until));
                reading.recent.clear();
                reading.state = Some(last.judges[i].clone());
                reading.trace = Some(last.traces[i].clone());
            }
            let observed = self.observe(&tenants, &readings, &last.status, &reports, &kept);
            let next = plan(&observed, self.now);
            oracles::check(&observed, &next, self.now);
            settled = next.transitions.is_empty()
                && next.status == last.status
                && next.writes == last.writes
                && next.jobs == last.jobs
                && !next.decided;
            told.extend(next.transitions.iter().cloned());
            last = next;
            if settled {
                break;
            }
        }
        let (changes, summary, message) = (&last.transitions, &last.status.summary, &last.status.message);
        assert!(
            settled,
            "planning again and again changes: {changes:?} {} writes, {summary}: {message}",
            last.writes.len()
        );
        self.remember(&last, &told);
        self.reports = reports;
        last
    }

    fn remember(&mut self, plan: &Plan, told: &[Transition]) {
        self.status = plan.status.clone();
        self.transitions.extend_from_slice(told);
        self.watch_since = plan.watch_since;
        self.histories.clone_from(&plan.history_wanted);
        if let Some(study) = &plan.study {
            let studied = self
                .learned
                .clone()
                .map(|learned| Arc::new(Studied { learned, members: study.members.clone() }));
            self.studies.insert(study.wave_started_at, studied);
        }
        self.store_states(plan);
        if plan.watch_since.is_none() {
            self.forget_judges();
        }
        for (i, judge) in plan.judges.iter().enumerate().filter(|_| plan.watch_since.is_some()) {
            self.fetched[i] = plan.read_until_seconds(i).or(self.fetched[i]);
            self.judges[i] = Some(judge.clone());
            self.traces[i] = Some(plan.traces[i].clone());
        }
        for result in &plan.results {
            let status = &result.status;
            self.answers.insert(result.name.clone(), (status.result.unwrap(), status.message.clone()));
            self.actions.retain(|action| action.uid != result.uid);
        }
        for id in &plan.confirm {
            if let Some(sim) = self.sims.iter_mut().find(|sim| sim.tenant.id == *id) {
                sim.tenant.confirmed = true;
            }
        }
        self.causes.retain(|id, _| plan.diagnose.contains(id));
        self.causes.extend(plan.diagnose.iter().map(|id| (*id, self.cause.clone())));
        self.last = Some(plan.clone());
    }

    /// Forgets and stores what a plan says, as the controller does after everything else.
    fn store_states(&mut self, plan: &Plan) {
        self.states.retain(|(name, _)| !plan.outlived.contains(name));
        let shards = plan.freeze.iter().flat_map(Freeze::shards);
        for shard in shards.take(self.stores_states.unwrap_or(usize::MAX)) {
            if self.states.iter().all(|(name, _)| *name != shard.name) {
                self.states.push((shard.name, shard.spec));
            }
        }
    }

    /// Plans, stores and writes until nothing more is to be done at this instant.
    pub fn turn(&mut self) {
        for _ in 0..20 {
            let known = self.histories.clone();
            if self.answers_reports {
                self.answer_reports();
            }
            let plan = self.think();
            let writable = plan.writes.iter().any(|write| !self.problems.contains_key(&write.tenant.id));
            let busy = !plan.confirm.is_empty()
                || !plan.diagnose.is_empty() && self.causes.is_empty()
                || known != self.histories;
            if self.executes {
                self.execute(&plan.writes);
                self.make_jobs(&plan);
            }
            let works = writable || !plan.jobs.is_empty();
            if !(busy || works && self.executes) {
                return;
            }
        }
    }

    /// Makes Jobs as the executor would: one for each errand.
    fn make_jobs(&mut self, plan: &Plan) {
        for JobWrite { tenant, errand } in &plan.jobs {
            let jobs = self.jobs.entry(tenant.id).or_default();
            if jobs.iter().all(|job| job.errand != *errand) {
                jobs.push(Job { errand: errand.clone(), state: JobState::Running });
                self.job_names.push(tenant.name.to_string());
            }
        }
    }

    /// Jobs that run end as `job_ends` says.
    fn settle_jobs(&mut self) {
        for job in self.jobs.values_mut().flatten().filter(|job| job.state == JobState::Running) {
            job.state = self.job_ends.clone();
        }
    }

    /// Carries writes out as the executor would: guarded, with the marker; what admission refuses stays as it is.
    pub fn execute(&mut self, writes: &[Write]) {
        for write in writes {
            if !self.problems.contains_key(&write.tenant.id) {
                self.apply(write);
            }
        }
    }

    pub fn apply(&mut self, write: &Write) {
        let how = self.behaviours.get(&*write.version).copied();
        let (now, asleep) = (self.now, write.tenant.dormant);
        let Some(sim) = self.sims.iter_mut().find(|sim| sim.tenant.id == write.tenant.id) else { return };
        if sim.tenant.object != write.tenant.object {
            return; // a conflict
        }
        sim.tenant.version = Reading::Version(write.version.clone());
        let marker = Marker { written_at: write.marker.written_at.max(now), ..write.marker.clone() };
        sim.tenant.marker = Some(Box::new(marker));
        sim.tenant.readiness = Readiness::NotReady { reason: "0 of 1 replicas updated".into() };
        let after = how.map_or(Some(30), |how| how.ready_after).filter(|_| !asleep);
        sim.ready_at = after.map(|after| now + seconds(after));
        sim.versions.push((now, write.version.clone()));
        sim.touch();
        self.writes.push((now, write.purpose, write.tenant.name.to_string(), write.version.to_string()));
    }

    /// Lets time pass: tenants become ready, then the controller takes its turn.
    pub fn pass(&mut self, by: SignedDuration) {
        self.now += by;
        self.settle_tenants();
        self.settle_jobs();
        self.turn();
    }

    pub fn settle_tenants(&mut self) {
        for sim in &mut self.sims {
            let ready = sim.ready_at.filter(|at| *at <= self.now);
            match (&sim.tenant.readiness, ready) {
                (Readiness::NotReady { .. }, Some(since)) => {
                    sim.tenant.readiness = Readiness::Ready { since };
                    sim.touch();
                }
                (Readiness::Ready { .. } | Readiness::NotReady { .. }, _) => {}
            }
        }
    }

    /// A ready tenant stops being ready for so long.
    pub fn disturb(&mut self, name: &str, for_: Option<SignedDuration>) {
        let now = self.now;
        let sim = self.sim(name);
        sim.ready_at = for_.map(|for_| now + for_);
        sim.tenant.readiness = Readiness::NotReady { reason: "0 of 1 replicas available".into() };
        sim.touch();
    }

    /// Passes time in steps, to what the plan waits for or a tenant's next change, until `done`.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        self.until_within(what, minutes(60 * 24), done);
    }

    pub fn until_within(&mut self, what: &str, limit: SignedDuration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        self.turn();
        while !done(self) {
            assert!(
                self.now < end,
                "{what}: not within {limit:?}: {:?} {}",
                self.status.summary,
                self.status.message
            );
            let wake = self.last.as_ref().and_then(|plan| plan.wake_at).filter(|at| *at > self.now);
            let ready = self.sims.iter().filter(|sim| !sim.is_ready()).filter_map(|sim| sim.ready_at);
            let next = ready.chain(wake).filter(|at| *at > self.now).min();
            let by = next.map_or(self.pace, |at| at.duration_since(self.now)).min(self.pace);
            self.pass(by);
        }
    }

    pub fn until_phase(&mut self, phase: Phase) {
        self.until(phase.as_str(), |world| world.status.phase == phase);
    }

    /// Until a wave is in a phase.
    pub fn until_wave(&mut self, wave: &str, phase: Phase) {
        self.until(wave, |world| world.status.wave.as_deref() == Some(wave) && world.status.phase == phase);
    }

    pub fn marker(&mut self, name: &str) -> Marker {
        *self.sim(name).tenant.marker.clone().unwrap()
    }
}

/// Puts a plan's reports into the store, as the API server does: of one that is there the status alone is written.
pub fn store(reports: &mut Vec<Report>, plan: &Plan) {
    for write in &plan.reports {
        let (name, spec, status) = (write.name.clone(), write.spec.clone(), write.status.clone());
        match reports.iter_mut().find(|known| known.name == name) {
            Some(known) => known.status = status,
            None => reports.push(Report { name, spec, status }),
        }
    }
}

/// A marker of this Rollout, as an earlier controller left it.
pub fn marker(target: &str, previous: &str, wave: &str, written_at: Timestamp) -> Marker {
    let (target, previous, wave) = (target.into(), previous.into(), wave.into());
    Marker { claim: Claim::Own, target, previous, wave, written_at, epoch: 1, ready_before: true }
}
