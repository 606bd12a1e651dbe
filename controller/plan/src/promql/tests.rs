use breakwater_crds::{
    scalars::Span,
    slo::{Latency, Slo, Unit},
};
use promql_parser::parser::{self, Expr};
use serde_json::json;

use super::*;

const PATH: &str = "spec.slos[0]";

#[expect(clippy::needless_pass_by_value, reason = "called with json! literals")]
fn slo(value: serde_json::Value) -> Slo {
    let mut whole = json!({"name": "s", "objective": "99.5%", "tenantLabels": ["tenant"]});
    whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn counters(bad: &str, total: &str) -> Slo {
    slo(json!({"errors": {"bad": bad, "total": total}}))
}

fn latency(threshold: &str, matchers: &str) -> Slo {
    slo(json!({"latency": {"histogram": "api_time", "threshold": threshold, "matchers": matchers}}))
}

fn with(slo: &Slo, matchers: &str) -> Queries {
    Queries::new(slo, &Matchers::parse(matchers).unwrap(), PATH).unwrap()
}

fn selectors(query: &str) -> Vec<String> {
    let mut expression = parser::parse(query).unwrap();
    let mut all = Vec::new();
    selector::each_selector(&mut expression, &mut |s| all.push(s.matchers.to_string()));
    all
}

#[test]
fn every_query_parses_and_every_selector_carries_the_matchers() {
    let slos = [
        counters("r{code=~\"5..|429\"}", "r"),
        latency("500ms", "handler=~\"a|b\""),
        slo(json!({"errors": {"recorded": {"bad": "job:e:count1m", "total": "job:r:count1m"}}})),
        slo(json!({"query": "topk(scalar(k), rate(a[5m] offset 1m)) / on () max_over_time((b)[1h:1m])",
            "limit": {"max": 5.0}, "objective": null, "tenantLabels": []})),
    ];
    for slo in slos {
        let queries = with(&slo, "cluster=\"eu\\\"1\"");
        let step = queries.step(60);
        for query in [Some(step), queries.history(), queries.scrapes(), queries.edges()].into_iter().flatten()
        {
            let found = selectors(&query);
            assert!(!found.is_empty(), "{query}");
            for matchers in found {
                assert!(matchers.contains("cluster=\"eu\\\"1\""), "{matchers} in {query}");
            }
        }
    }
}

#[test]
fn r12_a_newborn_bad_series_counts_from_zero_and_a_new_target_does_not() {
    let query = with(&counters("e", "r"), "").step(60);
    assert_eq!(
        query,
        "label_replace(sum by (tenant) ((last_over_time(r[60s]) - last_over_time(r[60s] offset 60s) >= 0) or \
         (last_over_time(r[60s]) and on (tenant, job, instance) last_over_time(r[60s] offset 60s))), \
         \"breakwater\", \"total\", \"\", \"\")\n\
         or\n\
         label_replace(sum by (tenant) ((last_over_time(e[60s]) - last_over_time(e[60s] offset 60s) >= 0) or \
         (last_over_time(e[60s]) and on (tenant, job, instance) last_over_time(r[60s] offset 60s))), \
         \"breakwater\", \"bad\", \"\", \"\")\n\
         or\n\
         label_replace(count by (tenant) (last_over_time(r[60s])), \"breakwater\", \"now\", \"\", \"\")"
    );
}

#[test]
fn selectors_that_cannot_be_framed_are_refused_by_field_value_and_fix() {
    let deep = format!("{}r{}", "(".repeat(4000), ")".repeat(4000));
    for (bad, what) in [
        ("rate(r[5m])", "a function call, no selector"),
        ("r[5m]", "has a range"),
        ("r offset 5m", "has an offset or @"),
        ("r @ 5", "has an offset or @"),
        ("r + r", "an operation, no selector"),
        ("1", "a number"),
        ("{code=\"500\"}", "names no single metric"),
        ("{__name__=~\"a|b\"}", "names no single metric"),
        ("r{code=~\"(\"}", "is no PromQL"),
        ("r{a=\"b\" or c=\"d\"}", "holds an `or`"),
        ("", "is no PromQL"),
        ("r{", "is no PromQL"),
        (deep.as_str(), "too long to be checked"),
    ] {
        let errors = check(&counters(bad, "r"), PATH);
        assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
        assert_eq!(errors[0].path, "spec.slos[0].errors.bad");
        assert!(errors[0].message.contains(what), "{bad}: {}", errors[0].message);
        assert!(errors[0].message.contains("; "), "{}", errors[0].message);
    }
    assert_eq!(check(&counters("rate(r[5m])", "sum(r)"), PATH).len(), 2);
    assert!(check(&counters("{__name__=\"r\",code=\"500\"}", "r"), PATH).is_empty());
}

#[test]
fn queries_are_values_and_matchers_stay_inside_their_braces() {
    let query = |text: &str| slo(json!({"query": text, "limit": {"min": 1.0}}));
    for text in ["sum(r)", "1 + 1", "scalar(r)", "r > 5", "time()"] {
        assert!(check(&query(text), PATH).is_empty(), "{text}");
    }
    for text in ["r[5m]", "\"text\"", "sum(", "r[5m:1m]"] {
        assert_eq!(check(&query(text), PATH)[0].path, "spec.slos[0].query", "{text}");
    }
    for text in
        ["a=\"b\"} or y{c=\"d\"", "a=\"b\"} offset 5m #", "__name__=\"y\"", "a", "a=~\"(\"", "a=\"b\"}[5m] #"]
    {
        let errors = check_matchers(text, "spec.prometheus.matchers");
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(errors[0].path, "spec.prometheus.matchers");
    }
    for text in ["", "  ", "a=\"b\"", "a=\"b\", c!~\"d.*\",", "a='}'"] {
        assert!(check_matchers(text, "x").is_empty(), "{text}");
    }
}

#[test]
fn the_deepest_expression_that_is_let_in_is_walked_on_a_small_stack() {
    let deepest = [
        format!("{}r{}", "(".repeat(290), ")".repeat(290)),
        format!("{}r", "-".repeat(590)),
        format!("r{}", "+r".repeat(590)),
        format!("r{}", "^r".repeat(590)),
        format!("r{}", " or r".repeat(295)),
    ];
    for text in deepest {
        let queries = slo(json!({"query": text, "limit": {"max": 1.0}}));
        let walk = move || {
            let matchers = Matchers::parse("a=\"b\"").unwrap();
            Queries::new(&queries, &matchers, PATH).map(|_| ()).map_err(|errors| errors[0].to_string())
        };
        let walked = std::thread::Builder::new().stack_size(1 << 20).spawn(walk).unwrap().join().unwrap();
        assert!(walked.is_ok() || walked.is_err(), "it came back");
    }
}

/// The matcher of the threshold's bucket.
fn le_matched(slo: &Slo) -> promql_parser::label::Matcher {
    let query = with(slo, "").step(60);
    let histogram = &slo.latency.as_ref().unwrap().histogram;
    let of_bucket = |part: &&str| part.starts_with(&format!("{histogram}_bucket"));
    let selector = query.split("last_over_time(").find(of_bucket).unwrap().split("[60s]").next().unwrap();
    let Expr::VectorSelector(first) = parser::parse(selector).unwrap() else { panic!("no selector") };
    first.matchers.find_matchers("le").remove(0)
}

#[test]
fn the_threshold_matches_every_spelling_of_its_edge_and_no_other() {
    for (threshold, fits, other) in [
        ("500ms", vec!["0.5", "0.50", "0.500"], vec!["0.51", "5", "0.05", "00.5", "0x5"]),
        ("1s", vec!["1", "1.0", "1.00"], vec!["10", "1.01", "11", "0.1"]),
        ("2500ms", vec!["2.5", "2.500"], vec!["25", "2.55"]),
        ("10s", vec!["10", "10.0"], vec!["1", "100"]),
        ("0.05ms", vec!["5e-05", "0.00005", "5e-5"], vec!["5e-06"]),
    ] {
        let le = le_matched(&latency(threshold, ""));
        assert!(fits.iter().all(|text| le.is_match(text)), "{threshold}: {le}");
        assert!(!other.iter().any(|text| le.is_match(text)), "{threshold}: {le}");
    }
}

#[test]
fn the_shape_has_the_nearest_two_edges_below_the_threshold_and_the_nearest_two_above() {
    let of = |threshold: &str, known: &[(&str, f64)]| {
        shape_edges(&latency(threshold, "").latency.unwrap(), known.iter().copied())
    };
    let default =
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
    let all = |series: f64| default.map(|le| (le, series));
    for (threshold, edges) in [
        ("500ms", vec![0.1, 0.25, 1.0, 2.5]),
        ("5ms", vec![0.01, 0.025]),
        ("10ms", vec![0.005, 0.025, 0.05]),
        ("10s", vec![2.5, 5.0]),
        ("300ms", vec![]),
    ] {
        assert_eq!(of(threshold, &all(7.0)), edges, "{threshold}");
    }
    assert_eq!(of("1s", &[("1", 2.0), ("+Inf", 2.0)]), Vec::<f64>::new(), "there is no other edge");
    assert_eq!(of("1s", &[]), Vec::<f64>::new());
    // Two spellings, as while a Prometheus is upgraded: together they are all series.
    let both = [("0.5", 9.0), ("1", 4.0), ("1.0", 5.0), ("2", 5.0), ("2.0", 4.0), ("4", 8.0), ("8.0", 9.0)];
    assert_eq!(of("1s", &both), [0.5, 2.0, 8.0], "one of nine targets has no 4");
    let odd_one = [("0.5", 19.0), ("1", 20.0), ("2", 18.0), ("4", 17.0), ("8", 20.0)];
    assert_eq!(of("1s", &odd_one), [0.5, 2.0, 8.0], "one of twenty does not decide for all");
    let odd = [("1", 1.0), ("NaN", 1.0), ("-Inf", 1.0), ("0", 1.0), ("-1", 1.0), ("x", 1.0), ("2", f64::NAN)];
    assert_eq!(of("1s", &odd), Vec::<f64>::new());
    let mut off = latency("500ms", "").latency.unwrap();
    off.shape = breakwater_crds::slo::Shape::Disabled;
    assert_eq!(shape_edges(&off, all(1.0)), Vec::<f64>::new());
}

#[test]
fn further_edges_are_rows_of_the_one_query_of_a_step_and_of_the_week() {
    let plain = with(&latency("500ms", "handler=\"a\""), "cluster=\"eu\"");
    let shaped = plain.with_edges(&[0.1, 1.0]).unwrap();
    assert_eq!((shaped.edges_below(), shaped.edges_of_shape().len()), (1, 2));
    let (before, after) = (plain.step(60), shaped.step(60));
    let edges = after.strip_prefix(&format!("{before}\nor\n")).expect("the same and more");
    let buckets = "api_time_bucket{cluster=\"eu\",handler=\"a\",le=~\"0\\\\.10*|1(\\\\.0*)?\"}";
    assert!(edges.starts_with("label_replace(sum by (tenant, le) ("), "{edges}");
    assert!(edges.ends_with(", \"breakwater\", \"le\", \"\", \"\")"), "{edges}");
    assert_eq!(edges.matches(buckets).count(), 3, "{edges}");
    let week = shaped.history().unwrap();
    let says = format!("sum by (tenant, le) (increase({buckets}[168h:1h]))");
    assert!(week.starts_with(&plain.history().unwrap()) && week.contains(&says), "{week}");
    for text in [&after, &week] {
        assert!(selectors(text).iter().all(|found| found.contains("cluster=\"eu\"")), "{text}");
    }
    let few = shaped.of_tenants(&["a"], 1_000);
    assert_eq!(few[0].edges_of_shape(), shaped.edges_of_shape());
    assert!(
        few[0].step(60).matches("tenant=~\"a\"").count()
            > plain.of_tenants(&["a"], 1_000)[0].step(60).matches("tenant=~\"a\"").count()
    );
    assert_eq!(shaped.with_edges(&[]).unwrap(), plain);
    let errors = with(&counters("e", "r"), "");
    assert_eq!(errors.with_edges(&[1.0]).unwrap(), errors, "counters have no edges");
    for (le, row) in
        [("0.1", Some(0)), ("0.10", Some(0)), ("1", Some(1)), ("1.0", Some(1)), ("0.5", None), ("+Inf", None)]
    {
        assert_eq!(Row::edge(le, Unit::Seconds, &[0.1, 1.0]), row.map(Row::Edge), "{le}");
    }
    assert_eq!(Row::edge("100.0", Unit::Milliseconds, &[0.1, 1.0]), Some(Row::Edge(0)));
}

fn in_unit(histogram: &str, unit: Option<Unit>, threshold: &str) -> Latency {
    Latency { histogram: histogram.into(), unit, ..latency(threshold, "").latency.unwrap() }
}

#[test]
fn a7_the_unit_of_a_histogram_is_given_or_read_from_its_name() {
    use Unit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
    for (name, given, is) in [
        ("istio_request_duration_milliseconds", None, Milliseconds),
        ("istio_request_duration_milliseconds", Some(Seconds), Seconds),
        ("http_request_duration_seconds", None, Seconds),
        ("job:request_latency_ms:rate5m", None, Milliseconds),
        ("grpc_server_handling_us", None, Microseconds),
        ("db_time_nanos", None, Nanoseconds),
        ("ms_exchange_time", None, Seconds),
        ("ms", None, Seconds),
        ("api_time", Some(Milliseconds), Milliseconds),
    ] {
        assert_eq!(unit(&in_unit(name, given, "1s")), is, "{name}");
    }
}

#[test]
fn a7_half_a_second_is_the_edge_500_of_a_histogram_in_milliseconds() {
    let istio =
        ["0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "+Inf"];
    let latency = in_unit("istio_request_duration_milliseconds", None, "500ms");
    let mut slo = self::latency("1s", "");
    slo.latency = Some(latency.clone());
    let queries = with(&slo, "");
    assert!(queries.step(60).contains("le=~\"500(\\\\.0*)?\""), "{}", queries.step(60));
    assert_eq!(check_edges(&latency, &istio, false, PATH), None);
    let edges = shape_edges(&latency, istio.map(|le| (le, 3.0)));
    assert_eq!(edges, [0.1, 0.25, 1.0, 2.5]);
    assert!(
        queries
            .with_edges(&edges)
            .unwrap()
            .step(60)
            .contains("100(\\\\.0*)?|250(\\\\.0*)?|1000(\\\\.0*)?|2500")
    );
    let error = check_edges(&in_unit("rq_ms", None, "300ms"), &istio, false, PATH).unwrap();
    let says = "\"300ms\" is no bucket edge of rq_ms, whose edges are in milliseconds, by its name; choose one of 0.5ms, 1ms, ";
    assert!(error.message.starts_with(says) && error.message.ends_with("2.5s, 5s, 10s"), "{error}");
    for (unit, threshold, le) in [(Unit::Microseconds, "2s", "2e+06"), (Unit::Nanoseconds, "500ms", "5e+08")]
    {
        slo.latency = Some(in_unit("x", Some(unit), threshold));
        let matched = le_matched(&slo);
        assert!(matched.is_match(le) && !matched.is_match("500"), "{matched} for {le}");
    }
}

#[test]
fn a7_an_edge_that_is_longer_than_any_request_is_asked_about() {
    let envoy = ["0.5", "1", "500", "1000", "3600000", "+Inf"];
    let error =
        check_edges(&in_unit("envoy_cluster_upstream_rq_time", None, "500ms"), &envoy, false, PATH).unwrap();
    assert_eq!(error.path, "spec.slos[0].latency.unit");
    assert_eq!(
        error.message,
        "is not given, and envoy_cluster_upstream_rq_time has an edge at 3600000, which would be 41d16h were it in seconds, \
         since nothing says another unit; say unit: Milliseconds, Microseconds or Nanoseconds, or unit: Seconds if that is so"
    );
    let given = in_unit("envoy_cluster_upstream_rq_time", Some(Unit::Milliseconds), "500ms");
    assert_eq!(check_edges(&given, &envoy, false, PATH), None);
    let named = in_unit("rq_seconds", None, "500ms");
    assert_eq!(check_edges(&named, &["0.5", "3600"], false, PATH), None, "an hour, by its name");
    assert!(check_edges(&named, &envoy, false, PATH).is_some());
}

#[test]
fn a7_what_is_a_rate_or_a_ratio_by_its_name_counts_nothing() {
    let recorded = |bad: &str| slo(json!({"errors": {"recorded": {"bad": bad, "total": "t"}}}));
    for name in [
        "slo:sli_error:ratio_rate5m",
        "job:errors:rate1m",
        "errors:burnrate1h",
        "nginx_error_ratio",
        "a:b:irate",
    ] {
        for (field, slo) in
            [("bad", counters(name, "r")), ("total", counters("e", name)), ("recorded.bad", recorded(name))]
        {
            let error = &check(&slo, PATH)[0];
            assert_eq!(error.path, format!("spec.slos[0].errors.{field}"));
            assert!(error.message.contains("is a rate or a ratio by its name"), "{error}");
        }
    }
    for name in [
        "job:errors:sum",
        "job:errors:increase1m",
        "exchange_rate_requests_total",
        "ratio_requests_total",
        "accelerate",
    ] {
        assert_eq!(check(&counters(name, "r"), PATH), [], "{name}");
    }
}

#[test]
fn a7_a_total_that_falls_again_and_again_is_no_counter() {
    let queries = with(&counters("e", "sessions"), "");
    let query = queries.scrapes().unwrap();
    assert!(
        query.contains("count(resets(sessions[900s]) >= 3) / count(changes(sessions[900s]) >= 3)"),
        "{query}"
    );
    for (share, refused) in [(None, false), (Some(0.2), false), (Some(f64::NAN), false), (Some(0.97), true)] {
        let rows = share.map(|share| ("falls", share)).into_iter().chain([("old", 1.0)]);
        assert_eq!(queries.check_counter(rows, PATH).is_some(), refused, "{share:?}");
    }
}

#[test]
fn a_threshold_that_is_no_edge_is_refused_naming_the_edges() {
    let sli = latency("300ms", "").latency.unwrap();
    let error = check_edges(&sli, &["+Inf", "0.5", "1.0", "0.25"], false, PATH).unwrap();
    assert_eq!(error.path, "spec.slos[0].latency.threshold");
    assert_eq!(
        error.message,
        "\"300ms\" is no bucket edge of api_time, whose edges are in seconds, since nothing says another unit; choose one of 250ms, \
         500ms, 1s"
    );
    assert_eq!(check_edges(&latency("1s", "").latency.unwrap(), &["1.0", "+Inf"], true, PATH), None);
    assert_eq!(check_edges(&sli, &[], false, PATH), None);
    let native = check_edges(&sli, &[], true, PATH).unwrap();
    assert!(native.message.contains("native histogram"), "{native}");
    for (threshold, matchers, field) in [
        ("0s", "", "threshold"),
        ("5", "", "threshold"),
        ("1s", "le=\"1\"", "matchers"),
        ("1s", "x", "matchers"),
    ] {
        assert_eq!(
            check(&latency(threshold, matchers), PATH)[0].path,
            format!("spec.slos[0].latency.{field}")
        );
    }
}

#[test]
fn tenant_labels_that_cannot_name_a_tenant_are_refused() {
    for labels in
        [json!([]), json!(["le"]), json!(["breakwater"]), json!(["a", "a"]), json!(["a-b"]), json!([""])]
    {
        let mut slo = counters("e", "r");
        slo.tenant_labels = serde_json::from_value(labels.clone()).unwrap();
        assert!(check(&slo, PATH)[0].path.starts_with("spec.slos[0].tenantLabels"), "{labels}");
    }
}

#[test]
fn auto_is_four_scrapes_and_the_lag_two_and_at_least_four_seconds() {
    for (scrape, step, lag) in
        [(1, 5, 4), (5, 20, 10), (10, 40, 20), (15, 60, 30), (30, 120, 90), (60, 240, 120), (120, 300, 240)]
    {
        assert_eq!((auto_step_seconds(scrape), lag_seconds(scrape)), (step, lag), "{scrape}");
    }
    let queries = with(&counters("e", "r"), "");
    assert_eq!(queries.step_seconds(None), None);
    assert_eq!(queries.step_seconds(Some(15)), Some(60));
    let mut fixed = counters("e", "r");
    fixed.step = Step::Fixed(Span::seconds(30));
    assert_eq!(with(&fixed, "").step_seconds(None), Some(30));
}

/// Where samples stand on whole minutes, and the question does too, a window that is closed on both ends holds most samples.
#[test]
fn the_scrape_interval_is_learnt_where_samples_stand_on_both_ends_of_a_window() {
    let query = with(&counters("e", "r"), "").scrapes().unwrap();
    let windows: Vec<(&str, i64)> = ["300", "60", "15"]
        .into_iter()
        .zip(query.split("r[").skip(1).map(|rest| rest.split_once("s]").unwrap().0.parse().unwrap()))
        .collect();
    for scrape in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 60] {
        let rows = windows
            .iter()
            .map(|(name, length)| (*name, f64::from(u32::try_from(length / scrape + 1).unwrap())));
        assert_eq!(scrape_seconds(rows.chain([("old", 1.0)])), Some(scrape), "{windows:?}");
    }
}

#[test]
fn the_scrape_interval_is_learnt_from_counts_of_samples() {
    for (rows, seconds) in [
        (vec![("300", 20.0), ("60", 4.0), ("15", 1.0), ("old", 1.0)], Some(15)),
        (vec![("300", 21.0), ("60", 5.0), ("15", 1.0), ("old", 1.0)], Some(10)),
        (vec![("300", 21.0), ("60", 4.0), ("15", 1.0), ("old", 1.0)], Some(15)),
        (vec![("300", 10.0), ("60", 2.0), ("old", 1.0)], Some(30)),
        (vec![("300", 5.0), ("60", 1.0), ("old", 1.0)], Some(60)),
        (vec![("300", 3.0), ("old", 1.0)], Some(100)),
        // Young: twenty seconds of samples.
        (vec![("300", 20.0), ("60", 20.0), ("15", 15.0)], Some(1)),
        (vec![("300", 2.0), ("60", 2.0), ("15", 1.0)], None),
        (vec![("300", f64::NAN), ("60", f64::INFINITY)], None),
        (vec![("300", 1e6), ("60", 1e6), ("15", 1e6), ("old", 1.0)], None),
        (vec![], None),
    ] {
        assert_eq!(scrape_seconds(rows.iter().copied()), seconds, "{rows:?}");
    }
}

#[test]
fn a_few_tenants_are_asked_for_by_name_and_no_name_leaves_its_quotes() {
    let queries = with(&counters("e", "r{code=~\"5..\"}"), "cluster=\"eu\"");
    let names = ["b.c", "a\"} or vector(1) #", "a|x", "b.c"];
    let parts = queries.of_tenants(&names, 1_000);
    assert_eq!(parts.len(), 1);
    for text in selectors(&parts[0].step(60)) {
        assert!(text.contains("cluster=\"eu\"") && text.contains("tenant=~\"a"), "{text}");
    }
    let Expr::Call(_) =
        parser::parse(parts[0].totals(24, false).unwrap().split("\nor\n").next().unwrap()).unwrap()
    else {
        panic!("not a label_replace");
    };
    let (plain, lists) = narrowed(&parts[0].step(60), &["tenant".to_owned()]).unwrap();
    assert_eq!(Some(plain), narrowed(&queries.step(60), &[]).map(|(text, _)| text));
    let [(label, pattern)] = &lists[..] else { panic!("{lists:?}") };
    let matcher = Matchers::one_of(label, &names[..1]).unwrap();
    assert_eq!(matcher, Matchers::one_of("tenant", &["b.c"]).unwrap());
    assert_eq!(pattern, "a\"\\} or vector\\(1\\) #|a\\|x|b\\.c");
}

#[test]
fn lists_of_names_are_bounded_and_no_tenant_is_in_two() {
    let queries = with(&counters("e", "r"), "");
    let names: Vec<String> = (0..1_000).map(|n| format!("tenant-{n:05}")).collect();
    let parts = queries.of_tenants(&names, 4_096);
    assert_eq!(parts.len(), 4);
    let mut all = Vec::new();
    for part in &parts {
        let (_, lists) = narrowed(&part.step(60), &["tenant".to_owned()]).unwrap();
        assert!(lists[0].1.len() <= 4_096);
        all.extend(lists[0].1.split('|').map(str::to_owned));
    }
    assert_eq!(all, names);
    let mut in_namespaces = counters("e", "r");
    in_namespaces.tenant_labels = vec!["namespace".to_owned(), "pod".to_owned()];
    let queries = with(&in_namespaces, "");
    let parts = queries.of_tenants(&["n/a", "n/b", "m/a"], 1_000);
    assert!(parts.len() == 1 && parts[0].step(60).contains("pod=~\"a|b\""), "{}", parts[0].step(60));
    let parts = queries.of_tenants(&["n/a", "m/a", "o/a"], 1_000);
    assert!(parts[0].step(60).contains("namespace=~\"m|n|o\""), "{}", parts[0].step(60));
    assert_eq!(
        queries.of_tenants(&["n/a", "n/b/c"], 1_000),
        vec![queries.clone()],
        "which label has the slash?"
    );
    assert_eq!(queries.of_tenants(&["n"], 1_000), vec![queries.clone()]);
}

#[test]
fn totals_of_parts_of_a_week_ask_the_same_of_less() {
    let queries = with(&counters("e", "r"), "");
    assert_eq!(queries.history(), queries.totals(168, true));
    for (hours, young, says) in [
        (24, false, "sum by (tenant) (increase(r[24h:1h]))"),
        (1, false, "(increase(r[1h]))"),
        (6, true, "or sum by"),
    ] {
        let query = queries.totals(hours, young).unwrap();
        assert!(query.contains(says) && parser::parse(&query).is_ok(), "{query}");
    }
    assert_eq!(queries.presence().unwrap(), "group(r)");
}
