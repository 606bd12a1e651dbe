//! What one pipeline still has to send, what is in flight, and how fast it may go. Pure: time comes in.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use breakwater_plan::outcome::{Purpose, Write};
use breakwater_slo::TenantId;
use tokio::time::Instant;

use super::{Outcome, PROBLEMS_MAX, Problem, Settings};
use crate::lease::Fence;

/// How often a closed fence is looked at while there is something to send.
const FENCE_LOOK: Duration = Duration::from_millis(100);
/// How often it is looked at after a plan had to be dropped for want of one.
const LEADERSHIP_LOOK: Duration = Duration::from_secs(1);
/// Back-off of one tenant's write that is refused, contended or rewritten: first and longest.
const TENANT_BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// Back-off of the whole pipeline while the API server is in trouble.
const SERVER_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Back-off of the whole pipeline while it is refused one tenant after another.
const REFUSAL_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// So many refusals in a row are not about the tenants.
const REFUSALS_IN_A_ROW: u32 = 16;

/// Why a write was not sent, or not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// A newer plan replaced it.
    Superseded,
    /// Writing is stopped (R36).
    Halted,
    /// The lease is lost, or runs out before the write would have ended, or the term is another than the plan's (R26).
    Fenced,
    /// The pipeline is being drained.
    Draining,
}

/// What the pump is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until something changes.
    Idle,
    /// Nothing until then, or until something changes.
    At(Instant),
    /// Wait for a slot, then take a write of this purpose.
    Send(Purpose),
    /// Leadership is back after a plan was dropped for want of it: ask for a new one.
    Wake,
}

/// A pause that grows with each failure after the last pause, so that a volley of failures counts once.
#[derive(Debug, Default)]
struct Pace {
    until: Option<Instant>,
    rounds: u32,
}

impl Pace {
    fn fail(&mut self, now: Instant, (first, longest): (Duration, Duration), asked: Option<Duration>) {
        if self.until.is_none_or(|until| now >= until) {
            self.until = Some(now + doubled(first, self.rounds, longest));
            self.rounds += 1;
        }
        self.until = self.until.max(asked.map(|asked| now + asked));
    }

    /// A success ends the growth, not a pause that was asked for.
    fn recover(&mut self, now: Instant) {
        if self.pausing(now).is_none() {
            *self = Self::default();
        }
    }

    fn pausing(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }
}

fn doubled(first: Duration, rounds: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(rounds)).min(longest)
}

/// The state of one pipeline.
#[derive(Debug)]
pub(super) struct Queue {
    settings: Settings,
    /// Counts plans; what belongs to an older one is not sent (again).
    generation: u64,
    /// Epoch under which the plan came in.
    epoch: Option<i64>,
    /// A plan was dropped because there was no fence for it.
    starved: bool,
    reverts: VecDeque<Write>,
    advances: VecDeque<Write>,
    /// Writes whose problem is not due again yet, by the time they are; the number keeps them apart.
    later: BTreeMap<(Instant, u64), Write>,
    in_flight: HashMap<TenantId, Purpose>,
    problems: HashMap<TenantId, Problem>,
    server: Pace,
    refusals: [Pace; 2],
    refused_in_a_row: [u32; 2],
    draining: bool,
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            generation: 0,
            epoch: None,
            starved: false,
            reverts: VecDeque::new(),
            advances: VecDeque::new(),
            later: BTreeMap::new(),
            in_flight: HashMap::new(),
            problems: HashMap::new(),
            server: Pace::default(),
            refusals: Default::default(),
            refused_in_a_row: [0; 2],
            draining: false,
        }
    }

    /// Swaps everything that is not sent for `writes`, reverts first. A tenant in flight is left out: its outcome asks
    /// for the next plan.
    pub(super) fn replace(&mut self, writes: Vec<Write>, now: Instant, fence: Option<Fence>) {
        self.clear();
        if self.draining {
            return;
        }
        let Some(fence) = fence else {
            self.starved = !writes.is_empty();
            return;
        };
        self.epoch = Some(fence.epoch);
        let wanted: HashSet<TenantId> = writes.iter().map(|write| write.tenant.id).collect();
        self.problems.retain(|id, problem| wanted.contains(id) || problem.retry_at > now);
        let mut seen = HashSet::with_capacity(writes.len());
        for (write, number) in writes.into_iter().zip(0..) {
            let id = write.tenant.id;
            if self.in_flight.contains_key(&id) || !seen.insert(id) {
                continue;
            }
            match self.problems.get(&id).filter(|problem| applies(problem, &write)) {
                Some(problem) if problem.retry_at > now => {
                    self.later.insert((problem.retry_at, number), write);
                }
                Some(_) | None => self.line(write.purpose).push_back(write),
            }
        }
    }

    /// Drops everything that is not sent.
    pub(super) fn clear(&mut self) {
        self.generation += 1;
        self.epoch = None;
        self.starved = false;
        self.reverts.clear();
        self.advances.clear();
        self.later.clear();
    }

    /// Ends sending for good.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.clear();
    }

    /// What to do now. `stopped`: the whole executor is.
    pub(super) fn next(&mut self, now: Instant, fence: Option<Fence>, stopped: bool) -> Next {
        if stopped {
            self.clear();
        }
        if self.starved {
            return if fence.is_some() { self.rouse() } else { Next::At(now + LEADERSHIP_LOOK) };
        }
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let write = entry.remove();
            self.line(write.purpose).push_back(write);
        }
        let waiting = |purpose| match purpose {
            Purpose::Revert => !self.reverts.is_empty(),
            Purpose::Advance => !self.advances.is_empty(),
        };
        let Some(purpose) = [Purpose::Revert, Purpose::Advance].into_iter().find(|purpose| waiting(*purpose))
        else {
            return self.later.first_key_value().map_or(Next::Idle, |((due, _), _)| Next::At(*due));
        };
        match fence {
            Some(fence) if Some(fence.epoch) != self.epoch => {
                self.clear();
                self.rouse()
            }
            Some(fence) if fence.admits(now, self.settings.write_timeout) => self.pace(purpose, now),
            Some(_) | None => Next::At(now + FENCE_LOOK),
        }
    }

    fn rouse(&mut self) -> Next {
        self.starved = false;
        Next::Wake
    }

    fn pace(&self, purpose: Purpose, now: Instant) -> Next {
        let pause = self.server.pausing(now).max(self.refusals[index(purpose)].pausing(now));
        if let Some(until) = pause {
            return Next::At(until);
        }
        let open = self.in_flight.values().filter(|other| **other == purpose).count();
        if open < self.settings.max_in_flight.max(1) { Next::Send(purpose) } else { Next::Idle }
    }

    /// Takes the next write for a slot that was got for `purpose`; from now on its tenant is in flight. An advance's slot
    /// serves a revert that came meanwhile, never the other way round: it may be of the reserve.
    pub(super) fn take(&mut self, purpose: Purpose) -> Option<(Write, u64)> {
        let write = match purpose {
            Purpose::Revert => self.reverts.pop_front(),
            Purpose::Advance => self.reverts.pop_front().or_else(|| self.advances.pop_front()),
        }?;
        self.in_flight.insert(write.tenant.id, write.purpose);
        Some((write, self.generation))
    }

    /// The last word before a write is sent: the epoch to stamp it with.
    pub(super) fn admit(
        &self,
        generation: u64,
        now: Instant,
        fence: Option<Fence>,
        stopped: bool,
    ) -> Result<i64, Withheld> {
        if self.draining {
            return Err(Withheld::Draining);
        }
        if stopped {
            return Err(Withheld::Halted);
        }
        if generation != self.generation {
            return Err(Withheld::Superseded);
        }
        let fence = fence.filter(|fence| fence.admits(now, self.settings.write_timeout));
        match fence {
            Some(fence) if Some(fence.epoch) == self.epoch => Ok(fence.epoch),
            Some(_) | None => Err(Withheld::Fenced),
        }
    }

    /// Books what became of a write. `true` if a new plan should be asked for.
    pub(super) fn settle(
        &mut self,
        write: Write,
        generation: u64,
        outcome: &Outcome,
        asked: Option<Duration>,
        now: Instant,
    ) -> bool {
        let (id, purpose) = (write.tenant.id, write.purpose);
        self.in_flight.remove(&id);
        match outcome {
            Outcome::Written | Outcome::AlreadyThere | Outcome::Gone | Outcome::Changed => {
                self.problems.remove(&id);
                self.server.recover(now);
                self.unrefused(purpose, now);
            }
            Outcome::Rewritten { .. } => {
                self.server.recover(now);
                self.unrefused(purpose, now);
                self.problem(&write, outcome, now);
            }
            Outcome::Refused { .. } => {
                self.server.recover(now);
                self.refused(purpose, now);
                self.problem(&write, outcome, now);
            }
            Outcome::Contended { .. } => self.problem(&write, outcome, now),
            Outcome::Unresolved { .. } => {
                self.server.fail(now, SERVER_BACKOFF, None);
                self.problem(&write, outcome, now);
            }
            Outcome::Busy { .. } => {
                self.server.fail(now, SERVER_BACKOFF, asked);
                if generation == self.generation && !self.draining {
                    self.line(purpose).push_front(write);
                    return false;
                }
            }
            Outcome::Withheld(_) => {}
        }
        true
    }

    /// Books that a write's task ended without a word (it panicked).
    pub(super) fn forget(&mut self, id: TenantId) {
        self.in_flight.remove(&id);
    }

    /// Books trouble with the API server while a write is still being resolved.
    pub(super) fn trouble(&mut self, now: Instant) {
        self.server.fail(now, SERVER_BACKOFF, None);
    }

    pub(super) fn in_flight(&self) -> HashSet<TenantId> {
        self.in_flight.keys().copied().collect()
    }

    pub(super) fn idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.reverts.len() + self.advances.len() + self.later.len()
    }

    pub(super) fn problems(&self) -> HashMap<TenantId, Problem> {
        self.problems.clone()
    }

    fn line(&mut self, purpose: Purpose) -> &mut VecDeque<Write> {
        match purpose {
            Purpose::Revert => &mut self.reverts,
            Purpose::Advance => &mut self.advances,
        }
    }

    fn unrefused(&mut self, purpose: Purpose, now: Instant) {
        self.refusals[index(purpose)].recover(now);
        self.refused_in_a_row[index(purpose)] = 0;
    }

    fn refused(&mut self, purpose: Purpose, now: Instant) {
        let row = &mut self.refused_in_a_row[index(purpose)];
        *row = row.saturating_add(1);
        if *row >= REFUSALS_IN_A_ROW {
            self.refusals[index(purpose)].fail(now, REFUSAL_BACKOFF, None);
        }
    }

    fn problem(&mut self, write: &Write, outcome: &Outcome, now: Instant) {
        let id = write.tenant.id;
        let before = self.problems.remove(&id).filter(|problem| applies(problem, write));
        let attempts = before.map_or(0, |problem| problem.attempts).saturating_add(1);
        let wait = match outcome {
            // The API server's trouble, not the tenant's: the pipeline's own pace is enough.
            Outcome::Unresolved { .. } => Duration::ZERO,
            _ => doubled(TENANT_BACKOFF.0, attempts - 1, TENANT_BACKOFF.1),
        };
        if self.problems.len() >= PROBLEMS_MAX {
            let due_first =
                self.problems.iter().min_by_key(|(_, problem)| problem.retry_at).map(|(id, _)| *id);
            due_first.map(|id| self.problems.remove(&id));
        }
        let (version, purpose, outcome) = (write.version.clone(), write.purpose, outcome.clone());
        self.problems.insert(id, Problem { version, purpose, outcome, attempts, retry_at: now + wait });
    }
}

/// Whether a problem was met with this very write; another version or purpose is tried at once.
fn applies(problem: &Problem, write: &Write) -> bool {
    problem.version == write.version && problem.purpose == write.purpose
}

fn index(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Advance => 0,
        Purpose::Revert => 1,
    }
}
