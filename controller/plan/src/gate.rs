//! Gates: what must be true before a version may start, beside its tenants (`spec.gates`). Pure.

use breakwater_crds::rollout::Gate;

use crate::{draft::Draft, observed::Report};

/// What the gate of open deviations asks of a version.
pub(crate) enum Passage {
    /// Nothing is open, or nobody asks.
    Open,
    /// Something is, and people are only told.
    Warned(String),
    /// The version waits, and how it would not.
    Shut(String),
}

/// Whether deviations of this Rollout's other versions have been answered (`gates.openDeviations`).
pub(crate) fn open_deviations(draft: &Draft<'_>, version: &str) -> Passage {
    let gate = draft.observed.spec.spec.gates.open_deviations;
    let mut open: Vec<&Report> =
        draft.observed.reports.iter().filter(|report| stands_in_the_way(draft, report, version)).collect();
    open.sort_by(|a, b| (b.status.decided_at, &b.name).cmp(&(a.status.decided_at, &a.name)));
    let Some(newest) = open.first().filter(|_| gate != Gate::Ignore) else { return Passage::Open };
    let (name, namespace) = (&newest.name, draft.observed.namespace);
    let more = if open.len() > 1 { format!(" and {} more are", open.len() - 1) } else { " is".into() };
    let what = format!("DeviationReport {name} of {}{more} open", newest.spec.version);
    match gate {
        Gate::Ignore => Passage::Open,
        Gate::Warn => Passage::Warned(format!("version {version} starts although {what}")),
        Gate::Require => Passage::Shut(format!(
            "version {version} waits: {what}; close it: kubectl breakwater report {name} -n {namespace} --close fixed --in {version}"
        )),
    }
}

/// A report about another version that neither people have answered nor a Retry has closed, this plan's included.
fn stands_in_the_way(draft: &Draft<'_>, report: &Report, version: &str) -> bool {
    let status = draft.reports.get(&report.name).map_or(&report.status, |write| &write.status);
    report.spec.rollout == draft.observed.name
        && report.spec.version != version
        && status.closed_by.is_none()
        && !report.spec.is_answered_for(version)
}
