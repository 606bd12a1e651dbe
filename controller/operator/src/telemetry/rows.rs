//! What the rows of one step say about each tenant (analysis.md 1 and 4). Pure.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use breakwater_crds::marker::stable_hash;
use breakwater_plan::{
    observed::{ByTenant, Counted, StepData, Tenant},
    promql::{Measure, ROW_LABEL, Row},
};
use breakwater_slo::{Counts, Discard, Series, TenantId};
use jiff::Timestamp;

use super::{Rows, Sample};

/// Most tenants that an error names.
const NAMED_MAX: usize = 5;
/// Most values of a `query`.
const VALUES_MAX: usize = 10_000;
/// How far a sum of fractions may stray from what it should be, relative to the total.
const ROUNDING: f64 = 1e-9;

/// Tenants by their name in metrics: 16 bytes each, for names are kept as hashes. Two names of one hash are taken for
/// one name of two tenants, which tells neither: nothing is ever counted for the wrong tenant of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantIds {
    /// In order of the hashes.
    by_hash: Box<[(u64, TenantId)]>,
    /// By hash: one of the names, and who share it.
    ambiguous: HashMap<u64, (Arc<str>, Vec<TenantId>)>,
}

impl TenantIds {
    /// From names and tenants; a name of two tenants tells neither.
    pub fn new(names: impl IntoIterator<Item = (Arc<str>, TenantId)>) -> Self {
        let mut all: Vec<(u64, Arc<str>, TenantId)> =
            names.into_iter().map(|(name, id)| (stable_hash(&[&name]), name, id)).collect();
        all.sort_by_key(|(hash, ..)| *hash);
        let (mut by_hash, mut ambiguous) = (Vec::with_capacity(all.len()), HashMap::new());
        for sharers in all.chunk_by(|(one, ..), (other, ..)| one == other) {
            match sharers {
                [(hash, _, id)] => by_hash.push((*hash, *id)),
                [(hash, name, _), ..] => {
                    let sharers = sharers.iter().map(|(.., id)| *id).collect();
                    ambiguous.insert(*hash, (Arc::clone(name), sharers));
                }
                [] => {}
            }
        }
        Self { by_hash: by_hash.into(), ambiguous }
    }

    /// From the fleet: `tenants.id`, or `namespace/name`.
    pub fn of(tenants: &[Tenant]) -> Self {
        Self::new(tenants.iter().map(|tenant| (metric_id(tenant), tenant.id)))
    }

    /// Names that more than one tenant has, with them, in order.
    pub fn ambiguous(&self) -> Option<String> {
        let mut names: Vec<&Arc<str>> = self.ambiguous.values().map(|(name, _)| name).collect();
        names.sort_unstable();
        let some =
            names.iter().take(NAMED_MAX).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| {
            format!("{} names in metrics belong to more than one tenant each, such as {some}: tenants.id must differ", names.len())
        })
    }

    /// Whether there are no tenants.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty() && self.ambiguous.is_empty()
    }

    /// The one tenant of the name with this hash.
    fn get(&self, hash: u64) -> Option<TenantId> {
        let at = self.by_hash.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        Some(self.by_hash[at].1)
    }

    fn contains(&self, hash: u64) -> bool {
        self.get(hash).is_some() || self.ambiguous.contains_key(&hash)
    }
}

/// A tenant's name in metrics.
pub fn metric_id(tenant: &Tenant) -> Arc<str> {
    let Tenant { metric_id, namespace, name, .. } = tenant;
    metric_id.clone().unwrap_or_else(|| format!("{namespace}/{name}").into())
}

/// The rows of one tenant.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    total: Option<f64>,
    /// Bad, or good of a histogram.
    part: Option<f64>,
    now: bool,
    /// The same row twice, or one that should not be there.
    doubtful: bool,
}

/// What one step's answer says.
pub fn step_data(
    measure: Measure,
    labels: &[String],
    rows: &Rows,
    end_seconds: i64,
    ids: &TenantIds,
) -> StepData {
    if rows.0.is_empty() {
        return StepData::Missing("empty answer".to_owned());
    }
    if let Some(sample) = rows.0.iter().find(|sample| !is_at(sample, end_seconds)) {
        return StepData::Missing(format!("asked for {end_seconds}, answered for {}", sample.at));
    }
    if measure == Measure::Values {
        return values(rows);
    }
    let by_hash = gather(labels, rows);
    let mut counts = Vec::with_capacity(by_hash.len());
    for (hash, parts) in by_hash {
        if let Some(id) = ids.get(hash) {
            counts.push((id, series(measure, parts)));
        }
        for id in ids.ambiguous.get(&hash).into_iter().flat_map(|(_, sharers)| sharers) {
            counts.push((*id, Series::Discarded(Discard::Invalid)));
        }
    }
    if counts.is_empty() {
        return StepData::Missing(unmatched(labels, rows, ids));
    }
    StepData::Counts(Counted::new(counts))
}

/// Bad and total by tenant of a query over a longer time; doubtful ones are left out.
pub fn totals(measure: Measure, labels: &[String], rows: &Rows, ids: &TenantIds) -> ByTenant<Counts> {
    let counted = |(hash, parts): (u64, Parts)| {
        let id = ids.get(hash)?;
        match series(measure, parts) {
            Series::Counted(counts) => Some((id, counts)),
            Series::Idle | Series::Absent | Series::Discarded(_) => None,
        }
    };
    gather(labels, rows).into_iter().filter_map(counted).collect()
}

/// True for a sample of the instant that was asked for; half a second is a rounded timestamp, more is another time.
pub fn is_at(sample: &Sample, seconds: i64) -> bool {
    let asked = Timestamp::from_second(seconds).map_or(f64::NAN, |at| at.as_second() as f64);
    (sample.at - asked).abs() <= 0.5
}

fn values(rows: &Rows) -> StepData {
    if rows.0.len() > VALUES_MAX {
        return StepData::Missing(format!(
            "{} values, more than {VALUES_MAX}: aggregate in the query",
            rows.0.len()
        ));
    }
    match rows.0.iter().find(|sample| !sample.value.is_finite()) {
        Some(sample) => StepData::Missing(format!("the value is {}", sample.value)),
        None => StepData::Values(rows.0.iter().map(|sample| sample.value).collect()),
    }
}

/// What the rows say by tenant, which stand for their names' hashes.
fn gather(labels: &[String], rows: &Rows) -> HashMap<u64, Parts> {
    let mut by_hash: HashMap<u64, Parts> = HashMap::with_capacity(rows.0.len() / 2);
    let (mut name, mut last, mut hash) = (String::new(), String::new(), stable_hash(&[""]));
    for sample in &rows.0 {
        join(labels, sample, &mut name);
        if name != last {
            hash = stable_hash(&[&name]);
            std::mem::swap(&mut name, &mut last);
        }
        let parts = by_hash.entry(hash).or_default();
        match Row::parse(sample.label(ROW_LABEL)) {
            Some(Row::Total) => parts.doubtful |= parts.total.replace(sample.value).is_some(),
            Some(Row::Bad | Row::Good) => parts.doubtful |= parts.part.replace(sample.value).is_some(),
            Some(Row::Now) => parts.now = true,
            None => parts.doubtful = true,
        }
    }
    by_hash
}

/// The tenant's name in a row: its labels, joined by slashes.
fn join(labels: &[String], sample: &Sample, name: &mut String) {
    name.clear();
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            name.push('/');
        }
        name.push_str(sample.label(label));
    }
}

fn series(measure: Measure, parts: Parts) -> Series {
    let Parts { total, part, now, doubtful } = parts;
    let invalid = Series::Discarded(Discard::Invalid);
    if doubtful {
        return invalid;
    }
    let Some(total) = total else {
        return match (part, now) {
            // Bad events of a tenant without events.
            (Some(_), false) => invalid,
            // Samples now and none one step before.
            (_, true) => Series::Discarded(Discard::Restart),
            (None, false) => Series::Absent,
        };
    };
    let bad = match (measure, part) {
        (Measure::Histogram, Some(good)) => total - good,
        // A histogram without the threshold's bucket would look wholly bad.
        (Measure::Histogram, None) => return invalid,
        (Measure::Counters | Measure::Recorded | Measure::Values, part) => part.unwrap_or(0.0),
    };
    match Counts::checked(rounded(bad, total), total) {
        Ok(counts) if counts.total > 0.0 => Series::Counted(counts),
        Ok(_) => Series::Idle,
        Err(_) => invalid,
    }
}

/// Sums of fractions stray in the last digits; what is within them is put where it belongs.
fn rounded(bad: f64, total: f64) -> f64 {
    let slack = total * ROUNDING;
    if bad < 0.0 && bad >= -slack {
        0.0
    } else if bad > total && bad <= total + slack {
        total
    } else {
        bad
    }
}

fn unmatched(labels: &[String], rows: &Rows, ids: &TenantIds) -> String {
    let mut strangers: BTreeSet<String> = BTreeSet::new();
    let mut name = String::new();
    for sample in &rows.0 {
        join(labels, sample, &mut name);
        if !ids.contains(stable_hash(&[&name])) && !strangers.contains(&name) {
            strangers.insert(name.clone());
        }
    }
    let named: Vec<String> =
        strangers.iter().take(NAMED_MAX).map(|name| format!("{:?}", super::parse::shown(name))).collect();
    format!(
        "no series belongs to a tenant; {} names such as {} are unknown to tenants.id",
        strangers.len(),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1_700_000_040;

    fn row(tenant: &str, kind: &str, value: f64) -> Sample {
        Sample {
            labels: [("tenant".into(), tenant.into()), (ROW_LABEL.into(), kind.into())].into(),
            value,
            at: 1_700_000_040.0,
        }
    }

    fn ids() -> TenantIds {
        TenantIds::new([
            ("a".into(), TenantId(1)),
            ("b".into(), TenantId(2)),
            ("c".into(), TenantId(3)),
            ("c".into(), TenantId(4)),
        ])
    }

    fn read(measure: Measure, rows: Vec<Sample>) -> StepData {
        step_data(measure, &["tenant".to_owned()], &Rows(rows), END, &ids())
    }

    fn counted(bad: f64, total: f64) -> Series {
        Series::Counted(Counts { bad, total })
    }

    #[test]
    fn r12_what_cannot_be_counted_is_discarded_and_zero_bad_is_said() {
        let (restart, invalid) = (Series::Discarded(Discard::Restart), Series::Discarded(Discard::Invalid));
        for (measure, rows, expected) in [
            (Measure::Counters, vec![("total", 9.0), ("bad", 1.0), ("now", 2.0)], counted(1.0, 9.0)),
            (Measure::Counters, vec![("total", 9.0), ("now", 1.0)], counted(0.0, 9.0)),
            (Measure::Counters, vec![("total", 0.0), ("now", 1.0)], Series::Idle),
            (Measure::Counters, vec![("now", 1.0)], restart),
            (Measure::Counters, vec![("bad", 1.0)], invalid),
            (Measure::Counters, vec![("total", f64::NAN), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", f64::INFINITY), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", -1.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("bad", 2.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("total", 1.0), ("now", 1.0)], invalid),
            (Measure::Counters, vec![("total", 1.0), ("noise", 1.0), ("now", 1.0)], invalid),
            (Measure::Recorded, vec![("total", 2.5), ("bad", 0.5)], counted(0.5, 2.5)),
            (Measure::Recorded, vec![("total", 3.0), ("bad", 3.000_000_000_1)], counted(3.0, 3.0)),
            (Measure::Histogram, vec![("total", 9.0), ("good", 7.0), ("now", 1.0)], counted(2.0, 9.0)),
            (Measure::Histogram, vec![("total", 9.0), ("good", 10.0), ("now", 1.0)], invalid),
            (Measure::Histogram, vec![("total", 9.0), ("now", 1.0)], invalid),
            (Measure::Histogram, vec![("total", 0.0), ("good", 0.0), ("now", 1.0)], Series::Idle),
        ] {
            let samples = rows.iter().map(|(kind, value)| row("a", kind, *value)).collect();
            assert_eq!(
                read(measure, samples),
                StepData::Counts(Counted::new(vec![(TenantId(1), expected)])),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn r12_an_answer_that_is_empty_strange_or_for_another_time_is_missing() {
        let missing = |rows| match read(Measure::Counters, rows) {
            StepData::Missing(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(vec![]), "empty answer");
        let mut late = row("a", "total", 1.0);
        late.at += 1.0;
        assert!(missing(vec![row("a", "now", 1.0), late]).starts_with("asked for 1700000040"));
        let mut nowhen = row("a", "total", 1.0);
        nowhen.at = f64::NAN;
        assert!(missing(vec![nowhen]).contains("NaN"));
        assert!(missing(vec![row("x", "total", 1.0)]).contains("1 names such as \"x\""));
    }

    #[test]
    fn names_of_two_tenants_tell_neither_and_are_reported() {
        let data = read(Measure::Counters, vec![row("c", "total", 1.0), row("c", "now", 1.0)]);
        let invalid = Series::Discarded(Discard::Invalid);
        assert_eq!(
            data,
            StepData::Counts(Counted::new(vec![(TenantId(3), invalid), (TenantId(4), invalid)]))
        );
        assert!(ids().ambiguous().unwrap().contains("\"c\""));
        assert_eq!(TenantIds::new([("a".into(), TenantId(1))]).ambiguous(), None);
    }

    #[test]
    fn labels_join_by_slashes() {
        let in_namespace = |kind: &str| {
            let mut sample = row("a", kind, 4.0);
            sample.labels = sample.labels.iter().cloned().chain([("ns".into(), "n".into())]).collect();
            sample
        };
        let (sample, now) = (in_namespace("total"), in_namespace("now"));
        let ids = TenantIds::new([("n/a".into(), TenantId(7))]);
        let labels = ["ns".to_owned(), "tenant".to_owned()];
        let data = step_data(Measure::Counters, &labels, &Rows(vec![sample, now]), END, &ids);
        assert_eq!(data, StepData::Counts(Counted::new(vec![(TenantId(7), counted(0.0, 4.0))])));
    }

    #[test]
    fn r12_values_that_are_no_numbers_are_missing() {
        assert_eq!(read(Measure::Values, vec![row("a", "", 4.0)]), StepData::Values(vec![4.0]));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                matches!(read(Measure::Values, vec![row("a", "", value)]), StepData::Missing(_)),
                "{value}"
            );
        }
        assert!(matches!(
            read(Measure::Values, vec![row("a", "", 0.0); VALUES_MAX + 1]),
            StepData::Missing(_)
        ));
    }

    #[test]
    fn r14_history_keeps_what_can_be_counted() {
        let rows = Rows(vec![
            row("a", "total", 10.0),
            row("a", "bad", 1.0),
            row("b", "total", 0.0),
            row("x", "total", 1.0),
        ]);
        let totals = totals(Measure::Counters, &["tenant".to_owned()], &rows, &ids());
        assert_eq!(totals, ByTenant::new(vec![(TenantId(1), Counts { bad: 1.0, total: 10.0 })]));
    }
}
