//! The road forward: one wave at a time, soak, approvals, windows, and who is written next (rules R1, R2, R6-R8). Pure.

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::{
    release::Lane,
    rollout::{Approval, Wave},
    scalars::Span,
    status::{BrakeKind, Phase, SoakedDay, Transition},
    words::{HoldReason, TransitionReason},
};
use breakwater_slo::{TenantId, Verdict};
use jiff::Timestamp;

use crate::{
    choose,
    comparing::{self, Sufficient},
    draft::{Draft, Hold},
    errand::{self, Asking, Before, Errands},
    fleet::{self, Standing},
    frozen, gate,
    observed::{Fleet, Tenant},
    outcome::Purpose,
    schedule, spared,
};

/// Most tenants of one kind that one plan writes. The next plan comes as writes are answered; at a thousand patches a
/// second this is two seconds of work, and it bounds the memory of plan and queue.
const WRITES_MAX: usize = 2_000;

/// What the waves up to the one in flight look like.
struct Tally {
    total: usize,
    waiting: usize,
    ready: usize,
    failed: usize,
    /// The version is rejected for these alone: nobody waits for them (R22).
    spared: usize,
    next_deadline: Option<Timestamp>,
    warm_at: Option<Timestamp>,
}

/// Moves the version on as far as it may go now, and plans the next writes.
pub(crate) fn advance(draft: &mut Draft<'_>) {
    gather_holds(draft);
    loop {
        let Some(index) = draft.current_wave() else {
            watch(draft);
            break;
        };
        if !pass(draft, index) {
            break;
        }
    }
    if draft.status.phase != Phase::Completed {
        write_forward(draft);
    }
}

/// What else keeps everything where it is.
fn gather_holds(draft: &mut Draft<'_>) {
    gather_brakes(draft);
    if let Some(why) = gate::withdrawn(draft, draft.wanted()) {
        draft.hold(HoldReason::Withdrawn, format!("{why}; revert it, or set spec.version to another one"));
    }
    frozen::hold_for_newer(draft);
    if let Fleet::Incomplete(why) = &draft.observed.fleet {
        draft.hold(HoldReason::FleetUnknown, why.clone());
    }
    let contested = draft.count(|s| *s == Standing::Contested);
    if contested > 0 {
        let first = draft.fleet().find(|(_, place)| place.standing == Standing::Contested);
        let who = first.map_or_else(String::new, |(tenant, _)| {
            let owner = tenant.foreign_owner.as_deref().unwrap_or("somebody");
            format!(": {owner} changed the version of {}/{}", tenant.namespace, tenant.name)
        });
        draft.hold(HoldReason::Contested, format!("{contested} tenants contested{who}"));
    }
    if draft.count(|s| *s == Standing::NotReleased) > 0 {
        let message = crate::tell::owners_sentence(draft);
        draft.hold(HoldReason::OwnerNotReleased, message);
    }
    // Who goes back alone keeps nobody else waiting (R22).
    let of_all = |tenant: &Tenant| tenant.version.version().is_some_and(|v| draft.out.contains(&**v));
    let outgoing =
        draft.fleet().filter(|(tenant, place)| place.standing == Standing::Outgoing && of_all(tenant));
    let outgoing = outgoing.count();
    if outgoing > 0 {
        draft.hold(
            HoldReason::Reverting,
            format!("{outgoing} tenants are on a rejected version and go back first"),
        );
    }
}

/// Stops and holds that a human, or Git, put on.
fn gather_brakes(draft: &mut Draft<'_>) {
    if let Some(why) = draft.stopped() {
        draft.hold(HoldReason::Stopped, why);
    }
    let holds: Vec<String> = draft
        .status
        .brakes
        .iter()
        .filter(|brake| brake.kind == BrakeKind::Hold)
        .map(crate::tell::brake)
        .collect();
    for message in holds {
        draft.hold(HoldReason::Held, message);
    }
    if draft.observed.spec.spec.paused {
        draft.hold(HoldReason::Paused, "spec.paused is true");
    }
}

/// Takes one wave as far as it goes; true when it is passed.
fn pass(draft: &mut Draft<'_>, index: usize) -> bool {
    let spec = &draft.observed.spec.spec.waves[index];
    let tally = tally(draft, index);
    draft.status.wave = Some(spec.name.clone());
    if tally.total == 0 && draft.is_complete() {
        return pass_empty(draft, index, spec);
    }
    if draft.status.waves[index].started_at.is_none() && !start(draft, index, spec, &tally) {
        return false;
    }
    let complete = is_complete(draft, spec, &tally);
    if complete && draft.status.waves[index].completed_at.is_none() {
        draft.status.waves[index].completed_at = Some(draft.now);
        let failed = if tally.failed > 0 { format!(", {} failed", tally.failed) } else { String::new() };
        draft.tell(
            TransitionReason::WaveUpdated,
            format!("wave {}: {} tenants are updated and ready{failed}", spec.name, tally.ready),
        );
    }
    draft.wake(tally.next_deadline);
    if draft.status.waves[index].completed_at.is_none() {
        draft.enter(Phase::Advancing);
        draft.waiting =
            format!("updating wave {}: {} of {} tenants are ready", spec.name, tally.ready, tally.total);
        return false;
    }
    let warm = complete && tally.warm_at.is_none_or(|warm| warm <= draft.now);
    if warm && draft.status.waves[index].warm_at.is_none() {
        draft.status.waves[index].warm_at = Some(draft.now);
        draft.tell(
            TransitionReason::SoakStarted,
            format!("wave {} is warm and soaks for {}", spec.name, soak_of(draft, spec)),
        );
    }
    soak(draft, index);
    if !warm {
        draft.enter(Phase::Soaking);
        draft.wake(tally.warm_at);
        draft.waiting = format!(
            "wave {}: {} of {} tenants are ready; waiting for warm-up",
            spec.name, tally.ready, tally.total
        );
        return false;
    }
    end(draft, index, spec)
}

/// A wave without live tenants is passed if it may be empty; one whose tenants must not be missed holds until they
/// are back. A whole fleet that is gone or asleep passes nothing: on waking it would be updated all at once.
fn pass_empty(draft: &mut Draft<'_>, index: usize, spec: &Wave) -> bool {
    if draft.status.waves[index].completed_at.is_none() {
        draft.enter(Phase::Advancing);
    }
    if draft.count(Standing::is_live) == 0 {
        let message = choose::nobody(draft);
        draft.hold(HoldReason::NoTenants, message.clone());
        draft.waiting = message;
    } else if spec.selector.is_none() || spec.optional {
        draft.status.waves[index].passed_at = Some(draft.now);
        draft.tell(TransitionReason::WaveSkipped, format!("wave {} is empty", spec.name));
        return true;
    } else {
        let message = format!(
            "no live tenant matches the selector of wave {}; mend it or set optional: true",
            spec.name
        );
        draft.hold(HoldReason::EmptyWave, message.clone());
        draft.waiting = message;
    }
    false
}

/// Starts a wave, or says why it does not.
fn start(draft: &mut Draft<'_>, index: usize, spec: &Wave, tally: &Tally) -> bool {
    draft.enter(Phase::Advancing);
    let asks = draft.status.lane != Lane::Emergency;
    if asks && spec.approval == Some(Approval::Before) && draft.status.waves[index].approved_before.is_none()
    {
        await_approval(draft, spec, "before it starts");
        return false;
    }
    if let Some(hold) = draft.holds.first() {
        draft.waiting = hold.message.clone();
        return false;
    }
    if let Some(reason) = closed(draft) {
        draft.waiting = format!("wave {} waits: {reason}", spec.name);
        return false;
    }
    draft.status.waves[index].started_at = Some(draft.now);
    draft.status.watching_since = None; // a wave that an edit added behind the last one
    let version = draft.wanted().to_owned();
    draft.tell(
        TransitionReason::WaveStarted,
        format!("wave {}: {} tenants go to {version}", spec.name, tally.total),
    );
    true
}

/// Asks a human, once per wave and version however often the wait is interrupted.
fn await_approval(draft: &mut Draft<'_>, spec: &Wave, when: &str) {
    let version = draft.wanted().to_owned();
    let message = format!("wave {} of {version} waits for an approval {when}", spec.name);
    // By order, not by time: clocks go back.
    let starts = [TransitionReason::Started, TransitionReason::Superseded];
    let of_this_start = |told: &&Transition| starts.iter().all(|start| told.reason != *start);
    let mut since_start = draft.status.history.iter().rev().take_while(of_this_start);
    if !since_start.any(|told| told.reason == TransitionReason::ApprovalNeeded && told.message == message) {
        draft.tell(TransitionReason::ApprovalNeeded, message.clone());
    }
    draft.enter(Phase::AwaitingApproval);
    draft.waiting = message;
}

/// Why no update may start now, by windows and freezes (R8).
fn closed(draft: &mut Draft<'_>) -> Option<String> {
    let windows = match draft.status.lane {
        Lane::Emergency => schedule::Windows::None,
        Lane::Normal | Lane::Patch if gate::off_hours(draft, draft.wanted()) => schedule::Windows::OffHours,
        Lane::Normal | Lane::Patch => schedule::Windows::All,
    };
    match draft.observed.spec.schedule.gate(draft.now, windows) {
        schedule::Gate::Open { until } => {
            draft.wake(until);
            None
        }
        schedule::Gate::Closed { reason, until } => {
            draft.wake(until);
            Some(reason)
        }
    }
}

fn tally(draft: &Draft<'_>, index: usize) -> Tally {
    let mut tally =
        Tally { total: 0, waiting: 0, ready: 0, failed: 0, spared: 0, next_deadline: None, warm_at: None };
    for (tenant, place) in
        draft.fleet().filter(|(_, p)| draft.is_reached(p.wave, index) && p.standing.is_live())
    {
        let in_wave = usize::from(place.wave == Some(index));
        tally.total += in_wave;
        match &place.standing {
            standing if spared::is_spared(draft, tenant, standing) => tally.spared += in_wave,
            Standing::Ready { warm_at } => {
                tally.ready += in_wave;
                tally.warm_at = tally.warm_at.max(Some(*warm_at));
            }
            Standing::Failed => tally.failed += in_wave,
            standing => {
                tally.waiting += 1;
                tally.next_deadline = tally.next_deadline.into_iter().chain(standing.deadline()).min();
            }
        }
    }
    tally
}

/// A wave is complete when its live tenants are updated and ready bar the failed ones it bears, one of them ready (R1),
/// and bar those that the version is rejected for alone.
fn is_complete(draft: &Draft<'_>, spec: &Wave, tally: &Tally) -> bool {
    let borne = tally.failed == 0 || tally.failed <= spec.max_failures.of(tally.total);
    tally.waiting == 0
        && (tally.ready > 0 || tally.spared == tally.total)
        && borne
        && draft.is_complete()
        && draft.observed.in_flight.is_empty()
}

/// How long a wave of the version under way soaks (R35).
pub(crate) fn soak_of(draft: &Draft<'_>, wave: &Wave) -> Span {
    wave.soak_in(draft.status.lane)
}

/// Lets the soak clock run over what every SLO judged on time, Healthy, and not held (R7).
fn soak(draft: &mut Draft<'_>, index: usize) {
    let Some(warm) = draft.status.waves[index].warm_at else { return };
    let seconds = healthy_since(draft, warm);
    let wave = &mut draft.status.waves[index];
    wave.soaked_seconds = wave.soaked_seconds.saturating_add(seconds);
    note_day(draft, seconds);
}

/// Seconds since the last plan, and since `from`, that every SLO judged on time, Healthy, and not held.
fn healthy_since(draft: &Draft<'_>, from: Timestamp) -> i64 {
    let healthy = Verdict::combine(draft.evidence.iter().flatten().map(|evidence| evidence.verdict));
    let spoken = draft.evidence.iter().all(Option::is_some);
    if healthy != Some(Verdict::Healthy) || !spoken || !draft.holds.is_empty() {
        return 0;
    }
    let Some(judged) = draft.judged else { return 0 };
    let from = judged.before.max(from).max(judged.late.unwrap_or(from));
    judged.until.duration_since(from).as_secs().max(0)
}

/// Adds to the soak of the day, for other Rollouts' `gates.soak`.
fn note_day(draft: &mut Draft<'_>, seconds: i64) {
    let Some(judged) = draft.judged.filter(|_| seconds > 0) else { return };
    let day = judged.until.as_second().div_euclid(86_400);
    match draft.status.soaked_days.last_mut() {
        Some(last) if last.day == day => last.seconds = last.seconds.saturating_add(seconds).min(86_400),
        _ => draft.status.soaked_days.push(SoakedDay { day, seconds }),
    }
}

/// Ends a complete and warm wave once its soak is spent, nothing holds, and its approval `After` is given.
fn end(draft: &mut Draft<'_>, index: usize, spec: &Wave) -> bool {
    let wave = &draft.status.waves[index];
    let left = soak_of(draft, spec).as_seconds().saturating_sub(wave.soaked_seconds);
    let promoted = wave.promoted.is_some();
    if left > 0 && !promoted {
        draft.enter(Phase::Soaking);
        draft.waiting = format!("wave {} soaks for another {}", spec.name, Span::seconds(left).rounded());
        return false;
    }
    match comparing::sufficient(draft, index) {
        Sufficient::NotYet(why) if !promoted => {
            draft.enter(Phase::Soaking);
            draft.waiting = why;
            return false;
        }
        Sufficient::Never(why) if !promoted => draft.hold(HoldReason::Insufficient, why),
        Sufficient::Yes | Sufficient::NotYet(_) | Sufficient::Never(_) => {}
    }
    let asks = draft.status.lane != Lane::Emergency;
    if asks && spec.approval == Some(Approval::After) && draft.status.waves[index].approved_after.is_none() {
        await_approval(draft, spec, "before it ends");
        return false;
    }
    draft.enter(Phase::Soaking);
    // A promotion is a human's answer to what the SLOs only hold for; it overrides no deviation and no other hold.
    let blocks = |hold: &&Hold| !(promoted && hold.reason.is_promotable());
    if let Some(hold) = draft.holds.iter().find(blocks) {
        draft.waiting = hold.message.clone();
        return false;
    }
    draft.status.waves[index].passed_at = Some(draft.now);
    // From here on the update cost is the next wave's: what this one's cost was cannot keep that from starting.
    draft.judges.iter_mut().for_each(breakwater_slo::State::begin_wave);
    let soaked = Span::seconds(draft.status.waves[index].soaked_seconds).rounded();
    draft
        .tell(TransitionReason::WavePassed, format!("wave {} is passed after a soak of {soaked}", spec.name));
    true
}

/// After the last wave the SLOs are watched on for `watchAfter`; then the version is the stable one.
fn watch(draft: &mut Draft<'_>) {
    let version = draft.wanted().to_owned();
    let span = draft.observed.spec.spec.watch_after;
    if draft.status.watching_since.is_none() {
        draft.status.watching_since = Some(draft.now);
        draft.tell(
            TransitionReason::Watching,
            format!("all waves of {version} are passed; watching for another {span}"),
        );
    }
    draft.enter(Phase::Watching);
    let healthy = healthy_since(draft, draft.status.watching_since.unwrap_or(draft.now));
    note_day(draft, healthy);
    let end = fleet::after(draft.status.watching_since.unwrap_or(draft.now), span);
    if draft.now < end {
        draft.waiting = format!("watching the SLOs until {end}");
        draft.wake(Some(end));
        return;
    }
    let tally = tally(draft, draft.status.waves.len());
    let touched = draft.count(|s| matches!(s, Standing::Ready { .. })) > 0;
    let healthy = draft.evidence.iter().all(|e| e.as_ref().is_some_and(|e| e.verdict == Verdict::Healthy));
    if let Some(hold) = draft.holds.first() {
        draft.waiting = hold.message.clone();
    } else if tally.waiting > 0 || !draft.observed.in_flight.is_empty() {
        draft.waiting = format!("watching is over once the {} tenants that joined are ready", tally.waiting);
    } else if touched && !healthy {
        draft.waiting = "watching is over once every SLO is Healthy".into();
    } else {
        draft.tell(TransitionReason::Completed, format!("version {version} is the stable one"));
        draft.status.stable_version = Some(version);
        draft.status.candidate_version = None;
        draft.status.completed_at = Some(draft.now);
        draft.status.wave = None;
        draft.enter(Phase::Completed);
    }
}

/// Plans the next forward writes: the waves up to the one in flight, in order, under its concurrency (R1, R2, R6).
fn write_forward(draft: &mut Draft<'_>) {
    let Some(current) = draft.writing_wave() else { return };
    if !draft.holds.is_empty() {
        return;
    }
    if let Some(reason) = closed(draft) {
        if draft.status.phase == Phase::Advancing {
            draft.waiting = reason;
        }
        return;
    }
    let busy = draft.count(|s| matches!(s, Standing::Updating { .. }));
    let total = draft.places.iter().filter(|p| p.wave == Some(current) && p.standing.is_live()).count();
    let allowed = draft.observed.spec.spec.waves[current].max_concurrent.of(total);
    let version: Arc<str> = draft.wanted().into();
    let (errands, mut ready) = before_updates(draft, current, &version);
    let room = allowed.saturating_sub(busy + draft.observed.in_flight.len() + errands.running);
    let is_ready = |i: &usize| ready.as_ref().is_none_or(|ready| ready.contains_key(i));
    let pending = draft.fleet().enumerate().filter(|(i, (_, place))| {
        place.standing == Standing::Pending && draft.is_reached(place.wave, current) && is_ready(i)
    });
    let next = first(draft, room, pending.map(|(i, (tenant, place))| (tenant.id, place.wave, i)));
    for i in next {
        let tenant = &draft.observed.tenants[i];
        let wave =
            draft.places[i].wave.map_or_else(String::new, |wave| draft.status.waves[wave].name.clone());
        if let Some(Before::Job(errand)) = ready.as_mut().and_then(|ready| ready.remove(&i)) {
            errand::make(draft, tenant, errand);
        } else if let Some(previous) = choose::previous_version(draft, tenant) {
            draft.write(tenant, version.clone(), previous, &wave, Purpose::Advance);
        }
    }
    errands.hold(draft);
}

/// What stands before the updates of those who wait; nothing stands before any where there is no `beforeUpdateJob`.
fn before_updates(
    draft: &Draft<'_>,
    current: usize,
    version: &Arc<str>,
) -> (Errands, Option<HashMap<usize, Before>>) {
    let (mut errands, mut ready, mut asking) = (Errands::default(), HashMap::new(), Asking::default());
    if draft.observed.spec.spec.before_update_job.is_none() {
        return (errands, None);
    }
    for (i, (tenant, place)) in draft.fleet().enumerate() {
        if place.standing == Standing::Pending && draft.is_reached(place.wave, current) {
            let before = asking.before_update(draft, tenant, version);
            if errands.note(tenant, &before) {
                ready.insert(i, before);
            }
        }
    }
    (errands, Some(ready))
}

/// The first `room` of the tenants that may be written, by rank and then by draw. What admission refuses is tried again
/// after the others, so that it takes nobody's place.
pub(crate) fn first<Rank: Ord + Copy>(
    draft: &Draft<'_>,
    room: usize,
    tenants: impl Iterator<Item = (TenantId, Rank, usize)>,
) -> Vec<usize> {
    let observed = draft.observed;
    let idle = tenants.filter(|(id, ..)| observed.in_flight.is_empty() || !observed.in_flight.contains(id));
    let refused = |id| !observed.problems.is_empty() && observed.problems.contains_key(&id);
    let mut order: Vec<(bool, Rank, TenantId, usize)> =
        idle.map(|(id, rank, i)| (refused(id), rank, id, i)).collect();
    let room = room.min(WRITES_MAX);
    if room < order.len() {
        order.select_nth_unstable(room);
        order.truncate(room);
    }
    order.sort_unstable();
    order.into_iter().map(|(.., i)| i).collect()
}

/// The next instant at which a tenant becomes warm or is late.
pub(crate) fn next_change(draft: &Draft<'_>) -> Option<Timestamp> {
    let instants = draft.places.iter().flat_map(|place| {
        let standing = &place.standing;
        [standing.ready_warm_at(), standing.returned_warm_at(), standing.deadline()].into_iter().flatten()
    });
    fleet::earliest(instants, draft.now)
}
