//! What of Prometheus is wanted and what is there: between the planner and the background reading. No decision here.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use breakwater_crds::rollout::BASELINE_SAMPLE;
use breakwater_plan::{
    Plan,
    observed::{SloReading, Tenant},
    spec::Checked,
    study::Study,
};
use breakwater_slo::TenantId;
use jiff::Timestamp;

use super::{context::Context, key::Key};
use crate::telemetry::{Chosen, Counts, Feed, Telemetry, TenantIds, Wanted, ids::metric_id};

/// The reading of one accepted spec.
pub(in crate::rollouts) struct Watching {
    key: Key,
    source: Arc<dyn Counts>,
    feed: Result<Feed, String>,
    refill_seconds: i64,
    /// Names in metrics, made anew only when one changed: a hashing of ten thousand names per plan is as dear as the plan.
    ids: Mutex<(u64, Arc<TenantIds>)>,
    /// The same names in the order of the tenants, for alerts; made anew as rarely.
    metric_ids: Mutex<(u64, Arc<[Named]>)>,
    /// Names in metrics that more than one tenant has.
    shared_names: AtomicUsize,
    /// Most tenants of the baseline whose past is read.
    baseline_sample: usize,
    /// Whose past is read: drawn once.
    chosen: Mutex<Option<Drawn>>,
}

/// A tenant and its name in metrics and alerts.
type Named = (TenantId, Arc<str>);

/// A draw for a wave's start, while the names count so many changes.
struct Drawn {
    wave_started_at: Timestamp,
    names: u64,
    chosen: Option<Arc<Chosen>>,
}

impl Watching {
    /// Starts reading in the background; nothing is read before it is wanted.
    pub(super) fn start(context: &Context, key: &Key, checked: &Checked) -> Self {
        let spec = &checked.spec;
        let source = (context.handles.ground.counts)(&key.namespace, spec.prometheus.as_ref());
        let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
        let clock = context.handles.ground.clock.clone();
        let feed = Telemetry::new(source.clone(), &spec.slos, matchers)
            .map(|telemetry| Feed::spawn(telemetry, clock, &context.alarm));
        let feed =
            feed.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        let baseline_sample =
            spec.prometheus.as_ref().map_or(BASELINE_SAMPLE, |prometheus| prometheus.baseline_sample);
        let baseline_sample = usize::try_from(baseline_sample).unwrap_or(usize::MAX);
        let refill_seconds = spec.slos.iter().map(|slo| slo.sharp.long.as_seconds()).max().unwrap_or(0);
        Self {
            key: key.clone(),
            source,
            feed,
            refill_seconds,
            ids: Mutex::new((u64::MAX, Arc::default())),
            metric_ids: Mutex::new((u64::MAX, [].into())),
            shared_names: AtomicUsize::new(0),
            baseline_sample,
            chosen: Mutex::default(),
        }
    }

    /// What is there, one reading per SLO in the spec's order.
    pub(super) fn readings(&self, slos: usize) -> Vec<SloReading> {
        match &self.feed {
            Ok(feed) => feed.readings(),
            Err(why) => vec![SloReading { error: Some(why.clone()), ..SloReading::default() }; slos],
        }
    }

    /// Says what the plan wants read next. `names` is the index's count of changes of names.
    pub(super) fn want(&self, plan: &Plan, tenants: &[Tenant], names: u64) {
        let Ok(feed) = &self.feed else { return };
        let after = (0..plan.judges.len()).map(|slo| {
            let until = plan.read_until_seconds(slo).and_then(|s| Timestamp::from_second(s).ok());
            plan.watch_since.map(|since| until.map_or(since, |until| until.max(since)))
        });
        feed.want(Wanted {
            after: after.collect(),
            ids: self.ids(tenants, names),
            refill_seconds: self.refill_seconds,
            history: plan.history_wanted.clone(),
            sight: plan.wants_sight,
            study: plan.study.clone(),
            chosen: plan.study.as_ref().and_then(|study| self.chosen(study, tenants, names)),
            studied: plan.status.waves.iter().filter_map(|wave| wave.started_at).collect(),
        });
    }

    fn chosen(&self, study: &Study, tenants: &[Tenant], names: u64) -> Option<Arc<Chosen>> {
        let (mut last, wave_started_at) =
            (self.chosen.lock().unwrap_or_else(PoisonError::into_inner), study.wave_started_at);
        if let Some(drawn) = &*last
            && (drawn.wave_started_at, drawn.names) == (wave_started_at, names)
        {
            return drawn.chosen.clone();
        }
        let chosen = Chosen::of(&study.arms, tenants, self.baseline_sample).map(Arc::new);
        *last = Some(Drawn { wave_started_at, names, chosen: chosen.clone() });
        chosen
    }

    fn ids(&self, tenants: &[Tenant], names: u64) -> Arc<TenantIds> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.0 != names {
            let known = TenantIds::of(tenants);
            self.note_shared(&known, &ids.1);
            *ids = (names, Arc::new(known));
        }
        ids.1.clone()
    }

    /// What is counted under a name of several tenants is nobody's: whoever gave them that name must hear of it.
    fn note_shared(&self, known: &TenantIds, before: &TenantIds) {
        self.shared_names.store(known.shared_names(), Ordering::Relaxed);
        let ambiguous = known.ambiguous();
        if let Some(why) = ambiguous.as_ref().filter(|_| ambiguous != before.ambiguous()) {
            tracing::warn!(rollout = %self.key, "nothing is counted for tenants of one name: {why}");
        }
    }

    /// Names in metrics that more than one tenant has, as of the last plan.
    pub(super) fn shared_names(&self) -> usize {
        self.shared_names.load(Ordering::Relaxed)
    }

    /// The tenants' names in metrics and alerts, in the order of `tenants`. `names` is the index's count of changes of names.
    pub(super) fn metric_ids(&self, tenants: &[Tenant], names: u64) -> Arc<[Named]> {
        let mut known = self.metric_ids.lock().unwrap_or_else(PoisonError::into_inner);
        // The index may put its tenants into another order, which is no change of a name.
        let is_theirs = known.1.iter().map(|(id, _)| *id).eq(tenants.iter().map(|tenant| tenant.id));
        if known.0 != names || !is_theirs {
            *known = (names, tenants.iter().map(|tenant| (tenant.id, metric_id(tenant))).collect());
        }
        known.1.clone()
    }

    /// The Rollout's Prometheus, for other questions.
    pub(super) fn source(&self) -> Arc<dyn Counts> {
        self.source.clone()
    }

    /// Resolves when something new was read.
    pub(super) fn news(&self) -> Option<tokio::sync::watch::Receiver<u64>> {
        self.feed.as_ref().ok().map(Feed::news)
    }
}
