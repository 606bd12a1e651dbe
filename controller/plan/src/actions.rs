//! Honouring `RolloutAction`s: each once, in order of creation, with an answer (product.md 2, rule R28). Pure.

use breakwater_crds::{
    action::{ActionResult, Verb},
    report::Outcome,
    rollout::Approval,
    status::{Approved, Brake, BrakeKind, ENTRY_MESSAGE_MAX, Phase, ProcessedAction, REQUESTER_MAX},
    words::{TransitionReason, Verdict},
};
use jiff::{Timestamp, Unit};

use crate::{
    draft::{Draft, clip_to},
    gate,
    observed::{Action, Report},
    outcome::ReportWrite,
    report,
};

/// Most holds and stops that may be in force at once (R27).
const BRAKES_MAX: usize = 32;
/// Most actions honoured in one plan, so that the status stays bounded (R27); the rest waits its turn.
const BATCH_MAX: usize = 32;

/// Takes effects into the status. The action's own status is written after the Rollout's.
pub(crate) fn honour(draft: &mut Draft<'_>) {
    let actions = draft.observed.actions;
    draft.status.processed.retain(|done| actions.iter().any(|action| action.uid == done.uid));
    end_brakes(draft);
    for action in actions {
        let done = draft.status.processed.iter().any(|done| done.uid == action.uid);
        if done || draft.status.processed.len() >= BATCH_MAX {
            continue;
        }
        let (result, message) = match is_timely(draft, action).and_then(|()| effect(draft, action)) {
            Ok(effect) => (ActionResult::Honoured, effect),
            Err(refusal) => (ActionResult::Refused, refusal),
        };
        let verb = action.spec.verb.as_str();
        let by = &action.spec.requested_by;
        let reason = match result {
            ActionResult::Honoured => TransitionReason::ActionHonoured,
            ActionResult::Refused => TransitionReason::ActionRefused,
        };
        draft.tell(reason, format!("{verb} {} by {by}: {message}", action.name));
        draft.status.processed.push(ProcessedAction {
            uid: action.uid.clone(),
            name: action.name.clone(),
            result,
            message: clip_to(&message, ENTRY_MESSAGE_MAX),
            at: draft.now,
        });
    }
}

/// Holds and stops end when their time is over.
fn end_brakes(draft: &mut Draft<'_>) {
    let now = draft.now;
    let (kept, ended): (Vec<Brake>, Vec<Brake>) =
        draft.status.brakes.drain(..).partition(|brake| brake.until.is_none_or(|until| until > now));
    draft.status.brakes = kept;
    for brake in ended {
        draft.tell(TransitionReason::Lifted, format!("{} {} ended at its time", brake.kind, brake.name));
    }
    let next = draft.status.brakes.iter().filter_map(|brake| brake.until).min();
    draft.wake(next);
}

/// An action must not be expired, and be younger than what it speaks of.
fn is_timely(draft: &Draft<'_>, action: &Action) -> Result<(), String> {
    if action.spec.expires_at.is_some_and(|at| at <= draft.now) {
        return Err("it had expired before it was seen: create another one".into());
    }
    if action.created_at < whole_second(draft.observed.created_at) {
        return Err("it is older than the Rollout, so it speaks of another one: create another one".into());
    }
    let bound = matches!(action.spec.verb, Verb::Approve | Verb::Promote | Verb::Revert);
    let under_way = action.spec.version.is_some() && action.spec.version == draft.status.candidate_version;
    match draft.status.started_at {
        Some(started) if bound && under_way && action.created_at < whole_second(started) => {
            Err("it is older than this version's start: create another one".into())
        }
        _ => Ok(()),
    }
}

/// Creation timestamps have whole seconds; what they are compared with must have them too.
fn whole_second(at: Timestamp) -> Timestamp {
    at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor)).unwrap_or(at)
}

fn effect(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    match action.spec.verb {
        Verb::Approve => approve(draft, action),
        Verb::Hold => brake(draft, action, BrakeKind::Hold),
        Verb::Stop => brake(draft, action, BrakeKind::Stop),
        Verb::Lift => lift(draft, action),
        Verb::Promote => promote(draft, action),
        Verb::Revert => revert(draft, action),
        Verb::Retry => retry(draft, action),
        Verb::Acknowledge => acknowledge(draft, action),
    }
}

fn word(draft: &Draft<'_>, action: &Action) -> Approved {
    Approved {
        by: clip_to(&action.spec.requested_by, REQUESTER_MAX),
        at: draft.now,
        action: action.name.clone(),
    }
}

/// The action's version must be the one under way: an approval for one version never serves another.
fn must_be_under_way(draft: &Draft<'_>, action: &Action) -> Result<(), String> {
    let asked = action.spec.version.as_deref().unwrap_or_default();
    match draft.status.candidate_version.as_deref() {
        Some(candidate) if candidate == asked => Ok(()),
        Some(candidate) => Err(format!("version {asked} is not under way, {candidate} is")),
        None => Err(format!("version {asked} is not under way; no version is")),
    }
}

fn approve(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    let name = action.spec.wave.as_deref().unwrap_or_default();
    let waves = &draft.observed.spec.spec.waves;
    let index = waves.iter().position(|wave| wave.name == name).ok_or_else(|| {
        let known: Vec<&str> = waves.iter().map(|wave| wave.name.as_str()).collect();
        format!("there is no wave {name:?}; the waves are {}", known.join(", "))
    })?;
    let word = word(draft, action);
    if draft.status.phase == Phase::Adopting && index == 0 {
        return adopt(draft, action, word);
    }
    must_be_under_way(draft, action)?;
    let wave = &mut draft.status.waves[index];
    if wave.passed_at.is_some() {
        return Err(format!("wave {name} is passed already"));
    }
    match waves[index].approval {
        Some(Approval::Before) if wave.started_at.is_none() => {
            wave.approved_before = Some(word);
            Ok(format!("wave {name} may start"))
        }
        Some(Approval::Before) => Err(format!("wave {name} has started already")),
        Some(Approval::After) if wave.started_at.is_some() => {
            wave.approved_after = Some(word);
            Ok(format!("wave {name} may end once its soak is complete"))
        }
        Some(Approval::After) => Err(format!("wave {name} has not started; it is approved after its soak")),
        None => Err(format!("wave {name} needs no approval")),
    }
}

fn adopt(draft: &mut Draft<'_>, action: &Action, word: Approved) -> Result<String, String> {
    let wanted = draft.observed.spec.spec.version.as_str();
    let asked = action.spec.version.as_deref().unwrap_or_default();
    if asked != wanted {
        return Err(format!("version {asked} is not wanted, {wanted} is"));
    }
    let name = draft.status.waves[0].name.clone();
    draft.status.waves[0].approved_before = Some(word.clone());
    draft.status.adoption.get_or_insert_default().approved = Some(word);
    draft.status.candidate_version = Some(wanted.to_owned()); // what the approval speaks of, until it starts
    Ok(format!("the fleet is adopted, and wave {name} may start"))
}

fn brake(draft: &mut Draft<'_>, action: &Action, kind: BrakeKind) -> Result<String, String> {
    let until = action.spec.until;
    if until.is_some_and(|until| until <= draft.now) {
        return Err("its until is over already".into());
    }
    if draft.status.brakes.len() >= BRAKES_MAX {
        return Err(format!("{BRAKES_MAX} holds and stops are in force already: lift some"));
    }
    draft.status.brakes.push(Brake {
        name: action.name.clone(),
        kind,
        reason: clip_to(&action.spec.reason, ENTRY_MESSAGE_MAX),
        requested_by: clip_to(&action.spec.requested_by, REQUESTER_MAX),
        since: draft.now,
        until,
    });
    draft.wake(until);
    let effect = match kind {
        BrakeKind::Hold => "nothing advances",
        BrakeKind::Stop => "nothing is written",
    };
    Ok(until
        .map_or_else(|| format!("{effect} until it is lifted"), |until| format!("{effect} until {until}")))
}

fn lift(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    let subject = action.spec.subject.as_deref().unwrap_or_default();
    let names: Vec<String> = draft.status.brakes.iter().map(|brake| brake.name.clone()).collect();
    draft.status.brakes.retain(|brake| brake.name != subject);
    if draft.status.brakes.len() < names.len() {
        Ok(format!("{subject} is lifted"))
    } else if names.is_empty() {
        Err(format!("{subject} is not in force; nothing is"))
    } else {
        Err(format!("{subject} is not in force; in force are {}", names.join(", ")))
    }
}

fn promote(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    must_be_under_way(draft, action)?;
    let word = word(draft, action);
    let soaking = matches!(draft.status.phase, Phase::Advancing | Phase::Soaking);
    let index =
        draft.current_wave().filter(|index| soaking && draft.status.waves[*index].started_at.is_some());
    let Some(wave) = index.map(|index| &mut draft.status.waves[index]) else {
        return Err(format!("no wave is soaking; the phase is {}", draft.status.phase.as_str()));
    };
    for verdict in draft.status.slos.iter().filter_map(|slo| slo.verdict.as_ref()) {
        match verdict.known() {
            Some(Verdict::Deviating) => return Err("a deviation is not promoted past".into()),
            // A newer controller's word may mean anything; this one's own stands there after the next look (R38).
            None => return Err(format!("verdict {verdict} is not known here: create another one")),
            Some(Verdict::Healthy | Verdict::Inconclusive | Verdict::NoData | Verdict::Uncalibrated) => {}
        }
    }
    wave.promoted = Some(word);
    Ok(format!("wave {} ends as soon as its tenants are ready", wave.name))
}

fn revert(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    let asked = action.spec.version.clone().unwrap_or_default();
    let completed =
        draft.status.phase == Phase::Completed && draft.status.stable_version.as_ref() == Some(&asked);
    if draft.status.phase.is_reverting() {
        return Err("a revert is under way already".into());
    }
    if !completed {
        must_be_under_way(draft, action)?;
        if !draft.status.phase.is_under_way() {
            return Err(format!(
                "version {asked} has not started; the phase is {}",
                draft.status.phase.as_str()
            ));
        }
    }
    let reason =
        if action.spec.reason.is_empty() { "no reason given".into() } else { action.spec.reason.clone() };
    draft.manual = Some((asked.clone(), action.spec.requested_by.clone(), reason));
    Ok(match gate::revert_of(draft, &asked) {
        None => format!("version {asked} is taken out and rejected"),
        Some((why, _)) => format!("version {asked} is held: {why}"),
    })
}

fn acknowledge(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    let asked = action.spec.version.as_deref().unwrap_or_default();
    let status = &draft.status;
    let speaks_of = [
        Some(draft.observed.spec.spec.version.as_str()),
        status.candidate_version.as_deref(),
        status.stable_version.as_deref(),
    ];
    if !speaks_of.contains(&Some(asked)) {
        return Err(format!("version {asked} is neither wanted, nor under way, nor the stable one"));
    }
    let word = word(draft, action);
    gate::acknowledge(draft, action.spec.subject.as_deref().unwrap_or_default(), asked, &word)
}

fn retry(draft: &mut Draft<'_>, action: &Action) -> Result<String, String> {
    let asked = action.spec.version.as_deref().unwrap_or_default();
    if draft.status.phase.is_reverting()
        && draft.status.revert.as_ref().is_some_and(|revert| revert.version == asked)
    {
        return Err(format!("version {asked} is being reverted; retry when that is done"));
    }
    if draft.observed.reports.iter().any(|report| report.status.closed_by.as_ref() == Some(&action.name)) {
        return Ok(format!("version {asked} is not rejected any more")); // a crash came between report and status
    }
    let open: Vec<_> = draft
        .observed
        .reports
        .iter()
        .filter(|r| r.spec.version == asked && (r.status.rejects() || rejects_for_some(r)))
        .cloned()
        .collect();
    if open.is_empty() {
        return Err(format!("version {asked} is not rejected"));
    }
    for report in &open {
        let mut status = report.status.clone();
        status.closed_by = Some(action.name.clone());
        status.outcome.get_or_insert(Outcome::RevertedPartly);
        let spec = report::about(draft, &report.spec.version);
        let write = ReportWrite { name: report.name.clone(), spec, status };
        draft.reports.insert(report.name.clone(), write);
    }
    Ok(format!("version {asked} is not rejected any more"))
}

/// The version is rejected for single tenants (R22); a Retry is for them too.
fn rejects_for_some(report: &Report) -> bool {
    report.status.closed_by.is_none() && !report.status.rejected_for.is_empty()
}
