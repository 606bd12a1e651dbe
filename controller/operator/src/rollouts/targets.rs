//! Whom alerts may speak of, and how what they ask for is stored: the webhook's way into the running term. I/O.

use std::sync::Arc;

use breakwater_crds::{RolloutAction, action::RolloutActionSpec, rollout::Alert, scalars::Span};
use breakwater_plan::{
    alerts::{AlertRule, AlertTenant, Standing},
    fleet,
    observed::{Readiness, Tenant},
    promql::Matchers,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::watch;

use super::{context::Key, lead::Office, session::Session};
use crate::{
    http::{AlertPull, AlertTarget, AlertTargets, Stored},
    telemetry::ids::metric_id,
};

/// The term that runs, if one does.
pub struct Targets {
    /// Set while this process leads and its watches have listed.
    pub office: watch::Receiver<Option<Office>>,
    /// For storing actions.
    pub client: Client,
}

impl AlertTargets for Targets {
    fn targets<'a>(
        &'a self,
        only: Option<(&'a str, &'a str)>,
    ) -> BoxFuture<'a, Result<Vec<AlertTarget>, String>> {
        Box::pin(async move {
            let office = self.office.borrow().clone();
            let office = office.ok_or("this replica does not lead; the one that does will take it")?;
            let mut targets = Vec::new();
            for (key, session) in office.sessions() {
                if only.is_none_or(|only| only == (key.namespace.as_str(), key.name.as_str())) {
                    targets.extend(target(&key, &*session.lock().await, office.now()));
                }
            }
            Ok(targets)
        })
    }

    fn pulls(&self) -> BoxFuture<'_, Vec<AlertPull>> {
        Box::pin(async move {
            let office = self.office.borrow().clone();
            let mut pulls = Vec::new();
            for (key, session) in office.map(|office| office.sessions()).unwrap_or_default() {
                pulls.extend(pull(&key, &*session.lock().await));
            }
            pulls
        })
    }

    fn heard<'a>(&'a self, namespace: &'a str, name: &'a str, firing: Vec<String>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let office = self.office.borrow().clone();
            let sessions = office.map(|office| office.sessions()).unwrap_or_default();
            for (_, session) in sessions.iter().filter(|(k, _)| k.namespace == namespace && k.name == name) {
                session.lock().await.firing.clone_from(&firing);
            }
        })
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
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(Stored::AlreadyThere),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// What to ask Prometheus for; nothing while no version is under way, or no alert is named.
fn pull(key: &Key, session: &Session) -> Option<AlertPull> {
    let accepted = session.accepted.as_ref()?;
    let spec = &accepted.checked.spec;
    session.carried.as_ref().filter(|status| status.phase.is_under_way() && !spec.alerts.is_empty())?;
    let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
    Some(AlertPull {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        rules: rules(&spec.alerts),
        matchers: Matchers::parse(matchers).ok()?,
        source: accepted.watching.source(),
    })
}

fn rules(alerts: &[Alert]) -> Arc<[AlertRule]> {
    let parse = |(i, alert)| AlertRule::parse(alert, &format!("spec.alerts[{i}]")).ok();
    alerts.iter().enumerate().filter_map(parse).collect()
}

fn target(key: &Key, session: &Session, now: Timestamp) -> Option<AlertTarget> {
    let accepted = session.accepted.as_ref()?;
    let spec = &accepted.checked.spec;
    let status = session.carried.as_ref();
    let version = status.filter(|s| s.phase.is_under_way()).and_then(|s| s.candidate_version.clone());
    let rules = rules(&spec.alerts);
    let tenants = accepted.subscription.index().with(|tenants| {
        let wanted = version.as_deref().filter(|_| !rules.is_empty()).unwrap_or_default();
        tenants.iter().map(|tenant| stand(tenant, wanted, spec.tenants.warm_up, now)).collect()
    });
    Some(AlertTarget {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: session.uid().to_owned(),
        version,
        started_at: status.and_then(|status| status.started_at),
        rules,
        tenants,
    })
}

/// Where a tenant stands for alerts about `version`.
fn stand(tenant: &Tenant, version: &str, warm_up: Span, now: Timestamp) -> AlertTenant {
    let warm_at = match &tenant.readiness {
        Readiness::Ready { since } => Some(*since + warm_up.as_duration()),
        Readiness::NotReady { .. } => None,
    };
    let on_it = tenant.version.version().is_some_and(|found| **found == *version);
    let standing = match fleet::own(tenant) {
        Some(marker) if *marker.target == *version && on_it => {
            Standing::Candidate { written_at: marker.written_at, warm_at }
        }
        _ if on_it || tenant.dormant || tenant.terminating || !tenant.selected => Standing::Neither,
        _ if warm_at.is_some_and(|warm| warm <= now) => Standing::Baseline,
        _ => Standing::Neither,
    };
    AlertTenant { metric_id: metric_id(tenant), standing }
}
