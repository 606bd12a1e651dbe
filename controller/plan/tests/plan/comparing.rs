//! The comparison on the road: when it may speak, what it reverts, and which wave it lets end (R7, R9, R13).

use breakwater_crds::status::Phase;
use breakwater_crds::words::Word;
use breakwater_slo::Doubt;
use serde_json::{Value, json};

use crate::world::{Behaviour, World, learned, merged, minutes, spec};

/// A spec whose SLO is compared; the old version's ratio is 0.4 %, so burn rates speak from 1 % on only.
fn compared(patch: Value) -> World {
    let json = merged(spec("2.0.0"), json!({"judge": {"comparison": "Enabled", "mustDetect": 4}}));
    let mut world = World::new(merged(json, patch), [6, 6, 12]);
    errors(&mut world, "1.0.0", 0.004);
    errors(&mut world, "2.0.0", 0.004);
    world
}

fn errors(world: &mut World, version: &str, errors: f64) {
    world.behaviours.insert(version.into(), Behaviour { errors, ready_after: Some(30) });
}

fn verdict(world: &World) -> &str {
    world.status.slos[0].verdict.as_ref().map_or("none", Word::as_str)
}

#[test]
fn r13_twice_the_errors_below_every_burn_rate_are_reverted_by_the_comparison_with_its_sentence() {
    let mut world = compared(json!({}));
    errors(&mut world, "2.0.0", 0.009);
    world.turn();
    world.until_within("the comparison reverts", minutes(120), |world| world.status.phase.is_reverting());
    let report = &world.reports[0].status;
    assert_eq!(report.reason.as_str(), "Comparison", "{}", report.message);
    assert!(
        report.message.contains("0.9% against 0.4% baseline (2.2x, limit 1.2x)")
            && report.message.contains("certainty 99"),
        "{}",
        report.message
    );
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("2.0.0"), 0);
}

#[test]
fn r13_a_margin_that_allows_it_lets_the_same_version_through() {
    let mut world = compared(json!({}));
    world.edit(json!({"slos": [merged(world.json["slos"][0].clone(), json!({"margin": {"ratio": 3}}))]}));
    errors(&mut world, "2.0.0", 0.009);
    world.turn();
    world.until_phase(Phase::Completed);
    assert!(world.reports.is_empty());
}

#[test]
fn r14_a_fleet_that_gets_worse_as_a_whole_is_no_deviation_of_the_release() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    errors(&mut world, "1.0.0", 0.009);
    errors(&mut world, "2.0.0", 0.009);
    world.until_wave("two", Phase::Soaking);
    assert!(world.reports.is_empty(), "{:?}", world.reports);
}

#[test]
fn r13_what_would_have_cried_wolf_holds_and_asks_and_reverts_nothing() {
    let mut world = compared(json!({}));
    let doubt = Doubt { reason: "it would have reverted on Tuesday".into(), guards: false };
    world.learned = Ok(breakwater_slo::Learned { doubt: Some(doubt), ..learned() });
    errors(&mut world, "2.0.0", 0.009);
    world.turn();
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(240));
    assert_eq!((verdict(&world), world.condition("Held").1.as_str()), ("Uncalibrated", "Uncalibrated"));
    assert!(world.status.slos[0].message.contains("on Tuesday") && world.reports.is_empty());
    assert_eq!(world.status.wave.as_deref(), Some("one"), "nothing advances");
}

#[test]
fn r13_before_the_past_was_read_nothing_passes_and_afterwards_it_goes_on_by_itself() {
    let mut world = compared(json!({}));
    world.learned = Err("prometheus: HTTP 503".into());
    world.turn();
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(60));
    assert_eq!(verdict(&world), "Uncalibrated");
    assert!(world.status.slos[0].message.contains("HTTP 503"), "{}", world.status.slos[0].message);
    world.learned = Ok(learned());
    world.until_phase(Phase::Completed);
}

#[test]
fn r7_a_wave_whose_traffic_could_find_too_little_waits_for_more_and_then_for_a_human() {
    let soaks = |on: &str| json!({"judge": {"mustDetect": 1.3, "maxSoak": "2x", "onInsufficient": on}});
    let mut world = compared(soaks("Hold"));
    world.turn();
    world.until_wave("one", Phase::Soaking);
    world.until_within("soaked", minutes(120), |world| world.status.waves[0].soaked_seconds >= 20 * 60);
    assert!(world.status.message.contains("mustDetect 1.3x"), "{}", world.status.message);
    world.until_within("held", minutes(120), |world| world.condition("Held").1 == "Insufficient");
    assert!(world.status.waves[0].soaked_seconds >= 40 * 60);
    world.act(breakwater_crds::Verb::Promote, json!({"version": "2.0.0", "wave": "one"}));
    world.until_wave("two", Phase::Advancing);

    let mut world = compared(soaks("Advance"));
    world.turn();
    world.until_wave("two", Phase::Soaking);
    assert!(world.status.waves[0].soaked_seconds >= 40 * 60);
}

#[test]
fn r9_an_edited_slo_starts_anew_with_what_is_left_of_alpha() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    assert!(world.status.slos[0].detectable.is_some() && world.status.slos[0].anew == 0);
    let compared = world.status.slos[0].compared.as_ref().expect("armed");
    assert_eq!((compared.dispersion, compared.edges.len()), (1.25, 0));
    world.edit(json!({"slos": [merged(world.json["slos"][0].clone(), json!({"objective": "98%"}))]}));
    world.turn();
    assert_eq!(world.status.slos[0].anew, 1);
    errors(&mut world, "2.0.0", 0.02);
    world.until_within("found with less of alpha", minutes(120), |world| world.status.phase.is_reverting());
}

#[test]
fn r38_evidence_that_another_judge_stored_starts_anew_with_what_is_left_of_alpha() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(120));
    let until = world.status.slos[0].evaluated_until;
    let stored = world.status.slos[0].evidence.as_mut().expect("a checkpoint");
    let windows = stored["windows"].clone();
    stored["compared"] = json!("1.........");
    world.restart();
    world.turn();
    let slo = &world.status.slos[0];
    assert_eq!(
        (slo.anew, slo.verdict.as_ref().map(Word::as_str) == Some("NoData")),
        (1, false),
        "{}",
        slo.message
    );
    assert!(slo.evaluated_until >= until && world.told("EvidenceAnew") == 1);
    assert_eq!(slo.evidence.as_ref().map(|stored| stored["windows"] == windows), Some(true));
    world.pass(minutes(10));
    world.restart();
    world.turn();
    assert_eq!(world.status.slos[0].anew, 1, "once");
    errors(&mut world, "2.0.0", 0.02);
    world.until_within("found with less of alpha", minutes(120), |world| world.status.phase.is_reverting());
}

#[test]
fn r28_a_restart_goes_on_with_the_evidence_of_the_checkpoint() {
    let mut world = compared(json!({"waves": [
        {"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "3d", "maxConcurrent": 4},
        {"name": "rest", "soak": "20m", "maxConcurrent": "50%"},
    ]}));
    errors(&mut world, "2.0.0", 0.007);
    world.turn();
    let certainty = |world: &World| world.status.slos[0].certainty.unwrap_or(0.0);
    world.until_within("half sure", minutes(600), |world| certainty(world) > 0.5);
    let before = certainty(&world);
    world.restart();
    world.turn();
    assert!((certainty(&world) - before).abs() < 1e-6, "{before} became {}", certainty(&world));
    world.until_within("sure", minutes(600), |world| world.status.phase.is_reverting());
}

/// Waves of six, six and twenty tenants, of which some are held out.
fn with_holdout(share: &str) -> World {
    let judge = json!({"comparison": "Enabled", "mustDetect": 4});
    let mut json = merged(spec("2.0.0"), json!({"judge": judge, "holdout": share}));
    json["waves"][2]["soak"] = json!("3h");
    let mut world = World::new(json, [6, 6, 20]);
    errors(&mut world, "1.0.0", 0.004);
    errors(&mut world, "2.0.0", 0.004);
    world
}

#[test]
fn r13_those_held_out_stay_on_the_baseline_until_the_last_wave_has_soaked_and_then_follow() {
    for share in ["10%", "0.001%"] {
        let mut world = with_holdout(share);
        world.until_wave("rest", Phase::Soaking);
        let held_out = world.on("1.0.0");
        assert!((1..=8).contains(&held_out), "{held_out} at {share}");
        let rest = world.status.waves[2].clone();
        assert_eq!((rest.total + world.status.waves[3].total, rest.ready), (20, rest.total));
        // Somebody waits, so the comparison reverts to the end: it does not only hold.
        errors(&mut world, "2.0.0", 0.009);
        world.until_within("reverts", minutes(120), |world| world.status.phase.is_reverting());
        assert_eq!(world.reports[0].status.reason.as_str(), "Comparison");
    }
    let mut world = with_holdout("10%");
    world.until_phase(Phase::Completed);
    assert_eq!((world.on("1.0.0"), world.status.waves[3].name.as_str()), (0, "holdout"));
    assert!(world.status.waves[2].passed_at <= world.status.waves[3].started_at);
}

#[test]
fn a7_a_metric_that_comes_hours_late_is_refused() {
    let mut json = spec("2.0.0");
    json["slos"][0]["delay"] = json!("2h");
    let errors = breakwater_plan::spec::Checked::parse(&serde_json::from_value(json).unwrap()).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "spec.slos[0].delay: 2h is longer than 1h: so late nobody is saved by a revert"
    );
}

#[test]
fn b4_an_objective_that_was_hardly_meant_is_named_itself() {
    for (objective, says) in [
        ("100%", "100% leaves no error budget: give less than 100%, such as 99.9%"),
        ("0%", "0% lets 100% of the requests fail; give more than 0%, such as 99.9%"),
        ("0.995%", "0.995% lets 99% of the requests fail; is 99.5% meant?"),
    ] {
        let mut json = spec("2.0.0");
        json["slos"][0]["objective"] = json!(objective);
        let errors =
            breakwater_plan::spec::Checked::parse(&serde_json::from_value(json).unwrap()).unwrap_err();
        assert_eq!(errors[0].to_string(), format!("spec.slos[0].objective: {says}"));
        assert_eq!(errors.len(), 1);
    }
}

#[test]
fn a_holdout_that_cannot_be_is_refused_with_what_would_be_right() {
    let refused = |patch: Value| {
        let json = merged(spec("2.0.0"), patch);
        let errors =
            breakwater_plan::spec::Checked::parse(&serde_json::from_value(json).unwrap()).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let waves = |last: Value| json!({"holdout": "5%", "waves": [spec("2.0.0")["waves"][0], last]});
    assert_eq!(refused(json!({"holdout": "0%"})), "spec.holdout: 0% is not above 0% and up to 50%");
    assert!(
        refused(waves(json!({"name": "b", "percent": 96, "soak": "1m"}))).contains("sum to more than 100")
    );
    assert!(
        refused(waves(json!({"name": "b", "percent": 50, "soak": "1m"})))
            .contains("\"b\" has a selector or a percent")
    );
    assert!(
        refused(waves(json!({"name": "holdout", "soak": "1m"}))).contains("name wave \"holdout\" otherwise")
    );
}
