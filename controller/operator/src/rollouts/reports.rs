//! The `DeviationReport`s of one Rollout as this process knows them: the cache's, overlaid by what it wrote or read itself. I/O.

use std::collections::BTreeMap;

use breakwater_crds::DeviationReport;
use breakwater_plan::{observed::Report, outcome::ReportWrite};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client, ResourceExt as _, core::DeserializeGuard, runtime::reflector::Store};

use super::{key::Key, store::as_us};

/// How long what this process wrote or read is believed over the cache before it is read afresh.
const BELIEVED: SignedDuration = SignedDuration::from_secs(30);

/// What a cache of reports may not show yet.
#[derive(Default)]
pub(super) struct Reports {
    /// To be stored before the status.
    owed: BTreeMap<String, ReportWrite>,
    /// Written or read by this process, and when.
    own: BTreeMap<String, (Report, Timestamp)>,
    /// The report that the status named when it was last asked for: a cache may be older than this process.
    named: Option<String>,
}

impl Reports {
    /// Takes what a plan leaves to be stored.
    pub(super) fn owe(&mut self, writes: impl Iterator<Item = ReportWrite>) {
        self.owed.extend(writes.map(|write| (write.name.clone(), write)));
    }

    /// Whether anything is to be stored.
    pub(super) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Stores what is owed.
    pub(super) async fn pay(
        &mut self,
        client: &Client,
        namespace: &str,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        while let Some((name, write)) = self.owed.first_key_value() {
            let name = name.clone();
            self.own.insert(name.clone(), (write_down(client, namespace, write).await?, now));
            self.owed.remove(&name);
        }
        Ok(())
    }

    /// Reads afresh what the cache should show by now and does not, and the report that the status names when a
    /// process meets that name first: an account that is not known cannot be ended.
    pub(super) async fn refresh(
        &mut self,
        client: &Client,
        namespace: &str,
        cached: &[Report],
        named: Option<&str>,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let shown = |own: &Report| cached.iter().any(|it| it.name == own.name && it.status == own.status);
        self.own.retain(|_, (own, _)| !shown(own));
        let old = |at: Timestamp| now.duration_since(at).unsigned_abs() >= BELIEVED.unsigned_abs();
        let mut doubtful: Vec<String> =
            self.own.iter().filter(|(_, (_, at))| old(*at)).map(|(name, _)| name.clone()).collect();
        if named != self.named.as_deref() {
            doubtful.extend(named.filter(|name| !self.own.contains_key(*name)).map(str::to_owned));
        }
        let api: Api<DeviationReport> = Api::namespaced(client.clone(), namespace);
        for name in doubtful {
            match api.get_opt(&name).await? {
                Some(report) => self.own.insert(name, (known(&report), now)),
                None => self.own.remove(&name),
            };
        }
        self.named = named.map(str::to_owned);
        Ok(())
    }

    /// Reports as cached, their accounts overlaid by what this process knows better. What people found out is the
    /// cache's where it has the report.
    pub(super) fn overlay(&self, cached: Vec<Report>) -> Vec<Report> {
        let unseen = self.own.values().filter(|(own, _)| cached.iter().all(|it| it.name != own.name));
        let mut reports: Vec<Report> = unseen.map(|(own, _)| own.clone()).collect();
        reports.extend(cached.into_iter().map(|report| match self.own.get(&report.name) {
            Some((own, _)) => Report { status: own.status.clone(), ..report },
            None => report,
        }));
        reports
    }
}

/// What the cache has of one Rollout's reports.
pub(super) fn cached(store: &Store<DeserializeGuard<DeviationReport>>, key: &Key) -> Vec<Report> {
    let state = store.state();
    let mine = state.iter().filter_map(|object| object.0.as_ref().ok()).filter(|report| {
        report.namespace().as_deref() == Some(&key.namespace) && report.spec.rollout == key.name
    });
    let mut reports: Vec<Report> = mine.map(known).collect();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    reports
}

fn known(report: &DeviationReport) -> Report {
    let status = report.status.clone().unwrap_or_default();
    Report { name: report.name_any(), spec: report.spec.clone(), status }
}

/// Creates a report if it is absent and writes its account; what is stored comes back. Of one that is there the status
/// alone is written: what people found out (`spec.investigation`) is theirs.
async fn write_down(client: &Client, namespace: &str, write: &ReportWrite) -> Result<Report, kube::Error> {
    let api: Api<DeviationReport> = Api::namespaced(client.clone(), namespace);
    let fresh = DeviationReport::new(&write.name, write.spec.clone());
    let mut stored = match api.create(&as_us(), &fresh).await {
        Ok(created) => created,
        Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(&write.name).await?,
        Err(error) => return Err(error),
    };
    stored.status = Some(write.status.clone());
    let stored = api.replace_status(&write.name, &as_us(), &stored).await?;
    Ok(known(&stored))
}

#[cfg(test)]
mod tests {
    use breakwater_crds::{
        DeviationReportSpec, DeviationReportStatus, Outcome,
        report::{Investigation, InvestigationState},
    };

    use super::*;

    fn report(name: &str, outcome: Outcome, answer: Option<InvestigationState>) -> Report {
        let investigation = answer.map(|state| Investigation { state, ..Investigation::default() });
        let spec = DeviationReportSpec { rollout: "app".into(), version: "2".into(), investigation };
        let status = DeviationReportStatus { outcome: Some(outcome), ..DeviationReportStatus::default() };
        Report { name: name.into(), spec, status }
    }

    #[test]
    fn what_people_found_out_is_seen_at_once_and_what_we_wrote_is_believed_over_the_cache() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let own = |name: &str| (name.to_owned(), (report(name, Outcome::Reverted, None), now));
        let reports = Reports { own: BTreeMap::from([own("a"), own("b")]), ..Reports::default() };
        let mut seen =
            reports.overlay(vec![report("a", Outcome::Reverting, Some(InvestigationState::Fixed))]);
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        let told = [
            report("a", Outcome::Reverted, Some(InvestigationState::Fixed)),
            report("b", Outcome::Reverted, None),
        ];
        assert_eq!(seen, told);
    }
}
