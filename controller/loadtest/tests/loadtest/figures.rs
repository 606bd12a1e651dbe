//! The figures of controller/docs/loadtest.md: false alarms of the same version against itself, and what is found of a fault.

use crate::common::{BUSY, PLAIN, RARE, Setup, side, traffic};
use breakwater_loadtest::{Rules, Share, Verdict, compare};

const SEEDS: u64 = 200;

struct Way {
    name: &'static str,
    runs: u64,
    counted: bool,
    known: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "1 run, no calls", runs: 1, counted: false, known: false },
    Way { name: "1 run, traffic in the rules", runs: 1, counted: false, known: true },
    Way { name: "1 run, calls counted", runs: 1, counted: true, known: false },
    Way { name: "3 runs, no calls", runs: 3, counted: false, known: false },
    Way { name: "3 runs, calls counted", runs: 3, counted: true, known: false },
];

/// The rules of a way of testing.
fn rules(way: &Way) -> Rules {
    let mut rules = Rules::default();
    if way.known {
        (rules.traffic.api, rules.traffic.store) = traffic();
    }
    rules
}

/// Shares of `(Pass, Warn, Fail)` over the seeds, and of the seeds whose findings name the faulty handler.
fn verdicts(way: &Way, base: Setup, fault: Option<(&'static str, f64)>) -> [f64; 4] {
    with(&rules(way), way, base, fault)
}

fn with(rules: &Rules, way: &Way, base: Setup, fault: Option<(&'static str, f64)>) -> [f64; 4] {
    let base = Setup { counted: way.counted, ..base };
    let mut seen = [0.0; 4];
    for seed in 0..SEEDS {
        let candidate = side("candidate", seed, way.runs, Setup { fault, ..base });
        let comparison = compare(&side("base", seed, way.runs, base), &candidate, rules);
        let at = match comparison.verdict {
            Verdict::Pass => 0,
            Verdict::Warn => 1,
            Verdict::Fail => 2,
            Verdict::NoData => panic!("{}", comparison.sentence),
        };
        seen[at] += 1.0 / SEEDS as f64;
        if fault.is_some_and(|(name, _)| comparison.findings.iter().any(|metric| metric.name == name)) {
            seen[3] += 1.0 / SEEDS as f64;
        }
    }
    seen
}

fn print(what: &str, way: &Way, [pass, warn, fail, named]: [f64; 4]) {
    println!(
        "| {what} | {} | {:.1}% | {:.1}% | {:.1}% | {:.1}% |",
        way.name,
        pass * 100.0,
        warn * 100.0,
        fail * 100.0,
        named * 100.0
    );
}

#[test]
fn the_same_version_against_itself_passes() {
    for (what, setup) in [
        ("same, runs differ by 2% + 2%", PLAIN),
        ("same, runs differ by 5% + 5%", Setup { day: 0.05, own: 0.05, ..PLAIN }),
    ] {
        for way in &WAYS {
            let seen = verdicts(way, setup, None);
            print(what, way, seen);
            // The rules' default is that one run differs by 3%: where it is 7%, one run a side has more false alarms.
            let most = if setup.day > 0.02 && way.runs == 1 { 0.1 } else { 0.02 };
            assert!(seen[2] <= most, "{what}, {}: false Fail {seen:?}", way.name);
            assert!(setup.day > 0.02 || seen[1] <= 0.1, "{what}, {}: false Warn {seen:?}", way.name);
        }
    }
}

#[test]
fn one_run_a_side_on_noisy_machines_passes_where_the_rules_say_how_noisy_they_are() {
    let noisy = Setup { day: 0.05, own: 0.05, ..PLAIN };
    for way in WAYS.iter().filter(|way| way.runs == 1) {
        let mut rules = rules(way);
        (rules.noise.one_run, rules.noise.server) = (Share(0.07), Share(0.07));
        let seen = with(&rules, way, noisy, None);
        print("same, runs differ by 5% + 5% and the rules say 7%", way, seen);
        assert!(seen[2] <= 0.02, "{}: {seen:?}", way.name);
        print("busy handler 2x, the same rules", way, with(&rules, way, noisy, Some((BUSY, 2.0))));
    }
}

#[test]
fn thirty_percent_on_a_busy_handler_fails() {
    for way in &WAYS {
        let seen = verdicts(way, PLAIN, Some((BUSY, 1.3)));
        print("busy handler 1.3x", way, seen);
        let told = way.runs > 1 || way.counted || way.known;
        assert!(!told || seen[2] >= 0.8, "{}: {seen:?}", way.name);
    }
}

#[test]
fn thirty_percent_on_a_handler_with_ten_calls_at_most_warns() {
    for way in &WAYS {
        let seen = verdicts(way, PLAIN, Some((RARE, 1.3)));
        print("ten calls 1.3x", way, seen);
        assert!(seen[2] <= 0.03, "{}: {seen:?}", way.name);
        // Ten times slower is plain to see, and still nobody's load.
        let seen = verdicts(way, PLAIN, Some((RARE, 10.0)));
        print("ten calls 10x", way, seen);
        assert!(!(way.counted || way.known) || seen[2] <= 0.03, "{}: {seen:?}", way.name);
    }
}

#[test]
fn a_busy_handler_twice_as_slow_is_found_on_noisy_machines() {
    let noisy = Setup { day: 0.05, own: 0.05, ..PLAIN };
    for way in &WAYS {
        print("busy handler 2x, runs differ by 5% + 5%", way, verdicts(way, noisy, Some((BUSY, 2.0))));
    }
}
