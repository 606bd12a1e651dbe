//! What is no plain comparison: empty, cut off, NaN, clamped, vanished, new, other load; and nothing ever panics.

use crate::common::{BUSY, PLAIN, RARE, Setup, report, run, side};
use breakwater_loadtest::{Change, Comparison, Kind, Measured, Metric, Rules, Run, Verdict, compare};
use proptest::prelude::*;

const COUNTED: Setup = Setup { counted: true, ..PLAIN };

fn compared(base: &[Run], candidate: &[Run]) -> Comparison {
    compare(base, candidate, &Rules::default())
}

fn both(setup: Setup) -> (Vec<Run>, Vec<Run>) {
    (side("base", 7, 3, setup), side("candidate", 7, 3, setup))
}

fn set(runs: &mut [Run], kind: Kind, name: &str, value: f64) {
    for run in runs {
        let calls = run.times[&kind].get(name).and_then(|measured| measured.calls);
        run.times.get_mut(&kind).unwrap().insert(name.to_owned(), Measured { value, calls, noise: None });
    }
}

fn metric<'a>(comparison: &'a Comparison, kind: Kind, name: &str) -> &'a Metric {
    comparison.metrics.iter().find(|metric| metric.kind == kind && metric.name == name).unwrap()
}

#[test]
fn a_side_without_figures_is_no_data() {
    let (base, candidate) = both(PLAIN);
    let empty = [Run { label: "empty".into(), ..Run::default() }];
    for (base, candidate) in [(&base[..], &empty[..]), (&empty[..], &candidate[..]), (&[][..], &[][..])] {
        let comparison = compared(base, candidate);
        assert_eq!(comparison.verdict, Verdict::NoData, "{}", comparison.sentence);
    }
    // An empty run beside whole ones is said and left out.
    let comparison = compared(&base, &[candidate[0].clone(), candidate[1].clone(), empty[0].clone()]);
    assert_eq!(comparison.verdict, Verdict::Pass);
    assert!(comparison.notes.iter().any(|note| note.contains("\"empty\" holds no figures")));
}

#[test]
fn a_candidate_that_is_nan_throughout_is_no_data() {
    let (base, mut candidate) = both(PLAIN);
    for run in &mut candidate {
        run.times.values_mut().flatten().for_each(|(_, measured)| measured.value = f64::NAN);
    }
    let comparison = compared(&base, &candidate);
    assert_eq!(comparison.verdict, Verdict::NoData);
    assert!(comparison.sentence.contains("0 of the base's 420 times"), "{}", comparison.sentence);
    assert!(comparison.notes.iter().any(|note| note.contains("figures are NaN")));
}

#[test]
fn half_a_report_is_no_data() {
    let (base, mut candidate) = both(PLAIN);
    for run in &mut candidate {
        run.times.retain(|kind, _| *kind == Kind::ApiAverage);
    }
    assert_eq!(compared(&base, &candidate).verdict, Verdict::NoData);
}

#[test]
fn what_vanished_is_told_and_never_counted_as_better() {
    let (base, mut candidate) = both(COUNTED);
    let whole = compared(&base, &candidate);
    for run in &mut candidate {
        for kind in [Kind::ApiAverage, Kind::ApiP99] {
            for name in [BUSY, RARE] {
                run.times.get_mut(&kind).unwrap().remove(name);
            }
        }
    }
    let comparison = compared(&base, &candidate);
    assert_eq!(comparison.verdict, Verdict::Warn, "users call it: {}", comparison.sentence);
    assert_eq!(comparison.vanished, ["handler01 (API)", "handler59 (API)"]);
    assert_eq!(metric(&comparison, Kind::ApiAverage, BUSY).change, Change::Vanished);
    assert_eq!(
        metric(&comparison, Kind::ApiAverage, RARE).verdict,
        Verdict::Pass,
        "ten calls may well not come"
    );
    assert!(comparison.counts.better <= whole.counts.better);
    let turned = compared(&candidate, &base);
    assert_eq!((turned.verdict, turned.appeared.len()), (Verdict::Pass, 2));
    assert_eq!(metric(&turned, Kind::ApiP99, BUSY).change, Change::New);
}

#[test]
fn a_p99_at_the_last_edge_is_clamped_and_not_equal() {
    let (mut base, mut candidate) = both(COUNTED);
    set(&mut base, Kind::ApiP99, BUSY, 10.0);
    set(&mut candidate, Kind::ApiP99, BUSY, f64::INFINITY);
    let comparison = compared(&base, &candidate);
    let clamped = metric(&comparison, Kind::ApiP99, BUSY);
    assert_eq!((clamped.change, comparison.counts.clamped), (Change::Clamped, 1));
    assert!(clamped.sentence.contains("not comparable"), "{}", clamped.sentence);
    // Reached by the candidate alone it is a bound.
    set(&mut base, Kind::ApiP99, BUSY, 4.0);
    let comparison = compared(&base, &candidate);
    let reached = metric(&comparison, Kind::ApiP99, BUSY);
    assert_eq!((reached.verdict, reached.at_least), (Verdict::Fail, true));
    assert!(reached.sentence.contains("at least 10 s against 4 s (at least 2.5x"), "{}", reached.sentence);
}

#[test]
fn what_is_too_fast_for_the_first_bucket_is_not_compared() {
    let (mut base, mut candidate) = both(COUNTED);
    set(&mut base, Kind::ApiP99, BUSY, 0.001);
    set(&mut candidate, Kind::ApiP99, BUSY, 0.004_95);
    assert_eq!(metric(&compared(&base, &candidate), Kind::ApiP99, BUSY).change, Change::Unresolved);
}

#[test]
fn a_ratio_without_size_is_nothing() {
    // 200 nanoseconds to 200 microseconds, a thousand times: the cache's miss is nobody's wait.
    let (mut base, mut candidate) = both(COUNTED);
    set(&mut base, Kind::StoreAverage, "Store.Method00", 2e-7);
    set(&mut candidate, Kind::StoreAverage, "Store.Method00", 2e-4);
    let comparison = compared(&base, &candidate);
    let changed = metric(&comparison, Kind::StoreAverage, "Store.Method00");
    assert_eq!((changed.change, changed.verdict), (Change::Worse, Verdict::Pass), "{}", changed.sentence);
}

#[test]
fn supported_users_within_five_percent_are_noise() {
    let verdict = |base: f64, candidate: f64| {
        let (mut bases, mut candidates) = both(PLAIN);
        for (runs, users) in [(&mut bases, base), (&mut candidates, candidate)] {
            for run in runs {
                run.supported_users = Some(users);
            }
        }
        compared(&bases, &candidates).verdict
    };
    assert_eq!(verdict(17_339.0, 17_639.0), Verdict::Pass);
    assert_eq!(verdict(10_000.0, 9_510.0), Verdict::Pass);
    assert_eq!(verdict(10_000.0, 9_490.0), Verdict::Fail);
    assert_eq!(verdict(10_000.0, 12_000.0), Verdict::Pass);
}

#[test]
fn the_whole_server_fails_by_its_graphs() {
    for (name, factor, kind) in [
        ("CPU Utilization", 1.5, Kind::Cpu),
        ("RPS", 0.6, Kind::RequestRate),
        ("Avg API Times", 1.5, Kind::ApiAverage),
    ] {
        let (base, mut candidate) = both(PLAIN);
        for graph in candidate.iter_mut().flat_map(|run| &mut run.graphs).filter(|graph| graph.name == name) {
            graph.values.iter_mut().for_each(|(_, value)| *value *= factor);
        }
        let comparison = compared(&base, &candidate);
        assert_eq!(comparison.verdict, Verdict::Fail, "{name}: {}", comparison.sentence);
        assert!(comparison.findings.iter().any(|metric| metric.kind == kind), "{name}");
        assert_eq!(compared(&candidate, &base).verdict, Verdict::Pass, "{name}, better");
    }
}

#[test]
fn a_release_that_slows_everything_down_fails_with_one_run_a_side_and_no_graphs() {
    let (mut base, mut candidate) = (side("base", 7, 1, COUNTED), side("candidate", 7, 1, COUNTED));
    for run in base.iter_mut().chain(&mut candidate) {
        run.graphs.clear();
    }
    for measured in candidate[0].times.values_mut().flat_map(|times| times.values_mut()) {
        measured.value *= 1.4;
    }
    let comparison = compared(&base, &candidate);
    assert_eq!(comparison.verdict, Verdict::Fail, "{}", comparison.sentence);
}

#[test]
fn one_error_of_none_is_no_catastrophe_and_one_in_a_hundred_is() {
    let with = |shares: [f64; 2]| {
        let (mut base, mut candidate) = both(PLAIN);
        for (runs, share) in [(&mut base, shares[0]), (&mut candidate, shares[1])] {
            for run in runs {
                let values = (0..200).map(|n| (f64::from(n), share)).collect();
                run.graphs.push(breakwater_loadtest::Graph { name: "Error share".into(), values });
            }
        }
        compared(&base, &candidate).verdict
    };
    assert_eq!(with([0.0, 0.000_05]), Verdict::Pass);
    assert_eq!(with([0.0, 0.01]), Verdict::Fail);
}

#[test]
fn the_documented_defaults_are_the_codes() {
    let page = include_str!("../../../docs/loadtest.md");
    let yaml = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let mut documented = Rules::parse(yaml).unwrap();
    assert_eq!(documented.traffic.api.remove("createPost"), Some(120_000.0), "an example");
    assert_eq!(documented, Rules::default());
}

#[test]
fn ignored_names_are_left_out() {
    let rules = Rules::parse(&format!("ignore: [{BUSY}]")).unwrap();
    let base = side("base", 7, 3, COUNTED);
    let candidate = side("candidate", 7, 3, Setup { fault: Some((BUSY, 3.0)), ..COUNTED });
    let comparison = compare(&base, &candidate, &rules);
    assert!(comparison.metrics.iter().all(|metric| metric.name != BUSY));
}

#[test]
fn the_order_of_runs_and_a_second_look_change_nothing() {
    let (base, candidate) = both(COUNTED);
    let mut turned = candidate.clone();
    turned.reverse();
    let (one, other) = (compared(&base, &candidate), compared(&base, &turned));
    assert_eq!((one.verdict, one.counts), (other.verdict, other.counts));
    assert_eq!(one.clone(), compared(&base, &candidate));
}

#[test]
fn a_report_that_is_cut_off_anywhere_is_refused_and_never_read_as_less() {
    let text = report(&run("v1", 1, PLAIN), 100);
    for end in (0..text.trim_end().len()).step_by(97) {
        assert!(Run::parse("cut.json", &text.as_bytes()[..end]).is_err(), "at {end}");
    }
    assert!(Run::parse("whole.json", text.as_bytes()).is_ok());
}

/// Any JSON, with the report's own names and values among it.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let names = || {
        prop_oneof![
            proptest::sample::select(vec![
                "AvgAPITimes",
                "P99APITimes",
                "AvgStoreTimes",
                "P99StoreTimes",
                "Graphs",
                "Name",
                "Values",
                "Label",
                "StartTime",
                "EndTime",
                "APICalls",
                "StoreCalls",
                "SupportedUsers",
                "a",
                "b"
            ])
            .prop_map(String::from),
            "[a-z]{0,3}",
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(vec![
            "NaN",
            "+Inf",
            "-Inf",
            "0",
            "0.1",
            "1e308",
            "1e-320",
            "10",
            "RPS",
            "P99 API",
            "CPU",
            "2026-01-01T00:00:00Z"
        ])
        .prop_map(Value::from),
        "\\PC{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(names(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A report of any figures.
fn figures() -> impl Strategy<Value = Run> {
    let value = || {
        prop_oneof![
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(0.0),
            Just(10.0),
            0.0..20.0_f64,
            Just(1e300),
            Just(1e-300)
        ]
    };
    let times = || proptest::collection::btree_map("[a-d]", value().prop_map(Measured::bare), 0..4);
    let points = proptest::collection::vec((0.0..1e6_f64, value()), 0..60);
    (times(), times(), times(), points).prop_map(|(average, p99, store, values)| Run {
        label: "any".into(),
        times: [(Kind::ApiAverage, average), (Kind::ApiP99, p99), (Kind::StoreAverage, store)].into(),
        graphs: ["RPS", "P99 API", "Errors", "Connected devices"]
            .map(|name| breakwater_loadtest::Graph { name: name.into(), values: values.clone() })
            .into(),
        ..Run::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_json_makes_it_panic(values in proptest::collection::vec(json(), 1..4)) {
        let runs: Vec<Run> = values.iter().filter_map(|value| Run::parse("any.json", value.to_string().as_bytes()).ok()).collect();
        for at in 0..=runs.len() {
            let comparison = compared(&runs[..at], &runs[at..]);
            serde_json::to_string(&comparison).unwrap();
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gzip in any::<bool>()) {
        let bytes = if gzip { [&[0x1f, 0x8b, 8, 0][..], &bytes].concat() } else { bytes };
        let _ = Run::parse("any.json", &bytes);
    }

    #[test]
    fn no_figures_make_it_panic_and_nothing_is_worse_than_itself(base in proptest::collection::vec(figures(), 0..4), candidate in proptest::collection::vec(figures(), 0..4)) {
        let comparison = compared(&base, &candidate);
        let text = serde_json::to_string(&comparison).unwrap();
        prop_assert!(serde_json::from_str::<Comparison>(&text).is_ok(), "{}", text);
        let itself = compared(&base, &base);
        prop_assert!(itself.verdict != Verdict::Fail, "{}", itself.sentence);
    }

    #[test]
    fn no_rules_make_it_panic(yaml in "\\PC{0,60}") {
        let _ = Rules::parse(&yaml);
    }
}
