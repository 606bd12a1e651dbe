//! Edits that make a good Rollout a malformed one, each with the field that its refusal must name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// One edit of a good object, and what the refusal must name.
#[derive(Debug)]
pub(crate) struct Case {
    pointer: &'static str,
    /// `None` removes the field.
    value: Option<Value>,
    /// What the refusal must name.
    pub(crate) named: String,
}

/// For a field that is to go.
pub(crate) const ABSENT: Option<Value> = None;

impl Case {
    /// Makes the edit.
    pub(crate) fn edit(&self, object: &mut Value) -> Result<()> {
        let (parent, field) = self.pointer.rsplit_once('/').context("no pointer")?;
        let parent = object.pointer_mut(parent).with_context(|| format!("{parent} is not there"))?;
        match (&self.value, parent.as_object_mut()) {
            (Some(value), Some(map)) => drop(map.insert(field.into(), value.clone())),
            (Some(value), None) => parent[field.parse::<usize>()?] = value.clone(),
            (None, Some(map)) => drop(map.remove(field)),
            (None, None) => bail!("items of lists are not removed"),
        }
        Ok(())
    }
}

/// The refusal must name the field at `pointer`.
pub(crate) fn at(pointer: &'static str, value: impl Into<Option<Value>>) -> Case {
    let named = pointer.split('/').skip(1).fold(String::new(), |path, key| match key.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => key.to_owned(),
        Err(_) => format!("{path}.{key}"),
    });
    Case { pointer, value: value.into(), named }
}

/// The refusal must name another field than the edited one.
fn named(pointer: &'static str, value: impl Into<Option<Value>>, named: &str) -> Case {
    Case { named: named.into(), ..at(pointer, value) }
}

fn wave(name: &str, percent: Option<u32>) -> Value {
    let mut wave = json!({"name": name, "soak": "1d"});
    if let Some(percent) = percent {
        wave["percent"] = percent.into();
    }
    wave
}

fn pair(factor: f64) -> Value {
    json!({"long": "1h", "short": "5m", "factor": factor})
}

/// All edits of a good Rollout.
pub(crate) fn rollouts() -> impl Iterator<Item = Case> {
    let groups = [whole(), tenants(), waves(), schedule_and_prometheus(), slos(), guards(), reactions()];
    groups.into_iter().flatten()
}

/// Cases about the spec itself.
fn whole() -> Vec<Case> {
    vec![
        at("/spec/version", ABSENT),
        at("/spec/version", json!(null)),
        at("/spec/version", json!("")),
        at("/spec/version", json!(105)),
        at("/spec/version", json!("v".repeat(129))),
        at("/spec/version", json!("10.5.2 ")),
        at("/spec/version", json!("-1.0")),
        at("/spec/version", json!("1.0/../2")),
        at("/spec/version", json!("версия")),
        at("/spec/version", json!("1:2")),
        at("/spec/vesion", json!("1.0")),
        at("/metadata/name", json!("n".repeat(53))),
        at("/spec/adopt", json!("approve")),
        at("/spec/onNewVersion", json!("")),
        at("/spec/versionOrder", json!("Calendar")),
        at("/spec/unmatched", json!("Drop")),
        at("/spec/paused", json!("yes")),
    ]
}

/// Cases about `tenants`.
fn tenants() -> Vec<Case> {
    vec![
        at("/spec/tenants", ABSENT),
        at("/spec/tenants/resource", ABSENT),
        at("/spec/tenants/resource/kind", json!("deployments")),
        at("/spec/tenants/resource/kind", json!("")),
        at("/spec/tenants/resource/apiVersion", json!("apps")),
        at("/spec/tenants/resource/apiVersion", json!("breakwater.dev/v1alpha1")),
        at("/spec/tenants/resource/name", json!("x")),
        named("/spec/tenants/selector", json!({"app": "shop"}), "spec.tenants.selector.app"),
        named(
            "/spec/tenants/selector/matchLabels",
            json!({"app": "a b"}),
            "spec.tenants.selector.matchLabels.app",
        ),
        at("/spec/tenants/selector/matchLabels", json!({"a b": "a"})),
        at(
            "/spec/tenants/selector/matchLabels",
            json!((0..17).map(|i| (format!("k{i}"), "a")).collect::<BTreeMap<_, _>>()),
        ),
        named(
            "/spec/tenants/selector/matchExpressions",
            json!([{"key": "a", "operator": "In"}]),
            "spec.tenants.selector.matchExpressions[0]",
        ),
        named(
            "/spec/tenants/selector/matchExpressions",
            json!([{"key": "a", "operator": "Exists", "values": ["x"]}]),
            "spec.tenants.selector.matchExpressions[0]",
        ),
        named(
            "/spec/tenants/selector/matchExpressions",
            json!([{"key": "a", "operator": "Gt", "values": ["1"]}]),
            "spec.tenants.selector.matchExpressions[0].operator",
        ),
        at("/spec/tenants/id", json!("x".repeat(1025))),
        at("/spec/tenants/fields/0/format", json!("shop/server:1.4")),
        at("/spec/tenants/fields/0/format", json!("{version}{version}")),
        at(
            "/spec/tenants/fields",
            json!((0..5).map(|i| json!({"path": format!("spec.f{i}")})).collect::<Vec<_>>()),
        ),
        named(
            "/spec/tenants/fields",
            json!([{"path": "spec.f"}, {"path": "spec.f"}]),
            "spec.tenants.fields[1]",
        ),
        at("/spec/tenants/fields/0/path", ABSENT),
        at("/spec/tenants/fields/0/path", json!("")),
        at("/spec/tenants/fields/0/path", json!("spec..image")),
        at("/spec/tenants/fields/0/path", json!("spec.containers[0].image")),
        at("/spec/tenants/fields/0/path", json!("metadata.ownerReferences[name=x].uid")),
        at("/spec/tenants/fields/0/path", json!("metadata[\"finalizers\"]")),
        at("/spec/tenants/fields/0/path", json!("metadata.annotations[\"breakwater.dev/epoch\"]")),
        at("/spec/tenants/fields/0/path", json!("status.version")),
        at("/spec/tenants/warmUp", json!("10")),
        at("/spec/tenants/warmUp", json!("")),
        at("/spec/tenants/progressDeadline", json!("-1h")),
        at("/spec/tenants/progressDeadline", json!(1800)),
        at("/spec/tenants/progressDeadline", json!("30m1h")),
        at("/spec/tenants/progressDeadline", json!("1.5h")),
        named("/spec/tenants/takeFrom", json!(["helm", "helm"]), "spec.tenants.takeFrom[1]"),
        named("/spec/tenants/takeFrom", json!([""]), "spec.tenants.takeFrom[0]"),
        at("/spec/tenants/takeFrom", json!((0..17).map(|i| format!("m{i}")).collect::<Vec<_>>())),
    ]
}

/// Cases about `waves`.
fn waves() -> Vec<Case> {
    vec![
        at("/spec/waves", ABSENT),
        at("/spec/waves", json!(null)),
        at("/spec/waves", json!([])),
        at("/spec/waves", json!((0..33).map(|i| wave(&format!("w{i}"), Some(1))).collect::<Vec<_>>())),
        named("/spec/waves", json!([wave("a", Some(1)), wave("a", Some(1))]), "spec.waves[1]"),
        at("/spec/waves", json!([wave("a", Some(60)), wave("b", Some(41))])),
        at("/spec/waves", json!([wave("a", None), wave("b", Some(10))])),
        at("/spec/waves", json!([wave("a", None), wave("b", None)])),
        named("/spec/waves/0/percent", json!(5), "spec.waves[0]"),
        at("/spec/waves/1/percent", json!(0)),
        at("/spec/waves/1/percent", json!(-1)),
        at("/spec/waves/1/percent", json!(101)),
        at("/spec/waves/1/percent", json!("10%")),
        named("/spec/waves/1/percent", json!(null), "spec.waves"),
        at("/spec/waves/0/name", json!("")),
        at("/spec/waves/0/name", json!("Canary")),
        at("/spec/waves/0/name", json!("w".repeat(41))),
        at("/spec/waves/0/name", ABSENT),
        at("/spec/waves/0/soak", ABSENT),
        at("/spec/waves/0/soak", json!("")),
        at("/spec/waves/0/soak", json!("99999999d")),
        at("/spec/waves/0/soak", json!("2 days")),
        at("/spec/waves/0/soack", json!("2d")),
        at("/spec/waves/0/maxConcurrent", json!(0)),
        at("/spec/waves/0/maxConcurrent", json!(-1)),
        at("/spec/waves/0/maxConcurrent", json!("0%")),
        at("/spec/waves/0/maxConcurrent", json!("101%")),
        at("/spec/waves/0/maxConcurrent", json!("5")),
        at("/spec/waves/0/maxConcurrent", json!(4_294_967_296_i64)),
        at("/spec/waves/0/maxConcurrent", json!(2.5)),
        at("/spec/waves/0/maxFailures", json!("2.5%")),
        at("/spec/waves/0/approval", json!("Both")),
        at("/spec/waves/0/optional", json!(1)),
        at("/spec/watchAfter", json!("3 d")),
    ]
}

/// Cases about `schedule` and `prometheus`.
fn schedule_and_prometheus() -> Vec<Case> {
    vec![
        at("/spec/schedule/timeZone", json!("")),
        at("/spec/schedule/allow/0/cron", json!("@daily at nine")),
        at("/spec/schedule/allow/0/cron", json!("0 0 9 * * MON")),
        at("/spec/schedule/allow/0/cron", json!("0 9 * *  ")),
        at("/spec/schedule/allow/0/duration", json!("0")),
        at("/spec/schedule/allow/0/duration", ABSENT),
        named("/spec/schedule/deny/0/to", json!("2026-12-20T00:00:00Z"), "spec.schedule.deny[0]"),
        at("/spec/schedule/deny/0/from", json!("2026-12-20")),
        at("/spec/schedule/deny/0/from", json!("2026-12-20T00:00:00")),
        at("/spec/schedule/deny/0/from", json!("9999-12-31T23:59:59Z")),
        at(
            "/spec/schedule/deny",
            json!(vec![json!({"from": "2026-12-20T00:00:00Z", "to": "2027-01-04T00:00:00Z"}); 33]),
        ),
        at("/spec/prometheus/url", json!("prometheus:9090")),
        at("/spec/prometheus/url", json!("ftp://prometheus")),
        at("/spec/prometheus/url", json!("http://user:secret@prometheus")),
        at("/spec/prometheus/url", json!("http://")),
        at("/spec/prometheus/url", ABSENT),
        at("/spec/prometheus/timeout", json!("0s")),
        at("/spec/prometheus/flavor", json!("Influx")),
        named("/spec/prometheus/caSecretRef", json!({"name": "../x"}), "spec.prometheus.caSecretRef.name"),
        named(
            "/spec/prometheus/bearerTokenSecretRef",
            json!({"name": "x", "namespace": "kube-system"}),
            "spec.prometheus.bearerTokenSecretRef.namespace",
        ),
    ]
}

/// Cases about what an SLO measures.
fn slos() -> Vec<Case> {
    vec![
        at("/spec/slos", ABSENT),
        at("/spec/slos", json!([])),
        named("/spec/slos/0/name", json!("latency"), "spec.slos[1]"),
        at("/spec/slos/0/name", json!("API errors")),
        named("/spec/slos/0/latency", json!({"histogram": "x", "threshold": "1s"}), "spec.slos[0]"),
        named("/spec/slos/0/errors", ABSENT, "spec.slos[0]"),
        at("/spec/slos/0/errors", json!({"bad": "x"})),
        named("/spec/slos/0/errors/recorded", json!({"bad": "a", "total": "b"}), "spec.slos[0].errors"),
        named("/spec/slos/0/errors", json!(null), "spec.slos[0]"),
        at("/spec/slos/0/errors/bad", json!("")),
        named("/spec/slos/0/objective", ABSENT, "objective"),
        at("/spec/slos/0/objective", json!("99.5")),
        at("/spec/slos/0/objective", json!(0.995)),
        at("/spec/slos/0/objective", json!("100%")),
        at("/spec/slos/0/objective", json!("0%")),
        at("/spec/slos/0/objective", json!("101%")),
        named("/spec/slos/0/objective", json!("50%"), "spec.slos[0].burnRate.page"),
        named("/spec/slos/0/tenantLabels", json!([]), "tenantLabels"),
        named("/spec/slos/0/tenantLabels", json!(["a-b"]), "spec.slos[0].tenantLabels[0]"),
        at("/spec/slos/0/tenantLabels", json!(["a", "a"])),
        at("/spec/slos/0/tenantLabels", json!(["a", "b", "c", "d", "e"])),
    ]
}

/// Cases about what makes an SLO deviate.
fn guards() -> Vec<Case> {
    vec![
        at("/spec/slos/0/step", json!("4s")),
        at("/spec/slos/0/step", json!("6m")),
        at("/spec/slos/0/step", json!("")),
        named("/spec/slos/0/burnRate/page", json!([pair(0.0)]), "spec.slos[0].burnRate.page[0].factor"),
        at("/spec/slos/0/burnRate/page", json!(vec![pair(1.0); 5])),
        at("/spec/slos/0/burnRate/page", json!([pair(250.0)])),
        named(
            "/spec/slos/0/burnRate/page",
            json!([{"long": "0", "short": "5m", "factor": 2}]),
            "spec.slos[0].burnRate.page[0]",
        ),
        at("/spec/slos/0/burnRate/pages", json!([])),
        at("/spec/slos/0/sharp/factor", json!(500)),
        at("/spec/slos/0/sharp/minBad", json!(0)),
        at("/spec/slos/0/updateCost/max", json!("0%")),
        at("/spec/slos/1/latency/threshold", json!("500")),
        at("/spec/slos/1/latency/threshold", json!("0ms")),
        at("/spec/slos/1/latency/histogram", json!("a-b")),
        named("/spec/slos/3/limit", ABSENT, "limit"),
        named("/spec/slos/3/query", ABSENT, "spec.slos[3]"),
        at("/spec/slos/3/limit", json!({})),
        named("/spec/slos/3/limit", json!({"max": 1, "min": 2}), "spec.slos[3].limit.min"),
        named("/spec/slos/3/limit", json!({"max": 1, "for": "0s"}), "spec.slos[3].limit.for"),
        at("/spec/slos/3/query", json!("")),
        at("/spec/slos/3/objective", json!("99%")),
    ]
}

/// Cases about alerts, deviations, reverts.
fn reactions() -> Vec<Case> {
    vec![
        at("/spec/alerts/0/matchers", json!([])),
        named("/spec/alerts/0/matchers", json!(["page"]), "spec.alerts[0].matchers[0]"),
        at("/spec/alerts/0/tenantLabel", ABSENT),
        at("/spec/alerts/0/minTenants", json!(0)),
        at("/spec/alerts/0/action", json!("Page")),
        at("/spec/onDeviation", json!("Revert")),
        at("/spec/onDeviation/action", json!("Ignore")),
        at("/spec/onDeviation/scope", json!("Wave")),
        at("/spec/onDeviation", json!({"action": "Hold", "scope": "Tenant"})),
        at("/spec/revert/maxConcurrent", json!("200%")),
        at("/spec/revert/verifyFor", json!("soon")),
        at("/spec/revert/tenantDeadline", json!("")),
        at("/spec/revert/maxTenantReverts", json!("one")),
    ]
}
