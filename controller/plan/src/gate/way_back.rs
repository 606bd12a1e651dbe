//! Whether the version before runs on the schema after: asked before every revert, manual or automatic (R21). Pure.

use std::collections::BTreeSet;

use breakwater_crds::{
    gates::Gate,
    report::DownStep,
    words::{GateSubject, RevertSafety},
};

use super::{Gates, Problem, WHY_MAX};
use crate::{
    observed::Tenant,
    release::{self, Crossing},
    roster::own,
    said::clip_to,
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

impl Gates<'_, '_> {
    /// How a tenant may go back from `newer` to `older`.
    pub(crate) fn way_back(&self, newer: &str, older: &str) -> WayBack {
        let spec = self.input.spec();
        let Some((crossing, problem)) = self.forbids(newer, older) else { return WayBack::Open };
        if spec.revert.down_job.is_some() && crossing.revert != RevertSafety::Unknown {
            WayBack::ByJob
        } else if spec.gates.migrations == Gate::Warn
            || self.is_acknowledged(GateSubject::Revert, newer, &problem)
        {
            WayBack::Open
        } else {
            let how = self.how(GateSubject::Revert, newer);
            let text = problem.text;
            WayBack::Shut(format!("{text}; run the steps down of the DeviationReport, then: {how}"))
        }
    }

    /// Why no tenant of a version may go back by itself, and what takes the schema down; `None` where one at least may.
    pub(crate) fn revert_of(&self, version: &str) -> Option<(String, Vec<DownStep>)> {
        let mut shut: Option<(String, Vec<DownStep>)> = None;
        for older in self.older_versions(version) {
            let WayBack::Shut(why) = self.way_back(version, &older) else { return None };
            let (crossing, _) = self.forbids(version, &older)?;
            if shut.as_ref().is_none_or(|(_, steps)| steps.len() < crossing.down.len()) {
                shut = Some((why, crossing.down));
            }
        }
        shut
    }

    /// What the schema has against a revert of a version, for each version to go back to.
    pub(super) fn against_revert(&self, version: &str) -> Vec<Problem> {
        let older = self.older_versions(version);
        older.iter().filter_map(|older| Some(self.forbids(version, older)?.1)).collect()
    }

    /// What lies between, and what it has against a revert.
    fn forbids(&self, newer: &str, older: &str) -> Option<(Crossing, Problem)> {
        let asks = self.input.spec().gates.migrations != Gate::Ignore;
        let elsewhere = &self.input.elsewhere;
        // Releases that nobody could list may say anything.
        let unread = elsewhere.releases_unread.map(Crossing::unknown);
        let crossing = release::crossing(elsewhere.releases, older, newer).or(unread).filter(|_| asks)?;
        let problem = Problem::of(format!(
            "going back from {newer} to {older} is {} ({})",
            crossing.revert,
            clip_to(&crossing.why_revert, WHY_MAX)
        ));
        (crossing.revert != RevertSafety::RevertSafe).then_some((crossing, problem))
    }

    /// Where the tenants of a version would go back to.
    fn older_versions(&self, version: &str) -> BTreeSet<String> {
        let on_it = |tenant: &&Tenant| tenant.version.version().is_some_and(|found| **found == *version);
        let back = |tenant: &Tenant| {
            let marker = own(tenant)?;
            self.way.safe(tenant.id, &marker.previous).map(str::to_owned)
        };
        let tenants = self.input.fleet.tenants.iter();
        tenants.filter(on_it).filter_map(back).filter(|older| older != version).collect()
    }
}
