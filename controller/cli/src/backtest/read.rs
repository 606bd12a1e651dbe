//! A backtest from beginning to end: who has series and since when, what the first part teaches, and the rest replayed,
//! each step read once for all waves and faults. I/O through [`Telemetry`], by the queries of the controller.

use std::{collections::BTreeSet, sync::Arc};

use breakwater_crds::{
    Percent, RolloutSpec, Span,
    rollout::{self, Baseline},
    slo::Shape,
    words::HoldReason,
};
use breakwater_operator::telemetry::{Counts, SloTelemetry, Telemetry, TenantIds, due::Rhythm};
use breakwater_plan::{
    promql,
    spec::{Checked, is_per_tenant},
    study::{Look, Study, Week},
};
use breakwater_slo::{Config, Learned, TenantId};

use super::{
    inject::Inject,
    outcome::{Alarm, Outcome, SloOutcome, WaveOutcome},
    replay::{Trial, Watch, instant, together},
    split::{self, Named, Split},
};

/// Data that begin so much later than was asked for are `NoHistory`: who has series is looked at every hour.
const LATE_SECONDS: i64 = 2 * 3_600;
/// A week, by the minutes of which an own past is kept.
const WEEK_SECONDS: i64 = 7 * 86_400;
/// Shortest time that can be read.
const SHORTEST_SECONDS: i64 = 3_600;

/// What is wanted.
pub struct Wanted<'a> {
    /// `(namespace, name)` of the Rollout.
    pub rollout: (&'a str, &'a str),
    /// Its spec.
    pub checked: &'a Checked,
    /// Indices of the SLOs that are asked for.
    pub slos: Vec<usize>,
    /// After this, unix seconds.
    pub from_seconds: i64,
    /// Up to this.
    pub until_seconds: i64,
    /// The faults.
    pub injects: Vec<Inject>,
    /// Share of the tenants that a selector wave is taken to have.
    pub selector_share: Percent,
    /// Another draw than the rollout's own.
    pub seed: Option<u64>,
}

/// How far it is: which SLO, and the share of all that is to be read.
pub type Progress<'a> = dyn FnMut(&str, f64) + Send + 'a;

/// Runs it; the error is what kept it from an answer.
pub async fn backtest(
    wanted: &Wanted<'_>,
    source: Arc<dyn Counts>,
    progress: &mut Progress<'_>,
) -> Result<Outcome, String> {
    let spec = &wanted.checked.spec;
    let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
    let mut telemetry = Telemetry::new(source, &spec.slos, matchers)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let known = look_round(wanted, telemetry.slos(), progress).await?;
    let splits = split::splits(spec, &ids_of(&known.named), wanted.selector_share);
    if splits.is_empty() {
        return Err("spec.waves: no wave takes any of the tenants".to_owned());
    }
    let part = Part::of(wanted, known.from_seconds)?;
    for inject in &wanted.injects {
        let length = Span::seconds(part.until_seconds - part.watched_seconds);
        if inject.start.is_some_and(|start| start >= length) {
            return Err(format!(
                "--inject {inject}: start must be less than the {length} that are left after the part that teaches; \
                 go further back with --from"
            ));
        }
    }
    let ids = Arc::new(TenantIds::new(known.named.iter().cloned()));
    let (mut slos, mut said) = (Vec::new(), Vec::new());
    for (index, rhythm) in known.rhythms {
        let name = &spec.slos[index].name;
        let mut one =
            One { wanted, slo: &telemetry.slos()[index], index, rhythm, part, splits: &splits, ids: &ids };
        // The end of the part that teaches is read twice, coarsely and finely: the bar waits for the second time.
        let mut most = 0.0_f64;
        let mut forward = |share: f64| {
            most = most.max(share);
            progress(name, most);
        };
        let waves = one.run(&mut forward).await.map_err(|why| format!("{name}: {why}"))?;
        let (outcomes, words): (Vec<WaveOutcome>, Vec<_>) = waves.into_iter().unzip();
        let Rhythm { step_seconds, lag_seconds } = rhythm;
        slos.push(SloOutcome { name: name.clone(), step_seconds, lag_seconds, waves: outcomes });
        said.push((wanted.checked.judge(index, step_seconds).compare.weight, words));
    }
    let together = all_together(spec.judge.alpha.as_ratio(), &splits, &said, &slos);
    let good = together.is_empty() && slos.iter().flat_map(|slo| &slo.waves).all(WaveOutcome::is_good);
    Ok(Outcome {
        rollout: format!("{}/{}", wanted.rollout.0, wanted.rollout.1),
        good,
        from: instant(part.from_seconds),
        watched_from: instant(part.watched_seconds),
        until: instant(part.until_seconds),
        tenants: known.named.len(),
        must_detect: spec.judge.must_detect,
        seed: wanted.seed,
        notes: notes(wanted, part, &slos),
        slos,
        together,
    })
}

/// What the first look at Prometheus found.
struct Known {
    rhythms: Vec<(usize, Rhythm)>,
    named: Named,
    /// From here on there are data of every SLO.
    from_seconds: i64,
}

async fn look_round(
    wanted: &Wanted<'_>,
    slos: &mut [SloTelemetry],
    progress: &mut Progress<'_>,
) -> Result<Known, String> {
    let (mut rhythms, mut all, mut from_seconds) = (Vec::new(), BTreeSet::new(), wanted.from_seconds);
    let until = instant(wanted.until_seconds);
    for index in &wanted.slos {
        let name = &wanted.checked.spec.slos[*index].name;
        let slo = &mut slos[*index];
        let failed = |why: String| format!("{name}: {why}");
        let length = (wanted.until_seconds - wanted.from_seconds).max(1) as f64;
        let mut each = |at: i64| progress("tenants", (at - wanted.from_seconds) as f64 / length);
        let names = slo.names(wanted.from_seconds, wanted.until_seconds, &mut each).await.map_err(failed)?;
        let Some(first) = names.first_seconds() else {
            let (from, until) = (instant(wanted.from_seconds), until);
            return Err(failed(format!(
                "NoHistory: its total has no series from {from} to {until}; check the selector, --from and --prometheus"
            )));
        };
        if first > wanted.from_seconds + LATE_SECONDS {
            from_seconds = from_seconds.max(first);
        }
        let rhythm = slo.learn_rhythm(until).await.map_err(|why| failed(hinted(&why, until)))?;
        rhythms.push((*index, rhythm));
        all.extend(names.iter().cloned());
    }
    let id = |name: &str| split::identity(wanted.rollout, &wanted.checked.spec, wanted.seed, name);
    let named = all.into_iter().map(|name| (name.clone(), id(&name))).collect();
    Ok(Known { rhythms, named, from_seconds })
}

/// Why the rhythm is not known, with what to do where nothing is wrong with the SLO.
fn hinted(why: &str, until: jiff::Timestamp) -> String {
    if why.starts_with("the scrape interval") {
        format!("{why}, at {until}: choose --to so that there are data, or give the SLO a fixed step")
    } else {
        why.to_owned()
    }
}

/// The past in two parts: one teaches, the judge is tried on the other.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
struct Part {
    from_seconds: i64,
    watched_seconds: i64,
    until_seconds: i64,
}

impl Part {
    /// `judge.history` teaches, as in the controller; of a past that is shorter than twice that, half.
    fn of(wanted: &Wanted<'_>, from_seconds: i64) -> Result<Self, String> {
        let length = wanted.until_seconds - from_seconds;
        if length < SHORTEST_SECONDS {
            let at = instant(from_seconds);
            return Err(format!("NoHistory: the data begin at {at}, less than an hour before the end"));
        }
        let taught = wanted.checked.spec.judge.history.as_seconds().min(length / 2);
        // A whole hour is a whole number of steps of every length that divides it.
        let watched = (from_seconds + taught).div_euclid(3_600) * 3_600;
        let watched_seconds = if watched > from_seconds { watched } else { from_seconds + taught };
        Ok(Self { from_seconds, watched_seconds, until_seconds: wanted.until_seconds })
    }

    /// The look at what is watched, in the SLO's own steps.
    fn watched(self, step_seconds: i64) -> Look {
        let aligned = |seconds: i64| seconds.div_euclid(step_seconds) * step_seconds;
        Look {
            from_seconds: aligned(self.watched_seconds),
            until_seconds: aligned(self.until_seconds),
            step_seconds,
        }
    }
}

/// One SLO in all waves.
struct One<'a> {
    wanted: &'a Wanted<'a>,
    slo: &'a SloTelemetry,
    index: usize,
    rhythm: Rhythm,
    part: Part,
    splits: &'a [Split],
    ids: &'a Arc<TenantIds>,
}

type Waves = Vec<(WaveOutcome, Vec<(i64, f64)>)>;

impl One<'_> {
    async fn run(&mut self, progress: &mut (dyn FnMut(f64) + Send)) -> Result<Waves, String> {
        let Self { wanted, slo, index, rhythm, part, splits, ids } = *self;
        let spec = &wanted.checked.spec;
        let config = wanted.checked.judge(index, rhythm.step_seconds).rounded_to_steps();
        let watched = part.watched(rhythm.step_seconds);
        let week = slo.history(instant(watched.from_seconds), ids).await?;
        let learned = match spec.judge.comparison {
            rollout::Comparison::Enabled => self.learn(&config, &week, watched, progress).await?,
            rollout::Comparison::Disabled => splits.iter().map(|_| None).collect(),
        };
        let trial = Trial {
            spec,
            slo: &spec.slos[index].name,
            config: &config,
            week: &week,
            from_seconds: watched.from_seconds,
            until_seconds: watched.until_seconds,
            injects: &wanted.injects,
            seed: wanted.seed.unwrap_or_default(),
            threshold_seconds: spec.slos[index].latency.as_ref().and_then(promql::threshold),
        };
        let mut trials: Vec<Watch<'_>> =
            splits.iter().zip(learned).map(|(split, learned)| Watch::new(&trial, split, learned)).collect();
        let past = slo.past();
        let mut chunks = past.chunks(watched, ids);
        while chunks
            .read(&past, &mut |end, counted| trials.iter_mut().for_each(|watch| watch.step(end, counted)))
            .await?
        {
            progress(self.share(watched, chunks.done(watched)));
        }
        Ok(trials.into_iter().map(Watch::finish).collect())
    }

    /// What the first part teaches about every wave: one pass for all of them.
    async fn learn(
        &self,
        config: &Config,
        week: &Week,
        watched: Look,
        progress: &mut (dyn FnMut(f64) + Send),
    ) -> Result<Vec<Option<Result<Learned, String>>>, String> {
        let studies: Vec<Study> =
            self.splits.iter().map(|split| self.study(split, config, watched)).collect();
        let looks = studies.first().map(|study| study.looks(watched.step_seconds)).unwrap_or_default();
        let mut known: Vec<Option<Result<Learned, String>>> = studies.iter().map(|_| None).collect();
        for look in looks {
            let mut lessons: Vec<_> =
                studies.iter().map(|study| study.lesson(self.index, look, week)).collect();
            let past = self.slo.past();
            let mut chunks = past.chunks(look, self.ids);
            let mut each = |end: i64, counted: &_| {
                lessons.iter_mut().flatten().for_each(|lesson| lesson.step(end, counted));
            };
            while chunks.read(&past, &mut each).await? {
                progress(self.share(look, chunks.done(look)));
            }
            for (known, lesson) in known.iter_mut().zip(lessons) {
                let learned = lesson.map(breakwater_plan::study::Lesson::finish);
                *known = match (known.take(), learned) {
                    (Some(Ok(coarse)), Some(Ok(fine))) => Some(Ok(coarse.and(fine))),
                    (Some(Err(why)), _) | (_, Some(Err(why))) => Some(Err(why)),
                    (known, learned) => known.or(learned),
                };
            }
        }
        Ok(known)
    }

    fn study(&self, split: &Split, config: &Config, watched: Look) -> Study {
        let spec = &self.wanted.checked.spec;
        let members = split.own();
        let at = instant(watched.from_seconds);
        let mut judges = vec![None; spec.slos.len()];
        judges[self.index] = Some(config.clone());
        Study {
            wave_started_at: at,
            week: at,
            until: at,
            span_seconds: watched.from_seconds - self.part.from_seconds,
            arms: split.arms.clone(),
            design: breakwater_plan::comparing::design_of(
                spec,
                split.wave,
                split.baseline == 0,
                vec![members.clone()],
                members.len(),
            ),
            members,
            judges,
        }
    }

    /// How much of all that is to be read is behind us.
    fn share(&self, look: Look, done: i64) -> f64 {
        let Part { from_seconds, until_seconds, .. } = self.part;
        let at = look.from_seconds + done * look.step_seconds;
        (at - from_seconds) as f64 / (until_seconds - from_seconds).max(1) as f64
    }
}

type Said = (f64, Vec<Vec<(i64, f64)>>);

/// False alarms of all SLOs together, wave by wave; where one of them cries by itself that is enough.
fn all_together(alpha: f64, splits: &[Split], said: &[Said], slos: &[SloOutcome]) -> Vec<Alarm> {
    let alarm = |(at, split): (usize, &Split)| {
        let is_known = slos.iter().filter_map(|slo| slo.waves.get(at)).any(|wave| !wave.alarms.is_empty());
        let words: Vec<(f64, &[(i64, f64)])> =
            said.iter().filter_map(|(weight, waves)| Some((*weight, waves.get(at)?.as_slice()))).collect();
        let end = together(&words, alpha).filter(|_| !is_known && words.len() > 1)?;
        let sentence =
            format!("wave {}: the SLOs together pass the limit that none of them passes alone", split.name);
        Some(Alarm { at: instant(end), guard: HoldReason::Comparison, sentence })
    };
    splits.iter().enumerate().filter_map(alarm).collect()
}

/// What must be known to read the result.
fn notes(wanted: &Wanted<'_>, part: Part, slos: &[SloOutcome]) -> Vec<String> {
    let spec = &wanted.checked.spec;
    let mut notes = Vec::new();
    if part.from_seconds > wanted.from_seconds {
        notes.push(format!(
            "NoHistory: nothing was recorded before {}; the backtest begins there and not at {}",
            instant(part.from_seconds),
            instant(wanted.from_seconds)
        ));
    }
    let taught = part.watched_seconds - part.from_seconds;
    let needs_past = |wave: &WaveOutcome| matches!(wave.against, Some(Baseline::History | Baseline::Both));
    // What the hour takes away at the ends is not worth a word.
    if taught < WEEK_SECONDS - 2 * 3_600 && slos.iter().flat_map(|slo| &slo.waves).any(needs_past) {
        notes.push(format!(
            "NoHistory: the own past is by the minute of the week, and only {} of one taught: waves that are compared \
             with it could not be for the rest; go further back with --from, or raise judge.history",
            Span::seconds(taught).rounded()
        ));
    }
    notes.extend(shapeless(spec, slos));
    let unknown = split::unknown(spec);
    if !unknown.is_empty() {
        notes.push(format!(
            "selectors need a cluster: {} taken as {} of the tenants each, drawn by hash (--selector-share)",
            unknown.join(", "),
            wanted.selector_share
        ));
    }
    let left_out: Vec<&str> =
        spec.slos.iter().filter(|slo| !is_per_tenant(slo)).map(|slo| &*slo.name).collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "left out: {}: the values of a query are not split by tenant",
            left_out.join(", ")
        ));
    }
    if !spec.alerts.is_empty() {
        notes.push("left out: spec.alerts; only SLOs are replayed".to_owned());
    }
    notes
}

/// Latencies whose shape was to be compared and was not, and where.
fn shapeless(spec: &RolloutSpec, slos: &[SloOutcome]) -> Vec<String> {
    let wants_shape = |slo: &&SloOutcome| {
        let mut latencies =
            spec.slos.iter().filter(|one| one.name == slo.name).filter_map(|one| one.latency.as_ref());
        latencies.any(|latency| latency.shape == Shape::Enabled)
    };
    let note = |slo: &SloOutcome| {
        let without = slo.waves.iter().filter(|wave| wave.shape_edges.is_empty() && wave.phi.is_some());
        let without: Vec<&str> = without.map(|wave| &*wave.wave).collect();
        (!without.is_empty()).then(|| {
            format!(
                "{}: the threshold alone is compared in {}: the past says too little of the bucket edges next to it",
                slo.name,
                without.join(", ")
            )
        })
    };
    slos.iter().filter(wants_shape).filter_map(note).collect()
}

fn ids_of(named: &Named) -> Vec<TenantId> {
    named.iter().map(|(_, id)| *id).collect()
}
