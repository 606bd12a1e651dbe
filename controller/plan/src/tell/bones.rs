//! The part of a status that is decisions: what a crash must not lose (R28). Pure.

use breakwater_crds::status::{Counts, Progress, RevertStatus, RolloutStatus, SloStatus, WaveStatus};

/// The part of a status that is decisions: what a crash must not lose (R28). What is left out is never copied: a plan
/// is made every minute for weeks.
pub(super) fn skeleton(status: &RolloutStatus) -> RolloutStatus {
    let RolloutStatus { slos, adoption, waves, revert, .. } = status;
    RolloutStatus {
        summary: String::new(),
        message: String::new(),
        progress: Progress::default(),
        counts: Counts::default(),
        troubled: Vec::new(),
        slos: slos.iter().map(slo_bones).collect(),
        conditions: Vec::new(),
        history: Vec::new(),
        adoption: adoption.clone().filter(|adoption| adoption.approved.is_some()),
        waves: waves.iter().map(wave_bones).collect(),
        revert: revert.clone().map(|revert| RevertStatus { reverted: 0, failed: 0, ..revert }),
        observed_generation: status.observed_generation,
        epoch: status.epoch,
        hub: status.hub.clone(),
        other_hubs: status.other_hubs.clone(),
        known_versions: status.known_versions.clone(),
        phase: status.phase,
        stable_version: status.stable_version.clone(),
        candidate_version: status.candidate_version.clone(),
        queued: status.queued.clone(),
        lane: status.lane,
        rejected: status.rejected.clone(),
        started_at: status.started_at,
        watching_since: status.watching_since,
        completed_at: status.completed_at,
        wave: status.wave.clone(),
        brakes: status.brakes.clone(),
        acknowledged: status.acknowledged.clone(),
        soaked_days: Vec::new(),
        processed: status.processed.clone(),
        report: status.report.clone(),
        rejected_for: status.rejected_for,
        accepted_revision: status.accepted_revision.clone(),
    }
}

fn slo_bones(slo: &SloStatus) -> SloStatus {
    SloStatus {
        name: slo.name.clone(),
        definition: slo.definition.clone(),
        anew: slo.anew,
        ..SloStatus::default()
    }
}

fn wave_bones(wave: &WaveStatus) -> WaveStatus {
    WaveStatus { total: 0, updated: 0, ready: 0, failed: 0, soaked_seconds: 0, frozen: 0, ..wave.clone() }
}
