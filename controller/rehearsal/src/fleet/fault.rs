//! What is wrong with a version. Pure.

use breakwater_crds::{Percent, Span};
use serde::{Deserialize, Serialize};

/// A version's fault. Fields combine; a version without any is healthy.
///
/// ```yaml
/// 1.2.0: {errors: 2%, tenants: 10%, after: 36h, growsOver: 3d}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// Share of requests that fail, on top of what fails anyway.
    pub errors: Option<Percent>,
    /// What fails anyway is multiplied by this.
    pub errors_factor: Option<f64>,
    /// Share of requests that are slow, on top of what is slow anyway.
    pub slow: Option<Percent>,
    /// What is slow anyway is multiplied by this.
    pub slow_factor: Option<f64>,
    /// What is nearly slow, between a half of the threshold and the threshold or between a quarter and the half, is
    /// multiplied by this: the threshold itself does not show it.
    pub near_factor: Option<f64>,
    /// What becomes of the traffic: 0.5 is half of it.
    pub traffic_factor: Option<f64>,
    /// Share of tenants that have the fault; default: all.
    pub tenants: Option<Percent>,
    /// It shows only so long after the tenant's update.
    pub after: Option<Span>,
    /// It grows from nothing to its full size over this time.
    pub grows_over: Option<Span>,
    /// It shows only while a tenant's traffic is above its average.
    pub at_peak: bool,
    /// Share of tenants that never get ready on it.
    pub crash_loop: Option<Percent>,
}

impl Fault {
    /// In words; `None` for a healthy version.
    pub fn words(&self) -> Option<String> {
        let Self {
            errors,
            errors_factor,
            slow,
            slow_factor,
            near_factor,
            traffic_factor,
            tenants,
            after,
            grows_over,
            at_peak,
            crash_loop,
        } = self;
        let mut words = Vec::new();
        words.extend(errors.map(|share| format!("{share} more requests fail")));
        words.extend(errors_factor.map(|factor| format!("errors times {factor}")));
        words.extend(slow.map(|share| format!("{share} more requests are slow")));
        words.extend(slow_factor.map(|factor| format!("slow requests times {factor}")));
        words.extend(near_factor.map(|factor| format!("requests just within the threshold times {factor}")));
        words.extend(traffic_factor.map(|factor| format!("traffic times {factor}")));
        words.extend(crash_loop.map(|share| format!("{share} of tenants never get ready")));
        if words.is_empty() {
            return None;
        }
        words.extend(tenants.map(|share| format!("in {share} of tenants")));
        words.extend(after.map(|span| format!("{span} after the update")));
        words.extend(grows_over.map(|span| format!("growing over {span}")));
        words.extend(at_peak.then(|| "at peak only".to_owned()));
        Some(words.join(", "))
    }

    /// What is out of range.
    pub fn check(&self) -> Result<(), String> {
        for (name, factor) in [
            ("errorsFactor", self.errors_factor),
            ("slowFactor", self.slow_factor),
            ("nearFactor", self.near_factor),
            ("trafficFactor", self.traffic_factor),
        ] {
            if factor.is_some_and(|factor| !factor.is_finite() || !(0.0..=1e4).contains(&factor)) {
                return Err(format!("{name} must be between 0 and 10000"));
            }
        }
        Ok(())
    }

    /// How much of the fault shows, 0 to 1, so long after a tenant's update.
    pub fn shows(&self, seconds: i64, peak: bool) -> f64 {
        let since = seconds - self.after.map_or(0, Span::as_seconds);
        if since < 0 || (self.at_peak && !peak) {
            return 0.0;
        }
        match self.grows_over.map(Span::as_seconds) {
            Some(span) if span > 0 => (since as f64 / span as f64).min(1.0),
            Some(_) | None => 1.0,
        }
    }
}
