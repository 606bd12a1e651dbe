//! What a step says beside its result: what holds, what is told, when to look again, what is waited for. Pure.
//!
//! Every step returns its own; [`Said::and`] puts them together, and only the last step of a plan reads the whole.

use breakwater_crds::{
    status::MESSAGE_MAX,
    words::{HoldReason, Severity, TransitionReason},
};
use breakwater_text::cut;
use jiff::Timestamp;

/// Why nothing advances. It ends by itself with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The word for machines.
    pub(crate) reason: HoldReason,
    /// The sentence.
    pub(crate) message: String,
    /// The SLO whose evidence asks for it, if one's does.
    pub(crate) slo: Option<usize>,
    /// It is told before all others.
    above_all: bool,
}

/// A transition that this plan tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The word for machines.
    pub(crate) reason: TransitionReason,
    /// How grave it is.
    pub(crate) severity: Severity,
    /// The sentence.
    pub(crate) message: String,
}

/// What one step, or several, say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// What holds, the first one first.
    pub(crate) holds: Vec<Hold>,
    /// What is told, in order.
    pub(crate) told: Vec<Told>,
    /// When to plan again; instants that are over are of no use.
    pub(crate) wakes: Vec<Timestamp>,
    /// What the rollout waits for; the last word counts.
    pub(crate) waiting: Option<String>,
}

impl Said {
    /// Nothing but a hold.
    pub(crate) fn held(reason: HoldReason, message: impl Into<String>) -> Self {
        let mut said = Self::default();
        said.hold(reason, message);
        said
    }

    /// Adds a hold.
    pub(crate) fn hold(&mut self, reason: HoldReason, message: impl Into<String>) {
        self.holds.push(Hold { reason, message: clip(&message.into()), slo: None, above_all: false });
    }

    /// Adds a hold that an SLO's evidence asks for.
    pub(crate) fn hold_for(&mut self, slo: usize, reason: HoldReason, message: &str) {
        self.holds.push(Hold { reason, message: clip(message), slo: Some(slo), above_all: false });
    }

    /// Adds a hold that is told before all others.
    pub(crate) fn hold_above_all(&mut self, reason: HoldReason, message: impl Into<String>) {
        self.holds.insert(0, Hold { reason, message: clip(&message.into()), slo: None, above_all: true });
    }

    /// Tells a transition once.
    pub(crate) fn tell(&mut self, reason: TransitionReason, message: impl Into<String>) {
        self.tell_as(reason, reason.severity(), message);
    }

    /// Tells a transition that is as grave as this time it is.
    pub(crate) fn tell_as(
        &mut self,
        reason: TransitionReason,
        severity: Severity,
        message: impl Into<String>,
    ) {
        self.told.push(Told { reason, severity, message: clip(&message.into()) });
    }

    /// Looks again at `at`.
    pub(crate) fn wake(&mut self, at: impl Into<Option<Timestamp>>) {
        self.wakes.extend(at.into());
    }

    /// Waits for this.
    pub(crate) fn wait(&mut self, why: impl Into<String>) {
        self.waiting = Some(why.into());
    }

    /// This, and what a later step says.
    #[must_use]
    pub(crate) fn and(mut self, later: Self) -> Self {
        let Self { holds, told, wakes, waiting } = later;
        let (above, others): (Vec<Hold>, Vec<Hold>) = holds.into_iter().partition(|hold| hold.above_all);
        self.holds.splice(0..0, above);
        self.holds.extend(others);
        self.told.extend(told);
        self.wakes.extend(wakes);
        Self { waiting: waiting.or(self.waiting), ..self }
    }
}

/// Cuts a message to what the status may carry (R27).
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, MESSAGE_MAX)
}

/// Cuts a text to `max` bytes as the status does.
pub(crate) fn clip_to(text: &str, max: usize) -> String {
    cut::stored(text, max)
}
