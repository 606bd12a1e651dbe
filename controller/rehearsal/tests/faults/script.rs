//! The five scripts that every fault is played into.

use std::collections::BTreeMap;

use breakwater_crds::{Rollout, Span, action::Verb};
use breakwater_rehearsal::fleet::{Fault, FleetSpec};
use serde_json::{Value, json};

/// When a step is taken; looked at every few virtual seconds.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// At once.
    Now,
    /// So many minutes after the step before.
    After(i64),
    /// Once the Rollout is in this phase, with this version as its stable one.
    Completed(&'static str),
    /// Once some tenants of this wave are on the version that the Rollout asks for, and some are not.
    MidWave(&'static str),
    /// Once a brake is applied.
    Braked,
    /// Once the Rollout is in this phase.
    Phase(&'static str),
}

/// What is done.
#[derive(Debug, Clone)]
pub enum Act {
    /// `spec` is merged with this.
    Edit(Value),
    /// A human asks.
    Ask(Verb, Option<&'static str>, Option<&'static str>),
    /// The Rollout is deleted.
    Delete,
    /// It is created again, asking for this version.
    Create(&'static str),
}

/// A script.
pub struct Script {
    /// Its name in cases.
    pub name: &'static str,
    /// What happens.
    pub steps: Vec<(When, Act)>,
    /// How it ends.
    pub end: When,
    /// What is wrong with versions.
    pub faults: BTreeMap<String, Fault>,
    /// How many tenants are touched may depend on when a deviation is seen.
    pub counts_vary: bool,
    /// The versions a tenant may go through, in order.
    pub path: &'static [&'static str],
}

/// Tenants of the first wave, and of the second.
pub const WAVES: [usize; 2] = [2, 4];

/// The Rollout of all scripts.
pub fn rollout() -> Rollout {
    let rollout = json!({
        "apiVersion": "breakwater.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "version": "1.0.0", "adopt": "Start",
            "tenants": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "selector": {"matchLabels": {"app": "shop"}}, "warmUp": "1m", "progressDeadline": "10m",
                "takeFrom": ["helm"],
            },
            "waves": [
                {"name": "first", "selector": {"matchLabels": {"ring": "first"}}, "soak": "5m", "maxConcurrent": 1},
                {"name": "rest", "soak": "5m", "maxConcurrent": 2},
            ],
            "watchAfter": "5m",
            "judge": {"comparison": "Disabled"},
            "revert": {"verifyFor": "10m"},
            "slos": [{
                "name": "errors", "errors": {"bad": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total"},
                "objective": "99.5%", "tenantLabels": ["namespace", "tenant"], "step": "1m",
            }],
            "prometheus": {"url": "http://prometheus.faults"},
        },
    });
    serde_json::from_value(rollout).expect("the scripts' Rollout")
}

/// The fleet of all scripts: steady users, so that a run differs from another by what is injected alone.
pub fn fleet() -> FleetSpec {
    let mut fleet = FleetSpec { tenants: WAVES.iter().sum(), ..FleetSpec::default() };
    fleet.traffic.median = 600.0;
    fleet.traffic.zipf = 0.0;
    fleet.update.ready_after = Span::seconds(20);
    fleet.update.blip = Span::seconds(0);
    fleet
}

/// All scripts.
pub fn all() -> Vec<Script> {
    let publish = |version: &str| Act::Edit(json!({ "version": version }));
    let bad = Fault { errors: Some(breakwater_crds::Percent::of_ratio(0.5)), ..Fault::default() };
    let plain = |name, steps, path| Script {
        name,
        steps,
        path,
        end: When::Completed("1.1.0"),
        faults: BTreeMap::new(),
        counts_vary: false,
    };
    vec![
        plain("healthy", vec![(When::Now, publish("1.1.0"))], &["1.0.0", "1.1.0"]),
        Script {
            end: When::Phase("Reverted"),
            faults: BTreeMap::from([("1.1.0".to_owned(), bad)]),
            counts_vary: true,
            ..plain("deviation", vec![(When::Now, publish("1.1.0"))], &["1.0.0", "1.1.0", "1.0.0"])
        },
        plain(
            "pause",
            vec![
                (When::Now, Act::Edit(json!({"version": "1.1.0", "waves": approved()}))),
                (When::MidWave("first"), Act::Edit(json!({"paused": true}))),
                (When::After(10), Act::Edit(json!({"paused": false}))),
                (When::Phase("AwaitingApproval"), Act::Ask(Verb::Approve, Some("1.1.0"), Some("rest"))),
                (When::MidWave("rest"), Act::Ask(Verb::Hold, None, None)),
                (When::Braked, Act::Ask(Verb::Lift, None, Some("Hold"))),
            ],
            &["1.0.0", "1.1.0"],
        ),
        plain(
            "edit",
            vec![
                (When::Now, Act::Edit(json!({"version": "1.0.9", "onNewVersion": "Supersede"}))),
                (
                    When::MidWave("first"),
                    Act::Edit(json!({"revert": {"verifyFor": "6m"}, "watchAfter": "4m"})),
                ),
                (When::MidWave("rest"), publish("1.1.0")),
            ],
            &["1.0.0", "1.0.9", "1.1.0"],
        ),
        plain(
            "deletion",
            vec![
                (When::Now, publish("1.1.0")),
                (When::MidWave("rest"), Act::Delete),
                (When::After(10), Act::Create("1.1.0")),
            ],
            &["1.0.0", "1.1.0"],
        ),
    ]
}

/// Edits of the spec, field by field, right and wrong ones; none of them changes how a road ends.
pub fn edits(spec: &Value) -> Vec<Value> {
    let waves = |change: fn(&mut Value)| {
        let mut waves = spec["waves"].clone();
        change(&mut waves);
        json!({ "waves": waves })
    };
    let tenants = |fields: Value| json!({ "tenants": fields });
    let slo = |field: &str, value: Value| {
        let mut slos = spec["slos"].clone();
        slos[0][field] = value;
        json!({ "slos": slos })
    };
    vec![
        json!({"paused": true}),
        json!({"watchAfter": "7m"}),
        json!({"watchAfter": "never"}),
        json!({"revert": {"verifyFor": "4m", "maxConcurrent": 1}}),
        json!({"revert": {"maxConcurrent": "0%"}}),
        json!({"onNewVersion": "Queue"}),
        json!({"versionOrder": "None"}),
        json!({"unmatched": "Refuse"}),
        json!({"schedule": {"timeZone": "Europe/Athens"}}),
        json!({"schedule": {"timeZone": "Atlantis/Capital"}}),
        json!({"schedule": {"deny": [{"from": "2026-01-05T00:00:00Z", "to": "2026-01-05T00:30:00Z", "reason": "a"}]}}),
        json!({"prometheus": {"url": "http://another.faults"}}),
        json!({"prometheus": {"url": "no url"}}),
        json!({"prometheus": null}),
        json!({"waves": []}),
        json!({"slos": []}),
        waves(|waves| waves[0]["soak"] = "9m".into()),
        waves(|waves| waves[1]["soak"] = "1m".into()),
        waves(|waves| waves[1]["maxConcurrent"] = 1.into()),
        waves(|waves| waves[0]["maxFailures"] = 2.into()),
        waves(|waves| waves[1]["maxFailures"] = "150%".into()),
        waves(|waves| waves[0]["name"] = "".into()),
        waves(|waves| waves[1]["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]})),
        tenants(json!({"warmUp": "3m"})),
        tenants(json!({"progressDeadline": "5m"})),
        tenants(json!({"ready": "object.status.readyReplicas =="})),
        tenants(json!({"exclude": "1 + 1"})),
        tenants(json!({"selector": {"matchLabels": {"app": "nobody"}}})),
        tenants(json!({"resource": {"kind": "Nothing"}})),
        slo("objective", "99%".into()),
        slo("objective", "100%".into()),
        slo("step", "2m".into()),
        slo("errors", json!({"bad": "up{", "total": "up"})),
        slo("name", "renamed".into()),
        json!({"version": ""}),
        json!({"version": "not a version at all"}),
    ]
}

/// The waves of the scripts, the second one behind an approval.
fn approved() -> Value {
    let mut waves = serde_json::to_value(rollout().spec.waves).expect("waves");
    waves[1]["approval"] = "Before".into();
    waves
}
