//! What older builds left in a cluster is understood: the present controller takes over in every phase and goes on.
//!
//! `tests/fixtures` says how the objects were made. Each test puts one phase's objects back as an API server held them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use breakwater_crds::{
    Outcome, Percent, RolloutStatus, Span,
    action::Verb,
    status::{Phase, Transition},
    words::{ConditionType, Verdict},
};
use breakwater_rehearsal::{
    bed::Bed,
    fleet::{Fault, FleetSpec},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// How often a test looks.
const TICK: SignedDuration = SignedDuration::from_secs(20);
/// Time after which the Lease of the controller before has run out, and the next one has looked at the fleet.
const TAKEN_OVER: SignedDuration = SignedDuration::from_mins(10);

/// The hold of every take-over under way: for the moment in which the past is read.
const READING: &str = "NoData: errors: the seven days before the wave were not read yet";

/// The objects of a phase, and a bed that holds them.
struct Scene {
    bed: Bed,
    /// The status as it was left.
    left: RolloutStatus,
    /// What was frozen.
    states: Vec<Value>,
}

/// The objects of one phase.
fn objects(phase: Phase) -> Vec<Value> {
    let root: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "tests", "fixtures", "0.1.0"].iter().collect();
    let folder = root.join(phase.as_str());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("fixtures of the phase")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| documents(file)).collect()
}

fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a fixture");
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).expect("an object")).collect()
}

/// The fleet of the fixtures: six tenants, and in the end one more.
fn fleet(objects: &[Value]) -> FleetSpec {
    let tenants = objects.iter().filter(|object| object["kind"] == "Deployment").count();
    let mut fleet = FleetSpec { tenants, ..FleetSpec::default() };
    fleet.traffic.median = 600.0;
    fleet.traffic.zipf = 0.0;
    fleet.update.ready_after = Span::seconds(60);
    fleet
}

fn status(bed: &Bed) -> RolloutStatus {
    bed.rollout().and_then(|rollout| rollout.status).unwrap_or_default()
}

/// Why nothing advances; `None` where something could.
fn held(status: &RolloutStatus) -> Option<&str> {
    status.holds(ConditionType::Held).map(|held| held.reason.as_str())
}

/// How many tenants run `version`.
fn on(bed: &Bed, version: &str) -> usize {
    let image = format!("registry.example/app:{version}");
    let runs =
        |tenant: &&Value| tenant.pointer("/spec/template/spec/containers/0/image") == Some(&json!(image));
    bed.api.list("Deployment").iter().filter(runs).count()
}

async fn until(bed: &Bed, what: &str, done: impl Fn(&Bed) -> bool) {
    let end = bed.time.elapsed() + SignedDuration::from_hours(8);
    while !done(bed) {
        assert!(bed.time.elapsed() < end, "{what}: not within eight hours: {:?}", status(bed));
        bed.time.sleep_until(bed.time.elapsed() + TICK).await;
    }
}

impl Scene {
    /// Puts a phase's objects back and lets the present controller take over; `faults` are what the versions did to the
    /// fleet before, and do.
    async fn of(phase: Phase, faults: &[(&str, Fault)]) -> Self {
        let objects = objects(phase);
        let text =
            |object: &Value, path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let lease = objects.iter().find(|object| object["kind"] == "Lease").expect("a Lease");
        let renewed =
            text(lease, "/spec/renewTime").expect("a renewal").parse::<Timestamp>().expect("a time");
        let bed = Bed::restore(&objects, &fleet(&objects), 7, renewed + SignedDuration::from_secs(1));
        let mut bed = bed.expect("a bed");
        for (version, fault) in faults {
            bed.fleet.lock().faults.insert((*version).to_owned(), fault.clone());
        }
        let left = status(&bed);
        assert_eq!(left.phase, phase);
        let states = bed.api.list("RolloutState");
        bed.start_controller().expect("a controller");
        until(&bed, "taken over", |bed| status(bed).epoch > left.epoch).await;
        let scene = Self { bed, left, states };
        scene.assert_understood();
        scene.bed.time.sleep_until(TAKEN_OVER).await;
        scene.assert_understood();
        assert_eq!(held(&status(&scene.bed)), held(&scene.left));
        scene
    }

    /// Nothing is lost, and nothing is held for being unknown.
    fn assert_understood(&self) {
        let (now, left) = (status(&self.bed), &self.left);
        let counts = &now.counts;
        let strange =
            (counts.claimed, counts.contested, counts.unreadable, counts.unconsented, counts.unmatched);
        assert_eq!((strange, counts.live), ((0, 0, 0, 0, 0), left.counts.live), "{now:?}");
        assert!(now.history.starts_with(&left.history), "the history goes on: {:?}", now.history);
        let told = now.history[left.history.len()..].iter();
        let hold = |one: &&Transition| matches!(one.reason.as_str(), "Held" | "Blind" | "SpecRefused");
        let holds: Vec<&Transition> = told.filter(hold).filter(|one| one.message != READING).collect();
        assert!(holds.is_empty(), "{holds:?}");
        assert_eq!((&now.stable_version, &now.rejected), (&left.stable_version, &left.rejected));
        assert_eq!(now.soaked_days.len(), left.soaked_days.len());
    }

    /// An hour later the phase is what it was, and no tenant was written.
    async fn stays(&self) {
        self.bed.time.sleep_until(self.bed.time.elapsed() + SignedDuration::from_hours(1)).await;
        self.assert_understood();
        assert_eq!((status(&self.bed).phase, self.bed.tenant_writes()), (self.left.phase, 0));
    }

    async fn reaches(&self, phase: Phase) {
        until(&self.bed, phase.as_str(), |bed| status(bed).phase == phase).await;
    }

    /// The versions that were reported, and what became of each.
    fn reports(&self) -> Vec<(String, Option<Outcome>)> {
        self.bed.reports().into_iter().map(|report| (report.spec.version, report.status.outcome)).collect()
    }
}

/// A version whose requests fail as those of 1.2.0 and 1.3.0 did.
fn failing() -> Fault {
    Fault { errors: Some(Percent::of_ratio(0.4)), ..Fault::default() }
}

/// A version on which half of the tenants do not get ready, as it was with 1.1.0 after 1.3.0.
fn crashing() -> Fault {
    Fault { crash_loop: Some(Percent::of_ratio(0.5)), ..Fault::default() }
}

fn play(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(story);
    runtime.shutdown_background();
}

#[test]
fn r33_an_adoption_that_waits_goes_on_waiting_and_takes_its_approval() {
    play(async {
        let mut scene = Scene::of(Phase::Adopting, &[]).await;
        scene.stays().await;
        scene.bed.act(Verb::Approve, Some("1.1.0"), Some("first")).expect("an action");
        until(&scene.bed, "the first wave: 40% of 6", |bed| on(bed, "1.1.0") == 2).await;
    });
}

#[test]
fn r24_a_version_that_waits_for_an_owner_starts_once_it_is_released() {
    play(async {
        let scene = Scene::of(Phase::Pending, &[]).await;
        scene.stays().await;
        assert_eq!(status(&scene.bed).counts.not_released, 1);
        let released = json!({"tenants": {"takeFrom": ["helm", "argocd-controller"]}});
        scene.bed.edit(released).await.expect("an edit");
        until(&scene.bed, "the first wave: 40% of 6", |bed| on(bed, "1.2.0") == 2).await;
    });
}

#[test]
fn r28_a_wave_that_is_half_written_is_completed() {
    play(async {
        let scene = Scene::of(Phase::Advancing, &[]).await;
        scene.reaches(Phase::Soaking).await;
        assert_eq!((on(&scene.bed, "1.1.0"), scene.bed.tenant_writes()), (3, 2), "one was written before");
        let (now, left) = (status(&scene.bed), &scene.left);
        assert_eq!((now.started_at, now.waves[0].started_at), (left.started_at, left.waves[0].started_at));
        assert_eq!(now.waves[0].approved_before, left.waves[0].approved_before);
    });
}

#[test]
fn r28_a_soak_goes_on_where_it_was_and_what_was_frozen_is_read_back() {
    play(async {
        let scene = Scene::of(Phase::Soaking, &[]).await;
        let (now, left) = (status(&scene.bed), &scene.left);
        let soaked = now.waves[0].soaked_seconds - left.waves[0].soaked_seconds;
        assert!((0..=TAKEN_OVER.as_secs()).contains(&soaked), "{soaked} s");
        assert_eq!(now.slos[0].definition, left.slos[0].definition);
        assert!(!now.slos[0].is(Verdict::Uncalibrated), "{}", now.slos[0].message);
        scene.reaches(Phase::AwaitingApproval).await;
        assert_eq!(
            (scene.bed.api.list("RolloutState"), scene.bed.tenant_writes()),
            (scene.states.clone(), 0)
        );
    });
}

#[test]
fn r1_a_wave_that_waits_for_its_approval_goes_on_waiting_and_takes_it() {
    play(async {
        let mut scene = Scene::of(Phase::AwaitingApproval, &[]).await;
        scene.stays().await;
        scene.bed.act(Verb::Approve, Some("1.1.0"), Some("rest")).expect("an action");
        scene.reaches(Phase::Completed).await;
        assert_eq!((on(&scene.bed, "1.1.0"), scene.bed.tenant_writes()), (6, 3));
    });
}

#[test]
fn r10_the_last_watch_ends_in_completion() {
    play(async {
        let scene = Scene::of(Phase::Watching, &[]).await;
        scene.reaches(Phase::Completed).await;
        let now = status(&scene.bed);
        assert_eq!((now.stable_version.as_deref(), scene.bed.tenant_writes()), (Some("1.1.0"), 0));
    });
}

#[test]
fn r17_a_completed_rollout_stays_without_a_single_write() {
    play(async { Scene::of(Phase::Completed, &[]).await.stays().await });
}

#[test]
fn r18_a_revert_is_carried_through() {
    play(async {
        let scene = Scene::of(Phase::Reverting, &[("1.2.0", failing())]).await;
        scene.reaches(Phase::Reverted).await;
        assert_eq!((on(&scene.bed, "1.2.0"), scene.bed.tenant_writes()), (0, 1), "two were back before");
        assert_eq!(scene.reports(), [("1.2.0".into(), Some(Outcome::Reverted))]);
    });
}

#[test]
fn r20_a_verification_ends() {
    play(async {
        let scene = Scene::of(Phase::Verifying, &[("1.2.0", failing())]).await;
        scene.reaches(Phase::Reverted).await;
        assert_eq!(scene.reports(), [("1.2.0".into(), Some(Outcome::Reverted))]);
        assert_eq!(scene.bed.tenant_writes(), 0);
    });
}

#[test]
fn r19_a_version_that_was_taken_out_stays_out() {
    play(async {
        let scene = Scene::of(Phase::Reverted, &[("1.2.0", failing())]).await;
        scene.stays().await;
        assert_eq!(status(&scene.bed).rejected, ["1.2.0"]);
    });
}

#[test]
fn r18_who_did_not_come_back_stays_listed() {
    play(async {
        let faults = [("1.1.0", crashing()), ("1.2.0", failing()), ("1.3.0", failing())];
        let scene = Scene::of(Phase::RevertedPartly, &faults).await;
        scene.stays().await;
        let (now, left) = (status(&scene.bed), &scene.left);
        assert_eq!((&now.troubled, now.counts.failed), (&left.troubled, left.counts.failed));
        let (partly, whole) = (Some(Outcome::RevertedPartly), Some(Outcome::Reverted));
        assert_eq!(scene.reports(), [("1.3.0".into(), partly), ("1.2.0".into(), whole)]);
    });
}
