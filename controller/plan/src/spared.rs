//! Tenants that are guilty by themselves: they go back alone, and the version is rejected for them and nobody else
//! (R22). Pure.
//!
//! The `DeviationReport` that lists a tenant *is* the rejection, as one that says `Reverted` is for all (R19): it is
//! written before the status and the tenant, outlives both, and a Retry closes it. Where the tenant is, its marker says.

use std::{collections::HashMap, sync::Arc};

use breakwater_crds::{
    marker::stable_hash,
    report::{DeviationReportStatus, Outcome, REJECTED_FOR_MAX, RejectedFor},
    rollout::{DeviationAction, Scope},
    words::{HoldReason, TransitionReason},
};
use breakwater_slo::{Action, Evidence, Guard, TenantId};
use jiff::Timestamp;

use crate::{
    choose,
    deviation::{Found, deviation_reason},
    draft::Draft,
    fleet::{self, Standing},
    gate::{self, WayBack},
    observed::Tenant,
    report,
};

/// Most tenants that a message names.
const NAMED: usize = 3;

/// Which versions are rejected for which tenants, and since when.
#[derive(Debug, Clone, Default)]
pub struct Spared {
    by_tenant: HashMap<TenantId, Vec<(Arc<str>, Timestamp)>>,
}

impl Spared {
    /// Since when a version is rejected for a tenant alone, if it is.
    pub fn since(&self, tenant: TenantId, version: &str) -> Option<Timestamp> {
        let rejected = self.by_tenant.get(&tenant)?;
        rejected.iter().find(|(rejected, _)| **rejected == *version).map(|(_, since)| *since)
    }

    /// The tenants that a version is rejected for alone.
    pub fn tenants<'a>(&'a self, version: &'a str) -> impl Iterator<Item = TenantId> + Clone + 'a {
        let rejected = move |(id, versions): (&TenantId, &Vec<(Arc<str>, Timestamp)>)| {
            versions.iter().any(|(rejected, _)| **rejected == *version).then_some(*id)
        };
        self.by_tenant.iter().filter_map(rejected)
    }

    /// When the first version was rejected for a tenant alone, if one is.
    pub fn first(&self, tenant: TenantId) -> Option<Timestamp> {
        self.by_tenant.get(&tenant)?.iter().map(|(_, since)| *since).min()
    }

    fn add(&mut self, namespace: &str, name: &str, version: &Arc<str>, rejected: &RejectedFor) {
        // What is no `namespace/name` names nobody.
        let Some((of, tenant)) = rejected.tenant.split_once('/') else { return };
        let id = TenantId(stable_hash(&[namespace, name, of, tenant]));
        self.by_tenant.entry(id).or_default().push((Arc::clone(version), rejected.at));
    }
}

/// Takes in what the open reports say, this plan's included.
pub(crate) fn read(draft: &mut Draft<'_>) {
    let mut spared = Spared::default();
    let (namespace, name) = (draft.observed.namespace, draft.observed.name);
    let known = |stored: &str| draft.observed.reports.iter().any(|report| report.name == stored);
    let stored = draft.observed.reports.iter().filter(|report| report.spec.rollout == name).map(|report| {
        let planned = draft.reports.get(&report.name).map(|write| &write.status);
        (&report.spec.version, planned.unwrap_or(&report.status))
    });
    let new = draft.reports.values().filter(|write| !known(&write.name));
    let all = stored.chain(new.map(|write| (&write.spec.version, &write.status)));
    for (version, status) in all.filter(|(_, status)| is_open(status)) {
        let version: Arc<str> = version.as_str().into();
        status.rejected_for.iter().for_each(|rejected| spared.add(namespace, name, &version, rejected));
    }
    draft.spared = spared;
}

fn is_open(status: &DeviationReportStatus) -> bool {
    status.closed_by.is_none() && !status.rejected_for.is_empty()
}

/// True for a tenant that the wanted version is rejected for alone, wherever it stands on its way back: no wave waits for
/// it. Not where it stays on the version all the same, because nobody knows another one for it.
pub(crate) fn is_spared(draft: &Draft<'_>, tenant: &Tenant, standing: &Standing) -> bool {
    let wanted = draft.wanted();
    standing.is_live()
        && !standing.is_updated()
        && draft.spared.since(tenant.id, wanted).is_some()
        && !draft.out.contains(wanted)
}

/// Whose evidence still counts although a report lists them: a crash came between the report and the status, which keeps
/// how many were forgiven beside the judges' sums.
pub(crate) fn forgotten(draft: &Draft<'_>) -> Vec<TenantId> {
    let wanted = draft.wanted();
    let forgiven = usize::try_from(draft.observed.status.rejected_for).unwrap_or(usize::MAX);
    let listed = draft.spared.tenants(wanted);
    if listed.clone().count() > forgiven { listed.collect() } else { Vec::new() }
}

/// Who is guilty by itself, as the evidence has it now.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    /// Indices of the SLOs that speak against these tenants only.
    slos: Vec<usize>,
    /// Who goes back, and the SLO that says so.
    tenants: Vec<(TenantId, usize)>,
    /// Whose evidence no longer counts: theirs, and that of whoever is on the way back, or gone, already.
    forgiven: Vec<TenantId>,
    /// The SLO by which there are more than may go back alone, and the words for that.
    pub(crate) excess: Option<(usize, String)>,
}

impl Alone {
    /// What this SLO says is about them, and is answered by sending them back.
    pub(crate) fn answers(&self, slo: usize) -> bool {
        self.slos.contains(&slo)
    }

    /// No SLO speaks against single tenants.
    pub(crate) fn is_empty(&self) -> bool {
        self.slos.is_empty()
    }
}

/// Looks for tenants that are guilty by themselves, where `onDeviation.scope` asks for them.
pub(crate) fn look(draft: &Draft<'_>, version: &str) -> Alone {
    let asked = &draft.observed.spec.spec.on_deviation;
    let mut alone = Alone::default();
    if (asked.scope, asked.action) != (Scope::Tenant, DeviationAction::Revert) {
        return alone;
    }
    let live = draft.count(Standing::is_live);
    let allowed = draft.observed.spec.spec.revert.max_tenant_reverts.of(live).min(REJECTED_FOR_MAX);
    let known = report::open(draft, version).map_or(0, |(_, status)| status.rejected_for.len());
    for (slo, evidence) in draft.evidence.iter().enumerate() {
        let Some((named, total)) = evidence.as_ref().and_then(singled_out) else { continue };
        if !draft.is_complete() {
            alone.slos.push(slo); // nobody knows who is there: neither they nor all go back before that
            continue;
        }
        let Some(to_go) = to_go(draft, version, &named) else { continue };
        let new = || to_go.iter().filter(|id| alone.tenants.iter().all(|(other, _)| other != *id));
        let more = new().count() + total.saturating_sub(named.len());
        let count = known + alone.tenants.len() + more;
        if more > 0 && count > allowed {
            let words = format!(
                "; {count} tenants are guilty by themselves, more than maxTenantReverts allows ({allowed}): a deviation of the release"
            );
            alone.excess.get_or_insert((slo, words));
            continue;
        }
        let new: Vec<(TenantId, usize)> = new().map(|id| (*id, slo)).collect();
        alone.tenants.extend(new);
        alone.forgiven.extend(named);
        alone.slos.push(slo);
    }
    alone
}

/// The tenants that one SLO's evidence is about and how many more are worse, where others of the candidates are not: of
/// the comparison those that carry it past its limit all alone, of the sharp path the one that burns (analysis.md 2, 3).
/// A page's pair is taken like that where one alone burns beyond its limit: what was read late, in one go, fills its
/// window together with the sharp path's.
fn singled_out(evidence: &Evidence) -> Option<(Vec<TenantId>, usize)> {
    let (named, total) = match (evidence.guard, evidence.action) {
        (Some(Guard::Comparison), Action::Deviate | Action::Hold) => {
            (evidence.alone.clone(), evidence.guilty_total.max(evidence.alone.len()))
        }
        (Some(Guard::Sharp), Action::Hold) if !evidence.exempt && evidence.guilty_total == 1 => {
            (evidence.guilty.iter().map(|(id, _)| *id).collect(), 1)
        }
        (Some(Guard::BurnRate { pair: _, page: true }), Action::Deviate) if evidence.guilty_total == 1 => {
            (evidence.guilty.iter().map(|(id, _)| *id).collect(), 1)
        }
        _ => return None,
    };
    let candidates = usize::try_from(evidence.coverage.tenants).unwrap_or(usize::MAX);
    (!named.is_empty() && total < candidates).then_some((named, total))
}

/// Who of these is still to go back, and not on the way, or gone, already. `None` where one can go nowhere: then it is no
/// matter of that tenant alone.
fn to_go(draft: &Draft<'_>, version: &str, named: &[TenantId]) -> Option<Vec<TenantId>> {
    let mut to_go = Vec::new();
    for id in named {
        let found = draft.fleet().find(|(tenant, _)| tenant.id == *id);
        let there = found.filter(|(_, place)| place.standing != Standing::Ignored);
        let Some((tenant, _)) = there.filter(|_| draft.spared.since(*id, version).is_none()) else {
            continue;
        };
        if !(is_on(tenant, version) && may_return(draft, tenant, version)) {
            return None;
        }
        to_go.push(*id);
    }
    Some(to_go)
}

/// It has a version to go back to, which runs on its schema.
fn may_return(draft: &Draft<'_>, tenant: &Tenant, version: &str) -> bool {
    let older =
        fleet::own(tenant).and_then(|marker| choose::safe_version(draft, tenant.id, &marker.previous));
    older.is_some_and(|older| !matches!(gate::way_back(draft, version, older), WayBack::Shut(_)))
}

fn is_on(tenant: &Tenant, version: &str) -> bool {
    let here = tenant.version.version().is_some_and(|found| **found == *version);
    here && fleet::own(tenant).is_some_and(|marker| *marker.target == *version)
}

/// Sends them back: the report first, then the status, then the tenants (R28). What is known against them no longer
/// speaks against the release, and what was held for their sake is answered.
pub(crate) fn send_back(draft: &mut Draft<'_>, version: &str, alone: &Alone) {
    if alone.forgiven.is_empty() {
        return;
    }
    let mut by_slo: Vec<usize> = alone.tenants.iter().map(|(_, slo)| *slo).collect();
    by_slo.dedup();
    for slo in by_slo {
        let ids: Vec<TenantId> =
            alone.tenants.iter().filter(|(_, of)| *of == slo).map(|(id, _)| *id).collect();
        reject_for(draft, version, slo, &ids);
    }
    for slo in &alone.slos {
        let message = &draft.status.slos[*slo].message;
        draft.holds.retain(|hold| hold.reason != HoldReason::SharpPath || hold.message != *message);
    }
    draft.judges.iter_mut().for_each(|judge| judge.forgive(&alone.forgiven));
    read(draft);
    draft.muster();
}

fn reject_for(draft: &mut Draft<'_>, version: &str, slo: usize, ids: &[TenantId]) {
    let Some(evidence) = draft.evidence[slo].as_ref() else { return };
    let name = draft.observed.spec.spec.slos[slo].name.clone();
    let reason = deviation_reason(evidence);
    let names: Vec<String> = draft
        .fleet()
        .filter(|(tenant, _)| ids.contains(&tenant.id))
        .map(|(tenant, _)| format!("{}/{}", tenant.namespace, tenant.name))
        .collect();
    let sentence = evidence.sentence(&name, draft.wave_name());
    let them = if names.len() == 1 { "it" } else { "them" };
    let message = format!("{sentence}; {} alone: {version} is rejected for {them}", listed(&names));
    draft.tell(TransitionReason::TenantReverting, message.clone());
    let found = Found { reason: reason.into(), message, slo: Some(slo), by: String::new(), manual: false };
    let rejected =
        names.into_iter().map(|tenant| RejectedFor { tenant, at: draft.now, reason: reason.into() });
    let rejected: Vec<RejectedFor> = rejected.collect();
    report::write(draft, version, &found, Outcome::TenantsReverted);
    report::reject_for(draft, version, rejected);
}

/// `ops/app-1, ops/app-2 and 3 more go back`.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMED);
    let go = if names.len() == 1 { "goes" } else { "go" };
    if more == 0 { format!("{shown} {go} back") } else { format!("{shown} and {more} more {go} back") }
}
