use std::sync::Mutex;

use breakwater_crds::{
    action::{RolloutActionSpec, Verb},
    rollout::{Alert, AlertAction},
    scalars::Span,
};
use breakwater_plan::alerts::{AlertTenant, Standing};
use futures::future::BoxFuture;

use super::*;
use crate::{
    alerts::{AlertTarget, AlertTargets, REMEMBERED, Stored},
    telemetry::{Grid, ReadError, sink::label_text},
};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

/// What Prometheus says: the tenants with an alert, since when, and as of so many seconds ago; `None`: it cannot be asked.
#[derive(Default)]
struct Said(Mutex<Option<(Alerting, i64)>>);

type Alerting = Vec<(&'static str, Timestamp)>;

impl Said {
    fn say(&self, said: &[(&'static str, Timestamp)]) {
        *self.0.lock().unwrap() = Some((said.to_vec(), 0));
    }
}

impl Counts for Said {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        assert!(promql.starts_with("ALERTS{alertstate=\"firing\",severity=\"page\"}\nor\nALERTS_FOR_STATE{"));
        Box::pin(async move {
            let Some((said, ago)) = self.0.lock().unwrap().clone() else {
                return Err(ReadError::TimedOut { host: "h".into(), seconds: 30 });
            };
            let stamp = (at.as_second() - ago) as f64;
            for (tenant, since) in said {
                let own = [("alertname", "Errors"), ("severity", "page"), ("tenant", tenant)];
                let firing = own.into_iter().chain([("__name__", "ALERTS"), ("alertstate", "firing")]);
                sink.series(Labels::new(&label_text(firing))).unwrap();
                sink.sample(stamp, 1.0);
                let state = own.into_iter().chain([("__name__", "ALERTS_FOR_STATE")]);
                sink.series(Labels::new(&label_text(state))).unwrap();
                sink.sample(stamp, since.as_second() as f64);
            }
            Ok(())
        })
    }

    fn query_range<'a>(
        &'a self,
        _: &'a str,
        _: Grid,
        _: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async { Ok(()) })
    }
}

/// One Rollout with candidates a and b, and what was stored for it.
struct Cluster {
    said: Arc<Said>,
    rules: Arc<[AlertRule]>,
    stored: Mutex<Vec<RolloutActionSpec>>,
    firing: Mutex<usize>,
    leads: Mutex<bool>,
}

impl AlertTargets for Cluster {
    fn targets(&self, _: Option<(&str, &str)>) -> Result<Vec<AlertTarget>, String> {
        let candidate = Standing::Candidate { written_at: at(-60), warm_at: Some(at(-30)) };
        let tenants =
            [("a", candidate), ("b", candidate), ("c", Standing::Baseline), ("d", Standing::Baseline)];
        let tenants = tenants.map(|(id, standing)| AlertTenant { metric_id: id.into(), standing });
        let target = AlertTarget {
            namespace: "ops".into(),
            name: "app".into(),
            uid: "uid".into(),
            version: Some("2.0".into()),
            started_at: Some(at(-90)),
            rules: self.rules.clone(),
            tenants: tenants.into(),
        };
        Ok(vec![target])
    }

    fn pulls(&self) -> Vec<AlertPull> {
        let pull = AlertPull {
            namespace: "ops".into(),
            name: "app".into(),
            rules: self.rules.clone(),
            matchers: Matchers::none(),
            source: self.said.clone(),
        };
        if *self.leads.lock().unwrap() { vec![pull] } else { Vec::new() }
    }

    fn heard(&self, _: &str, _: &str, firing: Vec<String>) {
        *self.firing.lock().unwrap() = firing.len();
    }

    fn store<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        spec: RolloutActionSpec,
    ) -> BoxFuture<'a, Result<Stored, String>> {
        self.stored.lock().unwrap().push(spec);
        Box::pin(async { Ok(Stored::Created) })
    }
}

fn cluster() -> (Arc<Cluster>, Alerts) {
    let alert = Alert {
        matchers: vec!["severity=page".into()],
        tenant_label: "tenant".into(),
        action: AlertAction::Revert,
        min_tenants: 2,
        for_: Span::seconds(120),
    };
    let cluster = Arc::new(Cluster {
        said: Arc::default(),
        rules: vec![AlertRule::parse(&alert, "spec.alerts[0]").unwrap()].into(),
        stored: Mutex::default(),
        firing: Mutex::default(),
        leads: Mutex::new(true),
    });
    let alerts = Alerts::new(Arc::clone(&cluster) as Arc<dyn AlertTargets>, "us".into(), REMEMBERED);
    (cluster, alerts)
}

fn pushed(tenants: &[&str], starts_at: Timestamp) -> Vec<u8> {
    let alert = |tenant: &&str| {
        serde_json::json!({"status": "firing", "labels": {"alertname": "Errors", "severity": "page", "tenant": tenant},
            "startsAt": starts_at.to_string(), "fingerprint": ""})
    };
    let alerts: Vec<_> = tenants.iter().map(alert).collect();
    serde_json::json!({"version": "4", "alerts": alerts}).to_string().into_bytes()
}

#[tokio::test]
async fn r15_alerts_are_pulled_where_no_webhook_is() {
    let (cluster, alerts) = cluster();
    cluster.said.say(&[("a", at(-10)), ("b", at(-5))]);
    alerts.pull(at(0)).await;
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(1));
    let stored = cluster.stored.lock().unwrap();
    assert_eq!((stored.len(), stored[0].verb), (1, Verb::Revert));
    assert!(stored[0].reason.contains("on 2 of 2 candidates (a, b)"), "{}", stored[0].reason);
}

#[tokio::test]
async fn r15_an_alert_that_is_pushed_and_pulled_counts_once() {
    let (cluster, alerts) = cluster();
    cluster.said.say(&[("a", at(-10))]);
    alerts.pull(at(0)).await;
    assert_eq!(alerts.receive(None, &pushed(&["a"], at(-9)), at(0)).await, Ok(0), "one tenant, not two");
    assert_eq!(*cluster.firing.lock().unwrap(), 1);
    assert_eq!(
        alerts.receive(None, &pushed(&["b"], at(-9)), at(0)).await,
        Ok(1),
        "pulled and pushed together"
    );
}

#[tokio::test]
async fn r12_while_prometheus_cannot_be_asked_alerts_neither_come_nor_go() {
    let (cluster, alerts) = cluster();
    cluster.said.say(&[("a", at(-10))]);
    alerts.pull(at(0)).await;
    *cluster.said.0.lock().unwrap() = None;
    alerts.pull(at(1)).await;
    alerts.redecide(None, at(1)).await.unwrap();
    assert_eq!(*cluster.firing.lock().unwrap(), 1, "not resolved");
    *cluster.said.0.lock().unwrap() = Some((vec![("a", at(-10)), ("b", at(-10))], 3_600));
    alerts.pull(at(2)).await;
    alerts.redecide(None, at(2)).await.unwrap();
    assert_eq!(
        (*cluster.firing.lock().unwrap(), cluster.stored.lock().unwrap().len()),
        (1, 0),
        "as of an hour ago"
    );
    cluster.said.say(&[]);
    alerts.pull(at(3)).await;
    alerts.redecide(None, at(3)).await.unwrap();
    assert_eq!(*cluster.firing.lock().unwrap(), 0, "over");
}

#[tokio::test]
async fn what_nobody_asks_for_any_more_is_forgotten() {
    let (cluster, alerts) = cluster();
    cluster.said.say(&[("a", at(-10)), ("b", at(-10))]);
    alerts.pull(at(0)).await;
    *cluster.leads.lock().unwrap() = false;
    alerts.pull(at(1)).await;
    assert_eq!(alerts.redecide(None, at(1)).await, Ok(0));
    assert!(cluster.stored.lock().unwrap().is_empty());
}

#[test]
fn an_answer_beyond_all_bounds_is_refused() {
    let found = || Found { at: 0.0, rows: Vec::new(), wrong_time: None };
    let long = label_text([("a", "x".repeat(LABELS_MAX).as_str())]);
    assert!(found().series(Labels::new(&long)).unwrap_err().contains("bytes of labels"));
    let mut many = found();
    assert!((0..2 * ALERTS_MAX).all(|_| many.series(Labels::NONE).is_ok()));
    assert!(many.series(Labels::NONE).is_err());
    assert!(found().series(Labels::new("[]")).is_err());
}
