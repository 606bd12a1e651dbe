//! A cluster of one Rollout, for the tests of alerts and of the webhook.

use breakwater_crds::{rollout::Alert, scalars::Span};
use breakwater_plan::alerts::Standing;
use serde_json::json;

use super::*;

const NOW: i64 = 1_700_000_000;

/// The time of the tests.
pub(crate) fn clock() -> Timestamp {
    at(0)
}

/// Minutes from now.
pub(crate) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW + minutes * 60).unwrap()
}

/// One Rollout, `ops/app`, with candidates a and b, and what was stored for it.
pub(crate) struct Cluster {
    pub(crate) stored: Mutex<Vec<(String, RolloutActionSpec)>>,
    pub(crate) broken: Mutex<Option<&'static str>>,
    pub(crate) firing: Mutex<Vec<String>>,
    pub(crate) target: Mutex<AlertTarget>,
}

impl AlertTargets for Cluster {
    fn targets(&self, only: Option<(&str, &str)>) -> Result<Vec<AlertTarget>, String> {
        let known = only.is_none_or(|only| only == ("ops", "app"));
        let target = self.target.lock().unwrap().clone();
        let broken = self.broken.lock().unwrap().filter(|what| *what == "targets");
        broken.map_or(Ok(if known { vec![target] } else { Vec::new() }), |_| Err("not listed".into()))
    }

    fn pulls(&self) -> Vec<AlertPull> {
        Vec::new()
    }

    fn heard(&self, namespace: &str, name: &str, firing: Vec<String>) {
        assert_eq!((namespace, name), ("ops", "app"));
        *self.firing.lock().unwrap() = firing;
    }

    fn store<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
        spec: RolloutActionSpec,
    ) -> BoxFuture<'a, Result<Stored, String>> {
        Box::pin(async move {
            if self.broken.lock().unwrap().is_some_and(|what| what == "store") {
                return Err("etcd is down".into());
            }
            let mut stored = self.stored.lock().unwrap();
            if stored.iter().any(|(known, _)| known == name) {
                return Ok(Stored::AlreadyThere);
            }
            stored.push((name.to_owned(), spec));
            Ok(Stored::Created)
        })
    }
}

/// Two candidates, two of the baseline, and a rule that reverts.
pub(crate) fn cluster() -> Arc<Cluster> {
    let alert = Alert {
        matchers: vec!["severity=page".into()],
        tenant_label: "tenant".into(),
        action: AlertAction::Revert,
        min_tenants: 2,
        for_: Span::seconds(120),
    };
    let standing = Standing::Candidate { written_at: at(-60), warm_at: Some(at(-30)) };
    let candidates = ["a", "b"].map(|id| AlertTenant { metric_id: id.into(), standing });
    let baseline = ["c", "d"].map(|id| AlertTenant { metric_id: id.into(), standing: Standing::Baseline });
    let target = AlertTarget {
        namespace: "ops".into(),
        name: "app".into(),
        uid: "uid".into(),
        version: Some("2.0".into()),
        started_at: Some(at(-90)),
        rules: vec![AlertRule::parse(&alert, "spec.alerts[0]").unwrap()].into(),
        tenants: candidates.into_iter().chain(baseline).collect(),
    };
    Arc::new(Cluster {
        stored: Mutex::default(),
        broken: Mutex::default(),
        firing: Mutex::default(),
        target: Mutex::new(target),
    })
}

/// An empty memory over a cluster.
pub(crate) fn alerts(cluster: &Arc<Cluster>) -> Arc<Alerts> {
    let targets = Arc::clone(cluster) as Arc<dyn AlertTargets>;
    Arc::new(Alerts::new(targets, "system:serviceaccount:bw:bw".into(), REMEMBERED))
}

/// What Alertmanager sends.
pub(crate) fn payload(status: &str, tenants: &[&str], starts_at: Timestamp) -> Vec<u8> {
    let alerts: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            json!({"status": status, "labels": {"alertname": "Errors", "severity": "page", "tenant": tenant},
            "annotations": {"summary": "x"}, "startsAt": starts_at.to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://p", "fingerprint": format!("fp-{tenant}")})
        })
        .collect();
    json!({"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": status, "receiver": "bw", "alerts": alerts})
        .to_string()
        .into_bytes()
}
