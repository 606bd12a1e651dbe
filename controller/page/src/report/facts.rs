//! What every form of a report tells in the same words. Pure.

use breakwater_crds::{
    Outcome,
    report::{Attribution, DeviationReportStatus, Harm, InvestigationState, RejectedFor},
};
use jiff::Timestamp;

use super::Report;
use crate::text;

/// Title of what the schema has to do with the revert (R21).
pub const SCHEMA: &str = "The way back is the schema's to allow";
/// How the steps down are to be run.
pub const DOWN_STEPS: &str =
    "Run by the newer binary, in this order, per tenant, while its server stands still:";

/// One word for how it was answered.
pub fn outcome(status: &DeviationReportStatus) -> &'static str {
    status.outcome.map_or("Written", Outcome::as_str)
}

/// R20's answer in one word; empty while there is none.
pub fn attribution(status: &DeviationReportStatus) -> &'static str {
    status.attribution.map_or("", Attribution::as_str)
}

/// How people's investigation stands, in a few words.
pub fn investigation(report: &Report<'_>) -> String {
    let found = report.spec.investigation.as_ref();
    let state = found.map_or(InvestigationState::Open, |found| found.state);
    match (found.and_then(|found| found.fixed_in.as_ref()), &report.status.closed_by) {
        (Some(version), _) => format!("{state} in {version}"),
        (None, Some(by)) if state == InvestigationState::Open => format!("closed by {by}"),
        (None, _) => state.to_string(),
    }
}

/// The report in one sentence.
pub fn headline(report: &Report<'_>) -> String {
    let (version, rollout) = (&report.spec.version, &report.spec.rollout);
    let what = match report.status.outcome {
        Some(Outcome::Reverting) => "deviates and is being taken out",
        Some(Outcome::Reverted) => "deviated and was taken out",
        Some(Outcome::RevertedPartly) => "deviated and was taken out, but not everywhere",
        Some(Outcome::Held) => "deviates, and nothing advances",
        Some(Outcome::TenantsReverted) => "was taken out of single tenants, and goes on for all others",
        None => "is rejected",
    };
    format!("Version {version} of {rollout} {what}")
}

/// The tenants that the version is rejected for alone (R22), each with its time and guard.
pub fn rejected_for(status: &DeviationReportStatus) -> Vec<String> {
    let line = |rejected: &RejectedFor| {
        let RejectedFor { tenant, at, reason } = rejected;
        format!("{tenant} since {}: {reason}", text::stamp(*at))
    };
    status.rejected_for.iter().map(line).collect()
}

/// What happened when, in order of time.
pub fn times(status: &DeviationReportStatus) -> Vec<(&'static str, Timestamp)> {
    let all = [
        ("first tenant written", status.started_at),
        ("first harm", status.first_harm_at),
        ("detected", status.detected_at),
        ("decided", status.decided_at),
        ("revert decided", status.revert_decided_at),
        ("first tenant written back", status.first_write_at),
        ("last tenant back and ready", status.last_ready_at),
        ("verified", status.finished_at),
    ];
    let mut times: Vec<(&'static str, Timestamp)> =
        all.into_iter().filter_map(|(what, at)| Some((what, at?))).collect();
    times.sort_by_key(|(_, at)| *at);
    times
}

/// The harm of the SLO that spoke, or of the one with most of it.
pub(super) fn harm(status: &DeviationReportStatus) -> Option<&Harm> {
    let spoke = status.slos.iter().find(|slo| Some(&slo.name) == status.slo.as_ref());
    let most = || {
        let with = status.slos.iter().filter(|slo| slo.harm.is_some());
        let minutes = |harm: &Option<Harm>| harm.as_ref().map_or(0.0, |harm| harm.budget_minutes);
        with.max_by(|a, b| minutes(&a.harm).total_cmp(&minutes(&b.harm)))
    };
    spoke.filter(|slo| slo.harm.is_some()).or_else(most)?.harm.as_ref()
}

/// What an SRE asks first, each a name and a value.
pub fn figures(status: &DeviationReportStatus) -> Vec<(&'static str, String)> {
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        Some(text::span(to?.duration_since(from?).as_secs()))
    };
    let touched: u32 = status.waves.iter().map(|wave| wave.touched).sum();
    let harm = harm(status);
    let figure = |of: fn(&Harm) -> f64| harm.map(|harm| text::count(of(harm)));
    let all = [
        ("time to detection", between(status.first_harm_at, status.decided_at)),
        ("time to revert", between(status.moment(), status.last_ready_at)),
        ("tenants touched", Some(text::count(f64::from(touched)))),
        ("tenants that felt it", figure(|harm| f64::from(harm.tenants))),
        ("bad requests in excess", figure(|harm| harm.excess)),
        ("error budget spent", harm.map(|harm| format!("{} min", minutes(harm.budget_minutes)))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Minutes of error budget: whole ones where there are many.
pub(super) fn minutes(minutes: f64) -> String {
    if minutes >= 100.0 { text::count(minutes) } else { text::number(minutes) }
}

/// What of a list is not in the report, in words; empty where all is.
pub(super) fn left_out(status: &DeviationReportStatus, what: &str) -> String {
    let left = status.left_out.iter().find(|left| left.what == what);
    left.map_or_else(String::new, |left| {
        format!("{} more are not listed.", text::count(f64::from(left.count)))
    })
}
