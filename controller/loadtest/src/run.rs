//! What one run of a load test measured, wherever it was read. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Kinds of metrics; each has its own limits in [`crate::Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Mean time of an API handler, seconds.
    ApiAverage,
    /// 99th percentile of the time of an API handler, seconds.
    ApiP99,
    /// Mean time of a store method, seconds.
    StoreAverage,
    /// 99th percentile of the time of a store method, seconds.
    StoreP99,
    /// Requests per second that were served; fewer is worse.
    RequestRate,
    /// Share of requests that failed, in `[0, 1]`.
    ErrorShare,
    /// Processor time, in the report's own unit.
    Cpu,
    /// Memory in use, bytes.
    Memory,
    /// Goroutines.
    Goroutines,
    /// Users that the servers carried; fewer is worse.
    SupportedUsers,
}

impl Kind {
    /// The four that are counted by handler or method.
    pub const TIMES: [Self; 4] = [Self::ApiAverage, Self::ApiP99, Self::StoreAverage, Self::StoreP99];

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ApiAverage,
        Self::ApiP99,
        Self::StoreAverage,
        Self::StoreP99,
        Self::RequestRate,
        Self::ErrorShare,
        Self::Cpu,
        Self::Memory,
        Self::Goroutines,
        Self::SupportedUsers,
    ];

    /// Whether it is a time in seconds.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::ApiAverage | Self::ApiP99 | Self::StoreAverage | Self::StoreP99)
    }

    /// Whether it is read off a histogram's buckets.
    pub const fn is_p99(self) -> bool {
        matches!(self, Self::ApiP99 | Self::StoreP99)
    }

    /// Whether less of it is worse.
    pub const fn less_is_worse(self) -> bool {
        matches!(self, Self::RequestRate | Self::SupportedUsers)
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ApiAverage => "API average",
            Self::ApiP99 => "API p99",
            Self::StoreAverage => "store average",
            Self::StoreP99 => "store p99",
            Self::RequestRate => "request rate",
            Self::ErrorShare => "error share",
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Goroutines => "goroutines",
            Self::SupportedUsers => "supported users",
        }
    }
}

/// A figure, and what is known of how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measured {
    /// The figure, in its kind's unit; NaN: nothing was measured; infinite: beyond the last bucket.
    pub value: f64,
    /// Calls it is made of, in this run.
    pub calls: Option<f64>,
    /// Standard deviation of the figure's natural logarithm within this run, such as from its parts.
    pub noise: Option<f64>,
}

impl Measured {
    /// A bare figure.
    pub const fn bare(value: f64) -> Self {
        Self { value, calls: None, noise: None }
    }
}

/// A series over the run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// As the report names it.
    pub name: String,
    /// Unix seconds and figure; NaN where there was none.
    pub values: Vec<(f64, f64)>,
}

impl Graph {
    /// Which kind it is of, by the words in its name; none for what has no limits.
    pub fn kind(&self) -> Option<Kind> {
        let name = self.name.to_lowercase();
        let has = |word: &str| name.contains(word);
        match () {
            () if has("api") && has("p99") => Some(Kind::ApiP99),
            () if has("api") && (has("avg") || has("average")) => Some(Kind::ApiAverage),
            () if has("store") && has("p99") => Some(Kind::StoreP99),
            () if has("store") && (has("avg") || has("average")) => Some(Kind::StoreAverage),
            () if has("error") => Some(Kind::ErrorShare),
            () if has("rps") || has("request rate") || has("requests per second") => Some(Kind::RequestRate),
            () if has("cpu") => Some(Kind::Cpu),
            () if has("heap") || has("memory") => Some(Kind::Memory),
            () if has("goroutine") => Some(Kind::Goroutines),
            () if has("connected devices") || has("connected users") => Some(Kind::SupportedUsers),
            () => None,
        }
    }
}

/// One run of one version.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Its name in messages.
    pub label: String,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// Times by kind (one of [`Kind::TIMES`]) and handler or method.
    pub times: BTreeMap<Kind, BTreeMap<String, Measured>>,
    /// Series over the run.
    pub graphs: Vec<Graph>,
    /// Users that the servers carried, where the test asked for that.
    pub supported_users: Option<f64>,
}

impl Run {
    /// Whether it holds no figure at all.
    pub fn is_empty(&self) -> bool {
        self.times.values().flatten().all(|(_, measured)| measured.value.is_nan())
            && self.graphs.iter().flat_map(|graph| &graph.values).all(|(_, value)| value.is_nan())
            && self.supported_users.is_none()
    }

    /// How long it took, seconds.
    pub fn length_seconds(&self) -> Option<f64> {
        let length = self.end?.duration_since(self.start?).as_secs_f64();
        (length > 0.0).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_are_known_by_the_words_in_their_names() {
        let kind = |name: &str| Graph { name: name.into(), values: Vec::new() }.kind();
        assert_eq!(kind("Avg API Times"), Some(Kind::ApiAverage));
        assert_eq!(kind("P99 Store times"), Some(Kind::StoreP99));
        assert_eq!(kind("RPS"), Some(Kind::RequestRate));
        assert_eq!(kind("CPU Utilization"), Some(Kind::Cpu));
        assert_eq!(kind("Heap In Use"), Some(Kind::Memory));
        assert_eq!(kind("Number of Connected Devices"), Some(Kind::SupportedUsers));
        assert_eq!(kind("Stack In Use"), None);
    }
}
