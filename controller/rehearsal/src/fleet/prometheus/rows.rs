//! The rows of the synthetic Prometheus's answers. Pure.

use breakwater_operator::telemetry::{Grid, Labels, Sink, sink::label_text};
use breakwater_plan::promql::{EDGE_LABEL, Measure, ROW_LABEL};

use super::SCRAPE_SECONDS;
use crate::fleet::{
    buckets, chance,
    draws::Known,
    traffic::{Population, Requests, Tenant},
};

/// What draws of buckets are for, beside what `traffic` draws of the same tenant and step.
const BUCKETS: u64 = 0xb0c4;

/// One SLO's part.
pub(super) struct Series {
    pub(super) measure: Measure,
    pub(super) is_latency: bool,
    pub(super) edge: String,
    /// Whether further edges are asked for.
    pub(super) has_shape: bool,
    /// Labels per tenant: total, bad or good, now.
    pub(super) labels: Vec<[Box<str>; 3]>,
    /// And one for each further edge, where they are asked for.
    pub(super) edge_labels: Vec<[Box<str>; 4]>,
}

/// Which tenants a query is of.
pub(super) enum Whom {
    All,
    /// By the tenants' places.
    Some(Vec<bool>),
}

impl Whom {
    pub(super) fn has(&self, tenant: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(those) => those.get(tenant).is_some_and(|has| *has),
        }
    }

    pub(super) fn count(&self, fleet: &Population) -> usize {
        (0..fleet.tenants.len()).filter(|tenant| self.has(*tenant)).count()
    }
}

impl Series {
    /// Total, and bad or good.
    fn measured(&self, requests: Requests) -> (f64, f64) {
        let Requests { total, bad, slow, near: _ } = requests;
        let hit = if self.is_latency { slow } else { bad };
        (total, if self.measure == Measure::Histogram { total - hit } else { hit })
    }

    /// The rows of an instant; `requests` says a tenant's, and whether they are of a step.
    pub(super) fn instant(
        &self,
        (fleet, whom): (&Population, &Whom),
        at: i64,
        sink: &mut dyn Sink,
        mut requests: impl FnMut(usize, &Tenant) -> (Requests, bool),
    ) -> Result<(), String> {
        let stamp = at as f64;
        for (index, (tenant, labels)) in fleet.tenants.iter().zip(&self.labels).enumerate() {
            if tenant.gone_at.is_some_and(|gone| gone < at) || tenant.dormant || !whom.has(index) {
                continue;
            }
            let (requests, of_step) = requests(index, tenant);
            let (total, part) = self.measured(requests);
            let [of_total, of_part, of_now] = labels;
            sink.series(Labels::new(of_total))?;
            sink.sample(stamp, total);
            sink.series(Labels::new(of_part))?;
            sink.sample(stamp, part);
            // Nobody reads it where there is a total; a real answer holds it all the same.
            if total <= 0.0 && of_step && self.measure != Measure::Recorded {
                sink.series(Labels::new(of_now))?;
                sink.sample(stamp, 1.0);
            }
            let up_to = up_to_edges(tenant, at, requests, of_step);
            for (labels, count) in self.edge_labels.get(index).into_iter().flatten().zip(up_to) {
                sink.series(Labels::new(labels))?;
                sink.sample(stamp, count);
            }
        }
        Ok(())
    }

    /// The rows of a range of steps: series by series, as Prometheus answers.
    pub(super) fn range(
        &self,
        (fleet, whom): (&Population, &Whom),
        grid: Grid,
        seconds: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        let (mut drawn, mut measured) = (Vec::with_capacity(grid.steps), Vec::with_capacity(grid.steps));
        for (index, (tenant, labels)) in fleet.tenants.iter().zip(&self.labels).enumerate() {
            if tenant.dormant || !whom.has(index) {
                continue;
            }
            let mut known = Known::default();
            let ends = (0..grid.steps).map(|line| grid.at(line));
            let there = ends.take_while(|end| tenant.gone_at.is_none_or(|gone| gone >= *end));
            measured.clear();
            drawn.clear();
            drawn.extend(there.map(|end| (end, known.requests(fleet, tenant, end, seconds))));
            measured.extend(drawn.iter().map(|(end, requests)| (*end, self.measured(*requests))));
            let [of_total, of_part, of_now] = labels;
            sink.series(Labels::new(of_total))?;
            for (end, (total, _)) in &measured {
                sink.sample(*end as f64, *total);
            }
            sink.series(Labels::new(of_part))?;
            for (end, (_, part)) in &measured {
                sink.sample(*end as f64, *part);
            }
            if self.measure != Measure::Recorded {
                sink.series(Labels::new(of_now))?;
                for (end, _) in measured.iter().filter(|(_, (total, _))| *total <= 0.0) {
                    sink.sample(*end as f64, 1.0);
                }
            }
            for (edge, labels) in self.edge_labels.get(index).into_iter().flatten().enumerate() {
                sink.series(Labels::new(labels))?;
                for (end, requests) in &drawn {
                    sink.sample(*end as f64, up_to_edges(tenant, *end, *requests, true)[edge]);
                }
            }
        }
        Ok(())
    }
}

/// How many requests were at most as slow as each further edge.
fn up_to_edges(tenant: &Tenant, at: i64, requests: Requests, of_step: bool) -> [f64; 4] {
    let seed = of_step.then(|| chance::mix(tenant.key(), &[at.cast_unsigned(), BUCKETS]));
    buckets::above(requests, seed).map(|above| requests.total - above)
}

/// So many hours before `at`: what was to be expected, hour by hour.
pub(super) fn sum(fleet: &Population, tenant: &Tenant, at: i64, hours: i64) -> Requests {
    let hours = (0..hours).map(|hour| at - hour * 3_600 - 1_800);
    hours.fold(Requests::default(), |sum, middle| {
        let expected = fleet.expected(tenant, middle, true);
        let total = expected.rate * 3_600.0;
        Requests {
            total: sum.total + total,
            bad: sum.bad + total * expected.errors,
            slow: sum.slow + total * expected.slow,
            near: sum.near + total * expected.near,
        }
    })
}

pub(super) fn scrapes(at: i64, sink: &mut dyn Sink) -> Result<(), String> {
    let samples = |window: i64| (window / SCRAPE_SECONDS) as f64;
    for (name, value) in [("300", samples(300)), ("60", samples(60)), ("15", samples(15)), ("old", 1.0)] {
        sink.series(Labels::new(&label_text([(ROW_LABEL, name)])))?;
        sink.sample(at as f64, value);
    }
    Ok(())
}

/// The threshold and the edges beside it.
pub(super) fn edges(threshold: &str, at: i64, sink: &mut dyn Sink) -> Result<(), String> {
    let beside = beside(threshold).map(|edge| edge.to_string());
    for edge in beside.iter().map(String::as_str).chain([threshold, "+Inf"]) {
        sink.series(Labels::new(&label_text([(ROW_LABEL, "edge"), (EDGE_LABEL, edge)])))?;
        sink.sample(at as f64, 1.0);
    }
    Ok(())
}

/// The edges beside a threshold, in its unit.
pub(super) fn beside(threshold: &str) -> [f64; 4] {
    let threshold: f64 = threshold.parse().unwrap_or(1.0);
    buckets::MULTIPLES.map(|multiple| multiple * threshold)
}

/// A `query`: about one.
pub(super) fn values(grid: Grid, sink: &mut dyn Sink) -> Result<(), String> {
    sink.series(Labels::NONE)?;
    for at in (0..grid.steps).map(|line| grid.at(line)) {
        let value = 1.0 + 0.05 * chance::normal(chance::mix(1, &[at.cast_unsigned()]));
        sink.sample(at as f64, value);
    }
    Ok(())
}
