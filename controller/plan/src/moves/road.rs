//! The road forward: one wave at a time, soak, approvals, windows (rules R1, R2, R6-R8). Pure.

use breakwater_crds::{
    release::Lane,
    rollout::{Approval, Wave},
    scalars::Span,
    status::{BrakeKind, Phase, SoakedDay, WaveStatus},
    words::{HoldReason, TransitionReason},
};
use breakwater_slo::Verdict;
use jiff::Timestamp;

use super::{Ground, Judges, Moves, forward};
use crate::{
    asked,
    course::{Course, nobody, owners_sentence},
    frozen, gate,
    judged::comparing::{self, Sufficient},
    observed::{Listing, Tenant},
    roster::{Standing, after, hold_for_hub},
    said::{Hold, Said},
    schedule,
    sight::{self, Outlook},
};

/// Moves the version on as far as it may go now, and plans the next writes.
pub(super) fn advance<'a>(ground: Ground<'_, 'a>, course: Course) -> Moves<'a> {
    let gathered = gather(ground, &course);
    let held = [ground.held, &gathered.holds].concat();
    let road = Road { ground, held: &held };
    let mut leg = Leg { course, said: gathered, is_passed: true, judges: Judges::GoOn };
    while leg.is_passed {
        let Leg { course, said, judges, .. } = leg;
        let next = match course.current_wave() {
            Some(index) => road.pass(course, index),
            None => road.watch(course),
        };
        let judges = if next.judges == Judges::GoOn { judges } else { next.judges };
        leg = Leg { said: said.and(next.said), judges, ..next };
    }
    let Leg { course, said, judges, .. } = leg;
    if course.phase == Phase::Completed {
        return Moves { judges, said, ..Moves::none(course) };
    }
    // What is refused is tried again: a hold for that keeps nothing from being written.
    let stands = said.holds.iter().filter(|hold| hold.reason != HoldReason::WritesRefused).cloned();
    let held: Vec<Hold> = ground.held.iter().cloned().chain(stands).collect();
    let (writes, jobs, more) = forward::write(Ground { held: &held, ..ground }, &course);
    Moves { writes, jobs, judges, said: said.and(more), ..Moves::none(course) }
}

/// What else keeps everything where it is.
fn gather(ground: Ground<'_, '_>, course: &Course) -> Said {
    let Ground { input, roster, .. } = ground;
    let mut said = brakes(ground);
    if let Some(why) = gate::withdrawn(input, course.wanted()) {
        let message = format!("{why}; revert it, or set spec.version to another one");
        said.hold(HoldReason::Withdrawn, message);
    }
    let mut said = said.and(frozen::hold_for_newer(input, course));
    if let Listing::Incomplete(why) = &input.fleet.listing {
        said.hold(HoldReason::FleetUnknown, why.clone());
    }
    if let Some(why) = hold_for_hub(input, roster, &ground.honoured.other_hubs) {
        said.hold(HoldReason::OtherHub, why);
    }
    said = said.and(contested(ground));
    if roster.count(|s| *s == Standing::NotReleased) > 0 {
        said.hold(HoldReason::OwnerNotReleased, owners_sentence(roster));
    }
    // Who goes back alone keeps nobody else waiting (R22).
    let of_all = |t: &Tenant| t.version.version().is_some_and(|v| course.rejections.is_out(v));
    let outgoing =
        roster.fleet().filter(|(t, place)| place.standing == Standing::Outgoing && of_all(t)).count();
    if outgoing > 0 {
        let message = format!("{outgoing} tenants are on a rejected version and go back first");
        said.hold(HoldReason::Reverting, message);
    }
    said
}

/// Holds for tenants that somebody else changed, of waves that do not bear so many.
fn contested(ground: Ground<'_, '_>) -> Said {
    let (roster, waves) = (ground.roster, &ground.input.spec().waves);
    let contested = || roster.fleet().filter(|(_, place)| place.standing == Standing::Contested);
    let bears = |wave: usize| {
        let Some(most) = waves.get(wave).and_then(|wave| wave.max_contested) else { return false };
        let total = roster.fleet().filter(|(_, place)| place.wave == Some(wave) && place.standing.is_live());
        contested().filter(|(_, place)| place.wave == Some(wave)).count() <= most.of(total.count())
    };
    let borne: Vec<bool> =
        if contested().next().is_none() { Vec::new() } else { (0..waves.len()).map(bears).collect() };
    let is_borne = |wave: Option<usize>| wave.and_then(|wave| borne.get(wave)).is_some_and(|borne| *borne);
    let mut over =
        contested().filter(|(_, place)| !is_borne(place.wave)).map(|(tenant, _)| tenant).peekable();
    let Some(first) = over.peek().copied() else { return Said::default() };
    let owner = first.foreign_owner.as_deref().unwrap_or("somebody");
    let who = format!("{owner} changed the version of {}/{}", first.namespace, first.name);
    Said::held(HoldReason::Contested, format!("{} tenants contested: {who}", over.count()))
}

/// Stops and holds that a human, or Git, put on.
fn brakes(ground: Ground<'_, '_>) -> Said {
    let mut said = Said::default();
    if let Some(why) = ground.honoured.stopped(ground.input) {
        said.hold(HoldReason::Stopped, why);
    }
    for brake in ground.honoured.brakes.iter().filter(|brake| brake.kind == BrakeKind::Hold) {
        said.hold(HoldReason::Held, asked::sentence(brake));
    }
    if ground.input.spec().paused {
        said.hold(HoldReason::Paused, "spec.paused is true");
    }
    said
}

/// Why no update may start now, by windows and freezes (R8), and when that is to be looked at again.
pub(super) fn closed(ground: Ground<'_, '_>, course: &Course) -> (Option<String>, Option<Timestamp>) {
    let input = ground.input;
    let windows = match course.lane {
        Lane::Emergency => schedule::Windows::None,
        Lane::Normal | Lane::Patch if gate::off_hours(input, course.wanted()) => schedule::Windows::OffHours,
        Lane::Normal | Lane::Patch => schedule::Windows::All,
    };
    match input.asked.spec.schedule.gate(input.now, windows) {
        schedule::Gate::Open { until } => (None, until),
        schedule::Gate::Closed { reason, until } => (Some(reason), until),
    }
}

/// What a version goes forward on.
struct Road<'r, 'a> {
    ground: Ground<'r, 'a>,
    /// Everything that holds.
    held: &'r [Hold],
}

/// One stretch of the road: a wave as far as it goes, or the watch after the last one.
struct Leg {
    course: Course,
    said: Said,
    is_passed: bool,
    judges: Judges,
}

impl Leg {
    /// Not passed yet.
    fn here(course: Course, said: Said) -> Self {
        Self { course, said, is_passed: false, judges: Judges::GoOn }
    }

    /// The same at a phase, waiting for something.
    fn waits(course: Course, phase: Phase, mut said: Said, why: impl Into<String>) -> Self {
        said.wait(why);
        Self::here(course.enter(phase), said)
    }
}

/// What the waves up to the one in flight look like.
#[derive(Default)]
struct Tally {
    total: usize,
    waiting: usize,
    ready: usize,
    failed: usize,
    /// Not ready, and not before their update either: nobody waits for them, and nobody blames the version.
    unready: usize,
    /// Somebody else changed these; the wave bears some (R24).
    contested: usize,
    /// The version is rejected for these alone: nobody waits for them (R22).
    spared: usize,
    /// Of those that are waited for: the API server refuses to have them written.
    refused: usize,
    next_deadline: Option<Timestamp>,
    warm_at: Option<Timestamp>,
}

/// A course whose wave has changed.
fn with_wave(course: Course, index: usize, change: impl FnOnce(&mut WaveStatus)) -> Course {
    let mut waves = course.waves.clone();
    change(&mut waves[index]);
    Course { waves, ..course }
}

/// True where humans are asked for approvals (R35).
fn asks(course: &Course) -> bool {
    course.lane != Lane::Emergency
}

impl Road<'_, '_> {
    fn now(&self) -> Timestamp {
        self.ground.input.now
    }

    /// Takes one wave as far as it goes.
    fn pass(&self, course: Course, index: usize) -> Leg {
        let spec = &self.ground.input.spec().waves[index];
        let tally = self.tally(&course, index);
        let course = Course { wave: Some(spec.name.clone()), ..course };
        if tally.total == 0 && self.ground.input.is_complete() {
            return self.pass_empty(course, index, spec);
        }
        if course.waves[index].started_at.is_some() {
            let course =
                if course.waves[index].drawn.is_some() { self.draw(course, index, spec) } else { course };
            return self.go_on(course, index, spec, &tally, Said::default());
        }
        match self.start(course, index, spec, &tally) {
            Leg { course, said, is_passed: true, .. } => self.go_on(course, index, spec, &tally, said),
            stays => stays,
        }
    }

    /// A wave that has started: until its tenants are ready, then warm, then soaked.
    fn go_on(&self, course: Course, index: usize, spec: &Wave, tally: &Tally, said: Said) -> Leg {
        let now = self.now();
        let (mut course, mut said) = (course, said);
        let complete = self.is_complete(spec, tally);
        if complete && course.waves[index].completed_at.is_none() {
            course = with_wave(course, index, |wave| wave.completed_at = Some(now));
            let some = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
            let (failed, unready) =
                (some(tally.failed, "failed"), some(tally.unready, "not ready as before their update"));
            let message =
                format!("wave {}: {} tenants are updated and ready{failed}{unready}", spec.name, tally.ready);
            said.tell(TransitionReason::WaveUpdated, message);
        }
        said.wake(tally.next_deadline);
        let progress = format!("{} of {} tenants are ready", tally.ready, tally.total);
        if course.waves[index].completed_at.is_none() {
            if let Some(why) = self.refused(spec, tally) {
                said.hold(HoldReason::WritesRefused, why.clone());
                return Leg::waits(course, Phase::Advancing, said, why);
            }
            if tally.unready > 0 && tally.ready + tally.waiting + tally.failed == 0 {
                let (n, name) = (tally.unready, &spec.name);
                let why =
                    format!("none of the {n} tenants of wave {name} is ready, nor was before its update");
                said.hold(HoldReason::NeverReady, why.clone());
                return Leg::waits(course, Phase::Advancing, said, why);
            }
            let why = format!("updating wave {}: {progress}", spec.name);
            return Leg::waits(course, Phase::Advancing, said, why);
        }
        let warm = complete && tally.warm_at.is_none_or(|warm| warm <= now);
        if warm && course.waves[index].warm_at.is_none() {
            course = with_wave(course, index, |wave| wave.warm_at = Some(now));
            let message = format!("wave {} is warm and soaks for {}", spec.name, course.soak_of(spec));
            said.tell(TransitionReason::SoakStarted, message);
        }
        let course = self.soak(course, index);
        if !warm {
            said.wake(tally.warm_at);
            let why = format!("wave {}: {progress}; waiting for warm-up", spec.name);
            return Leg::waits(course, Phase::Soaking, said, why);
        }
        self.end(course, index, spec, said)
    }

    /// Why a wave stands still of which everybody left is refused by the API server, in its own words of the first one.
    fn refused(&self, spec: &Wave, tally: &Tally) -> Option<String> {
        if tally.refused == 0 || tally.refused < tally.waiting {
            return None;
        }
        let problems = self.ground.input.fleet.problems;
        let mut named =
            self.ground.roster.fleet().filter_map(|(tenant, _)| Some((tenant, problems.get(&tenant.id)?)));
        let (tenant, words) = named.next()?;
        let (n, name) = (tally.refused, &spec.name);
        Some(format!(
            "wave {name}: {n} tenants cannot be written, such as {}/{}: {words}",
            tenant.namespace, tenant.name
        ))
    }

    /// A wave without live tenants is passed if it may be empty; one whose tenants must not be missed holds until they
    /// are back. A whole fleet that is gone or asleep passes nothing: on waking it would be updated all at once.
    fn pass_empty(&self, course: Course, index: usize, spec: &Wave) -> Leg {
        let phase = if course.waves[index].completed_at.is_none() { Phase::Advancing } else { course.phase };
        let course = course.enter(phase);
        let (reason, message) = if self.ground.roster.count(Standing::is_live) == 0 {
            (HoldReason::NoTenants, nobody(self.ground.roster))
        } else if spec.selector.is_none() || spec.optional {
            let now = self.now();
            let course = with_wave(course, index, |wave| wave.passed_at = Some(now));
            let mut said = Said::default();
            said.tell(TransitionReason::WaveSkipped, format!("wave {} is empty", spec.name));
            return Leg { is_passed: true, ..Leg::here(course, said) };
        } else {
            let message = format!(
                "no live tenant matches the selector of wave {}; mend it or set optional: true",
                spec.name
            );
            (HoldReason::EmptyWave, message)
        };
        let mut said = Said::held(reason, message.clone());
        said.wait(message);
        Leg::here(course, said)
    }

    /// Starts a wave, or says why it does not.
    fn start(&self, course: Course, index: usize, spec: &Wave, tally: &Tally) -> Leg {
        let mut said = Said::default();
        let outlook = match &course.waves[index].promoted {
            Some(_) => Outlook::Clear,
            None => sight::of_wave(self.ground.input, self.ground.roster, index),
        };
        if let Outlook::Blind(reason, why) = &outlook {
            said.hold(*reason, why);
        }
        let unapproved = course.waves[index].approved_before.is_none();
        if asks(&course) && spec.approval == Some(Approval::Before) && unapproved {
            return self.await_approval(course, spec, said, "before it starts");
        }
        if let Some(hold) = self.held.iter().chain(&said.holds).next() {
            let why = hold.message.clone();
            return Leg::waits(course, Phase::Advancing, said, why);
        }
        let (closed, until) = closed(self.ground, &course);
        said.wake(until);
        let unseen = (outlook == Outlook::Unknown).then(|| sight::LOOKING.to_owned());
        if let Some(reason) = closed.or(unseen) {
            let why = format!("wave {} waits: {reason}", spec.name);
            return Leg::waits(course, Phase::Advancing, said, why);
        }
        let now = self.now();
        let course = with_wave(course, index, |wave| wave.started_at = Some(now));
        let course = self.draw(course, index, spec);
        let (total, version) = (tally.total, course.wanted());
        let message = format!("wave {}: {total} tenants go to {version}", spec.name);
        said.tell(TransitionReason::WaveStarted, message);
        // A wave that an edit added behind the last one is watched on after.
        let course = Course { phase: Phase::Advancing, watching_since: None, ..course };
        Leg { is_passed: true, ..Leg::here(course, said) }
    }

    /// Writes down who was drawn for a percent wave, when it starts and when its percentage was edited (R5).
    fn draw(&self, course: Course, index: usize, spec: &Wave) -> Course {
        let Some(percent) = spec.percent else { return course };
        if course.waves[index].drawn.as_ref().is_some_and(|drawn| drawn.percent == percent.to_string()) {
            return course;
        }
        let drawn = self.ground.roster.draw(index, percent, course.wanted());
        with_wave(course, index, |wave| wave.drawn = Some(drawn))
    }

    /// Asks a human, once per wave and version however often the wait is interrupted.
    fn await_approval(&self, course: Course, spec: &Wave, mut said: Said, when: &str) -> Leg {
        let message = format!("wave {} of {} waits for an approval {when}", spec.name, course.wanted());
        // By order, not by time: clocks go back.
        let history = self.ground.input.status.history.iter().rev();
        let mut since_start = history.take_while(|told| {
            told.reason != TransitionReason::Started && told.reason != TransitionReason::Superseded
        });
        let asked = since_start.any(|t| t.reason == TransitionReason::ApprovalNeeded && t.message == message);
        if !asked {
            said.tell(TransitionReason::ApprovalNeeded, message.clone());
        }
        Leg::waits(course, Phase::AwaitingApproval, said, message)
    }

    fn tally(&self, course: &Course, index: usize) -> Tally {
        let mut tally = Tally::default();
        let way = course.way(self.ground.input);
        let reached = self.ground.roster.fleet();
        let reached = reached.filter(|(_, p)| course.is_reached(p.wave, index) && p.standing.is_live());
        for (tenant, place) in reached {
            let in_wave = usize::from(place.wave == Some(index));
            tally.total += in_wave;
            match &place.standing {
                standing if way.is_spared(tenant, standing, course.wanted()) => tally.spared += in_wave,
                Standing::Ready { warm_at } => {
                    tally.ready += in_wave;
                    tally.warm_at = tally.warm_at.max(Some(*warm_at));
                }
                Standing::Failed => tally.failed += in_wave,
                Standing::Unready => tally.unready += in_wave,
                Standing::Contested if self.bears_contested(place.wave) => tally.contested += in_wave,
                standing => {
                    tally.waiting += 1;
                    tally.refused += usize::from(self.ground.input.fleet.problems.contains_key(&tenant.id));
                    tally.next_deadline = tally.next_deadline.into_iter().chain(standing.deadline()).min();
                }
            }
        }
        tally
    }

    /// Whether anybody waits for a contested tenant of a wave: where too many are, all of it holds, and nobody asks.
    fn bears_contested(&self, wave: Option<usize>) -> bool {
        wave.and_then(|wave| self.ground.input.spec().waves.get(wave))
            .is_some_and(|wave| wave.max_contested.is_some())
    }

    /// A wave is complete when its live tenants are updated and ready bar the failed ones it bears, one of them ready (R1),
    /// and bar those that the version is rejected for alone.
    fn is_complete(&self, spec: &Wave, tally: &Tally) -> bool {
        let borne = tally.failed == 0 || tally.failed <= spec.max_failures.of(tally.total);
        tally.waiting == 0
            && (tally.ready > 0 || tally.spared + tally.contested == tally.total)
            && borne
            && self.ground.input.is_complete()
            && self.ground.input.fleet.in_flight.is_empty()
    }

    /// Lets the soak clock run over what every SLO judged on time, Healthy, and not held (R7).
    fn soak(&self, course: Course, index: usize) -> Course {
        let Some(warm) = course.waves[index].warm_at else { return course };
        let seconds = self.healthy_since(warm);
        let course = with_wave(course, index, |wave| {
            wave.soaked_seconds = wave.soaked_seconds.saturating_add(seconds);
        });
        self.note_day(course, seconds)
    }

    /// Seconds since the last plan, and since `from`, that every SLO judged on time, Healthy, and not held.
    fn healthy_since(&self, from: Timestamp) -> i64 {
        let judged = self.ground.judged;
        if judged.verdict() != Some(Verdict::Healthy) || !self.held.is_empty() {
            return 0;
        }
        let Some(stretch) = judged.stretch else { return 0 };
        let from = stretch.before.max(from).max(stretch.late.unwrap_or(from));
        stretch.until.duration_since(from).as_secs().max(0)
    }

    /// Adds to the soak of the day, for other Rollouts' `gates.soak`.
    fn note_day(&self, course: Course, seconds: i64) -> Course {
        let Some(stretch) = self.ground.judged.stretch.filter(|_| seconds > 0) else { return course };
        let day = stretch.until.as_second().div_euclid(86_400);
        let mut soaked_days = course.soaked_days.clone();
        match soaked_days.last_mut() {
            Some(last) if last.day == day => {
                last.seconds = last.seconds.saturating_add(seconds).min(86_400);
            }
            _ => soaked_days.push(SoakedDay { day, seconds }),
        }
        Course { soaked_days, ..course }
    }

    /// Ends a complete and warm wave once its soak is spent, nothing holds, and its approval `After` is given.
    fn end(&self, course: Course, index: usize, spec: &Wave, mut said: Said) -> Leg {
        let wave = &course.waves[index];
        let left = course.soak_of(spec).as_seconds().saturating_sub(wave.soaked_seconds);
        let promoted = wave.promoted.is_some();
        if left > 0 && !promoted {
            let left = Span::seconds(left).rounded();
            let why = format!("wave {} soaks for another {left}", spec.name);
            return Leg::waits(course, Phase::Soaking, said, why);
        }
        match comparing::sufficient(self.ground.input, &course, &self.ground.judged.judges, index) {
            Sufficient::NotYet(why) if !promoted => {
                return Leg::waits(course, Phase::Soaking, said, why);
            }
            Sufficient::Never(why) if !promoted => said.hold(HoldReason::Insufficient, why),
            Sufficient::Yes | Sufficient::NotYet(_) | Sufficient::Never(_) => {}
        }
        let unapproved = course.waves[index].approved_after.is_none();
        if asks(&course) && spec.approval == Some(Approval::After) && unapproved {
            return self.await_approval(course, spec, said, "before it ends");
        }
        // A promotion is a human's answer to what the SLOs only hold for; it overrides no deviation and no other hold.
        let blocks = |hold: &&Hold| !(promoted && hold.reason.is_promotable());
        if let Some(hold) = self.held.iter().chain(&said.holds).find(blocks) {
            let why = hold.message.clone();
            return Leg::waits(course, Phase::Soaking, said, why);
        }
        let now = self.now();
        let course = with_wave(course, index, |wave| wave.passed_at = Some(now));
        let soaked = Span::seconds(course.waves[index].soaked_seconds).rounded();
        let message = format!("wave {} is passed after a soak of {soaked}", spec.name);
        said.tell(TransitionReason::WavePassed, message);
        let course = course.enter(Phase::Soaking);
        Leg { course, said, is_passed: true, judges: Judges::BeginWave }
    }

    /// After the last wave the SLOs are watched on for `watchAfter`; then the version is the stable one.
    fn watch(&self, course: Course) -> Leg {
        let now = self.now();
        let span = self.ground.input.spec().watch_after;
        let mut said = Said::default();
        if course.watching_since.is_none() {
            let version = course.wanted();
            let message = format!("all waves of {version} are passed; watching for another {span}");
            said.tell(TransitionReason::Watching, message);
        }
        let since = course.watching_since.unwrap_or(now);
        let course = Course { watching_since: Some(since), ..course };
        let course = self.note_day(course, self.healthy_since(since));
        let end = after(since, span);
        if now < end {
            said.wake(end);
            return Leg::waits(course, Phase::Watching, said, format!("watching the SLOs until {end}"));
        }
        if let Some(why) = self.keeps_from_completing(&course) {
            return Leg::waits(course, Phase::Watching, said, why);
        }
        let version = course.wanted().to_owned();
        said.tell(TransitionReason::Completed, format!("version {version} is the stable one"));
        let course = Course {
            phase: Phase::Completed,
            stable: Some(version),
            candidate: None,
            completed_at: Some(now),
            wave: None,
            ..course
        };
        Leg::here(course, said)
    }

    /// Why a version that was watched for long enough is not the stable one yet.
    fn keeps_from_completing(&self, course: &Course) -> Option<String> {
        let tally = self.tally(course, course.waves.len());
        let touched = self.ground.roster.count(|s| matches!(s, Standing::Ready { .. })) > 0;
        let evidence = &self.ground.judged.evidence;
        let healthy = evidence.iter().all(|e| e.as_ref().is_some_and(|e| e.verdict == Verdict::Healthy));
        if let Some(hold) = self.held.first() {
            Some(hold.message.clone())
        } else if tally.waiting > 0 || !self.ground.input.fleet.in_flight.is_empty() {
            let joined = tally.waiting;
            Some(format!("watching is over once the {joined} tenants that joined are ready"))
        } else {
            (touched && !healthy).then(|| "watching is over once every SLO is Healthy".into())
        }
    }
}
