//! What must be true of every plan, whatever the scenario (testbed.md, oracles).

use breakwater_crds::words::{GateSubject, RevertSafety};
use std::collections::{BTreeMap, BTreeSet};

use breakwater_crds::{
    gates::Gate as Gates,
    release::Lane,
    report::{REJECTED_FOR_MAX, REPORT_MAX_BYTES},
    rollout::Scope,
    scalars::Span,
    status::{BrakeKind, HISTORY_MAX, Phase, STATUS_MAX_BYTES},
};
use breakwater_plan::{
    Observed, Plan,
    observed::{Claim, JobState, Marker, Readiness, SloReading, Tenant},
    outcome::{Purpose, Write},
    release::crossing,
    roster::after,
    schedule::{Gate, Windows},
};
use jiff::{SignedDuration, Timestamp};

/// Panics with a sentence where a plan breaks a rule.
pub fn check(observed: &Observed<'_>, plan: &Plan, now: Timestamp) {
    let out = rejected(observed, plan);
    let alone = rejected_alone(observed, plan);
    blast_radius(observed, plan);
    status_is_bounded(plan);
    one_wave_is_in_flight(plan);
    if observed.asked.stopped.is_some()
        || plan.status.brakes.iter().any(|brake| brake.kind == BrakeKind::Stop)
    {
        assert!(plan.writes.is_empty(), "R36: {} writes while stopped", plan.writes.len());
    }
    for write in &plan.writes {
        touches_only_its_own(observed, write);
        match write.purpose {
            Purpose::Advance => {
                forward(observed, plan, write, &out, &alone, now);
                let since = alone.since(&write.tenant, &write.version);
                assert!(since.is_none(), "R22: {} is rejected for {}", write.version, write.tenant.name);
            }
            Purpose::Revert => {
                back(plan, write, &out, &alone);
                the_schema_lets_it_back(observed, plan, write);
            }
        }
    }
    nothing_is_written_blind(observed, plan, now);
    let (forward, back): (Vec<&Write>, Vec<&Write>) =
        plan.writes.iter().partition(|write| write.purpose == Purpose::Advance);
    if !forward.is_empty() {
        forward_concurrency(observed, plan, forward.len(), now);
    }
    back_concurrency(observed, plan, &back, &out, &alone, now);
    a_decision_is_stored_first(observed, plan);
    no_version_starts_over_an_open_report(observed, plan);
    no_withdrawn_version_starts(observed, plan);
    jobs_are_few_and_come_before_their_write(observed, plan);
    reports_are_bounded_and_leave_people_theirs(plan);
    assert!(plan.transitions.len() <= 40, "R31: {} transitions in one plan", plan.transitions.len());
}

/// Versions that reports reject once this plan's are stored, and the one that is taken out.
fn rejected(observed: &Observed<'_>, plan: &Plan) -> BTreeSet<String> {
    let mut reports = observed.elsewhere.reports.to_vec();
    crate::world::store(&mut reports, plan);
    let mut out: BTreeSet<String> = reports
        .iter()
        .filter(|report| report.status.rejects())
        .map(|report| report.spec.version.clone())
        .collect();
    out.extend(
        plan.status
            .revert
            .as_ref()
            .filter(|_| plan.status.phase.is_reverting())
            .map(|revert| revert.version.clone()),
    );
    out
}

/// Versions that open reports reject for single tenants once this plan's are stored, by their own lists (R22).
struct Alone(BTreeMap<(String, String), Timestamp>);

impl Alone {
    fn since(&self, tenant: &Tenant, version: &str) -> Option<Timestamp> {
        let name = format!("{}/{}", tenant.namespace, tenant.name);
        self.0.get(&(name, version.to_owned())).copied()
    }

    /// When the first version was rejected for a tenant.
    fn first(&self, tenant: &Tenant) -> Option<Timestamp> {
        let name = format!("{}/{}", tenant.namespace, tenant.name);
        self.0.iter().filter(|((of, _), _)| *of == name).map(|(_, at)| *at).min()
    }
}

fn rejected_alone(observed: &Observed<'_>, plan: &Plan) -> Alone {
    let mut reports = observed.elsewhere.reports.to_vec();
    crate::world::store(&mut reports, plan);
    let open = reports.iter().filter(|report| report.status.closed_by.is_none());
    let listed = open.flat_map(|report| {
        let version = &report.spec.version;
        report.status.rejected_for.iter().map(|tenant| ((tenant.tenant.clone(), version.clone()), tenant.at))
    });
    Alone(listed.collect())
}

/// R22: no plan rejects a version for more single tenants than may be, nor for one that it was not written to; none that
/// was listed is taken off the list.
fn blast_radius(observed: &Observed<'_>, plan: &Plan) {
    let spec = &observed.asked.spec.spec;
    for write in &plan.reports {
        let list = &write.status.rejected_for;
        let old = observed.elsewhere.reports.iter().find(|report| report.name == write.name);
        let old = old.map_or(&[][..], |report| &report.status.rejected_for);
        assert!(list.starts_with(old), "R22: {old:?} became {list:?}");
        let new = &list[old.len()..];
        if new.is_empty() {
            continue;
        }
        assert_eq!(spec.on_deviation.scope, Scope::Tenant, "R22");
        let allowed = spec.revert.max_tenant_reverts.of(plan.status.counts.live as usize);
        assert!(list.len() <= allowed.min(REJECTED_FOR_MAX), "R22: {} of {allowed}", list.len());
        for rejected in new {
            let on_it = |tenant: &&Tenant| {
                format!("{}/{}", tenant.namespace, tenant.name) == rejected.tenant
                    && own(tenant).is_some_and(|marker| *marker.target == *write.spec.version)
            };
            assert!(
                observed.fleet.tenants.iter().any(|tenant| on_it(&tenant)),
                "R22: {rejected:?} is not on it"
            );
        }
        assert!(plan.decided, "R28: a version is rejected for a tenant, and that is not stored first");
    }
}

/// R10: a wave's first write comes after every SLO was seen working within the last minutes, or after a human's word.
fn nothing_is_written_blind(observed: &Observed<'_>, plan: &Plan, now: Timestamp) {
    let old = &observed.status.waves;
    let has_begun = |wave: &str| old.iter().any(|old| old.name == wave && old.started_at.is_some());
    let begins = |write: &&Write| write.purpose == Purpose::Advance && !has_begun(&write.marker.wave);
    for write in plan.writes.iter().filter(begins) {
        let wave = plan.status.waves.iter().find(|wave| *wave.name == *write.marker.wave);
        let promoted = wave.is_some_and(|wave| wave.promoted.is_some());
        let seen = |reading: &SloReading| {
            let sight = reading.sight.as_ref();
            sight.is_some_and(|sight| sight.seen.is_ok() && now.duration_since(sight.at).as_mins() <= 5)
        };
        let all = observed.measured.readings.iter().all(seen);
        assert!(promoted || all, "R10: {} is written blind", write.tenant.name);
    }
}

/// R21: nobody goes back over a schema that the version before does not run on, unless somebody said so or its Job is done.
fn the_schema_lets_it_back(observed: &Observed<'_>, plan: &Plan, write: &Write) {
    let gates = &observed.asked.spec.spec.gates;
    let newer = write.tenant.version.version().unwrap();
    let Some(crossing) = crossing(observed.elsewhere.releases, &write.version, newer) else { return };
    if gates.migrations != Gates::Require || crossing.revert == RevertSafety::RevertSafe {
        return;
    }
    let said =
        plan.status.acknowledged.iter().any(|a| a.subject == GateSubject::Revert && a.version == **newer);
    let done = observed.fleet.jobs.get(&write.tenant.id).is_some_and(|jobs| {
        jobs.iter().any(|job| job.errand.newer == *newer && job.state == JobState::Succeeded)
    });
    assert!(
        said || done,
        "R21: {} goes back from {newer} to {}: {crossing:?}",
        write.tenant.name,
        write.version
    );
}

/// A withdrawn version never starts, nor is gone back to.
fn no_withdrawn_version_starts(observed: &Observed<'_>, plan: &Plan) {
    let withdrawn = |version: &str| {
        observed
            .elsewhere
            .releases
            .iter()
            .any(|release| release.version == version && release.withdrawn.is_some())
    };
    for write in &plan.writes {
        assert!(
            !withdrawn(&write.version),
            "withdrawn {} is written to {}",
            write.version,
            write.tenant.name
        );
    }
}

/// One Job per errand, within the concurrency, and no write beside it.
fn jobs_are_few_and_come_before_their_write(observed: &Observed<'_>, plan: &Plan) {
    for job in &plan.jobs {
        let tenant = job.tenant.id;
        let known =
            observed.fleet.jobs.get(&tenant).is_some_and(|jobs| jobs.iter().any(|k| k.errand == job.errand));
        assert!(!known, "a Job for {} is there already", job.tenant.name);
        assert!(
            plan.writes.iter().all(|write| write.tenant.id != tenant),
            "{} is written beside its Job",
            job.tenant.name
        );
        assert!(observed.asked.stopped.is_none(), "R36: a Job while stopped");
    }
}

/// `gates.openDeviations: Require`.
fn no_version_starts_over_an_open_report(observed: &Observed<'_>, plan: &Plan) {
    let starts = plan.status.phase.is_under_way() && plan.status.started_at != observed.status.started_at;
    let Some(version) = plan.status.candidate_version.as_deref().filter(|_| starts) else { return };
    if observed.asked.spec.spec.gates.open_deviations != Gates::Require {
        return;
    }
    let mut reports = observed.elsewhere.reports.to_vec();
    crate::world::store(&mut reports, plan);
    let acknowledged = plan
        .status
        .acknowledged
        .iter()
        .any(|a| a.subject == GateSubject::OpenDeviations && a.version == version);
    let open = reports.iter().find(|report| {
        let answered = report.spec.is_answered_for(version) || report.status.closed_by.is_some();
        let fixed = observed
            .elsewhere
            .releases
            .iter()
            .any(|release| release.version == version && release.fixes.contains(&report.name));
        report.spec.version != version && !answered && !fixed && !acknowledged
    });
    assert!(open.is_none(), "{version} starts over {open:?}");
}

fn reports_are_bounded_and_leave_people_theirs(plan: &Plan) {
    for write in &plan.reports {
        let bytes = serde_json::to_vec(&write.status).unwrap().len();
        assert!(bytes <= REPORT_MAX_BYTES, "{bytes} bytes of {}", write.name);
        assert_eq!(write.spec.investigation, None, "what people found out is not ours to write");
    }
}

fn status_is_bounded(plan: &Plan) {
    let bytes = serde_json::to_vec(&plan.status).unwrap().len();
    assert!(bytes <= STATUS_MAX_BYTES, "R27: {bytes} bytes of status");
    assert!(plan.status.history.len() <= HISTORY_MAX, "R31");
    assert!(plan.status.history.is_sorted_by(|one, next| one.seq < next.seq), "R31: numbers rise");
}

fn one_wave_is_in_flight(plan: &Plan) {
    let open =
        plan.status.waves.iter().filter(|wave| wave.started_at.is_some() && wave.passed_at.is_none()).count();
    assert!(open <= 1, "R1: {open} waves are in flight: {:?}", plan.status.waves);
    let first_open =
        plan.status.waves.iter().position(|wave| wave.passed_at.is_none()).unwrap_or(plan.status.waves.len());
    let beyond = plan
        .status
        .waves
        .iter()
        .skip(first_open + 1)
        .any(|wave| wave.started_at.is_some() && wave.passed_at.is_none());
    assert!(!beyond, "R1: a wave started before an earlier one was passed: {:?}", plan.status.waves);
}

fn own(tenant: &Tenant) -> Option<&Marker> {
    tenant.marker.as_deref().filter(|marker| marker.claim == Claim::Own)
}

fn touches_only_its_own(observed: &Observed<'_>, write: &Write) {
    let tenant = observed.fleet.tenants.iter().find(|tenant| tenant.id == write.tenant.id).unwrap();
    assert_eq!(*tenant, write.tenant, "a write on what was not observed");
    let mine = own(tenant).is_some() || (tenant.selected && !tenant.excluded);
    assert!(mine, "{} is neither selected nor marked", tenant.name);
    assert!(!tenant.terminating && tenant.consented, "R24, R39: {tenant:?}");
    assert!(tenant.marker.as_deref().is_none_or(|marker| marker.claim != Claim::Other), "R24: claimed");
    assert!(
        own(tenant).is_none_or(|marker| tenant.version.version() == Some(&marker.target)),
        "R24: contested"
    );
    assert!(!observed.fleet.in_flight.contains(&tenant.id), "a tenant that is in flight");
    assert_eq!(write.marker.target, write.version);
    assert_eq!(write.marker.epoch, observed.epoch, "R26");
    assert_ne!(tenant.version.version(), Some(&write.version), "a write that changes nothing: {tenant:?}");
}

fn forward(
    observed: &Observed<'_>,
    plan: &Plan,
    write: &Write,
    out: &BTreeSet<String>,
    alone: &Alone,
    now: Timestamp,
) {
    let (status, tenant) = (&plan.status, &write.tenant);
    assert!(status.phase.is_under_way(), "a forward write in {:?}", status.phase);
    assert_eq!(status.candidate_version.as_deref(), Some(&*write.version));
    assert!(!out.contains(&*write.version), "R19: a forward write of the rejected {}", write.version);
    assert!(tenant.selected && !tenant.excluded && !tenant.dormant, "R6, R17: {tenant:?}");
    assert!(own(tenant).is_some() || tenant.foreign_owner.is_none(), "R24: not released");
    assert!(!observed.asked.spec.spec.paused && status.brakes.is_empty(), "a forward write while held");
    let held = status.conditions.iter().find(|c| c.type_.as_str() == "Held").unwrap();
    // What the API server refuses is tried again all the while, and nothing else is written.
    match held.reason.as_str() {
        "WritesRefused" => {
            assert!(observed.fleet.problems.contains_key(&tenant.id), "a write beside refused ones");
        }
        reason => assert_eq!(reason, "None", "a forward write while held"),
    }
    let windows = if status.lane == Lane::Emergency { Windows::None } else { Windows::All };
    assert!(
        matches!(observed.asked.spec.schedule.gate(now, windows), Gate::Open { .. }),
        "R8: a forward write outside windows"
    );
    let wave = status.waves.iter().position(|wave| *wave.name == *write.marker.wave).unwrap();
    assert!(
        status.waves[wave].started_at.is_some() || status.waves[wave].passed_at.is_some(),
        "R1: wave {wave} has not started"
    );
    let present = tenant.version.version().unwrap();
    let recorded = own(tenant).map(|marker| &marker.previous);
    let stable = status.stable_version.as_deref();
    let known = *present == write.marker.previous
        || recorded == Some(&write.marker.previous)
        || stable == Some(&*write.marker.previous);
    assert!(known, "R17: previous is {}, of {tenant:?}", write.marker.previous);
    let rejected = |version: &str| out.contains(version) || alone.since(tenant, version).is_some();
    let withdrawn = |version: &str| {
        observed.elsewhere.releases.iter().any(|r| r.version == version && r.withdrawn.is_some())
    };
    let verified_there_is = stable.is_some_and(|stable| !rejected(stable) && !withdrawn(stable));
    assert!(!verified_there_is || !rejected(&write.marker.previous), "R17, R22: previous is rejected");
}

fn back(plan: &Plan, write: &Write, out: &BTreeSet<String>, alone: &Alone) {
    let marker = own(&write.tenant).expect("R17: a revert of a tenant that was never touched");
    let rejected = |version: &str| out.contains(version) || alone.since(&write.tenant, version).is_some();
    assert!(rejected(&marker.target), "a revert of {}, which nobody rejects", marker.target);
    assert!(!rejected(&write.version), "R17, R22: a revert to the rejected {}", write.version);
    let stable = plan.status.stable_version.as_deref();
    assert!(
        marker.previous == write.version || stable == Some(&*write.version),
        "R17: a revert to {}",
        write.version
    );
    assert_eq!(write.marker.previous, write.version);
}

/// Whether a limit is over, in the oracle's own words: none of the instants that it may count from lies within it. A write more than
/// a minute ahead is no such instant; where the controller's term began is one instead.
fn is_late(observed: &Observed<'_>, written_at: Timestamp, limit: Span, now: Timestamp) -> bool {
    let ahead = written_at > now + SignedDuration::from_secs(60);
    let begins = [if ahead { observed.clock.began } else { written_at }];
    begins.into_iter().chain(observed.clock.stepped_to).all(|at| after(at, limit) <= now)
}

/// R2: updated but not ready, in flight, and about to be written.
fn forward_concurrency(observed: &Observed<'_>, plan: &Plan, writes: usize, now: Timestamp) {
    let spec = &observed.asked.spec.spec;
    let wanted = plan.status.candidate_version.as_deref();
    let busy = observed.fleet.tenants.iter().filter(|tenant| {
        let live =
            tenant.selected && !tenant.excluded && !tenant.terminating && tenant.consented && !tenant.dormant;
        let here = own(tenant).is_some_and(|marker| Some(&*marker.target) == wanted);
        let ready = matches!(tenant.readiness, Readiness::Ready { .. });
        let late =
            own(tenant).is_some_and(|m| is_late(observed, m.written_at, spec.tenants.progress_deadline, now));
        live && here && tenant.version.version().map(|v| &**v) == wanted && !ready && !late
    });
    let in_flight =
        plan.status.waves.iter().position(|wave| wave.started_at.is_some() && wave.passed_at.is_none());
    let current =
        in_flight.or_else(|| plan.status.waves.iter().rposition(|wave| wave.started_at.is_some())).unwrap();
    let allowed = spec.waves[current].max_concurrent.of(plan.status.waves[current].total as usize);
    let total = busy.count() + observed.fleet.in_flight.len() + writes;
    assert!(total <= allowed, "R2: {total} are updated or about to be, and {allowed} may");
}

/// R18: places of a revert are neither overdrawn nor left empty, whatever holds.
fn back_concurrency(
    observed: &Observed<'_>,
    plan: &Plan,
    writes: &[&Write],
    out: &BTreeSet<String>,
    alone: &Alone,
    now: Timestamp,
) {
    let spec = &observed.asked.spec.spec.revert;
    let stable = plan.status.stable_version.as_deref();
    let out_of = plan.status.phase.is_reverting()
        || matches!(plan.status.phase, Phase::Reverted | Phase::RevertedPartly);
    let decided = plan.status.revert.as_ref().filter(|_| out_of).map(|revert| revert.decided_at);
    let reachable = |tenant: &&Tenant| !tenant.terminating && tenant.consented && own(tenant).is_some();
    let steady = |tenant: &&Tenant| own(tenant).map(|marker| &marker.target) == tenant.version.version();
    let mine = || observed.fleet.tenants.iter().filter(reachable).filter(steady);
    let rejected =
        |tenant: &Tenant, version: &str| out.contains(version) || alone.since(tenant, version).is_some();
    let withdrawn = |version: &str| {
        observed
            .elsewhere
            .releases
            .iter()
            .any(|release| release.version == version && release.withdrawn.is_some())
    };
    let fits = |tenant: &Tenant, version: &str| !rejected(tenant, version) && !withdrawn(version);
    let safe = |tenant: &Tenant| {
        fits(tenant, &own(tenant).unwrap().previous) || stable.is_some_and(|stable| fits(tenant, stable))
    };
    let to_go = |tenant: &&Tenant| {
        let version = &**tenant.version.version().unwrap();
        out.contains(version) || (rejected(tenant, version) && safe(tenant))
    };
    let returned = |tenant: &&Tenant| {
        let marker = own(tenant).unwrap();
        let (decided, alone) = (decided.into_iter(), alone.first(tenant).into_iter());
        marker.target == marker.previous
            && decided.chain(alone).any(|at| marker.written_at >= at)
            && !to_go(tenant)
    };
    let returning = mine().filter(returned).filter(|tenant| {
        let late = is_late(observed, own(tenant).unwrap().written_at, spec.tenant_deadline, now);
        !tenant.dormant && !late && matches!(tenant.readiness, Readiness::NotReady { .. })
    });
    let touched = mine().filter(to_go).count() + mine().filter(returned).count();
    let allowed = spec.max_concurrent.of(touched.max(1));
    let (returning, awake) = (returning.count(), writes.iter().filter(|write| !write.tenant.dormant).count());
    assert!(
        awake == 0 || returning + observed.fleet.in_flight.len() + awake <= allowed,
        "R18: {returning} + {awake} of {allowed}"
    );
    let stopped = observed.asked.stopped.is_some()
        || plan.status.brakes.iter().any(|brake| brake.kind == BrakeKind::Stop);
    let can_go =
        mine().filter(to_go).filter(|tenant| safe(tenant) && !observed.fleet.in_flight.contains(&tenant.id));
    let waits = can_go.count();
    let room = allowed.saturating_sub(returning + observed.fleet.in_flight.len());
    // What the schema lets nobody do by itself is another oracle's.
    let asked = !observed.elsewhere.releases.is_empty();
    assert!(
        stopped || asked || waits == 0 || room == 0 || !writes.is_empty(),
        "R18: {waits} could go back, and none does"
    );
}

/// R28: what the writes rest on is marked as a decision.
fn a_decision_is_stored_first(observed: &Observed<'_>, plan: &Plan) {
    let (old, new) = (observed.status, &plan.status);
    let road = |s: &breakwater_crds::RolloutStatus| {
        let starts: Vec<_> = s.waves.iter().map(|wave| wave.started_at).collect();
        (
            s.phase,
            s.candidate_version.clone(),
            s.epoch,
            s.revert.as_ref().map(|r| r.decided_at),
            starts,
            s.brakes.clone(),
        )
    };
    assert!(plan.decided || road(old) == road(new), "R28: a decision that is not stored: {:?}", new.phase);
    let known = matches!(
        new.phase,
        Phase::Pending
            | Phase::Adopting
            | Phase::Advancing
            | Phase::Soaking
            | Phase::AwaitingApproval
            | Phase::Watching
            | Phase::Completed
            | Phase::Reverting
            | Phase::Verifying
            | Phase::Reverted
            | Phase::RevertedPartly
    );
    assert!(
        known && !new.summary.is_empty() && !new.message.is_empty(),
        "status tells nothing in {:?}",
        new.phase
    );
}
