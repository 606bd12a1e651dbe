//! The reports there are, with what this plan changes of them. Pure.

use breakwater_crds::{marker::stable_hash, report::DeviationReportStatus};

use super::{Writes, about};
use crate::{input::Input, observed::Report, outcome::ReportWrite};

/// Stored reports and this plan's writes over them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger<'a> {
    stored: &'a [Report],
    writes: Writes,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(stored: &'a [Report]) -> Self {
        Self { stored, writes: Writes::new() }
    }

    /// With these written.
    #[must_use]
    pub(crate) fn with(mut self, writes: Vec<ReportWrite>) -> Self {
        self.writes.extend(writes.into_iter().map(|write| (write.name.clone(), write)));
        self
    }

    /// With a report stored like this, unless it is stored so already.
    #[must_use]
    pub(super) fn storing(
        mut self,
        rollout: &str,
        name: String,
        version: &str,
        mut status: DeviationReportStatus,
    ) -> Self {
        status.bound();
        let known = self.stored.iter().find(|report| report.name == name);
        if known.is_some_and(|report| report.status == status) {
            self.writes.remove(&name); // whatever this plan was about to change has changed back
        } else {
            let spec = about(rollout, version);
            self.writes.insert(name.clone(), ReportWrite { name, spec, status });
        }
        self
    }

    /// Stored reports of a Rollout, each with its account as this plan leaves it.
    pub(crate) fn of_rollout(
        &self,
        rollout: &str,
    ) -> impl Iterator<Item = (&'a Report, &DeviationReportStatus)> {
        let mine = self.stored.iter().filter(move |report| report.spec.rollout == rollout);
        mine.map(|report| (report, self.status(report)))
    }

    /// A stored report's account as this plan leaves it.
    pub(crate) fn status<'l>(&'l self, report: &'l Report) -> &'l DeviationReportStatus {
        self.writes.get(&report.name).map_or(&report.status, |write| &write.status)
    }

    /// Name and account of the report that is open for a version, if one is: a stored one, or one that this plan makes.
    pub(crate) fn open(&self, version: &str) -> Option<(&str, &DeviationReportStatus)> {
        let stored = self.stored.iter().find(|r| r.spec.version == version && r.status.closed_by.is_none());
        let new = || self.writes.values().find(|write| write.spec.version == version);
        let (name, status) = match stored {
            Some(stored) => (&stored.name, self.status(stored)),
            None => new().map(|write| (&write.name, &write.status))?,
        };
        Some((name.as_str(), status)).filter(|(_, status)| status.closed_by.is_none())
    }

    /// Version and account of a report by its name.
    pub(super) fn named(&self, name: &str) -> Option<(&str, &DeviationReportStatus)> {
        if let Some(write) = self.writes.get(name) {
            return Some((&write.spec.version, &write.status));
        }
        let report = self.stored.iter().find(|report| report.name == name)?;
        Some((&report.spec.version, &report.status))
    }

    /// `{rollout}-{hash of version}-{n}`, n counting on from the reports there are.
    pub(super) fn name_of(&self, input: &Input<'_>, version: &str) -> String {
        let hash = stable_hash(&[version]) >> 32;
        let stem = format!("{}-{hash:08x}-", input.asked.name);
        let number = |report: &Report| report.name.strip_prefix(&stem)?.parse::<u32>().ok();
        let taken = self.stored.iter().filter_map(number).max().unwrap_or(0);
        format!("{stem}{}", taken + 1)
    }

    /// What is to be written.
    pub(super) fn into_writes(self) -> Vec<ReportWrite> {
        self.writes.into_values().collect()
    }
}
