//! The fleet in numbers, as a whole and by wave (R27). Pure.

use breakwater_crds::status::{Counts, WaveStatus};

use crate::{
    course::Course,
    roster::{Roster, Standing},
};

/// Counts of tenants.
pub(super) struct Counted {
    /// Of all.
    pub(super) counts: Counts,
    /// The course's waves, each with its own.
    pub(super) waves: Vec<WaveStatus>,
}

/// Counts every tenant once.
pub(super) fn count(course: &Course, roster: &Roster<'_>, uninstrumented: u32) -> Counted {
    let mut counts = Counts { uninstrumented, ..Counts::default() };
    let uncounted =
        |wave: &WaveStatus| WaveStatus { total: 0, updated: 0, ready: 0, failed: 0, ..wave.clone() };
    let mut waves: Vec<WaveStatus> = course.waves.iter().map(uncounted).collect();
    for place in roster.places() {
        let standing = &place.standing;
        add(&mut counts, standing);
        if !standing.is_live() {
            continue;
        }
        let updated = u32::from(standing.is_updated());
        counts.live += 1;
        counts.updated += updated;
        if let Some(wave) = place.wave.and_then(|wave| waves.get_mut(wave)) {
            wave.total += 1;
            wave.updated += updated;
            wave.ready += u32::from(standing.ready_warm_at().is_some());
            wave.failed += u32::from(*standing == Standing::Failed);
        }
    }
    Counted { counts, waves }
}

fn add(counts: &mut Counts, standing: &Standing) {
    match standing {
        Standing::Dormant => counts.dormant += 1,
        Standing::Claimed => counts.claimed += 1,
        Standing::Unconsented => counts.unconsented += 1,
        Standing::Unreadable => counts.unreadable += 1,
        Standing::Ahead => counts.ahead += 1,
        Standing::Unmatched => counts.unmatched += 1,
        Standing::Contested => counts.contested += 1,
        Standing::NotReleased => counts.not_released += 1,
        Standing::Outgoing => counts.to_revert += 1,
        Standing::Failed | Standing::ReturnFailed => counts.failed += 1,
        Standing::Ready { .. } => counts.ready += 1,
        Standing::Spared => counts.spared += 1,
        Standing::Ignored
        | Standing::Unsure
        | Standing::Pending
        | Standing::Updating { .. }
        | Standing::Unready
        | Standing::Returning { .. }
        | Standing::Returned { .. } => {}
    }
}
