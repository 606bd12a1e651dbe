//! A synthetic fleet: tenants with traffic, what each version does to them, and what Prometheus would say of it.
//!
//! Everything measured is a pure function of seed, tenant, step and of which version the tenant ran when, so a step
//! that is asked for late, or twice, has the answer it would have had in time.

mod buckets;
pub mod chance;
mod crew;
pub mod draws;
pub mod fault;
pub mod harm;
pub mod lie;
pub mod prometheus;
pub mod scenario;
pub mod shape;
pub mod spec;
pub mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::{
    crew::Crew,
    fault::Fault,
    lie::Lie,
    prometheus::Metrics,
    scenario::Scenario,
    spec::FleetSpec,
    traffic::{Population, Run, Tenant},
};

/// The fleet of one rehearsal, shared by those who change it and those who measure it.
#[derive(Clone)]
pub struct Fleet(Arc<Mutex<Population>>);

impl Fleet {
    /// Shares a population.
    pub fn new(population: Population) -> Self {
        Self(Arc::new(Mutex::new(population)))
    }

    /// The population; nothing else may be locked meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Population> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
