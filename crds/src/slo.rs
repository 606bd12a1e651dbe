//! `Rollout.spec.slos[]`: what is measured, against which objective, and what makes it a deviation (analysis.md 1, 3).

use serde::{Deserialize, Serialize};

use crate::scalars::{Percent, Span};

/// One service level objective, measured per tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("(has(self.errors) ? 1 : 0) + (has(self.latency) ? 1 : 0) + (has(self.query) ? 1 : 0) == 1",
        "exactly one of errors, latency and query must be given")),
    x_kube(validation = ("has(self.query) == has(self.limit)", "query and limit must be given together")),
    x_kube(validation = kube::core::Rule::new("has(self.query) != has(self.objective)")
        .message("objective is required beside errors and latency, and has no meaning beside query")
        .field_path(".objective")),
    x_kube(validation = kube::core::Rule::new("has(self.query) || (has(self.tenantLabels) && size(self.tenantLabels) > 0)")
        .message("tenantLabels is required beside errors and latency")
        .field_path(".tenantLabels")),
    x_kube(validation = kube::core::Rule::new("!has(self.tenantLabels) || self.tenantLabels.all(x, self.tenantLabels.exists_one(y, x == y))")
        .message("tenantLabels must name each label once")
        .field_path(".tenantLabels")),
    x_kube(validation = kube::core::Rule::new("!has(self.objective) || (self.objective.matches('[1-9]') && !self.objective.startsWith('100'))")
        .message("objective must be above 0% and below 100%: an objective of 100% leaves no error budget to burn")
        .field_path(".objective")),
    // Beyond this even a total failure would not burn fast enough, so the guard would be silent for ever.
    x_kube(validation = kube::core::Rule::new("!has(self.objective) || self.burnRate.page.all(p, p.factor * (100.0 - double(self.objective.replace('%', ''))) < 100.0)")
        .message("burnRate.page: factor * (1 - objective) must be below 1, else no outage could reach it; lower the factor")
        .field_path(".burnRate.page")),
    x_kube(validation = kube::core::Rule::new("!has(self.objective) || self.burnRate.hold.all(p, p.factor * (100.0 - double(self.objective.replace('%', ''))) < 100.0)")
        .message("burnRate.hold: factor * (1 - objective) must be below 1, else no outage could reach it; lower the factor")
        .field_path(".burnRate.hold")),
    x_kube(validation = kube::core::Rule::new("!has(self.objective) || self.sharp.factor * (100.0 - double(self.objective.replace('%', ''))) < 100.0")
        .message("sharp.factor: factor * (1 - objective) must be below 1, else no outage could reach it; lower the factor")
        .field_path(".sharp.factor"))
)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Name of the SLO, unique in the Rollout.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub name: String,
    /// Counters of bad and of all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// A histogram and the threshold under which a request is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Any other number, as a `PromQL` expression of one value; needs `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 4096)))]
    pub query: Option<String>,
    /// The bounds of `query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Share of good events that is promised, such as `99.5%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Percent>,
    /// Metric labels that, joined by `/`, name a tenant as `tenants.id` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(max = 4),
            inner(length(min = 1, max = 128), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))
        )
    )]
    pub tenant_labels: Vec<String>,
    /// Length of one counting step: `auto` (four scrapes, at least 1m where scrapes are 15 s or more) or 5s to 5m.
    #[serde(default)]
    pub step: Step,
    /// How much later than its scrapes the metric is there, at most 1h: 15m for `CloudWatch`. Steps are read so much later, and so much
    /// later is a deviation found.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub delay: Span,
    /// What users would not feel: the comparison lets it pass.
    #[serde(default)]
    pub margin: Margin,
    /// Pairs of windows whose burn rate deviates or holds.
    #[serde(default)]
    pub burn_rate: BurnRate,
    /// The fast path for plain damage.
    #[serde(default)]
    pub sharp: Sharp,
    /// What an update itself may cost.
    #[serde(default)]
    pub update_cost: UpdateCost,
}

/// Counters of an availability SLI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("has(self.recorded) ? !has(self.bad) && !has(self.total) : has(self.bad) && has(self.total)",
        "give either bad and total, or recorded"))
)]
#[serde(rename_all = "camelCase")]
pub struct Errors {
    /// Selector of the counters of bad events; the query around it is Breakwater's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub bad: Option<String>,
    /// Selector of the counters of all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub total: Option<String>,
    /// Series of recording rules that hold counts per step already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// Recorded counts: gauges that hold the number of events in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Selector of the recorded count of bad events per step.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub bad: String,
    /// Selector of the recorded count of all events per step.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub total: String,
}

/// A latency SLI over a classic Prometheus histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.threshold.matches('[1-9]')")
        .message("threshold must be longer than 0")
        .field_path(".threshold"))
)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Name of the histogram without `_bucket` or `_count`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(min = 1, max = 200), regex(pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$"))
    )]
    pub histogram: String,
    /// Further label matchers, such as `handler=~"createPost|login"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1024)))]
    pub matchers: String,
    /// Good is at most this; must be an edge of a bucket. `500ms`, `2s`, `0.25s`.
    #[cfg_attr(
        feature = "kube",
        schemars(length(max = 16), regex(pattern = "^[0-9]{1,6}(\\.[0-9]{1,6})?(ms|s)$"))
    )]
    pub threshold: String,
    /// Unit of the histogram's bucket edges. Where it is not given, the histogram's name says it (`_seconds`, `_milliseconds`, `_ms`,
    /// ...), and seconds are taken where that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Whether requests above the nearest two bucket edges on each side of the threshold are compared as well, which finds
    /// a version that is slower where the threshold hardly shows it. `Enabled` gives half of the comparison's evidence to them.
    #[serde(default, skip_serializing_if = "Shape::is_enabled")]
    pub shape: Shape,
}

/// Unit of a histogram's bucket edges, the values of the label `le`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Unit {
    /// `le="0.5"` is half a second, as Prometheus recommends.
    Seconds,
    /// `le="500"` is half a second, as Istio and Envoy have it.
    Milliseconds,
    /// `le="500000"` is half a second.
    Microseconds,
    /// `le="5e+08"` is half a second.
    Nanoseconds,
}

/// Whether the shape of a latency is compared beside the share above its threshold. (Not `On` and `Off`: for YAML 1.1, so for
/// `kubectl`, those are booleans.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Shape {
    /// It is, at the edges whose past says enough of them.
    #[default]
    Enabled,
    /// The threshold alone is.
    Disabled,
}

impl Shape {
    /// As where nobody says anything: not written, so that nothing changes for who leaves it at that.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_enabled(&self) -> bool {
        *self == Self::Enabled
    }
}

/// Bounds of a `query`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("has(self.max) || has(self.min)", "limit needs max or min")),
    x_kube(validation = kube::core::Rule::new("!has(self.max) || !has(self.min) || self.min <= self.max")
        .message("min must not be above max")
        .field_path(".min")),
    // CEL reserves `for`; the API server spells such fields with underscores.
    x_kube(validation = kube::core::Rule::new("self.__for__.matches('[1-9]')")
        .message("for must be longer than 0")
        .field_path(".for"))
)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// Above this is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Below this is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// How long every value must have been bad, without a gap.
    #[serde(rename = "for", default = "ten_minutes")]
    pub for_: Span,
}

/// Step length of a SLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Step {
    /// Chosen from the scrape interval.
    #[default]
    Auto,
    /// Fixed, 5 s to 5 min.
    Fixed(Span),
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Fixed(span) => span.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Fixed).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(feature = "kube")]
impl schemars::JsonSchema for Step {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Step".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(auto|([5-9]|[1-9][0-9]|[12][0-9]{2}|300)s|[1-5]m)$", "maxLength": 8})
    }
}

/// What users would not feel (analysis.md 1): a candidate may have `ratio` times the baseline's share of bad events and
/// `absolute` on top.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Margin {
    /// Multiple of the baseline's share of bad events.
    #[serde(default = "margin_ratio")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1.0, max = 1000.0)))]
    pub ratio: f64,
    /// A share of all events on top: `auto` (a tenth of the error budget) or a percentage.
    #[serde(default)]
    pub absolute: AbsoluteMargin,
    /// Share of their usual good events that candidates may lack, 0% to below 100%; `100%`: how many there are is not
    /// compared.
    #[serde(default = "margin_traffic")]
    pub traffic: Percent,
}

impl Default for Margin {
    fn default() -> Self {
        Self { ratio: margin_ratio(), absolute: AbsoluteMargin::Auto, traffic: margin_traffic() }
    }
}

/// A share of events that is tolerated on top.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum AbsoluteMargin {
    /// A tenth of the error budget, `0.1 * (1 - objective)`.
    #[default]
    Auto,
    /// This share.
    Share(Percent),
}

impl Serialize for AbsoluteMargin {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Share(share) => share.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for AbsoluteMargin {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Share).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(feature = "kube")]
impl schemars::JsonSchema for AbsoluteMargin {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AbsoluteMargin".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(auto|[0-9]{1,2}(\\.[0-9]{1,9})?%)$", "maxLength": 13})
    }
}

const fn margin_ratio() -> f64 {
    1.2
}

fn margin_traffic() -> Percent {
    Percent::of_ratio(0.5)
}

/// Multiwindow, multi-burn-rate alerts (Google SRE workbook, chapter 5, table 5-8) as guards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BurnRate {
    /// Pairs that are a deviation.
    #[serde(default = "page_pairs")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4)))]
    pub page: Vec<Pair>,
    /// Pairs that hold.
    #[serde(default = "hold_pairs")]
    #[cfg_attr(feature = "kube", schemars(length(max = 4)))]
    pub hold: Vec<Pair>,
}

/// Two windows that must both burn at `factor` or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("self.long.matches('[1-9]') && self.short.matches('[1-9]')", "long and short must be longer than 0")),
    x_kube(validation = kube::core::Rule::new("self.factor > 0.0").message("factor must be above 0").field_path(".factor"))
)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The long window.
    pub long: Span,
    /// The short window, by which a pair falls silent soon after the harm ends.
    pub short: Span,
    /// Burn rate: multiples of the error budget's even consumption.
    #[cfg_attr(feature = "kube", schemars(range(min = 0.0, max = 1000.0)))]
    pub factor: f64,
}

/// The sharp path: plain damage, found within minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("self.long.matches('[1-9]') && self.short.matches('[1-9]')", "long and short must be longer than 0")),
    x_kube(validation = kube::core::Rule::new("self.factor > 0.0").message("factor must be above 0").field_path(".factor"))
)]
#[serde(rename_all = "camelCase")]
pub struct Sharp {
    /// The long window.
    #[serde(default = "five_minutes")]
    pub long: Span,
    /// The short window.
    #[serde(default = "one_minute")]
    pub short: Span,
    /// Burn rate in both windows.
    #[serde(default = "sharp_factor")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0.0, max = 1000.0)))]
    pub factor: f64,
    /// Least number of bad events in the long window.
    #[serde(default = "ten")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1_000_000)))]
    pub min_bad: u32,
}

/// What the restart of an update may cost before it holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("self.max.matches('[1-9]')")
        .message("max must be above 0%")
        .field_path(".max"))
)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCost {
    /// Highest share of bad events during warm-up, per wave.
    #[serde(default = "five_percent")]
    pub max: Percent,
}

impl Default for BurnRate {
    fn default() -> Self {
        Self { page: page_pairs(), hold: hold_pairs() }
    }
}

impl Default for Sharp {
    fn default() -> Self {
        Self { long: five_minutes(), short: one_minute(), factor: sharp_factor(), min_bad: ten() }
    }
}

impl Default for UpdateCost {
    fn default() -> Self {
        Self { max: five_percent() }
    }
}

const fn pair(long_seconds: i64, short_seconds: i64, factor: f64) -> Pair {
    Pair { long: Span::seconds(long_seconds), short: Span::seconds(short_seconds), factor }
}

fn page_pairs() -> Vec<Pair> {
    vec![pair(3_600, 300, 14.4), pair(21_600, 1_800, 6.0)]
}

fn hold_pairs() -> Vec<Pair> {
    vec![pair(86_400, 7_200, 3.0), pair(259_200, 21_600, 1.0)]
}

const fn ten_minutes() -> Span {
    Span::seconds(600)
}

const fn five_minutes() -> Span {
    Span::seconds(300)
}

const fn one_minute() -> Span {
    Span::seconds(60)
}

const fn sharp_factor() -> f64 {
    14.4
}

const fn ten() -> u32 {
    10
}

fn five_percent() -> Percent {
    Percent::of_ratio(0.05)
}
