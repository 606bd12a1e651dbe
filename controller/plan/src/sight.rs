//! Nothing is written blind: before a wave's first write every SLO must be seen working on the tenants that it takes (R10,
//! R33). Pure.
//!
//! A *sight* is what an SLO's newest step says of the fleet as it is, before anybody is a candidate. It is no evidence: it only
//! tells whether there would be any. What is not seen yet waits; what is seen not to work holds, and says what does not match.

use breakwater_crds::{
    scalars::Span,
    status::{Phase, TelemetryCount},
    words::HoldReason,
};
use breakwater_slo::TenantId;

use crate::{
    course::Course,
    input::Input,
    moves::clamp,
    observed::{Readiness, Seen, Sight, Tenant},
    roster::{Place, Roster, after},
    said::clip,
};

/// How long a sight is of use: it is renewed every minute while it is wanted.
const FRESH_FOR: Span = Span::seconds(300);
/// What a rollout waits for that has not looked yet.
pub(crate) const LOOKING: &str = "the SLOs are looked at before the first write";

/// What the SLOs show of a wave's tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Every SLO is seen working.
    Clear,
    /// Some were not looked at yet, or too long ago.
    Unknown,
    /// One does not work on these tenants.
    Blind(HoldReason, String),
}

/// Whether a plan that ends in this course wants the SLOs looked at: the next write is the first of a wave.
pub(crate) fn is_wanted(course: &Course) -> bool {
    match course.phase {
        Phase::Pending | Phase::Adopting => true,
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval => {
            course.current_wave().is_some_and(|wave| course.waves[wave].started_at.is_none())
        }
        Phase::Watching
        | Phase::Completed
        | Phase::Reverting
        | Phase::Verifying
        | Phase::Reverted
        | Phase::RevertedPartly => false,
    }
}

/// What the SLOs show of the tenants that a wave would take.
pub(crate) fn of_wave(input: &Input<'_>, roster: &Roster<'_>, wave: usize) -> Outlook {
    // Who is not ready may have no series for that reason, and is not judged by what it was before (R4).
    let its = |tenant: &Tenant, place: &Place| {
        let is_ready = matches!(tenant.readiness, Readiness::Ready { .. });
        place.wave == Some(wave) && place.standing.is_live() && is_ready
    };
    let mut outlook = Outlook::Clear;
    for (index, slo) in input.slos().iter().enumerate() {
        let Some(sight) = fresh(input, index) else {
            outlook = Outlook::Unknown;
            continue;
        };
        match &sight.seen {
            Ok(Seen::Value) => {}
            Ok(Seen::Tenants(measured)) => {
                let Count { of, missing, example } = count(roster, measured, its);
                if missing * 10 > of {
                    let (name, wave) = (&slo.name, &input.spec().waves[wave].name);
                    let one = example.map_or_else(String::new, named);
                    let why = format!(
                        "{name}: {missing} of the {of} ready tenants of wave {wave} have no series, such as {one}: compare \
                         tenantLabels with tenants.id"
                    );
                    return Outlook::Blind(HoldReason::Uninstrumented, why);
                }
            }
            Err(why) => return Outlook::Blind(HoldReason::NoData, format!("{}: {why}", slo.name)),
        }
    }
    outlook
}

/// How much of the fleet each SLO measures; `None` until all of them were looked at.
pub(crate) fn of_fleet(input: &Input<'_>, roster: &Roster<'_>) -> Option<Vec<TelemetryCount>> {
    let live = |_: &Tenant, place: &Place| place.standing.is_live();
    let telemetry = |(index, slo): (usize, &breakwater_crds::slo::Slo)| {
        let (measured, message) = match &fresh(input, index)?.seen {
            Ok(Seen::Value) => (count(roster, &[], live).of, String::new()),
            Ok(Seen::Tenants(measured)) => {
                let Count { of, missing, example } = count(roster, measured, live);
                let without = |tenant| format!("{missing} have no series, such as {}", named(tenant));
                (of - missing, example.map_or_else(String::new, without))
            }
            Err(why) => (0, why.clone()),
        };
        let message = clip(&message);
        Some(TelemetryCount { slo: slo.name.clone(), measured: clamp(measured), message })
    };
    input.slos().iter().enumerate().map(telemetry).collect()
}

fn fresh<'a>(input: &Input<'a>, slo: usize) -> Option<&'a Sight> {
    let sight = input.reading(slo)?.sight.as_ref()?;
    // One of the future was taken by a clock that stepped back since.
    (sight.at <= input.now && input.now <= after(sight.at, FRESH_FOR)).then_some(sight)
}

/// Tenants with and without series.
struct Count<'a> {
    of: usize,
    missing: usize,
    /// One without.
    example: Option<&'a Tenant>,
}

fn count<'a>(
    roster: &Roster<'a>,
    measured: &[TenantId],
    which: impl Fn(&Tenant, &Place) -> bool,
) -> Count<'a> {
    let mut count = Count { of: 0, missing: 0, example: None };
    for (tenant, _) in roster.fleet().filter(|(tenant, place)| which(tenant, place)) {
        count.of += 1;
        if measured.binary_search(&tenant.id).is_err() {
            count.missing += 1;
            count.example.get_or_insert(tenant);
        }
    }
    count
}

/// A tenant by its name, and by its name in metrics where that is another.
fn named(tenant: &Tenant) -> String {
    let Tenant { namespace, name, metric_id, .. } = tenant;
    match metric_id {
        Some(id) => format!("{namespace}/{name} ({id:?} in metrics)"),
        None => format!("{namespace}/{name}"),
    }
}
