//! The order of rows: Prometheus answers the same question with the same rows in the same order, so where a row belongs
//! is mostly told by one comparison with the row that came at this place the last time. Pure.

use breakwater_plan::promql::Row;

/// How many rows may be missing at once before a row counts as new.
const LOOK_AHEAD: usize = 8;
/// Most bytes of labels that are remembered: half a million tenants. What is beyond is looked up each time.
const TEXT_MAX: usize = 64 << 20;

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// To the tenant in this place, and what it is of it; `None`: what should not be there.
    Tenant(u32, Option<Row>),
    /// To a name that several tenants share: the place among such names.
    Shared(u32),
    /// To nobody.
    Stranger,
}

/// The rows of the last answer, and of this one as far as it differs.
#[derive(Debug, Default)]
pub struct Order {
    last: Listed,
    next: Listed,
    /// Rows of `last` up to which this answer has come.
    place: usize,
    differs: bool,
}

#[derive(Debug, Default)]
struct Listed {
    /// All labels, one after the other.
    text: String,
    /// Where each row's labels end in `text`, and where it belongs.
    rows: Vec<(u32, Spot)>,
}

impl Order {
    /// Forgets everything: the tenants are others.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// An answer begins.
    pub fn begin(&mut self) {
        (self.place, self.differs) = (0, false);
        self.next.cut(0);
    }

    /// Where the next row belongs, if it was in the last answer near this place.
    pub fn known(&mut self, labels: &str) -> Option<Spot> {
        let until = self.last.rows.len().min(self.place + LOOK_AHEAD);
        let mut start = self.last.start(self.place);
        let found = (self.place..until).find(|at| {
            let (from, to) = (start, self.last.rows[*at].0 as usize);
            start = to;
            to - from == labels.len() && self.last.text.as_bytes()[from..to] == *labels.as_bytes()
        })?;
        if found > self.place {
            self.depart();
        }
        self.place = found + 1;
        let spot = self.last.rows[found].1;
        if self.differs {
            self.next.push(labels, spot);
        }
        Some(spot)
    }

    /// The next row was not known; it belongs here.
    pub fn learn(&mut self, labels: &str, spot: Spot) {
        self.depart();
        self.next.push(labels, spot);
    }

    /// The answer was read to its end, and the next is compared with it.
    pub fn end(&mut self) {
        if self.differs {
            std::mem::swap(&mut self.last, &mut self.next);
        } else {
            self.last.cut(self.place);
        }
        self.begin();
    }

    /// The labels of the last answer's rows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        (0..self.last.rows.len()).map(|at| self.last.labels(at))
    }

    /// From here on this answer differs from the last: what they have in common is taken over.
    fn depart(&mut self) {
        if !self.differs {
            self.differs = true;
            self.next.text.push_str(&self.last.text[..self.last.start(self.place)]);
            self.next.rows.extend_from_slice(&self.last.rows[..self.place]);
        }
    }
}

impl Listed {
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.rows[before].0 as usize)
    }

    fn labels(&self, at: usize) -> &str {
        &self.text[self.start(at)..self.rows[at].0 as usize]
    }

    fn push(&mut self, labels: &str, spot: Spot) {
        let end = self.text.len() + labels.len();
        if let Some(end) = u32::try_from(end).ok().filter(|_| end <= TEXT_MAX) {
            self.text.push_str(labels);
            self.rows.push((end, spot));
        }
    }

    fn cut(&mut self, rows: usize) {
        let end = self.start(rows);
        self.text.truncate(end);
        self.rows.truncate(rows);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads an answer; how many of its rows had to be looked up.
    fn read(order: &mut Order, rows: &[u32]) -> usize {
        order.begin();
        let mut looked_up = 0;
        for row in rows {
            let (labels, spot) = (format!("row {row}"), Spot::Tenant(*row, None));
            if let Some(known) = order.known(&labels) {
                assert_eq!(known, spot);
            } else {
                looked_up += 1;
                order.learn(&labels, spot);
            }
        }
        order.end();
        looked_up
    }

    #[test]
    fn the_same_rows_are_known_and_a_few_others_cost_no_more_than_themselves() {
        let mut order = Order::default();
        let all: Vec<u32> = (0..100).collect();
        assert_eq!(read(&mut order, &all), 100);
        assert_eq!(read(&mut order, &all), 0);
        let without: Vec<u32> = all.iter().copied().filter(|n| n % 10 != 3).collect();
        assert_eq!(read(&mut order, &without), 0, "rows that vanished");
        assert_eq!(read(&mut order, &all), 10, "rows that came");
        assert_eq!(read(&mut order, &all[..50]), 0);
        assert_eq!(order.labels().count(), 50);
        order.forget();
        assert_eq!(read(&mut order, &all), 100);
    }

    #[test]
    fn an_answer_that_broke_off_changes_nothing() {
        let mut order = Order::default();
        read(&mut order, &[1, 2, 3]);
        order.begin();
        order.learn("row 9", Spot::Stranger);
        assert_eq!(read(&mut order, &[1, 2, 3]), 0);
    }

    proptest! {
        #[test]
        fn what_is_known_is_right_whatever_came_before(answers in proptest::collection::vec(proptest::collection::vec(0..30_u32, 0..40), 0..8)) {
            let mut order = Order::default();
            for rows in &answers {
                read(&mut order, rows);
                let listed: Vec<String> = order.labels().map(str::to_owned).collect();
                let wanted: Vec<String> = rows.iter().map(|row| format!("row {row}")).collect();
                prop_assert_eq!(listed, wanted);
            }
        }
    }
}
