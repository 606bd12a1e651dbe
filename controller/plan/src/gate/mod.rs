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

/// Why a version waits for Releases that are being read: it ends by itself.
pub(crate) const BEHIND: &str = "ReleasesBehind";

/// A gate, as an Acknowledge names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The Release's migrations.
    Migrations,
    /// The Release's load tests.
    LoadTest,
    /// Deviations that nobody has answered.
    OpenDeviations,
    /// What another Rollout has soaked.
    Soak,
    /// A revert that the schema forbids.
    Revert,
    /// An emergency release, which no other gate stops.
    Emergency,
}

impl Subject {
    const ALL: [Self; 6] =
        [Self::Migrations, Self::LoadTest, Self::OpenDeviations, Self::Soak, Self::Revert, Self::Emergency];
    /// In the order in which a version is asked.
    const BEFORE_START: [Self; 4] = [Self::OpenDeviations, Self::Migrations, Self::LoadTest, Self::Soak];

    /// As an Acknowledge says it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Migrations => "migrations",
            Self::LoadTest => "loadTest",
            Self::OpenDeviations => "openDeviations",
            Self::Soak => "soak",
            Self::Revert => "revert",
            Self::Emergency => "emergency",
        }
    }

    /// From an Acknowledge.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|subject| subject.as_str() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|subject| subject.as_str()).collect();
            format!("there is no gate {text:?}; the gates are {}", known.join(", "))
        })
    }

    /// The word for machines.
    const fn reason(self) -> &'static str {
        match self {
            Self::Migrations => "Migrations",
            Self::LoadTest => "LoadTest",
            Self::OpenDeviations => "OpenDeviations",
            Self::Soak => "SoakGate",
            Self::Revert => "RevertGated",
            Self::Emergency => "Emergency",
        }
    }

    fn level(self, draft: &Draft<'_>) -> Gate {
        let gates = &draft.observed.spec.spec.gates;
        match self {
            Self::Migrations | Self::Revert => gates.migrations,
            Self::LoadTest => gates.load_test,
            Self::OpenDeviations => gates.open_deviations,
            Self::Emergency => Gate::Require,
            Self::Soak => gates.soak.as_ref().map_or(Gate::Ignore, |soak| soak.gate),
        }
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
    Warned(String),
    /// The version waits, and how it would not.
    Shut(String),
}

/// What every gate says of a version that is to start: a word for machines, and the answer.
pub(crate) fn before_start(draft: &Draft<'_>, version: &str) -> Vec<(&'static str, Passage)> {
    if let Some(why) = withdrawn(draft, version) {
        return vec![("Withdrawn", Passage::Shut(why))];
    }
    if let Some(why) = draft.observed.releases_unread {
        return vec![("ReleasesUnread", Passage::Shut(format!("version {version} waits: {why}")))];
    }
    if let Some(why) = draft.observed.releases_behind {
        return vec![(BEHIND, Passage::Shut(format!("version {version} waits: {why}")))];
    }
    let warned = evidence::load_test_warns(draft, version).map(Passage::Warned);
    let asked =
        Subject::BEFORE_START.into_iter().map(|subject| (subject.reason(), ask(draft, subject, version)));
    let mut asked: Vec<(&'static str, Passage)> =
        asked.chain(warned.map(|passage| (Subject::LoadTest.reason(), passage))).collect();
    if lane(draft, version) == Lane::Emergency {
        for (_, passage) in &mut asked {
            passage.only_warns();
        }
        asked.push((Subject::Emergency.reason(), ask(draft, Subject::Emergency, version)));
    }
    asked
}

impl Passage {
    /// In an emergency people are told, and nothing waits (R35).
    fn only_warns(&mut self) {
        if let Self::Shut(why) = self {
            *self = Self::Warned(format!("emergency: it starts all the same; {why}"));
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

fn ask(draft: &Draft<'_>, subject: Subject, version: &str) -> Passage {
    let level = subject.level(draft);
    let Some(problem) = problems(draft, subject, version).pop().filter(|_| level != Gate::Ignore) else {
        return Passage::Open;
    };
    if level == Gate::Warn {
        return Passage::Warned(format!("version {version} starts although {}", problem.text));
    }
    if is_acknowledged(draft, subject, version, &problem) {
        return Passage::Open;
    }
    let mend = problem.mend.clone().unwrap_or_else(|| format!("pass it: {}", how(draft, subject, version)));
    Passage::Shut(format!("version {version} waits: {}; {mend}", problem.text))
}

/// The command that acknowledges.
fn how(draft: &Draft<'_>, subject: Subject, version: &str) -> String {
    let (name, namespace) = (draft.observed.name, draft.observed.namespace);
    format!(
        "kubectl breakwater acknowledge {name} {} -n {namespace} --version {version} --reason WHY",
        subject.as_str()
    )
}

/// What a gate has against a version: one sentence, or none; of a revert one for each version to go back to.
fn problems(draft: &Draft<'_>, subject: Subject, version: &str) -> Vec<Problem> {
    let problem = match subject {
        Subject::Migrations => evidence::migrations(draft, version),
        Subject::LoadTest => evidence::load_test(draft, version),
        Subject::OpenDeviations => deviations::open(draft, version),
        Subject::Soak => evidence::soak(draft, version),
        Subject::Emergency => emergency(draft, version),
        Subject::Revert => return way_back::problems(draft, version),
    };
    problem.into_iter().collect()
}

fn is_acknowledged(draft: &Draft<'_>, subject: Subject, version: &str, problem: &Problem) -> bool {
    let said = problem.hash();
    draft.status.acknowledged.iter().any(|acknowledged| {
        acknowledged.subject == subject.as_str()
            && acknowledged.version == version
            && acknowledged.said == said
    })
}

/// Passes a gate for a version as it stands now.
pub(crate) fn acknowledge(
    draft: &mut Draft<'_>,
    subject: &str,
    version: &str,
    word: &Approved,
) -> Result<String, String> {
    let subject = Subject::parse(subject)?;
    if let Some(why) = withdrawn(draft, version) {
        return Err(format!("{why}: no acknowledgement passes that"));
    }
    let problems = problems(draft, subject, version);
    let subject = subject.as_str();
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
