//! Recorded public series, replayed: what the judge says where nothing was rolled out, and when it finds a fault put in.
//!
//! The first half of a series is history: own ratios, dispersion, calibration. The second half is the rollout.

use std::sync::Arc;

use crate::bed::{Noise, START_SECONDS};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Counts, Dispersion, Frozen, Guard, Members, Reading, Sample,
    Series, State, Step, TenantId, exposed, own_ratios, replay,
};

const STEP_SECONDS: i64 = 3_600;
/// Ways of dealing the tenants out to the arms, a quarter of them candidates.
const SPLITS: u64 = 24;
/// The fault begins in the third day of the rollout, at ten in the morning.
const FAULT_HOUR: usize = 2 * 24 + 10;

/// Counts per hour and tenant.
struct Recorded {
    hours: Vec<Vec<Counts>>,
}

impl Recorded {
    /// Reads `hour,tenant,...`: a cell is `total` or `total/bad`, an empty one and a missing hour are no events.
    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let tenants = lines.next().expect("a head").split(',').count() - 1;
        let mut hours = Vec::new();
        for line in lines {
            let mut cells = line.split(',');
            let hour: usize = cells.next().and_then(|hour| hour.parse().ok()).expect("an hour");
            hours.resize(hour, vec![Counts::default(); tenants]);
            hours.push(cells.map(counts).collect());
        }
        Self { hours }
    }

    fn halves(&self) -> (&[Vec<Counts>], &[Vec<Counts>]) {
        // Whole weeks.
        self.hours.split_at(self.hours.len() / 336 * 168)
    }
}

fn counts(cell: &str) -> Counts {
    let (total, bad) = cell.split_once('/').unwrap_or((cell, "0"));
    let number = |text: &str| if text.is_empty() { 0.0 } else { text.parse().expect("a count") };
    Counts { bad: number(bad), total: number(total) }
}

fn config() -> Config {
    Config::ratio(0.95, STEP_SECONDS).rounded_to_steps()
}

/// A split of the tenants, and what history says of it.
struct Split {
    own: Vec<Option<f64>>,
    is_candidate: Vec<bool>,
}

impl Split {
    fn new(seed: u64, history: &[Vec<Counts>]) -> Self {
        let mut sums = vec![Counts::default(); history[0].len()];
        for hour in history {
            for (sum, counts) in sums.iter_mut().zip(hour) {
                sum.bad += counts.bad;
                sum.total += counts.total;
            }
        }
        let own = own_ratios(sums.iter().copied()).expect("events");
        let mut noise = Noise::new(seed + 1);
        let mut draws: Vec<(f64, usize)> = (0..sums.len()).map(|tenant| (noise.unit(), tenant)).collect();
        draws.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut is_candidate = vec![false; sums.len()];
        draws.iter().take(sums.len() / 4).for_each(|(_, tenant)| is_candidate[*tenant] = true);
        Self { own: sums.iter().map(|sum| own.ratio(*sum)).collect(), is_candidate }
    }

    fn samples(&self, hour: &[Counts]) -> Vec<Sample> {
        let one = |(tenant, counts): (usize, &Counts)| Sample {
            tenant: TenantId(tenant as u64),
            arm: if self.is_candidate[tenant] { Arm::Candidate } else { Arm::Baseline },
            series: if counts.total > 0.0 { Series::Counted(*counts) } else { Series::Idle },
            instrumented: true,
            burned_before: false,
            own: self.own[tenant],
            usual: None,
        };
        hour.iter().enumerate().map(one).collect()
    }

    fn freeze(&self, history: &[Vec<Counts>], planned_hours: u32) -> Frozen {
        let mut pooled = Dispersion::default();
        let mut tenants = Dispersion::default();
        for tenant in 0..self.own.len() {
            let alone = Self {
                own: self.own.clone(),
                is_candidate: (0..self.own.len()).map(|other| other == tenant).collect(),
            };
            tenants.merge(&alone.dispersion(history));
        }
        pooled.merge(&self.dispersion(history));
        let candidates = (0_u64..).zip(&self.is_candidate).filter(|(_, is_candidate)| **is_candidate);
        let wave: Vec<TenantId> = candidates.map(|(tenant, _)| TenantId(tenant)).collect();
        let phi = pooled.phi().expect("twelve blocks");
        Frozen {
            against: Against::Others,
            phi,
            phi_tenant: tenants.phi().expect("twelve blocks"),
            phi_past: phi,
            phi_traffic: phi,
            shape: None,
            planned_hours,
            planned_waves: 1,
            waves: vec![Members::from(wave)],
        }
    }

    fn dispersion(&self, history: &[Vec<Counts>]) -> Dispersion {
        let mut dispersion = Dispersion::default();
        for (hour, counts) in (1_i64..).zip(history) {
            dispersion.add(hour * STEP_SECONDS, STEP_SECONDS, exposed(&self.samples(counts)));
        }
        dispersion
    }

    /// When the comparison deviates in the rollout; the candidates' ratio is multiplied from `FAULT_HOUR` on.
    fn found(&self, frozen: &Frozen, rollout: &[Vec<Counts>], factor: f64, seed: u64) -> Option<Alarm> {
        let config = config();
        let mut noise = Noise::new(1_000 + seed);
        let mut state = State::default();
        state.compare(Comparison::Armed(Arc::new(frozen.clone())));
        rollout.iter().enumerate().find_map(|(hour, recorded)| {
            let mut counts = recorded.clone();
            if hour >= FAULT_HOUR && factor > 1.0 {
                self.harm(&mut counts, factor, &mut noise);
            }
            let samples = self.samples(&counts);
            let end_seconds = START_SECONDS + i64::try_from(hour + 1).unwrap_or(0) * STEP_SECONDS;
            state.feed(&config, &Step::new(end_seconds, Reading::Counts(&samples)));
            let evidence = state.evidence(&config, end_seconds)?;
            let deviates = evidence.action == Action::Deviate && evidence.guard == Some(Guard::Comparison);
            deviates.then_some(Alarm { hour, alone: evidence.alone, words: evidence.reason })
        })
    }

    /// Good events turn bad with the probability that makes a tenant's own ratio `factor` times as great.
    fn harm(&self, counts: &mut [Counts], factor: f64, noise: &mut Noise) {
        for ((counts, own), is_candidate) in counts.iter_mut().zip(&self.own).zip(&self.is_candidate) {
            let own = own.unwrap_or(0.0);
            let chance = (factor - 1.0) * own / (1.0 - own);
            let mut good = counts.total - counts.bad;
            while *is_candidate && good >= 1.0 {
                good -= 1.0;
                counts.bad += f64::from(u8::from(noise.unit() < chance));
            }
        }
    }
}

/// A deviation.
struct Alarm {
    hour: usize,
    /// Tenants whose evidence alone is enough.
    alone: Vec<TenantId>,
    words: String,
}

fn minute(alarm: Option<&Alarm>) -> String {
    alarm.map_or("not found".to_owned(), |alarm| format!("minute {}", (alarm.hour + 1) * 60))
}

/// What became of the splits.
#[derive(Default)]
struct Tally {
    /// Splits whose replay over history fired.
    uncalibrated: u64,
    /// Deviations of the calibrated ones without a fault.
    alarms: Vec<Alarm>,
    /// Of the calibrated ones, those in which twice and three times the ratio was found.
    found: [u64; 2],
    /// Hours from the fault to these findings.
    delays: [Vec<usize>; 2],
}

impl Tally {
    fn print(&self, name: &str) {
        let Self { uncalibrated, alarms, found, delays } = self;
        let [twice, thrice] = [0, 1].map(|at| {
            let mut hours = delays[at].clone();
            hours.sort_unstable();
            let median = hours.get(hours.len() / 2).map_or("-".to_owned(), |hours| format!("{hours} h"));
            format!("found in {} after {median} (median)", found[at])
        });
        let alarms = alarms.len();
        println!(
            "{name}: {SPLITS} splits, {uncalibrated} not calibrated, {alarms} deviate without a fault; 2x {twice}, 3x {thrice}"
        );
    }
}

/// Deals the tenants out in `SPLITS` ways; replays each over `history`, then over `rollout`.
fn replayed(name: &str, history: &[Vec<Counts>], rollout: &[Vec<Counts>]) -> Tally {
    let hours = u32::try_from(rollout.len()).unwrap_or(u32::MAX);
    let mut tally = Tally::default();
    for seed in 0..SPLITS {
        let split = Split::new(seed, history);
        let frozen = split.freeze(history, hours);
        let samples: Vec<Vec<Sample>> = history.iter().map(|hour| split.samples(hour)).collect();
        let steps = (1_i64..)
            .zip(&samples)
            .map(|(hour, samples)| Step::new(START_SECONDS + hour * STEP_SECONDS, Reading::Counts(samples)));
        let phi = frozen.phi;
        if replay(&config(), Comparison::Armed(Arc::new(frozen.clone())), steps).comparison_fired() {
            println!("{name}, split {seed}: not calibrated, dispersion {phi:.2}");
            tally.uncalibrated += 1;
            continue;
        }
        let [healthy, twice, thrice] =
            [1.0, 2.0, 3.0].map(|factor| split.found(&frozen, rollout, factor, seed));
        println!(
            "{name}, split {seed}: dispersion {phi:.2}; healthy: {}; fault at minute {}: 2x {}, 3x {}",
            minute(healthy.as_ref()),
            FAULT_HOUR * 60,
            minute(twice.as_ref()),
            minute(thrice.as_ref())
        );
        for (at, alarm) in [twice, thrice].into_iter().enumerate() {
            if let Some(alarm) = alarm.filter(|alarm| alarm.hour >= FAULT_HOUR) {
                tally.found[at] += 1;
                tally.delays[at].push(alarm.hour - FAULT_HOUR + 1);
            }
        }
        tally.alarms.extend(healthy);
    }
    tally.print(name);
    tally
}

const DEPARTURES: &str = include_str!("series/nyc-departures-2013.csv");
/// Column of the carrier EV at Newark: on 17 and 18 October half of its departures were late and nobody else's were, so the
/// series has one fault of its own.
const BROKEN: u64 = 11;

#[test]
fn departures_deviate_where_one_carrier_broke_down_and_nowhere_else_and_faults_put_in_are_found() {
    let recorded = Recorded::read(DEPARTURES);
    let (history, rollout) = recorded.halves();
    let tally = replayed("departures", history, rollout);
    assert_eq!((tally.uncalibrated, tally.found), (0, [SPLITS, SPLITS]));
    for alarm in &tally.alarms {
        println!("minute {}: {}", (alarm.hour + 1) * 60, alarm.words);
        assert_eq!(alarm.alone, [TenantId(BROKEN)]);
        assert!((11..13).contains(&(alarm.hour / 24)), "the second day, or the morning after");
    }
    assert_eq!(tally.alarms.len(), 3);
}

#[test]
fn r13_weeks_before_a_breakdown_are_healthy_to_a_judge_that_learnt_from_the_weeks_with_it() {
    let recorded = Recorded::read(DEPARTURES);
    let (before, after) = recorded.halves();
    let tally = replayed("departures, halves swapped", after, before);
    // The breakdown is in the tenant's own ratio and in the dispersion: nobody is doubted, nobody accused.
    assert_eq!((tally.uncalibrated, tally.alarms.len(), tally.found), (0, 0, [SPLITS, SPLITS]));
}

#[test]
fn orders_of_a_shop_do_not_deviate_and_faults_put_in_are_found() {
    let recorded = Recorded::read(include_str!("series/shop-orders-2010.csv"));
    let (history, rollout) = recorded.halves();
    let tally = replayed("orders", history, rollout);
    assert_eq!((tally.uncalibrated, tally.alarms.len(), tally.found), (0, 0, [SPLITS, SPLITS]));
}
