//! R1 to R9: how a version gets in.

use breakwater_crds::words::Word;
use breakwater_crds::{Verb, status::Phase};
use breakwater_plan::observed::Readiness;
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, merged, minutes, sim, spec};

/// The usual spec with other waves.
pub fn waves(waves: &serde_json::Value) -> serde_json::Value {
    merged(spec("2.0.0"), json!({ "waves": waves }))
}

fn wave<'a>(world: &'a World, name: &str) -> &'a breakwater_crds::status::WaveStatus {
    world.status.waves.iter().find(|wave| wave.name == name).unwrap()
}

#[test]
fn r1_waves_go_in_order_one_at_a_time_and_the_version_becomes_the_stable_one() {
    let mut world = World::usual("2.0.0");
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
    assert_eq!(world.status.stable_version.as_deref(), Some("2.0.0"));
    let order: String = world.writes.iter().map(|(_, _, name, _)| &name[..1]).collect();
    assert_eq!(order, "aaabbbbcccccc");
    let told: Vec<&str> = world.transitions.iter().map(|told| told.reason.as_str()).collect();
    insta::assert_yaml_snapshot!(told);
}

#[test]
fn r1_a_wave_without_a_single_ready_tenant_does_not_end_however_many_failures_it_bears() {
    let all = json!([{"name": "all", "soak": "0", "maxConcurrent": 9, "maxFailures": "100%"}]);
    let mut world = World::new(waves(&all), [0, 0, 4]);
    world.behaviours.get_mut("2.0.0").unwrap().ready_after = None;
    for _ in 0..12 {
        world.pass(minutes(10));
    }
    assert_eq!((world.status.phase, world.status.counts.failed), (Phase::Advancing, 4));
    assert!(world.reports.is_empty());
    assert_eq!(world.condition("Held"), (true, "TooManyFailures".into()), "and not in silence");
    let message = &world.status.message;
    assert!(message.contains("nobody is ready") && !message.contains("ready before"), "{message}");
}

#[test]
fn r1_a_passed_wave_is_not_reopened_by_a_tenant_that_joins_it() {
    let mut world = World::usual("2.0.0");
    world.until_wave("two", Phase::Soaking);
    let passed = wave(&world, "one").passed_at;
    let now = world.now;
    world.sims.push(sim("a9", Some(0), "1.0.0", now));
    world.turn();
    assert_eq!(world.version_of("a9"), "2.0.0"); // R6: under the current wave's concurrency
    assert_eq!((world.status.wave.as_deref(), wave(&world, "one").passed_at), (Some("two"), passed));
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("1.0.0"), 0);
}

#[test]
fn r2_no_more_tenants_are_updated_and_not_ready_than_max_concurrent() {
    for (max, tenants, busy) in [
        (json!(1), 7, 1),
        (json!(3), 7, 3),
        (json!(0), 7, 1),
        (json!("50%"), 7, 3),
        (json!("1%"), 7, 1),
        (json!("100%"), 7, 7),
    ] {
        let mut world =
            World::new(waves(&json!([{"name": "all", "soak": "0", "maxConcurrent": max}])), [0, 0, tenants]);
        world.turn();
        assert_eq!(world.on("2.0.0"), busy, "{max} of {tenants}");
        world.pass(minutes(1));
        assert_eq!(world.on("2.0.0"), (2 * busy).min(tenants), "{max} of {tenants}");
    }
}

#[test]
fn r2_a_write_in_flight_takes_a_place_and_a_failed_tenant_gives_its_place_back() {
    let mut world = World::new(
        waves(&json!([{"name": "all", "soak": "0", "maxConcurrent": 2, "maxFailures": 1}])),
        [0, 0, 5],
    );
    world.in_flight.insert(world.sims[0].tenant.id);
    world.turn();
    assert_eq!(world.on("2.0.0"), 1);
    world.edit(json!({"waves": [{"name": "all", "soak": "0", "maxConcurrent": 1, "maxFailures": 1}]}));
    world.in_flight.clear();
    let slow = world.names_on("2.0.0")[0].to_owned();
    world.sim(&slow).ready_at = None;
    world.pass(minutes(9));
    assert_eq!(world.on("2.0.0"), 1, "the slow one keeps its place until it is late");
    world.pass(minutes(1));
    assert_eq!((world.on("2.0.0"), world.status.counts.failed), (2, 1));
    assert_eq!(world.status.troubled[0].reason.as_str(), "Failed");
    world.until("the rest is updated", |world| world.on("2.0.0") == 5);
}

#[test]
fn r3_a_write_whose_answer_was_lost_is_known_by_the_tenant_itself() {
    let mut world = World::new(waves(&json!([{"name": "all", "soak": "0", "maxConcurrent": 9}])), [0, 0, 3]);
    world.executes = false;
    world.turn();
    let writes = world.last.take().unwrap().writes;
    world.execute(&writes[..2]);
    world.writes.clear();
    world.executes = true;
    world.turn();
    assert_eq!(world.writes.len(), 1, "only the one that was not written is written");
}

/// What failed tenants come to: how many of ten fail, why, the phase half an hour later, the hold's reason.
#[test]
fn r5_percent_waves_are_a_stable_draw_that_moves_nobody_else() {
    let drawn = json!([{"name": "ten", "percent": 10, "soak": "0", "maxConcurrent": 99}, {"name": "forty", "percent": 40, "soak": "0", "maxConcurrent": 99},
                       {"name": "rest", "soak": "0", "maxConcurrent": 999}]);
    let mut world = World::new(waves(&drawn), [0, 0, 400]);
    let places = |world: &mut World| {
        let places = world.think().places;
        let tenants = world.sims.iter().map(|sim| sim.tenant.name.to_string());
        let waves = places.into_iter().map(|place| place.wave);
        tenants.zip(waves).collect::<std::collections::BTreeMap<_, _>>()
    };
    let all = places(&mut world);
    let size = |wave| all.values().filter(|place| **place == Some(wave)).count();
    assert_eq!((size(0), size(1), size(2)), (40, 160, 200));
    let mut again = World::new(world.json.clone(), [0, 0, 400]);
    again.sims.reverse();
    for sim in &mut again.sims {
        sim.tenant.object.uid = format!("rebuilt-{}", sim.tenant.name).into();
    }
    assert_eq!(places(&mut again), all, "by names alone");

    world.until_wave("forty", Phase::Advancing);
    let drawn = world.status.waves[1].drawn.clone().unwrap();
    world.sims.retain(|sim| !sim.tenant.name.ends_with('7'));
    let now = world.now;
    world.sims.extend((0..200).map(|n| sim(&format!("late-{n}"), None, "1.0.0", now)));
    let after = places(&mut world);
    assert!(
        after.iter().all(|(name, wave)| all.get(name).is_none_or(|before| before == wave)),
        "once it has started, who comes and goes moves nobody"
    );
    let late =
        |wave| after.iter().filter(|(name, of)| name.starts_with("late") && **of == Some(wave)).count();
    assert!((5..=40).contains(&late(0)) && (50..=110).contains(&late(1)), "{} {}", late(0), late(1));
    world.turn();
    assert_eq!(world.status.waves[1].drawn.as_ref(), Some(&drawn));
}

#[test]
fn r5_an_edited_percentage_is_drawn_anew_and_who_was_written_stays() {
    let with = |percent: u32| json!([{"name": "some", "percent": percent, "soak": "1d", "maxConcurrent": 99}, {"name": "rest", "soak": "0"}]);
    let mut world = World::new(waves(&with(10)), [0, 0, 40]);
    world.until_wave("some", Phase::Soaking);
    assert_eq!(world.on("2.0.0"), 4);
    world.edit(json!({"waves": with(25)}));
    world.until("six more", |world| world.on("2.0.0") == 10);
    world.edit(json!({"waves": with(5)}));
    world.pass(minutes(10));
    world.pass(minutes(10));
    assert_eq!((world.on("2.0.0"), world.status.waves[0].total), (10, 10));
}

#[test]
fn r5_an_empty_percent_wave_takes_the_lowest_draw_but_not_once_it_is_passed() {
    let drawn = json!([{"name": "few", "percent": 0.001, "soak": "10m", "maxConcurrent": 9}, {"name": "rest", "soak": "2h", "maxConcurrent": 1}]);
    let mut world = World::new(waves(&drawn), [0, 0, 6]);
    let lowest = world.sims.iter().min_by_key(|sim| sim.tenant.id).unwrap().tenant.name.to_string();
    world.turn();
    assert_eq!(world.names_on("2.0.0"), [lowest.as_str()]);
    world.until_wave("rest", Phase::Advancing);
    world.sims.retain(|sim| *sim.tenant.name != *lowest);
    for sim in &mut world.sims {
        sim.ready_at = None; // the one in flight keeps its place
    }
    let before = world.on("2.0.0");
    world.pass(minutes(1));
    assert_eq!(world.on("2.0.0"), before, "a tenant that goes moves nobody forward");
}

#[test]
fn r5_an_empty_selector_wave_holds_unless_it_is_optional() {
    for (optional, phase) in [(false, Phase::Advancing), (true, Phase::Completed)] {
        let mut edit = spec("2.0.0");
        edit["waves"][0]["optional"] = json!(optional);
        let mut world = World::new(edit, [0, 2, 3]);
        if optional {
            world.until_phase(Phase::Completed);
            assert_eq!(world.told("WaveSkipped"), 1);
        } else {
            world.pass(minutes(60));
            assert_eq!(world.condition("Held").1, "EmptyWave");
            assert!(world.writes.is_empty());
        }
        assert_eq!(world.status.phase, phase);
    }
}

#[test]
fn r6_a_fleet_that_falls_asleep_passes_no_wave_and_wakes_into_its_waves() {
    let mut world = World::usual("2.0.0");
    world.edit(json!({"waves": [{"name": "first", "percent": 20, "soak": "20m"}, {"name": "rest", "soak": "20m", "maxConcurrent": 2}]}));
    world.until_phase(Phase::Soaking);
    for sim in &mut world.sims {
        sim.tenant.dormant = true;
    }
    world.pass(minutes(60));
    world.pass(minutes(600));
    assert_eq!(
        (world.condition("Held").1.as_str(), world.told("WavePassed") + world.told("WaveSkipped")),
        ("NoTenants", 0)
    );
    for sim in &mut world.sims {
        sim.tenant.dormant = false;
    }
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("2.0.0"), 13);
}

#[test]
fn r6_tenants_appear_vanish_sleep_and_wake_without_failing_the_rollout() {
    let mut world = World::usual("2.0.0");
    world.sim("a2").tenant.dormant = true;
    world.until_wave("one", Phase::Soaking);
    assert_eq!((world.on("2.0.0"), world.status.counts.dormant), (2, 1));
    world.sims.retain(|sim| &*sim.tenant.name != "a1"); // vanishes in mid-soak
    world.until_wave("two", Phase::Soaking);
    world.sim("a2").tenant.dormant = false; // wakes after its wave
    let now = world.now;
    world.sims.push(sim("c9", None, "1.0.0", now)); // appears before its wave
    world.turn();
    assert_eq!((world.version_of("a2"), world.version_of("c9")), ("2.0.0", "1.0.0"));
    world.until_phase(Phase::Watching);
    world.sims.push(sim("c10", None, "1.0.0", now)); // joins at the very end
    world.until_phase(Phase::Completed);
    assert_eq!(world.on("1.0.0"), 0);
    assert!(world.reports.is_empty());
}

#[test]
fn r6_a_selector_wave_whose_tenants_vanish_in_mid_soak_waits_for_them() {
    let mut world = World::new(spec("2.0.0"), [1, 2, 2]);
    world.until_wave("one", Phase::Soaking);
    world.sim("a0").tenant.dormant = true;
    world.pass(minutes(60));
    assert_eq!((world.condition("Held").1.as_str(), wave(&world, "one").passed_at), ("EmptyWave", None));
    world.sim("a0").tenant.dormant = false;
    world.until_wave("two", Phase::Soaking);
}

/// Soak of wave one after half an hour with something in the way for twenty minutes of it, in minutes.
fn soaked(disturb: impl Fn(&mut World), end: impl Fn(&mut World)) -> i64 {
    let mut edit = spec("2.0.0");
    edit["waves"][0]["soak"] = json!("5h");
    let mut world = World::new(edit, [3, 4, 6]);
    world.until_wave("one", Phase::Soaking);
    world.until("warm and watched", |world| wave(world, "one").soaked_seconds > 0);
    let before = wave(&world, "one").soaked_seconds;
    disturb(&mut world);
    for _ in 0..10 {
        world.pass(minutes(2));
    }
    end(&mut world);
    for _ in 0..5 {
        world.pass(minutes(2));
    }
    (wave(&world, "one").soaked_seconds - before) / 60
}

#[test]
fn r7_the_soak_clock_stands_while_held_stopped_or_without_data_and_runs_outside_windows() {
    let hold = |verb: Verb| {
        move |world: &mut World| {
            world.act(verb, json!({}));
            world.turn();
        }
    };
    let lift = |world: &mut World| {
        let subject = world.status.brakes[0].name.clone();
        world.act(Verb::Lift, json!({ "subject": subject }));
    };
    let freeze = |world: &mut World| {
        let (from, to) = (world.now, world.now + minutes(20));
        world.edit(json!({"schedule": {"deny": [{"from": from, "to": to, "reason": "match"}]}}));
    };
    let blind = |world: &mut World| {
        let (from, to) = (world.now, world.now + minutes(20));
        world.outages.push((from, to));
    };
    let nothing = |_: &mut World| {};
    assert_eq!(soaked(nothing, nothing), 30);
    assert_eq!(soaked(freeze, nothing), 30);
    for (what, minutes) in [
        ("hold", soaked(hold(Verb::Hold), lift)),
        ("stop", soaked(hold(Verb::Stop), lift)),
        (
            "paused",
            soaked(|world| world.edit(json!({"paused": true})), |world| world.edit(json!({"paused": false}))),
        ),
    ] {
        assert!((8..=13).contains(&minutes), "{what}: {minutes} minutes of 10");
    }
    let outage = soaked(blind, nothing);
    // What is read two minutes late is on time still.
    assert!((5..=12).contains(&outage), "back-filled steps are evidence, not soak: {outage} minutes of 10");
}

#[test]
fn r7_the_soak_is_that_of_the_slowest_slo_whenever_their_steps_arrive() {
    let slo = spec("2.0.0")["slos"][0].clone();
    let mut second = slo.clone();
    second["name"] = json!("web-errors");
    let mut edit = merged(spec("2.0.0"), json!({"slos": [slo, second]}));
    edit["waves"][0]["soak"] = json!("30m");
    let mut world = World::new(edit, [3, 4, 6]);
    world.pace = SignedDuration::from_secs(25);
    world.until_wave("one", Phase::Soaking);
    world.until("warm", |world| wave(world, "one").warm_at.is_some());
    let warm = world.now;
    world.delays = vec![0, 50];
    world.until("passed", |world| wave(world, "one").passed_at.is_some());
    let took = world.now.duration_since(warm);
    assert!(took <= minutes(38), "30 minutes of soak, 5 of watching and the lag took {took:?}");
}

#[test]
fn r7_a_joiner_does_not_reset_the_soak_but_must_be_warm_before_the_wave_ends() {
    let mut world = World::usual("2.0.0");
    world.until("nearly done", |world| wave(world, "one").soaked_seconds >= 19 * 60);
    let now = world.now;
    world.sims.push(sim("a9", Some(0), "1.0.0", now));
    world.until("the wave is passed", |world| wave(world, "one").passed_at.is_some());
    let Readiness::Ready { since } = world.sim("a9").tenant.readiness else { panic!("ready") };
    assert!(world.now >= since + minutes(2));
    assert!(wave(&world, "one").warm_at.unwrap() < now, "the clock was not started anew");
}

#[test]
fn r7_promote_ends_a_soak_and_overrides_nothing_but_missing_data() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.act(Verb::Promote, json!({"version": "2.0.0"}));
    world.act(Verb::Hold, json!({"reason": "wait"}));
    world.pass(minutes(10));
    assert_eq!(wave(&world, "one").passed_at, None, "a human's hold stands");
    world.act(Verb::Lift, json!({"subject": "act-2"}));
    world.turn();
    assert!(wave(&world, "one").passed_at.is_some() && wave(&world, "one").soaked_seconds < 20 * 60);
    let too_early = world.act(Verb::Promote, json!({"version": "3.0.0"}));
    world.turn();
    assert_eq!(world.answers[&too_early].1, "version 3.0.0 is not under way, 2.0.0 is");
}

#[test]
fn r8_windows_and_freezes_stop_new_updates_and_neither_the_watch_nor_a_revert() {
    let mut world = World::usual("6.6.6");
    world.edit(json!({"schedule": {"allow": [{"cron": "0 12 * * *", "duration": "4m"}]}}));
    world.pass(minutes(60));
    assert!(
        world.writes.is_empty() && world.status.message.contains("outside every window"),
        "{}",
        world.status.message
    );
    world.until("the window opens", |world| !world.writes.is_empty());
    assert_eq!(world.now.to_string(), "2026-03-02T12:00:00Z");
    world.until_phase(Phase::Reverting); // long after the window
    assert!(world.now > "2026-03-02T12:04:00Z".parse().unwrap());
    world.until_phase(Phase::Reverted);
    assert_eq!(world.on("6.6.6"), 0);
}

#[test]
fn r9_an_invalid_edit_changes_nothing_but_a_condition() {
    let mut world = World::usual("2.0.0");
    world.until_wave("one", Phase::Soaking);
    world.refused = Some("spec.waves[0].soak: \"a while\" is not a duration".into());
    world.generation += 1;
    world.turn();
    assert_eq!(world.condition("Accepted"), (false, "Invalid".into()));
    assert!(!world.condition("Ready").0 && world.status.message.contains("a while"));
    assert_eq!((world.told("SpecRefused"), world.status.observed_generation), (1, 2));
    world.until_phase(Phase::Completed);
    assert_eq!(world.told("SpecRefused"), 1);
}

#[test]
fn r9_waves_are_known_by_name_and_nothing_moves_back_because_of_an_edit() {
    let one = json!({"name": "one", "selector": {"matchLabels": {"ring": "0"}}, "soak": "20m"});
    let two = json!({"name": "two", "selector": {"matchLabels": {"ring": "1"}}, "soak": "20m"});
    let rest = json!({"name": "rest", "soak": "20m", "maxConcurrent": 3});
    let new = json!({"name": "new", "percent": 1, "soak": "1h"});
    for (what, edited, current) in [
        ("inserted before", json!([new, one, two, rest]), "two"),
        ("inserted behind", json!([one, two, new, rest]), "two"),
        ("a passed one removed", json!([two, rest]), "two"),
        ("the one in flight removed", json!([one, rest]), "rest"),
        ("swapped", json!([two, one, rest]), "two"),
        (
            "all renamed",
            json!([
                merged(two.clone(), json!({"name": "dos"})),
                merged(rest.clone(), json!({"name": "resto"}))
            ]),
            "dos",
        ),
    ] {
        let mut world = World::usual("2.0.0");
        world.until_wave("two", Phase::Soaking);
        let updated = world.on("2.0.0");
        world.edit(json!({ "waves": edited }));
        for sim in &mut world.sims {
            let names: Vec<&str> = world.json["waves"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|wave| wave["selector"]["matchLabels"]["ring"].as_str())
                .collect();
            let ring = match &sim.tenant.name[..1] {
                "a" => "0",
                "b" => "1",
                _ => "-",
            };
            let index = world.json["waves"]
                .as_array()
                .unwrap()
                .iter()
                .position(|wave| wave["selector"]["matchLabels"]["ring"] == ring);
            assert!(names.len() <= 2);
            sim.tenant.selector_wave = index.map(|index| u8::try_from(index).unwrap());
        }
        world.turn();
        assert_eq!(world.status.wave.as_deref(), Some(current), "{what}");
        assert!(world.on("2.0.0") >= updated, "{what}: nothing moves back");
        world.until_phase(Phase::Completed);
        assert_eq!(world.on("1.0.0"), 0, "{what}");
    }
}

#[test]
fn r9_an_edited_slo_starts_its_evidence_anew_and_another_keeps_its_own() {
    let slo = spec("2.0.0")["slos"][0].clone();
    let other = merged(slo.clone(), json!({"name": "web-errors"}));
    let mut world = World::new(merged(spec("2.0.0"), json!({"slos": [slo, other]})), [3, 4, 6]);
    world.until_wave("one", Phase::Soaking);
    world.until("both are healthy", |world| {
        world.status.slos.iter().all(|slo| slo.verdict.as_ref().map(Word::as_str) == Some("Healthy"))
    });
    let edited = merged(world.json["slos"][0].clone(), json!({"objective": "98%"}));
    let kept = world.json["slos"][1].clone();
    world.edit(json!({"slos": [kept, edited]})); // and their order is another
    world.turn();
    let verdicts: Vec<_> = world
        .status
        .slos
        .iter()
        .map(|slo| (slo.name.as_str(), slo.verdict.as_ref().map(Word::as_str)))
        .collect();
    assert_eq!(verdicts, [("web-errors", Some("Healthy")), ("api-errors", Some("NoData"))]);
    world.until_phase(Phase::Completed);
}
