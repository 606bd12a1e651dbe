//! Candidates against an API server in memory, on a paused clock.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
};

use http::{Method, Request, Response};
use kube::{client::Body, core::Status};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};
use tower::{BoxError, service_fn};

use super::*;

/// One Lease under optimistic concurrency, as etcd keeps it.
#[derive(Default)]
struct Store {
    lease: Option<LeaseObject>,
    version: u64,
    /// Writes without a resourceVersion on an existing Lease; there must be none.
    blind: usize,
}

impl Store {
    fn commit(&mut self, mut lease: LeaseObject) -> Result<LeaseObject, u16> {
        match (&self.lease, &lease.metadata.resource_version) {
            (Some(_), None) => {
                self.blind += 1;
                return Err(409);
            }
            (Some(old), Some(version)) if old.metadata.resource_version.as_ref() != Some(version) => {
                return Err(409);
            }
            (Some(old), Some(_)) if old.spec == lease.spec => return Ok(old.clone()), // nothing changes: no new version
            (None, Some(_)) => return Err(409), // the uid's precondition fails
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Ok(lease)
    }
}

const OK: u8 = 0;
const HANG: u8 = 1;
const LOSE_REPLIES: u8 = 2;
const REFUSE: u8 = 3;

/// One candidate's process: its network, its clock, its way to end.
struct Process {
    net: Arc<AtomicU8>,
    clock_offset_seconds: Arc<AtomicI64>,
    clock_stands: Arc<AtomicBool>,
    lease: Lease,
    stop: Option<oneshot::Sender<GiveBack>>,
    task: JoinHandle<()>,
}

impl Process {
    fn start(store: &Arc<Mutex<Store>>, identity: &str, highest: i64) -> Self {
        let (net, offset, stands) = (Arc::<AtomicU8>::default(), Arc::<AtomicI64>::default(), Arc::default());
        let candidate =
            Candidate { namespace: "ops".into(), name: "breakwater".into(), identity: identity.to_owned() };
        let client = client(Arc::clone(store), Arc::clone(&net));
        let clock = clock(Arc::clone(&offset), Arc::clone(&stands));
        let epochs: HighestEpoch = Arc::new(move || Box::pin(async move { Ok(highest) }));
        let (election, lease) = Election::new(client, candidate, Config::default(), clock, epochs)
            .expect("the defaults are checked");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(election.run(async move { stopped.await.unwrap_or(GiveBack::Abandon) }));
        Self { net, clock_offset_seconds: offset, clock_stands: stands, lease, stop: Some(stop), task }
    }

    fn net(&self, state: u8) {
        self.net.store(state, Ordering::SeqCst);
    }

    fn epoch(&self) -> Option<i64> {
        self.lease.guard().map(|fence| fence.epoch)
    }

    async fn end(&mut self, give_back: GiveBack) {
        let stop = self.stop.take().expect("ended once");
        stop.send(give_back).expect("it runs");
        (&mut self.task).await.expect("no panic");
    }
}

fn clock(offset: Arc<AtomicI64>, stands: Arc<AtomicBool>) -> Clock {
    let began = Instant::now();
    Arc::new(move || {
        let elapsed = if stands.load(Ordering::SeqCst) { Duration::ZERO } else { began.elapsed() };
        let start = Timestamp::from_second(1_700_000_000 + offset.load(Ordering::SeqCst)).expect("in range");
        start + elapsed
    })
}

fn client(store: Arc<Mutex<Store>>, net: Arc<AtomicU8>) -> Client {
    let service = service_fn(move |request: Request<Body>| {
        let (store, net) = (Arc::clone(&store), net.load(Ordering::SeqCst));
        async move {
            sleep(Duration::from_millis(5)).await;
            match net {
                HANG => std::future::pending().await,
                REFUSE => return Err(BoxError::from("connection refused")),
                _ => {}
            }
            let answer = serve(&store, request).await?;
            sleep(Duration::from_millis(5)).await;
            if net == LOSE_REPLIES { Err(BoxError::from("connection reset")) } else { Ok(answer) }
        }
    });
    Client::new(service, "ops")
}

async fn serve(store: &Mutex<Store>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let method = request.method().clone();
    let body = axum::body::to_bytes(axum::body::Body::new(request.into_body()), 1 << 20).await?;
    let mut store = store.lock().expect("no test panics with it");
    let result = match method {
        Method::GET => store.lease.clone().ok_or(404),
        Method::POST if store.lease.is_some() => Err(409),
        Method::POST | Method::PUT => store.commit(serde_json::from_slice(&body)?),
        other => panic!("{other} on a Lease: every write is a create or a replace"),
    };
    let (code, bytes) = match result {
        Ok(lease) => (200, serde_json::to_vec(&lease)?),
        Err(code) => {
            let reason = if code == 404 { "NotFound" } else { "Conflict" };
            (code, serde_json::to_vec(&Status::failure("refused", reason).with_code(code))?)
        }
    };
    Ok(Response::builder().status(code).body(Body::from(bytes))?)
}

fn store() -> Arc<Mutex<Store>> {
    Arc::new(Mutex::new(Store::default()))
}

/// Lets time pass in steps, checking at each that at most one may write.
async fn pass(seconds: u64, processes: &[&Process]) {
    for _ in 0..seconds * 20 {
        sleep(Duration::from_millis(50)).await;
        let leading = processes.iter().filter(|process| process.epoch().is_some()).count();
        assert!(leading <= 1, "{leading} may write at once");
    }
}

fn edit(store: &Mutex<Store>, change: impl FnOnce(&mut LeaseObject)) {
    let mut store = store.lock().expect("no test panics with it");
    let mut lease = store.lease.clone().expect("there is one");
    change(&mut lease);
    store.commit(lease).expect("the newest version was edited");
}

#[tokio::test(start_paused = true)]
async fn r26_one_of_two_leads_and_the_other_takes_over_after_a_crash_and_a_wait() {
    let store = store();
    let a = Process::start(&store, "a", 0);
    pass(1, &[&a]).await;
    let b = Process::start(&store, "b", 0);
    pass(18, &[&a, &b]).await;
    assert_eq!((a.epoch(), b.epoch()), (None, None), "a missing Lease may have been deleted under a holder");
    pass(4, &[&a, &b]).await;
    assert_eq!((a.epoch(), b.epoch()), (Some(1), None));
    a.task.abort(); // a crash
    let (crashed, mut lapsed) = (Instant::now(), None);
    while b.epoch().is_none() {
        pass(1, &[&a, &b]).await;
        lapsed = lapsed.or(a.epoch().is_none().then(|| crashed.elapsed()));
        assert!(crashed.elapsed() < Duration::from_secs(30));
    }
    assert!(lapsed.is_some_and(|lapsed| lapsed <= Duration::from_secs(11)), "{lapsed:?}");
    // The last renewal was at most 2 s before the crash.
    assert!(crashed.elapsed() >= Duration::from_secs(18), "{:?}", crashed.elapsed());
    assert_eq!(b.epoch(), Some(2));
    assert_eq!(store.lock().expect("whole").blind, 0);
}

#[tokio::test(start_paused = true)]
async fn r26_a_clean_release_hands_over_within_one_retry_period() {
    let store = store();
    let mut a = Process::start(&store, "a", 0);
    pass(22, &[&a]).await;
    let b = Process::start(&store, "b", 41);
    pass(5, &[&a, &b]).await;
    a.end(GiveBack::Release).await;
    assert_eq!(a.lease.standing(), Standing::Ended);
    assert_eq!(a.epoch(), None);
    pass(3, &[&a, &b]).await;
    assert_eq!(b.epoch(), Some(42), "above every epoch that a status remembers");
}

#[tokio::test(start_paused = true)]
async fn r26_an_abandoned_lease_runs_out_by_itself() {
    let store = store();
    let mut a = Process::start(&store, "a", 0);
    pass(22, &[&a]).await;
    let b = Process::start(&store, "b", 0);
    a.end(GiveBack::Abandon).await;
    pass(17, &[&a, &b]).await;
    assert_eq!((a.epoch(), b.epoch()), (None, None));
    pass(6, &[&a, &b]).await;
    assert_eq!(b.epoch(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn f8_a_partitioned_leader_loses_its_guard_before_another_gains_one() {
    for fault in [HANG, REFUSE, LOSE_REPLIES] {
        let store = store();
        let a = Process::start(&store, "a", 0);
        pass(22, &[&a]).await;
        let b = Process::start(&store, "b", 0);
        pass(3, &[&a, &b]).await;
        a.net(fault);
        pass(11, &[&a, &b]).await;
        assert_eq!(a.epoch(), None, "its guard closed by its own clock, without an answer");
        a.net(if fault == LOSE_REPLIES { HANG } else { fault });
        pass(30, &[&a, &b]).await;
        assert_eq!((a.epoch(), b.epoch()), (None, Some(2)));
        a.net(OK); // the zombie comes back
        pass(30, &[&a, &b]).await;
        assert_eq!((a.epoch(), b.epoch()), (None, Some(2)));
        assert_eq!(a.lease.standing(), Standing::Following { holder: Some("b".into()) });
    }
}

#[tokio::test(start_paused = true)]
async fn f6_after_an_outage_for_all_the_holder_goes_on_in_its_term() {
    let store = store();
    let a = Process::start(&store, "a", 0);
    pass(22, &[&a]).await;
    a.net(REFUSE);
    pass(120, &[&a]).await;
    assert_eq!(a.epoch(), None);
    a.net(OK);
    pass(3, &[&a]).await;
    assert_eq!(a.epoch(), Some(1), "nobody took it: the same term");
}

#[tokio::test(start_paused = true)]
async fn f5_a_claim_whose_answer_was_lost_is_still_one_claim() {
    let store = store();
    let a = Process::start(&store, "a", 0);
    a.net(LOSE_REPLIES);
    pass(5, &[&a]).await;
    a.net(OK);
    pass(45, &[&a]).await;
    assert!(a.epoch().is_some());
    let lease = store.lock().expect("whole").lease.clone().expect("created");
    assert_eq!(Record::of(&lease).holder, "a");
}

#[tokio::test(start_paused = true)]
async fn f9_clock_steps_change_nothing() {
    let store = store();
    let a = Process::start(&store, "a", 0);
    pass(22, &[&a]).await;
    let b = Process::start(&store, "b", 0);
    for step in [3600, -7200, 30, -30] {
        a.clock_offset_seconds.store(step, Ordering::SeqCst);
        b.clock_offset_seconds.store(-step, Ordering::SeqCst);
        pass(40, &[&a, &b]).await;
        assert_eq!((a.epoch(), b.epoch()), (Some(1), None), "after a step of {step} s");
    }
    a.clock_stands.store(true, Ordering::SeqCst);
    pass(120, &[&a, &b]).await;
    assert_eq!((a.epoch(), b.epoch()), (Some(1), None), "a standing clock still renews");
}

#[tokio::test(start_paused = true)]
async fn f4_a_label_on_the_lease_costs_nobody_the_leadership() {
    let store = store();
    let a = Process::start(&store, "a", 0);
    pass(22, &[&a]).await;
    for _ in 0..20 {
        edit(&store, |lease| {
            let version = lease.metadata.resource_version.clone().unwrap_or_default();
            lease.metadata.labels = Some([("touched".to_owned(), version)].into());
            // The store tells by the spec whether something changed.
            lease.spec.get_or_insert_default().preferred_holder = lease.metadata.resource_version.clone();
        });
        pass(1, &[&a]).await;
        assert_eq!(a.epoch(), Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn f10_a_lease_deleted_or_blanked_under_its_holder_makes_no_second_writer() {
    for delete in [true, false] {
        let store = store();
        let a = Process::start(&store, "a", 7);
        pass(22, &[&a]).await;
        let b = Process::start(&store, "b", 8);
        pass(3, &[&a, &b]).await;
        assert_eq!(a.epoch(), Some(8));
        a.net(HANG); // so that it cannot learn of it
        if delete {
            store.lock().expect("whole").lease = None;
        } else {
            edit(&store, |lease| lease.spec.get_or_insert_default().holder_identity = Some(String::new()));
        }
        pass(40, &[&a, &b]).await;
        assert_eq!((a.epoch(), b.epoch()), (None, Some(9)), "the epoch rises although the count began anew");
    }
}

#[tokio::test(start_paused = true)]
async fn f10_candidates_of_one_instant_and_one_name_do_not_lead_together() {
    let store = store();
    let processes: Vec<Process> = (0..5).map(|_| Process::start(&store, "same", 0)).collect();
    let all: Vec<&Process> = processes.iter().collect();
    pass(60, &all).await;
    assert_eq!(processes.iter().filter(|process| process.epoch().is_some()).count(), 1);
    assert_eq!(store.lock().expect("whole").blind, 0);
}

#[tokio::test(start_paused = true)]
async fn r26_the_fence_admits_only_what_ends_before_the_renew_deadline() {
    let now = Instant::now();
    let fence = Fence { epoch: 1, valid_until: now + Duration::from_secs(5) };
    assert!(fence.admits(now, Duration::from_secs(5)));
    assert!(!fence.admits(now + Duration::from_millis(1), Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn r26_random_faults_never_make_two_writers() {
    for seed in 0..10_u64 {
        let store = store();
        let processes = ["a", "b", "c"].map(|name| Process::start(&store, name, 0));
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let all: Vec<&Process> = processes.iter().collect();
        for _ in 0..25 {
            let who = &processes[usize::try_from(draw(3)).expect("below 3")];
            who.net(u8::try_from(draw(4)).expect("below 4"));
            who.clock_offset_seconds
                .store(i64::try_from(draw(7200)).expect("small") - 3600, Ordering::SeqCst);
            if draw(12) == 0 {
                store.lock().expect("whole").lease = None;
            }
            pass(draw(20), &all).await;
        }
        for process in &processes {
            process.net(OK);
        }
        pass(60, &all).await;
        assert_eq!(processes.iter().filter(|process| process.epoch().is_some()).count(), 1, "seed {seed}");
    }
}
