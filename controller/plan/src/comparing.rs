//! What candidates are compared with, and when the comparison may speak (analysis.md 2, R7, R9, R13). Pure.

use std::sync::Arc;

use breakwater_crds::{
    rollout::{Baseline, Comparison as Asked, OnInsufficient, RolloutSpec},
    scalars::Span,
};
use breakwater_slo::{Against, Arm, Comparison, Design, Members, Past};
use jiff::Timestamp;

use crate::{
    draft::Draft,
    fleet::Standing,
    judging::{as_of, instant},
    observed::{ByTenant, SloReading},
    road,
    spec::is_per_tenant,
    study::Study,
};

/// With fewer candidates the own past is asked as well (analysis.md 2).
const FEW: usize = 5;
/// Restarts' mass is spread over the planned length, holds and windows included: so many times the soaks.
const SLACK: f64 = 1.5;
/// A week: how often a minute of it comes round.
const WEEK: i64 = 7 * 86_400;

/// Whether an SLO is compared at all.
pub(crate) fn is_compared(draft: &Draft<'_>, slo: usize) -> bool {
    let spec = &draft.observed.spec.spec;
    spec.judge.comparison == Asked::Enabled
        && is_per_tenant(&spec.slos[slo])
        && draft.status.phase.is_under_way()
}

/// Whether an SLO's comparison may speak now, and with what was frozen. While a new wave's past is being read, the wave
/// before it speaks on.
pub(crate) fn comparison(draft: &Draft<'_>, slo: usize, reading: &SloReading) -> Comparison {
    if !is_compared(draft, slo) {
        return Comparison::Off;
    }
    if draft.observed.kept.is_none() {
        return Comparison::Pending("what was frozen was not read yet".to_owned());
    }
    let begun: Vec<Timestamp> = draft.status.waves.iter().filter_map(|wave| wave.started_at).collect();
    let studied = |at: &Timestamp| reading.study(at);
    let members = |at: &Timestamp| match studied(at) {
        Some(Ok(studied)) => studied.members.clone(),
        // Nobody knows who they were: they count as joiners.
        Some(Err(_)) | None => Members::default(),
    };
    let newest = (0..begun.len()).rev().find_map(|n| match studied(&begun[n]) {
        Some(Ok(studied)) => Some((n, studied)),
        Some(Err(_)) | None => None,
    });
    let Some((newest, studied)) = newest else {
        let why = begun.last().and_then(|at| match studied(at)? {
            Err(why) => Some(why.to_owned()),
            Ok(_) => None,
        });
        let why = why.unwrap_or_else(|| match reading.study_progress {
            Some(share) => format!("the past is being read, {:.0}%", share * 100.0),
            None => "the past was not read yet".to_owned(),
        });
        return Comparison::Pending(why);
    };
    let waves = begun[..=newest].iter().map(members).collect();
    let wave = draft.status.waves.iter().position(|wave| wave.started_at == Some(begun[newest])).unwrap_or(0);
    studied.learned.comparison(design(draft, wave, waves, studied.members.len()))
}

/// The candidates' own past in one step, once the wave is complete: what it would be of a part of its tenants is not known.
pub(crate) fn past(
    draft: &Draft<'_>,
    reading: &SloReading,
    end_seconds: i64,
    step_seconds: i64,
) -> Option<Past> {
    let wave = draft.status.waves.iter().rev().find(|wave| wave.started_at.is_some())?;
    let end = instant(end_seconds - step_seconds);
    wave.warm_at.filter(|warm| *warm <= end)?;
    let Some(Ok(studied)) = reading.study(&wave.started_at?) else { return None };
    let uses = weeks(&draft.observed.spec.spec);
    studied.learned.profile.past(end_seconds, step_seconds, uses)
}

/// How many times the rollout as planned meets a minute of the week: what [`breakwater_slo::Profile::past`] divides by.
pub fn weeks(spec: &RolloutSpec) -> u32 {
    let weeks = (i64::from(planned_hours(spec)) * 3_600 / WEEK + 1).clamp(1, 1_000);
    u32::try_from(weeks).unwrap_or(1)
}

/// The look at the past that the newest wave's comparison waits for.
pub(crate) fn study(draft: &Draft<'_>) -> Option<Arc<Study>> {
    let compared: Vec<usize> =
        (0..draft.observed.spec.spec.slos.len()).filter(|slo| is_compared(draft, *slo)).collect();
    let (index, wave) =
        draft.status.waves.iter().enumerate().rev().find(|(_, wave)| wave.started_at.is_some())?;
    let wave_started_at = wave.started_at?;
    let known = |slo: &usize| {
        let reading = draft.observed.readings.get(*slo);
        reading.is_some_and(|reading| matches!(reading.study(&wave_started_at), Some(Ok(_))))
    };
    let unknown: Vec<usize> = compared.into_iter().filter(|slo| !known(slo)).collect();
    // What was frozen stands: until it was read nobody knows what is missing.
    if unknown.is_empty() || !draft.is_complete() || draft.observed.kept.is_none() {
        return None;
    }
    let judge = |slo: usize| {
        let step = draft.observed.readings.get(slo).map_or(0, |reading| reading.step_seconds);
        (unknown.contains(&slo) && step > 0).then(|| draft.observed.spec.judge(slo, step))
    };
    let judges: Vec<_> = (0..draft.observed.spec.spec.slos.len()).map(judge).collect();
    if !unknown.iter().all(|slo| judges[*slo].is_some()) {
        return None; // the steps are not known yet
    }
    let (mut arms, mut members) = (Vec::with_capacity(draft.places.len()), Vec::new());
    for (tenant, place) in draft.fleet().filter(|(_, place)| place.standing.is_live()) {
        let is_candidate = place.standing.is_updated() || place.wave.is_some_and(|wave| wave <= index);
        if matches!(place.standing, Standing::Contested | Standing::Spared) {
            continue;
        }
        arms.push((tenant.id, if is_candidate { Arm::Candidate } else { Arm::Baseline }));
        if place.wave == Some(index) {
            members.push(tenant.id);
        }
    }
    let started = draft.status.started_at.unwrap_or(wave_started_at).min(wave_started_at);
    let count = members.len();
    let members = Members::from(members);
    Some(Arc::new(Study {
        wave_started_at,
        week: as_of(draft, draft.status.waves.iter().filter_map(|wave| wave.started_at).min()?),
        until: as_of(draft, started),
        span_seconds: draft.observed.spec.spec.judge.history.as_seconds(),
        arms: ByTenant::new(arms),
        design: design(draft, index, vec![members.clone()], count),
        members,
        judges,
    }))
}

/// What a wave's comparison is like.
fn design(draft: &Draft<'_>, wave: usize, waves: Vec<Members>, members: usize) -> Design {
    let is_complete = draft.status.waves.get(wave).is_some_and(|wave| wave.completed_at.is_some());
    let nobody_waits = is_complete && draft.status.waves.iter().skip(wave + 1).all(|later| later.total == 0);
    design_of(&draft.observed.spec.spec, wave, nobody_waits, waves, members)
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

/// Whether the wave's traffic would have found what `judge.mustDetect` says (R7).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sufficient {
    /// It would, or nobody asks.
    Yes,
    /// Not yet: why. It may yet be.
    NotYet(String),
    /// Not within `maxSoak`: why. Only a human goes on.
    Never(String),
}

/// Whether a wave that has soaked for its time may end.
pub(crate) fn sufficient(draft: &Draft<'_>, wave: usize) -> Sufficient {
    let spec = &draft.observed.spec.spec;
    if spec.holdout.is_some() && wave + 1 == spec.waves.len() {
        return Sufficient::Yes; // those who were held out come when all comparing is done
    }
    let least = spec.judge.must_detect;
    let found = |slo: &usize| draft.judges.get(*slo).is_some_and(|judge| judge.excluded(least));
    let Some(slo) = (0..spec.slos.len()).filter(|slo| is_compared(draft, *slo)).find(|slo| !found(slo))
    else {
        return Sufficient::Yes;
    };
    let detectable = draft.judges.get(slo).and_then(breakwater_slo::State::detectable);
    let seen = detectable.map_or_else(
        || format!("nothing yet (mustDetect {least}x)"),
        |seen| {
            let (share, must) = (seen.share * 100.0, seen.must_share(least) * 100.0);
            format!("no share of bad requests below {share:.3}% (mustDetect {least}x: {must:.3}%)")
        },
    );
    let (name, spec_wave) = (&spec.slos[slo].name, &spec.waves[wave]);
    let why = format!(
        "wave {} has soaked for {}, and with its traffic {name} would have found {seen}",
        spec_wave.name,
        Span::seconds(draft.status.waves[wave].soaked_seconds).rounded()
    );
    let most =
        road::soak_of(draft, spec_wave).as_seconds().saturating_mul(i64::from(spec.judge.max_soak.get()));
    if draft.status.waves[wave].soaked_seconds < most {
        return Sufficient::NotYet(why);
    }
    match spec.judge.on_insufficient {
        OnInsufficient::Advance => Sufficient::Yes,
        OnInsufficient::Hold => Sufficient::Never(format!(
            "{why} within maxSoak ({}): promote it, or lower mustDetect",
            spec.judge.max_soak
        )),
    }
}
