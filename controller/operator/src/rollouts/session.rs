//! What is remembered of one Rollout between two reconciles. All of it can be lost without changing an outcome (R28).

use std::{collections::HashMap, sync::Arc, time::Duration};

use breakwater_crds::{Rollout, RolloutSpec, RolloutStatus, status::Transition};
use breakwater_plan::{
    observed::{Cause, Fleet},
    outcome::Plan,
    spec::{Checked, FieldError},
    trace::Trace,
};
use breakwater_slo::{State, TenantId};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    context::{Context, Key},
    evidence::Evidence,
    frozen::Frozen,
    reports::Reports,
    revisions,
    watching::Watching,
    writer::Writer,
};
use crate::{
    execute::Pipeline,
    tenants::{Subscription, lens::Lens},
};

/// Least time between two reconciles that events ask for; the first one is not delayed.
const COALESCE: Duration = Duration::from_millis(100);
/// How long a fleet may be listed before a hold says so.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// How long a looked-up cause is believed.
const CAUSE_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// The memory of one Rollout.
pub(super) struct Session {
    pub(super) key: Key,
    /// The spec in force, and what was made of it.
    pub(super) accepted: Option<Accepted>,
    /// Why the newest spec is not in force.
    pub(super) refused: Option<String>,
    /// Generation and UID that were looked at last.
    seen: Option<(i64, String)>,
    /// The status as planned last; stored or about to be.
    pub(super) carried: Option<RolloutStatus>,
    /// The status as stored last, and when.
    pub(super) stored: Option<(RolloutStatus, Timestamp)>,
    /// The same as the API server has it since: with its defaults, and its way with numbers.
    pub(super) confirmed: Option<RolloutStatus>,
    /// Whether `carried` holds what must be stored before any write.
    pub(super) owed: bool,
    /// Reports that must be stored before the status, and those that the cache may not show.
    pub(super) reports: Reports,
    /// Transitions whose Events are to be sent once the status is stored.
    pub(super) events_owed: Vec<Transition>,
    /// The judges' states, in order of the SLOs; empty after a restart: the status's checkpoint is taken.
    pub(super) judges: Vec<State>,
    /// What both arms counted of late, in order of the SLOs; lost with the process.
    pub(super) traces: Vec<Arc<Trace>>,
    /// What was frozen and is stored.
    pub(super) frozen: Frozen,
    /// Releases, another Rollout's soak, Jobs.
    pub(super) evidence: Evidence,
    /// Alerts of the spec's rules that fire, in words, as the webhook heard last.
    pub(super) firing: Vec<String>,
    /// Names and times of actions that have their answer.
    pub(super) answered: Vec<(String, Timestamp)>,
    causes: HashMap<TenantId, (Cause, Timestamp)>,
    /// Told by the pipeline when writes are answered.
    answers: Arc<Notify>,
}

/// A spec in force.
pub(super) struct Accepted {
    pub(super) checked: Arc<Checked>,
    pub(super) revision: String,
    pub(super) subscription: Subscription,
    pub(super) pipeline: Pipeline,
    pub(super) watching: Watching,
    since: Instant,
    _forwarder: Forwarder,
}

/// A task that ends with its owner.
struct Forwarder(AbortHandle);

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            accepted: None,
            refused: None,
            seen: None,
            carried: None,
            stored: None,
            confirmed: None,
            owed: false,
            reports: Reports::default(),
            events_owed: Vec::new(),
            judges: Vec::new(),
            traces: Vec::new(),
            frozen: Frozen::default(),
            evidence: Evidence::default(),
            firing: Vec::new(),
            answered: Vec::new(),
            causes: HashMap::new(),
            answers: Arc::default(),
        }
    }

    /// Follows the newest spec: takes it into force if it is valid, else keeps the accepted one (R9).
    pub(super) async fn follow(&mut self, context: &Context, rollout: &Rollout) -> Result<(), kube::Error> {
        let seen = (rollout.metadata.generation.unwrap_or_default(), rollout.uid().unwrap_or_default());
        if self.seen.as_ref().is_some_and(|(_, uid)| *uid != seen.1) {
            *self = Self::new(self.key.clone()); // deleted and created again: nothing is remembered
        }
        if self.seen.as_ref() == Some(&seen) && (self.accepted.is_some() || self.refused.is_some()) {
            return Ok(());
        }
        match self.parse(context, &rollout.spec) {
            Ok((checked, lens)) => {
                revisions::keep(context.client(), rollout).await?;
                self.adopt(context, checked, lens, revisions::name(rollout)).await;
                self.refused = None;
            }
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                self.refused = Some(why.join("; "));
                self.fall_back(context, rollout).await?;
            }
        }
        self.seen = Some(seen);
        Ok(())
    }

    fn parse(&self, context: &Context, spec: &RolloutSpec) -> Result<(Checked, Lens), Vec<FieldError>> {
        let lens = Lens::compile(&self.key.namespace, &self.key.name, spec);
        let checked = Checked::parse(spec);
        let unreachable = spec.prometheus.is_none() && !context.leader.options.has_prometheus;
        let prometheus = unreachable.then(|| {
            FieldError::new(
                "spec.prometheus.url",
                "is missing, and the controller has no --prometheus-url to fall back on",
            )
        });
        match (checked, lens, prometheus) {
            (Ok(checked), Ok(lens), None) => Ok((checked, lens)),
            (checked, lens, prometheus) => {
                let errors = checked.err().into_iter().flatten().chain(lens.err().into_iter().flatten());
                Err(errors.chain(prometheus).collect())
            }
        }
    }

    /// With a refused newest spec the last accepted one stays in force, also after a restart.
    async fn fall_back(&mut self, context: &Context, rollout: &Rollout) -> Result<(), kube::Error> {
        let revision = rollout.status.as_ref().and_then(|status| status.accepted_revision.clone());
        let (None, Some(revision)) = (&self.accepted, revision) else { return Ok(()) };
        let Some(spec) = revisions::read(context.client(), &self.key.namespace, &revision).await? else {
            return Ok(());
        };
        if let Ok((checked, lens)) = self.parse(context, &spec) {
            self.adopt(context, checked, lens, revision).await;
        }
        Ok(())
    }

    async fn adopt(&mut self, context: &Context, checked: Checked, lens: Lens, revision: String) {
        let definitions = |accepted: &Accepted| accepted.checked.definitions.clone();
        if self.accepted.as_ref().map(definitions).as_ref() != Some(&checked.definitions) {
            (self.judges, self.traces) = (Vec::new(), Vec::new());
        }
        self.frozen = Frozen::default(); // by SLO, as they were
        // The new subscription stands before the old one goes, so that an equal lens keeps its index.
        let subscription = context.tenants.subscribe(lens);
        let watching = Watching::start(context, &self.key, &checked);
        let writer = Writer {
            client: context.client().clone(),
            tenants: context.tenants.clone(),
            subscription: subscription.clone(),
            clock: context.leader.ground.clock.clone(),
        };
        let pipeline = match self.accepted.take() {
            // Writes in flight are not cut off by an edit that leaves the tenants as they are.
            Some(old) if Arc::ptr_eq(old.subscription.index(), subscription.index()) => old.pipeline,
            old => {
                if let Some(old) = old {
                    old.pipeline.drain(context.leader.options.write_timeout).await;
                }
                Pipeline::new(&context.leader.executor, Arc::new(writer), self.answers.clone())
            }
        };
        let forwarder = forward(context, &self.key, &subscription, &watching, self.answers.clone());
        let checked = Arc::new(checked);
        self.accepted = Some(Accepted {
            checked,
            revision,
            subscription,
            pipeline,
            watching,
            since: Instant::now(),
            _forwarder: forwarder,
        });
    }

    /// Takes what a plan leaves to be remembered.
    pub(super) fn remember(&mut self, plan: &mut Plan) {
        self.owed |= plan.decided || !plan.transitions.is_empty();
        self.carried = Some(plan.status.clone());
        self.reports.owe(plan.reports.drain(..));
        self.events_owed.append(&mut plan.transitions);
        self.judges = std::mem::take(&mut plan.judges);
        self.traces = std::mem::take(&mut plan.traces);
    }

    /// UID of the Rollout as seen last.
    pub(super) fn uid(&self) -> &str {
        self.seen.as_ref().map_or("", |(_, uid)| uid)
    }

    /// True while the fleet's first list is on its way, for a few seconds at most.
    pub(super) fn is_listing(&self, now: Instant) -> bool {
        let Some(accepted) = &self.accepted else { return false };
        now.duration_since(accepted.since) < LISTED_WITHIN && accepted.subscription.fleet() != Fleet::Complete
    }

    /// Causes that are fresh enough, and the ones among `wanted` that are not.
    pub(super) fn causes(&mut self, now: Timestamp) -> HashMap<TenantId, Cause> {
        self.causes.retain(|_, (_, at)| now.duration_since(*at) < CAUSE_AGE);
        self.causes.iter().map(|(id, (cause, _))| (*id, cause.clone())).collect()
    }

    /// Notes a looked-up cause.
    pub(super) fn learn(&mut self, id: TenantId, cause: Cause, now: Timestamp) {
        self.causes.insert(id, (cause, now));
    }
}

/// Wakes the reconcile when tenants change, writes are answered, or something was read, at most every [`COALESCE`].
fn forward(
    context: &Context,
    key: &Key,
    subscription: &Subscription,
    watching: &Watching,
    answered: Arc<Notify>,
) -> Forwarder {
    let (wake, key) = (context.wake.clone(), key.clone());
    let mut changes = subscription.changed();
    let mut news = watching.news();
    let task = tokio::spawn(async move {
        loop {
            let read = async {
                match &mut news {
                    Some(news) => news.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                biased;
                known = changes.changed() => known.is_ok(),
                () = answered.notified() => true,
                goes_on = read => goes_on,
            };
            if !goes_on || wake.send(key.clone()).is_err() {
                return;
            }
            tokio::time::sleep(COALESCE).await;
        }
    });
    Forwarder(task.abort_handle())
}
