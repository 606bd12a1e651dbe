//! When a plan may start a version, so that the API is asked for Releases first: a version and the Release that withdraws it
//! may come in the same moment. Pure.

use breakwater_crds::{RolloutStatus, status::Phase};

/// Whether the next plan of this Rollout could put `wanted` under way. It may say so too often, never too seldom.
pub(super) fn may_start(status: &RolloutStatus, wanted: &str) -> bool {
    match status.phase {
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => {
            status.candidate_version.as_deref() != Some(wanted)
        }
        Phase::Completed => status.stable_version.as_deref() != Some(wanted),
        Phase::Pending | Phase::Adopting | Phase::Reverted | Phase::RevertedPartly => true,
        Phase::Reverting | Phase::Verifying => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: Phase) -> RolloutStatus {
        let (stable_version, candidate_version) = (Some("1".to_owned()), Some("2".to_owned()));
        RolloutStatus { phase, stable_version, candidate_version, ..RolloutStatus::default() }
    }

    #[test]
    fn what_is_under_way_or_done_starts_nothing_and_another_version_may() {
        for phase in [Phase::Advancing, Phase::Soaking, Phase::AwaitingApproval, Phase::Watching] {
            assert!(!may_start(&status(phase), "2"), "{phase:?}");
            assert!(may_start(&status(phase), "3"), "{phase:?}: it may take over");
        }
        assert!(!may_start(&status(Phase::Completed), "1"));
        assert!(may_start(&status(Phase::Completed), "2"));
        for phase in [Phase::Pending, Phase::Adopting, Phase::Reverted, Phase::RevertedPartly] {
            assert!(may_start(&status(phase), "1"), "{phase:?}");
        }
        for phase in [Phase::Reverting, Phase::Verifying] {
            assert!(!may_start(&status(phase), "3"), "{phase:?}");
        }
    }
}
