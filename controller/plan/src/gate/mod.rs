//! Gates: what must be true before a version may start, and before it may go back (`spec.gates`, R21). Pure.
//!
//! A gate has a problem or none. What a problem does is the Rollout's to say: `Require` waits, `Warn` tells, `Ignore` does not
//! ask. An Acknowledge passes a gate for one version as long as its problem stays the same.

mod deviations;
mod evidence;
mod way_back;

use std::collections::BTreeSet;

use breakwater_crds::{
    gates::Gate,
    marker::stable_hash,
    release::Lane,
    status::{ACKNOWLEDGED_MAX, Acknowledged, Approved},
    words::{GateSubject, HoldReason, TransitionReason},
};
pub(crate) use evidence::{lane, longest, off_hours, withdrawn};
pub(crate) use way_back::{WayBack, revert_of, way_back};

use crate::{
    draft::Draft,
    fleet::own,
    observed::{Claim, Observed},
};

/// Longest reason in a gate's sentence, in bytes: how to pass it must fit beside.
const WHY_MAX: usize = 160;

/// In the order in which a version is asked.
const BEFORE_START: [GateSubject; 4] =
    [GateSubject::OpenDeviations, GateSubject::Migrations, GateSubject::LoadTest, GateSubject::Soak];

/// From an Acknowledge.
fn parse(text: &str) -> Result<GateSubject, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = GateSubject::ALL.iter().map(|subject| subject.as_str()).collect();
        format!("there is no gate {text:?}; the gates are {}", known.join(", "))
    })
}

fn level(draft: &Draft<'_>, subject: GateSubject) -> Gate {
    let gates = &draft.observed.spec.spec.gates;
    match subject {
        GateSubject::Migrations | GateSubject::Revert => gates.migrations,
        GateSubject::LoadTest => gates.load_test,
        GateSubject::OpenDeviations => gates.open_deviations,
        GateSubject::Emergency => Gate::Require,
        GateSubject::Soak => gates.soak.as_ref().map_or(Gate::Ignore, |soak| soak.gate),
    }
}

/// What keeps a gate shut.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The sentence.
    text: String,
    /// What an acknowledgement stands for: the sentence without figures that move.
    key: String,
    /// How it would be met.
    mend: Option<String>,
}

impl Problem {
    fn of(text: String) -> Self {
        Self { key: text.clone(), text, mend: None }
    }

    fn hash(&self) -> String {
        format!("{:016x}", stable_hash(&[&self.key]))
    }
}

/// What a gate asks of a version.
#[derive(Debug, Clone)]
pub(crate) enum Passage {
    /// It is met, or nobody asks.
    Open,
    /// It is not, and people are only told.
    Warned(TransitionReason, String),
    /// The version waits, and how it would not.
    Shut(HoldReason, String),
}

/// What every gate says of a version that is to start.
pub(crate) fn before_start(draft: &Draft<'_>, version: &str) -> Vec<Passage> {
    if let Some(why) = withdrawn(draft, version) {
        return vec![Passage::Shut(HoldReason::Withdrawn, why)];
    }
    if let Some(why) = draft.observed.releases_unread {
        let why = format!("version {version} waits: {why}");
        return vec![Passage::Shut(HoldReason::ReleasesUnread, why)];
    }
    let is_emergency = lane(draft, version) == Lane::Emergency;
    let asked = BEFORE_START.into_iter().map(|subject| {
        let passage = ask(draft, subject, version);
        if is_emergency { passage.only_warning(subject) } else { passage }
    });
    let warned = evidence::load_test_warns(draft, version);
    let warned = warned.map(|why| Passage::Warned(TransitionReason::LoadTest, why));
    let confirmed = is_emergency.then(|| ask(draft, GateSubject::Emergency, version));
    asked.chain(warned).chain(confirmed).collect()
}

impl Passage {
    /// In an emergency people are told, and nothing waits (R35).
    fn only_warning(self, subject: GateSubject) -> Self {
        match (self, subject.transition_reason()) {
            (Self::Shut(_, why), Some(told)) => {
                Self::Warned(told, format!("emergency: it starts all the same; {why}"))
            }
            (passage, _) => passage,
        }
    }
}

/// An emergency release passes every other gate, and wants one human who says so (R35).
fn emergency(draft: &Draft<'_>, version: &str) -> Option<Problem> {
    let wants = lane(draft, version) == Lane::Emergency;
    wants.then(|| {
        Problem::of("it is an Emergency release, which passes every gate, window and approval".into())
    })
}

fn ask(draft: &Draft<'_>, subject: GateSubject, version: &str) -> Passage {
    let level = level(draft, subject);
    let Some(problem) = problems(draft, subject, version).pop().filter(|_| level != Gate::Ignore) else {
        return Passage::Open;
    };
    if let Some(told) = subject.transition_reason().filter(|_| level == Gate::Warn) {
        return Passage::Warned(told, format!("version {version} starts although {}", problem.text));
    }
    if is_acknowledged(draft, subject, version, &problem) {
        return Passage::Open;
    }
    let mend = problem.mend.clone().unwrap_or_else(|| format!("pass it: {}", how(draft, subject, version)));
    let why = format!("version {version} waits: {}; {mend}", problem.text);
    Passage::Shut(subject.hold_reason(), why)
}

/// The command that acknowledges.
fn how(draft: &Draft<'_>, subject: GateSubject, version: &str) -> String {
    let (name, namespace) = (draft.observed.name, draft.observed.namespace);
    format!("kubectl breakwater acknowledge {name} {subject} -n {namespace} --version {version} --reason WHY")
}

/// What a gate has against a version: one sentence, or none; of a revert one for each version to go back to.
fn problems(draft: &Draft<'_>, subject: GateSubject, version: &str) -> Vec<Problem> {
    let problem = match subject {
        GateSubject::Migrations => evidence::migrations(draft, version),
        GateSubject::LoadTest => evidence::load_test(draft, version),
        GateSubject::OpenDeviations => deviations::open(draft, version),
        GateSubject::Soak => evidence::soak(draft, version),
        GateSubject::Emergency => emergency(draft, version),
        GateSubject::Revert => return way_back::problems(draft, version),
    };
    problem.into_iter().collect()
}

fn is_acknowledged(draft: &Draft<'_>, subject: GateSubject, version: &str, problem: &Problem) -> bool {
    let said = problem.hash();
    draft.status.acknowledged.iter().any(|acknowledged| {
        acknowledged.subject == subject && acknowledged.version == version && acknowledged.said == said
    })
}

/// Passes a gate for a version as it stands now.
pub(crate) fn acknowledge(
    draft: &mut Draft<'_>,
    subject: &str,
    version: &str,
    word: &Approved,
) -> Result<String, String> {
    let subject = parse(subject)?;
    if let Some(why) = withdrawn(draft, version) {
        return Err(format!("{why}: no acknowledgement passes that"));
    }
    let problems = problems(draft, subject, version);
    let Some(text) = problems.first().map(|problem| problem.text.clone()) else {
        return Err(format!(
            "gate {subject} has nothing against version {version}: there is nothing to acknowledge"
        ));
    };
    for problem in problems {
        let said = problem.hash();
        let acknowledged =
            Acknowledged { subject: subject.into(), version: version.into(), said, word: word.clone() };
        draft.status.acknowledged.retain(|old| old.said != acknowledged.said || old.version != version);
        draft.status.acknowledged.push(acknowledged);
    }
    let surplus = draft.status.acknowledged.len().saturating_sub(ACKNOWLEDGED_MAX);
    draft.status.acknowledged.drain(..surplus);
    Ok(format!("gate {subject} lets version {version} pass although {text}"))
}

/// Versions that tenants of this Rollout run, or came from to `version`; `version` itself is not among them.
fn running<'a>(draft: &Draft<'a>, version: &str) -> BTreeSet<&'a str> {
    let pairs = draft.running.get_or_init(|| pairs(draft.observed));
    let of = |(found, previous): &(&'a str, Option<&'a str>)| {
        if *found == version { *previous } else { Some(*found) }
    };
    pairs.iter().filter_map(of).filter(|found| *found != version).collect()
}

/// Every version that a tenant of this Rollout runs, with the one that it came from by our hand.
fn pairs<'a>(observed: &Observed<'a>) -> BTreeSet<(&'a str, Option<&'a str>)> {
    let mut pairs = BTreeSet::new();
    for tenant in observed.tenants {
        let own = own(tenant);
        let claimed = tenant.marker.as_deref().is_some_and(|marker| marker.claim == Claim::Other);
        let ours = own.is_some() || (tenant.selected && !tenant.excluded);
        let there = tenant.consented && !tenant.terminating && !claimed;
        if let Some(version) = tenant.version.version().filter(|_| ours && there) {
            pairs.insert((&**version, own.map(|marker| &*marker.previous)));
        }
    }
    pairs
}
