//! What is owed to the API server after a plan: reports, the status, Events; stored before anything acts on them (R28). I/O.

use std::{sync::Arc, time::Duration};

use breakwater_crds::{
    Rollout, RolloutStatus,
    status::{Phase, Transition},
};
use breakwater_plan::{observed::Report, outcome::Plan};
use jiff::Timestamp;

use crate::rollouts::{context::Context, key::Key, reports::Reports, store};

/// Status writes that are no transitions are this much rarer while nothing moves: every 5 minutes by default (R27).
const CALM: u32 = 30;

/// What is still to be stored, and what was.
#[derive(Default)]
pub(in crate::rollouts) struct Owed {
    /// Whether the planned status holds what must be stored before any write.
    decision: bool,
    /// The status as stored last, and when.
    stored: Option<(Arc<RolloutStatus>, Timestamp)>,
    /// The same as the API server has it since: with its defaults, and its way with numbers.
    confirmed: Option<RolloutStatus>,
    /// Reports that must be stored before the status, and those that the cache may not show.
    reports: Reports,
    /// Transitions whose Events are to be sent once the status is stored.
    events: Vec<Transition>,
}

/// What is to be stored now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rollouts) enum Due {
    /// Nothing.
    Nothing,
    /// Reports alone: an account goes on long after its last decision.
    Reports,
    /// Reports, then the status.
    Status {
        /// Whether it holds a decision: nothing of an older plan is sent while that is on its way.
        decides: bool,
    },
}

impl Owed {
    /// Takes what a plan leaves to be stored.
    pub(in crate::rollouts) fn take(&mut self, plan: &mut Plan) {
        self.decision |= plan.decided || !plan.transitions.is_empty();
        self.reports.owe(plan.reports.drain(..));
        self.events.append(&mut plan.transitions);
    }

    /// What of `status`, as planned, is to be stored now; what is no decision waits its turn (R27).
    pub(in crate::rollouts) fn due(
        &self,
        status: &RolloutStatus,
        found: Option<&RolloutStatus>,
        interval: Duration,
        now: Timestamp,
    ) -> Due {
        let is_due = self.stored.as_ref().is_none_or(|(stored, at)| {
            let moving =
                matches!(status.phase, Phase::Advancing | Phase::Reverting) || tells_more(status, stored);
            let interval = interval * if moving { 1 } else { CALM };
            **stored != *status && now.duration_since(*at).unsigned_abs() >= interval
        });
        // Somebody wiped it, or restored an old one: the memory of a Rollout is put back at once.
        let altered = self.confirmed.is_some() && self.confirmed.as_ref() != found;
        if self.decision || is_due || altered {
            Due::Status { decides: self.decision }
        } else if self.reports.is_owing() {
            Due::Reports
        } else {
            Due::Nothing
        }
    }

    /// Stores what is due.
    pub(in crate::rollouts) async fn pay(
        &mut self,
        context: &Context,
        rollout: &Rollout,
        status: &Arc<RolloutStatus>,
        due: Due,
    ) -> Result<(), kube::Error> {
        let (client, now) = (context.handles.client(), context.handles.now());
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        match due {
            Due::Nothing => Ok(()),
            Due::Reports => self.reports.pay(client, namespace, now).await,
            Due::Status { decides: _ } => {
                self.reports.pay(client, namespace, now).await?;
                self.confirmed = store::status(client, rollout, status).await?.status;
                self.stored = Some((status.clone(), now));
                self.decision = false;
                Ok(())
            }
        }
    }

    /// Reads afresh the reports that the cache should show and does not; `named` is the one that the status names.
    pub(in crate::rollouts) async fn read_reports(
        &mut self,
        context: &Context,
        key: &Key,
        cached: &[Report],
        named: Option<&str>,
    ) -> Result<(), kube::Error> {
        let (client, now) = (context.handles.client(), context.handles.now());
        self.reports.refresh(client, &key.namespace, cached, named, now).await
    }

    /// Reports as cached, overlaid by what this process knows better.
    pub(in crate::rollouts) fn overlay(&self, cached: Vec<Report>) -> Vec<Report> {
        self.reports.overlay(cached)
    }

    /// Transitions whose Events are to be sent; they are not owed any more.
    pub(in crate::rollouts) fn take_events(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.events)
    }
}

/// Whether people would see another verdict or other tenants; the soak and the evidence alone may wait.
fn tells_more(status: &RolloutStatus, stored: &RolloutStatus) -> bool {
    let verdicts =
        |status: &RolloutStatus| status.slos.iter().map(|slo| slo.verdict.clone()).collect::<Vec<_>>();
    status.counts != stored.counts
        || status.troubled != stored.troubled
        || verdicts(status) != verdicts(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_decision_is_due_at_once_and_the_rest_in_its_turn() {
        let (calm, interval) = (RolloutStatus::default(), Duration::from_secs(10));
        let mut owed = Owed::default();
        assert_eq!(
            owed.due(&calm, None, interval, at(0)),
            Due::Status { decides: false },
            "nothing was stored"
        );
        owed.stored = Some((Arc::new(calm.clone()), at(0)));
        assert_eq!(owed.due(&calm, None, interval, at(3_600)), Due::Nothing, "it says the same");
        let told = RolloutStatus { message: "more".into(), ..calm.clone() };
        assert_eq!(owed.due(&told, None, interval, at(299)), Due::Nothing);
        assert_eq!(owed.due(&told, None, interval, at(300)), Due::Status { decides: false });
        let moving = RolloutStatus { phase: Phase::Reverting, ..calm.clone() };
        assert_eq!(owed.due(&moving, None, interval, at(10)), Due::Status { decides: false });
        owed.decision = true;
        assert_eq!(owed.due(&calm, None, interval, at(0)), Due::Status { decides: true });
    }

    #[test]
    fn a_status_that_somebody_altered_is_put_back_at_once() {
        let status = RolloutStatus::default();
        let mut owed = Owed { stored: Some((Arc::new(status.clone()), at(0))), ..Owed::default() };
        owed.confirmed = Some(status.clone());
        let due = |found| owed.due(&status, found, Duration::from_secs(10), at(1));
        assert_eq!(due(Some(&status)), Due::Nothing);
        assert_eq!(due(None), Due::Status { decides: false }, "it was wiped");
    }
}
