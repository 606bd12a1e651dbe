//! What a fleet is like, as users write it. Pure.

use std::collections::BTreeMap;

use breakwater_crds::{Percent, Span};
use serde::{Deserialize, Serialize};

/// Most tenants of a rehearsal.
pub const TENANTS_MAX: usize = 100_000;

/// A fleet, in YAML. Every field may be left out.
///
/// ```yaml
/// tenants: 300          # how many
/// version: 1.0.0        # what they run at the start
/// rings: {internal: 2%, early: 10%}
/// traffic: {median: 120, zipf: 0.8, day: 0.5, week: 0.3}
/// quality: {errors: 0.1%, slow: 1%}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FleetSpec {
    /// How many tenants, 1 to 100,000.
    pub tenants: usize,
    /// Their namespace; default: the Rollout's own, or the first one that its `namespaceSelector` could mean.
    pub namespace: Option<String>,
    /// The version they run at the start.
    pub version: String,
    /// Shares of the fleet that bear a label, such as `ring: internal`; the rest bears none. In the order of the names.
    pub rings: BTreeMap<String, Percent>,
    /// The label of `rings`.
    pub ring_label: String,
    /// Labels that every tenant bears, beside those that the Rollout's selector asks for; `{name}` is the tenant's name.
    pub labels: BTreeMap<String, String>,
    /// Share of tenants that sleep (no replicas, no traffic).
    pub dormant: Percent,
    /// Their users.
    pub traffic: Traffic,
    /// How well they are served when nothing is wrong.
    pub quality: Quality,
    /// What an update does to a tenant.
    pub update: Update,
    /// Merged over each object, for kinds that need more.
    pub template: serde_json::Value,
    /// The status of a ready tenant, for kinds that Breakwater does not know.
    pub ready_status: Option<serde_json::Value>,
}

/// Traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Traffic {
    /// Requests per minute of the tenant in the middle, averaged over a week.
    pub median: f64,
    /// How unequal tenants are: the k-th largest has `k^-zipf` of the largest's traffic (0: all alike).
    pub zipf: f64,
    /// How far traffic swings over a day, 0 to 1.
    pub day: f64,
    /// How much of it is missing on weekends, 0 to 1.
    pub week: f64,
    /// Hours over which the tenants' time zones are spread.
    pub zones: u32,
    /// Standard deviation of the slow noise on a tenant's traffic, as a share of it.
    pub noise: f64,
}

/// Quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quality {
    /// Share of bad requests of the tenant in the middle.
    pub errors: Percent,
    /// Share of requests that are slower than an SLO's threshold.
    pub slow: Percent,
    /// How tenants differ in both: the standard deviation of the logarithm.
    pub spread: f64,
    /// How both drift over hours within a tenant: the standard deviation of the logarithm (overdispersion).
    pub drift: f64,
}

/// Updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Update {
    /// How long a tenant takes to be ready on another version.
    pub ready_after: Span,
    /// For how long after it an updated tenant serves worse: cold caches, reconnects.
    pub blip: Span,
    /// Share of bad requests meanwhile, on top.
    pub blip_errors: Percent,
    /// Share of slow requests meanwhile, on top.
    pub blip_slow: Percent,
}

impl Default for FleetSpec {
    fn default() -> Self {
        Self {
            tenants: 300,
            namespace: None,
            version: "1.0.0".into(),
            rings: BTreeMap::new(),
            ring_label: "ring".into(),
            labels: BTreeMap::new(),
            dormant: Percent::default(),
            traffic: Traffic::default(),
            quality: Quality::default(),
            update: Update::default(),
            template: serde_json::Value::Null,
            ready_status: None,
        }
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self { median: 120.0, zipf: 0.8, day: 0.5, week: 0.3, zones: 8, noise: 0.15 }
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self { errors: Percent::of_ratio(0.0008), slow: Percent::of_ratio(0.008), spread: 0.4, drift: 0.2 }
    }
}

impl Default for Update {
    fn default() -> Self {
        Self {
            ready_after: Span::seconds(90),
            blip: Span::seconds(180),
            blip_errors: Percent::of_ratio(0.003),
            blip_slow: Percent::of_ratio(0.02),
        }
    }
}

impl FleetSpec {
    /// Reads YAML; the error names the field and what may stand there.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let spec: Self = serde_yaml::from_str(yaml).map_err(|why| format!("fleet: {why}"))?;
        spec.check()?;
        Ok(spec)
    }

    /// What is out of range.
    pub fn check(&self) -> Result<(), String> {
        let shares: f64 = self.rings.values().map(|share| share.as_ratio()).sum();
        let Traffic { median, zipf, day, week, zones, noise } = &self.traffic;
        let Quality { spread, drift, .. } = &self.quality;
        let within = |name: &str, value: f64, from: f64, to: f64| {
            let fits = value.is_finite() && (from..=to).contains(&value);
            if fits {
                Ok(())
            } else {
                Err(format!("fleet: {name} is {value}; it must be between {from} and {to}"))
            }
        };
        within("tenants", self.tenants as f64, 1.0, TENANTS_MAX as f64)?;
        within("the sum of rings, in percent,", shares * 100.0, 0.0, 100.0)?;
        within("traffic.median", *median, 0.0, 1e6)?;
        within("traffic.zipf", *zipf, 0.0, 3.0)?;
        within("traffic.day", *day, 0.0, 1.0)?;
        within("traffic.week", *week, 0.0, 1.0)?;
        within("traffic.zones", f64::from(*zones), 0.0, 24.0)?;
        within("traffic.noise", *noise, 0.0, 2.0)?;
        within("quality.spread", *spread, 0.0, 3.0)?;
        within("quality.drift", *drift, 0.0, 3.0)
    }
}
