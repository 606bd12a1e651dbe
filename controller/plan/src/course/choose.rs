//! Follows `spec.version`: what is queued, superseded, taken back by Git, or settled (R19, R23, R32). Pure.

use breakwater_crds::{
    release::Lane,
    rollout::OnNewVersion,
    status::Phase,
    words::{HoldReason, Severity, TransitionReason},
};

use super::Course;
use crate::{
    asked::Honoured,
    gate::{self, Gates, Passage},
    input::Input,
    said::Said,
};

/// The course that `spec.version` asks for.
pub(crate) fn choose(input: &Input<'_>, honoured: &Honoured<'_>) -> (Course, Said) {
    let course = honoured.course.clone();
    if honoured.manual.is_some() {
        return (course, Said::default()); // what was asked for by name comes first; what Git says waits for it
    }
    let gates = &honoured.gates(input, &honoured.course);
    match course.phase {
        Phase::Reverting | Phase::Verifying => (reverting(course), Said::default()),
        Phase::Advancing | Phase::Soaking | Phase::AwaitingApproval | Phase::Watching => {
            under_way(input, course, gates)
        }
        Phase::Pending | Phase::Adopting | Phase::Completed | Phase::Reverted | Phase::RevertedPartly => {
            idle(course)
        }
    }
}

/// A revert is finished first; another version waits for it.
fn reverting(course: Course) -> Course {
    let rejections = match &course.revert {
        Some(revert) => course.rejections.clone().with(&revert.version),
        None => course.rejections.clone(),
    };
    let waits = !rejections.is_out(&course.wish) && Some(&course.wish) != course.stable.as_ref();
    Course { queued: waits.then(|| course.wish.clone()), rejections, ..course }
}

fn under_way(input: &Input<'_>, course: Course, gates: &Gates<'_, '_>) -> (Course, Said) {
    let Some(candidate) = course.candidate.clone() else {
        // A forged status; start again from what the tenants say.
        return (course.enter(Phase::Pending), Said::default());
    };
    let wish = course.wish.clone();
    let goes_on =
        candidate == wish || course.rejections.is_out(&wish) || gate::withdrawn(input, &wish).is_some();
    if goes_on {
        return (Course { queued: None, ..course }, Said::default());
    }
    if course.stable.as_ref() == Some(&wish) {
        return set_back(input, Course { queued: None, ..course }, &candidate, gates);
    }
    // A patch of what is under way is wanted because of what is under way (R23).
    let patch = gate::lane(input, &wish) != Lane::Normal;
    match input.spec().on_new_version {
        OnNewVersion::Queue if !patch => {
            queue(course, format!("version {wish} waits until {candidate} is done"))
        }
        OnNewVersion::Queue | OnNewVersion::Supersede => supersede(input, course, &candidate, gates),
    }
}

/// Git set the version back to the stable one: that is a revert by hand.
fn set_back(input: &Input<'_>, course: Course, candidate: &str, gates: &Gates<'_, '_>) -> (Course, Said) {
    let wish = &course.wish;
    let message = format!("spec.version was set back from {candidate} to the stable version {wish}");
    let mut said = Said::default();
    if let Some((why, _)) = gates.revert_of(candidate) {
        said.hold_above_all(HoldReason::RevertGated, format!("{message}: {why}"));
        return (course, said);
    }
    said.tell(TransitionReason::Reverting, &message);
    (course.take_out(candidate, true, &message, input.now), said)
}

/// Lets the wanted version wait for the one under way; told once.
fn queue(course: Course, why: String) -> (Course, Said) {
    let mut said = Said::default();
    if course.queued.as_ref() != Some(&course.wish) {
        said.tell(TransitionReason::Queued, why);
    }
    (Course { queued: Some(course.wish.clone()), ..course }, said)
}

/// Lets the wanted version take over, unless a gate keeps it waiting.
fn supersede(input: &Input<'_>, course: Course, candidate: &str, gates: &Gates<'_, '_>) -> (Course, Said) {
    let wish = course.wish.clone();
    let mut said = Said::default();
    for passage in gates.before_start(&wish) {
        match passage {
            Passage::Shut(_, why) => return queue(course, why),
            Passage::Warned(reason, why) => said.tell_as(reason, Severity::Warning, why),
            Passage::Open => {}
        }
    }
    let message = format!("version {wish} takes over from {candidate}, from the first wave");
    said.tell(TransitionReason::Superseded, message);
    (course.start(input, &wish), said)
}

fn idle(course: Course) -> (Course, Said) {
    let course = keep_approval(Course { queued: None, ..course });
    let begins = matches!(course.phase, Phase::Pending | Phase::Adopting);
    let settled = matches!(course.phase, Phase::Reverted | Phase::RevertedPartly);
    // What an adoption found on most tenants is stable, but that is no rollout that completed.
    let completed = !begins || course.completed_at.is_some();
    let mut said = Said::default();
    let phase = if course.rejections.is_out(&course.wish) {
        if settled { course.phase } else { Phase::Pending }
    } else if course.stable.as_ref() == Some(&course.wish) && completed {
        if course.phase != Phase::Completed {
            let message = format!("version {} is the stable one, as before", course.wish);
            said.tell(TransitionReason::Completed, message);
        }
        Phase::Completed
    } else if begins {
        course.phase
    } else {
        Phase::Pending
    };
    (course.enter(phase), said)
}

/// The approval of an adoption is for one version, which stands as the candidate until it starts; another version
/// asks anew.
fn keep_approval(course: Course) -> Course {
    let approved = course.adoption.as_ref().is_some_and(|adoption| adoption.approved.is_some());
    if approved && course.candidate.as_ref() == Some(&course.wish) {
        course
    } else if approved {
        Course { candidate: None, adoption: None, stable: None, ..course }
    } else {
        Course { candidate: None, ..course }
    }
}
