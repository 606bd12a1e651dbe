//! Whether a version made it, for CI. Pure.

use breakwater_crds::{Phase, Rollout, status::ConditionStatus, words::ConditionType};

use super::tree;

/// How a version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the stable one.
    Completed,
    /// It is out, is going out, or may not begin: no waiting helps.
    Failed(String),
    /// Not decided; what it is doing.
    UnderWay(String),
}

impl Verdict {
    /// One word for machines.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed(_) => "Failed",
            Self::UnderWay(_) => "UnderWay",
        }
    }
}

/// Judges `version` by the status; one that speaks of an older spec decides nothing.
pub fn judge(rollout: &Rollout, version: &str) -> Verdict {
    let Some(status) = &rollout.status else {
        return Verdict::UnderWay("no controller has looked at it yet".into());
    };
    if status.rejected.iter().any(|rejected| rejected == version) {
        return Verdict::Failed(format!("{version} is rejected: {}", status.message));
    }
    if let Some(revert) = &status.revert
        && revert.version == version
        && !revert.by_spec
        && (status.phase.is_reverting() || matches!(status.phase, Phase::Reverted | Phase::RevertedPartly))
    {
        return Verdict::Failed(format!("{version} is {}: {}", status.phase.as_str(), revert.message));
    }
    if status.observed_generation < rollout.metadata.generation.unwrap_or_default() {
        return Verdict::UnderWay("the last edit of the spec has not been seen yet".into());
    }
    let accepted = status.condition(ConditionType::Accepted);
    if let Some(refused) = accepted.filter(|accepted| accepted.status == ConditionStatus::False)
        && rollout.spec.version == version
    {
        return Verdict::Failed(format!("the spec is not accepted: {}", refused.message));
    }
    if status.phase == Phase::Completed && status.stable_version.as_deref() == Some(version) {
        return Verdict::Completed;
    }
    let elsewhere = if rollout.spec.version == version {
        String::new()
    } else {
        format!("; the spec wants {}, not {version}", rollout.spec.version)
    };
    Verdict::UnderWay(format!("{}: {}{elsewhere}", tree::phase(rollout), status.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tree::tests::{completed, reverting, soaking_held};

    #[test]
    fn a_completed_version_is_done_and_no_other_is() {
        let rollout = completed();
        assert_eq!(judge(&rollout, "10.5.2"), Verdict::Completed);
        assert!(matches!(judge(&rollout, "10.5.3"), Verdict::UnderWay(_)), "Git may not have been read yet");
    }

    #[test]
    fn an_edit_that_was_not_seen_decides_nothing() {
        let mut rollout = completed();
        rollout.metadata.generation = Some(99);
        assert!(matches!(judge(&rollout, "10.5.2"), Verdict::UnderWay(_)));
    }

    #[test]
    fn r19_a_reverting_or_rejected_version_has_failed() {
        let mut rollout = reverting();
        assert!(matches!(judge(&rollout, "10.5.2"), Verdict::Failed(_)));
        if let Some(status) = &mut rollout.status {
            status.phase = Phase::Completed;
            status.rejected = vec!["10.5.2".into()];
        }
        assert!(matches!(judge(&rollout, "10.5.2"), Verdict::Failed(_)));
    }

    #[test]
    fn an_invalid_spec_has_failed_and_a_hold_has_not() {
        let mut rollout = soaking_held();
        assert!(matches!(judge(&rollout, "10.5.2"), Verdict::UnderWay(_)));
        if let Some(status) = &mut rollout.status {
            status.conditions[0].type_ = ConditionType::Accepted.into();
            status.conditions[0].status = ConditionStatus::False;
        }
        assert!(matches!(judge(&rollout, "10.5.2"), Verdict::Failed(_)));
    }
}
