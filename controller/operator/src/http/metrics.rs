//! The controller's own metrics; none of them has a label per tenant. Pure but for what they count.
//!
//! What belongs to one Rollout is kept as one value and written out at each scrape, so that it is gone when the
//! Rollout is.

mod rollouts;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use breakwater_crds::{
    status::RolloutStatus,
    words::{TransitionReason, Word},
};
use breakwater_plan::outcome::Purpose;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use rollouts::{Figures, Rollouts};

use crate::{
    clock::Clock,
    execute::{Meter, Outcome},
};

/// Upper edges of the histograms, in seconds: a write takes milliseconds, a reconcile of ten thousand tenants a second.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// All metrics; cheap to clone, every clone counts into the same.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    rollouts: Arc<Rollouts>,
    writes: Family<WriteLabels, Counter>,
    write_seconds: Histogram,
    reconcile_seconds: Histogram,
    webhooks: Family<ResultLabel, Counter>,
    transitions: Family<ReasonLabel, Counter>,
    leader: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// What became of a tenant's write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteResult {
    /// It was taken.
    Written,
    /// Somebody else was first (R25).
    Conflict,
    /// The tenant is gone.
    Gone,
    /// It failed.
    Failed,
}

/// What became of a call of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookResult {
    /// An action stands because of it.
    Stored,
    /// It was understood and is remembered; nothing is to be done.
    Kept,
    /// The token was wrong, or missing.
    Unauthorized,
    /// The body could not be understood.
    Malformed,
    /// No such Rollout.
    Unknown,
    /// It could not be served now; Alertmanager tries again.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    purpose: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

impl Metrics {
    /// Registers all of them; `clock` dates the lag at each scrape.
    pub fn new(clock: Clock) -> Self {
        let mut registry = Registry::with_prefix("breakwater");
        let rollouts = Arc::new(Rollouts { clock, figures: Mutex::default() });
        registry.register_collector(Box::new(Arc::clone(&rollouts)));
        let (writes, webhooks, transitions) = (Family::default(), Family::default(), Family::default());
        let (write_seconds, reconcile_seconds) = (Histogram::new(SECONDS), Histogram::new(SECONDS));
        let leader = Gauge::default();
        registry.register("writes", "Tenant writes by purpose and result", Family::clone(&writes));
        registry.register("write_duration_seconds", "Time that one tenant write took", write_seconds.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Time that one reconcile took",
            reconcile_seconds.clone(),
        );
        registry.register(
            "webhook_requests",
            "Calls of the alert webhook by result",
            Family::clone(&webhooks),
        );
        registry.register(
            "transitions",
            "Transitions of all Rollouts by reason",
            Family::clone(&transitions),
        );
        registry.register("leader", "1 while this process holds the lease", leader.clone());
        let inner = Inner {
            registry,
            rollouts,
            writes,
            write_seconds,
            reconcile_seconds,
            webhooks,
            transitions,
            leader,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Counts one tenant write.
    pub fn write(&self, purpose: Purpose, result: WriteResult, took: Duration) {
        let purpose = match purpose {
            Purpose::Advance => "advance",
            Purpose::Revert => "revert",
        };
        let result = match result {
            WriteResult::Written => "written",
            WriteResult::Conflict => "conflict",
            WriteResult::Gone => "gone",
            WriteResult::Failed => "failed",
        };
        self.inner.writes.get_or_create(&WriteLabels { purpose, result }).inc();
        self.inner.write_seconds.observe(took.as_secs_f64());
    }

    /// Counts one reconcile.
    pub fn reconcile(&self, took: Duration) {
        self.inner.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// Counts one call of the webhook.
    pub fn webhook(&self, result: WebhookResult) {
        let result = match result {
            WebhookResult::Stored => "stored",
            WebhookResult::Kept => "kept",
            WebhookResult::Unauthorized => "unauthorized",
            WebhookResult::Malformed => "malformed",
            WebhookResult::Unknown => "unknown_rollout",
            WebhookResult::Unavailable => "unavailable",
        };
        self.inner.webhooks.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts one transition (R31). `reason` is one of the plan's own words, so there are few.
    pub fn transition(&self, reason: &Word<TransitionReason>) {
        self.inner.transitions.get_or_create(&ReasonLabel { reason: reason.to_string() }).inc();
    }

    /// Says whether this process holds the lease.
    pub fn leader(&self, holds: bool) {
        self.inner.leader.set(i64::from(holds));
    }

    /// Takes over what a Rollout's status says.
    pub fn rollout(&self, namespace: &str, name: &str, status: &RolloutStatus) {
        let figures = Figures::of(status);
        self.inner.rollouts.lock().insert((namespace.to_owned(), name.to_owned()), figures);
    }

    /// Forgets a Rollout that is gone, with every label of it.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.inner.rollouts.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The `OpenMetrics` text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(16 << 10);
        text::encode(&mut out, &self.inner.registry)?;
        Ok(out)
    }
}

impl Meter for Metrics {
    fn sent(&self, _: Purpose) {}

    fn settled(&self, purpose: Purpose, outcome: &Outcome, latency: Duration) {
        let result = match outcome {
            Outcome::Written | Outcome::AlreadyThere => WriteResult::Written,
            Outcome::Changed | Outcome::Contended { .. } | Outcome::Rewritten { .. } => WriteResult::Conflict,
            Outcome::Gone => WriteResult::Gone,
            Outcome::Refused { .. } | Outcome::Busy { .. } | Outcome::Unresolved { .. } => {
                WriteResult::Failed
            }
            Outcome::Withheld(_) => return, // never sent
        };
        self.write(purpose, result, latency);
    }
}

#[cfg(test)]
mod tests {
    use breakwater_crds::rollout::Baseline;
    use breakwater_crds::status::{Compared, Phase, SloStatus, WaveStatus};
    use breakwater_crds::words::Verdict;
    use jiff::Timestamp;

    use super::*;

    fn clock() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn status() -> RolloutStatus {
        RolloutStatus {
            phase: Phase::Soaking,
            wave: Some("early".into()),
            candidate_version: Some("2.0\"x".into()),
            waves: vec![WaveStatus {
                name: "early".into(),
                total: 3,
                passed_at: Some(clock()),
                ..WaveStatus::default()
            }],
            slos: vec![SloStatus {
                name: "api".into(),
                verdict: Some(Verdict::Healthy.into()),
                value: Some(0.25),
                ln_e: Some(std::f64::consts::LN_10 * 1.5),
                ln_limit: Some(std::f64::consts::LN_10 * 2.0),
                certainty: Some(0.96),
                detectable: Some(2.5),
                detectable_share: Some(0.005),
                must_detect_share: Some(0.004),
                compared: Some(Compared {
                    with: Baseline::Others,
                    reverts: true,
                    dispersion: 1.5,
                    edges: Vec::new(),
                }),
                evaluated_until: Timestamp::from_second(1_699_999_910).ok(),
                ..SloStatus::default()
            }],
            ..RolloutStatus::default()
        }
    }

    #[test]
    fn a_rollout_shows_in_the_metrics_while_it_is_there_and_not_after() {
        let metrics = Metrics::new(Arc::new(clock));
        metrics.rollout("ops", "app", &status());
        metrics.write(Purpose::Advance, WriteResult::Written, Duration::from_millis(12));
        metrics.reconcile(Duration::from_millis(3));
        metrics.webhook(WebhookResult::Stored);
        metrics.transition(&TransitionReason::WaveStarted.into());
        metrics.leader(true);
        let text = metrics.text().unwrap();
        for line in [
            "breakwater_rollout_info{namespace=\"ops\",rollout=\"app\",stable_version=\"\",candidate_version=\"2.0\\\"x\"} 1.0",
            "breakwater_rollout_phase{namespace=\"ops\",rollout=\"app\",phase=\"Soaking\"} 1.0",
            "breakwater_wave_tenants{namespace=\"ops\",rollout=\"app\",wave=\"early\",state=\"total\"} 3.0",
            "breakwater_wave_completed{namespace=\"ops\",rollout=\"app\",wave=\"early\"} 1.0",
            "breakwater_slo_verdict{namespace=\"ops\",rollout=\"app\",slo=\"api\",verdict=\"Healthy\"} 1.0",
            "breakwater_slo_verdict{namespace=\"ops\",rollout=\"app\",slo=\"api\",verdict=\"Uncalibrated\"} 0.0",
            "breakwater_slo_evidence_log10{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 1.5",
            "breakwater_slo_evidence_limit_log10{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 2.0",
            "breakwater_slo_certainty{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 0.96",
            "breakwater_slo_detectable_ratio{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 2.5",
            "breakwater_slo_must_detect_share{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 0.004",
            "breakwater_slo_detectable_share{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 0.005",
            "breakwater_slo_dispersion{namespace=\"ops\",rollout=\"app\",slo=\"api\",wave=\"early\"} 1.5",
            "breakwater_slo_value{namespace=\"ops\",rollout=\"app\",slo=\"api\",of=\"candidate\"} 0.25",
            "breakwater_slo_evaluation_lag_seconds{namespace=\"ops\",rollout=\"app\",slo=\"api\"} 90.0",
            "breakwater_writes_total{purpose=\"advance\",result=\"written\"} 1",
            "breakwater_write_duration_seconds_count 1",
            "breakwater_reconcile_duration_seconds_count 1",
            "breakwater_webhook_requests_total{result=\"stored\"} 1",
            "breakwater_transitions_total{reason=\"WaveStarted\"} 1",
            "breakwater_leader 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        metrics.forget("ops", "app");
        let text = metrics.text().unwrap();
        assert!(!text.contains("\"app\"") && text.contains("breakwater_writes_total"), "{text}");
    }

    type Change<'a> = &'a dyn Fn(&mut RolloutStatus);

    #[test]
    fn series_go_with_what_they_speak_of() {
        let metrics = Metrics::new(Arc::new(clock));
        let text = |change: &dyn Fn(&mut RolloutStatus)| {
            let mut status = status();
            change(&mut status);
            metrics.rollout("ops", "app", &status);
            metrics.text().unwrap()
        };
        assert!(text(&|_| ()).contains("breakwater_slo_certainty{"));
        let gone: [(&str, Change<'_>, &[&str]); 5] = [
            ("no number", &|s| s.slos[0].ln_e = Some(f64::NEG_INFINITY), &["breakwater_slo_evidence_log10{"]),
            ("no number", &|s| s.slos[0].detectable = Some(f64::NAN), &["breakwater_slo_detectable_ratio{"]),
            ("not armed", &|s| s.slos[0].certainty = None, &["breakwater_slo_certainty{"]),
            (
                "another wave",
                &|s| s.wave = Some("half".into()),
                &["wave=\"early\"} 1.5", "wave=\"early\"} 0.96"],
            ),
            ("the SLO", &|s| s.slos.clear(), &["breakwater_slo_"]),
        ];
        for (what, change, series) in gone {
            let text = text(change);
            for series in series {
                assert!(!text.contains(series), "{what}: {series} in\n{text}");
            }
        }
        let over = text(&|s| s.phase = Phase::Completed);
        for series in ["breakwater_slo_evidence", "breakwater_slo_evaluation_lag_seconds"] {
            assert!(!over.contains(series), "nothing is judged any more: {over}");
        }
    }
}
