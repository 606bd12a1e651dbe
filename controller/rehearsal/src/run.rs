//! Rehearsing: one run from its first minute to its last, and many of them with different seeds.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use breakwater_crds::{Rollout, RolloutStatus, status::Phase};
use jiff::{SignedDuration, Timestamp};

use crate::{
    apiserver::Changes,
    approver::Approver,
    bed::{self, Bed, BedError},
    chronicle::Chronicle,
    director::Director,
    fleet::{FleetSpec, Scenario},
    outcome::{Distribution, End, Event, Outcome},
    tally,
};

/// How long nothing may happen before a rehearsal whose road is at its end is over.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// How often the Rollout is looked at while nothing changes.
const LOOK: SignedDuration = SignedDuration::from_mins(30);

/// What is rehearsed.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// The Rollout, as it would be applied. Its `spec.version` is where the fleet stands at the start.
    pub rollout: Rollout,
    /// The fleet.
    pub fleet: FleetSpec,
    /// What happens.
    pub scenario: Scenario,
    /// Decides everything random.
    pub seed: u64,
    /// Longest virtual time.
    pub until: SignedDuration,
    /// How long after it was asked for an approval is given; `None`: never. A scenario with approvals of its own gives those alone.
    pub approve_after: Option<SignedDuration>,
}

/// How far a rehearsal is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Virtual time now.
    pub at: Timestamp,
    /// Virtual time of the start.
    pub started_at: Timestamp,
    /// Virtual time of the end, at the latest.
    pub until: Timestamp,
    /// The Rollout's phase.
    pub phase: Phase,
    /// The wave in flight; empty where none is.
    pub wave: &'a str,
    /// Tenants on the version under way.
    pub updated: u32,
    /// Tenants in all.
    pub live: u32,
    /// What happened since the last call.
    pub news: &'a [Event],
}

/// Runs one rehearsal to its end; blocks meanwhile.
pub fn rehearse(rehearsal: &Rehearsal, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Outcome, BedError> {
    bed::check(&rehearsal.rollout).map_err(BedError::Refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let outcome = runtime.block_on(play(rehearsal, progress));
    runtime.shutdown_background(); // what a killed controller left behind waits for ever
    outcome
}

/// Runs `runs` rehearsals with seeds from the rehearsal's own on, as many at once as there are processors.
pub fn distribution(
    rehearsal: &Rehearsal,
    runs: usize,
    progress: &mut (dyn FnMut(usize, &Outcome) + Send),
) -> Result<Distribution, BedError> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let done = Mutex::new((Vec::with_capacity(runs), progress));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(runs);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs || failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                        return;
                    }
                    let one =
                        Rehearsal { seed: rehearsal.seed.wrapping_add(run as u64), ..rehearsal.clone() };
                    match rehearse(&one, &mut |_| {}) {
                        Ok(outcome) => {
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            let (outcomes, progress) = &mut *done;
                            progress(outcomes.len() + 1, &outcome);
                            outcomes.push((run, outcome));
                        }
                        Err(error) => {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let (mut outcomes, _) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(run, _)| *run);
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    Ok(tally::of(&rehearsal.scenario.name, rehearsal.seed, &outcomes))
}

async fn play(rehearsal: &Rehearsal, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Outcome, BedError> {
    let Rehearsal { rollout, fleet, scenario, seed, until, approve_after } = rehearsal;
    let mut first = rollout.clone();
    first.spec.version.clone_from(&fleet.version); // the fleet's version is stable until the scenario publishes another
    let mut bed = Bed::make(&first, fleet, *seed)?;
    bed.fleet.lock().faults.clone_from(&scenario.versions);
    let mut director = Director::new(scenario, Approver::new(scenario, *approve_after))?;
    let mut chronicle = Chronicle::new(*until);
    bed.start_controller()?;
    let mut changes = bed.api.changes();
    let mut quiet_since = SignedDuration::ZERO;
    let mut told = 0;
    let (mut status, mut version) = (None, String::new());
    let end = loop {
        let now = bed.time.elapsed();
        if bed.rollout_version().is_some_and(|found| std::mem::replace(&mut version, found.clone()) != found)
        {
            status = bed.rollout().and_then(|rollout| rollout.status);
        }
        if let Some(status) = &status {
            if chronicle.look(status, bed.time.truth()) > 0 {
                quiet_since = now;
            }
            if chronicle.timeline.len() > told || progress_is_due(&bed) {
                report(&bed, status, *until, &chronicle.timeline[told..], progress);
                told = chronicle.timeline.len();
            }
        }
        director.play(&mut bed, status.as_ref(), &mut chronicle).await?;
        let over = director.is_done() && now - quiet_since >= QUIET;
        if let Some(end) = status.as_ref().and_then(|s| at_end(s, director.published())).filter(|_| over) {
            break end;
        }
        if now >= *until {
            break End::OutOfTime;
        }
        let next = director.due_at().into_iter().chain([now + LOOK, *until]).min().unwrap_or(now + LOOK);
        tokio::select! {
            biased;
            () = settled(&mut changes) => {}
            () = bed.time.sleep_until(next) => {}
        }
    };
    let outcome = sum_up(rehearsal, &bed, chronicle, end);
    bed.kill_controllers();
    Ok(outcome)
}

/// Waits until something changed, and then a second, so that a burst of changes is looked at once.
async fn settled(changes: &mut Changes) {
    changes.changed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    changes.mark_unchanged();
}

/// Hourly, in virtual time.
fn progress_is_due(bed: &Bed) -> bool {
    bed.time.elapsed().as_secs() % 3_600 < 60
}

fn report(
    bed: &Bed,
    status: &RolloutStatus,
    until: SignedDuration,
    news: &[Event],
    progress: &mut dyn FnMut(&Progress<'_>),
) {
    progress(&Progress {
        at: bed.time.truth(),
        started_at: bed::ORIGIN,
        until: bed::ORIGIN + until,
        phase: status.phase,
        wave: status.wave.as_deref().unwrap_or_default(),
        updated: status.counts.updated,
        live: status.counts.live,
        news,
    });
}

/// How the road ended, if it did for the version that was published last.
fn at_end(status: &RolloutStatus, published: Option<&str>) -> Option<End> {
    let stands = published.is_none_or(|version| status.stable_version.as_deref() == Some(version));
    let out = status.revert.as_ref().is_some_and(|revert| published == Some(&revert.version));
    match status.phase {
        Phase::Completed if stands => Some(End::Completed),
        Phase::Reverted | Phase::RevertedPartly if out => Some(End::Reverted),
        _ => None,
    }
}

fn sum_up(rehearsal: &Rehearsal, bed: &Bed, chronicle: Chronicle, end: End) -> Outcome {
    let Rehearsal { rollout, fleet, scenario, seed, .. } = rehearsal;
    let now = bed.time.truth();
    let versions = chronicle.versions(&bed.fleet.lock(), now);
    Outcome {
        rollout: format!("{}/{}", bed.namespace, bed.name),
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: *seed,
        tenants: fleet.tenants,
        started_at: bed::ORIGIN,
        ended_at: now,
        end,
        waves: rollout.spec.all_waves().iter().map(|wave| wave.name.clone()).collect(),
        slos: rollout.spec.slos.iter().map(|slo| slo.name.clone()).collect(),
        versions,
        timeline: chronicle.timeline,
        frames: chronicle.frames,
        reports: bed.reports(),
        api_requests: bed.calls(),
        tenant_writes: bed.tenant_writes(),
    }
}
