//! Whether the version before runs on the schema after: asked before every revert, manual or automatic (R21). Pure.

use std::collections::BTreeSet;

use breakwater_crds::{
    gates::Gate,
    report::DownStep,
    words::{GateSubject, RevertSafety},
};

use super::{Problem, WHY_MAX, how, is_acknowledged};
use crate::{
    choose,
    draft::{Draft, clip_to},
    fleet,
    observed::Tenant,
    release::{self, Crossing},
};

/// How a tenant may go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WayBack {
    /// By writing its version.
    Open,
    /// Once `revert.downJob` has taken its schema down.
    ByJob,
    /// Not by itself, and why.
    Shut(String),
}

/// How a tenant may go back from `newer` to `older`.
pub(crate) fn way_back(draft: &Draft<'_>, newer: &str, older: &str) -> WayBack {
    let spec = &draft.observed.spec.spec;
    let Some((crossing, problem)) = forbids(draft, newer, older) else { return WayBack::Open };
    if spec.revert.down_job.is_some() && crossing.revert != RevertSafety::Unknown {
        WayBack::ByJob
    } else if spec.gates.migrations == Gate::Warn
        || is_acknowledged(draft, GateSubject::Revert, newer, &problem)
    {
        WayBack::Open
    } else {
        let how = how(draft, GateSubject::Revert, newer);
        WayBack::Shut(format!("{}; run the steps down of the DeviationReport, then: {how}", problem.text))
    }
}

/// What lies between, and what it has against a revert.
fn forbids(draft: &Draft<'_>, newer: &str, older: &str) -> Option<(Crossing, Problem)> {
    let asks = draft.observed.spec.spec.gates.migrations != Gate::Ignore;
    // Releases that nobody could list may say anything.
    let unread = draft.observed.releases_unread.map(Crossing::unknown);
    let crossing = release::crossing(draft.observed.releases, older, newer).or(unread).filter(|_| asks)?;
    let problem = Problem::of(format!(
        "going back from {newer} to {older} is {} ({})",
        crossing.revert,
        clip_to(&crossing.why_revert, WHY_MAX)
    ));
    (crossing.revert != RevertSafety::RevertSafe).then_some((crossing, problem))
}

/// Where the tenants of a version would go back to.
fn older_versions(draft: &Draft<'_>, version: &str) -> BTreeSet<String> {
    let on_it = |tenant: &&Tenant| tenant.version.version().is_some_and(|found| **found == *version);
    let back = |tenant: &Tenant| {
        let marker = fleet::own(tenant)?;
        choose::safe_version(draft, tenant.id, &marker.previous).map(str::to_owned)
    };
    draft.observed.tenants.iter().filter(on_it).filter_map(back).filter(|older| older != version).collect()
}

/// What the schema has against a revert of a version, for each version to go back to.
pub(super) fn problems(draft: &Draft<'_>, version: &str) -> Vec<Problem> {
    let older = older_versions(draft, version);
    older.iter().filter_map(|older| Some(forbids(draft, version, older)?.1)).collect()
}

/// Why no tenant of a version may go back by itself, and what takes the schema down; `None` where one at least may.
pub(crate) fn revert_of(draft: &Draft<'_>, version: &str) -> Option<(String, Vec<DownStep>)> {
    let mut shut: Option<(String, Vec<DownStep>)> = None;
    for older in older_versions(draft, version) {
        let WayBack::Shut(why) = way_back(draft, version, &older) else { return None };
        let (crossing, _) = forbids(draft, version, &older)?;
        if shut.as_ref().is_none_or(|(_, steps)| steps.len() < crossing.down.len()) {
            shut = Some((why, crossing.down));
        }
    }
    shut
}
