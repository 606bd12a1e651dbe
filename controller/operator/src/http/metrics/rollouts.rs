//! What is shown of each Rollout: gauges made of its status at each scrape, gone when it is. Pure but for the clock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use breakwater_crds::{
    status::{ConditionStatus, Phase, RolloutStatus, SloStatus},
    words::{ConditionType, Verdict, Word},
};
use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::clock::Clock;

pub(super) struct Rollouts {
    pub(super) clock: Clock,
    pub(super) figures: Mutex<BTreeMap<(String, String), Figures>>,
}

/// What is shown of one Rollout.
pub(super) struct Figures {
    stable: String,
    candidate: String,
    phase: Phase,
    conditions: Vec<(Word<ConditionType>, bool)>,
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
    verdict: Option<Word<Verdict>>,
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
    detectable_share: Option<f64>,
    must_detect_share: Option<f64>,
    dispersion: Option<f64>,
}

impl Figures {
    pub(super) fn of(status: &RolloutStatus) -> Self {
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
                detectable_share: slo.detectable_share,
                must_detect_share: slo.must_detect_share,
                dispersion: slo.compared.as_ref().map(|compared| compared.dispersion),
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
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Figures>> {
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
        let spoken = f.slos.iter().filter_map(|slo| Some((slo.name.as_str(), slo.verdict.as_ref()?)));
        // All verdicts, so that a series is there, at 0, before its verdict first is.
        let each = spoken
            .flat_map(|(name, verdict)| Verdict::ALL.iter().map(move |one| (name, *one, *verdict == *one)));
        each.map(|(name, one, is)| (vec![("slo", name), ("verdict", one.as_str())], bit(is))).collect()
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
    type Figure = fn(&Comparison) -> Option<f64>;
    let gauges: [(&str, &str, Figure); 7] = [
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
        ("slo_detectable_share", "The same as a share of bad requests", |c| c.detectable_share),
        ("slo_must_detect_share", "The share that must be found before the wave may end", |c| {
            c.must_detect_share
        }),
        ("slo_dispersion", "How many times as bursty as counting noise the past was", |c| c.dispersion),
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
