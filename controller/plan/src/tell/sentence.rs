//! One line of state, one sentence of why, and the figures of the table (R27, R30). Pure.

use breakwater_crds::{
    scalars::Span,
    status::{Counts, Phase, Progress},
};

use crate::{
    course::Course,
    input::Input,
    said::{Said, clip},
};

/// What people read first.
pub(super) struct Sentence {
    /// The phase, and what holds.
    pub(super) summary: String,
    /// What is happening and why.
    pub(super) message: String,
    /// Figures for the table.
    pub(super) progress: Progress,
}

/// Says it: a refused spec first, then what holds, then what was settled, then what is waited for.
pub(super) fn sentence(input: &Input<'_>, course: &Course, said: &Said, counts: &Counts) -> Sentence {
    let (phase, hold) = (course.phase, said.holds.first());
    let summary = match hold {
        Some(hold) => format!("{} ({})", phase.as_str(), hold.reason),
        None => phase.as_str().to_owned(),
    };
    let refused = input.asked.refused.map(|why| format!("the newest spec is refused: {why}"));
    let why = hold.map(|hold| hold.message.clone());
    let waiting = || said.waiting.clone().unwrap_or_default();
    let message = refused.or(why).or_else(|| settled(course)).unwrap_or_else(waiting);
    Sentence { summary, message: clip(&message), progress: progress(input, course, counts) }
}

/// What a version that is done came to.
fn settled(course: &Course) -> Option<String> {
    match course.phase {
        Phase::Completed => {
            course.stable.as_ref().map(|version| format!("version {version} is the stable one"))
        }
        Phase::Reverted | Phase::RevertedPartly => Some(reverted(course)),
        Phase::Pending
        | Phase::Adopting
        | Phase::Advancing
        | Phase::Soaking
        | Phase::AwaitingApproval
        | Phase::Watching
        | Phase::Reverting
        | Phase::Verifying => None,
    }
}

fn reverted(course: &Course) -> String {
    let wish = &course.wish;
    match course.revert.as_ref().filter(|revert| revert.version == *wish) {
        Some(revert) => {
            format!("{}; {} tenants are back, {} are not", revert.message, revert.reverted, revert.failed)
        }
        None => format!("version {wish} is rejected: set spec.version to a patch release, or retry it"),
    }
}

fn progress(input: &Input<'_>, course: &Course, counts: &Counts) -> Progress {
    let (phase, waves) = (course.phase, course.waves.len());
    let index = course.current_wave().filter(|_| phase.is_under_way());
    let wave = match index {
        Some(index) => format!("{}/{waves}", index + 1),
        None if matches!(phase, Phase::Watching | Phase::Completed) => format!("{waves}/{waves}"),
        None => String::new(),
    };
    let soak_left = |index: usize| {
        let soak = course.soak_of(&input.spec().waves[index]).as_seconds();
        Span::seconds(soak.saturating_sub(course.waves[index].soaked_seconds)).rounded()
    };
    Progress {
        wave,
        updated: format!("{}/{}", counts.updated, counts.live),
        soak_left: index.filter(|_| phase == Phase::Soaking).map_or_else(String::new, soak_left),
    }
}
