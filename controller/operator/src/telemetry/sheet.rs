//! The sheet on which an answer is put down: a line per step, a field per tenant, used again for the next answer, so
//! that a minute of a warm fleet costs no memory. Pure.

use std::{collections::BTreeSet, sync::Arc};

use breakwater_crds::slo::Unit;
use breakwater_plan::{
    observed::{ByTenant, Counted, Slower, StepData},
    promql::{EDGE_LABEL, Measure, Queries, ROW_LABEL, Row},
    study::Week,
};
use breakwater_slo::{Discard, Series, TenantId};

use super::{
    ids::{Owner, TenantIds},
    order::{Order, Spot},
    parts::{Buckets, Parts},
    sink::{Labels, Sink},
};

/// Most tenants that an error names.
const NAMED_MAX: usize = 5;
/// Most values of a `query`.
const VALUES_MAX: usize = 10_000;
/// How far a timestamp may be off: a rounded one, and no other time.
const ROUNDED_SECONDS: f64 = 0.5;

/// The instants that are asked for: `steps` of them, `step_seconds` apart, the first at `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Unix seconds of the first instant.
    pub first: i64,
    /// Seconds between two of them, at least 1.
    pub step_seconds: i64,
    /// How many, at least 1.
    pub steps: usize,
}

impl Grid {
    /// One instant.
    pub const fn instant(at: i64) -> Self {
        Self { first: at, step_seconds: 1, steps: 1 }
    }

    /// The instant of a line.
    pub fn at(self, line: usize) -> i64 {
        let line = i64::try_from(line).unwrap_or(i64::MAX);
        self.first.saturating_add(line.saturating_mul(self.step_seconds))
    }

    /// The last instant.
    pub fn last(self) -> i64 {
        self.at(self.steps.saturating_sub(1))
    }
}

/// A sheet of one SLO.
#[derive(Debug)]
pub struct Sheet {
    measure: Measure,
    labels: Arc<[String]>,
    ids: Arc<TenantIds>,
    grid: Grid,
    /// Per step, per tenant's place.
    fields: Vec<Parts>,
    /// Further bucket edges, in seconds, ascending; the first `below` of them are below the threshold.
    edges: Arc<[f64]>,
    /// Unit of the values of the label that says them.
    unit: Unit,
    below: usize,
    /// As `fields`.
    buckets: Buckets,
    order: Order,
    /// Where the present series belongs.
    spot: Spot,
    series: usize,
    /// The first timestamp that was not asked for.
    wrong_time: Option<f64>,
    values: Vec<f64>,
    /// The labels' values in their order, of the series that is looked up.
    parts: Vec<String>,
    name: String,
    /// The value of the label that says which edge a row is of.
    edge: String,
    counted: Vec<(TenantId, Series)>,
    above: Vec<Option<f64>>,
}

impl Sheet {
    /// An empty sheet for answers whose tenants are named by `labels`.
    pub fn new(measure: Measure, labels: Arc<[String]>) -> Self {
        Self {
            measure,
            parts: vec![String::new(); labels.len()],
            labels,
            ids: Arc::default(),
            grid: Grid::instant(0),
            fields: Vec::new(),
            edges: Arc::default(),
            unit: Unit::Seconds,
            below: 0,
            buckets: Buckets::default(),
            order: Order::default(),
            spot: Spot::Stranger,
            series: 0,
            wrong_time: None,
            values: Vec::new(),
            name: String::new(),
            edge: String::new(),
            counted: Vec::new(),
            above: Vec::new(),
        }
    }

    /// An empty sheet for answers to these queries.
    pub fn of(queries: &Queries) -> Self {
        let (edges, below) = (queries.edges_of_shape().clone(), queries.edges_below());
        Self { edges, below, unit: queries.unit(), ..Self::new(queries.measure(), queries.labels().into()) }
    }

    /// Wipes it for the answer to what is asked for these instants.
    pub fn begin(&mut self, ids: &Arc<TenantIds>, grid: Grid) {
        if !Arc::ptr_eq(&self.ids, ids) {
            self.ids = Arc::clone(ids);
            self.order.forget();
        }
        self.grid = grid;
        self.fields.clear();
        let fields = ids.tenants().len() * grid.steps;
        self.fields.resize(fields, Parts::default());
        self.buckets.begin(fields, self.edges.len());
        self.order.begin();
        (self.spot, self.series, self.wrong_time) = (Spot::Stranger, 0, None);
        self.values.clear();
    }

    /// The answer was read to its end and is good. Why nothing of it can be used, if so.
    pub fn end(&mut self) -> Result<(), String> {
        self.order.end();
        match self.wrong_time {
            Some(at) if self.grid.steps == 1 => {
                Err(format!("asked for {}, answered for {at}", self.grid.first))
            }
            Some(at) => {
                Err(format!("asked for {} to {}, answered for {at}", self.grid.first, self.grid.last()))
            }
            None => Ok(()),
        }
    }

    /// What one step's answer says, once it has ended.
    pub fn step_data(&mut self) -> StepData {
        if self.series == 0 {
            return StepData::Missing("empty answer".to_owned());
        }
        if self.measure == Measure::Values {
            return self.values();
        }
        let counted = self.line(0);
        if counted.as_slice().is_empty() {
            return StepData::Missing(self.unmatched());
        }
        StepData::Counts(counted)
    }

    /// The tenants of one line that had rows, in order, and what these say.
    pub fn line(&mut self, line: usize) -> Counted {
        self.gather(line);
        let slower = Slower::new(self.edges.clone(), self.above.iter().copied());
        Counted::from(&*self.counted).with_slower(slower)
    }

    /// Bad and total by tenant, of sums over days, and what was slower than each edge; doubtful ones are left out.
    pub fn totals(&self) -> Week {
        let (mut counted, mut above) = (Vec::new(), Vec::new());
        for (place, (id, parts)) in self.ids.tenants().iter().zip(&self.fields).enumerate() {
            match parts.series(self.measure) {
                Series::Counted(counts) => {
                    counted.push((*id, counts));
                    above.extend(self.buckets.above(place, counts.total));
                }
                Series::Idle | Series::Absent | Series::Discarded(_) => {}
            }
        }
        Week::new(ByTenant::new(counted)).with_slower(Slower::new(self.edges.clone(), above))
    }

    fn gather(&mut self, line: usize) {
        let Self { measure, edges, below, buckets, counted, above, .. } = self;
        let tenants = self.ids.tenants();
        let fields = self.fields.iter().enumerate().skip(line * tenants.len());
        counted.clear();
        above.clear();
        for (id, (place, parts)) in tenants.iter().zip(fields).filter(|(_, (_, parts))| parts.is_there()) {
            let mut series = parts.series(*measure);
            match series {
                Series::Counted(counts) => match buckets.of_step(place, counts, *below) {
                    Some(of_edges) => above.extend(of_edges),
                    None => series = Series::Discarded(Discard::Invalid),
                },
                Series::Idle | Series::Absent | Series::Discarded(_) => {}
            }
            counted.push((*id, series));
            above.resize(counted.len() * edges.len(), None);
        }
    }

    fn values(&self) -> StepData {
        if self.series > VALUES_MAX {
            let all = self.series;
            return StepData::Missing(format!(
                "{all} values, more than {VALUES_MAX}: aggregate in the query"
            ));
        }
        match self.values.iter().find(|value| !value.is_finite()) {
            Some(value) => StepData::Missing(format!("the value is {value}")),
            None => StepData::Values(self.values.clone()),
        }
    }

    /// Takes a series' labels apart: whose it is, and what of it.
    fn look_up(&mut self, labels: Labels<'_>) -> Result<Spot, String> {
        let row = self.read(labels)?;
        Ok(match self.ids.owner(&self.name) {
            Some(Owner::One(place)) => Spot::Tenant(place, row),
            Some(Owner::Several(name)) => Spot::Shared(name),
            None => Spot::Stranger,
        })
    }

    /// Reads the tenant's name into `name`: its labels, joined by slashes; an absent one is empty.
    fn read(&mut self, labels: Labels<'_>) -> Result<Option<Row>, String> {
        self.parts.iter_mut().for_each(String::clear);
        self.edge.clear();
        let (mut row, mut is_edge) = (None, false);
        labels.each(|name, value| {
            if let Some(at) = self.labels.iter().position(|label| label == name) {
                value.clone_into(&mut self.parts[at]);
            } else if name == ROW_LABEL {
                (row, is_edge) = (Row::parse(value), value == EDGE_LABEL);
            } else if name == EDGE_LABEL {
                value.clone_into(&mut self.edge);
            }
        })?;
        if is_edge {
            row = Row::edge(&self.edge, self.unit, &self.edges);
        }
        self.name.clear();
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                self.name.push('/');
            }
            self.name.push_str(part);
        }
        Ok(row)
    }

    fn unmatched(&mut self) -> String {
        let order = std::mem::take(&mut self.order);
        let mut strangers: BTreeSet<String> = BTreeSet::new();
        for labels in order.labels() {
            // Labels that are in the order were taken apart before.
            if self.read(Labels::new(labels)).is_ok() && !strangers.contains(&self.name) {
                strangers.insert(self.name.clone());
            }
        }
        self.order = order;
        let named: Vec<String> =
            strangers.iter().take(NAMED_MAX).map(|name| format!("{:?}", super::parse::shown(name))).collect();
        let theirs = self.ids.example().unwrap_or_default();
        format!(
            "no series belongs to a tenant; {} names such as {} are unknown to tenants.id, which says {theirs:?}",
            strangers.len(),
            named.join(", ")
        )
    }

    /// The line of a timestamp.
    fn line_of(&mut self, at: f64) -> Option<usize> {
        let Grid { first, step_seconds, steps } = self.grid;
        let after = at - first as f64;
        if steps == 1 && after.abs() <= ROUNDED_SECONDS {
            return Some(0);
        }
        let line = (after / step_seconds as f64).round();
        if (after - line * step_seconds as f64).abs() <= ROUNDED_SECONDS && line >= 0.0 && line < steps as f64
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number below `steps`"
            )]
            return Some(line as usize);
        }
        self.wrong_time.get_or_insert(at);
        None
    }
}

impl Sink for Sheet {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        self.series += 1;
        if self.measure == Measure::Values {
            return Ok(());
        }
        self.spot = if let Some(spot) = self.order.known(labels.as_str()) {
            spot
        } else {
            let spot = self.look_up(labels)?;
            self.order.learn(labels.as_str(), spot);
            spot
        };
        Ok(())
    }

    fn sample(&mut self, at: f64, value: f64) {
        let Some(line) = self.line_of(at) else { return };
        if self.measure == Measure::Values {
            if self.values.len() < VALUES_MAX {
                self.values.push(value);
            }
            return;
        }
        let from = line * self.ids.tenants().len();
        match self.spot {
            Spot::Tenant(place, row) => {
                let place = from + place as usize;
                if let Some(Row::Edge(edge)) = row {
                    self.buckets.take(place, edge, value);
                }
                self.fields[place].take(row, value);
            }
            Spot::Shared(name) => {
                for place in self.ids.sharers(name) {
                    self.fields[from + *place as usize].doubt();
                }
            }
            Spot::Stranger => {}
        }
    }
}

#[cfg(test)]
mod tests;
