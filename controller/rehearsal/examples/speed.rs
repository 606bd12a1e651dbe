//! What a rehearsal costs: `cargo run --release -p breakwater-rehearsal --example speed [-- WEEKS [reading]]`.
//!
//! A healthy release is rehearsed on fleets of 100, 1,000 and 10,000 tenants with two SLOs, minute by minute, for about
//! as many tenant-minutes each; then the model and the reading of its answers alone, and all of it on 1,000 tenants for so
//! many weeks (6 unless told). With `reading`, only that. On one processor.

use std::{error::Error, sync::Arc, time::Instant};

use breakwater_crds::{Rollout, Span};
use breakwater_operator::telemetry::{Telemetry, TenantIds};
use breakwater_plan::observed::StepData;
use breakwater_rehearsal::{
    Rehearsal, bed,
    fleet::{Fleet, FleetSpec, Metrics, Population, Scenario, scenario, shape::Shape},
    rehearse,
};
use breakwater_slo::TenantId;
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tenant-minutes of each of the small runs.
const TENANT_MINUTES: usize = 1_440_000;
/// The scenario: nothing is wrong, so that there is something to watch all the time.
const SCENARIO: &str = "healthy-release";

fn main() -> Result<(), Box<dyn Error>> {
    let weeks = std::env::args().nth(1).map_or(Ok(6), |weeks| weeks.parse::<usize>())?;
    println!("{:>8} {:>8} {:>9} {:>22}", "tenants", "minutes", "seconds", "µs per tenant-minute");
    if std::env::args().nth(2).is_some_and(|only| only == "reading") {
        return reading(1_000, weeks * 7 * 24 * 60);
    }
    for tenants in [100, 1_000, 10_000] {
        measure(tenants, TENANT_MINUTES / tenants)?;
    }
    reading(1_000, weeks * 7 * 24 * 60)?;
    measure(1_000, weeks * 7 * 24 * 60)
}

/// The same reading without a controller: every step of both SLOs, from the model to the counts by tenant.
fn reading(tenants: usize, minutes: usize) -> Result<(), Box<dyn Error>> {
    let rollout: Rollout = serde_yaml::from_str(scenario::ROLLOUT)?;
    let spec = FleetSpec { tenants, ..FleetSpec::default() };
    let population = Population::new(spec.clone(), "tenants", 1, bed::ORIGIN.as_second());
    let named = population
        .tenants
        .iter()
        .zip(1..)
        .map(|(tenant, id)| (format!("{}/{}", tenant.namespace, tenant.name).into(), TenantId(id)));
    let ids = Arc::new(TenantIds::new(named));
    let shape = Shape::new(&rollout, &spec)?;
    let clock = Arc::new(|| Timestamp::MAX);
    let metrics = Metrics::new(Fleet::new(population), &rollout.spec, shape, bed::check(&rollout)?, clock)?;
    let mut telemetry =
        Telemetry::new(Arc::new(metrics), &rollout.spec.slos, "").map_err(|why| why[0].to_string())?;
    let began = Instant::now();
    let (mut after, mut counted) = (bed::ORIGIN, 0);
    for _ in 0..minutes {
        let now = after + SignedDuration::from_secs(100);
        for slo in telemetry.slos() {
            let reading = block_on(slo.read(after, now, &ids));
            let data = reading.steps.first().map(|step| &step.data);
            counted += usize::from(
                matches!(data, Some(StepData::Counts(counts)) if counts.as_slice().len() == tenants),
            );
        }
        after += SignedDuration::from_secs(60);
    }
    let seconds = began.elapsed().as_secs_f64();
    let each = seconds * 1e6 / (minutes * tenants) as f64;
    println!(
        "{tenants:>8} {minutes:>8} {seconds:>9.1} {each:>22.3}  reading and model alone, {counted} steps"
    );
    Ok(())
}

fn measure(tenants: usize, minutes: usize) -> Result<(), Box<dyn Error>> {
    let scenario = Scenario::named(SCENARIO)?;
    let fleet = FleetSpec { tenants, ..scenario.fleet.clone().unwrap_or_default() };
    let mut rollout: Rollout = serde_yaml::from_str(scenario::ROLLOUT)?;
    for wave in &mut rollout.spec.waves {
        wave.soak = Span::seconds(30 * 86_400); // nothing ends before the time does
    }
    let until = SignedDuration::from_mins(i64::try_from(minutes)?);
    let began = Instant::now();
    let rehearsal = Rehearsal { rollout, fleet, scenario, seed: 1, until, approve_after: None };
    let outcome = rehearse(&rehearsal, &mut |_| {})?;
    let seconds = began.elapsed().as_secs_f64();
    let played = outcome.ended_at.duration_since(outcome.started_at).as_secs_f64() / 60.0;
    let each = seconds * 1e6 / (played * tenants as f64);
    println!("{tenants:>8} {played:>8.0} {seconds:>9.1} {each:>22.2}");
    Ok(())
}
