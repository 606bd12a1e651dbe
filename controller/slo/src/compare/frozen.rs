//! What is frozen at a wave's start and comes in from outside: nothing of it is decided here. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shape::Edges;
use crate::reading::TenantId;

/// Whether the comparison of an SLO may speak. The caller knows, and says so after each start of a wave and after a
/// restart of the process ([`crate::State::compare`]); it is not stored with the state.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Comparison {
    /// Not asked for: the guards speak alone.
    #[default]
    Off,
    /// Asked for and not armed yet: no history, the replay has not run. Holds; the guards revert as ever.
    Pending(String),
    /// The replay over the past would have fired: holds and asks.
    Uncalibrated(Doubt),
    /// Armed.
    Armed(Arc<Frozen>),
}

/// Why an SLO is not calibrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Which tenants or margin are the cause, as words.
    pub reason: String,
    /// A guard fired in the replay as well: guards hold, too, instead of reverting. False: the comparison alone did, and
    /// the guards revert as ever.
    pub guards: bool,
}

/// What the candidates are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Against {
    /// Tenants that are not yet updated, at the same time.
    Others,
    /// The same tenants, the same minute of the week before their own update ([`crate::Past`]).
    History {
        /// The user chose it: it reverts. Otherwise it holds.
        chosen: bool,
    },
    /// Both must agree; one alone holds.
    Both,
}

/// The tenants of a wave at its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(Arc<[TenantId]>);

impl Members {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order of their ids.
    pub fn as_slice(&self) -> &[TenantId] {
        &self.0
    }

    /// The tenant is one of them.
    pub fn contains(&self, tenant: TenantId) -> bool {
        self.0.binary_search(&tenant).is_ok()
    }
}

impl From<Vec<TenantId>> for Members {
    fn from(mut tenants: Vec<TenantId>) -> Self {
        tenants.sort_unstable();
        tenants.dedup();
        Self(tenants.into())
    }
}

/// What was frozen at the start of the wave under way.
///
/// Each dispersion is an estimate from data before the wave ([`crate::Dispersion`]); below [`crate::PHI_MIN`] it is
/// raised to that, and one that is no number leaves its comparison without increments.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// What to compare with.
    pub against: Against,
    /// Dispersion of candidates against baseline, pooled.
    pub phi: f64,
    /// Dispersion of one tenant against the pooled baseline.
    pub phi_tenant: f64,
    /// Dispersion of the candidates against their own past.
    pub phi_past: f64,
    /// Dispersion of traffic, against the baseline's and against their own past: the greater.
    pub phi_traffic: f64,
    /// The edges of the shape; `None`: their past could not be read, and the shape says nothing in this wave.
    pub shape: Option<Edges>,
    /// `K`: planned length of the whole rollout, hours. The restarts' mass is spread over it.
    pub planned_hours: u32,
    /// `W`: planned number of waves.
    pub planned_waves: u32,
    /// The own tenants of each wave begun so far, the one under way last. A wave's list never changes.
    pub waves: Vec<Members>,
}
