//! What is noise, what fails, and what is known of the traffic. Every value has a default; a YAML file overrides. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    buckets::Buckets,
    quantity::{Seconds, Share},
    run::Kind,
};

/// Why rules are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct RulesError {
    /// The field, such as `api.average.margin`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

/// When a kind of metric is worse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limit {
    /// A change up to this is what nobody feels: the test is whether the true change is more.
    pub margin: Share,
    /// A certain change of this much fails; less of it warns.
    pub fail: Share,
    /// Times that rose by less than this are left alone, whatever the ratio.
    pub least: Seconds,
}

impl Default for Limit {
    fn default() -> Self {
        limit(0.05, 0.1, 0.0)
    }
}

/// The limits of a family of times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Times {
    /// Of averages.
    pub average: Limit,
    /// Of 99th percentiles.
    pub p99: Limit,
}

/// What runs of one and the same version differ by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Noise {
    /// Standard deviation between runs of one version, where runs cannot tell it: the least that is believed of one run a side.
    pub one_run: Share,
    /// The same for figures of the whole server: they share the day, the machines, the database.
    pub server: Share,
    /// The least standard deviation that is believed of a side's mean, of however many runs: those made one after the other on
    /// the same machines agree more than two days do.
    pub least: Share,
    /// Without counts of calls, a metric fails only where its own runs show (with confidence 95 %) that they deviate by no more
    /// than this: those of what is called often do not.
    pub quiet: Share,
}

impl Default for Noise {
    fn default() -> Self {
        Self { one_run: Share(0.03), server: Share(0.05), least: Share(0.015), quiet: Share(0.15) }
    }
}

/// What is known of the traffic: a metric fails only if users are on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Traffic {
    /// Of all API (or store) calls, at least so many go through a metric that fails.
    pub least_share: Share,
    /// In a run, at least so many; a p99 wants ten times as many.
    pub least_calls: f64,
    /// Calls a run by API handler, where reports do not count them.
    pub api: BTreeMap<String, f64>,
    /// Calls a run by store method.
    pub store: BTreeMap<String, f64>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { least_share: Share(0.001), least_calls: 100.0, api: BTreeMap::new(), store: BTreeMap::new() }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rules {
    /// Of the metrics called worse, at most this share is expected to be so by chance.
    pub false_discoveries: Share,
    /// A comparison that could not have seen the average of a typical handler become so many times as long warns: not to be
    /// found worse is not to be as good.
    pub must_detect: f64,
    /// What is noise.
    pub noise: Noise,
    /// What is known of the traffic.
    pub traffic: Traffic,
    /// Times of API handlers.
    #[serde(deserialize_with = "api_limits")]
    pub api: Times,
    /// Times of store methods.
    #[serde(deserialize_with = "store_limits")]
    pub store: Times,
    /// Requests per second that were served.
    #[serde(deserialize_with = "rate_limit")]
    pub request_rate: Limit,
    /// Failed requests; the ratio is of the share plus 0.1 %, so that one error of none is no catastrophe.
    #[serde(deserialize_with = "error_limit")]
    pub error_share: Limit,
    /// Processor time.
    #[serde(deserialize_with = "cpu_limit")]
    pub cpu: Limit,
    /// Memory.
    #[serde(deserialize_with = "memory_limit")]
    pub memory: Limit,
    /// Goroutines.
    #[serde(deserialize_with = "memory_limit")]
    pub goroutines: Limit,
    /// Supported users: fewer by up to the margin is noise, by more than `fail` fails. One figure a run, so no test.
    #[serde(deserialize_with = "users_limit")]
    pub supported_users: Limit,
    /// Upper edges of the histograms behind the p99s, seconds.
    pub buckets: Buckets,
    /// Names that are left out; `*` stands for anything.
    pub ignore: Vec<String>,
    /// At least this share of the base's times must be in the candidate too, or nothing is said.
    pub least_overlap: Share,
    /// Most metrics that are told.
    pub shown: usize,
}

const fn limit(margin: f64, fail: f64, least_seconds: f64) -> Limit {
    Limit { margin: Share(margin), fail: Share(fail), least: Seconds(least_seconds) }
}

const API: Times = Times { average: limit(0.05, 0.1, 0.002), p99: limit(0.1, 0.2, 0.01) };
const STORE: Times = Times { average: limit(0.05, 0.1, 0.000_5), p99: limit(0.1, 0.2, 0.005) };
const RATE: Limit = limit(0.05, 0.1, 0.0);
const ERRORS: Limit = limit(0.25, 1.0, 0.0);
const CPU: Limit = limit(0.05, 0.15, 0.0);
const MEMORY: Limit = limit(0.1, 0.25, 0.0);
const USERS: Limit = limit(0.05, 0.05, 0.0);

impl Default for Rules {
    fn default() -> Self {
        Self {
            false_discoveries: Share(0.05),
            must_detect: 2.0,
            noise: Noise::default(),
            traffic: Traffic::default(),
            api: API,
            store: STORE,
            request_rate: RATE,
            error_share: ERRORS,
            cpu: CPU,
            memory: MEMORY,
            goroutines: MEMORY,
            supported_users: USERS,
            buckets: Buckets::default(),
            ignore: Vec::new(),
            least_overlap: Share(0.5),
            shown: 10,
        }
    }
}

/// Of a limit, what is not said stays as its kind's default.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SomeLimit {
    margin: Option<Share>,
    fail: Option<Share>,
    least: Option<Seconds>,
}

impl SomeLimit {
    fn over(&self, default: Limit) -> Limit {
        Limit {
            margin: self.margin.unwrap_or(default.margin),
            fail: self.fail.unwrap_or(default.fail),
            least: self.least.unwrap_or(default.least),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SomeTimes {
    average: SomeLimit,
    p99: SomeLimit,
}

/// Deserializers that fill up from a default: serde's own `default` knows only the type's.
macro_rules! filled {
    ($($name:ident: $some:ty => $whole:ty = $default:expr, |$from:ident| $fill:expr;)*) => {$(
        fn $name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<$whole, D::Error> {
            let $from = <$some>::deserialize(from)?;
            Ok($fill)
        }
    )*};
}

filled! {
    api_limits: SomeTimes => Times = API, |some| Times { average: some.average.over(API.average), p99: some.p99.over(API.p99) };
    store_limits: SomeTimes => Times = STORE, |some| Times { average: some.average.over(STORE.average), p99: some.p99.over(STORE.p99) };
    rate_limit: SomeLimit => Limit = RATE, |some| some.over(RATE);
    error_limit: SomeLimit => Limit = ERRORS, |some| some.over(ERRORS);
    cpu_limit: SomeLimit => Limit = CPU, |some| some.over(CPU);
    memory_limit: SomeLimit => Limit = MEMORY, |some| some.over(MEMORY);
    users_limit: SomeLimit => Limit = USERS, |some| some.over(USERS);
}

impl Rules {
    /// Reads rules; unknown fields are refused, and what makes no sense.
    pub fn parse(yaml: &str) -> Result<Self, RulesError> {
        if yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let rules: Self = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(yaml))
            .map_err(|error| {
                let path = error.path().to_string();
                let field = if path == "." { "the rules".to_owned() } else { path };
                RulesError { field, why: error.into_inner().to_string() }
            })?;
        rules.check()?;
        Ok(rules)
    }

    fn check(&self) -> Result<(), RulesError> {
        let refuse =
            |field: &str, why: &str| Err(RulesError { field: field.to_owned(), why: why.to_owned() });
        if !(self.false_discoveries.0 > 0.0 && self.false_discoveries.0 <= 0.5) {
            return refuse("falseDiscoveries", "must be more than 0% and at most 50%");
        }
        if self.noise.one_run.0 <= 0.0 || self.noise.server.0 <= 0.0 || self.noise.least.0 <= 0.0 {
            return refuse("noise", "oneRun, server and least must be more than 0%: no two runs are alike");
        }
        if !(self.must_detect > 1.0 && self.must_detect.is_finite()) {
            return refuse("mustDetect", "must be more than 1");
        }
        if self.least_overlap.0 > 1.0 {
            return refuse("leastOverlap", "must be at most 100%");
        }
        if !(1..=200).contains(&self.shown) {
            return refuse("shown", "must be 1 to 200");
        }
        for kind in Kind::ALL {
            let Limit { margin, fail, .. } = self.limit(kind);
            if fail < margin {
                return refuse(kind.words(), "fail must not be less than margin");
            }
            if kind.less_is_worse() && fail.0 >= 1.0 {
                return refuse(kind.words(), "nothing can fall by 100% or more: fail must be less");
            }
        }
        let calls = self.traffic.api.iter().chain(&self.traffic.store);
        if let Some((name, calls)) =
            calls.into_iter().find(|(_, calls)| !(calls.is_finite() && **calls >= 0.0))
        {
            return refuse(&format!("traffic, {name}"), &format!("{calls} is not a number of calls"));
        }
        Ok(())
    }

    /// The limit of a kind.
    pub const fn limit(&self, kind: Kind) -> Limit {
        match kind {
            Kind::ApiAverage => self.api.average,
            Kind::ApiP99 => self.api.p99,
            Kind::StoreAverage => self.store.average,
            Kind::StoreP99 => self.store.p99,
            Kind::RequestRate => self.request_rate,
            Kind::ErrorShare => self.error_share,
            Kind::Cpu => self.cpu,
            Kind::Memory => self.memory,
            Kind::Goroutines => self.goroutines,
            Kind::SupportedUsers => self.supported_users,
        }
    }

    /// Whether a name is left out.
    pub(crate) fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|pattern| matches(pattern, name))
    }

    /// Calls a run that the rules know of.
    pub(crate) fn calls(&self, kind: Kind, name: &str) -> Option<f64> {
        match kind {
            Kind::ApiAverage | Kind::ApiP99 => self.traffic.api.get(name).copied(),
            Kind::StoreAverage | Kind::StoreP99 => self.traffic.store.get(name).copied(),
            Kind::RequestRate
            | Kind::ErrorShare
            | Kind::Cpu
            | Kind::Memory
            | Kind::Goroutines
            | Kind::SupportedUsers => None,
        }
    }
}

/// Whether a pattern, in which `*` stands for anything, fits a name whole.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_overrides_what_it_names_and_nothing_else() {
        let rules = Rules::parse("api: {average: {fail: 20%}}\nnoise: {oneRun: 5%}\ntraffic: {api: {createPost: 120000}}\nignore: [\"JobStore.*\"]").unwrap();
        assert_eq!(rules.api.average, limit(0.05, 0.2, 0.002));
        assert_eq!((rules.api.p99, rules.store), (API.p99, STORE));
        assert_eq!((rules.noise.one_run, rules.noise.least), (Share(0.05), Share(0.015)));
        assert!(rules.ignores("JobStore.Get") && !rules.ignores("XJobStore.Get"));
        assert_eq!(Rules::parse("# nothing\n").unwrap(), Rules::default());
        let again = serde_yaml::to_string(&rules).unwrap();
        assert_eq!(Rules::parse(&again).unwrap(), rules);
    }

    #[test]
    fn unknown_fields_and_senseless_values_are_refused_by_name() {
        let why = |yaml: &str| Rules::parse(yaml).unwrap_err().to_string();
        let said = [
            why("api: {average: {fial: 20%}}"),
            why("apis: {}"),
            why("api: {average: {fail: much}}"),
            why("api: {average: {fail: 1%}}"),
            why("falseDiscoveries: 0%"),
            why("requestRate: {fail: 100%}"),
            why("buckets: [1, 1]"),
            why("traffic: {api: {login: -1}}"),
            why("shown: 0"),
            why("[]"),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("a*b*c", "aXbYc", true),
            ("abc", "abcd", false),
            ("*Store.Get", "UserStore.Get", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
