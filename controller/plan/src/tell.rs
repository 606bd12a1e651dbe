//! Telling: counts, conditions, summary, history, and what of it is a decision (rules R27-R32). Pure.

use breakwater_crds::status::{
    Brake, Condition, ConditionStatus, Counts, ENTRY_MESSAGE_MAX, Phase, Progress, RolloutStatus, SloStatus,
    TROUBLED_MAX, TroubledTenant, WaveStatus,
};
use breakwater_crds::{action::RolloutActionStatus, scalars::Span};

use crate::{
    choose,
    draft::{Draft, clip, clip_to},
    fleet::{self, Place, Standing},
    judging,
    observed::{Readiness, Reading, Tenant},
    outcome::{ActionResult, Plan},
    road,
};

/// Makes the plan of the draft.
pub(crate) fn finish(mut draft: Draft<'_>) -> Plan {
    count(&mut draft);
    draft.status.troubled = troubled(&draft);
    sentence(&mut draft);
    conditions(&mut draft);
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
        watch_since: draft.status.started_at.filter(|_| watched),
        wake_at: draft.wakes.iter().min().copied(),
        confirm,
        status: draft.status,
        reports: draft.reports.into_values().collect(),
        writes: draft.writes,
        diagnose: draft.diagnose,
        transitions: draft.transitions,
        judges: draft.judges,
        waiting: draft.waiting,
    }
}

/// The judges' states go into the status with what they were fed (R28); not where nothing is under way.
fn checkpoint(draft: &mut Draft<'_>) {
    let watched = draft.status.phase.is_under_way() || draft.status.phase.is_reverting();
    for (slo, judge) in draft.status.slos.iter_mut().zip(&draft.judges) {
        slo.evidence = serde_json::to_value(judge).ok().filter(|_| watched);
    }
}

/// The part of a status that is decisions: what a crash must not lose (R28).
fn skeleton(status: &RolloutStatus) -> RolloutStatus {
    let mut bones = status.clone();
    bones.summary = String::new();
    bones.message = String::new();
    bones.progress = Progress::default();
    bones.counts = Counts::default();
    bones.troubled = Vec::new();
    for slo in &mut bones.slos {
        let definition = std::mem::take(&mut slo.definition);
        *slo = SloStatus { name: std::mem::take(&mut slo.name), definition, ..SloStatus::default() };
    }
    bones.conditions = Vec::new();
    bones.history = Vec::new();
    bones.adoption = bones.adoption.filter(|adoption| adoption.approved.is_some());
    for wave in &mut bones.waves {
        let figures = WaveStatus { total: 0, updated: 0, ready: 0, failed: 0, soaked_seconds: 0, ..std::mem::take(wave) };
        *wave = figures;
    }
    if let Some(revert) = &mut bones.revert {
        (revert.reverted, revert.failed) = (0, 0);
    }
    bones
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
}

/// The tenants a human may want to look at, worst first, at most 32 (R27).
fn troubled(draft: &Draft<'_>) -> Vec<TroubledTenant> {
    let of_rank = |(tenant, place)| Some((trouble(draft, tenant, place)?, tenant, place));
    let mut listed: Vec<(Trouble, &Tenant, &Place)> = draft.fleet().filter_map(of_rank).collect();
    let key = |(trouble, tenant, _): &(Trouble, &Tenant, &Place)| (*trouble, tenant.namespace.clone(), tenant.name.clone());
    if listed.len() > TROUBLED_MAX {
        listed.select_nth_unstable_by_key(TROUBLED_MAX, key);
        listed.truncate(TROUBLED_MAX);
    }
    listed.sort_by_key(key);
    let named = listed.into_iter().map(|(trouble, tenant, place)| {
        let wave = place.wave.and_then(|wave| draft.status.waves.get(wave)).map(|wave| wave.name.clone());
        TroubledTenant {
            namespace: tenant.namespace.to_string(),
            name: tenant.name.to_string(),
            wave: wave.unwrap_or_default(),
            reason: trouble.reason().into(),
            message: clip_to(&trouble.message(draft, tenant), ENTRY_MESSAGE_MAX),
        }
    });
    named.collect()
}

/// What a human may want to look at, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    RevertFailed,
    NoSafeVersion,
    Untouched,
    Failed,
    Contested,
    WriteRefused,
    OwnerNotReleased,
    Unreadable,
    Claimed,
    NoConsent,
}

impl Trouble {
    const fn reason(self) -> &'static str {
        match self {
            Self::RevertFailed => "RevertFailed",
            Self::NoSafeVersion | Self::Untouched => "NoSafeVersion",
            Self::Failed => "Failed",
            Self::Contested => "Contested",
            Self::WriteRefused => "WriteRefused",
            Self::OwnerNotReleased => "OwnerNotReleased",
            Self::Unreadable => "Unreadable",
            Self::Claimed => "Claimed",
            Self::NoConsent => "NoConsent",
        }
    }

    fn message(self, draft: &Draft<'_>, tenant: &Tenant) -> String {
        let owner = tenant.foreign_owner.as_deref().unwrap_or("somebody");
        match self {
            Self::RevertFailed | Self::Failed => match &tenant.readiness {
                Readiness::NotReady { reason } => reason.to_string(),
                Readiness::Ready { .. } => String::new(),
            },
            Self::NoSafeVersion => "every version it came from is rejected".into(),
            Self::Untouched => "it was found on a rejected version, and nobody knows which one it had before".into(),
            Self::Contested => format!("version changed by {owner}"),
            Self::WriteRefused => draft.observed.problems.get(&tenant.id).cloned().unwrap_or_default(),
            Self::OwnerNotReleased => format!("version is owned by {owner}"),
            Self::Unreadable => match &tenant.version {
                Reading::Unreadable(why) => why.to_string(),
                Reading::Version(_) => String::new(),
            },
            Self::Claimed => "marked by another Rollout".into(),
            Self::NoConsent => format!("namespace lacks the label {}", breakwater_crds::marker::CONSENT_LABEL),
        }
    }
}

fn trouble(draft: &Draft<'_>, tenant: &Tenant, place: &Place) -> Option<Trouble> {
    let refused = || draft.observed.problems.contains_key(&tenant.id).then_some(Trouble::WriteRefused);
    let own = fleet::own(tenant);
    let untouched = || {
        let on_rejected = |version: &std::sync::Arc<str>| draft.out.contains(&**version);
        tenant.version.version().is_some_and(on_rejected).then_some(Trouble::Untouched).filter(|_| own.is_none())
    };
    match &place.standing {
        Standing::ReturnFailed => Some(Trouble::RevertFailed),
        Standing::Outgoing if own.is_some_and(|m| choose::safe_version(draft, &m.previous).is_none()) => {
            Some(Trouble::NoSafeVersion)
        }
        Standing::Failed => Some(Trouble::Failed),
        Standing::Contested => Some(Trouble::Contested),
        Standing::NotReleased => Some(Trouble::OwnerNotReleased),
        Standing::Unreadable => Some(Trouble::Unreadable),
        Standing::Claimed => Some(Trouble::Claimed),
        Standing::Unconsented => Some(Trouble::NoConsent),
        Standing::Pending | Standing::Updating { .. } | Standing::Ready { .. } => untouched().or_else(refused),
        Standing::Outgoing | Standing::Returning { .. } | Standing::Returned { .. } | Standing::Unsure => refused(),
        Standing::Ignored | Standing::Dormant | Standing::Ahead | Standing::Unmatched => None,
    }
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
        Phase::Completed => draft.status.stable_version.as_ref().map(|version| format!("version {version} is the stable one")),
        Phase::Reverted | Phase::RevertedPartly => reverted_sentence(draft),
        _ => None,
    };
    let refused = draft.observed.refused.map(|why| format!("the newest spec is refused: {why}"));
    let message = refused.or(hold.map(|hold| hold.message)).or(settled).unwrap_or_else(|| draft.waiting.clone());
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
            let left = spec.soak.as_seconds().saturating_sub(draft.status.waves[index].soaked_seconds);
            Span::seconds(left).rounded()
        }),
    };
}

/// A hold or stop that is in force, in one sentence.
pub(crate) fn brake(brake: &Brake) -> String {
    let Brake { name, kind, reason, requested_by, since: _, until: _ } = brake;
    let why = if reason.is_empty() { "no reason given" } else { reason };
    format!("{kind:?} {name} by {requested_by}: {why}")
}

/// True where one hold goes on under the other's name, as its cause becomes known.
pub(crate) fn is_same_hold(a: &str, b: &str) -> bool {
    let failures = |reason| matches!(reason, "TooManyFailures" | "Infrastructure");
    a == b || (failures(a) && failures(b))
}

fn reverted_sentence(draft: &Draft<'_>) -> Option<String> {
    let wanted = &draft.observed.spec.spec.version;
    let revert = draft.status.revert.as_ref();
    Some(match revert.filter(|revert| revert.version == *wanted) {
        Some(revert) => format!("{}; {} tenants are back, {} are not", revert.message, revert.reverted, revert.failed),
        None => format!("version {wanted} is rejected: set spec.version to a patch release, or retry it"),
    })
}

/// Owners that have not released the version, and how they would (R24).
pub(crate) fn owners_sentence(draft: &Draft<'_>) -> String {
    let owners = choose::owners(draft);
    let n: u32 = owners.iter().map(|owner| owner.tenants).sum();
    let listed: Vec<String> = owners.iter().take(3).map(|o| format!("{} ({})", o.manager, o.tenants)).collect();
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

fn conditions(draft: &mut Draft<'_>) {
    use ConditionStatus::{False, True};
    let phase = draft.status.phase;
    let forward = phase.is_under_way();
    let out = matches!(phase, Phase::Reverted | Phase::RevertedPartly);
    let hold = draft.holds.first().cloned();
    let human = draft.holds.iter().find(|hold| hold.needs_human && !matches!(hold.reason, "Paused" | "Held" | "Stopped")).cloned();
    let suspended = draft.holds.iter().all(|hold| matches!(hold.reason, "Paused" | "Held"));
    let message = draft.status.message.clone();
    let when = |yes: bool| if yes { True } else { False };
    let ready = !out && !phase.is_reverting() && suspended && draft.observed.refused.is_none();
    let deviating = phase.is_reverting() || draft.holds.iter().any(|hold| hold.reason == "Deviating");
    let blind = draft.status.slos.iter().filter_map(|slo| slo.no_data_since).min();
    let blind = blind.filter(|since| fleet::after(*since, judging::BLIND_AFTER) <= draft.now && forward);
    let held = hold.as_ref().map_or("None", |hold| hold.reason);
    let stalled = if out { Some(phase.as_str()) } else { human.as_ref().map(|hold| hold.reason) };
    let accepted = draft.observed.refused;
    let rows = [
        ("Ready", when(ready), if ready { phase.as_str() } else { stalled.or(hold.as_ref().map(|h| h.reason)).unwrap_or(phase.as_str()) }, message.clone()),
        ("Reconciling", False, "Observed", String::new()),
        ("Stalled", when(stalled.is_some()), stalled.unwrap_or("None"), if stalled.is_some() { message.clone() } else { String::new() }),
        ("Progressing", when(forward && hold.is_none()), phase.as_str(), message),
        ("Deviating", when(deviating), if deviating { "Deviation" } else { "None" }, draft.status.revert.as_ref().filter(|_| phase.is_reverting()).map_or_else(String::new, |revert| revert.message.clone())),
        ("Held", when(hold.is_some()), held, hold.as_ref().map_or_else(String::new, |hold| hold.message.clone())),
        ("Blind", when(blind.is_some()), if blind.is_some() { "NoData" } else { "None" }, blind.map_or_else(String::new, |since| format!("no data since {since}"))),
        ("Accepted", when(accepted.is_none()), if accepted.is_none() { "Valid" } else { "Invalid" }, accepted.map_or_else(String::new, clip)),
    ];
    let old = std::mem::take(&mut draft.status.conditions);
    draft.status.conditions = rows
        .into_iter()
        .map(|(type_, status, reason, message)| {
            // A hold's age is its own, not that of the one before it.
            let same = |c: &&Condition| c.type_ == type_ && c.status == status && (type_ != "Held" || is_same_hold(&c.reason, reason));
            let since = old.iter().find(same).map(|c| c.last_transition_time);
            Condition {
                type_: type_.into(),
                status,
                reason: reason.into(),
                message,
                last_transition_time: since.unwrap_or(draft.now),
                observed_generation: draft.observed.generation,
            }
        })
        .collect();
}

/// A hold that begins, changes its cause, or ends is a transition, once (R31).
fn transitions_of_holds(draft: &mut Draft<'_>) {
    let reason = |status: &RolloutStatus, type_: &str| {
        let condition = status.conditions.iter().find(|c| c.type_ == type_ && c.status == ConditionStatus::True);
        condition.map(|condition| (condition.reason.clone(), condition.message.clone()))
    };
    let was = reason(draft.observed.status, "Held");
    let is = reason(&draft.status, "Held");
    match (was, is) {
        (before, Some((reason, message))) if before.as_ref().is_none_or(|(old, _)| *old != reason) => {
            draft.tell("Held", true, format!("{reason}: {message}"));
        }
        (Some((reason, _)), None) => draft.tell("Resumed", false, format!("{reason} is over")),
        _ => {}
    }
    if let (None, Some((_, message))) = (reason(draft.observed.status, "Blind"), reason(&draft.status, "Blind")) {
        draft.tell("Blind", true, message);
    }
    if let (None, Some(why)) = (draft.observed.status.conditions.iter().find(|c| c.type_ == "Accepted" && c.status == ConditionStatus::False), draft.observed.refused) {
        draft.tell("SpecRefused", true, why);
    }
}
