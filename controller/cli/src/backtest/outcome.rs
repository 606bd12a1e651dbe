//! What a backtest came to: values that are printed, drawn, and written as JSON. Pure.
//!
//! The JSON is for machines: fields are only ever added.

use breakwater_crds::{rollout::Baseline, words::HoldReason};
use breakwater_slo::Counts;
use jiff::Timestamp;
use serde::Serialize;

/// A backtest of one Rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `namespace/name`.
    pub rollout: String,
    /// No false alarm, and every fault that must be found was.
    pub good: bool,
    /// Start of what was read.
    pub from: Timestamp,
    /// Up to here the past taught; from here on the judge was tried.
    pub watched_from: Timestamp,
    /// End of what was read.
    pub until: Timestamp,
    /// Tenants that the series name.
    pub tenants: usize,
    /// `judge.mustDetect`: a fault of this size or more must be found.
    pub must_detect: f64,
    /// Seed of the draws, if one was given.
    pub seed: Option<u64>,
    /// What must be known to read this.
    pub notes: Vec<String>,
    /// The SLOs, in the spec's order.
    pub slos: Vec<SloOutcome>,
    /// Where the SLOs together, each of them short of its limit, would have reverted.
    pub together: Vec<Alarm>,
}

/// One SLO.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SloOutcome {
    /// Its name.
    pub name: String,
    /// Length of a step, in seconds.
    pub step_seconds: i64,
    /// How long after its end a step is read by the controller, in seconds.
    pub lag_seconds: i64,
    /// One entry per wave that has tenants: while it is the newest.
    pub waves: Vec<WaveOutcome>,
}

/// One SLO in one wave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveOutcome {
    /// The wave's name.
    pub wave: String,
    /// Its soak, in seconds.
    pub soak_seconds: i64,
    /// Candidates, this wave's and those of the waves before.
    pub candidates: usize,
    /// Tenants that wait.
    pub baseline: usize,
    /// What the comparison is compared with: `Others`, `History`, `Both`; null where there is none.
    pub against: Option<Baseline>,
    /// Whether the comparison could be armed.
    pub calibration: Calibration,
    /// Dispersion of candidates against the baseline, where it was learnt.
    pub phi: Option<f64>,
    /// Bucket edges, in seconds, at which the shape of a latency was compared; none where it was not.
    pub shape_edges: Vec<f64>,
    /// Steps that were tried.
    pub steps: u64,
    /// Of them, those in which no series was there.
    pub missing_steps: u64,
    /// Of them, those without data that could be judged, missing ones included.
    pub no_data_steps: u64,
    /// Of them, those in which the rollout would have been held, for no data or otherwise.
    pub held_steps: u64,
    /// The smallest ratio that the traffic would have found, with 95 % probability.
    pub detectable: Option<f64>,
    /// The first false alarm of each guard.
    pub alarms: Vec<Alarm>,
    /// The faults, in the order in which they were asked for.
    pub faults: Vec<FaultOutcome>,
    /// Both arms over time, for the chart.
    #[serde(skip)]
    pub track: Track,
}

impl WaveOutcome {
    /// More than half of the steps had no data: nothing is known.
    pub fn is_blind(&self) -> bool {
        self.no_data_steps * 2 > self.steps
    }

    /// Nothing speaks against the judge here.
    pub fn is_good(&self) -> bool {
        let calibrated = match self.calibration {
            Calibration::Armed | Calibration::Off => true,
            Calibration::Uncalibrated { .. } | Calibration::NoHistory { .. } => false,
        };
        calibrated
            && self.alarms.is_empty()
            && !self.is_blind()
            && self.faults.iter().all(FaultOutcome::is_good)
    }
}

/// Whether the comparison could be armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state")]
pub enum Calibration {
    /// It was.
    Armed,
    /// The Rollout does not ask for it.
    Off,
    /// It would have cried wolf on the part that taught: it holds and asks.
    Uncalibrated {
        /// In words.
        reason: String,
    },
    /// The past does not suffice to learn from.
    NoHistory {
        /// In words.
        reason: String,
    },
}

/// A guard that would have reverted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// End of the step in which it spoke.
    pub at: Timestamp,
    /// The guard: `Comparison`, `BurnRate`, `SharpPath`.
    pub guard: HoldReason,
    /// What it said.
    pub sentence: String,
}

/// One fault in one wave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultOutcome {
    /// As it was asked for: `2x@tenant-share=10%`.
    pub fault: String,
    /// How many times the usual share of bad events its tenants have; absent where none is usual.
    pub factor: Option<f64>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// Candidates that have it.
    pub tenants: usize,
    /// `judge.mustDetect` or more, and there is something to compare with.
    pub must_be_found: bool,
    /// When it was found; null: not until the end.
    pub found: Option<Found>,
    /// When it first held the rollout.
    pub held: Option<Found>,
}

impl FaultOutcome {
    /// It was found, or need not be.
    pub fn is_good(&self) -> bool {
        self.found.is_some() || !self.must_be_found
    }
}

/// A fault that was noticed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// End of the step in which it was.
    pub at: Timestamp,
    /// Since the fault began, in seconds, without the time until a step is read.
    pub after_seconds: i64,
    /// Which guard spoke.
    pub guard: HoldReason,
    /// What it said.
    pub sentence: String,
    /// Bad requests that the fault had made by then.
    pub bad_requests: f64,
}

/// Both arms in stretches of equal length, and the candidates with the fault that is shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Track {
    /// Start, in unix seconds.
    pub from_seconds: i64,
    /// Length of a stretch, in seconds.
    pub every_seconds: i64,
    /// Per stretch: candidates, baseline, candidates with the fault.
    pub stretches: Vec<[Counts; 3]>,
    /// Which fault is shown, an index of [`WaveOutcome::faults`].
    pub fault: Option<usize>,
}

/// Stretches of a track, at most.
const STRETCHES_MAX: i64 = 336;

impl Track {
    /// An empty track over a time that is watched.
    pub fn new(from_seconds: i64, until_seconds: i64, step_seconds: i64) -> Self {
        let step = step_seconds.max(1);
        let length = (until_seconds - from_seconds).max(step);
        let every_seconds = (length / STRETCHES_MAX / step + 1) * step;
        let count = usize::try_from(length / every_seconds + 1).unwrap_or(1);
        Self { from_seconds, every_seconds, stretches: vec![Default::default(); count], fault: None }
    }

    /// Adds what one line had in the step that ends at this second.
    pub fn add(&mut self, end_seconds: i64, line: usize, counts: Counts) {
        let stretch = (end_seconds - 1 - self.from_seconds) / self.every_seconds.max(1);
        let stretch = usize::try_from(stretch).ok().and_then(|at| self.stretches.get_mut(at));
        if let Some(sum) = stretch.and_then(|lines| lines.get_mut(line)) {
            sum.bad += counts.bad;
            sum.total += counts.total;
        }
    }
}
