use breakwater_crds::scalars::Span;

use super::*;

/// Minutes after an arbitrary instant.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

fn spec(action: AlertAction, label: &str) -> Alert {
    Alert {
        matchers: vec!["severity=\"page\"".to_owned()],
        tenant_label: label.to_owned(),
        action,
        min_tenants: 2,
        for_: Span::seconds(120),
    }
}

fn rule(action: AlertAction, label: &str) -> AlertRule {
    AlertRule::parse(&spec(action, label), "spec.alerts[0]").unwrap()
}

fn firing(tenant: &str, starts_at: Timestamp) -> Firing {
    let mut labels = BTreeMap::from([
        ("severity".to_owned(), "page".to_owned()),
        ("alertname".to_owned(), "Errors".to_owned()),
    ]);
    if !tenant.is_empty() {
        labels.insert("tenant".to_owned(), tenant.to_owned());
    }
    Firing { fingerprint: format!("fp-{tenant}"), labels, starts_at }
}

fn candidate(id: &str) -> AlertTenant {
    let standing = Standing::Candidate { written_at: at(0), warm_at: Some(at(10)) };
    AlertTenant { metric_id: id.into(), standing }
}

/// Candidates a, b, c, written at 0 and warm at 10, and nine tenants b0 to b8 on the baseline.
fn fleet() -> Vec<AlertTenant> {
    let baseline =
        (0..9).map(|i| AlertTenant { metric_id: format!("b{i}").into(), standing: Standing::Baseline });
    ["a", "b", "c"].into_iter().map(candidate).chain(baseline).collect()
}

fn verdict(rule: &AlertRule, alerts: &[Firing], tenants: &[AlertTenant], minute: i64) -> Option<AlertAction> {
    decide(rule, alerts, tenants, at(minute)).map(|decision| decision.action)
}

#[test]
fn r15_counted_are_alerts_after_the_update_that_outlive_the_warm_up_on_enough_tenants_for_long_enough() {
    let revert = rule(AlertAction::Revert, "tenant");
    let yes = Some(AlertAction::Revert);
    let cases: [(&str, Vec<Firing>, i64, Option<AlertAction>); 10] = [
        ("enough", vec![firing("a", at(20)), firing("b", at(21))], 23, yes),
        ("not for long enough", vec![firing("a", at(20)), firing("b", at(21))], 22, None),
        ("too few tenants", vec![firing("a", at(20)), firing("a", at(21))], 60, None),
        ("one started before its tenant's update", vec![firing("a", at(20)), firing("b", at(-1))], 60, None),
        (
            "started in the warm-up, still firing two minutes past it",
            vec![firing("a", at(2)), firing("b", at(3))],
            12,
            yes,
        ),
        ("the warm-up's minutes do not count", vec![firing("a", at(2)), firing("b", at(3))], 11, None),
        ("in the warm-up", vec![firing("a", at(2)), firing("b", at(3))], 9, None),
        ("unknown tenants", vec![firing("x", at(20)), firing("y", at(20))], 60, None),
        ("starts in the future", vec![firing("a", at(90)), firing("b", at(90))], 60, None),
        ("nothing", vec![], 60, None),
    ];
    for (name, alerts, minute, expected) in cases {
        assert_eq!(verdict(&revert, &alerts, &fleet(), minute), expected, "{name}");
    }
}

#[test]
fn r15_the_candidates_share_must_be_three_times_the_baselines() {
    let revert = rule(AlertAction::Revert, "tenant");
    // Two of three candidates: the baseline may have 2/9, not more.
    for (burning, expected) in [(0, true), (2, true), (3, false), (9, false)] {
        let mut alerts = vec![firing("a", at(20)), firing("b", at(20))];
        alerts.extend((0..burning).map(|i| firing(&format!("b{i}"), at(-500))));
        assert_eq!(verdict(&revert, &alerts, &fleet(), 30).is_some(), expected, "{burning} of 9");
    }
}

#[test]
fn r15_alerts_without_a_tenant_only_hold() {
    for label in ["tenant", ""] {
        let action = if label.is_empty() { AlertAction::Hold } else { AlertAction::Revert };
        let rule = rule(action, label);
        let alerts = [firing("", at(20))];
        assert_eq!(verdict(&rule, &alerts, &fleet(), 22), Some(AlertAction::Hold), "{label}");
        assert_eq!(verdict(&rule, &alerts, &fleet(), 21), None, "{label}");
        assert_eq!(verdict(&rule, &[firing("", at(-1))], &fleet(), 60), None, "older than the rollout");
        assert_eq!(verdict(&rule, &alerts, &fleet()[3..], 60), None, "no candidate");
    }
    let errors = AlertRule::parse(&spec(AlertAction::Revert, ""), "spec.alerts[3]").unwrap_err();
    assert_eq!(errors[0].path, "spec.alerts[3].tenantLabel");
}

#[test]
fn r14_without_a_baseline_alerts_hold_and_do_not_revert() {
    let alerts = [firing("a", at(20)), firing("b", at(20))];
    let decision = decide(&rule(AlertAction::Revert, "tenant"), &alerts, &fleet()[..3], at(30)).unwrap();
    assert_eq!(decision.action, AlertAction::Hold);
    assert!(decision.reason.ends_with("no baseline to compare with"), "{}", decision.reason);
}

#[test]
fn r30_the_reason_names_the_tenants_and_the_numbers() {
    let alerts = [firing("b", at(21)), firing("a", at(20))];
    let decision = decide(&rule(AlertAction::Hold, "tenant"), &alerts, &fleet(), at(30)).unwrap();
    assert_eq!(
        decision.reason,
        "alert severity=\"page\" fires on 2 of 3 candidates (a, b) since 2023-11-14T22:34:20Z, and on 0 of 9 on the baseline"
    );
    assert_eq!(decision.fingerprint, "fp-a");
}

#[test]
fn a_name_that_two_tenants_share_speaks_of_neither() {
    let mut tenants = fleet();
    tenants.push(candidate("a"));
    let alerts = [firing("a", at(20)), firing("b", at(20))];
    assert_eq!(verdict(&rule(AlertAction::Revert, "tenant"), &alerts, &tenants, 60), None);
}

#[test]
fn matchers_are_read_as_alertmanager_reads_them() {
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("q".to_owned(), "x\"y".to_owned())]);
    for (text, expected) in [
        ("a=\"b\"", true),
        ("a=b", true),
        (" a = b ", true),
        ("a!=\"b\"", false),
        ("a=~\"b|c\"", true),
        ("a=~\"\"", false),
        ("a!~b.*", false),
        ("a=~.", true),
        ("absent=\"\"", true),
        ("absent!=b", true),
        ("q=\"x\\\"y\"", true),
        ("a=~\"\\w\"", true),
        ("a=~\"bb\"", false),
    ] {
        let mut alert = spec(AlertAction::Hold, "");
        alert.matchers = vec![text.to_owned()];
        assert_eq!(AlertRule::parse(&alert, "p").unwrap().matches(&labels), expected, "{text}");
    }
    for text in ["", "a", "=b", "a=\"b", "a=\"b\"c", "a=~\"(\"", "a=b c", "1a=b", "a!b", "a-b=c"] {
        let mut alert = spec(AlertAction::Hold, "");
        alert.matchers = vec!["a=b".to_owned(), text.to_owned()];
        let errors = parse(&[alert], "spec.alerts").unwrap_err();
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(errors[0].path, "spec.alerts[0].matchers[1]", "{text}");
    }
}
