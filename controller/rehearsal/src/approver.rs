//! Somebody who answers what a rehearsed Rollout asks: approvals, so long after they were asked for.
//!
//! A scenario that has approvals of its own answers by itself, and only by itself.

use breakwater_crds::{RolloutStatus, action::Verb, status::Phase};
use jiff::SignedDuration;

use crate::fleet::Scenario;

/// What an approval was asked for: the version, and the wave.
type Question = (Phase, String, String);

/// Approves everything, a while after it was asked.
#[derive(Debug)]
pub(crate) struct Approver {
    /// How long that takes; `None`: nobody ever answers.
    after: Option<SignedDuration>,
    /// What is asked now, since when, and whether it was answered.
    asked: Option<(Question, SignedDuration, bool)>,
}

impl Approver {
    /// Whoever answers in a scenario.
    pub(crate) fn new(scenario: &Scenario, after: Option<SignedDuration>) -> Self {
        let by_itself = scenario.events.iter().any(|event| event.act == Some(Verb::Approve));
        Self { after: after.filter(|_| !by_itself), asked: None }
    }

    /// When the next answer is due.
    pub(crate) fn due_at(&self) -> Option<SignedDuration> {
        let (_, since, answered) = self.asked.as_ref()?;
        self.after.filter(|_| !answered).map(|after| *since + after)
    }

    /// Takes notice of what is asked; true when the answer is due, once per question.
    pub(crate) fn answers(&mut self, status: Option<&RolloutStatus>, now: SignedDuration) -> bool {
        let question = status.and_then(question);
        if self.asked.as_ref().map(|(asked, ..)| asked) != question.as_ref() {
            self.asked = question.map(|question| (question, now, false));
        }
        let due = self.due_at().is_some_and(|due| due <= now);
        if let Some((.., answered)) = self.asked.as_mut().filter(|_| due) {
            *answered = true;
        }
        due
    }
}

fn question(status: &RolloutStatus) -> Option<Question> {
    let asks = matches!(status.phase, Phase::Adopting | Phase::AwaitingApproval);
    let version = status.candidate_version.clone().unwrap_or_default();
    asks.then(|| (status.phase, version, status.wave.clone().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(phase: Phase, wave: &str) -> RolloutStatus {
        let candidate_version = Some("2.0.0".to_owned());
        RolloutStatus { phase, wave: Some(wave.into()), candidate_version, ..RolloutStatus::default() }
    }

    fn hours(n: i64) -> SignedDuration {
        SignedDuration::from_hours(n)
    }

    #[test]
    fn b2_each_question_is_answered_once_and_so_long_after_it_was_asked() {
        let mut approver = Approver::new(&Scenario::default(), Some(hours(1)));
        let (adopting, waiting) = (asking(Phase::Adopting, ""), asking(Phase::AwaitingApproval, "early"));
        assert!(!approver.answers(Some(&adopting), hours(3)));
        assert_eq!(approver.due_at(), Some(hours(4)));
        assert!(approver.answers(Some(&adopting), hours(4)));
        assert!(!approver.answers(Some(&adopting), hours(9)), "once");
        assert!(!approver.answers(Some(&asking(Phase::Advancing, "early")), hours(9)));
        assert_eq!(approver.due_at(), None);
        assert!(!approver.answers(Some(&waiting), hours(10)));
        assert!(approver.answers(Some(&waiting), hours(12)));
    }

    #[test]
    fn b2_nobody_answers_where_nobody_is_to_or_the_scenario_does() {
        let asks = asking(Phase::Adopting, "");
        let own = Scenario::parse("own", "events: [{after: AwaitingApproval, act: Approve}]").unwrap();
        for mut approver in [Approver::new(&Scenario::default(), None), Approver::new(&own, Some(hours(1)))] {
            assert!(!approver.answers(Some(&asks), hours(0)) && !approver.answers(Some(&asks), hours(99)));
            assert_eq!(approver.due_at(), None);
        }
    }
}
