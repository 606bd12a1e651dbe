//! The pieces of a step's query: what a series grew by within a step, and the rows that say what they are. Pure.

use super::{ROW_LABEL, Row, selector::Selector};

/// The step query's pieces around one total.
pub(super) struct Frame<'a> {
    pub(super) total: &'a Selector,
    pub(super) labels: &'a [String],
    pub(super) step_seconds: i64,
}

impl Frame<'_> {
    pub(super) fn now(&self, selector: &Selector) -> String {
        format!("last_over_time({selector}[{}s])", self.step_seconds)
    }

    fn before(&self, selector: &Selector) -> String {
        format!("last_over_time({selector}[{0}s] offset {0}s)", self.step_seconds)
    }

    /// Per series: the difference to one step before; a reset or a newborn series counts from zero.
    pub(super) fn increase(&self, of: &Selector) -> String {
        let (now, before) = (self.now(of), self.before(of));
        format!("({now} - {before} >= 0) or {}", self.counted_from_zero(of))
    }

    /// The same for a bucket, whose reset shows in the histogram's count: a bucket that has outgrown its old value
    /// within the step would otherwise miss what its count has, and good events would look slow.
    pub(super) fn increase_of_bucket(&self, of: &Selector) -> String {
        let (now, before, from_zero) = (self.now(of), self.before(of), self.counted_from_zero(of));
        let reset = format!("({} - {} < 0)", self.now(self.total), self.before(self.total));
        format!("(({now} - {before} >= 0) unless ignoring (le) {reset}) or {from_zero}")
    }

    /// A series counts from zero only where its own target had a total one step before: a target that was out of
    /// sight for ten minutes would otherwise bring all that it ever counted. Targets without `job` and `instance`
    /// are told apart by tenant alone.
    fn counted_from_zero(&self, of: &Selector) -> String {
        let mut target = self.labels.to_vec();
        target.extend(
            ["job", "instance"].map(str::to_owned).into_iter().filter(|label| !self.labels.contains(label)),
        );
        format!("({} and on ({}) {})", self.now(of), target.join(", "), self.before(self.total))
    }
}

pub(super) fn row(row: Row, expression: &str) -> String {
    named(row.as_str(), expression)
}

pub(super) fn named(name: &str, expression: &str) -> String {
    format!("label_replace({expression}, \"{ROW_LABEL}\", \"{name}\", \"\", \"\")")
}

pub(super) fn union(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join("\nor\n")
}
