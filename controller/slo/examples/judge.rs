//! How long one minute of a fleet takes the judge of one SLO: `cargo run --release -p breakwater-slo --example judge`.
//!
//! Prints medians and asserts nothing. Half of the tenants are candidates; one in ten of them has a bad event.

use std::{hint::black_box, sync::Arc, time::Instant};

use breakwater_slo::{
    Against, Arm, Comparison, Config, Counts, Edges, Frozen, Members, PHI_MIN, Reading, Sample, Series, Side,
    State, Step, Tail, TenantId, replay,
};

/// Minutes that are measured; the median is printed. More than an hour, so that restarts are among them.
const MINUTES: i64 = 90;
const START_SECONDS: i64 = 1_736_121_600;
/// Prometheus' default buckets, in seconds.
const EDGES_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn main() {
    println!("{:>8}  {:<44} {:>9} {:>9}", "tenants", "a minute", "median ms", "worst ms");
    for candidates in [100, 10_000, 100_000] {
        let samples = fleet(candidates);
        measure(candidates, "guards alone", &samples, Comparison::Off, false);
        measure(candidates, "guards and comparison", &samples, armed(&samples), false);
        measure(candidates, "the same, 11 bucket edges", &samples, armed(&samples), true);
        let turned: Vec<Sample> = samples.iter().rev().copied().collect();
        measure(candidates, "guards and comparison, samples unsorted", &turned, armed(&samples), false);
    }
    two_slos();
    replayed();
}

/// 100,000 tenants, half of them candidates; a ratio, and a latency with 11 bucket edges.
fn two_slos() {
    let samples = fleet(50_000);
    let before = resident_bytes();
    let mut slos = [false, true].map(|has_tails| Judged::new(armed(&samples), has_tails));
    let mut times: Vec<f64> = (0..MINUTES)
        .map(|minute| slos.iter_mut().map(|slo| slo.minute(minute, &samples)).sum::<f64>())
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("\n100,000 tenants, two SLOs, feed and evidence: {median:.1} ms a minute, {worst:.1} at worst");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let each = after.saturating_sub(before) / 100_000;
        println!("resident: {each} bytes a tenant for both SLOs");
    }
    for slo in &slos {
        let stored = serde_json::to_string(&slo.state).map_or(0, |json| json.len());
        println!("stored: {stored} bytes an SLO, whatever the number of tenants");
    }
}

/// 30 days of 1,000 tenants, half of them candidates, as calibration and `backtest` replay them.
fn replayed() {
    let samples = fleet(500);
    let config = Config::ratio(0.995, 60);
    let steps =
        (0..30 * 1_440).map(|minute| Step::new(START_SECONDS + minute * 60, Reading::Counts(&samples)));
    let began = Instant::now();
    let replay = replay(&config, armed(&samples), steps);
    let seconds = began.elapsed().as_secs_f64();
    println!("replay of 30 days of 1,000 tenants: {} steps in {seconds:.1} s", replay.steps);
}

/// Resident memory of this process; none where the system does not say.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4_096)
}

/// As many baseline tenants as candidates, in order of tenants.
fn fleet(candidates: u64) -> Vec<Sample> {
    let sample = |tenant: u64| {
        let bad = if tenant.is_multiple_of(10) { 1.0 } else { 0.0 };
        Sample {
            // Mixed as hashes are, arms interleaved.
            tenant: TenantId(tenant.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            arm: if tenant < candidates { Arm::Candidate } else { Arm::Baseline },
            series: Series::Counted(Counts { bad, total: 60.0 }),
            instrumented: true,
            burned_before: false,
            own: Some(0.002),
            usual: Some(60.0),
        }
    };
    let mut samples: Vec<Sample> = (0..2 * candidates).map(sample).collect();
    samples.sort_by_key(|sample| sample.tenant);
    samples
}

fn armed(samples: &[Sample]) -> Comparison {
    let candidates = samples.iter().filter(|sample| sample.arm == Arm::Candidate);
    let own: Vec<TenantId> = candidates.map(|sample| sample.tenant).collect();
    Comparison::Armed(Arc::new(Frozen {
        against: Against::Others,
        phi: PHI_MIN,
        phi_tenant: PHI_MIN,
        phi_past: PHI_MIN,
        phi_traffic: PHI_MIN,
        shape: Some(Edges { seconds: EDGES_SECONDS.to_vec(), phi: PHI_MIN }),
        planned_hours: 1_000,
        planned_waves: 4,
        waves: vec![Members::from(own)],
    }))
}

/// A judge of one SLO under way.
struct Judged {
    config: Config,
    state: State,
    has_tails: bool,
}

impl Judged {
    fn new(comparison: Comparison, has_tails: bool) -> Self {
        let mut config = Config::ratio(0.995, 60);
        config.compare.shape = has_tails;
        let mut state = State::default();
        state.compare(comparison);
        Self { config, state, has_tails }
    }

    /// Milliseconds that a minute takes.
    fn minute(&mut self, minute: i64, samples: &[Sample]) -> f64 {
        let side = Side { bad: 10.0, exposure: 10.0, requests: 1_000.0 };
        let tail = |edge_seconds| Tail { edge_seconds, candidate: side, baseline: side };
        let tails = EDGES_SECONDS.map(tail);
        let tails = if self.has_tails { &tails[..] } else { &[] };
        let end_seconds = START_SECONDS + minute * 60;
        let step = Step { tails, ..Step::new(end_seconds, Reading::Counts(samples)) };
        let began = Instant::now();
        self.state.feed(&self.config, black_box(&step));
        black_box(self.state.evidence(&self.config, end_seconds));
        began.elapsed().as_secs_f64() * 1e3
    }
}

fn measure(tenants: u64, what: &str, samples: &[Sample], comparison: Comparison, has_tails: bool) {
    let mut judged = Judged::new(comparison, has_tails);
    let mut times: Vec<f64> = (0..MINUTES).map(|minute| judged.minute(minute, samples)).skip(1).collect();
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{tenants:>8}  {what:<44} {median:>9.3} {worst:>9.3}");
}
