//! The gates, as an Acknowledge names them. Pure.

use super::{HoldReason, TransitionReason, table::words};

words! {
    /// A gate, as an Acknowledge names it (R21).
    GateSubject is a "gate" {
        Migrations("migrations"): "The Release's migrations.";
        LoadTest("loadTest"): "The Release's load tests.";
        OpenDeviations("openDeviations"): "Deviations that nobody has answered.";
        Soak("soak"): "What another Rollout has soaked.";
        Revert("revert"): "A revert that the schema forbids.";
        Emergency("emergency"): "An emergency release, which no other gate stops.";
    }
}

impl GateSubject {
    /// Why a version waits for it, or a revert does.
    pub const fn hold_reason(self) -> HoldReason {
        match self {
            Self::Migrations => HoldReason::Migrations,
            Self::LoadTest => HoldReason::LoadTest,
            Self::OpenDeviations => HoldReason::OpenDeviations,
            Self::Soak => HoldReason::SoakGate,
            Self::Revert => HoldReason::RevertGated,
            Self::Emergency => HoldReason::Emergency,
        }
    }

    /// What is told where it only warns; the last two never do.
    pub const fn transition_reason(self) -> Option<TransitionReason> {
        match self {
            Self::Migrations => Some(TransitionReason::Migrations),
            Self::LoadTest => Some(TransitionReason::LoadTest),
            Self::OpenDeviations => Some(TransitionReason::OpenDeviations),
            Self::Soak => Some(TransitionReason::SoakGate),
            Self::Revert | Self::Emergency => None,
        }
    }
}
