//! Tenants that do not become ready: a deviation, or a hold where the cause is plainly infrastructure (R4). Pure.

use breakwater_crds::{
    rollout::Wave,
    status::{Condition, ConditionStatus},
    words::{ConditionType, DeviationReason, HoldReason},
};
use breakwater_slo::{TenantId, fisher_upper};
use jiff::Timestamp;

use super::{Case, Found};
use crate::{
    observed::{Cause, Readiness, Tenant},
    roster::{Standing, own, seen_complete},
    said::Said,
    tell::is_same_hold,
};

/// How many failed tenants are looked at to learn the cause.
const DIAGNOSED: usize = 5;

/// Below this probability of chance, more of the updated tenants fail than of the others. A miss costs a hold that names both.
const WORSE: f64 = 0.05;

/// What failed tenants come to: a deviation, or a hold, and whose cause is to be looked up.
type Failures = (Option<Found>, Vec<TenantId>, Said);

/// A wave whose failed tenants are more than it bears.
struct Excess<'c, 'a> {
    wave: &'a Wave,
    total: usize,
    /// Tenants that were not ready before their update either.
    unready: usize,
    failed: Vec<&'a Tenant>,
    /// The hold for failed tenants that stands, if one does; its age is that of the failures.
    held: Option<&'a Condition>,
    case: Case<'c, 'a>,
}

/// Looks for more failed tenants of a wave than it bears.
pub(super) fn look(case: Case<'_, '_>) -> Failures {
    let none = (None, Vec::new(), Said::default());
    if !case.input.is_complete() {
        return none; // of a part of the fleet any share may be failed
    }
    let waves = &case.input.spec().waves;
    let last = case.course.current_wave().unwrap_or(waves.len().saturating_sub(1));
    let mut totals = vec![0_usize; waves.len()];
    let mut failed = vec![Vec::new(); waves.len()];
    let mut unready = vec![0_usize; waves.len()];
    for (tenant, place) in case.roster.fleet().filter(|(_, place)| place.standing.is_live()) {
        let Some(wave) = place.wave else { continue };
        totals[wave] += 1;
        // Whose version somebody else wrote says nothing about this rollout: nobody knows how long it has had.
        if place.standing == Standing::Failed && own(tenant).is_some() {
            failed[wave].push(tenant);
        }
        unready[wave] += usize::from(place.standing == Standing::Unready);
    }
    // Where nobody is ready no failure is borne: a wave of one would wait for ever (R1, R4).
    let over = |wave: &usize| {
        let (failed, total) = (failed[*wave].len(), totals[*wave]);
        failed > waves[*wave].max_failures.of(total) || (failed > 0 && failed + unready[*wave] == total)
    };
    let Some(over) = (0..=last).find(over) else { return none };
    let mut failed = std::mem::take(&mut failed[over]);
    failed.sort_unstable_by_key(|tenant| tenant.id);
    let (wave, held) = (&waves[over], held(&case));
    Excess { wave, total: totals[over], unready: unready[over], failed, held, case }.answer()
}

fn held<'a>(case: &Case<'_, 'a>) -> Option<&'a Condition> {
    let mut conditions = case.input.status.conditions.iter();
    let held = conditions.find(|c| c.type_ == ConditionType::Held && c.status == ConditionStatus::True);
    held.filter(|held| is_same_hold(&held.reason, HoldReason::TooManyFailures.as_str()))
}

impl Excess<'_, '_> {
    fn answer(&self) -> Failures {
        let allowed = self.wave.max_failures.of(self.total);
        let (n, total, name) = (self.failed.len(), self.total, &self.wave.name);
        let than = if n + self.unready == total {
            "and nobody is ready".to_owned()
        } else {
            format!("more than {allowed}")
        };
        let message = format!("{n} of {total} tenants of wave {name} failed, {than}{}", self.one());
        match self.may_return(allowed) {
            Some(until) => {
                let message = format!("{message}; they were ready before and have until {until}");
                let mut said = Said::held(HoldReason::TooManyFailures, message);
                said.wake(until);
                (None, Vec::new(), said)
            }
            None => match self.elsewhere() {
                Some(elsewhere) => {
                    let said = Said::held(HoldReason::FleetUnready, format!("{message}; {elsewhere}"));
                    (None, Vec::new(), said)
                }
                None => self.by_cause(&message, n <= allowed),
            },
        }
    }

    /// What tenants that were not updated look like, where as many of them are not ready as chance would have it, did the version
    /// make no difference (R14, Fisher's exact test). `None`: the failures are the version's own.
    ///
    /// Like is compared with like: who never was ready is not ready on both sides.
    fn elsewhere(&self) -> Option<String> {
        let fleet = self.case.roster.fleet();
        let untouched = fleet.filter(|(tenant, place)| {
            matches!(place.standing, Standing::Pending | Standing::NotReleased) && !tenant.dormant
        });
        let (mut not_ready, mut all) = (0, 0);
        for (tenant, _) in untouched {
            all += 1;
            not_ready += usize::from(matches!(tenant.readiness, Readiness::NotReady { .. }));
        }
        let here = (self.failed.len() + self.unready, self.total);
        (not_ready > 0 && fisher_upper(here, (not_ready, all)) > WORSE)
            .then(|| format!("{not_ready} of {all} tenants that were not updated are not ready either"))
    }

    /// One of them, and why it is not ready, in its object's words.
    fn one(&self) -> String {
        let Some(tenant) = self.failed.first() else { return String::new() };
        match &tenant.readiness {
            Readiness::NotReady { reason } => format!(" ({}/{}: {reason})", tenant.namespace, tenant.name),
            Readiness::Ready { .. } => String::new(),
        }
    }

    /// Until when tenants that were ready before have to return: a node that is drained takes ready tenants away for a
    /// moment, and they have the deadline of an update. Who never was ready does not return.
    fn may_return(&self, allowed: usize) -> Option<Timestamp> {
        let waves = &self.case.course.waves;
        let was_ready = |t: &Tenant| own(t).is_some_and(|m| seen_complete(m, waves).is_some());
        let never_ready = self.failed.iter().filter(|tenant| !was_ready(tenant)).count();
        let now = self.case.input.now;
        let since = self.held.map_or(now, |held| held.last_transition_time);
        let until = self.case.input.deadline(since, self.case.input.spec().tenants.progress_deadline);
        let lasted = self.held.is_some() && until <= now;
        (!lasted && never_ready <= allowed && never_ready < self.failed.len()).then_some(until)
    }

    /// What the failures come to once their cause is known. Failures that the wave would bear, were anybody ready, deviate only where
    /// they are plainly the version's.
    fn by_cause(&self, message: &str, is_borne: bool) -> Failures {
        let ids: Vec<TenantId> = self.failed.iter().take(DIAGNOSED).map(|tenant| tenant.id).collect();
        let known = &self.case.input.fleet.causes;
        let causes: Vec<&Cause> = ids.iter().filter_map(|id| known.get(id)).collect();
        let (mut infrastructure, mut how) = (Vec::new(), String::new());
        for cause in &causes {
            match cause {
                Cause::Infrastructure(what) => infrastructure.push(what),
                Cause::Application(what) if how.is_empty() => how = format!(": {what}"),
                Cause::Application(_) | Cause::Unknown => {}
            }
        }
        if causes.len() < ids.len() {
            let again = self.held.is_some_and(|held| held.reason == HoldReason::Infrastructure.as_str());
            let reason = if again { HoldReason::Infrastructure } else { HoldReason::TooManyFailures };
            (None, ids, Said::held(reason, format!("{message}; looking up why")))
        } else if infrastructure.len() == causes.len() {
            let message = format!("{message}, because of infrastructure: {}", infrastructure[0]);
            // Asked again, so that the hold ends with its cause.
            (None, ids, Said::held(HoldReason::Infrastructure, message))
        } else if is_borne && how.is_empty() {
            let message = format!("{message}; why is not known");
            (None, ids, Said::held(HoldReason::TooManyFailures, message))
        } else {
            let message = format!("{message}{how}");
            let found = Found::measured(DeviationReason::TooManyFailures, message, None);
            (Some(found), Vec::new(), Said::default())
        }
    }
}
