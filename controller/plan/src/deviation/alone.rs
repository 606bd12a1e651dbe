//! Tenants that are guilty by themselves: they go back alone, and the version is rejected for them and nobody else
//! (R22). Pure.
//!
//! The `DeviationReport` that lists a tenant *is* the rejection, as one that says `Reverted` is for all (R19): it is
//! written before the status and the tenant, outlives both, and a Retry closes it. Where the tenant is, its marker says.

use breakwater_crds::{
    report::{Outcome, REJECTED_FOR_MAX, RejectedFor},
    rollout::{DeviationAction, Scope},
    words::TransitionReason,
};
use breakwater_slo::{Action, Evidence, Guard, TenantId};

use super::{Answer, Case, Found};
use crate::{
    course::Course,
    gate::WayBack,
    judged::guard_reason,
    observed::Tenant,
    reports::Entry,
    roster::{Standing, own},
    said::Said,
};

/// Most tenants that a message names.
const NAMED: usize = 3;

/// Who is guilty by itself, as the evidence has it now.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// Indices of the SLOs that speak against these tenants only.
    slos: Vec<usize>,
    /// Who goes back, and the SLO that says so.
    tenants: Vec<(TenantId, usize)>,
    /// Whose evidence no longer counts: theirs, and that of whoever is on the way back, or gone, already.
    forgiven: Vec<TenantId>,
    /// The SLO by which there are more than may go back alone, and the words for that.
    pub(super) excess: Option<(usize, String)>,
}

impl Alone {
    /// What this SLO says is about them, and is answered by sending them back.
    pub(super) fn answers(&self, slo: usize) -> bool {
        self.slos.contains(&slo)
    }

    /// No SLO speaks against single tenants.
    pub(super) fn is_empty(&self) -> bool {
        self.slos.is_empty()
    }
}

/// Looks for tenants that are guilty by themselves, where `onDeviation.scope` asks for them.
pub(super) fn look(case: Case<'_, '_>, version: &str) -> Alone {
    let (spec, judged) = (case.input.spec(), case.judged);
    let asked = &spec.on_deviation;
    let mut alone = Alone::default();
    if (asked.scope, asked.action) != (Scope::Tenant, DeviationAction::Revert) {
        return alone;
    }
    let live = case.roster.count(Standing::is_live);
    let allowed = spec.revert.max_tenant_reverts.of(live).min(REJECTED_FOR_MAX);
    let open = case.honoured.ledger.open(version);
    let known = open.map_or(0, |(_, status)| status.rejected_for.len());
    for (slo, evidence) in judged.evidence.iter().enumerate() {
        let Some((named, total)) = evidence.as_ref().and_then(singled_out) else { continue };
        if !case.input.is_complete() {
            alone.slos.push(slo); // nobody knows who is there: neither they nor all go back before that
            continue;
        }
        let Some(to_go) = to_go(case, version, &named) else { continue };
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
fn to_go(case: Case<'_, '_>, version: &str, named: &[TenantId]) -> Option<Vec<TenantId>> {
    let mut to_go = Vec::new();
    for id in named {
        let found = case.roster.fleet().find(|(tenant, _)| tenant.id == *id);
        let there = found.filter(|(_, place)| place.standing != Standing::Ignored);
        let spared = &case.course.rejections.spared;
        let Some((tenant, _)) = there.filter(|_| spared.since(*id, version).is_none()) else {
            continue;
        };
        if !(is_on(tenant, version) && may_return(case, tenant, version)) {
            return None;
        }
        to_go.push(*id);
    }
    Some(to_go)
}

/// It has a version to go back to, which runs on its schema.
fn may_return(case: Case<'_, '_>, tenant: &Tenant, version: &str) -> bool {
    let way = case.course.way(case.input);
    let older = own(tenant).and_then(|marker| way.safe(tenant.id, &marker.previous));
    older.is_some_and(|older| !matches!(case.gates.way_back(version, older), WayBack::Shut(_)))
}

fn is_on(tenant: &Tenant, version: &str) -> bool {
    let here = tenant.version.version().is_some_and(|found| **found == *version);
    here && own(tenant).is_some_and(|marker| *marker.target == *version)
}

/// Sends them back: the report first, then the status, then the tenants (R28). What is known against them no longer
/// speaks against the release, and what was held for their sake is answered.
pub(super) fn send_back(case: Case<'_, '_>, version: &str, alone: &Alone) -> (Answer, Said) {
    let mut said = Said::default();
    if alone.forgiven.is_empty() {
        return (Answer::none(), said);
    }
    let mut by_slo: Vec<usize> = alone.tenants.iter().map(|(_, slo)| *slo).collect();
    by_slo.dedup();
    let mut entries = Vec::new();
    for slo in by_slo {
        let of_it = alone.tenants.iter().filter(|(_, of)| *of == slo);
        let ids: Vec<TenantId> = of_it.map(|(id, _)| *id).collect();
        let (rejected, more) = reject_for(case, version, slo, &ids);
        entries.extend(rejected);
        said = said.and(more);
    }
    let ids: Vec<TenantId> = alone.tenants.iter().map(|(id, _)| *id).collect();
    let rejections = case.course.rejections.clone().sparing(&ids, version, case.input.now);
    let answer = Answer {
        entries,
        forgiven: alone.forgiven.clone(),
        answered: alone.slos.clone(),
        ..Answer::turn(Course { rejections, ..case.course.clone() })
    };
    (answer, said)
}

fn reject_for(case: Case<'_, '_>, version: &str, slo: usize, ids: &[TenantId]) -> (Vec<Entry>, Said) {
    let mut said = Said::default();
    let Some(evidence) = case.judged.evidence[slo].as_ref() else { return (Vec::new(), said) };
    let reason = guard_reason(evidence);
    let names: Vec<String> = case
        .roster
        .fleet()
        .filter(|(tenant, _)| ids.contains(&tenant.id))
        .map(|(tenant, _)| format!("{}/{}", tenant.namespace, tenant.name))
        .collect();
    let sentence = evidence.sentence(&case.input.slos()[slo].name, case.course.wave_name());
    let them = if names.len() == 1 { "it" } else { "them" };
    let message = format!("{sentence}; {} alone: {version} is rejected for {them}", listed(&names));
    said.tell(TransitionReason::TenantReverting, message.clone());
    let at = case.input.now;
    let rejected = names.into_iter().map(|tenant| RejectedFor { tenant, at, reason: reason.into() });
    let tenants: Vec<RejectedFor> = rejected.collect();
    let (version, found) = (version.to_owned(), Found::measured(reason, message, Some(slo)));
    let deviation = Entry::Deviation { version: version.clone(), found, outcome: Outcome::TenantsReverted };
    (vec![deviation, Entry::RejectedFor { version, tenants }], said)
}

/// `ops/app-1, ops/app-2 and 3 more go back`.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMED);
    let go = if names.len() == 1 { "goes" } else { "go" };
    if more == 0 { format!("{shown} {go} back") } else { format!("{shown} and {more} more {go} back") }
}
