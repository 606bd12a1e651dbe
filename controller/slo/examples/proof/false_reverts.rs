//! How often a judge reverts a version that is as good as the one before. Pure.

use std::sync::Arc;

use breakwater_slo::{Comparison, Config, Reading, Sample, State, Step};

use crate::figures::{Rate, table};
use crate::judged::{self, History, Said, api_errors, look, pooled, samples};
use crate::noise::Noise;
use crate::rivals;
use crate::streams::{COLUMNS, Fleet, ROLLOUT_MINUTES, Weather};
use crate::{latency, runs};

/// Whoever reverted in one run.
struct Outcome {
    comparison: bool,
    guard: bool,
    /// The replay fired: the comparison, a guard.
    doubts: (bool, bool),
    rivals: Vec<bool>,
}

/// Prints the table.
pub fn print(count: usize) {
    println!("### False reverts\n");
    println!(
        "Share of {count} healthy rollouts that are reverted, with its 95 % interval: 20,160 looks (14 days, every minute), 2,000 \
         requests a minute, 0.2 % errors, objective 99.5 %, alpha 1 %.\n"
    );
    let config = api_errors();
    let mut columns: Vec<Vec<Outcome>> = Vec::new();
    for (cell, (weather, name)) in (1..).zip(COLUMNS) {
        columns.push(runs::all(name, count, |number| run(&config, weather, Noise::new(cell, number))));
    }
    let row = |name: &str, of: &dyn Fn(&Outcome) -> bool| {
        let rates = columns.iter().map(|runs| Rate::of(runs.iter().map(of)).words());
        std::iter::once(name.to_owned()).chain(rates).collect::<Vec<String>>()
    };
    let mut rows = vec![
        row("**Breakwater: comparison, calibrated**", &|run| run.comparison && run.doubts == (false, false)),
        row("the same, armed whatever the replay says", &|run| run.comparison),
        row("**Breakwater: guards (pages, sharp path), calibrated**", &|run| run.guard && !run.doubts.1),
        row("the same, whatever the replay says", &|run| run.guard),
    ];
    for (at, (name, _)) in rivals::all(config.compare.alpha).iter().enumerate() {
        rows.push(row(name, &move |run| run.rivals[at]));
    }
    rows.push(row("Breakwater not calibrated by the replay over 7 days (holds and asks)", &|run| {
        run.doubts != (false, false)
    }));
    let names = COLUMNS.map(|(_, name)| name);
    let heads: Vec<&str> = std::iter::once("judge").chain(names).collect();
    table(&heads, &rows);
    let latency = runs::all("latency", count, |number| latency::healthy(Noise::new(90, number)));
    println!(
        "Latency, half of the evidence its shape (60 and 540 requests a minute, 11 bucket edges), Poisson counts: {}.\n",
        Rate::of(latency).words()
    );
}

fn run(config: &Config, weather: Weather, noise: Noise) -> Outcome {
    let mut fleet = Fleet::new(weather, noise);
    let (starts, waves): (Vec<usize>, Vec<Vec<usize>>) = fleet.waves().into_iter().unzip();
    let history = History::watch(&mut fleet);
    let own = history.own();
    let frozen = history.freeze(&own, &waves, 14 * 24);
    let doubts = history.doubts(config, &own, &frozen, &waves);
    drop(history);
    let mut rivals = rivals::all(config.compare.alpha);
    let mut outcome = Outcome { comparison: false, guard: false, doubts, rivals: vec![false; rivals.len()] };
    let mut state = State::default();
    let mut is_candidate = vec![false; fleet.len()];
    let (mut counts, mut all): (_, Vec<Sample>) = (Vec::new(), Vec::new());
    for minute in 0..ROLLOUT_MINUTES {
        if let Some(wave) = starts.iter().position(|start| *start == minute) {
            waves[wave].iter().for_each(|tenant| is_candidate[*tenant] = true);
            state.begin_wave();
            state.compare(Comparison::Armed(Arc::new(frozen[wave].clone())));
        }
        counts.clear();
        fleet.minute(minute, &is_candidate, 1.0, &mut counts);
        all.clear();
        all.extend(samples(&counts, &own, &is_candidate));
        let step = Step::new(judged::end_seconds(minute, false), Reading::Counts(&all));
        let Said { comparison, guard, sure: _ } = look(&mut state, config, &step);
        outcome.comparison |= comparison;
        outcome.guard |= guard;
        let minute = pooled(&counts, &own, &is_candidate);
        for ((_, rival), fired) in rivals.iter_mut().zip(&mut outcome.rivals) {
            *fired = *fired || rival.look(&minute);
        }
    }
    outcome
}
