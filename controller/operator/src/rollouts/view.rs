//! What others may know of one Rollout: one immutable value, published after each plan. Whoever reads it waits for nobody, and
//! nobody waits for him. No I/O.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use breakwater_crds::RolloutStatus;
use breakwater_plan::alerts::AlertTenant;

use super::{desk::Desk, session::AlertSpec};
use crate::{execute::Pipeline, telemetry::Counts};

/// One Rollout as its last plan left it.
pub(super) struct View {
    /// UID of the Rollout.
    pub(super) uid: String,
    /// Its status as planned: phase, counts, evidence by SLO, conditions.
    pub(super) status: Arc<RolloutStatus>,
    /// What alerts need; `None` where no spec was ever accepted.
    pub(super) alerts: Option<AlertView>,
    /// What writes for it, to be waited for at the end; `None` as above.
    pub(super) hands: Option<Hands>,
}

/// What of a Rollout alerts are decided by.
#[derive(Clone)]
pub(super) struct AlertView {
    /// The rules, and what selects the Rollout's series.
    pub(super) spec: AlertSpec,
    /// Its Prometheus.
    pub(super) source: Arc<dyn Counts>,
    /// Its tenants, each with the arm that the planner put it into; empty where no rule asks, or nothing is under way.
    pub(super) tenants: Arc<[AlertTenant]>,
}

/// What writes for a Rollout. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hands {
    /// Tenant writes.
    pub(super) pipeline: Arc<Pipeline>,
    /// Background work.
    pub(super) desk: Arc<Desk>,
}

impl Hands {
    /// Nothing more of an older plan is sent or made.
    pub(super) fn withhold(&self) {
        self.pipeline.replace(Vec::new());
        self.desk.withhold_jobs();
    }

    /// Ends sending for good, and waits for what was sent; true when all of it was answered.
    pub(super) async fn drain(&self, within: Duration) -> bool {
        let made = tokio::time::timeout(within, self.desk.drain());
        let (written, made) = tokio::join!(self.pipeline.drain(within), made);
        written && made.is_ok()
    }
}

/// Where one Rollout's view hangs, and where it is told what others found.
#[derive(Default)]
pub(super) struct Board {
    view: ArcSwapOption<View>,
    /// Alerts of the spec's rules that fire, in words, as the webhook heard last.
    firing: ArcSwap<Vec<String>>,
}

impl Board {
    /// The newest view; `None` before the first plan.
    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Hangs up a newer view, or takes down one that is not true any more.
    pub(super) fn publish(&self, view: Option<View>) {
        self.view.store(view.map(Arc::new));
    }

    /// Alerts that fire, for the account of a deviation.
    pub(super) fn firing(&self) -> Arc<Vec<String>> {
        self.firing.load_full()
    }

    /// Notes which alerts fire.
    pub(super) fn hear(&self, firing: Vec<String>) {
        if **self.firing.load() != firing {
            self.firing.store(Arc::new(firing));
        }
    }
}
