//! The sequential comparison of candidates with a baseline: from the samples of a step to evidence (analysis.md 2). Pure.
//!
//! # Evidence of one SLO
//! ```text
//! E = (1-t) * ( (1-h) * (P/2 + T/2) + h * H ) + t * V          Both: the lesser of the first part and B, and t * V
//! ```
//! - `P`: the pooled comparison, a [`mixture::Mixture`] over [`increment::Test`];
//! - `T = sum w_i*E_i`: each tenant against the pooled baseline ([`tenants`]), but for the worst of twenty or more: what
//!   hinges on one of so many is that tenant's matter. Where it alone would pass the limit, it is sent back (scope `Tenant`) or held
//!   and shown (scope `Release`);
//! - `H`: the shape of the latency, the mean over bucket edges of the same test on the counts above the edge (slower
//!   only); `h` is 1/2 with [`crate::Compare::shape`] once edges that the past calibrated were heard, else 0;
//! - `V`: traffic that vanishes, the lesser of its evidence against the baseline and against the past ([`traffic`]);
//!   `t` is 1/10 with [`crate::Compare::traffic`], else 0;
//! - `B`: the pooled comparison with the candidates' own past.
//!
//! Each of them begins with expectation at most 1 and never grows in expectation, whatever depends on whatever; so does
//! their mean with fixed weights, and the lesser of two is below both. Over the SLOs of a release see
//! [`crate::combine()`]. `against` may change from wave to wave: `P` takes each step's increment against what that step is
//! compared with, so there is one process and alpha is spent once. `B` decides nothing by itself but a hold, so it
//! costs no alpha.

pub(crate) mod clock;
pub(crate) mod detect;
pub(crate) mod encode;
pub(crate) mod frozen;
pub(crate) mod increment;
pub(crate) mod mixture;
pub(crate) mod onset;
pub(crate) mod ordered;
pub(crate) mod running;
pub(crate) mod shape;
pub(crate) mod tenants;
pub(crate) mod traffic;

pub use frozen::{Against, Comparison, Doubt, Frozen, Members};
pub use shape::Edges;
