//! Calibration by replay: would the judge have cried wolf on the past? (analysis.md 2, R13) Pure.
//!
//! The very same [`State`], guards and comparison run over steps of the days before a rollout, the tenants split into arms
//! as the rollout is going to split them. Whatever deviates there is a false alarm, since nothing was rolled out.

use crate::compare::Comparison;
use crate::config::Config;
use crate::evidence::{Action, Evidence, Guard};
use crate::reading::Step;
use crate::state::State;

/// Most alarms that a replay keeps: each guard's first.
const FIRED_MAX: usize = 16;

/// An alarm in a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// End of the step at which it fired first, unix seconds.
    pub at_seconds: i64,
    /// Which guard.
    pub guard: Guard,
    /// What it said, guilty tenants included.
    pub evidence: Evidence,
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    /// Steps that were read, missing ones included.
    pub steps: u64,
    /// Of them, those in which it would have held.
    pub held: u64,
    /// First alarm of each guard that would have reverted, in order of time, at most 16.
    pub fired: Vec<Fired>,
    /// The smallest ratio that the replayed traffic would have found.
    pub detectable: Option<f64>,
}

impl Replay {
    /// The comparison itself would have reverted.
    pub fn comparison_fired(&self) -> bool {
        self.fired.iter().any(|fired| fired.guard == Guard::Comparison)
    }

    /// A guard beside it would have.
    pub fn guard_fired(&self) -> bool {
        self.fired.iter().any(|fired| fired.guard != Guard::Comparison)
    }
}

/// Replays `steps`, in order, with the comparison armed as it is going to be. A comparison that is not armed is replayed
/// as it stands: then the guards alone.
///
/// Where one guard speaks, those behind it are not heard in the same step; each is heard in steps of its own.
pub fn replay<'a>(
    config: &Config,
    comparison: Comparison,
    steps: impl IntoIterator<Item = Step<'a>>,
) -> Replay {
    let mut replaying = Replaying::new(comparison);
    for step in steps {
        replaying.step(config, &step);
    }
    replaying.finish()
}

/// A replay, step by step.
#[derive(Debug)]
pub(crate) struct Replaying {
    state: State,
    replay: Replay,
}

impl Replaying {
    pub(crate) fn new(comparison: Comparison) -> Self {
        let mut state = State::default();
        state.compare(comparison);
        Self { state, replay: Replay::default() }
    }

    pub(crate) fn step(&mut self, config: &Config, step: &Step<'_>) {
        let Self { state, replay } = self;
        state.feed(config, step);
        replay.steps = replay.steps.saturating_add(1);
        let Some(evidence) = state.evidence(config, step.end_seconds) else { return };
        match evidence.action {
            Action::None => {}
            Action::Hold => replay.held = replay.held.saturating_add(1),
            Action::Deviate => note(&mut replay.fired, step.end_seconds, evidence),
        }
    }

    pub(crate) fn finish(self) -> Replay {
        Replay { detectable: self.state.detectable().and_then(|detectable| detectable.ratio), ..self.replay }
    }
}

fn note(fired: &mut Vec<Fired>, at_seconds: i64, evidence: Evidence) {
    let Some(guard) = evidence.guard else { return };
    if fired.len() < FIRED_MAX && fired.iter().all(|known| known.guard != guard) {
        fired.push(Fired { at_seconds, guard, evidence });
    }
}
