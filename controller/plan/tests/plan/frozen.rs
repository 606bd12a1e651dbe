//! What is frozen at a wave's start outlives the controller and Prometheus' memory (R9, R14, R27, R28, R38).

use std::sync::Arc;

use breakwater_crds::{
    RolloutStatus,
    state::{FORMAT, STATE_MAX_BYTES},
    status::{Phase, WaveStatus},
    words::Verdict,
};
use breakwater_plan::{
    frozen::{Freeze, FreezeSlo, Stored, thaw},
    observed::{ByTenant, Slower},
    study::{Studied, Week},
};
use breakwater_slo::{Counts, Doubt, Edges, Learned, TenantId};
use serde_json::{Value, json};

use crate::world::{Behaviour, World, checked, learned, merged, minutes, spec};

/// A spec whose SLO is compared, with a first wave of days.
fn compared(patch: Value) -> World {
    let waves = json!([
        {"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "3d", "maxConcurrent": 6},
        {"name": "rest", "soak": "20m", "maxConcurrent": "50%"},
    ]);
    let json =
        merged(spec("2.0.0"), json!({"judge": {"comparison": "Enabled", "mustDetect": 4}, "waves": waves}));
    let mut world = World::new(merged(json, patch), [6, 0, 18]);
    for version in ["1.0.0", "2.0.0"] {
        errors(&mut world, version, 0.004);
    }
    world
}

fn errors(world: &mut World, version: &str, errors: f64) {
    world.behaviours.insert(version.into(), Behaviour { errors, ready_after: Some(30) });
}

fn frozen(world: &World) -> Vec<u32> {
    world.status.waves.iter().map(|wave| wave.frozen).collect()
}

fn until_frozen(world: &mut World) {
    world.until_within("frozen", minutes(60), |world| world.status.waves[0].frozen > 0);
}

/// Nobody would look at the past any more.
fn nothing_is_asked(world: &World) -> bool {
    world.last.as_ref().is_some_and(|plan| plan.study.is_none() && plan.freeze.is_none())
}

#[test]
fn r27_a_waves_start_is_stored_once_when_all_of_it_is_known_and_the_status_says_so() {
    let mut world = compared(json!({}));
    world.learned = Err("prometheus: HTTP 503".into());
    world.until_wave("one", Phase::Soaking);
    assert_eq!((frozen(&world), world.states.len()), (vec![0, 0], 0), "its past was not read");
    world.learned = Ok(learned());
    until_frozen(&mut world);
    let stored = world.states.clone();
    assert_eq!((frozen(&world), stored.len()), (vec![1, 0], 1));
    let spec = &stored[0].1;
    assert_eq!((spec.wave.as_str(), spec.version.as_str(), spec.tenants), ("one", "2.0.0", 6));
    world.pass(minutes(600));
    assert!(nothing_is_asked(&world) && world.states == stored, "once");
}

#[test]
fn r28_after_a_restart_the_frozen_dispersions_stand_and_no_other_look_at_the_past_is_asked_for() {
    let mut world = compared(json!({}));
    errors(&mut world, "2.0.0", 0.007);
    world.turn();
    let certainty = |world: &World| world.status.slos[0].certainty.unwrap_or(0.0);
    world.until_within("half sure", minutes(600), |world| certainty(world) > 0.5);
    let before = certainty(&world);
    // Now the past would teach otherwise.
    let doubt = Doubt { reason: "wolf".into(), guards: true };
    world.learned = Ok(Learned { phi: 40.0, doubt: Some(doubt), ..learned() });
    world.restart();
    world.turn();
    assert!(nothing_is_asked(&world));
    assert!((certainty(&world) - before).abs() < 1e-6, "{before} became {}", certainty(&world));
    world.until_within("sure", minutes(600), |world| world.status.phase.is_reverting());
}

#[test]
fn r14_a_tenant_that_burned_before_is_excused_when_only_what_was_frozen_remembers_it() {
    let excused = |forgets: bool, comparison: &str| {
        let mut world = compared(json!({"judge": {"comparison": comparison}}));
        world.burned_before = world.sims.iter().map(|sim| sim.tenant.id).collect();
        world.until_wave("one", Phase::Advancing);
        world.pass(minutes(1));
        world.restart();
        world.forgotten = true;
        if forgets {
            world.states.clear();
        }
        errors(&mut world, "2.0.0", 0.9);
        world.pass(minutes(60));
        (world.reports.is_empty(), world.status.counts.uninstrumented)
    };
    assert_eq!(excused(false, "Enabled"), (true, 0));
    assert_eq!(excused(false, "Disabled"), (true, 0), "the guards need it as well");
    assert_ne!(excused(true, "Disabled"), (true, 0), "the test would see the difference");
}

#[test]
fn r28_a_wave_is_judged_by_frozen_ratios_though_prometheus_has_forgotten_the_week() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(30));
    world.restart();
    world.forgotten = true;
    errors(&mut world, "2.0.0", 0.5);
    world.until_within("it deviates", minutes(60), |world| world.status.phase.is_reverting());
    world.until_phase(Phase::Reverted);
}

#[test]
fn r28_what_a_crash_left_half_stored_is_not_used_and_the_past_is_looked_at_again() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    let (_, whole) = world.states[0].clone();
    // As if the wave had needed two objects, of which the second was never written.
    world.states = vec![("app-0badcafe-0".into(), breakwater_crds::RolloutStateSpec { shards: 2, ..whole })];
    world.learned = Ok(Learned { phi: 3.0, ..learned() });
    world.restart();
    world.turn();
    assert_eq!(frozen(&world), [0, 0]);
    until_frozen(&mut world);
    world.pass(minutes(4));
    assert_eq!((frozen(&world), world.states.len()), (vec![1, 0], 1), "and the half is gone");
    let learned = world.states[0].1.slos[0].learned.clone().unwrap();
    assert!((learned.phi - 3.0).abs() < 1e-12);
}

#[test]
fn r28_until_what_is_stored_was_read_no_look_at_the_past_is_asked_for_and_nothing_passes() {
    let mut world = compared(json!({}));
    world.states_unread = true;
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(30));
    assert!(nothing_is_asked(&world) && world.states.is_empty());
    let slo = &world.status.slos[0];
    assert!(slo.is(Verdict::Uncalibrated), "{:?}", slo.verdict);
    assert!(slo.message.contains("what was frozen was not read yet"), "{}", slo.message);
    world.states_unread = false;
    world.until_within("it goes on", minutes(60), |world| {
        world.status.slos[0].is(Verdict::Healthy) && world.status.waves[0].frozen > 0
    });
}

#[test]
fn r9_an_edited_slo_is_looked_at_anew_while_the_others_frozen_ones_stand() {
    let mut world = compared(json!({}));
    let second = merged(world.json["slos"][0].clone(), json!({"name": "checkout"}));
    world.edit(json!({"slos": [world.json["slos"][0].clone(), second.clone()]}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    assert_eq!(world.states.len(), 1);
    let edited = merged(second, json!({"objective": "98%"}));
    world.edit(json!({"slos": [world.json["slos"][0].clone(), edited]}));
    world.restart();
    world.learned = Err("not yet".into());
    world.turn();
    let study = world.last.as_ref().and_then(|plan| plan.study.clone()).unwrap();
    assert_eq!((study.step_seconds(0), study.step_seconds(1)), (None, Some(60)), "only what is not known");
    world.learned = Ok(Learned { phi: 3.0, ..learned() });
    world.until_within("stored anew", minutes(60), |world| {
        world.states.len() == 1 && world.states[0].1.slos[1].definition == world.spec.definitions[1]
    });
    let phis: Vec<f64> = world.states[0].1.slos.iter().map(|slo| slo.learned.as_ref().unwrap().phi).collect();
    assert!((phis[0] - 1.25).abs() < 1e-12 && (phis[1] - 3.0).abs() < 1e-12, "{phis:?}");
}

#[test]
fn r27_states_of_other_versions_go_when_another_one_starts_and_every_wave_has_its_own() {
    let mut world = compared(json!({"waves": [
        {"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "20m", "maxConcurrent": 6},
        {"name": "rest", "soak": "20m", "maxConcurrent": "50%"},
    ]}));
    world.turn();
    world.until_phase(Phase::Completed);
    let kept: Vec<String> = world.states.iter().map(|(_, spec)| spec.wave.clone()).collect();
    assert_eq!((frozen(&world), kept), (vec![1, 1], vec!["one".to_owned(), "rest".to_owned()]));
    errors(&mut world, "3.0.0", 0.004);
    world.edit(json!({"version": "3.0.0"}));
    world.until("3.0.0 is frozen", |world| world.states.iter().any(|(_, spec)| spec.version == "3.0.0"));
    assert!(world.states.iter().all(|(_, spec)| spec.version == "3.0.0"), "{}", world.states.len());
}

#[test]
fn r38_what_a_newer_controller_froze_holds_and_stays() {
    let mut world = compared(json!({}));
    world.until_wave("one", Phase::Soaking);
    world.pass(minutes(4));
    world.states[0].1.format = FORMAT + 1;
    let stored = world.states.clone();
    world.restart();
    world.pass(minutes(4));
    let (held, why) = world.condition("Held");
    assert!(held && why == "NewerState", "{why}: {}", world.status.message);
    assert!(world.states.contains(&stored[0]));
}

/// A wave of so many tenants, with counts that take all their digits.
fn wave(tenants: u64) -> Freeze {
    let mixed = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 40);
    let ids: Vec<TenantId> = (0..tenants).map(|n| TenantId(mixed(n))).collect();
    let counts = |slo: u64| {
        let counted = ids.iter().map(move |id| {
            let total = 1e5 + (id.0 % 9_999_991) as f64 / 7.0;
            (*id, Counts { bad: total / (300 + slo) as f64, total })
        });
        counted.collect::<ByTenant<Counts>>()
    };
    let edges = [0.1, 0.25, 1.0, 2.5];
    let slower = || {
        let counts = counts(1);
        let above = counts.as_slice().iter().flat_map(|(_, counts)| {
            let of = |share: f64| Some(counts.total * share).filter(|above| above.fract() < 0.99);
            [0.6, 0.3, 1e-3, 1e-5].map(of)
        });
        Slower::new(edges.into(), above)
    };
    let slos = ["api-errors", "checkout"].into_iter().zip(0..).map(|(name, n)| {
        let shape = (n > 0).then(|| Edges { seconds: vec![0.25, 1.0], phi: 2.5 });
        let week = Week::new(counts(n));
        FreezeSlo {
            name: name.into(),
            definition: checked(&two()).definitions[usize::try_from(n).unwrap()].clone(),
            studied: Some(Arc::new(Studied {
                learned: Learned { shape, ..learned() },
                members: ids.clone().into(),
            })),
            members: ids.clone().into(),
            week: if n > 0 { week.with_slower(slower()) } else { week },
        }
    });
    Freeze {
        rollout: "app".into(),
        version: "2.0.0".into(),
        wave: "one".into(),
        wave_started_at: "2026-03-02T10:00:00.123456789Z".parse().unwrap(),
        slos: slos.collect(),
    }
}

fn two() -> Value {
    let base = spec("2.0.0");
    let latency = json!({"histogram": "time", "threshold": "500ms"});
    let second =
        merged(base["slos"][0].clone(), json!({"name": "checkout", "errors": null, "latency": latency}));
    merged(base.clone(), json!({"slos": [base["slos"][0].clone(), second]}))
}

fn status(freeze: &Freeze) -> RolloutStatus {
    let wave = WaveStatus {
        name: freeze.wave.clone(),
        started_at: Some(freeze.wave_started_at),
        ..WaveStatus::default()
    };
    RolloutStatus {
        candidate_version: Some(freeze.version.clone()),
        waves: vec![wave],
        ..RolloutStatus::default()
    }
}

#[test]
fn r27_a_hundred_thousand_tenants_with_two_slos_one_a_latency_take_at_most_nine_objects_and_come_back_whole()
{
    let freeze = wave(100_000);
    let shards = freeze.shards();
    let bytes: Vec<usize> =
        shards.iter().map(|shard| serde_json::to_string(&shard.spec).unwrap().len()).collect();
    let all: usize = bytes.iter().sum();
    println!("{} objects, {all} bytes, {:.1} per tenant: {bytes:?}", shards.len(), all as f64 / 1e5);
    assert!(shards.len() <= 9 && bytes.iter().all(|bytes| *bytes <= STATE_MAX_BYTES), "{bytes:?}");
    let profile = &shards[0].spec.slos[0].learned.as_ref().unwrap().profile;
    assert!(profile.len() <= 30_000, "{}", profile.len());
    assert_eq!(freeze.shards(), shards, "the same names for the same content");

    // In the order in which they happen to be listed.
    let mut stored: Vec<Stored> = shards.into_iter().map(|shard| (shard.name, shard.spec)).collect();
    stored.reverse();
    let thawed = thaw(&stored, &checked(&two()), &status(&freeze));
    assert!(thawed.ignored.is_empty() && thawed.sets.len() == 1, "{:?}", thawed.ignored);
    for (slo, kept) in freeze.slos.iter().zip(&thawed.slos) {
        let kept = &kept[&freeze.wave_started_at];
        let studied = kept.studied.as_ref().unwrap();
        let learned = &slo.studied.as_ref().unwrap().learned;
        assert_eq!((&studied.members, studied.learned.phi), (&slo.members, 1.25));
        assert_eq!(studied.learned.shape, learned.shape);
        assert_eq!(kept.week.counts().as_slice().len(), 100_000);
        for (one, other) in slo.week.counts().as_slice().iter().zip(kept.week.counts().as_slice()) {
            let (before, after) = (slo.week.ratio(one.1).unwrap(), kept.week.ratio(other.1).unwrap());
            assert!(one.0 == other.0 && (after / before - 1.0).abs() < 1e-6, "{one:?} {other:?}");
        }
        assert_eq!(kept.week.slower(), slo.week.slower());
        for edge in slo.week.slower().edges() {
            for (tenant, _) in slo.week.counts().as_slice().iter().step_by(97) {
                let own = |week: &Week| week.walk().get(*tenant).unwrap().own_above(*edge);
                let (before, after) = (own(&slo.week), own(&kept.week));
                let fits = before.zip(after).map_or(before == after, |(b, a)| (a / b - 1.0).abs() < 1e-6);
                assert!(fits, "{edge}: {before:?} {after:?}");
            }
        }
    }
    let mut other = stored.clone();
    other[0].1.slower = other[1].1.slower[4..].to_owned();
    let of_others = thaw(&other, &checked(&two()), &status(&freeze));
    assert!(of_others.ignored[0].contains("slower"), "{:?}", of_others.ignored);
    stored.pop();
    let thawed = thaw(&stored, &checked(&two()), &status(&freeze));
    assert!(thawed.slos.iter().all(std::collections::HashMap::is_empty));
    assert!(thawed.ignored[0].contains("shards are there"), "{:?}", thawed.ignored);
}

#[test]
fn r27_what_is_thawed_and_frozen_again_has_the_same_names() {
    let freeze = wave(50);
    let stored: Vec<Stored> = freeze.shards().into_iter().map(|shard| (shard.name, shard.spec)).collect();
    let thawed = thaw(&stored, &checked(&two()), &status(&freeze));
    let slos = freeze.slos.iter().zip(&thawed.slos).map(|(slo, kept)| {
        let kept = &kept[&freeze.wave_started_at];
        let members = kept.studied.as_ref().unwrap().members.clone();
        FreezeSlo { studied: kept.studied.clone(), members, week: (*kept.week).clone(), ..slo.clone() }
    });
    let again = Freeze { slos: slos.collect(), ..freeze.clone() };
    assert_eq!(again.shards(), freeze.shards());
}
