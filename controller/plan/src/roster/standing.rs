//! The words for where a tenant stands (R3-R6, R24). Pure.

use jiff::Timestamp;

/// Where a tenant stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No tenant of this Rollout, or one that left: not selected, excluded, being deleted.
    Ignored,
    /// Asleep; joins on waking.
    Dormant,
    /// Under another Rollout's marker.
    Claimed,
    /// In a namespace that has not consented.
    Unconsented,
    /// Its version cannot be read.
    Unreadable,
    /// On a later version than the wanted one.
    Ahead,
    /// In no wave.
    Unmatched,
    /// Marked by us and changed by somebody else.
    Contested,
    /// Looks contested, and must be read afresh to be sure.
    Unsure,
    /// Its version belongs to a manager that has not released it.
    NotReleased,
    /// Waits for the wanted version.
    Pending,
    /// On the wanted version, not ready yet.
    Updating {
        /// When it counts as failed.
        deadline: Option<Timestamp>,
    },
    /// On the wanted version, past its deadline.
    Failed,
    /// The same, of a tenant that was not ready before its update either: nobody's fault, as far as is known.
    Unready,
    /// On the wanted version and ready.
    Ready {
        /// When its numbers begin to say something.
        warm_at: Timestamp,
    },
    /// The wanted version is rejected for it alone, and it is not on it (R22).
    Spared,
    /// On a version that must go.
    Outgoing,
    /// Written back, not ready yet.
    Returning {
        /// When it gives its place to the next.
        deadline: Timestamp,
    },
    /// Written back, not ready in time.
    ReturnFailed,
    /// Written back and ready.
    Returned {
        /// When its numbers begin to say something.
        warm_at: Timestamp,
    },
}

impl Standing {
    /// True for tenants that waves count.
    pub const fn is_live(&self) -> bool {
        match self {
            Self::Contested
            | Self::Unsure
            | Self::NotReleased
            | Self::Pending
            | Self::Updating { .. }
            | Self::Failed
            | Self::Unready
            | Self::Ready { .. }
            | Self::Spared
            | Self::Outgoing
            | Self::Returning { .. }
            | Self::ReturnFailed
            | Self::Returned { .. } => true,
            Self::Ignored
            | Self::Dormant
            | Self::Claimed
            | Self::Unconsented
            | Self::Unreadable
            | Self::Ahead
            | Self::Unmatched => false,
        }
    }

    /// When a ready tenant on the wanted version is warm.
    pub fn ready_warm_at(&self) -> Option<Timestamp> {
        if let Self::Ready { warm_at } = self { Some(*warm_at) } else { None }
    }

    /// When a tenant that was written back and is ready is warm.
    pub fn returned_warm_at(&self) -> Option<Timestamp> {
        if let Self::Returned { warm_at } = self { Some(*warm_at) } else { None }
    }

    /// When a tenant that is on its way is late.
    pub fn deadline(&self) -> Option<Timestamp> {
        if let Self::Returning { deadline } = self {
            Some(*deadline)
        } else if let Self::Updating { deadline } = self {
            *deadline
        } else {
            None
        }
    }

    /// True for tenants that are on the wanted version.
    pub const fn is_updated(&self) -> bool {
        matches!(self, Self::Updating { .. } | Self::Failed | Self::Unready | Self::Ready { .. })
    }
}

/// A tenant's place in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it stands.
    pub standing: Standing,
    /// Its wave, as an index into the spec's waves; `None` where it is in none.
    pub wave: Option<usize>,
}
