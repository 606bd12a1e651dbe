//! What a wave's comparison is like: with what, for how long, and over how many waves (analysis.md 2). Pure.

use breakwater_crds::{
    rollout::{Baseline, RolloutSpec},
    scalars::Span,
};
use breakwater_slo::{Against, Design, Members};

/// With fewer candidates the own past is asked as well (analysis.md 2).
const FEW: usize = 5;
/// Restarts' mass is spread over the planned length, holds and windows included: so many times the soaks.
const SLACK: f64 = 1.5;
/// A week: how often a minute of it comes round.
const WEEK: i64 = 7 * 86_400;

/// How many times the rollout as planned meets a minute of the week: what [`breakwater_slo::Profile::past`] divides by.
pub fn weeks(spec: &RolloutSpec) -> u32 {
    let weeks = (i64::from(planned_hours(spec)) * 3_600 / WEEK + 1).clamp(1, 1_000);
    u32::try_from(weeks).unwrap_or(1)
}

/// What a wave's comparison is like; `waves` are the tenants of each wave begun so far, the wave itself has `members`, and
/// `nobody_waits` where all tenants are updated.
pub fn design_of(
    spec: &RolloutSpec,
    wave: usize,
    nobody_waits: bool,
    waves: Vec<Members>,
    members: usize,
) -> Design {
    let candidates = waves.iter().map(Members::len).sum::<usize>().max(members);
    Design {
        against: against(spec, wave, nobody_waits, candidates),
        planned_hours: planned_hours(spec),
        planned_waves: u32::try_from(spec.waves.len()).unwrap_or(u32::MAX).max(1),
        waves,
    }
}

/// What to compare with from a wave on.
fn against(spec: &RolloutSpec, wave: usize, nobody_waits: bool, candidates: usize) -> Against {
    let baseline = spec.waves.get(wave).map_or(Baseline::Auto, |wave| wave.baseline);
    match baseline {
        Baseline::History => Against::History { chosen: true },
        Baseline::Both => Against::Both,
        // As a wave goes on fewer and fewer of the others are left; in the last one nobody is, unless some are held out.
        Baseline::Auto if nobody_waits => Against::History { chosen: false },
        Baseline::Auto if candidates < FEW => Against::Both,
        Baseline::Others | Baseline::Auto => Against::Others,
    }
}

/// Length of the whole rollout as planned, in hours: soaks, watching, and room for what takes longer.
fn planned_hours(spec: &RolloutSpec) -> u32 {
    let soaks = spec.waves.iter().map(|wave| wave.soak).chain([spec.watch_after]);
    let seconds: i64 = soaks.map(Span::as_seconds).fold(0, i64::saturating_add);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    let hours = (seconds as f64 * SLACK / 3_600.0).ceil().clamp(1.0, 1e6) as u32;
    hours
}
