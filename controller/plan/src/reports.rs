//! What is accounted for: which `DeviationReport` a deviation goes into, and what stands in it (R19). Pure.
//!
//! Deviations and reverts say what happened as [`Entry`]s; [`account()`] makes the reports of them once everything is decided,
//! so no decision can read what is told.

mod account;
mod ledger;

use std::{collections::BTreeMap, sync::Arc};

use breakwater_crds::{
    report::{DeviationReportSpec, DeviationReportStatus, DownStep, Outcome, RejectedFor},
    status::{Brake, RevertStatus},
};
use jiff::Timestamp;

pub(crate) use self::{account::take, ledger::Ledger};
use crate::{
    asked::Honoured,
    course::Course,
    deviation::Found,
    input::Input,
    judged::Judged,
    observed::Report,
    outcome::ReportWrite,
    roster::Roster,
    said::{Told, clip},
    trace::Trace,
};

/// Something that a report is to tell of a version.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// It deviates, and what comes of that.
    Deviation {
        /// The version.
        version: String,
        /// The deviation.
        found: Found,
        /// What is done about it.
        outcome: Outcome,
    },
    /// Its revert waits: why, and what takes the schema down (R21).
    Gated {
        /// The version.
        version: String,
        /// Why.
        why: String,
        /// The way down.
        steps: Vec<DownStep>,
    },
    /// It is rejected for these tenants alone (R22).
    RejectedFor {
        /// The version.
        version: String,
        /// The tenants.
        tenants: Vec<RejectedFor>,
    },
    /// Its revert is over.
    Reverted {
        /// How it ended.
        outcome: Outcome,
        /// The revert.
        revert: RevertStatus,
        /// What came of it, in a sentence.
        answer: String,
    },
}

/// What a plan makes of the reports.
#[derive(Debug)]
pub(crate) struct Reports {
    /// To create or update.
    pub(crate) writes: Vec<ReportWrite>,
    /// Name of the report of the version under way, or of the one that went out last.
    pub(crate) current: Option<String>,
    /// What both arms counted of late, in order of the SLOs.
    pub(crate) traces: Vec<Arc<Trace>>,
    /// From when on steps are wanted for an account alone, if they are.
    pub(crate) wants_since: Option<Timestamp>,
}

/// What an account is told with.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'s, 'a> {
    /// What was observed.
    pub(crate) input: &'s Input<'a>,
    /// Where the Rollout stood.
    pub(crate) course: &'s Course,
    /// Where its tenants stood.
    pub(crate) roster: &'s Roster<'a>,
    /// What the SLOs said.
    pub(crate) judged: &'s Judged,
    /// What the plan told up to there.
    pub(crate) told: &'s [Told],
}

/// Tells the entries as of the moment of the decision, then adds what came since as of the end of the plan.
pub(crate) fn account<'a>(
    honoured: &Honoured<'a>,
    entries: Vec<Entry>,
    decision: &Scene<'_, 'a>,
    end: &Scene<'_, 'a>,
) -> Reports {
    let ledger = honoured.ledger.clone();
    let traces = account::trace(decision, end, &ledger);
    let current = end.course.report.clone();
    let mut book = Book { scene: decision, brakes: &honoured.brakes, ledger, current, traces };
    for entry in entries {
        book.enter(entry, end);
    }
    let Book { ledger, current, traces, .. } = book;
    account::follow(end, ledger, current, traces)
}

/// The reports while entries are made.
struct Book<'b, 'a> {
    scene: &'b Scene<'b, 'a>,
    /// Holds and Stops in force.
    brakes: &'b [Brake],
    ledger: Ledger<'a>,
    current: Option<String>,
    traces: Vec<Arc<Trace>>,
}

impl<'a> Book<'_, 'a> {
    fn enter(&mut self, entry: Entry, end: &Scene<'_, 'a>) {
        match entry {
            Entry::Deviation { version, found, outcome } => self.deviation(&version, &found, outcome),
            Entry::Gated { version, why, steps } => self.amend(&version, |status| {
                (status.revert_waits_for, status.down_steps) = (clip(&why), steps);
            }),
            Entry::RejectedFor { version, tenants } => self.amend(&version, |status| {
                for rejected in tenants {
                    if status.rejected_for.iter().all(|known| known.tenant != rejected.tenant) {
                        status.rejected_for.push(rejected);
                    }
                }
            }),
            Entry::Reverted { outcome, revert, answer } => self.close(outcome, &revert, &answer, end),
        }
    }

    /// Writes a deviation down: anew, or as a further one of the same version.
    fn deviation(&mut self, version: &str, found: &Found, outcome: Outcome) {
        let scene = self.scene;
        let open = self.ledger.open(version).map(|(name, status)| (name.to_owned(), status.clone()));
        let (name, status) = match open {
            Some((name, mut status)) if status.outcome.is_some() => {
                let only_held = matches!(status.outcome, Some(Outcome::Held | Outcome::TenantsReverted));
                // That it holds as well does not undo that tenants went back.
                let outcome =
                    if outcome == Outcome::Held { status.outcome.unwrap_or(outcome) } else { outcome };
                let turns = status.outcome != Some(outcome) || outcome == Outcome::TenantsReverted;
                account::append(scene, &mut status, found, turns);
                if outcome == Outcome::Reverting && only_held {
                    status.revert_waits_for.clear();
                    self.traces = account::pinned(scene, &self.traces);
                    account::turn_to_revert(scene, self.brakes, &self.traces, &mut status, found);
                }
                status.outcome = Some(outcome);
                (name, status)
            }
            known => {
                self.traces = account::pinned(scene, &self.traces);
                let name = known.map_or_else(|| self.ledger.name_of(scene.input, version), |(name, _)| name);
                (name, account::open(scene, self.brakes, &self.traces, found, outcome))
            }
        };
        self.current = Some(name.clone());
        self.store(name, version, status);
    }

    /// Changes the open report of a version, if one is open.
    fn amend(&mut self, version: &str, change: impl FnOnce(&mut DeviationReportStatus)) {
        let open = self.ledger.open(version).map(|(name, status)| (name.to_owned(), status.clone()));
        let Some((name, mut status)) = open else { return };
        change(&mut status);
        self.store(name, version, status);
    }

    /// Ends the account of a revert.
    fn close(&mut self, outcome: Outcome, revert: &RevertStatus, answer: &str, end: &Scene<'_, 'a>) {
        let stored = self.scene.input.elsewhere.reports;
        let named = stored.iter().find(|report| Some(&report.name) == self.current.as_ref());
        let open = || {
            let of_it = |r: &&Report| r.spec.version == revert.version;
            stored.iter().filter(of_it).find(|r| r.status.closed_by.is_none())
        };
        let Some(report) = named.or_else(open) else { return };
        let mut status = self.ledger.status(report).clone();
        status.outcome = Some(outcome);
        status.finished_at = revert.finished_at;
        status.reverted = revert.reverted;
        status.failed = revert.failed;
        status.attribution = revert.attribution;
        status.answer = clip(answer);
        status.not_back = account::not_back(end.roster);
        self.store(report.name.clone(), &revert.version, status);
    }

    fn store(&mut self, name: String, version: &str, status: DeviationReportStatus) {
        let rollout = self.scene.input.asked.name;
        self.ledger = std::mem::take(&mut self.ledger).storing(rollout, name, version, status);
    }
}

/// What a report is about. What people found out stays theirs: it is not ours to write, not even as it was.
pub(crate) fn about(rollout: &str, version: &str) -> DeviationReportSpec {
    DeviationReportSpec { rollout: rollout.to_owned(), version: version.to_owned(), investigation: None }
}

/// Reports by name.
type Writes = BTreeMap<String, ReportWrite>;
