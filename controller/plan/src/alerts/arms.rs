//! Which arm of an alert each tenant is in: the planner's own word, so that nobody outside classifies again. Pure.

use super::Standing;
use crate::{
    draft::Draft,
    fleet::{self, Place, Standing as Stands},
    judging,
    observed::Tenant,
};

/// Arms of all tenants, in their order; empty where nothing is under way, or no alert is named.
pub(crate) fn arms(draft: &Draft<'_>) -> Vec<Standing> {
    let asked = draft.status.phase.is_under_way() && !draft.observed.spec.spec.alerts.is_empty();
    let each = draft.fleet().map(|(tenant, place)| arm(draft, tenant, place));
    if asked { each.collect() } else { Vec::new() }
}

/// An alert counts that began after the tenant's own update, so that a version which somebody else wrote tells nothing.
fn arm(draft: &Draft<'_>, tenant: &Tenant, place: &Place) -> Standing {
    let candidate = |warm_at| {
        let marker = fleet::own(tenant);
        marker.map_or(Standing::Neither, |marker| Standing::Candidate {
            written_at: marker.written_at,
            warm_at,
        })
    };
    match &place.standing {
        Stands::Ready { warm_at } => candidate(Some(*warm_at)),
        Stands::Updating { .. } | Stands::Failed => candidate(None),
        Stands::Pending | Stands::NotReleased => {
            judging::baseline(draft, tenant, draft.now).map_or(Standing::Neither, |_| Standing::Baseline)
        }
        Stands::Ignored
        | Stands::Dormant
        | Stands::Claimed
        | Stands::Unconsented
        | Stands::Unreadable
        | Stands::Ahead
        | Stands::Unmatched
        | Stands::Contested
        | Stands::Unsure
        | Stands::Spared
        | Stands::Outgoing
        | Stands::Returning { .. }
        | Stands::ReturnFailed
        | Stands::Returned { .. } => Standing::Neither,
    }
}
