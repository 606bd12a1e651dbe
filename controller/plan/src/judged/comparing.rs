//! What candidates are compared with, and when the comparison may speak (analysis.md 2, R7, R9, R13). Pure.

use std::sync::Arc;

use breakwater_crds::{
    rollout::{Comparison as Asked, OnInsufficient},
    scalars::Span,
};
use breakwater_slo::{Arm, Comparison, Design, Members, Past, State};
use jiff::Timestamp;

use super::{as_of, instant};
use crate::{
    course::Course,
    design::{design_of, weeks},
    input::Input,
    observed::{ByTenant, SloReading},
    roster::{Roster, Standing},
    spec::is_per_tenant,
    study::Study,
};

/// Whether an SLO is compared at all.
pub(crate) fn is_compared(input: &Input<'_>, course: &Course, slo: usize) -> bool {
    let spec = input.spec();
    spec.judge.comparison == Asked::Enabled && is_per_tenant(&spec.slos[slo]) && course.phase.is_under_way()
}

/// Whether an SLO's comparison may speak now, and with what was frozen. While a new wave's past is being read, the wave
/// before it speaks on.
pub(crate) fn comparison(input: &Input<'_>, course: &Course, slo: usize, reading: &SloReading) -> Comparison {
    if !is_compared(input, course, slo) {
        return Comparison::Off;
    }
    if input.measured.kept.is_none() {
        return Comparison::Pending("what was frozen was not read yet".to_owned());
    }
    let begun: Vec<Timestamp> = course.waves.iter().filter_map(|wave| wave.started_at).collect();
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
    let wave = course.waves.iter().position(|wave| wave.started_at == Some(begun[newest])).unwrap_or(0);
    studied.learned.comparison(design(input, course, wave, waves, studied.members.len()))
}

/// The candidates' own past in one step, once the wave is complete: what it would be of a part of its tenants is not known.
pub(crate) fn past(
    input: &Input<'_>,
    course: &Course,
    reading: &SloReading,
    end_seconds: i64,
    step_seconds: i64,
) -> Option<Past> {
    let wave = course.waves.iter().rev().find(|wave| wave.started_at.is_some())?;
    let end = instant(end_seconds - step_seconds);
    wave.warm_at.filter(|warm| *warm <= end)?;
    let Some(Ok(studied)) = reading.study(&wave.started_at?) else { return None };
    let uses = weeks(input.spec());
    studied.learned.profile.past(end_seconds, step_seconds, uses)
}

/// The look at the past that the newest wave's comparison waits for.
pub(crate) fn study(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> Option<Arc<Study>> {
    let compared: Vec<usize> =
        (0..input.slos().len()).filter(|slo| is_compared(input, course, *slo)).collect();
    let (index, wave) = course.waves.iter().enumerate().rev().find(|(_, wave)| wave.started_at.is_some())?;
    let wave_started_at = wave.started_at?;
    let known = |slo: &usize| {
        input.reading(*slo).is_some_and(|reading| matches!(reading.study(&wave_started_at), Some(Ok(_))))
    };
    let unknown: Vec<usize> = compared.into_iter().filter(|slo| !known(slo)).collect();
    // What was frozen stands: until it was read nobody knows what is missing.
    if unknown.is_empty() || !input.is_complete() || input.measured.kept.is_none() {
        return None;
    }
    let judge = |slo: usize| {
        let step = input.step_seconds(slo);
        (unknown.contains(&slo) && step > 0).then(|| input.asked.spec.judge(slo, step))
    };
    let judges: Vec<_> = (0..input.slos().len()).map(judge).collect();
    if !unknown.iter().all(|slo| judges[*slo].is_some()) {
        return None; // the steps are not known yet
    }
    let (mut arms, mut members) = (Vec::with_capacity(roster.places().len()), Vec::new());
    for (tenant, place) in roster.fleet().filter(|(_, place)| place.standing.is_live()) {
        let is_candidate = place.standing.is_updated() || place.wave.is_some_and(|wave| wave <= index);
        if matches!(place.standing, Standing::Contested | Standing::Spared) {
            continue;
        }
        arms.push((tenant.id, if is_candidate { Arm::Candidate } else { Arm::Baseline }));
        if place.wave == Some(index) {
            members.push(tenant.id);
        }
    }
    let started = course.started_at.unwrap_or(wave_started_at).min(wave_started_at);
    let count = members.len();
    let members = Members::from(members);
    Some(Arc::new(Study {
        wave_started_at,
        week: as_of(input, course.waves.iter().filter_map(|wave| wave.started_at).min()?),
        until: as_of(input, started),
        span_seconds: input.spec().judge.history.as_seconds(),
        arms: ByTenant::new(arms),
        design: design(input, course, index, vec![members.clone()], count),
        members,
        judges,
    }))
}

/// What a wave's comparison is like.
fn design(input: &Input<'_>, course: &Course, wave: usize, waves: Vec<Members>, members: usize) -> Design {
    let is_complete = course.waves.get(wave).is_some_and(|wave| wave.completed_at.is_some());
    let nobody_waits = is_complete && course.waves.iter().skip(wave + 1).all(|later| later.total == 0);
    design_of(input.spec(), wave, nobody_waits, waves, members)
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
pub(crate) fn sufficient(input: &Input<'_>, course: &Course, judges: &[State], wave: usize) -> Sufficient {
    let spec = input.spec();
    if spec.holdout.is_some() && wave + 1 == spec.waves.len() {
        return Sufficient::Yes; // those who were held out come when all comparing is done
    }
    let least = spec.judge.must_detect;
    let found = |slo: &usize| judges.get(*slo).is_some_and(|judge| judge.excluded(least));
    let Some(slo) =
        (0..spec.slos.len()).filter(|slo| is_compared(input, course, *slo)).find(|slo| !found(slo))
    else {
        return Sufficient::Yes;
    };
    let detectable = judges.get(slo).and_then(State::detectable);
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
        Span::seconds(course.waves[wave].soaked_seconds).rounded()
    );
    let most = course.soak_of(spec_wave).as_seconds().saturating_mul(i64::from(spec.judge.max_soak.get()));
    if course.waves[wave].soaked_seconds < most {
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
