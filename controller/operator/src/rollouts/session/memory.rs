//! What planning gets back: all that one plan leaves for the next. It can be lost without changing an outcome (R28). No I/O.

use std::sync::Arc;

use breakwater_crds::{Rollout, RolloutStatus};
use breakwater_plan::{observed::SloReading, outcome::Plan, trace::Trace};
use breakwater_slo::State;

use crate::rollouts::{evidence::Evidence, findings::Findings, frozen::Frozen};

/// What one plan leaves for the next, and what was found between them.
#[derive(Default)]
pub(in crate::rollouts) struct Memory {
    /// The status as planned last; stored or about to be.
    status: Option<Arc<RolloutStatus>>,
    /// The judges' states, in order of the SLOs; empty after a restart: the status's checkpoint is taken.
    judges: Vec<State>,
    /// What both arms counted of late, in order of the SLOs; lost with the process.
    traces: Vec<Arc<Trace>>,
    /// What was frozen and is stored.
    frozen: Frozen,
    /// Releases, and another Rollout's soak.
    evidence: Evidence,
    /// What the desk found.
    findings: Findings,
}

impl Memory {
    /// The status to plan from: the planned one, or after a restart the stored one.
    pub(in crate::rollouts) fn status_of<'a>(&'a self, rollout: &'a Rollout) -> Option<&'a RolloutStatus> {
        self.status.as_deref().or(rollout.status.as_ref())
    }

    /// The status as planned last.
    pub(in crate::rollouts) fn planned(&self) -> Option<&Arc<RolloutStatus>> {
        self.status.as_ref()
    }

    /// What was frozen and is stored.
    pub(in crate::rollouts) fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// The same, to be changed.
    pub(in crate::rollouts) fn frozen_mut(&mut self) -> &mut Frozen {
        &mut self.frozen
    }

    /// Releases, and another Rollout's soak.
    pub(in crate::rollouts) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The same, to be changed.
    pub(in crate::rollouts) fn evidence_mut(&mut self) -> &mut Evidence {
        &mut self.evidence
    }

    /// What the desk found.
    pub(in crate::rollouts) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Puts into the readings what is handed from plan to plan. The judges go along: a plan hands them back.
    pub(in crate::rollouts) fn lend(&mut self, readings: &mut [SloReading]) {
        for (reading, judge) in readings.iter_mut().zip(self.judges.drain(..)) {
            reading.state = Some(judge);
        }
        for (reading, trace) in readings.iter_mut().zip(&self.traces) {
            reading.trace = Some(trace.clone());
        }
        if let Some(kept) = self.frozen.kept() {
            kept.lend(readings);
        }
    }

    /// Takes what a plan leaves for the next.
    pub(in crate::rollouts) fn remember(&mut self, plan: &mut Plan) {
        self.status = Some(Arc::new(plan.status.clone()));
        self.judges = std::mem::take(&mut plan.judges);
        self.traces = std::mem::take(&mut plan.traces);
    }

    /// Forgets what is of no use under another spec.
    pub(super) fn take_spec(&mut self, is_redefined: bool) {
        self.frozen = Frozen::default(); // by SLO, as they were
        if is_redefined {
            (self.judges, self.traces) = (Vec::new(), Vec::new());
        }
    }
}
