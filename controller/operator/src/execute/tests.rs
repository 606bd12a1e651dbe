//! Pipelines against a fleet in memory, on a paused clock.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use breakwater_plan::observed::{Claim, Marker, ObjectFacts, Readiness};
use kube::core::{Status, response::StatusDetails};
use tokio::{sync::Notify, time::sleep};

use super::*;
use crate::{
    lease::{Fence, Guard},
    tasks::Tasks,
};

const LATENCY: Duration = Duration::from_millis(10);
const EPOCH: i64 = 7;

/// A write of tenant `id`: from `1` to `2`, or back.
pub(super) fn write(id: u64, purpose: Purpose) -> Write {
    let version = match purpose {
        Purpose::Advance => "2",
        Purpose::Revert => "1",
    };
    let marker = |target: &str| Marker {
        claim: Claim::Own,
        target: target.into(),
        previous: "1".into(),
        wave: "early".into(),
        written_at: Timestamp::from_second(1_700_000_000).expect("in range"),
        epoch: 0,
        ready_before: true,
    };
    let tenant = match purpose {
        Purpose::Advance => tenant(id, "1", None),
        Purpose::Revert => tenant(id, "2", Some(marker("2"))),
    };
    Write { tenant, version: version.into(), marker: marker(version), purpose }
}

fn tenant(id: u64, version: &str, marker: Option<Marker>) -> Tenant {
    Tenant {
        id: TenantId(id),
        namespace: "fleet".into(),
        name: format!("tenant-{id}").into(),
        object: ObjectFacts {
            uid: format!("uid-{id}").into(),
            resource_version: "1".into(),
            ..ObjectFacts::default()
        },
        metric_id: None,
        version: Reading::Version(version.into()),
        selected: true,
        selector_wave: None,
        excluded: false,
        dormant: false,
        terminating: false,
        consented: true,
        readiness: Readiness::Ready { since: Timestamp::UNIX_EPOCH },
        marker: marker.map(Box::new),
        foreign_owner: None,
        confirmed: false,
    }
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq)]
enum Fault {
    /// A code, and `Retry-After`.
    Code(u16, u32),
    /// Committed, then no answer.
    HangAfterCommit,
    /// Not committed, and no answer.
    Reset,
    /// A rival writes something else than the version first.
    Touch,
    /// A rival writes the version first.
    Rival,
    Delete,
    Recreate,
    /// Admission makes another value of it.
    Mirror,
    Panic,
}

#[derive(Default)]
struct State {
    tenants: HashMap<TenantId, Tenant>,
    patch_faults: HashMap<TenantId, VecDeque<Fault>>,
    read_faults: HashMap<TenantId, VecDeque<Fault>>,
    /// The fault of every patch that has none of its own, while set.
    storm: Option<Fault>,
    sent: Vec<(TenantId, Purpose, i64, Instant)>,
    reads: Vec<TenantId>,
    commits: HashMap<TenantId, u32>,
    running: HashSet<TenantId>,
    peak: usize,
}

/// The tenants, as an API server keeps them.
#[derive(Default)]
struct Fleet {
    state: Mutex<State>,
}

impl Fleet {
    fn of(writes: &[Write]) -> Arc<Self> {
        let fleet = Self::default();
        fleet.add(writes);
        Arc::new(fleet)
    }

    fn add(&self, writes: &[Write]) {
        self.state().tenants.extend(writes.iter().map(|write| (write.tenant.id, write.tenant.clone())));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    fn fault(&self, id: u64, faults: &[Fault]) {
        self.state().patch_faults.insert(TenantId(id), faults.to_vec().into());
    }

    fn sent(&self) -> Vec<u64> {
        self.state().sent.iter().map(|(id, ..)| id.0).collect()
    }

    fn reads(&self) -> usize {
        self.state().reads.len()
    }

    fn commits(&self, id: u64) -> u32 {
        self.state().commits.get(&TenantId(id)).copied().unwrap_or_default()
    }

    fn change(&self, id: TenantId, change: impl FnOnce(&mut Tenant)) {
        let mut state = self.state();
        let tenant = state.tenants.get_mut(&id).expect("it exists");
        change(tenant);
        let next: u64 = tenant.object.resource_version.parse::<u64>().expect("a number") + 1;
        tenant.object.resource_version = next.to_string().into();
    }

    fn interfere(&self, id: TenantId, fault: Option<&Fault>) -> Result<(), WriteError> {
        match fault {
            Some(Fault::Code(code, retry_after)) => return Err(error(*code, *retry_after)),
            Some(Fault::Reset) => return Err(error(0, 0)),
            Some(Fault::Touch) => self.change(id, |_| ()),
            Some(Fault::Rival) => self.change(id, |tenant| tenant.version = Reading::Version("9".into())),
            Some(Fault::Recreate) => self.change(id, |tenant| tenant.object.uid = "new".into()),
            Some(Fault::Delete) => drop(self.state().tenants.remove(&id)),
            Some(Fault::Panic) => panic!("a bug in the tenants' module"),
            Some(Fault::HangAfterCommit | Fault::Mirror) | None => {}
        }
        Ok(())
    }

    fn commit(&self, write: &Write, written_at: Timestamp, mirror: bool) -> Result<Written, WriteError> {
        let id = write.tenant.id;
        match self.state().tenants.get(&id) {
            None => return Err(error(404, 0)),
            Some(tenant) if tenant.object.resource_version != write.tenant.object.resource_version => {
                return Err(error(409, 0));
            }
            Some(_) => {}
        }
        assert_eq!(write.marker.written_at, written_at);
        let value = if mirror { format!("{}-mirror", write.version).into() } else { write.version.clone() };
        self.change(id, |tenant| {
            tenant.version = Reading::Version(Arc::clone(&value));
            tenant.marker = Some(Box::new(write.marker.clone()));
        });
        *self.state().commits.entry(id).or_default() += 1;
        Ok(Written { version: Reading::Version(value) })
    }
}

fn error(code: u16, retry_after_seconds: u32) -> WriteError {
    let details = StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds,
    };
    let status = Status::failure(&format!("code {code}"), "").with_code(code).with_details(details);
    WriteError::Api { tenant: "fleet/t".into(), source: kube::Error::Api(status.boxed()) }
}

impl TenantApi for Fleet {
    fn patch<'a>(
        &'a self,
        write: &'a Write,
        written_at: Timestamp,
        _: Duration,
    ) -> BoxFuture<'a, Result<Written, WriteError>> {
        let id = write.tenant.id;
        Box::pin(async move {
            let fault = {
                let mut state = self.state();
                state.sent.push((id, write.purpose, write.marker.epoch, Instant::now()));
                assert!(state.running.insert(id), "two writes of one tenant at once");
                state.peak = state.peak.max(state.running.len());
                let own = state.patch_faults.get_mut(&id).and_then(VecDeque::pop_front);
                own.or_else(|| state.storm.clone())
            };
            let done = Done { fleet: self, id };
            sleep(LATENCY).await;
            self.interfere(id, fault.as_ref())?;
            let answer = self.commit(write, written_at, fault == Some(Fault::Mirror));
            if fault == Some(Fault::HangAfterCommit) {
                std::future::pending::<()>().await;
            }
            drop(done);
            answer
        })
    }

    fn read(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Tenant>, WriteError>> {
        Box::pin(async move {
            let fault = {
                let mut state = self.state();
                state.reads.push(id);
                state.read_faults.get_mut(&id).and_then(VecDeque::pop_front)
            };
            sleep(LATENCY).await;
            self.interfere(id, fault.as_ref())?;
            Ok(self.state().tenants.get(&id).cloned())
        })
    }
}

/// Ends a request, however it ends.
struct Done<'a> {
    fleet: &'a Fleet,
    id: TenantId,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // The panicking test's request never holds the lock.
        self.fleet.state().running.remove(&self.id);
    }
}

/// A lease that a test holds.
struct Held {
    fence: Mutex<Option<(i64, Option<Instant>)>>,
}

impl Held {
    fn set(&self, fence: Option<(i64, Option<Instant>)>) {
        *self.fence.lock().expect("whole") = fence;
    }
}

impl Guard for Held {
    fn guard(&self) -> Option<Fence> {
        let (epoch, until) = (*self.fence.lock().expect("whole"))?;
        let valid_until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(8));
        (Instant::now() < valid_until).then_some(Fence { epoch, valid_until })
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Meter for Counts {
    fn sent(&self, _: Purpose) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    fn settled(&self, _: Purpose, outcome: &Outcome, _: Duration) {
        self.outcomes.lock().expect("whole").push(outcome.clone());
    }
}

struct Bed {
    fleet: Arc<Fleet>,
    lease: Arc<Held>,
    counts: Arc<Counts>,
    executor: Executor,
    pipeline: Pipeline,
    wake: Arc<Notify>,
}

fn bed(writes: &[Write]) -> Bed {
    let fleet = Fleet::of(writes);
    let lease = Arc::new(Held { fence: Mutex::new(Some((EPOCH, None))) });
    let counts = Arc::new(Counts::default());
    let began = Instant::now();
    let start = Timestamp::from_second(1_800_000_000).expect("in range");
    let clock: crate::clock::Clock = Arc::new(move || start + began.elapsed());
    let executor = Executor::new(
        Settings::default(),
        Arc::clone(&lease) as _,
        clock,
        Arc::clone(&counts) as Arc<dyn Meter>,
    );
    let wake = Arc::new(Notify::new());
    let pipeline =
        Pipeline::new(&executor, Arc::clone(&fleet) as _, Arc::clone(&wake), &Tasks::new().alarm());
    Bed { fleet, lease, counts, executor, pipeline, wake }
}

impl Bed {
    fn outcomes(&self) -> Vec<&'static str> {
        self.counts.outcomes.lock().expect("whole").iter().map(Outcome::label).collect()
    }

    async fn quiet(&self) {
        sleep(Duration::from_mins(1)).await;
        assert_eq!(self.pipeline.in_flight(), HashSet::new());
        assert_eq!(self.pipeline.waiting(), 0);
    }
}

fn advances(ids: std::ops::Range<u64>) -> Vec<Write> {
    ids.map(|id| write(id, Purpose::Advance)).collect()
}

#[tokio::test(start_paused = true)]
async fn r18_a_revert_preempts_an_advance_of_ten_thousand() {
    let writes = advances(0..10_000);
    let bed = bed(&writes);
    bed.pipeline.replace(writes.clone());
    sleep(LATENCY * 25).await;
    let before = bed.fleet.sent().len();
    assert!((700..900).contains(&before), "{before}");
    let reverted: Vec<Write> = (20_000..20_050).map(|id| write(id, Purpose::Revert)).collect();
    bed.fleet.add(&reverted);
    let decided = Instant::now();
    bed.pipeline.replace(reverted);
    sleep(Duration::from_secs(2)).await;
    {
        let state = bed.fleet.state();
        let first = state.sent.iter().find(|(_, purpose, ..)| *purpose == Purpose::Revert).expect("sent");
        assert!(first.3 - decided <= LATENCY, "{:?}", first.3 - decided);
        assert!(
            state.sent[before..].iter().all(|(_, purpose, ..)| *purpose == Purpose::Revert),
            "an advance followed"
        );
        assert_eq!(state.sent.len(), before + 50);
        assert!(state.peak <= 36, "{}", state.peak);
    }
    bed.quiet().await;
    assert_eq!(bed.counts.sent.load(Ordering::SeqCst), before + 50);
}

#[tokio::test(start_paused = true)]
async fn r18_another_rollouts_revert_finds_a_slot_though_advances_hang() {
    let writes = advances(0..500);
    let bed = bed(&writes);
    bed.fleet.state().storm = Some(Fault::HangAfterCommit);
    bed.pipeline.replace(writes);
    sleep(Duration::from_secs(1)).await;
    let reverts: Vec<Write> = (0..20).map(|id| write(id, Purpose::Revert)).collect();
    let other = Fleet::of(&reverts);
    let pipeline =
        Pipeline::new(&bed.executor, Arc::clone(&other) as _, Arc::default(), &Tasks::new().alarm());
    pipeline.replace(reverts);
    sleep(LATENCY * 6).await;
    assert_eq!(other.sent().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_has_no_barriers_and_no_more_in_flight_than_slots() {
    let writes = advances(0..1000);
    let bed = bed(&writes);
    let began = Instant::now();
    bed.pipeline.replace(writes);
    while bed.fleet.state().commits.len() < 1000 {
        sleep(Duration::from_millis(1)).await;
        let state = bed.fleet.state();
        assert!(state.running.len() <= 36);
        drop(state);
    }
    // 32 slots for advances, 10 ms each.
    assert!(began.elapsed() <= Duration::from_millis(340), "{:?}", began.elapsed());
    assert_eq!(bed.fleet.state().peak, 32, "four are kept for reverts");
}

#[tokio::test(start_paused = true)]
async fn in_flight_is_true_at_every_moment() {
    let writes = advances(0..300);
    let bed = bed(&writes);
    for id in (0..300).step_by(7) {
        bed.fleet.fault(id, &[Fault::Touch, Fault::Code(500, 0), Fault::Code(429, 1)]);
    }
    bed.pipeline.replace(writes);
    for _ in 0..20_000 {
        sleep(Duration::from_micros(500)).await;
        let in_flight = bed.pipeline.in_flight();
        let state = bed.fleet.state();
        assert!(state.running.is_subset(&in_flight), "a request runs that is not in flight");
        let unsent = |id: &TenantId| !state.sent.iter().any(|(sent, ..)| sent == id);
        assert!(!in_flight.iter().any(unsent), "never sent, yet in flight");
    }
    bed.quiet().await;
    assert!((0..300).all(|id| bed.fleet.commits(id) == 1));
}

#[tokio::test(start_paused = true)]
async fn r26_nothing_is_sent_once_the_fence_is_lost() {
    let writes = advances(0..1000);
    let bed = bed(&writes);
    bed.pipeline.replace(writes);
    sleep(LATENCY * 5).await;
    bed.lease.set(None);
    let sent = bed.fleet.sent().len();
    bed.fleet.fault(sent as u64 - 1, &[Fault::Touch]); // in flight: it will want to write again
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bed.fleet.sent().len(), sent);
    assert_eq!(bed.pipeline.in_flight(), HashSet::new());
    bed.lease.set(Some((EPOCH + 2, None))); // a later term: the old term's plan is no more
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bed.fleet.sent().len(), sent);
    assert_eq!(bed.pipeline.waiting(), 0);
    bed.wake.notified().await; // a new plan is asked for
    bed.pipeline.replace(advances(900..901));
    bed.quiet().await;
    assert_eq!(bed.fleet.state().sent.last().map(|(id, _, epoch, _)| (id.0, *epoch)), Some((900, EPOCH + 2)));
}

#[tokio::test(start_paused = true)]
async fn r26_a_write_that_would_outlive_the_renew_deadline_waits_for_the_renewal() {
    let writes = advances(0..10);
    let bed = bed(&writes);
    bed.lease.set(Some((EPOCH, Some(Instant::now() + Duration::from_secs(4)))));
    bed.pipeline.replace(writes);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bed.fleet.sent().len(), 0);
    bed.lease.set(Some((EPOCH, None)));
    bed.quiet().await;
    assert_eq!(bed.fleet.sent().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn r26_a_plan_made_without_leadership_is_dropped_and_asked_for_again() {
    let writes = advances(0..10);
    let bed = bed(&writes);
    bed.lease.set(None);
    bed.pipeline.replace(writes);
    sleep(Duration::from_secs(5)).await;
    assert_eq!((bed.pipeline.waiting(), bed.fleet.sent().len()), (0, 0));
    bed.lease.set(Some((EPOCH, None)));
    bed.wake.notified().await;
}

#[tokio::test(start_paused = true)]
async fn r26_every_write_bears_the_epoch_and_the_time_of_its_sending() {
    let writes = advances(0..100);
    let bed = bed(&writes);
    bed.pipeline.replace(writes);
    bed.quiet().await;
    let state = bed.fleet.state();
    assert!(state.sent.iter().all(|(_, _, epoch, _)| *epoch == EPOCH));
    let stamps: HashSet<Timestamp> =
        state.tenants.values().filter_map(|tenant| Some(tenant.marker.as_ref()?.written_at)).collect();
    assert!(stamps.len() > 1 && stamps.iter().all(|at| at.as_second() == 1_800_000_000), "{stamps:?}");
}

#[tokio::test(start_paused = true)]
async fn r36_a_stop_halts_every_write_at_once() {
    let writes = advances(0..1000);
    let bed = bed(&writes);
    bed.pipeline.replace(writes.clone());
    sleep(LATENCY * 5).await;
    bed.executor.halt();
    let sent = bed.fleet.sent().len();
    bed.fleet.fault(sent as u64 - 1, &[Fault::Touch]);
    bed.pipeline.replace((0..50).map(|id| write(id, Purpose::Revert)).collect());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bed.fleet.sent().len(), sent, "reverts included");
    assert_eq!((bed.pipeline.in_flight().len(), bed.pipeline.waiting()), (0, 0));
    bed.executor.resume();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bed.fleet.sent().len(), sent, "what was dropped stays dropped");
    bed.pipeline.replace(vec![writes[999].clone()]);
    bed.quiet().await;
    assert_eq!(bed.fleet.sent().len(), sent + 1);
}

#[tokio::test(start_paused = true)]
async fn r25_a_conflict_is_read_again_five_times_and_then_dropped() {
    let writes = advances(0..1);
    let bed = bed(&writes);
    bed.fleet.fault(0, &vec![Fault::Touch; 50]);
    bed.pipeline.replace(writes.clone());
    sleep(Duration::from_secs(10)).await;
    assert_eq!((bed.fleet.reads(), bed.fleet.sent().len()), (5, 6));
    assert_eq!(bed.outcomes(), ["contended"]);
    let problem = bed.pipeline.problems().remove(&TenantId(0)).expect("kept");
    assert!(matches!(problem.outcome, Outcome::Contended { .. }), "{problem:?}");
    bed.wake.notified().await;
}

#[tokio::test(start_paused = true)]
async fn r25_a_conflict_that_changed_nothing_of_the_plan_is_written_on_the_fresh_object() {
    let writes = advances(0..1);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::Touch, Fault::Touch]);
    bed.pipeline.replace(writes);
    bed.quiet().await;
    assert_eq!((bed.outcomes(), bed.fleet.commits(0)), (vec!["written"], 1));
    assert_eq!(bed.fleet.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn r25_a_rivals_version_deletion_and_recreation_end_the_write() {
    for (fault, outcome) in [(Fault::Rival, "changed"), (Fault::Delete, "gone"), (Fault::Recreate, "gone")] {
        let writes = advances(0..1);
        let bed = bed(&writes);
        bed.fleet.fault(0, std::slice::from_ref(&fault));
        bed.pipeline.replace(writes);
        bed.quiet().await;
        assert_eq!((bed.outcomes(), bed.fleet.sent().len()), (vec![outcome], 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r25_a_write_committed_without_an_answer_is_not_written_twice() {
    let writes = advances(0..3);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::HangAfterCommit]);
    bed.fleet.fault(1, &[Fault::Reset]);
    bed.fleet.fault(2, &[Fault::Code(504, 0)]);
    bed.fleet.state().read_faults.insert(TenantId(0), [Fault::Code(500, 0), Fault::Reset].into());
    bed.pipeline.replace(writes);
    sleep(Duration::from_millis(4900)).await;
    assert!(bed.pipeline.in_flight().contains(&TenantId(0)), "neither answered nor resolved");
    bed.quiet().await;
    assert!((0..3).all(|id| bed.fleet.commits(id) == 1));
    let count = |id| bed.fleet.sent().into_iter().filter(|sent| *sent == id).count();
    assert_eq!((count(0), count(1), count(2)), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn r25_what_cannot_be_read_back_is_unresolved_and_left_to_the_next_plan() {
    let writes = advances(0..1);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::Reset]);
    bed.fleet.state().read_faults.insert(TenantId(0), vec![Fault::Reset; 9].into());
    bed.pipeline.replace(writes.clone());
    bed.quiet().await;
    assert_eq!((bed.outcomes(), bed.fleet.reads()), (vec!["unresolved"], 5));
    bed.fleet.state().read_faults.clear();
    bed.pipeline.replace(writes);
    bed.quiet().await;
    assert_eq!((bed.fleet.commits(0), bed.pipeline.problems().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn r25_retry_after_is_honoured_and_nothing_is_lost() {
    let writes = advances(0..200);
    let bed = bed(&writes);
    bed.fleet.state().storm = Some(Fault::Code(429, 5));
    bed.pipeline.replace(writes);
    sleep(LATENCY * 2).await;
    bed.fleet.state().storm = None;
    let sent = bed.fleet.sent().len();
    assert!(sent <= 36, "one volley: {sent}");
    sleep(Duration::from_millis(4900)).await;
    assert_eq!(bed.fleet.sent().len(), sent);
    assert_eq!(bed.pipeline.in_flight().len(), 0, "turned away is not in flight");
    bed.quiet().await;
    assert!((0..200).all(|id| bed.fleet.commits(id) == 1));
}

#[tokio::test(start_paused = true)]
async fn f6_an_outage_is_not_hammered_and_is_survived() {
    let writes = advances(0..500);
    let bed = bed(&writes);
    bed.fleet.state().storm = Some(Fault::Code(503, 0));
    bed.pipeline.replace(writes.clone());
    let replan = async {
        loop {
            bed.wake.notified().await;
            sleep(Duration::from_millis(20)).await;
            let state = bed.fleet.state();
            let left = |write: &&Write| !state.commits.contains_key(&write.tenant.id);
            let left: Vec<Write> = writes.iter().filter(left).cloned().collect();
            drop(state);
            bed.pipeline.replace(left);
        }
    };
    let watch = async {
        sleep(Duration::from_secs(30)).await;
        let sent = bed.fleet.sent().len();
        assert!(sent < 30 * 40 * 6, "{sent} requests in 30 s");
        bed.fleet.state().storm = None;
        sleep(Duration::from_mins(5)).await;
    };
    tokio::select! { () = replan => {}, () = watch => {} }
    assert!((0..500).all(|id| bed.fleet.commits(id) == 1));
}

#[tokio::test(start_paused = true)]
async fn r24_a_refused_write_is_told_and_not_tried_in_a_hot_loop() {
    let writes = advances(0..2);
    let bed = bed(&writes);
    bed.fleet.fault(0, &vec![Fault::Code(403, 0); 100]);
    let mut tries = Vec::new();
    for second in 0..600 {
        bed.pipeline.replace(writes[..1].to_vec());
        sleep(Duration::from_secs(1)).await;
        tries.push((second, bed.fleet.sent().len()));
    }
    let last = tries.last().map(|(_, sent)| *sent);
    assert!(last.is_some_and(|sent| (6..=9).contains(&sent)), "{last:?} tries in ten minutes");
    let problem = bed.pipeline.problems().remove(&TenantId(0)).expect("kept");
    assert_eq!(problem.outcome, Outcome::Refused { message: "code 403".into() });
    let mut other = writes[0].clone();
    (other.version, other.marker.target) = ("3".into(), "3".into());
    let sent = bed.fleet.sent().len();
    bed.pipeline.replace(vec![other]);
    sleep(LATENCY * 2).await;
    assert_eq!(bed.fleet.sent().len(), sent + 1, "another version is tried at once");
}

#[tokio::test(start_paused = true)]
async fn r24_a_fleet_that_refuses_everything_is_asked_slowly() {
    let writes = advances(0..5000);
    let bed = bed(&writes);
    bed.fleet.state().storm = Some(Fault::Code(403, 0));
    bed.pipeline.replace(writes);
    sleep(Duration::from_mins(1)).await;
    let sent = bed.fleet.sent().len();
    assert!(sent < 700, "{sent} in a minute");
    let reverts: Vec<Write> = (6000..6010).map(|id| write(id, Purpose::Revert)).collect();
    bed.fleet.state().storm = None;
    bed.fleet.add(&reverts);
    bed.pipeline.replace(reverts);
    sleep(LATENCY * 3).await;
    assert!(
        (6000..6010).all(|id| bed.fleet.commits(id) == 1),
        "a revert does not pay for an advance's refusals"
    );
}

#[tokio::test(start_paused = true)]
async fn r24_a_value_that_admission_rewrites_is_told() {
    let writes = advances(0..1);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::Mirror]);
    bed.pipeline.replace(writes);
    bed.quiet().await;
    let problem = bed.pipeline.problems().remove(&TenantId(0)).expect("kept");
    assert_eq!(problem.outcome, Outcome::Rewritten { found: Reading::Version("2-mirror".into()) });
}

#[tokio::test(start_paused = true)]
async fn drained_means_resolved_and_nothing_is_sent_after() {
    let writes = advances(0..1000);
    let bed = bed(&writes);
    bed.pipeline.replace(writes.clone());
    sleep(LATENCY * 5).await;
    let sent = bed.fleet.sent().len();
    for id in 0..sent as u64 {
        bed.fleet.fault(id, &[Fault::Touch]);
    }
    assert!(bed.pipeline.drain(Duration::from_secs(10)).await);
    assert_eq!(bed.pipeline.in_flight(), HashSet::new());
    bed.pipeline.replace(writes);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bed.fleet.sent().len(), sent);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_cannot_resolve_says_so() {
    let writes = advances(0..1);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::HangAfterCommit]);
    bed.pipeline.replace(writes);
    sleep(LATENCY).await;
    assert!(!bed.pipeline.drain(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn f1_a_dropped_pipeline_is_a_crash_nothing_more_is_sent() {
    let writes = advances(0..1000);
    let Bed { fleet, pipeline, lease: _lease, counts: _counts, executor, wake } = bed(&writes);
    pipeline.replace(writes);
    sleep(LATENCY * 5).await;
    drop(pipeline);
    let sent = fleet.sent().len();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(fleet.sent().len(), sent);
    // Its slots are free again.
    let again = advances(2000..2100);
    let other = Fleet::of(&again);
    let pipeline = Pipeline::new(&executor, Arc::clone(&other) as _, wake, &Tasks::new().alarm());
    pipeline.replace(again);
    sleep(LATENCY * 5).await;
    assert_eq!(other.sent().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_write_leaves_no_tenant_in_flight() {
    let writes = advances(0..2);
    let bed = bed(&writes);
    bed.fleet.fault(0, &[Fault::Panic]);
    bed.pipeline.replace(writes);
    bed.quiet().await;
    assert_eq!(bed.fleet.commits(1), 1);
}
