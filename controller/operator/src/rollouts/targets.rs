//! Whom alerts may speak of, and how what they ask for is stored: the alerts' way into the running term. Views are read, no
//! session is locked. I/O.

use breakwater_crds::{RolloutAction, RolloutStatus, action::RolloutActionSpec};
use futures::future::BoxFuture;
use kube::{Api, Client};
use tokio::sync::watch;

use super::{key::Key, term::Office, view::View};
use crate::alerts::{AlertPull, AlertTarget, AlertTargets, Stored};

/// The term that runs, if one does.
pub struct Targets {
    /// Set while this process leads and its watches have listed.
    pub office: watch::Receiver<Option<Office>>,
    /// For storing actions.
    pub client: Client,
}

impl AlertTargets for Targets {
    fn targets(&self, only: Option<(&str, &str)>) -> Result<Vec<AlertTarget>, String> {
        let office = self.office.borrow().clone();
        let office = office.ok_or("this replica does not lead; the one that does will take it")?;
        let Some((namespace, name)) = only else {
            return Ok(office.views().iter().map(|(key, view)| target(key, view)).collect());
        };
        let key = Key { namespace: namespace.to_owned(), name: name.to_owned() };
        let Some(entry) = office.find(&key) else { return Ok(Vec::new()) };
        let view = entry.board.view().ok_or_else(|| format!("Rollout {key} was not planned yet"))?;
        Ok(vec![target(&key, &view)])
    }

    fn pulls(&self) -> Vec<AlertPull> {
        let office = self.office.borrow().clone();
        let views = office.map(|office| office.views()).unwrap_or_default();
        views.iter().filter_map(|(key, view)| pull(key, view)).collect()
    }

    fn heard(&self, namespace: &str, name: &str, firing: Vec<String>) {
        let office = self.office.borrow().clone();
        let key = Key { namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(entry) = office.and_then(|office| office.find(&key)) {
            entry.board.hear(firing);
        }
    }

    fn store<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        spec: RolloutActionSpec,
    ) -> BoxFuture<'a, Result<Stored, String>> {
        Box::pin(async move {
            let api: Api<RolloutAction> = Api::namespaced(self.client.clone(), namespace);
            match api.create(&super::store::as_us(), &RolloutAction::new(name, spec)).await {
                Ok(_) => Ok(Stored::Created),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Stored::AlreadyThere),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// The version under way, which alone alerts are decided about.
fn under_way(status: &RolloutStatus) -> Option<String> {
    status.candidate_version.clone().filter(|_| status.phase.is_under_way())
}

/// What to ask Prometheus for; nothing while no version is under way, or no alert is named.
fn pull(key: &Key, view: &View) -> Option<AlertPull> {
    let alerts = view.alerts.as_ref()?;
    let asks = view.status.phase.is_under_way() && !alerts.spec.rules.is_empty();
    asks.then(|| AlertPull {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        rules: alerts.spec.rules.clone(),
        matchers: alerts.spec.matchers.clone(),
        source: alerts.source.clone(),
    })
}

/// A Rollout without an accepted spec has no rules: what fires for it is remembered.
fn target(key: &Key, view: &View) -> AlertTarget {
    let alerts = view.alerts.as_ref();
    AlertTarget {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: view.uid.clone(),
        version: under_way(&view.status).filter(|_| alerts.is_some()),
        started_at: view.status.started_at,
        rules: alerts.map_or_else(|| [].into(), |alerts| alerts.spec.rules.clone()),
        tenants: alerts.map_or_else(|| [].into(), |alerts| alerts.tenants.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use breakwater_crds::status::Phase;
    use breakwater_plan::{
        alerts::{AlertTenant, Standing},
        promql::Matchers,
    };
    use jiff::Timestamp;

    use super::*;
    use crate::{
        rollouts::{
            session::AlertSpec,
            sessions::Sessions,
            view::{AlertView, Board},
        },
        telemetry::{Counts, Grid, ReadError, Sink},
    };

    /// A Prometheus that nobody asks.
    struct Unasked;

    impl Counts for Unasked {
        fn query<'a>(
            &'a self,
            _: &'a str,
            _: Timestamp,
            _: &'a mut dyn Sink,
        ) -> BoxFuture<'a, Result<(), ReadError>> {
            Box::pin(std::future::pending())
        }

        fn query_range<'a>(
            &'a self,
            _: &'a str,
            _: Grid,
            _: &'a mut dyn Sink,
        ) -> BoxFuture<'a, Result<(), ReadError>> {
            Box::pin(std::future::pending())
        }
    }

    fn key(name: &str) -> Key {
        Key { namespace: "ops".into(), name: name.into() }
    }

    fn hang_up(board: &Board, phase: Phase) {
        let status = RolloutStatus { phase, candidate_version: Some("2".into()), ..RolloutStatus::default() };
        let spec = AlertSpec { rules: [].into(), matchers: Matchers::parse("").unwrap() };
        let tenants = [AlertTenant { metric_id: "a".into(), standing: Standing::Baseline }].into();
        let alerts = Some(AlertView { spec, source: Arc::new(Unasked), tenants });
        board.publish(Some(View { uid: "uid".into(), status: Arc::new(status), alerts, hands: None }));
    }

    /// A term of two Rollouts; the first has a plan, the second not yet.
    fn targets() -> (Arc<Sessions>, Targets) {
        let sessions = Arc::<Sessions>::default();
        hang_up(&sessions.entry(&key("app")).board, Phase::Soaking);
        sessions.entry(&key("new"));
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(tower::BoxError::from("nobody is asked"))
        });
        let (_, office) = watch::channel(Some(sessions.clone()));
        (sessions, Targets { office, client: Client::new(service, "ops") })
    }

    #[tokio::test]
    async fn a_rollout_whose_reconcile_takes_long_keeps_no_alert_waiting() {
        let (sessions, targets) = targets();
        let app = sessions.entry(&key("app"));
        let _reconciled = app.session.lock().await; // as by a reconcile that waits for the API server
        let found = targets.targets(None).unwrap();
        assert_eq!(found.iter().map(|target| &*target.name).collect::<Vec<_>>(), ["app"]);
        assert_eq!((found[0].version.as_deref(), found[0].tenants.len()), (Some("2"), 1));
        targets.heard("ops", "app", vec!["Slow{}".into()]);
        assert_eq!(*app.board.firing(), ["Slow{}"]);
    }

    #[tokio::test]
    async fn alertmanager_tries_again_where_no_plan_was_made_yet_and_not_where_there_is_no_rollout() {
        let (sessions, targets) = targets();
        assert!(targets.targets(Some(("ops", "new"))).is_err());
        assert!(targets.targets(Some(("ops", "none"))).unwrap().is_empty());
        hang_up(&sessions.entry(&key("new")).board, Phase::Completed);
        let found = targets.targets(Some(("ops", "new"))).unwrap();
        assert_eq!(found[0].version, None, "nothing is under way");
        assert!(targets.pulls().is_empty(), "no rule asks");
    }
}
