//! What of each tenant's events lay above a few bucket edges: a flat row of single-precision numbers beside the tenants, so
//! that a hundred thousand of them cost 16 bytes each. Pure.

use std::sync::Arc;

use breakwater_slo::{Series, TenantId};

use super::{ByTenant, Walk};

/// Stands for a number that is not known.
const UNKNOWN: f32 = -1.0;

/// Events above each of a few bucket edges, tenant by tenant, in the order of the [`ByTenant`] that they stand beside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slower {
    /// In seconds, ascending.
    edges: Arc<[f64]>,
    /// Tenants times edges.
    above: Arc<[f32]>,
}

impl Slower {
    /// From the edges, in seconds and ascending, and for each tenant what lies above each of them; `None`: not known.
    /// Single precision is off by a ten-millionth at most.
    pub fn new(edges: Arc<[f64]>, above: impl IntoIterator<Item = Option<f64>>) -> Self {
        let above = above.into_iter().map(packed).collect();
        Self { edges, above }
    }

    /// The edges, in seconds, ascending; none where nothing of it was read.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Events above an edge of the tenant in this place; `None`: not known.
    pub fn above(&self, place: usize, edge_seconds: f64) -> Option<f64> {
        let column = self.edges.iter().position(|edge| edge.total_cmp(&edge_seconds).is_eq())?;
        let above = self.above.get(place.checked_mul(self.edges.len())?.checked_add(column)?)?;
        (*above >= 0.0).then(|| f64::from(*above))
    }

    /// It holds a row for each of so many tenants.
    fn fits(&self, tenants: usize) -> bool {
        self.above.len() == tenants.saturating_mul(self.edges.len())
    }

    /// As it is where it is of so many tenants; of others nobody knows whose the rows are.
    pub(crate) fn of(self, tenants: usize) -> Self {
        if self.fits(tenants) { self } else { Self::default() }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
fn packed(above: Option<f64>) -> f32 {
    above.map_or(UNKNOWN, |above| above as f32)
}

/// The series of one step, and what of them was slower than the edges of a latency's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    series: ByTenant<Series>,
    slower: Slower,
}

impl Counted {
    /// From pairs in any order; of a tenant that is in them twice, one stays.
    pub fn new(pairs: Vec<(TenantId, Series)>) -> Self {
        Self { series: ByTenant::new(pairs), slower: Slower::default() }
    }

    /// With what lay above the edges, in order of the tenants' ids; dropped where it is not of just as many tenants.
    #[must_use]
    pub fn with_slower(self, slower: Slower) -> Self {
        let slower = slower.of(self.series.as_slice().len());
        Self { slower, ..self }
    }

    /// In order of the tenants' ids.
    pub fn as_slice(&self) -> &[(TenantId, Series)] {
        self.series.as_slice()
    }

    /// What there is of one tenant.
    pub fn get(&self, tenant: TenantId) -> Option<&Series> {
        self.series.get(tenant)
    }

    /// Looks tenants up one after the other.
    pub fn walk(&self) -> Walk<'_, Series> {
        self.series.walk()
    }

    /// What lay above the edges.
    pub fn slower(&self) -> &Slower {
        &self.slower
    }
}

impl From<&[(TenantId, Series)]> for Counted {
    fn from(pairs: &[(TenantId, Series)]) -> Self {
        Self { series: ByTenant::from(pairs), slower: Slower::default() }
    }
}

impl FromIterator<(TenantId, Series)> for Counted {
    fn from_iter<I: IntoIterator<Item = (TenantId, Series)>>(pairs: I) -> Self {
        Self::new(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use breakwater_slo::Counts;

    use super::*;

    #[test]
    fn what_lies_above_an_edge_is_found_by_the_edge_and_what_is_not_known_is_none() {
        let slower = Slower::new(
            [0.25, 1.0].into(),
            [Some(9.0), Some(1.0), None, Some(0.0), Some(16_777_216.0), None],
        );
        let at = |place| [0.25, 0.5, 1.0].map(|edge| slower.above(place, edge));
        assert_eq!(at(0), [Some(9.0), None, Some(1.0)]);
        assert_eq!(at(1), [None, None, Some(0.0)]);
        assert_eq!(at(2), [Some(16_777_216.0), None, None]);
        assert_eq!((at(3), at(usize::MAX)), ([None; 3], [None; 3]));
        assert_eq!(Slower::default().above(0, 0.25), None);
    }

    #[test]
    fn rows_of_other_tenants_than_there_are_belong_to_nobody() {
        let series = Series::Counted(Counts { bad: 0.0, total: 1.0 });
        let counted: Counted = [(TenantId(2), series), (TenantId(1), series)].into_iter().collect();
        let of = |above: &[f64]| Slower::new([0.5].into(), above.iter().copied().map(Some));
        assert_eq!(counted.clone().with_slower(of(&[1.0, 2.0])).slower().above(1, 0.5), Some(2.0));
        assert_eq!(counted.with_slower(of(&[1.0])).slower(), &Slower::default());
    }
}
