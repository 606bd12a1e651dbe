//! Whether the release deviates, and what is done about it (rules R4, R11, R14, R19, R21, R22). Pure.

mod alone;
mod failures;

use breakwater_crds::{
    gates::Gate,
    report::{DownStep, InvestigationState, Outcome},
    rollout::DeviationAction,
    status::Phase,
    words::{DeviationReason, HoldReason, TransitionReason, Word},
};
use breakwater_slo::{Action, Evidence, TenantId, Verdict};

use self::alone::Alone;
use crate::{
    asked::{Honoured, ManualRevert},
    course::{Course, begin, forget_stable},
    gate::Gates,
    input::Input,
    judged::{Judged, guard_reason},
    reports::Entry,
    roster::Roster,
    said::{Hold, Said, clip},
    spec::{alpha_share, is_per_tenant},
};

/// A deviation as found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The word for machines; that of a report may be a newer controller's.
    pub(crate) reason: Word<DeviationReason>,
    /// The sentence with the numbers (R30).
    pub(crate) message: String,
    /// Index of the SLO that spoke, if one did.
    pub(crate) slo: Option<usize>,
    /// Who asked for it, where somebody did.
    pub(crate) by: String,
    /// It was asked for, or stands already: no policy softens it.
    pub(crate) manual: bool,
}

impl Found {
    /// A deviation that was measured.
    fn measured(reason: DeviationReason, message: String, slo: Option<usize>) -> Self {
        Self { reason: reason.into(), message, slo, by: String::new(), manual: false }
    }
}

/// What is done about what was found.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The course from here on, where it is another one.
    pub(crate) course: Option<Course>,
    /// What the reports are to tell.
    pub(crate) entries: Vec<Entry>,
    /// Tenants whose evidence no longer counts, since they go back alone.
    pub(crate) forgiven: Vec<TenantId>,
    /// SLOs whose holds are answered by that.
    answered: Vec<usize>,
    /// Failed tenants whose cause is to be looked up.
    pub(crate) diagnose: Vec<TenantId>,
}

impl Answer {
    /// Nothing is done.
    pub(crate) fn none() -> Self {
        Self {
            course: None,
            entries: Vec::new(),
            forgiven: Vec::new(),
            answered: Vec::new(),
            diagnose: Vec::new(),
        }
    }

    /// Another course is taken.
    pub(crate) fn turn(course: Course) -> Self {
        Self { course: Some(course), ..Self::none() }
    }

    /// The holds that still stand: a sharp path's is answered where its tenants go back.
    pub(crate) fn unanswered(&self, said: Said) -> Said {
        let stands = |hold: &Hold| {
            let answered = hold.slo.is_some_and(|slo| self.answered.contains(&slo));
            !(answered && hold.reason == HoldReason::SharpPath)
        };
        Said { holds: said.holds.into_iter().filter(stands).collect(), ..said }
    }
}

/// Everything that a deviation is looked for in.
#[derive(Clone, Copy)]
pub(crate) struct Case<'c, 'a> {
    pub(crate) input: &'c Input<'a>,
    pub(crate) honoured: &'c Honoured<'a>,
    pub(crate) course: &'c Course,
    pub(crate) roster: &'c Roster<'a>,
    pub(crate) judged: &'c Judged,
    pub(crate) gates: Gates<'c, 'a>,
}

/// What turns the course: a start where nothing is under way, a deviation where something is.
pub(crate) fn answer(case: Case<'_, '_>) -> (Answer, Said) {
    let Case { input, honoured, course, roster, gates, .. } = case;
    match course.phase {
        Phase::Pending | Phase::Adopting => {
            let (course, said) = begin(input, course.clone(), roster, &gates, &honoured.other_hubs);
            (Answer::turn(course), said)
        }
        Phase::Advancing
        | Phase::Soaking
        | Phase::AwaitingApproval
        | Phase::Watching
        | Phase::Completed
        | Phase::Reverting
        | Phase::Verifying
        | Phase::Reverted
        | Phase::RevertedPartly => decide(case),
    }
}

/// Looks for a deviation of the version under way, or of the one that a Revert names, and answers it as `onDeviation` says.
fn decide(case: Case<'_, '_>) -> (Answer, Said) {
    let Case { input, honoured, course, judged, .. } = case;
    let manual = honoured.manual.as_ref();
    let completed = course.phase == Phase::Completed && manual.is_some();
    let version = if completed {
        manual.map(|manual| manual.version.clone())
    } else {
        course.candidate.clone().filter(|_| course.phase.is_under_way())
    };
    let Some(version) = version else { return (Answer::none(), Said::default()) };
    let alone = alone::look(case, &version);
    let found = manual
        .map(by_hand)
        .or_else(|| already_rejected(case, &version))
        .or_else(|| waiting(case, &version))
        .or_else(|| measured(input, course, judged, &alone));
    let (found, diagnose, said) = match found {
        Some(found) => (Some(found), Vec::new(), Said::default()),
        None => failures::look(case),
    };
    let Some(found) = found else {
        let (answer, more) = alone::send_back(case, &version, &alone);
        return (Answer { diagnose, ..answer }, said.and(more));
    };
    if input.spec().on_deviation.action == DeviationAction::Hold && !found.manual {
        return hold(case, version, found);
    }
    if let Some((why, steps)) = forbidden(case, &version) {
        return wait(case, version, found, why, steps);
    }
    revert(case, version, found, completed)
}

/// `onDeviation` says to hold: it is written down, and nothing advances.
fn hold(case: Case<'_, '_>, version: String, found: Found) -> (Answer, Said) {
    let mut said = Said::held(HoldReason::Deviating, found.message.clone());
    if case.honoured.ledger.open(&version).is_none() {
        said.tell(TransitionReason::Deviation, found.message.clone());
    }
    let entries = vec![Entry::Deviation { version, found, outcome: Outcome::Held }];
    (Answer { entries, ..Answer::none() }, said)
}

/// The version is taken out, and rejected from here on.
fn revert(case: Case<'_, '_>, version: String, found: Found, completed: bool) -> (Answer, Said) {
    let (course, now) = (case.course, case.input.now);
    let mut said = Said::default();
    said.tell(TransitionReason::Deviation, found.message.clone());
    said.tell(TransitionReason::Reverting, found.message.clone());
    let turned = if completed {
        let stable = forget_stable(course, case.roster, &version);
        Course { stable, candidate: Some(version.clone()), ..course.clone() }
    } else {
        course.clone()
    };
    let turned = turned.take_out(&version, false, &found.message, now);
    let rejections = turned.rejections.clone().listing(&version);
    let entries = vec![Entry::Deviation { version, found, outcome: Outcome::Reverting }];
    (Answer { entries, ..Answer::turn(Course { rejections, ..turned }) }, said)
}

/// Why the schema forbids a revert, and what takes it down. That the Release which said so is gone does not allow it.
fn forbidden(case: Case<'_, '_>, version: &str) -> Option<(String, Vec<DownStep>)> {
    let remembered = || {
        let (_, status) = case.honoured.ledger.open(version)?;
        let mut releases = case.input.elsewhere.releases.iter();
        let is_gone = releases.all(|release| release.version != version);
        let asks = case.input.spec().gates.migrations == Gate::Require;
        // A Release that spoke left steps, known or not; that none could be listed leaves nothing.
        let waits = !status.revert_waits_for.is_empty() && !status.down_steps.is_empty();
        let kept = || (status.revert_waits_for.clone(), status.down_steps.clone());
        (is_gone && asks && waits).then(kept)
    };
    case.gates.revert_of(version).or_else(remembered)
}

/// The schema forbids the revert (R21): it is written down with the way down, and holds until somebody acknowledges it, or
/// answers the report.
fn wait(
    case: Case<'_, '_>,
    version: String,
    found: Found,
    why: String,
    steps: Vec<DownStep>,
) -> (Answer, Said) {
    let open = case.honoured.ledger.open(&version);
    let known = open.is_some_and(|(_, status)| status.revert_waits_for == clip(&why));
    let mut said = Said::default();
    if !known {
        said.tell(TransitionReason::RevertGated, format!("{}; {why}", found.message));
    }
    said.hold_above_all(HoldReason::RevertGated, why.clone());
    let entries = vec![
        Entry::Deviation { version: version.clone(), found, outcome: Outcome::Held },
        Entry::Gated { version, why, steps },
    ];
    (Answer { entries, ..Answer::none() }, said)
}

/// A revert that waits goes on as soon as it may, whatever the SLOs say by then.
fn waiting(case: Case<'_, '_>, version: &str) -> Option<Found> {
    let (name, status) = case.honoured.ledger.open(version)?;
    if status.revert_waits_for.is_empty() {
        return None;
    }
    let stored = case.input.elsewhere.reports.iter().find(|report| report.name == name);
    let answered = stored.and_then(|report| report.spec.investigation.as_ref());
    if answered.is_some_and(|found| found.state != InvestigationState::Open) {
        return None;
    }
    Some(Found {
        reason: status.reason.clone(),
        message: status.message.clone(),
        slo: None,
        by: status.requested_by.clone(),
        manual: true,
    })
}

fn by_hand(manual: &ManualRevert) -> Found {
    let ManualRevert { version, by, why } = manual;
    Found {
        reason: DeviationReason::Manual.into(),
        message: format!("{by} reverts {version}: {why}"),
        slo: None,
        by: by.clone(),
        manual: true,
    }
}

/// A report rejects the version although it is under way: a crash came between the two writes, or a human wrote it.
/// What it says stands.
fn already_rejected(case: Case<'_, '_>, version: &str) -> Option<Found> {
    let mut reports = case.input.elsewhere.reports.iter();
    let report = reports.find(|r| r.spec.version == version && r.status.rejects())?;
    let status = &report.status;
    let message = if status.message.is_empty() {
        format!("DeviationReport {} rejects {version}", report.name)
    } else {
        status.message.clone()
    };
    let reason = if status.reason.as_str().is_empty() {
        DeviationReason::Rejected.into()
    } else {
        status.reason.clone()
    };
    let by = status.requested_by.clone();
    let out = case.course.rejections.is_out(version);
    out.then_some(Found { reason, message, slo: None, by, manual: true })
}

/// An SLO's guard deviates, more tenants than may be are guilty by themselves, or the comparisons of all SLOs together
/// deviate: not where what one says is about such tenants and answered by sending them back (R22).
fn measured(input: &Input<'_>, course: &Course, judged: &Judged, alone: &Alone) -> Option<Found> {
    let sentence =
        |slo: usize, evidence: &Evidence| evidence.sentence(&input.slos()[slo].name, course.wave_name());
    let excess = || {
        let (slo, words) = alone.excess.as_ref()?;
        let evidence = judged.evidence[*slo].as_ref()?;
        let message = format!("{}{words}", sentence(*slo, evidence));
        Some(Found::measured(guard_reason(evidence), message, Some(*slo)))
    };
    let deviates = |(slo, evidence): (usize, &Option<Evidence>)| {
        let evidence = evidence.as_ref().filter(|_| !alone.answers(slo))?;
        (evidence.action == Action::Deviate)
            .then(|| Found::measured(guard_reason(evidence), sentence(slo, evidence), Some(slo)))
    };
    let all = || {
        let (slo, message) = together(input, course, judged).filter(|_| alone.is_empty())?;
        Some(Found::measured(DeviationReason::Comparison, message, Some(slo)))
    };
    excess().or_else(|| judged.evidence.iter().enumerate().find_map(deviates)).or_else(all)
}

/// Several SLOs, each of them short of its limit, pass it together (analysis.md 2): the one that says most, and the
/// sentence about what it sees. What has no data, or is not calibrated, says nothing.
fn together(input: &Input<'_>, course: &Course, judged: &Judged) -> Option<(usize, String)> {
    let spec = input.spec();
    let compared = spec.slos.iter().filter(|slo| is_per_tenant(slo)).count();
    let mut said: Vec<(usize, f64, f64)> = Vec::new();
    for (slo, (evidence, status)) in judged.evidence.iter().zip(&judged.slos).enumerate() {
        let usable = |evidence: &&Evidence| match evidence.verdict {
            Verdict::NoData | Verdict::Uncalibrated => false,
            Verdict::Healthy | Verdict::Inconclusive | Verdict::Deviating => true,
        };
        if let Some(ln_e) = evidence.as_ref().filter(usable).and_then(|evidence| evidence.ln_e) {
            said.push((slo, alpha_share(compared, status.anew), ln_e));
        }
    }
    let shares: Vec<(f64, f64)> = said.iter().map(|(_, share, ln_e)| (*share, *ln_e)).collect();
    let combined = breakwater_slo::combine(&shares, spec.judge.alpha.as_ratio());
    let (slo, ..) = *said.iter().max_by(|(_, a, e), (_, b, f)| (a.ln() + e).total_cmp(&(b.ln() + f)))?;
    if !combined.deviates {
        return None;
    }
    let step = input.reading(slo)?.step_seconds;
    let seen = judged.judges.get(slo)?.seen(&input.asked.spec.judge(slo, step))?;
    let evidence = Evidence { reason: seen, ..judged.evidence[slo].clone()? };
    let sentence = evidence.sentence(&spec.slos[slo].name, course.wave_name());
    let certainty = (combined.certainty * 1e4).floor() / 1e2;
    Some((slo, format!("{sentence}; together with the other SLOs, certainty {certainty:.2}%")))
}
