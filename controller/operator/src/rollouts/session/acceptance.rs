//! What was accepted of a Rollout: the spec in force, and what follows it - tenants, writes, readings. I/O.

use std::{sync::Arc, time::Duration};

use breakwater_crds::Rollout;
use breakwater_plan::{
    observed::{Listing, Tenant},
    spec::Checked,
};
use kube::ResourceExt as _;
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::parsed::{AlertSpec, Parsed};
use crate::{
    execute::Pipeline,
    rollouts::{
        context::Context, desk::Desk, findings::Findings, key::Key, revisions, view::Hands,
        watching::Watching, writer::Writer,
    },
    tenants::{Subscription, index::Index, marks::Hubs},
};

/// Least time between two reconciles that events ask for; the first one is not delayed.
const COALESCE: Duration = Duration::from_millis(100);
/// How long a fleet may be listed before a hold says so.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// The spec in force, and why the newest one is not.
pub(in crate::rollouts) struct Acceptance {
    in_force: Option<InForce>,
    refused: Option<String>,
    /// Which object, and which of its specs, was looked at last.
    seen: Option<Seen>,
    /// Told when writes are answered, or the desk's work came back.
    answers: Arc<Notify>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    generation: i64,
    uid: String,
    hubs: Hubs,
}

/// A spec in force, and what was made of it.
pub(in crate::rollouts) struct InForce {
    checked: Arc<Checked>,
    alerts: AlertSpec,
    /// Name of the `ControllerRevision` that keeps it.
    revision: String,
    subscription: Subscription,
    hands: Hands,
    watching: Watching,
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

/// That a spec was taken into force.
pub(super) struct Adopted {
    /// Whether an SLO is defined otherwise than before: the judges start anew (R9).
    pub(super) is_redefined: bool,
}

impl Acceptance {
    pub(super) fn new() -> Self {
        Self { in_force: None, refused: None, seen: None, answers: Arc::default() }
    }

    /// The spec in force; `None` where none was ever accepted.
    pub(in crate::rollouts) fn in_force(&self) -> Option<&InForce> {
        self.in_force.as_ref()
    }

    /// Why the newest spec is not in force.
    pub(in crate::rollouts) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// UID of the Rollout as seen last.
    pub(in crate::rollouts) fn uid(&self) -> &str {
        self.seen.as_ref().map_or("", |seen| &seen.uid)
    }

    /// True where the Rollout was deleted and created again.
    pub(super) fn is_of_another(&self, rollout: &Rollout) -> bool {
        self.seen.as_ref().is_some_and(|seen| Some(&seen.uid) != rollout.metadata.uid.as_ref())
    }

    /// Follows the newest spec: takes it into force if it is valid, else keeps the accepted one (R9).
    pub(super) async fn follow(
        &mut self,
        context: &Context,
        key: &Key,
        findings: &Findings,
        rollout: &Rollout,
    ) -> Result<Option<Adopted>, kube::Error> {
        let seen = Seen {
            generation: rollout.metadata.generation.unwrap_or_default(),
            uid: rollout.uid().unwrap_or_default(),
            hubs: Hubs {
                own: context.handles.options.hub.clone(),
                taken: rollout.status.as_ref().map_or_else(Vec::new, |status| status.other_hubs.clone()),
            },
        };
        if self.seen.as_ref() == Some(&seen) && (self.in_force.is_some() || self.refused.is_some()) {
            return Ok(None);
        }
        let reach = &context.handles.options.reach;
        let adopted = match Parsed::parse(key, &rollout.spec, &seen.hubs, reach) {
            Ok(parsed) => {
                revisions::keep(context.handles.client(), rollout).await?;
                self.refused = None;
                Some(self.adopt(context, key, findings, parsed, revisions::name(rollout)).await)
            }
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                self.refused = Some(why.join("; "));
                self.fall_back(context, key, findings, rollout, &seen.hubs).await?
            }
        };
        self.seen = Some(seen);
        Ok(adopted)
    }

    /// With a refused newest spec the last accepted one stays in force, also after a restart.
    async fn fall_back(
        &mut self,
        context: &Context,
        key: &Key,
        findings: &Findings,
        rollout: &Rollout,
        hubs: &Hubs,
    ) -> Result<Option<Adopted>, kube::Error> {
        let revision = rollout.status.as_ref().and_then(|status| status.accepted_revision.clone());
        let (None, Some(revision)) = (&self.in_force, revision) else { return Ok(None) };
        let kept = revisions::read(context.handles.client(), &key.namespace, &revision).await?;
        let reach = &context.handles.options.reach;
        let parsed = kept.and_then(|spec| Parsed::parse(key, &spec, hubs, reach).ok());
        match parsed {
            Some(parsed) => Ok(Some(self.adopt(context, key, findings, parsed, revision).await)),
            None => Ok(None),
        }
    }

    async fn adopt(
        &mut self,
        context: &Context,
        key: &Key,
        findings: &Findings,
        parsed: Parsed,
        revision: String,
    ) -> Adopted {
        let Parsed { checked, lens, alerts } = parsed;
        let old = self.in_force.take();
        if let Some(old) = &old {
            old.hands.desk.withhold_jobs(); // they are of the former spec
        }
        let is_redefined = old.as_ref().is_none_or(|old| old.checked.definitions != checked.definitions);
        let checked = Arc::new(checked);
        // The new subscription stands before the old one goes, so that an equal lens keeps its index.
        let subscription = context.tenants.subscribe(lens);
        let watching = Watching::start(context, key, &checked);
        let pipeline = self.pipeline(context, old, &subscription).await;
        let answers = self.answers.clone();
        let desk =
            Desk::start(context, key, checked.clone(), subscription.clone(), findings.clone(), answers);
        let forwarder = forward(context, key, &subscription, &watching, self.answers.clone());
        self.in_force = Some(InForce {
            checked,
            alerts,
            revision,
            subscription,
            hands: Hands { pipeline, desk: Arc::new(desk) },
            watching,
            since: Instant::now(),
            _forwarder: forwarder,
        });
        Adopted { is_redefined }
    }

    /// Writes in flight are not cut off by an edit that leaves the tenants as they are.
    async fn pipeline(
        &self,
        context: &Context,
        old: Option<InForce>,
        subscription: &Subscription,
    ) -> Arc<Pipeline> {
        match old {
            Some(old) if Arc::ptr_eq(old.subscription.index(), subscription.index()) => old.hands.pipeline,
            old => {
                if let Some(old) = old {
                    old.hands.pipeline.drain(context.handles.options.write_timeout).await;
                }
                let writer = Writer {
                    client: context.handles.client().clone(),
                    tenants: context.tenants.clone(),
                    subscription: subscription.clone(),
                    clock: context.handles.ground.clock.clone(),
                };
                let executor = &context.handles.executor;
                Arc::new(Pipeline::new(executor, Arc::new(writer), self.answers.clone(), &context.alarm))
            }
        }
    }
}

impl InForce {
    /// The spec.
    pub(in crate::rollouts) fn checked(&self) -> &Checked {
        &self.checked
    }

    /// What alerts are read by.
    pub(in crate::rollouts) fn alerts(&self) -> &AlertSpec {
        &self.alerts
    }

    /// Name of the `ControllerRevision` that keeps the spec.
    pub(in crate::rollouts) fn revision(&self) -> &str {
        &self.revision
    }

    /// The tenants.
    pub(in crate::rollouts) fn index(&self) -> &Index {
        self.subscription.index()
    }

    /// Whether the tenants are all there are.
    pub(in crate::rollouts) fn listing(&self) -> Listing {
        self.subscription.listing()
    }

    /// What writes, and what works in the background.
    pub(in crate::rollouts) fn hands(&self) -> &Hands {
        &self.hands
    }

    /// What is read of Prometheus.
    pub(in crate::rollouts) fn watching(&self) -> &Watching {
        &self.watching
    }

    /// Runs `f` on all tenants, in no particular order. Watches wait meanwhile, so `f` must not.
    pub(in crate::rollouts) fn with_tenants<R>(&self, f: impl FnOnce(&[Tenant]) -> R) -> R {
        self.subscription.index().with(f)
    }

    /// True while the fleet's first list is on its way, for a few seconds at most.
    pub(super) fn is_listing(&self, now: Instant) -> bool {
        now.duration_since(self.since) < LISTED_WITHIN && self.listing() != Listing::Complete
    }
}

/// Wakes the reconcile when tenants change, writes are answered, the desk's work came back, or something was read, at most
/// every [`COALESCE`].
fn forward(
    context: &Context,
    key: &Key,
    subscription: &Subscription,
    watching: &Watching,
    answered: Arc<Notify>,
) -> Forwarder {
    let (wakes, key) = (context.wakes.clone(), key.clone());
    let mut changes = subscription.changed();
    let mut news = watching.news();
    let task = context.alarm.spawn("forwarder", async move {
        loop {
            let read = async {
                match &mut news {
                    Some(news) => news.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                biased; // so that a rehearsal plays the same twice
                known = changes.changed() => known.is_ok(),
                () = answered.notified() => true,
                goes_on = read => goes_on,
            };
            if !goes_on {
                return;
            }
            wakes.wake(key.clone());
            tokio::time::sleep(COALESCE).await;
        }
    });
    Forwarder(task)
}
