//! What a version's Releases have for it: migrations, load tests, the soak of another Rollout, a withdrawal. Without a
//! Release nobody asks (R21). Pure.

use breakwater_crds::{
    gates::Gate,
    release::Lane,
    scalars::Span,
    words::{Impact, LoadTestVerdict, RevertSafety},
};

use super::{Problem, WHY_MAX, running};
use crate::{
    draft::{Draft, clip_to},
    release::{self, Crossing, LoadTest, Release},
    version::is_ahead,
};

fn releases<'a>(draft: &Draft<'a>, version: &str) -> impl Iterator<Item = &'a Release> {
    let version = version.to_owned();
    draft.observed.releases.iter().filter(move |release| release.version == version)
}

/// Why a version is never to be rolled out, if so.
pub(crate) fn withdrawn(draft: &Draft<'_>, version: &str) -> Option<String> {
    let mut of_it = releases(draft, version);
    of_it.find_map(|release| {
        let why = release.withdrawn.as_ref()?;
        Some(format!("version {version} is withdrawn by Release {}: {why}", release.name))
    })
}

/// How fast a version may travel: the fastest that a Release of it says.
pub(crate) fn lane(draft: &Draft<'_>, version: &str) -> Lane {
    releases(draft, version).map(|release| release.lane).max().unwrap_or_default()
}

/// What lies between each running version and `version`, whichever of the two is the later one.
fn crossings<'a>(draft: &Draft<'a>, version: &str) -> Vec<(&'a str, Crossing, bool)> {
    let releases = draft.observed.releases;
    if releases.is_empty() {
        return Vec::new(); // nobody looks at every tenant where nobody asks
    }
    let on_the_way = |running: &'a str| {
        let back = is_ahead(running, version);
        let (older, newer) = if back { (version, running) } else { (running, version) };
        Some((running, release::crossing(releases, older, newer)?, back))
    };
    running(draft, version).into_iter().filter_map(on_the_way).collect()
}

/// What the migrations have against a version: they block users, may lock for nobody knows how long, or leave no way back.
pub(super) fn migrations(draft: &Draft<'_>, version: &str) -> Option<Problem> {
    let spec = &draft.observed.spec.spec;
    let has_off_hours = has_off_hours(draft);
    let by_job = spec.revert.down_job.is_some();
    crossings(draft, version).iter().find_map(|(running, crossing, back)| {
        let Crossing { impact, revert, why_impact, why_revert, .. } = crossing;
        let revert_is_fine = *revert == RevertSafety::RevertSafe
            || (*revert == RevertSafety::RevertNeedsDown && by_job && !back);
        let (what, why) = match impact {
            Impact::Downtime | Impact::Unknown if !back => (impact.to_string(), why_impact),
            Impact::OffHours if !back && !has_off_hours => {
                (format!("{impact}, and no window of spec.schedule.allow is marked offHours"), why_impact)
            }
            _ if revert_is_fine => return None,
            _ => (revert.to_string(), why_revert),
        };
        Some(Problem::of(format!("from {running} it is {what} ({})", clip_to(why, WHY_MAX))))
    })
}

fn has_off_hours(draft: &Draft<'_>) -> bool {
    draft.observed.spec.spec.schedule.allow.iter().any(|window| window.off_hours)
}

/// True where what goes in may be written in windows marked `offHours` alone (R8).
pub(crate) fn off_hours(draft: &Draft<'_>, version: &str) -> bool {
    has_off_hours(draft)
        && draft.observed.spec.spec.gates.migrations != Gate::Ignore
        && crossings(draft, version)
            .iter()
            .any(|(_, crossing, back)| !back && crossing.impact != Impact::Quiet)
}

/// The longest that the migrations to a version may take, where that is known (R4).
pub(crate) fn longest(draft: &Draft<'_>, version: &str) -> Option<Span> {
    let of_each = crossings(draft, version).into_iter().filter(|(_, _, back)| !back);
    of_each.filter_map(|(_, crossing, _)| crossing.longest).max()
}

/// What the load tests have against a version.
pub(super) fn load_test(draft: &Draft<'_>, version: &str) -> Option<Problem> {
    releases(draft, version).find_map(|release| {
        let Some(worst) = worst(release) else {
            return Some(Problem::of(format!("Release {} carries no load test", release.name)));
        };
        matches!(worst.verdict, LoadTestVerdict::Fail | LoadTestVerdict::NoData)
            .then(|| Problem::of(sentence(release, worst)))
    })
}

/// What is told of load tests that passed with a warning.
pub(super) fn load_test_warns(draft: &Draft<'_>, version: &str) -> Option<String> {
    if draft.observed.spec.spec.gates.load_test == Gate::Ignore {
        return None;
    }
    releases(draft, version).find_map(|release| {
        let worst = worst(release).filter(|worst| worst.verdict == LoadTestVerdict::Warn)?;
        Some(format!("version {version} starts although {}", sentence(release, worst)))
    })
}

fn worst(release: &Release) -> Option<&LoadTest> {
    release.load_tests.iter().max_by_key(|test| test.verdict)
}

fn sentence(release: &Release, test: &LoadTest) -> String {
    let LoadTest { name, verdict, message } = test;
    format!("load test {name} of Release {} is {verdict} ({})", release.name, clip_to(message, WHY_MAX))
}

/// Whether another Rollout has soaked what the version includes for long enough.
pub(super) fn soak(draft: &Draft<'_>, version: &str) -> Option<Problem> {
    let gate = draft.observed.spec.spec.gates.soak.as_ref()?;
    let other = &gate.rollout.name;
    releases(draft, version).find_map(|release| {
        let Some(since) = release.includes_since else {
            return Some(Problem::of(format!("Release {} has no spec.includesSince", release.name)));
        };
        let problem =
            |text: String| Some(Problem { text, key: format!("{other} since {since}"), mend: None });
        let soaked = match draft.observed.soaked {
            None => return problem(format!("Rollout {other} was not read yet")),
            Some(Err(why)) => return problem(format!("Rollout {other} cannot be read: {why}")),
            Some(Ok(soaked)) => soaked,
        };
        if let Some((report, _)) = soaked.open.iter().find(|(_, at)| *at >= since) {
            return problem(format!("DeviationReport {report} of Rollout {other} is open"));
        }
        let seconds = soaked.seconds_since(since);
        (seconds < gate.at_least.as_seconds()).then(|| {
            let so_far = Span::seconds(seconds).rounded();
            problem(format!("Rollout {other} has soaked it for {so_far} of {} since {since}", gate.at_least))
        })?
    })
}
