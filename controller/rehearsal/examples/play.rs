//! Plays a shipped scenario and prints it: `cargo run --release -p breakwater-rehearsal --example play -- NAME [SEED]`.

use breakwater_crds::Rollout;
use breakwater_rehearsal::{
    Rehearsal,
    fleet::{Scenario, scenario},
    rehearse,
};
use jiff::SignedDuration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let scenario = Scenario::named(&arguments.next().unwrap_or_else(|| Scenario::DEFAULT.into()))?;
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let rollout: Rollout = serde_yaml::from_str(scenario::ROLLOUT)?;
    let fleet = scenario.fleet.clone().unwrap_or_default();
    let rehearsal = Rehearsal { rollout, fleet, scenario, seed, until: SignedDuration::from_hours(24 * 70) };
    let began = std::time::Instant::now();
    let outcome = rehearse(&rehearsal, &mut |progress| {
        for event in progress.news {
            let day = event.at.duration_since(progress.started_at).as_secs_f64() / 86_400.0;
            println!("{day:8.3} d  {:?} {}: {}", event.by, event.reason, event.message);
        }
    })?;
    println!("{}", serde_yaml::to_string(&outcome.versions)?);
    println!(
        "{:?} after {:?}; {} requests, {} tenant writes, {} frames",
        outcome.end,
        began.elapsed(),
        outcome.api_requests,
        outcome.tenant_writes,
        outcome.frames.len()
    );
    Ok(())
}
