//! The moves: how far the rollout goes now, who is written, and which Jobs run first (R1, R2, R6-R8, R17-R20). Pure.

mod back;
mod errand;
mod forward;
mod revert;
mod road;

use std::sync::Arc;

use breakwater_crds::status::Phase;
use breakwater_slo::State;

pub(crate) use self::revert::clamp;

use crate::{
    asked::Honoured,
    course::Course,
    input::Input,
    judged::Judged,
    observed::{Claim, Marker, Readiness, Tenant},
    outcome::{JobWrite, Purpose, Write},
    reports::Entry,
    roster::{Roster, own},
    said::{Hold, Said},
};

/// Most tenants of one kind that one plan writes. The next plan comes as writes are answered; at a thousand patches a
/// second this is two seconds of work, and it bounds the memory of plan and queue.
const WRITES_MAX: usize = 2_000;

/// What moves are decided on.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'g, 'a> {
    pub(crate) input: &'g Input<'a>,
    pub(crate) honoured: &'g Honoured<'a>,
    pub(crate) roster: &'g Roster<'a>,
    pub(crate) judged: &'g Judged,
    /// What holds so far.
    pub(crate) held: &'g [Hold],
}

/// Moves on the road, or on the way back, and writes back who may not stay where it is.
pub(crate) fn make<'a>(ground: Ground<'_, 'a>, course: &Course) -> Moves<'a> {
    let moves = match course.phase {
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => {
            road::advance(ground, course.clone())
        }
        Phase::Reverting | Phase::Verifying => revert::carry_through(ground, course.clone()),
        Phase::Pending | Phase::Adopting | Phase::Completed | Phase::Reverted | Phase::RevertedPartly => {
            Moves::none(course.clone())
        }
    };
    let held = [ground.held, &moves.said.holds].concat();
    let roster = moves.roster.as_ref().unwrap_or(ground.roster);
    let returns = back::write_back(Ground { held: &held, roster, ..ground }, &moves.course);
    moves.with_returns(returns)
}

/// What becomes of the judges' states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judges {
    /// They go on.
    GoOn,
    /// From here on the update cost is the next wave's: what this one's cost was cannot keep that from starting.
    BeginWave,
    /// They begin anew, to see whether a revert helped.
    Restart,
}

impl Judges {
    /// The state of one.
    pub(crate) fn turn(self, mut state: State) -> State {
        match self {
            Self::GoOn => {}
            Self::BeginWave => state.begin_wave(),
            Self::Restart => state.restart(),
        }
        state
    }
}

/// How far the rollout went, and what is to be done about it.
pub(crate) struct Moves<'a> {
    /// The course after.
    pub(crate) course: Course,
    /// The tenants under it, where a version is rejected no more.
    pub(crate) roster: Option<Roster<'a>>,
    /// Tenants to write, in this order.
    pub(crate) writes: Vec<Write>,
    /// Jobs to make.
    pub(crate) jobs: Vec<JobWrite>,
    /// What the report of a revert is to tell.
    pub(crate) entry: Option<Entry>,
    /// What becomes of the judges.
    pub(crate) judges: Judges,
    /// What was said.
    pub(crate) said: Said,
}

impl Moves<'_> {
    /// Nothing moves.
    fn none(course: Course) -> Self {
        Self {
            course,
            roster: None,
            writes: Vec::new(),
            jobs: Vec::new(),
            entry: None,
            judges: Judges::GoOn,
            said: Said::default(),
        }
    }

    /// With the writes back, which go first, and the Jobs before them.
    fn with_returns(mut self, returns: Returns) -> Self {
        let Returns { mut writes, jobs, said } = returns;
        writes.append(&mut self.writes);
        self.jobs.extend(jobs);
        Self { writes, said: self.said.and(said), ..self }
    }
}

/// The writes back, and the Jobs before them.
#[derive(Debug, Default)]
struct Returns {
    writes: Vec<Write>,
    jobs: Vec<JobWrite>,
    said: Said,
}

/// One write. `written_at` is a lower bound: the executor puts in the time of sending, if later.
fn write(
    input: &Input<'_>,
    course: &Course,
    tenant: &Tenant,
    (version, previous): (Arc<str>, Arc<str>),
    wave: &str,
    purpose: Purpose,
) -> Write {
    let decided = match purpose {
        Purpose::Advance => course.started_at,
        Purpose::Revert => {
            let spared = &course.rejections.spared;
            let alone = tenant.version.version().and_then(|v| spared.since(tenant.id, v));
            alone.max(course.revert.as_ref().map(|revert| revert.decided_at))
        }
    };
    let marker = Marker {
        claim: Claim::Own,
        target: version.clone(),
        previous,
        wave: wave.into(),
        written_at: decided.map_or(input.now, |decided| decided.max(input.now)),
        epoch: input.epoch,
        ready_before: ready_before(course, tenant, purpose),
    };
    Write { tenant: tenant.clone(), version, marker, purpose }
}

/// Whether a tenant was ready on its last verified version: as it is now, or, where it runs one that is not verified, as its marker
/// says. A rule that never called it ready says nothing about the version that it goes to (R3, R4).
fn ready_before(course: &Course, tenant: &Tenant, purpose: Purpose) -> bool {
    let is_ready = matches!(tenant.readiness, Readiness::Ready { .. });
    let unverified = |marker: &&Marker| {
        let here = tenant.version.version().is_some_and(|version| *version == marker.target);
        purpose == Purpose::Revert || (here && course.stable.as_deref() != Some(&*marker.target))
    };
    is_ready || own(tenant).filter(unverified).is_some_and(|marker| marker.ready_before)
}

/// The first `room` of the tenants that may be written, by rank and then by draw. What admission refuses is tried again
/// after the others, so that it takes nobody's place.
fn first<Rank: Ord + Copy>(
    input: &Input<'_>,
    room: usize,
    tenants: impl Iterator<Item = (breakwater_slo::TenantId, Rank, usize)>,
) -> Vec<usize> {
    let (in_flight, problems) = (input.fleet.in_flight, input.fleet.problems);
    let idle = tenants.filter(|(id, ..)| in_flight.is_empty() || !in_flight.contains(id));
    let refused = |id| !problems.is_empty() && problems.contains_key(&id);
    let mut order: Vec<_> = idle.map(|(id, rank, i)| (refused(id), rank, id, i)).collect();
    let room = room.min(WRITES_MAX);
    if room < order.len() {
        order.select_nth_unstable(room);
        order.truncate(room);
    }
    order.sort_unstable();
    order.into_iter().map(|(.., i)| i).collect()
}
