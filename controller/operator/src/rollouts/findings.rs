//! What came of looking things up and of making Jobs in the background, for as long as it is believed. No I/O.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use breakwater_plan::observed::{Cause, Errand, Job, JobState};
use breakwater_slo::TenantId;
use jiff::{SignedDuration, Timestamp};

/// How long a looked-up cause is believed.
const CAUSE_AGE: SignedDuration = SignedDuration::from_secs(30);
/// How long a Job that could not be made counts as failed before it is tried again.
const UNMADE_AGE: SignedDuration = SignedDuration::from_mins(1);

/// What one Rollout's background tasks found. Cheap to clone: clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Default)]
struct Found {
    causes: HashMap<TenantId, (Cause, Timestamp)>,
    unmade: HashMap<TenantId, (Errand, String, Timestamp)>,
}

impl Findings {
    /// Notes why a failed tenant is not ready.
    pub(super) fn learn(&self, tenant: TenantId, cause: Cause, now: Timestamp) {
        self.lock().causes.insert(tenant, (cause, now));
    }

    /// Notes why a tenant's Job could not be made.
    pub(super) fn could_not_make(&self, tenant: TenantId, errand: Errand, why: String, now: Timestamp) {
        self.lock().unmade.insert(tenant, (errand, why, now));
    }

    /// Causes that are fresh enough.
    pub(super) fn causes(&self, now: Timestamp) -> HashMap<TenantId, Cause> {
        let mut found = self.lock();
        found.causes.retain(|_, (_, at)| now.duration_since(*at) < CAUSE_AGE);
        found.causes.iter().map(|(id, (cause, _))| (*id, cause.clone())).collect()
    }

    /// Adds the Jobs that could not be made to those that are there, as failed ones.
    pub(super) fn add_unmade(&self, jobs: &mut HashMap<TenantId, Vec<Job>>, now: Timestamp) {
        let mut found = self.lock();
        found.unmade.retain(|_, (_, _, at)| now.duration_since(*at) < UNMADE_AGE);
        for (tenant, (errand, why, _)) in &found.unmade {
            let of_it = jobs.entry(*tenant).or_default();
            if of_it.iter().all(|job| job.errand != *errand) {
                of_it.push(Job { errand: errand.clone(), state: JobState::Failed(why.clone()) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // Every write is one insertion: a poisoned lock holds whole values.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use breakwater_plan::outcome::Purpose;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_cause_is_believed_for_half_a_minute_and_a_job_that_could_not_be_made_for_one() {
        let findings = Findings::default();
        let errand = Errand { purpose: Purpose::Revert, newer: "2".into(), older: "1".into(), of: at(0) };
        findings.learn(TenantId(1), Cause::Application("crashes".into()), at(0));
        findings.could_not_make(TenantId(1), errand.clone(), "forbidden".into(), at(0));
        let seen = |seconds| {
            let mut jobs = HashMap::new();
            findings.add_unmade(&mut jobs, at(seconds));
            (findings.causes(at(seconds)).len(), jobs.into_values().flatten().collect::<Vec<_>>())
        };
        let failed = Job { errand: errand.clone(), state: JobState::Failed("forbidden".into()) };
        assert_eq!(seen(29), (1, vec![failed.clone()]));
        assert_eq!(seen(30), (0, vec![failed]));
        assert_eq!(seen(60), (0, Vec::new()));
    }

    #[test]
    fn a_job_that_is_there_after_all_is_believed_over_the_failure_to_make_it() {
        let findings = Findings::default();
        let errand = Errand { purpose: Purpose::Revert, newer: "2".into(), older: "1".into(), of: at(0) };
        findings.could_not_make(TenantId(1), errand.clone(), "no answer".into(), at(0));
        let there = Job { errand, state: JobState::Running };
        let mut jobs = HashMap::from([(TenantId(1), vec![there.clone()])]);
        findings.add_unmade(&mut jobs, at(1));
        assert_eq!(jobs[&TenantId(1)], [there]);
    }
}
