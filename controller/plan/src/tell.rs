//! Telling: counts, summary, history, and what of it is a decision (rules R27, R28, R30-R32). Pure.

use breakwater_crds::{
    action::RolloutActionStatus,
    scalars::Span,
    status::{
        Brake, ConditionStatus, Counts, Phase, Progress, RevertStatus, RolloutStatus, SloStatus, WaveStatus,
    },
    words::{ConditionType, TransitionReason},
};

use crate::{
    account, choose, comparing, conditions,
    draft::{Draft, clip},
    fleet::Standing,
    frozen, judging,
    outcome::{ActionResult, Plan},
    revert, road, troubled,
};

/// Makes the plan of the draft.
pub(crate) fn finish(mut draft: Draft<'_>) -> Plan {
    count(&mut draft);
    frozen::note(&mut draft);
    draft.status.troubled = troubled::troubled(&draft);
    sentence(&mut draft);
    draft.status.conditions = conditions::conditions(&draft);
    transitions_of_holds(&mut draft);
    draft.status.history.extend(draft.transitions.iter().cloned());
    let next = road::next_change(&draft);
    draft.wake(next);
    checkpoint(&mut draft);
    draft.status.bound();
    let decided = skeleton(&draft.status) != skeleton(draft.observed.status);
    // What a decision leads to is looked at as soon as it is stored.
    draft.wakes.extend(decided.then_some(draft.now));
    let watched = draft.status.phase.is_under_way() || draft.status.phase.is_reverting();
    let confirm = draft.fleet().filter(|(_, p)| p.standing == Standing::Unsure).map(|(t, _)| t.id).collect();
    let results = draft.status.processed.iter().map(|done| ActionResult {
        name: done.name.clone(),
        uid: done.uid.clone(),
        status: RolloutActionStatus {
            result: Some(done.result),
            message: done.message.clone(),
            processed_at: Some(done.at),
        },
    });
    Plan {
        decided,
        results: results.collect(),
        history_wanted: judging::history_wanted(&draft),
        study: comparing::study(&draft),
        freeze: frozen::freeze(&draft),
        outlived: frozen::outlived(&draft),
        // No version started before its Rollout was created: a forged status must not ask for a thousand years of steps.
        watch_since: draft
            .status
            .started_at
            .filter(|_| watched)
            .or_else(|| account::watch_since(&draft))
            .map(|at| at.max(draft.observed.created_at)),
        wake_at: draft.wakes.iter().min().copied(),
        confirm,
        status: draft.status,
        reports: draft.reports.into_values().collect(),
        writes: draft.writes,
        jobs: draft.jobs,
        diagnose: draft.diagnose,
        transitions: draft.transitions,
        judges: draft.judges,
        traces: draft.traces,
        waiting: draft.waiting,
    }
}

/// An edit that is in force is a transition: whoever asks why something changed finds it among the others (R9, R31).
pub(crate) fn edit(draft: &mut Draft<'_>) {
    let (before, now) = (draft.observed.status.observed_generation, draft.observed.generation);
    if before == 0 || before == now || draft.observed.refused.is_some() {
        return;
    }
    let revision = draft.observed.revision.map_or_else(String::new, |name| format!(", kept as {name}"));
    let version = &draft.observed.spec.spec.version;
    draft.tell(
        TransitionReason::SpecChanged,
        format!("generation {now} is in force{revision}; it wants {version}"),
    );
}

/// The judges' states go into the status with what they were fed (R28); not where nothing is under way.
fn checkpoint(draft: &mut Draft<'_>) {
    let watched = draft.status.phase.is_under_way() || draft.status.phase.is_reverting();
    for (slo, judge) in draft.status.slos.iter_mut().zip(&draft.judges) {
        slo.evidence = serde_json::to_value(judge).ok().filter(|_| watched);
    }
}

/// The part of a status that is decisions: what a crash must not lose (R28). What is left out is never copied: a plan
/// is made every minute for weeks.
fn skeleton(status: &RolloutStatus) -> RolloutStatus {
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

fn count(draft: &mut Draft<'_>) {
    let mut counts = Counts { uninstrumented: draft.status.counts.uninstrumented, ..Counts::default() };
    for wave in &mut draft.status.waves {
        (wave.total, wave.updated, wave.ready, wave.failed) = (0, 0, 0, 0);
    }
    for place in &draft.places {
        let standing = &place.standing;
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
            | Standing::Returning { .. }
            | Standing::Returned { .. } => {}
        }
        if !standing.is_live() {
            continue;
        }
        let updated = u32::from(standing.is_updated());
        counts.live += 1;
        counts.updated += updated;
        if let Some(wave) = place.wave.and_then(|wave| draft.status.waves.get_mut(wave)) {
            wave.total += 1;
            wave.updated += updated;
            wave.ready += u32::from(standing.ready_warm_at().is_some());
            wave.failed += u32::from(*standing == Standing::Failed);
        }
    }
    draft.status.counts = counts;
    draft.status.rejected_for = revert::clamp(draft.spared.tenants(draft.wanted()).count());
}

/// One line of state and one sentence of why.
fn sentence(draft: &mut Draft<'_>) {
    let phase = draft.status.phase;
    let hold = draft.holds.first().cloned();
    draft.status.summary = match &hold {
        Some(hold) => format!("{} ({})", phase.as_str(), hold.reason),
        None => phase.as_str().to_owned(),
    };
    let settled = match phase {
        Phase::Completed => {
            draft.status.stable_version.as_ref().map(|version| format!("version {version} is the stable one"))
        }
        Phase::Reverted | Phase::RevertedPartly => Some(reverted_sentence(draft)),
        _ => None,
    };
    let refused = draft.observed.refused.map(|why| format!("the newest spec is refused: {why}"));
    let message =
        refused.or(hold.map(|hold| hold.message)).or(settled).unwrap_or_else(|| draft.waiting.clone());
    draft.status.message = clip(&message);
    let waves = draft.status.waves.len();
    let (updated, live) = (draft.status.counts.updated, draft.status.counts.live);
    let index = draft.current_wave().filter(|_| draft.status.phase.is_under_way());
    draft.status.progress = Progress {
        wave: match (index, draft.status.phase) {
            (Some(index), _) => format!("{}/{waves}", index + 1),
            (None, Phase::Watching | Phase::Completed) => format!("{waves}/{waves}"),
            (None, _) => String::new(),
        },
        updated: format!("{updated}/{live}"),
        soak_left: index.filter(|_| phase == Phase::Soaking).map_or_else(String::new, |index| {
            let spec = &draft.observed.spec.spec.waves[index];
            let left = road::soak_of(draft, spec)
                .as_seconds()
                .saturating_sub(draft.status.waves[index].soaked_seconds);
            Span::seconds(left).rounded()
        }),
    };
}

/// A hold or stop that is in force, in one sentence.
pub(crate) fn brake(brake: &Brake) -> String {
    let Brake { name, kind, reason, requested_by, since: _, until: _ } = brake;
    let why = if reason.is_empty() { "no reason given" } else { reason };
    format!("{kind} {name} by {requested_by}: {why}")
}

fn reverted_sentence(draft: &Draft<'_>) -> String {
    let wanted = &draft.observed.spec.spec.version;
    let revert = draft.status.revert.as_ref();
    match revert.filter(|revert| revert.version == *wanted) {
        Some(revert) => {
            format!("{}; {} tenants are back, {} are not", revert.message, revert.reverted, revert.failed)
        }
        None => format!("version {wanted} is rejected: set spec.version to a patch release, or retry it"),
    }
}

/// Owners that have not released the version, and how they would (R24).
pub(crate) fn owners_sentence(draft: &Draft<'_>) -> String {
    let owners = choose::owners(draft);
    let n: u32 = owners.iter().map(|owner| owner.tenants).sum();
    let listed: Vec<String> =
        owners.iter().take(3).map(|o| format!("{} ({})", o.manager, o.tenants)).collect();
    let first = owners.first().map(|owner| owner.manager.clone()).unwrap_or_default();
    let listed = listed.join(", ");
    format!("{n} tenants' versions are owned by {listed}; {}", snippet(&first))
}

/// The exact words that release a field, for the deployers that are known.
fn snippet(manager: &str) -> String {
    let yaml = match manager {
        m if m.starts_with("argocd") => {
            "release it with syncOptions [RespectIgnoreDifferences=true] and ignoreDifferences [{managedFieldsManagers: [breakwater]}]"
        }
        m if m.contains("kustomize-controller") || m.contains("flux") => {
            "release it with the annotation kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, or by leaving the field out of the manifest"
        }
        m if m.contains("helm") => "release it by leaving the version out of the values, or take it over",
        _ => "release it by leaving the field out of what it applies, or take it over",
    };
    format!("{yaml}; then: takeFrom: [{manager}]")
}

/// A hold that begins, changes its cause, or ends is a transition, once (R31).
fn transitions_of_holds(draft: &mut Draft<'_>) {
    let observed = draft.observed.status;
    let was = observed.held().map(|(reason, _)| reason);
    let is = draft.status.held().map(|(reason, message)| (reason, message.to_owned()));
    match (was, is) {
        (was, Some((reason, message))) if was.as_ref() != Some(&reason) => {
            draft.tell(TransitionReason::Held, format!("{reason}: {message}"));
        }
        // A revert ends every hold; that nothing holds any more is no news beside it.
        (Some(reason), None) if !draft.status.phase.is_reverting() => {
            draft.tell(TransitionReason::Resumed, format!("{reason} is over"));
        }
        _ => {}
    }
    let blind =
        draft.status.holds(ConditionType::Blind).filter(|_| observed.holds(ConditionType::Blind).is_none());
    if let Some(message) = blind.map(|blind| blind.message.clone()) {
        draft.tell(TransitionReason::Blind, message);
    }
    let accepted = observed.condition(ConditionType::Accepted);
    let known = accepted.is_some_and(|accepted| accepted.status == ConditionStatus::False);
    if let Some(why) = draft.observed.refused.filter(|_| !known) {
        draft.tell(TransitionReason::SpecRefused, why);
    }
}
