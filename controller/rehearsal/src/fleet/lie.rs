//! The ways in which a Prometheus fails or lies: what becomes of a true answer. Pure.

use breakwater_crds::{marker::stable_hash, names};
use breakwater_operator::telemetry::{Labels, ReadError, Sink, sink::label_text};
use breakwater_plan::promql::{EDGE_LABEL, ROW_LABEL, Row};

/// Who answers, in errors.
pub const HOST: &str = "prometheus.rehearsal";

/// The ways in which a Prometheus can fail or lie (testbed.md, F11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Lie {
    /// Nobody answers.
    Away,
    /// No answer within the time limit.
    Slow,
    /// 500 with an HTML page.
    ServerError,
    /// 503 from a proxy.
    Unavailable,
    /// 422: too many samples.
    TooManySamples,
    /// 401.
    Unauthorized,
    /// A success that is no JSON.
    NotJson,
    /// The answer is cut off.
    Truncated,
    /// The answer is larger than is read.
    TooLarge,
    /// A success with a warning: partial data.
    Partial,
    /// No rows.
    Empty,
    /// Every value is NaN.
    Nan,
    /// Every value is infinite.
    Infinite,
    /// Every value is negative.
    Negative,
    /// Half of the tenants are missing.
    HalfTheTenants,
    /// The totals are missing.
    NoTotals,
    /// More bad events than events.
    MoreBadThanTotal,
    /// Every row twice.
    Duplicates,
    /// Rows of tenants that nobody knows.
    Strangers,
    /// Labels that were not asked for.
    OtherLabels,
    /// As of an hour ago.
    Stale,
    /// As of an hour to come.
    Future,
    /// One row of another time.
    MixedTimes,
    /// One number without labels.
    Scalar,
}

names!(Lie {
    Away,
    Slow,
    ServerError,
    Unavailable,
    TooManySamples,
    Unauthorized,
    NotJson,
    Truncated,
    TooLarge,
    Partial,
    Empty,
    Nan,
    Infinite,
    Negative,
    HalfTheTenants,
    NoTotals,
    MoreBadThanTotal,
    Duplicates,
    Strangers,
    OtherLabels,
    Stale,
    Future,
    MixedTimes,
    Scalar
});

impl Lie {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Away,
        Self::Slow,
        Self::ServerError,
        Self::Unavailable,
        Self::TooManySamples,
        Self::Unauthorized,
        Self::NotJson,
        Self::Truncated,
        Self::TooLarge,
        Self::Partial,
        Self::Empty,
        Self::Nan,
        Self::Infinite,
        Self::Negative,
        Self::HalfTheTenants,
        Self::NoTotals,
        Self::MoreBadThanTotal,
        Self::Duplicates,
        Self::Strangers,
        Self::OtherLabels,
        Self::Stale,
        Self::Future,
        Self::MixedTimes,
        Self::Scalar,
    ];
}

/// An answer with a status.
pub fn status(status: u16, why: &str) -> ReadError {
    ReadError::Status { host: HOST.into(), status, why: why.into() }
}

/// What a failing Prometheus says in place of an answer.
pub fn refusal(lie: Lie) -> Option<ReadError> {
    let host = || HOST.to_owned();
    let malformed = |why: &str| ReadError::Malformed { host: host(), why: why.into() };
    Some(match lie {
        Lie::Away => ReadError::Unreachable { host: host(), why: "connection refused".into() },
        Lie::Slow => ReadError::TimedOut { host: host(), seconds: 30 },
        Lie::ServerError => status(500, "<html><body>Internal Server Error</body></html>"),
        Lie::Unavailable => status(503, "no healthy upstream"),
        Lie::TooManySamples => status(422, "query processing would load too many samples"),
        Lie::Unauthorized => status(401, "Unauthorized"),
        Lie::NotJson => malformed("it is no JSON: <!DOCTYPE html>"),
        Lie::TooLarge => ReadError::TooLarge { host: host(), mebibytes: 256 },
        Lie::Truncated
        | Lie::Partial
        | Lie::Empty
        | Lie::Nan
        | Lie::Infinite
        | Lie::Negative
        | Lie::HalfTheTenants
        | Lie::NoTotals
        | Lie::MoreBadThanTotal
        | Lie::Duplicates
        | Lie::Strangers
        | Lie::OtherLabels
        | Lie::Stale
        | Lie::Future
        | Lie::MixedTimes
        | Lie::Scalar => return None,
    })
}

/// Makes of a true answer what a failing Prometheus makes of it, on its way into the sink.
pub struct Distorted<'s> {
    lie: Lie,
    sink: &'s mut dyn Sink,
    labels: Box<str>,
    is_total: bool,
    dropped: bool,
    samples: usize,
}

impl<'s> Distorted<'s> {
    /// In the way of this lie.
    pub fn new(lie: Lie, sink: &'s mut dyn Sink) -> Self {
        Self { lie, sink, labels: Box::default(), is_total: false, dropped: false, samples: 0 }
    }

    /// What comes after the rows of the answer for `at`.
    pub fn end(self, at: i64) -> Result<(), ReadError> {
        let malformed = |why: String| ReadError::Malformed { host: HOST.into(), why };
        match self.lie {
            Lie::Truncated => Err(malformed("it is cut off after 4096 bytes".into())),
            Lie::Partial => Err(ReadError::Warning { host: HOST.into(), why: "partial response".into() }),
            Lie::Scalar => {
                self.sink.series(Labels::NONE).map_err(malformed)?;
                self.sink.sample(at as f64, 42.0);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Sink for Distorted<'_> {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        let (mut all, mut tenant) = (Vec::new(), None);
        labels.each(|name, value| {
            if name == ROW_LABEL {
                self.is_total = value == Row::Total.as_str();
            } else if name != EDGE_LABEL {
                tenant.get_or_insert_with(|| stable_hash(&[value]));
            }
            all.push(match self.lie {
                _ if name == ROW_LABEL || name == EDGE_LABEL => (name.to_owned(), value.to_owned()),
                Lie::Strangers => (name.to_owned(), format!("stranger-{value}")),
                Lie::OtherLabels => (format!("exported_{name}"), value.to_owned()),
                _ => (name.to_owned(), value.to_owned()),
            });
        })?;
        self.dropped = match self.lie {
            Lie::Empty | Lie::Scalar => true,
            Lie::HalfTheTenants => tenant.is_none_or(|hash| hash % 2 == 1),
            Lie::NoTotals => self.is_total,
            _ => false,
        };
        if self.dropped {
            return Ok(());
        }
        self.labels = label_text(all.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        self.sink.series(Labels::new(&self.labels))
    }

    fn sample(&mut self, at: f64, value: f64) {
        if self.dropped {
            return;
        }
        self.samples += 1;
        let value = match self.lie {
            Lie::Nan => f64::NAN,
            Lie::Infinite => f64::INFINITY,
            Lie::Negative => -value - 1.0,
            Lie::MoreBadThanTotal if !self.is_total => value * 2.0 + 1e12,
            _ => value,
        };
        let at = match self.lie {
            Lie::Stale => at - 3_600.0,
            Lie::Future => at + 3_600.0,
            Lie::MixedTimes if self.samples == 1 => at - 60.0,
            _ => at,
        };
        self.sink.sample(at, value);
        // Labels that were taken once are taken again.
        if self.lie == Lie::Duplicates && self.sink.series(Labels::new(&self.labels)).is_ok() {
            self.sink.sample(at, value);
        }
    }
}
