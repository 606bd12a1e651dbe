//! How long a statement works, as a range. Pure; the figures are the seed's (002, two db.r5.2xlarge, 2021).
//!
//! A statement costs a constant and a share per row. Each pair below is the least and the most that the seed's rows of that
//! kind show, rounded outward: the width is that of the rows (a post is ten times a channel member), not an error bar of
//! the hardware. A smaller server, a wide row, a cold cache or a lagging replica can take longer than the most.

use serde::{Deserialize, Serialize};

use crate::{Dialect, Work};

/// A range of milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// At the least, milliseconds.
    pub least_ms: f64,
    /// At the most, milliseconds.
    pub most_ms: f64,
}

impl Estimate {
    /// One after the other.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { least_ms: self.least_ms + other.least_ms, most_ms: self.most_ms + other.most_ms }
    }
}

/// Constants and shares: (least, most) constant in ms, (least, most) microseconds a row.
struct Rate {
    dialect: Dialect,
    work: Work,
    constant_ms: (f64, f64),
    row_us: (f64, f64),
}

#[rustfmt::skip]
const RATES: &[Rate] = &[
    // 002 PG 11, 13, 15, 18, 20, 23, 25, 26: 3 to 23 ms whatever the size.
    Rate { dialect: Dialect::Postgresql, work: Work::Catalog, constant_ms: (1.0, 50.0), row_us: (0.0, 0.0) },
    // 002 PG 1-9: 8.4 us (threads) to 103 us (users) a row.
    Rate { dialect: Dialect::Postgresql, work: Work::Rewrite, constant_ms: (1.0, 50.0), row_us: (5.0, 125.0) },
    // 002 PG 14-24: 0.95 us (channels) to 2.4 us (threads) a row; 14 ms for 1002 rows.
    Rate { dialect: Dialect::Postgresql, work: Work::IndexBuild, constant_ms: (1.0, 50.0), row_us: (0.7, 4.0) },
    // No row of its own: 002 PG 10 read 11.5 M rows in 3 s (0.26 us) while it changed some.
    Rate { dialect: Dialect::Postgresql, work: Work::Scan, constant_ms: (1.0, 50.0), row_us: (0.1, 1.0) },
    // From reading all rows and changing few (002 PG 10) to changing each (as a rewrite does).
    Rate { dialect: Dialect::Postgresql, work: Work::Dml, constant_ms: (0.5, 50.0), row_us: (0.1, 125.0) },
    // 002 MySQL 15, 18, 20, 23, 25: 1 to 62 ms.
    Rate { dialect: Dialect::Mysql, work: Work::Catalog, constant_ms: (1.0, 100.0), row_us: (0.0, 0.0) },
    // 002 MySQL 1-9, 11, 26: 24 us (threads) to 206 us (users) a row; 90 ms for 242 rows.
    Rate { dialect: Dialect::Mysql, work: Work::Rewrite, constant_ms: (0.5, 100.0), row_us: (15.0, 250.0) },
    // 002 MySQL 14-24: 2.6 to 4.4 us a row.
    Rate { dialect: Dialect::Mysql, work: Work::IndexBuild, constant_ms: (1.0, 100.0), row_us: (2.0, 7.0) },
    Rate { dialect: Dialect::Mysql, work: Work::Scan, constant_ms: (1.0, 100.0), row_us: (0.5, 5.0) },
    // 002 MySQL 10: 1.7 us a row read, few changed.
    Rate { dialect: Dialect::Mysql, work: Work::Dml, constant_ms: (0.5, 100.0), row_us: (1.0, 250.0) },
];

/// The range for work on so many rows; `None` where the rows matter and are not known.
pub(crate) fn estimate(dialect: Dialect, work: Work, rows: Option<u64>) -> Option<Estimate> {
    let rate = RATES.iter().find(|rate| rate.dialect == dialect && rate.work == work)?;
    let rows = match rows {
        Some(rows) => rows as f64,
        None if work == Work::Catalog => 0.0,
        None => return None,
    };
    Some(Estimate {
        least_ms: rate.constant_ms.0 + rows * rate.row_us.0 / 1000.0,
        most_ms: rate.constant_ms.1 + rows * rate.row_us.1 / 1000.0,
    })
}

/// `~40 ms`, `8 s`, `2.6 m`: a range in the units a reader thinks in.
pub fn in_words(estimate: Option<Estimate>) -> String {
    let one = |ms: f64| match ms {
        ms if ms < 1000.0 => format!("{} ms", ms.ceil()),
        ms if ms < 120_000.0 => format!("{:.0} s", ms / 1000.0),
        ms if ms < 7_200_000.0 => format!("{:.0} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    };
    match estimate {
        None => "not known".into(),
        Some(Estimate { least_ms, most_ms }) => format!("{} to {}", one(least_ms), one(most_ms)),
    }
}
