//! How long one plan takes: `cargo run --release -p breakwater-plan --example plan`.

use std::{
    collections::{HashMap, HashSet},
    hint::black_box,
    time::Instant,
};

use breakwater_crds::{RolloutSpec, RolloutStatus, marker::stable_hash};
use breakwater_plan::{
    Observed, Plan,
    observed::{
        Asked, Claim, Clock, Elsewhere, Fleet, Listing, Marker, Measured, ObjectFacts, Readiness, Reading,
        SloReading, Step, StepData, Tenant,
    },
    plan,
    spec::Checked,
    study::Week,
};
use breakwater_slo::{Counts, Series, TenantId};
use jiff::{SignedDuration, Timestamp};

type Error = Box<dyn std::error::Error>;

/// Repetitions; the median is printed.
const RUNS: usize = 15;

fn main() -> Result<(), Error> {
    println!("{:>8}  {:<36} {:>9} {:>8} {:>8}", "tenants", "plan", "ms", "writes", "status B");
    for tenants in [100, 10_000, 100_000] {
        measure(tenants)?;
    }
    Ok(())
}

fn spec() -> Result<Checked, Error> {
    let spec: RolloutSpec = serde_json::from_value(serde_json::json!({
        "version": "2.0.0",
        "adopt": "Start",
        "tenants": {"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}},
        "waves": [
            {"name": "early", "percent": 5, "soak": "3d", "maxConcurrent": "5%"},
            {"name": "half", "percent": 50, "soak": "3d", "maxConcurrent": "5%"},
            {"name": "rest", "soak": "3d", "maxConcurrent": "5%"},
        ],
        "slos": [{"name": "api-errors", "errors": {"bad": "errors_total", "total": "requests_total"}, "objective": "99%",
                  "tenantLabels": ["tenant"], "step": "1m"}],
    }))?;
    Checked::parse(&spec).map_err(|errors| format!("{errors:?}").into())
}

fn fleet(n: usize, now: Timestamp) -> Vec<Tenant> {
    let since = now - SignedDuration::from_hours(72);
    let tenant = |i: usize| Tenant {
        id: TenantId(stable_hash(&["ops", "app", "tenants", &i.to_string()])),
        namespace: "tenants".into(),
        name: format!("t-{i}").into(),
        object: ObjectFacts::default(),
        metric_id: None,
        version: Reading::Version("1.0.0".into()),
        selected: true,
        selector_wave: None,
        excluded: false,
        dormant: false,
        terminating: false,
        consented: true,
        readiness: Readiness::Ready { since },
        marker: None,
        foreign_owner: None,
        confirmed: false,
    };
    (0..n).map(tenant).collect()
}

/// The fleet with the writes of a plan done and ready.
fn written(tenants: &mut [Tenant], plan: &Plan, now: Timestamp) {
    let writes: HashMap<TenantId, &Marker> =
        plan.writes.iter().map(|write| (write.tenant.id, &write.marker)).collect();
    for tenant in tenants {
        if let Some(marker) = writes.get(&tenant.id) {
            tenant.version = Reading::Version(marker.target.clone());
            tenant.marker = Some(Box::new(Marker { claim: Claim::Own, ..(*marker).clone() }));
            tenant.readiness = Readiness::Ready { since: now };
        }
    }
}

/// Milliseconds of one plan, over and over, in order.
fn times(observed: &Observed<'_>, at: Timestamp) -> Vec<f64> {
    let once = |_| {
        let began = Instant::now();
        black_box(plan(black_box(observed), at));
        began.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = (0..RUNS).map(once).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// A Rollout that nobody speaks to.
fn asked(spec: &Checked, created_at: Timestamp) -> Asked<'_> {
    Asked {
        namespace: "ops",
        name: "app",
        created_at,
        generation: 1,
        spec,
        refused: None,
        revision: None,
        actions: &[],
        stopped: None,
    }
}

fn measure(n: usize) -> Result<(), Error> {
    let spec = spec()?;
    let now: Timestamp = "2026-03-02T10:00:00Z".parse()?;
    let mut tenants = fleet(n, now);
    let (in_flight, problems, causes, jobs) =
        (HashSet::new(), HashMap::new(), HashMap::new(), HashMap::new());
    let observe =
        |tenants: &[Tenant], status: &RolloutStatus, readings: &[SloReading], at: Timestamp, label: &str| {
            let observed = Observed {
                asked: asked(&spec, now),
                status,
                clock: Clock { began: now, stepped_to: None },
                epoch: 1,
                hub: "hub",
                fleet: Fleet {
                    listing: Listing::Complete,
                    tenants,
                    in_flight: &in_flight,
                    problems: &problems,
                    causes: &causes,
                    jobs: &jobs,
                },
                measured: Measured { readings, firing: &[], kept: None },
                elsewhere: Elsewhere {
                    reports: &[],
                    releases: &[],
                    releases_unread: None,
                    releases_behind: None,
                    soaked: None,
                },
            };
            let times = times(&observed, at);
            let plan = plan(&observed, at);
            let bytes = serde_json::to_vec(&plan.status).map_or(0, |bytes| bytes.len());
            println!("{n:>8}  {label:<36} {:>9.3} {:>8} {bytes:>8}", times[RUNS / 2], plan.writes.len());
            plan
        };
    let empty = [SloReading { step_seconds: 60, lag_seconds: 90, ..SloReading::default() }];
    let mut last = observe(&tenants, &RolloutStatus::default(), &empty, now, "start: the first writes");
    let mut at = now;
    while !last.writes.is_empty() {
        written(&mut tenants, &last, at);
        at += SignedDuration::from_secs(30);
        let state = last.status.clone();
        last = observe(&tenants, &state, &empty, at, "go on");
    }
    at += SignedDuration::from_mins(20);
    let history = tenants.iter().map(|tenant| (tenant.id, Counts { bad: 1.0, total: 1e6 }));
    let history = Week::new(history.collect());
    let starts: Vec<Timestamp> = last.history_wanted.clone();
    let mut soaking = [SloReading { history: HashMap::from([(starts[0], history)]), ..empty[0].clone() }];
    last = observe(&tenants, &last.status, &soaking, at, "soak: no new step");
    let counted = Series::Counted(Counts { bad: 1.0, total: 1e3 });
    let counts = tenants.iter().map(|tenant| (tenant.id, counted)).collect();
    let end_seconds = (at.as_second() - 90).div_euclid(60) * 60;
    soaking[0].steps = vec![Step { end_seconds, fetched_at: at, data: StepData::Counts(counts) }];
    soaking[0].state = last.judges.first().cloned();
    soaking[0].trace = last.traces.first().cloned();
    last = observe(&tenants, &last.status, &soaking, at, "soak: one step judged");
    for tenant in &mut tenants {
        tenant.foreign_owner = Some("argocd-controller".into());
    }
    observe(&tenants, &last.status, &empty, at, "held: nobody has released");
    Ok(())
}
