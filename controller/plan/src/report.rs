//! Which `DeviationReport` a deviation goes into, its name, and when it is written: one open per (rollout, version),
//! appended to (R19). What stands in it is [`account`]'s. Pure.

use breakwater_crds::{
    report::{Appended, DeviationReportSpec, DeviationReportStatus, DownStep, Outcome, RejectedFor},
    status::RevertStatus,
};

use crate::{
    account,
    deviation::Found,
    draft::{Draft, clip},
    outcome::ReportWrite,
};

/// Name and account of the report that is open for this version, if one is: a stored one, or one that this plan makes.
pub(crate) fn open(draft: &Draft<'_>, version: &str) -> Option<(String, DeviationReportStatus)> {
    let stored =
        draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none());
    let new = || draft.reports.values().find(|write| write.spec.version == version);
    let (name, status) = match stored {
        Some(stored) => {
            (stored.name.clone(), pending(draft, &stored.name).unwrap_or_else(|| stored.status.clone()))
        }
        None => new().map(|write| (write.name.clone(), write.status.clone()))?,
    };
    Some((name, status)).filter(|(_, status)| status.closed_by.is_none())
}

/// Name, version and account of the report of the version under way, or of the one that went out last.
pub(crate) fn current(draft: &Draft<'_>) -> Option<(String, String, DeviationReportStatus)> {
    let name = draft.status.report.clone()?;
    if let Some(write) = draft.reports.get(&name) {
        return Some((name, write.spec.version.clone(), write.status.clone()));
    }
    let report = draft.observed.reports.iter().find(|report| report.name == name)?;
    Some((name, report.spec.version.clone(), report.status.clone()))
}

fn pending(draft: &Draft<'_>, name: &str) -> Option<DeviationReportStatus> {
    draft.reports.get(name).map(|write| write.status.clone())
}

/// Writes a deviation down: anew, or as a further one of the same version.
pub(crate) fn write(draft: &mut Draft<'_>, version: &str, found: &Found, outcome: Outcome) {
    let (name, status) = match open(draft, version) {
        Some((name, mut status)) if status.outcome.is_some() => {
            let only_held = matches!(status.outcome, Some(Outcome::Held | Outcome::TenantsReverted));
            // That it holds as well does not undo that tenants went back.
            let outcome = if outcome == Outcome::Held { status.outcome.unwrap_or(outcome) } else { outcome };
            let turns = status.outcome != Some(outcome) || outcome == Outcome::TenantsReverted;
            append(draft, &mut status, found, turns);
            if outcome == Outcome::Reverting && only_held {
                status.revert_waits_for.clear();
                account::turn_to_revert(draft, &mut status, found);
            }
            status.outcome = Some(outcome);
            (name, status)
        }
        Some((name, _)) => (name, account::open(draft, found, outcome)),
        None => (name_of(draft, version), account::open(draft, found, outcome)),
    };
    draft.status.report = Some(name.clone());
    store(draft, name, version, status);
}

/// Lists the tenants that a version is rejected for alone, each once, in its open report.
pub(crate) fn reject_for(draft: &mut Draft<'_>, version: &str, tenants: Vec<RejectedFor>) {
    let Some((name, mut status)) = open(draft, version) else { return };
    for rejected in tenants {
        if status.rejected_for.iter().all(|known| known.tenant != rejected.tenant) {
            status.rejected_for.push(rejected);
        }
    }
    store(draft, name, version, status);
}

/// Notes why the revert does not happen by itself, and what takes the schema down (R21).
pub(crate) fn gate(draft: &mut Draft<'_>, version: &str, why: &str, steps: Vec<DownStep>) {
    let Some((name, mut status)) = open(draft, version) else { return };
    (status.revert_waits_for, status.down_steps) = (clip(why), steps);
    store(draft, name, version, status);
}

/// The same version deviates for another reason, or more is done about it.
fn append(draft: &Draft<'_>, status: &mut DeviationReportStatus, found: &Found, turns: bool) {
    let last = status.appended.last().map(|more| (more.reason.clone(), more.message.clone()));
    let (reason, message) = last.unwrap_or_else(|| (status.reason.clone(), status.message.clone()));
    let next = clip(&found.message);
    if (turns || found.reason != reason) && message != next {
        status.appended.push(Appended { at: draft.now, reason: found.reason.clone(), message: next });
    }
}

/// Plans to store a report, unless it is stored like this already.
pub(crate) fn store(draft: &mut Draft<'_>, name: String, version: &str, mut status: DeviationReportStatus) {
    status.bound();
    let known = draft.observed.reports.iter().find(|report| report.name == name);
    if known.is_some_and(|report| report.status == status) {
        draft.reports.remove(&name); // whatever this plan was about to change has changed back
        return;
    }
    let spec = about(draft, version);
    draft.reports.insert(name.clone(), ReportWrite { name, spec, status });
}

/// What a report is about. What people found out stays theirs: it is not ours to write, not even as it was.
pub(crate) fn about(draft: &Draft<'_>, version: &str) -> DeviationReportSpec {
    let rollout = draft.observed.name.to_owned();
    DeviationReportSpec { rollout, version: version.to_owned(), investigation: None }
}

/// `{rollout}-{hash of version}-{n}`, n counting on from the reports there are.
fn name_of(draft: &Draft<'_>, version: &str) -> String {
    let hash = breakwater_crds::marker::stable_hash(&[version]) >> 32;
    let stem = format!("{}-{hash:08x}-", draft.observed.name);
    let taken = draft
        .observed
        .reports
        .iter()
        .filter_map(|report| report.name.strip_prefix(&stem)?.parse::<u32>().ok());
    format!("{stem}{}", taken.max().unwrap_or(0) + 1)
}

/// Ends the account of a revert; `answer` is what came of it, in a sentence.
pub(crate) fn close(
    draft: &mut Draft<'_>,
    version: &str,
    outcome: Outcome,
    revert: &RevertStatus,
    answer: &str,
) {
    let name = draft.status.report.clone();
    let report = draft.observed.reports.iter().find(|report| Some(&report.name) == name.as_ref());
    let report = report.or_else(|| {
        draft.observed.reports.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none())
    });
    let Some((name, status)) = report.map(|report| (report.name.clone(), report.status.clone())) else {
        return;
    };
    let mut status = pending(draft, &name).unwrap_or(status);
    status.outcome = Some(outcome);
    status.finished_at = revert.finished_at;
    status.reverted = revert.reverted;
    status.failed = revert.failed;
    status.attribution = revert.attribution;
    status.answer = clip(answer);
    status.not_back = account::not_back(draft);
    store(draft, name, version, status);
}
