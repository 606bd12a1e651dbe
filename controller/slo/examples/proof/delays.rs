//! How long it takes to find a version that is worse. Pure.

use std::sync::Arc;

use breakwater_slo::{Comparison, Config, Counts, Frozen, Reading, Sample, State, Step};

use crate::figures::{Delays, table};
use crate::judged::{History, end_seconds, frozen_at, look, members, pooled, samples};
use crate::noise::Noise;
use crate::rivals::{self, Bare, Judge};
use crate::streams::{ERROR_RATIO, Fleet, HISTORY_MINUTES, Weather};
use crate::{aims::Aim, latency, latency::Slower, runs};

/// Multiples of the usual error ratio.
pub const FACTORS: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];
/// Whoever has found nothing by then has not found it: three days.
const MINUTES_MAX: usize = 3 * 1_440;
/// Minutes before the fault.
const ONSETS: [usize; 2] = [0, HISTORY_MINUTES];
/// Dispersions of the pooled test alone: those of the design's first simulation.
const PHIS: [f64; 2] = [1.0, 1.5];
/// `margin.absolute` and dispersion.
const VARIANTS: [(Option<f64>, f64); 4] = [(Some(0.0), 1.25), (Some(0.0), 1.5), (None, 1.25), (None, 1.5)];

/// First minute at which the comparison passes alpha 1 %, alpha 0.1 %, and at which anything of ours reverts.
type Found = [Option<usize>; 3];

/// One judge of ours, looking at one fault.
struct Watch {
    state: State,
    found: Found,
}

impl Watch {
    fn new(state: State) -> Self {
        Self { state, found: [None; 3] }
    }

    fn look(&mut self, config: &Config, step: &Step<'_>, delay: usize) {
        if self.found.iter().all(Option::is_some) {
            return;
        }
        let said = look(&mut self.state, config, step);
        let passes = [said.comparison, said.sure, said.comparison || said.guard];
        for (found, passes) in self.found.iter_mut().zip(passes) {
            if passes {
                found.get_or_insert(delay);
            }
        }
    }
}

/// What all watchers of one run share.
struct Scene {
    fleet: Fleet,
    own: Vec<Option<f64>>,
    is_candidate: Vec<bool>,
    configs: Vec<Config>,
    /// Of the rivals, where they watch.
    rivals: Vec<(&'static str, Box<dyn Judge>)>,
    /// The pooled test alone, at 0.1 %, as it stands before the fault.
    pooled: Vec<Bare>,
}

impl Scene {
    /// Minutes of a fault, from `from` on; the delays of the watchers, then of the rivals and the pooled test.
    fn fault(&mut self, states: &[State], from: usize, factor: f64) -> (Vec<Found>, Vec<Option<usize>>) {
        let mut watches: Vec<Watch> = states.iter().cloned().map(Watch::new).collect();
        let mut pooled_alone = self.pooled.clone();
        let alone = pooled_alone.iter_mut().map(|bare| -> &mut dyn Judge { bare });
        let others = self.rivals.iter_mut().map(|(_, rival)| -> &mut dyn Judge { rival.as_mut() });
        let mut others: Vec<&mut dyn Judge> = others.chain(alone).collect();
        let mut rivals = vec![None; others.len()];
        let (mut counts, mut all): (Vec<Counts>, Vec<Sample>) = (Vec::new(), Vec::new());
        for delay in 1..=MINUTES_MAX {
            let minute = from + delay - 1;
            counts.clear();
            self.fleet.minute(minute, &self.is_candidate, factor, &mut counts);
            all.clear();
            all.extend(samples(&counts, &self.own, &self.is_candidate));
            let step = Step::new(end_seconds(minute, false), Reading::Counts(&all));
            for (watch, config) in watches.iter_mut().zip(&self.configs) {
                watch.look(config, &step, delay);
            }
            if !rivals.is_empty() {
                let minute = pooled(&counts, &self.own, &self.is_candidate);
                for (rival, found) in others.iter_mut().zip(&mut rivals) {
                    if found.is_none() && rival.look(&minute) {
                        *found = Some(delay);
                    }
                }
            }
            let over = watches.iter().all(|watch| watch.found.iter().all(Option::is_some));
            if over && rivals.iter().all(Option::is_some) {
                break;
            }
        }
        (watches.iter().map(|watch| watch.found).collect(), rivals)
    }

    /// Healthy minutes before.
    fn healthy(&mut self, states: &mut [State], minutes: usize) {
        let (mut counts, mut all): (Vec<Counts>, Vec<Sample>) = (Vec::new(), Vec::new());
        for minute in 0..minutes {
            counts.clear();
            self.fleet.minute(minute, &self.is_candidate, 1.0, &mut counts);
            all.clear();
            all.extend(samples(&counts, &self.own, &self.is_candidate));
            let step = Step::new(end_seconds(minute, false), Reading::Counts(&all));
            for (state, config) in states.iter_mut().zip(&self.configs) {
                state.feed(config, &step);
            }
            let minute = pooled(&counts, &self.own, &self.is_candidate);
            for bare in &mut self.pooled {
                bare.look(&minute);
            }
        }
    }
}

fn config(absolute: Option<f64>) -> Config {
    let mut config = crate::judged::api_errors();
    config.compare.absolute = absolute;
    config
}

fn armed(frozen: Frozen) -> State {
    let mut state = State::default();
    state.compare(Comparison::Armed(Arc::new(frozen)));
    state
}

/// Delays of one run, by onset, factor, variant; and of the rivals by factor.
struct Run {
    ours: Vec<Vec<Vec<Found>>>,
    rivals: Vec<Vec<Option<usize>>>,
    /// The pooled test alone, by onset, factor, dispersion.
    pooled: Vec<Vec<Vec<Option<usize>>>>,
}

fn run(noise: &Noise) -> Run {
    let mut fleet = Fleet::new(Weather::Iid, noise.clone());
    let wave: Vec<usize> = fleet.waves().swap_remove(0).1;
    let mut is_candidate = vec![false; fleet.len()];
    for tenant in &wave {
        is_candidate[*tenant] = true;
    }
    let own = vec![Some(ERROR_RATIO); fleet.len()];
    let configs = VARIANTS.iter().map(|(absolute, _)| config(*absolute)).collect();
    let fresh = || VARIANTS.iter().map(|(_, phi)| armed(frozen_at(*phi, vec![members(&wave)])));
    let mut scene = Scene { fleet, own, is_candidate, configs, rivals: Vec::new(), pooled: Vec::new() };
    let mut run = Run { ours: Vec::new(), rivals: Vec::new(), pooled: Vec::new() };
    for onset in ONSETS {
        scene.pooled = PHIS.map(|phi| Bare::new(1.2, phi, 0.001)).to_vec();
        let mut states: Vec<State> = fresh().collect();
        scene.healthy(&mut states, onset);
        let by_factor = FACTORS.map(|factor| {
            scene.rivals = if onset == 0 { rivals::all(0.01) } else { Vec::new() };
            let (ours, mut rivals) = scene.fault(&states, onset, factor);
            let pooled = rivals.split_off(scene.rivals.len());
            if onset == 0 {
                run.rivals.push(rivals);
            }
            (ours, pooled)
        });
        let (ours, pooled) = by_factor.into_iter().unzip();
        run.ours.push(ours);
        run.pooled.push(pooled);
    }
    run
}

/// Prints delays of the error ratio; returns what was aimed at.
pub fn print(count: usize) -> Vec<Aim> {
    let all = runs::all("delays", count, |number| run(&Noise::new(100, number)));
    let of = |onset: usize, factor: usize, variant: usize, level: usize| {
        Delays::of(all.iter().map(|run| run.ours[onset][factor][variant][level]))
    };
    println!("### Detection delay: error ratio\n");
    println!(
        "Minutes from the fault to the finding as median / p90 / share found within three days, {count} runs a cell; 2,000 requests \
         a minute, 10 % of them the candidates', 0.2 % errors before.\n"
    );
    for (variant, (absolute, phi)) in VARIANTS.iter().enumerate() {
        let margin = if absolute.is_some() { "0" } else { "auto (0.05 % of the requests)" };
        println!("`margin: {{ratio: 1.2, absolute: {margin}}}`, dispersion {phi}:\n");
        let mut rows = Vec::new();
        for (factor, times) in FACTORS.iter().enumerate() {
            let cell = |onset, level| of(onset, factor, variant, level).words();
            rows.push(vec![format!("{times}x"), cell(0, 0), cell(0, 1), cell(0, 2), cell(1, 0), cell(1, 1)]);
        }
        table(
            &[
                "errors",
                "at once, alpha 1 %",
                "at once, alpha 0.1 %",
                "at once, alpha 1 %, guards as well",
                "in week two, alpha 1 %",
                "in week two, alpha 0.1 %",
            ],
            &rows,
        );
    }
    print_rivals(&all);
    let aim = |what: &str, onset, factor, variant, minutes| Aim {
        what: format!("{what}, alpha 0.1 %, absolute margin 0"),
        minutes,
        measured: of(onset, factor, variant, 1).quantile(0.5),
        pooled: Delays::of(all.iter().map(|run| run.pooled[onset][factor][variant])).quantile(0.5),
    };
    vec![
        aim("5x at once, dispersion 1.25", 0, 4, 0, 8),
        aim("5x at once, dispersion 1.5", 0, 4, 1, 12),
        aim("2x at once, dispersion 1.25", 0, 2, 0, 112),
        aim("2x at once, dispersion 1.5", 0, 2, 1, 184),
        aim("5x in week two, dispersion 1.25", 1, 4, 0, 13),
        aim("2x in week two, dispersion 1.25", 1, 2, 0, 198),
    ]
}

fn print_rivals(all: &[Run]) {
    println!(
        "The others on the same streams, fault at once (an early finding of a judge that finds healthy ones as well is worth little):\n"
    );
    let names: Vec<&str> = rivals::all(0.01).iter().map(|(name, _)| *name).collect();
    let mut rows = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let cell = |factor: usize| Delays::of(all.iter().map(|run| run.rivals[factor][at])).words();
        rows.push(std::iter::once((*name).to_owned()).chain((1..FACTORS.len()).map(cell)).collect());
    }
    table(&["judge", "1.5x", "2x", "3x", "5x", "10x"], &rows);
}

/// Prints delays on tenants that differ, everything estimated from their history.
pub fn print_tenants(count: usize) -> Vec<Aim> {
    println!("### Detection delay: tenants that differ\n");
    println!(
        "60 tenants, random ones with a tenth of the requests are candidates; own ratios and dispersion from seven days before; fault at once, at all \
         candidates; median / p90 / share found within three days, {count} runs a cell.\n"
    );
    let (mut rows, mut aims) = (Vec::new(), Vec::new());
    let kinds = [(Weather::Tenants, "steady", 4), (Weather::NoisyTenants, "strong noise of each tenant", 22)];
    for (cell, (weather, name, minutes)) in (200..).zip(kinds) {
        let all = runs::all(name, count, |number| run_tenants(weather, Noise::new(cell, number)));
        for (variant, margin) in [(0, "0"), (1, "auto")] {
            for (level, alpha) in [(0, "1 %"), (1, "0.1 %"), (2, "1 %, guards as well")] {
                let of = |factor: usize| Delays::of(all.iter().map(|run| run[factor][variant][level]));
                let cells = (1..FACTORS.len()).map(|factor| of(factor).words());
                let head = format!("{name}, absolute margin {margin}, alpha {alpha}");
                rows.push(std::iter::once(head).chain(cells).collect());
                if (variant, level) == (0, 1) {
                    let what = format!("5x, tenants that differ, {name}, alpha 0.1 %, absolute margin 0");
                    aims.push(Aim { what, minutes, measured: of(4).quantile(0.5), pooled: None });
                }
            }
        }
    }
    table(&["tenants", "1.5x", "2x", "3x", "5x", "10x"], &rows);
    aims
}

fn run_tenants(weather: Weather, noise: Noise) -> Vec<Vec<Found>> {
    let mut fleet = Fleet::new(weather, noise);
    let wave = fleet.tenth();
    let history = History::watch(&mut fleet);
    let own = history.own();
    let frozen = history.freeze(&own, std::slice::from_ref(&wave), 14 * 24).swap_remove(0);
    drop(history);
    let mut is_candidate = vec![false; fleet.len()];
    for tenant in &wave {
        is_candidate[*tenant] = true;
    }
    let configs = vec![config(Some(0.0)), config(None)];
    let states = vec![armed(frozen.clone()), armed(frozen)];
    let mut scene = Scene { fleet, own, is_candidate, configs, rivals: Vec::new(), pooled: Vec::new() };
    FACTORS.iter().map(|factor| scene.fault(&states, 0, *factor).0).collect()
}

/// Prints delays of a latency.
pub fn print_latency(count: usize) -> Vec<Aim> {
    println!("### Detection delay: latency\n");
    println!(
        "60 candidate and 540 baseline requests a minute, default buckets, threshold 500 ms, objective 99 %, dispersion 1.25; \
         log-normal latency with a median of 100 ms; median / p90 / share found within three days, {count} runs a cell.\n"
    );
    let faults = [
        ("all x1.5", Slower::All(1.5), 9),
        ("all x2", Slower::All(2.0), 2),
        ("2 % of requests x10", Slower::Some(0.02), 52),
    ];
    let (mut rows, mut aims) = (Vec::new(), Vec::new());
    for (cell, (name, slower, minutes)) in (300..).zip(faults) {
        let mut row = vec![name.to_owned()];
        for sd in [0.5, 1.0] {
            let delays = |number| latency::delays(slower, sd, MINUTES_MAX, Noise::new(cell, number));
            let all = runs::all(name, count, delays);
            let of = |level: usize| Delays::of(all.iter().map(|found| found[level]));
            row.extend([of(0).words(), of(1).words()]);
            let what = format!("latency, {name}, sd of the logarithm {sd}, alpha 0.1 %");
            aims.push(Aim { what, minutes, measured: of(1).quantile(0.5), pooled: None });
        }
        rows.push(row);
    }
    table(
        &["latency", "sd 0.5, alpha 1 %", "sd 0.5, alpha 0.1 %", "sd 1.0, alpha 1 %", "sd 1.0, alpha 0.1 %"],
        &rows,
    );
    aims
}
