//! The shipped scenarios end as they say, and a seed decides everything.

use std::sync::LazyLock;

use breakwater_crds::{
    Rollout,
    words::{HoldReason, TransitionReason},
};
use breakwater_rehearsal::{
    Rehearsal,
    fleet::{FleetSpec, Scenario, scenario},
    outcome::{End, Event, Frame, Outcome, VersionOutcome, VersionResult},
    rehearse,
};
use jiff::SignedDuration;

/// The built-in Rollout on a small fleet, and in steps of five minutes: enough to see what happens, not how soon.
fn rehearsal(name: &str) -> Rehearsal {
    let scenario = Scenario::named(name).expect("a shipped scenario");
    let fleet = FleetSpec { tenants: 60, ..scenario.fleet.clone().unwrap_or_default() };
    let text = scenario::ROLLOUT
        .replace("sharp: {factor: 10}", "sharp: {factor: 10, long: 15m, short: 5m}")
        .replacen("step: 1m", "step: 5m\n      sharp: {long: 15m, short: 5m}", 1)
        .replace("step: 1m", "step: 5m");
    let rollout: Rollout = serde_yaml::from_str(&text).expect("the built-in Rollout");
    let until = SignedDuration::from_hours(24 * 70);
    Rehearsal { rollout, fleet, scenario, seed: 1, until, approve_after: None }
}

fn play(name: &str) -> Outcome {
    rehearse(&rehearsal(name), &mut |_| {}).expect("a rehearsal")
}

fn version<'a>(outcome: &'a Outcome, version: &str) -> &'a VersionOutcome {
    outcome.versions.iter().find(|one| one.version == version).expect("a version that was asked for")
}

/// The run that others are compared with.
static HEALTHY: LazyLock<Outcome> = LazyLock::new(|| play("healthy-release"));

/// What became of the waves, in order.
fn road(outcome: &Outcome) -> Vec<&str> {
    let of_waves = [
        TransitionReason::WaveStarted,
        TransitionReason::WaveSkipped,
        TransitionReason::WaveUpdated,
        TransitionReason::WavePassed,
    ];
    let is_of_waves = |event: &&Event| event.reason.transition().is_some_and(|told| of_waves.contains(&told));
    outcome.timeline.iter().filter(is_of_waves).map(|event| event.message.as_str()).collect()
}

fn passes(outcome: &Outcome) {
    assert_eq!((outcome.end, version(outcome, "1.1.0").result), (End::Completed, VersionResult::Completed));
    assert_eq!(road(outcome), road(&HEALTHY));
    assert!(
        outcome.timeline.iter().all(|event| event.reason.transition() != Some(TransitionReason::Reverting)),
        "{:?}",
        outcome.timeline
    );
}

#[test]
fn a_healthy_release_completes_on_all_waves() {
    passes(&HEALTHY);
    assert_eq!(HEALTHY.waves.len(), 4);
    let last = HEALTHY.frames.last().expect("frames");
    assert_eq!((last.updated, last.ready, last.live), (60, 60, 60));
}

#[test]
fn r12_a_night_without_prometheus_stops_the_soak_and_nothing_else() {
    let outcome = play("prometheus-away-overnight");
    passes(&outcome);
    let held: Vec<_> = outcome
        .frames
        .iter()
        .filter(|frame| frame.held.as_ref().is_some_and(|held| *held == HoldReason::NoData))
        .collect();
    let (first, last) = (held.first().expect("a hold"), held.last().expect("a hold"));
    let hours = last.at.duration_since(first.at).as_secs_f64() / 3600.0;
    assert!((9.0..=10.5).contains(&hours), "held for {hours} h");
    let stood = |frame: &&&Frame| (frame.updated, &frame.waves) == (first.updated, &first.waves);
    assert_eq!(held.iter().filter(stood).count(), held.len(), "nothing advances, and no soak goes on");
    let seconds = |outcome: &Outcome| version(outcome, "1.1.0").seconds_to_completion.expect("completed");
    let later = (seconds(&outcome) - seconds(&HEALTHY)) as f64 / 3600.0;
    assert!((9.5..=11.0).contains(&later), "later by {later} h, for an outage of ten");
}

#[test]
fn a_controller_that_restarts_daily_changes_nothing() {
    passes(&play("controller-restarts-daily"));
}

#[test]
fn r14_an_outage_of_all_tenants_reverts_nothing() {
    passes(&play("shared-outage"));
}

/// The same, with the latency's shape compared or not.
fn below_the_threshold(shape: &str) -> Outcome {
    let mut rehearsal = rehearsal("latency-below-threshold");
    let text = scenario::ROLLOUT
        .replace("threshold: 500ms}", &format!("threshold: 500ms, shape: {shape}}}"))
        .replace("sharp: {factor: 10}", "sharp: {factor: 10, long: 15m, short: 5m}")
        .replacen("step: 1m", "step: 5m\n      sharp: {long: 15m, short: 5m}", 1)
        .replace("step: 1m", "step: 5m");
    rehearsal.rollout = serde_yaml::from_str(&text).expect("the built-in Rollout");
    // Longer than the first wave.
    rehearsal.until = SignedDuration::from_hours(24 * 4);
    rehearse(&rehearsal, &mut |_| {}).expect("a rehearsal")
}

#[test]
fn r13_a_release_that_is_slower_within_the_threshold_is_reverted_by_the_shape_and_by_nothing_else() {
    let outcome = below_the_threshold("Enabled");
    let release = version(&outcome, "1.1.0");
    assert_eq!(release.result, VersionResult::Reverted, "{:?}", outcome.timeline);
    let says = outcome.timeline.iter().find(|event| event.message.contains("latency of wave "));
    let says = &says.expect("an account").message;
    assert!(says.contains(": requests over 250 ms: ") || says.contains(": requests over 125 ms: "), "{says}");
    let off = below_the_threshold("Disabled");
    let troubles = [TransitionReason::Held, TransitionReason::Reverting];
    let trouble = off
        .timeline
        .iter()
        .find(|event| event.reason.transition().is_some_and(|told| troubles.contains(&told)));
    assert!(trouble.is_none() && road(&off).len() > 3, "{:?}", off.timeline);
}

#[test]
fn r4_a_crash_loop_holds_before_it_spreads() {
    let outcome = rehearse(
        &Rehearsal { until: SignedDuration::from_hours(96), ..rehearsal("crash-loop") },
        &mut |_| {},
    )
    .expect("a rehearsal");
    let release = version(&outcome, "1.1.0");
    assert_ne!(release.result, VersionResult::Completed);
    assert!(release.tenants_touched < 30, "{} tenants touched", release.tenants_touched);
}

/// A version that fails two hours after its update; its patch release is published before people have answered.
const ANSWERED_LATE: &str = "
about: a patch release is published before the report is closed
versions: {1.1.0: {errors: 6%, after: 2h}}
events:
  - {publish: 1.1.0}
  - {after: Reverted, at: 150m, publish: 1.1.1}
  - {after: Previous, at: 90m, close: Fixed, fixedIn: 1.1.1}
";

#[test]
fn a_revert_is_told_by_its_report_and_the_patch_release_waits_for_peoples_answer() {
    let scenario = Scenario::parse("answered-late", ANSWERED_LATE).expect("a scenario");
    let short = Rehearsal { scenario, until: SignedDuration::from_hours(14), ..rehearsal("errors-double") };
    let outcome = rehearse(&short, &mut |_| {}).expect("a rehearsal");
    let when = |reason: &str, said: &str| {
        let found = outcome
            .timeline
            .iter()
            .find(|event| event.reason.as_str() == reason && event.message.contains(said));
        found.unwrap_or_else(|| panic!("no {reason} of {said}: {:?}", outcome.timeline)).at
    };
    let (asked, held) = (when("Publish", "1.1.1"), when("Held", "OpenDeviations: version 1.1.1 waits"));
    let (closed, started) = (when("CloseReport", "Fixed in 1.1.1"), when("Started", "version 1.1.1"));
    assert!(asked <= held && held < closed && closed <= started, "{asked} {held} {closed} {started}");
    let [report] = outcome.reports.as_slice() else { panic!("{} reports", outcome.reports.len()) };
    let status = &report.status;
    let found = report.spec.investigation.as_ref().expect("an answer");
    assert_eq!((report.spec.version.as_str(), found.notes.as_str()), ("1.1.0", "rehearsed"));
    let spoke = status.slos.iter().find(|slo| Some(&slo.name) == status.slo.as_ref()).expect("an SLO spoke");
    let chart = spoke.chart.as_ref().expect("counts around the decision");
    let after = chart.at(chart.len()).expect("in range").duration_since(status.moment().expect("decided"));
    assert!((110..=120).contains(&after.as_mins()), "{after} after the decision");
    let harm = spoke.harm.as_ref().expect("harm");
    assert!(harm.excess > 0.8 * harm.bad && harm.tenants > 0, "{harm:?}");
    assert!(!status.worst.is_empty() && spoke.query.contains("http_requests_total"), "{status:?}");
    // By the fleet's own truth, to a step or two.
    let truth = version(&outcome, "1.1.0").first_harm_at.expect("harm");
    let apart = status.first_harm_at.expect("told").duration_since(truth).abs();
    assert!(apart <= SignedDuration::from_mins(15), "{apart:?} from the truth");
    assert!(status.decided_at <= status.first_write_at && status.first_write_at < status.last_ready_at);
}

#[test]
fn two_runs_of_a_seed_are_byte_identical_and_another_seed_is_another_run() {
    let short = Rehearsal { until: SignedDuration::from_hours(60), ..rehearsal("errors-double") };
    let json = |seed: u64| {
        let outcome = rehearse(&Rehearsal { seed, ..short.clone() }, &mut |_| {}).expect("a rehearsal");
        serde_json::to_string(&outcome).expect("JSON")
    };
    let one = json(1);
    assert!(
        one.contains("\"apiRequests\":") && one.contains("\"tenantWrites\":"),
        "what it asked for is in it"
    );
    assert!(one == json(1), "two runs of seed 1 differ");
    assert!(one != json(2), "seed 2 is the run of seed 1");
}
