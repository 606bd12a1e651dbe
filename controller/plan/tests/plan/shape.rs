//! The shape of a latency on the road: slower below and above the threshold, while the threshold hardly shows it (R9, R13,
//! R28, R30).

use breakwater_crds::{status::Phase, words::DeviationReason};
use breakwater_slo::{Edges, Learned};
use serde_json::{Value, json};

use crate::world::{Behaviour, SLOWER_EDGES, World, learned, merged, minutes, spec};

/// Shares of requests above 100 ms, 250 ms, 1 s and 2.5 s.
const USUAL: [f64; 4] = [0.6, 0.18, 0.002, 0.0005];
/// Everything takes half as long again, and what is beyond the threshold ends in the same time-outs.
const SLOWER: [f64; 4] = [0.8, 0.31, 0.0022, 0.0005];

/// A spec whose latency is compared: 0.4 % are above the threshold, and a few more with the slower version.
fn compared(patch: Value, version: [f64; 4]) -> World {
    let base = spec("2.0.0");
    let latency = json!({"histogram": "time", "threshold": "500ms"});
    let slo =
        merged(base["slos"][0].clone(), json!({"name": "api-latency", "errors": null, "latency": latency}));
    let judged = json!({"judge": {"comparison": "Enabled", "mustDetect": 4}, "slos": [merged(slo, patch)]});
    let mut world = World::new(merged(base, judged), [6, 6, 12]);
    for (version, errors) in [("1.0.0", 0.004), ("2.0.0", 0.0042)] {
        world.behaviours.insert(version.into(), Behaviour { errors, ready_after: Some(30) });
    }
    world.slower.insert("1.0.0".into(), USUAL.map(Some));
    world.slower.insert("2.0.0".into(), version.map(Some));
    world.learned = Ok(calibrated());
    world
}

fn calibrated() -> Learned {
    Learned { shape: Some(Edges { seconds: SLOWER_EDGES.to_vec(), phi: 1.5 }), ..learned() }
}

fn completes(world: &mut World) {
    world.turn();
    world.until_phase(Phase::Completed);
    assert!(world.reports.is_empty(), "{}", world.reports[0].status.message);
}

fn is_reverted(world: &mut World) {
    world.turn();
    world.until_within("the shape reverts", minutes(120), |world| world.status.phase.is_reverting());
    let report = &world.reports[0].status;
    assert_eq!(report.reason, DeviationReason::Comparison, "{}", report.message);
    let says = "api-latency of wave one: requests over 250 ms: 31.0% against 18.0% baseline (1.7x, limit 1.2x) over ";
    assert!(report.message.contains(says), "{}", report.message);
}

#[test]
fn r13_a_version_that_is_slower_where_the_threshold_hardly_shows_it_is_reverted_by_the_shape() {
    let mut world = compared(json!({}), SLOWER);
    is_reverted(&mut world);
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("2.0.0"), 0);
}

#[test]
fn without_the_shape_the_same_version_passes() {
    completes(&mut compared(json!({"latency": {"shape": "Disabled"}}), SLOWER));
}

#[test]
fn a_version_as_fast_as_the_old_one_passes_and_so_does_one_within_the_margin() {
    completes(&mut compared(json!({}), USUAL));
    completes(&mut compared(json!({}), [0.66, 0.2, 0.0022, 0.0005]));
}

#[test]
fn r13_edges_whose_past_could_not_be_read_say_nothing_and_the_rate_has_the_whole_share() {
    let mut world = compared(json!({}), SLOWER);
    world.learned = Ok(learned());
    world.turn();
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    let unheard = world.status.slos[0].detectable;
    completes(&mut world);
    let mut off = compared(json!({"latency": {"shape": "Disabled"}}), SLOWER);
    off.turn();
    off.until_wave("one", Phase::Soaking);
    off.pass(minutes(10));
    assert!(unheard.is_some() && unheard == off.status.slos[0].detectable);
}

#[test]
fn r12_an_edge_that_a_version_no_longer_has_is_neither_bad_news_nor_good_and_the_others_speak() {
    let mut world = compared(json!({}), SLOWER);
    let [_, below, ..] = SLOWER;
    world.slower.insert("2.0.0".into(), [None, Some(below), None, None]);
    is_reverted(&mut world);
    let mut blind = compared(json!({}), SLOWER);
    blind.slower.insert("2.0.0".into(), [None; 4]);
    completes(&mut blind);
}

#[test]
fn r28_a_restart_in_mid_wave_loses_nothing_of_the_shape() {
    let minutes_until = |crashes: bool| {
        // Slower by so much that it takes a while.
        let mut world = compared(json!({}), [0.6, 0.2455, 0.002, 0.0005]);
        world.turn();
        world.until_wave("one", Phase::Soaking);
        let begun = world.now;
        while !world.status.phase.is_reverting() {
            world.pass(minutes(1));
            if crashes && world.now.duration_since(begun) == minutes(6) {
                world.restart();
            }
            assert!(world.now.duration_since(begun) < minutes(120), "{}", world.status.slos[0].message);
        }
        world.now.duration_since(begun).as_mins()
    };
    let (through, crashing) = (minutes_until(false), minutes_until(true));
    // All tenants count as ready anew, and so as warming for two minutes.
    assert!(through > 6 && crashing > through && crashing <= through + 4, "{through} {crashing}");
}

#[test]
fn edges_that_change_in_mid_wave_keep_the_shape_silent_until_they_are_back() {
    let mut world = compared(json!({}), SLOWER);
    world.slower_edges = vec![0.05, 0.2, 2.0];
    world.turn();
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(10));
    assert!(world.reports.is_empty(), "nobody calibrated these edges");
    world.slower_edges = SLOWER_EDGES.to_vec();
    is_reverted(&mut world);
}

#[test]
fn r9_a_shape_that_is_switched_off_starts_the_evidence_anew() {
    let mut world = compared(json!({}), USUAL);
    world.turn();
    world.until_wave("one", Phase::Soaking);
    let before = world.status.slos[0].definition.clone();
    let slo = merged(world.json["slos"][0].clone(), json!({"latency": {"shape": "Disabled"}}));
    world.edit(json!({"slos": [slo]}));
    world.turn();
    assert_ne!(world.status.slos[0].definition, before);
    assert_eq!(world.status.slos[0].anew, 1);
}
