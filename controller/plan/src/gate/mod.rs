//! Gates: what must be true before a version may start, and before it may go back (`spec.gates`, R21). Pure.
//!
//! A gate has a problem or none. What a problem does is the Rollout's to say: `Require` waits, `Warn` tells, `Ignore` does not
//! ask. An Acknowledge passes a gate for one version as long as its problem stays the same.

mod deviations;
mod evidence;
mod way_back;

use breakwater_crds::{
    gates::Gate,
    marker::stable_hash,
    release::Lane,
    status::{Acknowledged, Approved},
    words::{GateSubject, HoldReason, TransitionReason},
};

pub(crate) use evidence::{lane, longest, off_hours, withdrawn};
pub(crate) use way_back::WayBack;

use crate::{
    course::{Course, Rejections, Way},
    input::Input,
    reports::Ledger,
};

/// Longest reason in a gate's sentence, in bytes: how to pass it must fit beside.
const WHY_MAX: usize = 160;

/// The gates in the order in which a version that is to start is asked.
const BEFORE_START: [GateSubject; 4] =
    [GateSubject::OpenDeviations, GateSubject::Migrations, GateSubject::LoadTest, GateSubject::Soak];

/// From an Acknowledge.
fn parse(text: &str) -> Result<GateSubject, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = GateSubject::ALL.iter().map(|subject| subject.as_str()).collect();
        format!("there is no gate {text:?}; the gates are {}", known.join(", "))
    })
}

fn level(subject: GateSubject, input: &Input<'_>) -> Gate {
    let gates = &input.spec().gates;
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

/// Everything that gates are asked with.
#[derive(Clone, Copy)]
pub(crate) struct Gates<'g, 'a> {
    input: &'g Input<'a>,
    ledger: &'g Ledger<'a>,
    /// Gates that somebody passed.
    acknowledged: &'g [Acknowledged],
    way: Way<'g, 'a>,
}

impl<'g, 'a> Gates<'g, 'a> {
    /// With what is acknowledged and rejected, and where tenants go back to else.
    pub(crate) fn new(
        input: &'g Input<'a>,
        ledger: &'g Ledger<'a>,
        acknowledged: &'g [Acknowledged],
        rejections: &'g Rejections,
        stable: Option<&'g str>,
    ) -> Self {
        Self { input, ledger, acknowledged, way: Way::new(input, rejections, stable) }
    }

    /// The same gates under another course.
    pub(crate) fn under<'c>(&self, course: &'c Course) -> Gates<'c, 'a>
    where
        'g: 'c,
    {
        let Self { input, ledger, acknowledged, way: _ } = *self;
        Gates { input, ledger, acknowledged, way: course.way(input) }
    }

    /// What every gate says of a version that is to start.
    pub(crate) fn before_start(&self, version: &str) -> Vec<Passage> {
        if let Some(why) = withdrawn(self.input, version) {
            return vec![Passage::Shut(HoldReason::Withdrawn, why)];
        }
        if let Some(why) = self.input.elsewhere.releases_unread {
            let why = format!("version {version} waits: {why}");
            return vec![Passage::Shut(HoldReason::ReleasesUnread, why)];
        }
        if let Some(why) = self.input.elsewhere.releases_behind {
            let why = format!("version {version} waits: {why}");
            return vec![Passage::Shut(HoldReason::ReleasesBehind, why)];
        }
        let warned = evidence::load_test_warns(self.input, version);
        let warned = warned.map(|why| Passage::Warned(TransitionReason::LoadTest, why));
        let asked = BEFORE_START.into_iter();
        let asked = asked.map(|subject| (subject, self.ask(subject, version)));
        if lane(self.input, version) != Lane::Emergency {
            return asked.map(|(_, passage)| passage).chain(warned).collect();
        }
        let asked = asked.map(|(subject, passage)| passage.only_warns(subject)).chain(warned);
        asked.chain([self.ask(GateSubject::Emergency, version)]).collect()
    }

    /// Passes a gate for a version as it stands now: what is acknowledged from here on, and the words for it.
    pub(crate) fn acknowledge(
        &self,
        subject: &str,
        version: &str,
        word: &Approved,
    ) -> Result<(Vec<Acknowledged>, String), String> {
        let subject = parse(subject)?;
        if let Some(why) = withdrawn(self.input, version) {
            return Err(format!("{why}: no acknowledgement passes that"));
        }
        let problems = self.problems(subject, version);
        let Some(text) = problems.first().map(|problem| problem.text.clone()) else {
            return Err(format!(
                "gate {subject} has nothing against version {version}: there is nothing to acknowledge"
            ));
        };
        let mut all = self.acknowledged.to_vec();
        for problem in problems {
            let said = problem.hash();
            all.retain(|old| old.said != said || old.version != version);
            all.push(Acknowledged {
                subject: subject.into(),
                version: version.into(),
                said,
                word: word.clone(),
            });
        }
        Ok((all, format!("gate {subject} lets version {version} pass although {text}")))
    }

    fn ask(&self, subject: GateSubject, version: &str) -> Passage {
        let level = level(subject, self.input);
        let Some(problem) = self.problems(subject, version).pop().filter(|_| level != Gate::Ignore) else {
            return Passage::Open;
        };
        if level == Gate::Warn {
            let why = format!("version {version} starts although {}", problem.text);
            return Passage::warned(subject, why);
        }
        if self.is_acknowledged(subject, version, &problem) {
            return Passage::Open;
        }
        let mend = problem.mend.clone().unwrap_or_else(|| format!("pass it: {}", self.how(subject, version)));
        let why = format!("version {version} waits: {}; {mend}", problem.text);
        Passage::Shut(subject.hold_reason(), why)
    }

    /// The command that acknowledges.
    fn how(&self, subject: GateSubject, version: &str) -> String {
        let (name, namespace) = (self.input.asked.name, self.input.asked.namespace);
        format!(
            "kubectl breakwater acknowledge {name} {} -n {namespace} --version {version} --reason WHY",
            subject.as_str()
        )
    }

    /// What a gate has against a version: one sentence, or none; of a revert one for each version to go back to.
    fn problems(&self, subject: GateSubject, version: &str) -> Vec<Problem> {
        let problem = match subject {
            GateSubject::Migrations => evidence::migrations(self.input, version),
            GateSubject::LoadTest => evidence::load_test(self.input, version),
            GateSubject::OpenDeviations => deviations::open(self.input, self.ledger, version),
            GateSubject::Soak => evidence::soak(self.input, version),
            GateSubject::Emergency => emergency(self.input, version),
            GateSubject::Revert => return self.against_revert(version),
        };
        problem.into_iter().collect()
    }

    fn is_acknowledged(&self, subject: GateSubject, version: &str, problem: &Problem) -> bool {
        let said = problem.hash();
        self.acknowledged.iter().any(|acknowledged| {
            acknowledged.subject == subject && acknowledged.version == version && acknowledged.said == said
        })
    }
}

impl Passage {
    /// In an emergency people are told, and nothing waits (R35).
    fn only_warns(self, subject: GateSubject) -> Self {
        match self {
            Self::Shut(_, why) => Self::warned(subject, format!("emergency: it starts all the same; {why}")),
            Self::Open | Self::Warned(..) => self,
        }
    }

    /// A revert and an emergency have no warning: nobody asks them where they would only warn.
    fn warned(subject: GateSubject, why: String) -> Self {
        subject.transition_reason().map_or(Self::Open, |reason| Self::Warned(reason, why))
    }
}

/// An emergency release passes every other gate, and wants one human who says so (R35).
fn emergency(input: &Input<'_>, version: &str) -> Option<Problem> {
    let wants = lane(input, version) == Lane::Emergency;
    wants.then(|| {
        Problem::of("it is an Emergency release, which passes every gate, window and approval".into())
    })
}
