//! Deviations of a Rollout's other versions that nobody has answered (`gates.openDeviations`). Pure.

use super::Problem;
use crate::{input::Input, observed::Report, reports::Ledger};

/// What is open against a version, if anything is.
pub(super) fn open(input: &Input<'_>, ledger: &Ledger<'_>, version: &str) -> Option<Problem> {
    let stored = input.elsewhere.reports.iter();
    let mut open: Vec<&Report> =
        stored.filter(|report| stands_in_the_way(input, ledger, report, version)).collect();
    open.sort_by(|a, b| (b.status.decided_at, &b.name).cmp(&(a.status.decided_at, &a.name)));
    let newest = open.first()?;
    let (name, namespace) = (&newest.name, input.asked.namespace);
    let more = if open.len() > 1 { format!(" and {} more are", open.len() - 1) } else { " is".into() };
    Some(Problem {
        text: format!("DeviationReport {name} of {}{more} open", newest.spec.version),
        key: open.iter().map(|report| report.name.as_str()).collect::<Vec<_>>().join(" "),
        mend: Some(format!(
            "close it: kubectl breakwater report {name} -n {namespace} --close fixed --in {version}"
        )),
    })
}

/// A report about another version that neither people, nor the version's Release, have answered nor a Retry has closed,
/// this plan's included.
fn stands_in_the_way(input: &Input<'_>, ledger: &Ledger<'_>, report: &Report, version: &str) -> bool {
    let status = ledger.status(report);
    let fixes = |name: &str| {
        let mut of_it = input.elsewhere.releases.iter().filter(|release| release.version == version);
        of_it.any(|release| release.fixes.iter().any(|fixed| fixed == name))
    };
    report.spec.rollout == input.asked.name
        && report.spec.version != version
        && status.closed_by.is_none()
        && !report.spec.is_answered_for(version)
        && !fixes(&report.name)
}
