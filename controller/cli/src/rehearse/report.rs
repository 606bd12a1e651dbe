//! The report in text: a timeline, and what an SRE asks of each version. Pure.

use breakwater_crds::{Span, words::TransitionReason};
use breakwater_rehearsal::outcome::{
    Distribution, End, FaultOutcome, Outcome, Quantiles, VersionOutcome, VersionResult,
};

use super::progress;
use crate::plugin::{
    paint::{BAD, DONE, GOING, IDLE, WARN},
    text,
};

/// Events that are left out of the timeline: they only lead from one that is shown to the next.
const NOISE: [TransitionReason; 3] =
    [TransitionReason::SpecChanged, TransitionReason::WaveUpdated, TransitionReason::SoakStarted];

/// One rehearsal.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut parts = vec![headline(outcome), timeline(outcome)];
    parts.extend(outcome.versions.iter().map(version));
    parts.push(format!(
        "{} API requests of the controller, {} of them writes to tenants that changed something.",
        text::count(outcome.api_requests as f64),
        text::count(outcome.tenant_writes as f64)
    ));
    parts.join("\n\n")
}

fn headline(outcome: &Outcome) -> String {
    let days = outcome.ended_at.duration_since(outcome.started_at).as_secs();
    let end = match outcome.end {
        End::Completed => format!("{DONE} Completed"),
        End::Reverted => format!("{BAD} Reverted"),
        End::OutOfTime => format!("{WARN} OutOfTime"),
        End::Refused => format!("{BAD} Refused"),
    };
    text::fields([
        ("Rollout", outcome.rollout.clone()),
        ("Scenario", format!("{} (seed {})", outcome.scenario, outcome.seed)),
        ("About", outcome.about.clone()),
        ("Tenants", text::count(outcome.tenants as f64)),
        ("Ended", format!("{end} after {}", Span::seconds(days).rounded())),
    ])
}

fn timeline(outcome: &Outcome) -> String {
    let shown = outcome
        .timeline
        .iter()
        .filter(|event| event.reason.transition().is_none_or(|reason| !NOISE.contains(&reason)));
    let lines: Vec<String> = shown.map(|event| progress::news(event, outcome.started_at)).collect();
    format!("Timeline:\n{}", lines.join("\n"))
}

fn version(version: &VersionOutcome) -> String {
    let VersionOutcome { fault, reason, wave, attribution, longest_hold, .. } = version;
    let span = |seconds: Option<i64>| seconds.map_or_else(String::new, |s| Span::seconds(s).rounded());
    let harmed = version.tenant_minutes_of_harm > 0.0;
    let harm = |value: f64| if harmed { text::count(value.round()) } else { String::new() };
    let detection = match (version.first_harm_at, version.seconds_to_detection) {
        (Some(_), Some(seconds)) => {
            format!("{} after the first harm", Span::seconds(seconds.max(0)).rounded())
        }
        (Some(_), None) => "never: nobody noticed".to_owned(),
        (None, _) => String::new(),
    };
    let hold = longest_hold
        .as_ref()
        .map(|hold| format!("{} ({}: {})", Span::seconds(hold.seconds).rounded(), hold.reason, hold.message));
    let rows = text::fields([
        ("  Fault", fault.clone().unwrap_or_else(|| "none".into())),
        ("  Result", result(version.result)),
        ("  Time to detection", detection),
        ("  In wave", wave.clone().filter(|_| version.detected_at.is_some()).unwrap_or_default()),
        ("  Because", reason.clone().unwrap_or_default()),
        ("  Time to revert", span(version.seconds_to_revert)),
        ("  Verification", attribution.map_or_else(String::new, |attribution| attribution.to_string())),
        ("  Tenants touched", text::count(version.tenants_touched as f64)),
        ("  Tenant-minutes of harm", harm(version.tenant_minutes_of_harm)),
        ("  Bad events in excess", harm(version.excess_bad_events)),
        ("  Time to completion", span(version.seconds_to_completion)),
        ("  Longest hold", hold.unwrap_or_default()),
    ]);
    format!("Version {}:\n{rows}", version.version)
}

fn result(result: VersionResult) -> String {
    let glyph = match result {
        VersionResult::Completed => DONE,
        VersionResult::Reverted | VersionResult::RevertedPartly => BAD,
        VersionResult::Superseded | VersionResult::NotStarted => IDLE,
        VersionResult::Unfinished => GOING,
    };
    format!("{glyph} {result}")
}

/// Many rehearsals.
pub(super) fn distribution(all: &Distribution) -> String {
    let share = all.false_revert_share;
    let head = text::fields([
        ("Scenario", all.scenario.clone()),
        (
            "Runs",
            format!("{} (seeds {} to {})", all.runs, all.first_seed, all.first_seed + all.runs as u64 - 1),
        ),
        (
            "False reverts",
            if all.healthy_rollouts == 0 {
                String::new()
            } else {
                format!(
                    "{} of {} rollouts of healthy versions: {} (95 % interval {} to {})",
                    all.false_reverts,
                    all.healthy_rollouts,
                    text::percent(share.estimate),
                    text::percent(share.lower),
                    text::percent(share.upper)
                )
            },
        ),
        (
            "Days to completion",
            all.days_to_completion
                .map_or_else(String::new, |days| format!("p50 {:.1}, p90 {:.1}", days.p50, days.p90)),
        ),
    ]);
    let rows = all.faults.iter().map(fault);
    let header =
        ["VERSION", "FAULT", "CAUGHT", "DETECTION P50", "P90", "TENANTS P50", "HARM P50 (TENANT-MIN)"];
    if all.faults.is_empty() { head } else { format!("{head}\n\n{}", text::table(header, rows)) }
}

fn fault(fault: &FaultOutcome) -> [String; 7] {
    let span = |quantiles: Option<Quantiles>, of: fn(Quantiles) -> f64| {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a rehearsal")]
        quantiles.map_or_else(|| "-".into(), |q| Span::seconds(of(q) as i64).rounded())
    };
    let number =
        |quantiles: Option<Quantiles>| quantiles.map_or_else(|| "-".into(), |q| text::count(q.p50.round()));
    [
        fault.version.clone(),
        fault.fault.clone(),
        format!("{} of {}", fault.caught, fault.started),
        span(fault.seconds_to_detection, |q| q.p50),
        span(fault.seconds_to_detection, |q| q.p90),
        number(fault.tenants_touched),
        number(fault.tenant_minutes_of_harm),
    ]
}
