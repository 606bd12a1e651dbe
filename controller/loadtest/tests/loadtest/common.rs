//! Load tests made up: a server with Zipf traffic over handlers and store methods, noise between runs and by calls. Seeded.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts and seconds")]

use std::collections::BTreeMap;

use breakwater_loadtest::{Graph, Kind, Measured, Run};

pub const HANDLERS: usize = 60;
pub const METHODS: usize = 150;
/// API calls of a run, and store calls: an hour and a half of some 200 requests a second.
const API_CALLS: f64 = 1_000_000.0;
const STORE_CALLS: f64 = 8_000_000.0;
/// A handler that is called ten times a run, whatever its rank.
pub const RARE: &str = "handler59";
/// The one that is called second most: a tenth of the calls.
pub const BUSY: &str = "handler01";

/// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): small, and enough for noise.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Mixed twice, or neighbouring seeds would give the same stream, shifted.
        Self(mixed(mixed(seed ^ 0x5851_f42d_4c95_7f2d).wrapping_add(seed)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box, Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn mixed(seed: u64) -> u64 {
    let mut z = seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What the version and the day are like.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Standard deviation of what all metrics of a run share.
    pub day: f64,
    /// Standard deviation of what each metric of a run has on its own.
    pub own: f64,
    /// Handler and factor of an injected fault; the store is left alone.
    pub fault: Option<(&'static str, f64)>,
    /// Whether calls are counted in the report.
    pub counted: bool,
}

pub const PLAIN: Setup = Setup { day: 0.02, own: 0.02, fault: None, counted: false };

/// The server: the same for every seed, as it is for every run.
struct Thing {
    name: String,
    /// Mean seconds, and sigma of their lognormal distribution.
    seconds: f64,
    sigma: f64,
    calls: f64,
}

fn things(prefix: &str, count: usize, calls: f64, typical_seconds: f64) -> Vec<Thing> {
    let mut random = Random::new(count as u64);
    let weights: Vec<f64> = (0..count).map(|rank| 1.0 / (rank as f64 + 1.0).powf(1.4)).collect();
    let total: f64 = weights.iter().sum();
    let one = |(rank, weight): (usize, &f64)| {
        let name = format!("{prefix}{rank:02}");
        let calls = if name == RARE { 10.0 } else { (calls * weight / total).round() };
        let drawn = typical_seconds * random.normal().exp();
        // Times that nobody feels are another test's subject.
        let seconds = if name == BUSY || name == RARE { typical_seconds } else { drawn };
        Thing { name, seconds, sigma: 0.6 + 0.6 * random.uniform(), calls }
    };
    weights.iter().enumerate().map(one).collect()
}

/// Calls by handler and by method, as a team that counts its traffic knows them.
pub fn traffic() -> (BTreeMap<String, f64>, BTreeMap<String, f64>) {
    let of = |things: Vec<Thing>| things.into_iter().map(|thing| (thing.name, thing.calls)).collect();
    (
        of(things("handler", HANDLERS, API_CALLS, 0.03)),
        of(things("Store.Method", METHODS, STORE_CALLS, 0.003)),
    )
}

/// One run.
pub fn run(label: &str, seed: u64, setup: Setup) -> Run {
    let mut random = Random::new(seed);
    let day = setup.day * random.normal();
    let mut times = BTreeMap::new();
    let families = [
        (things("handler", HANDLERS, API_CALLS, 0.03), Kind::ApiAverage, Kind::ApiP99),
        (things("Store.Method", METHODS, STORE_CALLS, 0.003), Kind::StoreAverage, Kind::StoreP99),
    ];
    let mut overall = [0.0; 2];
    for (index, (things, average, p99)) in families.into_iter().enumerate() {
        let (mut averages, mut p99s) = (BTreeMap::new(), BTreeMap::new());
        let total: f64 = things.iter().map(|thing| thing.calls).sum();
        for thing in &things {
            let factor =
                setup.fault.filter(|(name, _)| *name == thing.name).map_or(1.0, |(_, factor)| factor);
            let shared = (day + setup.own * random.normal()).exp() * factor;
            let (seconds, slow) = sampled(thing, &mut random);
            let measured =
                |value| Measured { value, calls: setup.counted.then_some(thing.calls), noise: None };
            overall[index] += seconds * shared * thing.calls / total;
            averages.insert(thing.name.clone(), measured(seconds * shared));
            p99s.insert(thing.name.clone(), measured(bucketed(slow * shared)));
        }
        times.insert(average, averages);
        times.insert(p99, p99s);
    }
    Run {
        label: label.to_owned(),
        start: jiff::Timestamp::from_second(1_767_571_200).ok(),
        end: jiff::Timestamp::from_second(1_767_576_600).ok(),
        times,
        graphs: graphs(&mut random, day, overall),
        supported_users: Some(7_500.0),
    }
}

/// Mean and p99 of so many lognormal times; of many by their limits, of few by drawing them.
fn sampled(thing: &Thing, random: &mut Random) -> (f64, f64) {
    let Thing { seconds, sigma, calls, .. } = thing;
    let location = seconds.ln() - sigma * sigma / 2.0;
    if *calls <= 300.0 {
        let mut drawn: Vec<f64> =
            (0..(*calls as usize).max(1)).map(|_| (location + sigma * random.normal()).exp()).collect();
        drawn.sort_by(f64::total_cmp);
        let at = ((drawn.len() as f64 * 0.99) as usize).min(drawn.len() - 1);
        return (drawn.iter().sum::<f64>() / drawn.len() as f64, drawn[at]);
    }
    let spread = ((sigma * sigma).exp_m1() / calls).sqrt();
    let p99 = (location + 2.326 * sigma + 3.733 * sigma / calls.sqrt() * random.normal()).exp();
    (seconds * (1.0 + spread * random.normal()), p99)
}

/// As `histogram_quantile` gives it: never beyond the last edge, in the first bucket always the same.
fn bucketed(seconds: f64) -> f64 {
    if seconds < 0.005 { 0.004_95 } else { seconds.min(10.0) }
}

/// Ten-second points with noise that lasts minutes.
fn graphs(random: &mut Random, day: f64, overall: [f64; 2]) -> Vec<Graph> {
    let mut graph = |name: &str, level: f64, spread: f64| {
        let mut noise = 0.0;
        let values = (0..540)
            .map(|n| {
                noise = 0.9 * noise + spread * 0.436 * random.normal();
                (1_767_571_200.0 + 10.0 * f64::from(n), level * (day + noise).exp())
            })
            .collect();
        Graph { name: name.into(), values }
    };
    vec![
        graph("CPU Utilization", 60.0, 0.08),
        graph("Heap In Use", 2.5e9, 0.05),
        graph("Goroutines In Use", 20_000.0, 0.03),
        graph("RPS", 1_800.0, 0.02),
        graph("Avg API Times", overall[0], 0.1),
        graph("Avg Store Times", overall[1], 0.1),
    ]
}

/// Several runs of one side; sides of one seed differ.
pub fn side(label: &str, seed: u64, runs: u64, setup: Setup) -> Vec<Run> {
    let salt = u64::from(label.as_bytes()[0]);
    (0..runs).map(|n| run(&format!("{label}-{n}"), seed * 1_000 + salt * 7 + n, setup)).collect()
}

/// A run as the load test writes it, with every `thin`th point of its graphs.
pub fn report(run: &Run, thin: usize) -> String {
    let text = |value: f64| if value.is_nan() { "NaN".to_owned() } else { format!("{value:.9}") };
    let times = |kind| -> BTreeMap<&String, String> {
        run.times[&kind].iter().map(|(name, measured)| (name, text(measured.value))).collect()
    };
    let graph = |graph: &Graph| {
        let points = graph.values.iter().step_by(thin);
        let values: Vec<_> = points.map(|(at, value)| (*at as i64, format!("{value:.4}"))).collect();
        serde_json::json!({"Name": graph.name, "Values": values})
    };
    let report = serde_json::json!({
        "Label": run.label,
        "StartTime": run.start,
        "EndTime": run.end,
        "AvgStoreTimes": times(Kind::StoreAverage),
        "P99StoreTimes": times(Kind::StoreP99),
        "AvgAPITimes": times(Kind::ApiAverage),
        "P99APITimes": times(Kind::ApiP99),
        "Graphs": run.graphs.iter().map(graph).collect::<Vec<_>>(),
    });
    // A point a line: a difference is to be read.
    let mut text = serde_json::to_string_pretty(&report).unwrap();
    for (long, short) in [("[\n          1", "[1"), (",\n          \"", ", \""), ("\"\n        ]", "\"]")] {
        text = text.replace(long, short);
    }
    text + "\n"
}
