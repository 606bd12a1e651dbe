//! What a tenant that was read back says about a write. Pure.

use breakwater_plan::{
    observed::{Claim, Marker, Reading, Tenant},
    outcome::{Purpose, Write},
};

use super::Outcome;

/// What is known after a fresh read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// Settled, one way or the other.
    Settled(Outcome),
    /// It still is what the plan meant: the write was not committed, and may be sent again on this.
    AsPlanned(Box<Tenant>),
}

/// Compares `fresh` with what `write`, which was sent under `write.marker`, was planned for and would have left behind.
pub(super) fn judge(write: &Write, fresh: Option<Tenant>) -> Found {
    let Some(fresh) = fresh.filter(|fresh| fresh.object.uid == write.tenant.object.uid) else {
        return Found::Settled(Outcome::Gone);
    };
    let own_marker =
        fresh.marker.as_deref().filter(|marker| marker.claim == Claim::Own && marker.target == write.version);
    let holds = fresh.version.version() == Some(&write.version);
    match own_marker {
        Some(_) if holds => Found::Settled(Outcome::AlreadyThere),
        Some(found) if same_stamp(found, &write.marker) => {
            Found::Settled(Outcome::Rewritten { found: fresh.version })
        }
        Some(_) | None if as_planned(write, &fresh) => Found::AsPlanned(Box::new(fresh)),
        Some(_) | None => Found::Settled(Outcome::Changed),
    }
}

/// The answer's version against the one that was written.
pub(super) fn judge_answer(write: &Write, answered: Reading) -> Outcome {
    if answered.version() == Some(&write.version) {
        Outcome::Written
    } else {
        Outcome::Rewritten { found: answered }
    }
}

/// The very marker that was sent; an annotation may hold whole seconds.
fn same_stamp(found: &Marker, sent: &Marker) -> bool {
    found.epoch == sent.epoch && found.written_at.as_second() == sent.written_at.as_second()
}

/// Everything the decision rested on, the resourceVersion and readiness aside. A revert does not ask whether the tenant
/// is still selected (R17).
fn as_planned(write: &Write, fresh: &Tenant) -> bool {
    let planned = &write.tenant;
    let same = fresh.version == planned.version
        && fresh.marker == planned.marker
        && !fresh.terminating
        && fresh.consented == planned.consented
        && fresh.foreign_owner == planned.foreign_owner;
    match write.purpose {
        Purpose::Revert => same,
        Purpose::Advance => {
            same && fresh.selected == planned.selected
                && fresh.selector_wave == planned.selector_wave
                && fresh.excluded == planned.excluded
                && fresh.dormant == planned.dormant
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::{super::tests::write, *};

    fn fresh(change: impl FnOnce(&mut Tenant)) -> Tenant {
        let mut tenant = write(1, Purpose::Advance).tenant;
        tenant.object.resource_version = "999".into();
        change(&mut tenant);
        tenant
    }

    fn marked(tenant: &mut Tenant, version: &str, change: impl FnOnce(&mut Marker)) {
        let mut marker = write(1, Purpose::Advance).marker;
        change(&mut marker);
        tenant.marker = Some(Box::new(marker));
        tenant.version = Reading::Version(version.into());
    }

    #[test]
    fn r25_a_fresh_read_is_done_gone_as_planned_or_changed() {
        let write = write(1, Purpose::Advance);
        let settled = |fresh| match judge(&write, fresh) {
            Found::Settled(outcome) => Some(outcome.label()),
            Found::AsPlanned(_) => None,
        };
        assert_eq!(settled(None), Some("gone"));
        assert_eq!(settled(Some(fresh(|t| t.object.uid = "other".into()))), Some("gone"));
        assert_eq!(settled(Some(fresh(|_| ()))), None);
        assert_eq!(settled(Some(fresh(|t| marked(t, "2", |_| ())))), Some("already_there"));
        assert_eq!(settled(Some(fresh(|t| marked(t, "2", |m| m.epoch = 1)))), Some("already_there"));
        assert_eq!(settled(Some(fresh(|t| marked(t, "2-mirror", |_| ())))), Some("rewritten"));
        assert_eq!(settled(Some(fresh(|t| marked(t, "2", |m| m.claim = Claim::Other)))), Some("changed"));
        assert_eq!(settled(Some(fresh(|t| marked(t, "1", |m| m.target = "3".into())))), Some("changed"));
        assert_eq!(settled(Some(fresh(|t| t.version = Reading::Version("9".into())))), Some("changed"));
        assert_eq!(settled(Some(fresh(|t| t.terminating = true))), Some("changed"));
        assert_eq!(settled(Some(fresh(|t| t.dormant = true))), Some("changed"));
        assert_eq!(settled(Some(fresh(|t| t.foreign_owner = Some(Arc::from("argocd"))))), Some("changed"));
    }

    #[test]
    fn r17_a_tenant_relabelled_out_of_the_selector_is_still_reverted() {
        let write = write(1, Purpose::Revert);
        let mut tenant = write.tenant.clone();
        (tenant.selected, tenant.excluded) = (false, true);
        assert!(matches!(judge(&write, Some(tenant)), Found::AsPlanned(_)));
    }

    #[test]
    fn r25_a_write_takes_no_older_marker_for_its_own() {
        let write = write(1, Purpose::Advance);
        for older in [
            fresh(|t| marked(t, "2-mirror", |m| m.written_at = Timestamp::UNIX_EPOCH)),
            fresh(|t| marked(t, "2-mirror", |m| m.epoch = 1)),
        ] {
            assert_eq!(judge(&write, Some(older)), Found::Settled(Outcome::Changed));
        }
    }
}
