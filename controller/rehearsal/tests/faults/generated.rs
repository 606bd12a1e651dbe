//! Rollouts as nobody should write them: every field absent, null, empty, huge, of another type, doubled.

use breakwater_crds::Rollout;
use breakwater_rehearsal::{bed, fleet::chance};
use serde_json::{Value, json};

use super::{
    play::play,
    script::{self, Act, Script, When},
    suite::draw,
};

/// How many are made.
const MADE: u64 = 10_000;
/// Of those that are accepted, one of so many is played.
const PLAYED: u64 = 100;

/// F12: each is decoded, and checked as the controller does; what is accepted does no harm when it runs.
#[test]
fn f12_generated_rollouts_are_refused_by_name_or_run() {
    let plain = serde_json::to_value(script::rollout().spec).expect("a spec");
    let (mut undecodable, mut refused, mut accepted, mut played) = (0, 0, 0, 0);
    for seed in 0..MADE {
        let mut spec = plain.clone();
        for turn in 0..=chance::mix(seed, &[0]) % 3 {
            maim(&mut spec, seed, turn + 1);
        }
        let rollout = json!({"apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
                             "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec});
        let Ok(rollout) = serde_json::from_value::<Rollout>(rollout) else {
            undecodable += 1;
            continue;
        };
        if let Err(why) = bed::check(&rollout) {
            refused += 1;
            let named = why.lines().all(|line| line.starts_with("spec."));
            assert!(named, "seed {seed}: a refusal names no field: {why}\n{spec}");
            continue;
        }
        accepted += 1;
        if accepted % PLAYED == 0 {
            played += 1;
            run(&spec, seed);
        }
    }
    println!(
        "F12 generated: {MADE} specs, {undecodable} undecodable, {refused} refused by field, {accepted} accepted, {played} played"
    );
    assert!(undecodable > 0 && refused > 0 && played > 0, "the generator makes only one sort");
}

/// The road of the scripts, with this spec put in its place.
fn run(spec: &Value, seed: u64) {
    let script = Script {
        name: "generated",
        steps: vec![
            (When::Now, Act::Edit(spec.clone())),
            (When::After(1), Act::Edit(json!({"version": "1.1.0"}))),
        ],
        end: When::After(40),
        faults: std::collections::BTreeMap::new(),
        counts_vary: true,
        path: &[],
    };
    let ran = play(&script, &[], 3600);
    assert_eq!(ran.panics, 0, "seed {seed}: {spec}");
}

/// Changes one place somewhere in the tree.
fn maim(spec: &mut Value, seed: u64, turn: u64) {
    let draw = |what: u64, below: usize| draw(seed, &[turn, what], below);
    let mut at = spec;
    for depth in 0..6 {
        let deeper = draw(10 + depth, 4) > 0;
        let is_empty = |at: &Value| {
            at.as_object().is_none_or(serde_json::Map::is_empty) && at.as_array().is_none_or(Vec::is_empty)
        };
        if is_empty(at) {
            *at = odd(draw(32, 18));
            return;
        }
        match at {
            Value::Object(fields) if !fields.is_empty() => {
                let name = fields.keys().nth(draw(20 + depth, fields.len())).cloned().unwrap_or_default();
                let is_leaf = !fields[&name].is_object() && !fields[&name].is_array();
                if is_leaf || !deeper {
                    match draw(30, 4) {
                        0 => drop(fields.remove(&name)),
                        1 => {
                            let value = fields[&name].clone();
                            fields.insert(format!("{name}s"), value);
                        }
                        _ => fields[&name] = odd(draw(31, 18)),
                    }
                    return;
                }
                at = fields.get_mut(&name).expect("it is there");
            }
            Value::Array(items) if !items.is_empty() => {
                if !deeper {
                    let twin = items[0].clone();
                    items.push(twin);
                    return;
                }
                let index = draw(40 + depth, items.len());
                at = &mut items[index];
            }
            _ => return,
        }
    }
}

fn odd(which: usize) -> Value {
    match which {
        0 => Value::Null,
        1 => "".into(),
        2 => 0.into(),
        3 => (-1).into(),
        4 => i64::MAX.into(),
        5 => json!(1e300),
        6 => "ж\u{202e}🦀\u{0}".into(),
        7 => "a".repeat(70_000).into(),
        8 => json!([]),
        9 => json!({}),
        10 => json!([null, null]),
        11 => true.into(),
        12 => "99999999999999999999d".into(),
        13 => "-5m".into(),
        14 => "0%".into(),
        15 => "1e309%".into(),
        16 => "{{}}".into(),
        _ => "10m".into(),
    }
}
