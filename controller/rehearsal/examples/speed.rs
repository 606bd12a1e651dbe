//! What a rehearsal costs: `cargo run --release -p breakwater-rehearsal --example speed [-- WEEKS]`.
//!
//! A healthy release is rehearsed on fleets of 100, 1,000 and 10,000 tenants with two SLOs, minute by minute, for about
//! as many tenant-minutes each; then on 1,000 tenants for so many weeks (6 unless told). On one processor.

use std::{error::Error, time::Instant};

use breakwater_crds::{Rollout, Span};
use breakwater_rehearsal::{
    Rehearsal,
    fleet::{FleetSpec, Scenario, scenario},
    rehearse,
};
use jiff::SignedDuration;

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
    for tenants in [100, 1_000, 10_000] {
        measure(tenants, TENANT_MINUTES / tenants)?;
    }
    measure(1_000, weeks * 7 * 24 * 60)
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
    let outcome = rehearse(&Rehearsal { rollout, fleet, scenario, seed: 1, until }, &mut |_| {})?;
    let seconds = began.elapsed().as_secs_f64();
    let played = outcome.ended_at.duration_since(outcome.started_at).as_secs_f64() / 60.0;
    let each = seconds * 1e6 / (played * tenants as f64);
    println!("{tenants:>8} {played:>8.0} {seconds:>9.1} {each:>22.2}");
    Ok(())
}
