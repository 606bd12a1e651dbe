//! The queries of the past: totals over days, how far back the data reach, and the same queries of a few tenants only.
//! Pure.

use std::collections::BTreeSet;

use promql_parser::{
    label::{MatchOp, Matcher},
    parser,
};

use super::{
    EDGE_LABEL, Queries, Row, Sli,
    frame::{named, row, union},
    selector::{Matchers, Selector, each_selector},
};

/// Hours of the past that a tenant's own quality is taken from (R14).
const WEEK_HOURS: u32 = 7 * 24;
/// How many series show what labels there are: a few, since not all have to be alike.
const SOME_SERIES: u32 = 5;

impl Queries {
    /// Bad and total over the seven days before the instant of the query, by tenant (R14); `None` for a `query`.
    pub fn history(&self) -> Option<String> {
        self.totals(WEEK_HOURS, true)
    }

    /// Bad and total over so many hours before the instant of the query, by tenant; `None` for a `query`. Counters are
    /// read at 1 h resolution: a ratio needs no more, and a week of raw samples is too many. With `young`, what is too
    /// young for that is read over its last hour.
    pub fn totals(&self, hours: u32, young: bool) -> Option<String> {
        let counted_by = |s: &Selector, by: &str| match (hours, young) {
            // Two points an hour apart are not always within an hour.
            (0..=1, _) => format!("sum{by}(increase({s}[1h]))"),
            (_, true) => format!("(sum{by}(increase({s}[{hours}h:1h])) or sum{by}(increase({s}[1h])))"),
            (_, false) => format!("sum{by}(increase({s}[{hours}h:1h]))"),
        };
        let by = self.by();
        let counted = |s: &Selector| counted_by(s, &by);
        match &self.sli {
            Sli::Counters { bad, total } => {
                Some(union([row(Row::Total, &counted(total)), row(Row::Bad, &counted(bad))]))
            }
            Sli::Histogram { total, good, slower, .. } => {
                let rows = [row(Row::Total, &counted(total)), row(Row::Good, &counted(good))];
                let edges = slower.as_ref().map(|s| named(EDGE_LABEL, &counted_by(s, &self.by_edge())));
                Some(union(rows.into_iter().chain(edges)))
            }
            Sli::Recorded { bad, total } => Some(union([
                row(Row::Total, &format!("sum{by}(sum_over_time({total}[{hours}h]))")),
                row(Row::Bad, &format!("sum{by}(sum_over_time({bad}[{hours}h]))")),
            ])),
            Sli::Values { .. } => None,
        }
    }

    /// A row for every tenant whose total has a sample at the instant of the query; `None` for a `query`.
    pub fn tenants(&self) -> Option<String> {
        Some(format!("group{}({})", self.by(), self.total()?))
    }

    /// One row where any series of the total has a sample at the instant of the query; `None` for a `query`.
    pub fn presence(&self) -> Option<String> {
        Some(format!("group({})", self.total()?))
    }

    /// The selector of the total, as it is asked for; `None` for a `query`.
    pub fn total(&self) -> Option<String> {
        match &self.sli {
            Sli::Counters { total, .. } | Sli::Recorded { total, .. } | Sli::Histogram { total, .. } => {
                Some(total.to_string())
            }
            Sli::Values { .. } => None,
        }
    }

    /// A few series of the total with all of their labels, at the instant of the query; `None` for a `query`.
    pub fn some_series(&self) -> Option<String> {
        Some(format!("topk({SOME_SERIES}, {})", self.total()?))
    }

    /// The same queries of these tenants alone, by their names in metrics, in as many parts as keep every list of names
    /// below `length_max` bytes. No tenant is in two parts. Where names do not tell the labels apart, all tenants are
    /// asked for: more than is wanted, and never less.
    pub fn of_tenants(&self, names: &[impl AsRef<str>], length_max: usize) -> Vec<Self> {
        let Some(parts) = self.matchers_of(names, length_max) else { return vec![self.clone()] };
        parts.iter().map(|matchers| self.with(matchers)).collect()
    }

    fn matchers_of(&self, names: &[impl AsRef<str>], length_max: usize) -> Option<Vec<Matchers>> {
        if matches!(self.sli, Sli::Values { .. }) {
            return None;
        }
        // Of several labels the one that tells these tenants apart best; others who share its value come along.
        let mut values: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.labels.len()];
        for name in names {
            let of_labels: Vec<&str> = match values.len() {
                1 => vec![name.as_ref()],
                _ => name.as_ref().split('/').collect(),
            };
            // A slash within a value: nobody knows where one label ends and the next begins.
            if of_labels.len() != values.len() {
                return None;
            }
            values.iter_mut().zip(of_labels).for_each(|(known, value)| _ = known.insert(value));
        }
        let (label, values) = self.labels.iter().zip(values).max_by_key(|(_, values)| values.len())?;
        let (mut parts, mut part, mut length) = (Vec::new(), Vec::new(), 0);
        for value in values {
            length += value.len() + 1;
            if length > length_max && !part.is_empty() {
                parts.push(Matchers::one_of(label, &part).ok()?);
                part.clear();
                length = value.len() + 1;
            }
            part.push(value);
        }
        parts.push(Matchers::one_of(label, &part).ok()?);
        Some(parts)
    }

    fn with(&self, matchers: &Matchers) -> Self {
        let sli = match &self.sli {
            Sli::Counters { bad, total } => {
                Sli::Counters { bad: bad.with(matchers), total: total.with(matchers) }
            }
            Sli::Recorded { bad, total } => {
                Sli::Recorded { bad: bad.with(matchers), total: total.with(matchers) }
            }
            Sli::Histogram { threshold, unit, total, good, buckets, native, slower } => Sli::Histogram {
                threshold: *threshold,
                unit: *unit,
                total: total.with(matchers),
                good: good.with(matchers),
                buckets: buckets.with(matchers),
                native: native.with(matchers),
                slower: slower.as_ref().map(|slower| slower.with(matchers)),
            },
            Sli::Values { query } => Sli::Values { query: query.clone() },
        };
        Self { sli, labels: self.labels.clone(), step: self.step, edges: self.edges.clone() }
    }
}

/// The other way round, for who answers such queries: the query as the parser writes it without the lists of names on
/// these labels, and the lists (label, regular expression). `None`: no `PromQL`.
pub fn narrowed(query: &str, labels: &[String]) -> Option<(String, Vec<(String, String)>)> {
    let mut expression = parser::parse(query).ok()?;
    let mut lists = Vec::new();
    each_selector(&mut expression, &mut |selector| {
        selector.matchers.matchers.retain(|Matcher { op, name, value }| {
            let is_list = matches!(op, MatchOp::Re(_)) && labels.contains(name);
            if is_list && !lists.iter().any(|(_, known)| known == value) {
                lists.push((name.clone(), value.clone()));
            }
            !is_list
        });
    });
    Some((expression.to_string(), lists))
}
