//! The controller's own metrics; none of them has a label per tenant. Pure but for what they count.
//!
//! What belongs to one Rollout is kept as one value and written out at each scrape, so that it is gone when the
//! Rollout is.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use breakwater_crds::status::{ConditionStatus, Phase, RolloutStatus, SloStatus};
use breakwater_plan::outcome::Purpose;

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        MetricType, counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge, histogram::Histogram,
    },
    registry::Registry,
};

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
    pub fn transition(&self, reason: &str) {
        self.inner.transitions.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
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

struct Rollouts {
    clock: Clock,
    figures: Mutex<BTreeMap<(String, String), Figures>>,
}

/// What is shown of one Rollout.
struct Figures {
    stable: String,
    candidate: String,
    phase: Phase,
    conditions: Vec<(String, bool)>,
    tenants: [(&'static str, u32); 9],
    /// The wave that the SLOs speak of, while one is in flight.
    wave: Option<String>,
    waves: Vec<WaveFigures>,
    slos: Vec<SloFigures>,
}

struct WaveFigures {
    name: String,
    completed: bool,
    tenants: [(&'static str, u32); 4],
}

struct SloFigures {
    name: String,
    verdict: Option<String>,
    numbers: [(&'static str, Option<f64>); 3],
    comparison: Comparison,
    /// End of the last judged step, while steps are judged at all.
    evaluated_until: Option<Timestamp>,
}

/// What the comparison says of one SLO; absent where it may not speak.
#[derive(Default)]
struct Comparison {
    log10_e: Option<f64>,
    log10_limit: Option<f64>,
    certainty: Option<f64>,
    detectable: Option<f64>,
}

/// All verdicts, so that a series is there, at 0, before its verdict first is.
const VERDICTS: [&str; 5] = ["Healthy", "Deviating", "Inconclusive", "NoData", "Uncalibrated"];

impl Figures {
    fn of(status: &RolloutStatus) -> Self {
        let counts = &status.counts;
        Self {
            stable: status.stable_version.clone().unwrap_or_default(),
            candidate: status.candidate_version.clone().unwrap_or_default(),
            phase: status.phase,
            conditions: status
                .conditions
                .iter()
                .map(|c| (c.type_.clone(), c.status == ConditionStatus::True))
                .collect(),
            tenants: [
                ("live", counts.live),
                ("updated", counts.updated),
                ("ready", counts.ready),
                ("failed", counts.failed),
                ("dormant", counts.dormant),
                ("contested", counts.contested),
                ("uninstrumented", counts.uninstrumented),
                ("to_revert", counts.to_revert),
                ("spared", counts.spared),
            ],
            wave: status.wave.clone().filter(|_| status.phase.is_under_way()),
            waves: status.waves.iter().map(WaveFigures::of).collect(),
            slos: status.slos.iter().map(|slo| SloFigures::of(slo, status.phase)).collect(),
        }
    }
}

impl SloFigures {
    fn of(slo: &SloStatus, phase: Phase) -> Self {
        let log10 = |ln: f64| ln / std::f64::consts::LN_10;
        let watched = phase.is_under_way() || phase.is_reverting();
        Self {
            name: slo.name.clone(),
            verdict: slo.verdict.clone(),
            numbers: [("candidate", slo.value), ("baseline", slo.baseline), ("limit", slo.limit)],
            comparison: Comparison {
                log10_e: slo.ln_e.map(log10),
                log10_limit: slo.ln_limit.map(log10),
                certainty: slo.certainty,
                detectable: slo.detectable,
            },
            evaluated_until: slo.evaluated_until.filter(|_| watched),
        }
    }
}

impl WaveFigures {
    fn of(wave: &breakwater_crds::status::WaveStatus) -> Self {
        let tenants = [
            ("total", wave.total),
            ("updated", wave.updated),
            ("ready", wave.ready),
            ("failed", wave.failed),
        ];
        Self { name: wave.name.clone(), completed: wave.passed_at.is_some(), tenants }
    }
}

impl Rollouts {
    /// A poisoned lock holds whole values: every write is one insertion.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Figures>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Rollouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rollouts")
    }
}

/// Further labels and the value of one series.
type Series<'a> = (Vec<(&'static str, &'a str)>, f64);

/// Writes one gauge of all Rollouts; none at all where no Rollout has a series of it.
struct Writer<'a, 'e> {
    encoder: DescriptorEncoder<'e>,
    figures: &'a BTreeMap<(String, String), Figures>,
}

impl Writer<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, of: &dyn Fn(&Figures) -> Vec<Series<'_>>) -> fmt::Result {
        let each = self.figures.iter().flat_map(|(key, f)| of(f).into_iter().map(move |s| (key, s)));
        let mut series = each.peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for ((namespace, rollout), (further, value)) in series {
            let mut labels = vec![("namespace", namespace.as_str()), ("rollout", rollout.as_str())];
            labels.extend(further);
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Rollouts {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let figures = self.lock();
        let mut writer = Writer { encoder, figures: &figures };
        rollout_gauges(&mut writer)?;
        wave_gauges(&mut writer)?;
        comparison_gauges(&mut writer)?;
        slo_gauges(&mut writer, (self.clock)())
    }
}

fn rollout_gauges(writer: &mut Writer<'_, '_>) -> fmt::Result {
    writer.gauge("rollout_info", "Versions of a Rollout", &|f| {
        let versions = [("stable_version", f.stable.as_str()), ("candidate_version", f.candidate.as_str())];
        vec![(versions.into(), 1.0)]
    })?;
    writer.gauge("rollout_phase", "1 for the phase that a Rollout is in", &|f| {
        vec![(vec![("phase", f.phase.as_str())], 1.0)]
    })?;
    writer.gauge("rollout_condition", "1 where a condition is True", &|f| {
        f.conditions.iter().map(|(name, holds)| (vec![("type", name.as_str())], bit(*holds))).collect()
    })?;
    writer.gauge("rollout_tenants", "Tenants by state", &|f| {
        f.tenants.iter().map(|(state, n)| (vec![("state", *state)], f64::from(*n))).collect()
    })
}

fn wave_gauges(writer: &mut Writer<'_, '_>) -> fmt::Result {
    writer.gauge("wave_tenants", "Tenants of a wave by state", &|f| {
        let mut series = Vec::new();
        for WaveFigures { name, tenants, .. } in &f.waves {
            series.extend(
                tenants.map(|(state, n)| (vec![("wave", name.as_str()), ("state", state)], f64::from(n))),
            );
        }
        series
    })?;
    writer.gauge("wave_completed", "1 once a wave is passed", &|f| {
        f.waves.iter().map(|wave| (vec![("wave", wave.name.as_str())], bit(wave.completed))).collect()
    })
}

fn slo_gauges(writer: &mut Writer<'_, '_>, now: Timestamp) -> fmt::Result {
    writer.gauge("slo_verdict", "1 for the verdict of an SLO, 0 for the others", &|f| {
        let spoken = f.slos.iter().filter_map(|slo| Some((&slo.name, slo.verdict.as_deref()?)));
        let each = spoken.flat_map(|(name, verdict)| VERDICTS.map(|one| (name, one, one == verdict)));
        each.map(|(name, one, is)| (vec![("slo", name.as_str()), ("verdict", one)], bit(is))).collect()
    })?;
    writer.gauge(
        "slo_value",
        "What an SLO measures on candidate and baseline, and the nearest limit",
        &|f| {
            let mut series = Vec::new();
            for SloFigures { name, numbers, .. } in &f.slos {
                let known = numbers.iter().filter_map(|(of, value)| Some((*of, value.and_then(finite)?)));
                series.extend(known.map(|(of, value)| (vec![("slo", name.as_str()), ("of", of)], value)));
            }
            series
        },
    )?;
    writer.gauge("slo_evaluation_lag_seconds", "Age of the last step that was judged", &|f| {
        let judged = f.slos.iter().filter_map(|slo| Some((&slo.name, slo.evaluated_until?)));
        judged
            .map(|(name, until)| (vec![("slo", name.as_str())], now.duration_since(until).as_secs_f64()))
            .collect()
    })
}

/// What the comparison says of the wave in flight.
fn comparison_gauges(writer: &mut Writer<'_, '_>) -> fmt::Result {
    let gauges: [(&str, &str, fn(&Comparison) -> Option<f64>); 4] = [
        (
            "slo_evidence_log10",
            "Evidence of an SLO's comparison that the candidates are worse, as a power of ten",
            |c| c.log10_e,
        ),
        (
            "slo_evidence_limit_log10",
            "Evidence from which on the SLO alone is a deviation, as a power of ten",
            |c| c.log10_limit,
        ),
        ("slo_certainty", "Certainty that the candidates are worse", |c| c.certainty),
        ("slo_detectable_ratio", "The smallest ratio that would have been found by now", |c| c.detectable),
    ];
    for (name, help, of) in gauges {
        writer.gauge(name, help, &|f| {
            let Some(wave) = f.wave.as_deref() else { return Vec::new() };
            let known =
                f.slos.iter().filter_map(|slo| Some((&slo.name, of(&slo.comparison).and_then(finite)?)));
            known.map(|(name, value)| (vec![("slo", name.as_str()), ("wave", wave)], value)).collect()
        })?;
    }
    Ok(())
}

/// What is no number has no series: a gauge of NaN would hide in every comparison.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn bit(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use breakwater_crds::status::{SloStatus, WaveStatus};

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
                verdict: Some("Healthy".into()),
                value: Some(0.25),
                ln_e: Some(std::f64::consts::LN_10 * 1.5),
                ln_limit: Some(std::f64::consts::LN_10 * 2.0),
                certainty: Some(0.96),
                detectable: Some(2.5),
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
        metrics.transition("WaveStarted");
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
        let gone: [(&str, &dyn Fn(&mut RolloutStatus), &[&str]); 5] = [
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
