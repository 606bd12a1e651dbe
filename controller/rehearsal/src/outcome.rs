//! What a rehearsal showed, as people and `-o json` get it. Plain values, no logic but sums; made by `run`.
//!
//! Times are virtual; spans are seconds. Two runs of one seed give byte-identical JSON.

use std::fmt;

use breakwater_crds::{
    DeviationReportSpec, DeviationReportStatus, Phase, names,
    report::Attribution,
    words::{HoldReason, TransitionReason, Verdict, Word},
};
use jiff::Timestamp;
use serde::Serialize;

/// One rehearsal from its first minute to its last.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `namespace/name` of the Rollout.
    pub rollout: String,
    /// Name of the scenario.
    pub scenario: String,
    /// What the scenario is about, in a sentence.
    pub about: String,
    /// The seed that decided everything random.
    pub seed: u64,
    /// Tenants at the start.
    pub tenants: usize,
    /// Virtual time of the first minute.
    pub started_at: Timestamp,
    /// Virtual time of the last minute.
    pub ended_at: Timestamp,
    /// How it ended.
    pub end: End,
    /// Names of the waves, in order.
    pub waves: Vec<String>,
    /// Names of the SLOs, in order.
    pub slos: Vec<String>,
    /// What became of each version that was asked for, in order.
    pub versions: Vec<VersionOutcome>,
    /// What happened, in order: the controller's transitions and the scenario's own acts. At most 1,000.
    pub timeline: Vec<Event>,
    /// The road as it looked over time. At most 2,000 frames.
    pub frames: Vec<Frame>,
    /// The `DeviationReports` as they stood at the end; not in the JSON, where each would be longer than all the rest.
    #[serde(skip)]
    pub reports: Vec<Report>,
    /// Requests to the API server by the controller: all, and of these writes to tenants.
    pub api_requests: u64,
    /// Writes to tenants among them.
    pub tenant_writes: u64,
}

/// A `DeviationReport` of a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What it is about, and what people found out.
    pub spec: DeviationReportSpec,
    /// The controller's account.
    pub status: DeviationReportStatus,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum End {
    /// The last version that was asked for is on all tenants.
    Completed,
    /// The last version that was asked for was taken out.
    Reverted,
    /// Time was over first.
    OutOfTime,
    /// The Rollout's spec was refused: the timeline says why.
    Refused,
}

names!(End { Completed, Reverted, OutOfTime, Refused });

/// What became of one version.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionOutcome {
    /// The version.
    pub version: String,
    /// The fault that the scenario gave it, in words; `None`: it is healthy.
    pub fault: Option<String>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When its first wave started.
    pub started_at: Option<Timestamp>,
    /// What became of it.
    pub result: VersionResult,
    /// When it was completed or, if it was taken out, when the last tenant was back and ready.
    pub finished_at: Option<Timestamp>,
    /// Seconds from its start to completion, for a version that completed.
    pub seconds_to_completion: Option<i64>,
    /// When the first user felt it, by the fleet's own truth, not by any SLO.
    pub first_harm_at: Option<Timestamp>,
    /// When the deviation was decided.
    pub detected_at: Option<Timestamp>,
    /// From the first harm to the decision.
    pub seconds_to_detection: Option<i64>,
    /// From the decision to the last tenant back and ready.
    pub seconds_to_revert: Option<i64>,
    /// The sentence of the decision.
    pub reason: Option<String>,
    /// Whether what the decision blamed went away with the version.
    pub attribution: Option<Attribution>,
    /// The wave in flight at the decision.
    pub wave: Option<String>,
    /// Tenants that were ever on it.
    pub tenants_touched: usize,
    /// Minutes that tenants spent on it while its fault showed, summed over tenants.
    pub tenant_minutes_of_harm: f64,
    /// Bad events in excess of what the same tenants would have had without it.
    pub excess_bad_events: f64,
    /// The longest time that nothing advanced although the road was not at its end, and why.
    pub longest_hold: Option<Hold>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum VersionResult {
    /// On all tenants, soaked and watched.
    Completed,
    /// Taken out by itself.
    Reverted,
    /// Taken out, but some tenants did not come back.
    RevertedPartly,
    /// A newer version took its place.
    Superseded,
    /// Under way, or waiting, when time was over.
    Unfinished,
    /// Never begun.
    NotStarted,
}

names!(VersionResult { Completed, Reverted, RevertedPartly, Superseded, Unfinished, NotStarted });

/// A stretch in which nothing advanced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Reason of the condition `Held`.
    pub reason: Word<HoldReason>,
    /// Its sentence.
    pub message: String,
    /// When it began.
    pub from: Timestamp,
    /// How long it was.
    pub seconds: i64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: By,
    /// One word for machines.
    pub reason: EventReason,
    /// The sentence.
    pub message: String,
    /// Whether it needs attention.
    pub warning: bool,
}

/// What happened, in one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EventReason {
    /// The reason of a transition of the controller.
    Transition(Word<TransitionReason>),
    /// The verb of an act of the scenario.
    Act(&'static str),
}

impl EventReason {
    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Transition(reason) => reason.as_str(),
            Self::Act(verb) => verb,
        }
    }

    /// The controller's word, where it is one.
    pub fn transition(&self) -> Option<TransitionReason> {
        match self {
            Self::Transition(reason) => reason.known(),
            Self::Act(_) => None,
        }
    }
}

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum By {
    /// The controller.
    Controller,
    /// The scenario: people, faults, the world.
    Scenario,
}

/// The road at one instant. Frames are taken at every change of phase or wave and else at most hourly.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// When.
    pub at: Timestamp,
    /// Phase of the status.
    pub phase: Phase,
    /// The version under way, if one is.
    pub version: Option<String>,
    /// Reason of the condition `Held`, unless it is `None`.
    pub held: Option<Word<HoldReason>>,
    /// Tenants that waves count.
    pub live: u32,
    /// Of these on the version under way.
    pub updated: u32,
    /// Of these ready.
    pub ready: u32,
    /// Past their deadline.
    pub failed: u32,
    /// Still to be written back.
    pub to_revert: u32,
    /// Updated tenants per wave.
    pub waves: Vec<WaveFrame>,
    /// What each SLO says.
    pub slos: Vec<SloFrame>,
}

/// One wave at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveFrame {
    /// Live tenants in it.
    pub total: u32,
    /// Of these on the version.
    pub updated: u32,
    /// Seconds soaked so far.
    pub soaked_seconds: i64,
    /// `Waiting`, `Updating`, `Soaking` or `Passed`.
    pub state: WaveState,
}

/// How far a wave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum WaveState {
    /// Not started.
    Waiting,
    /// Started, and its tenants are not all ready.
    Updating,
    /// All ready; watched.
    Soaking,
    /// Done.
    Passed,
}

names!(WaveState { Waiting, Updating, Soaking, Passed });

/// One SLO at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SloFrame {
    /// What is said of it; `None` before there is anything to judge.
    pub verdict: Option<Word<Verdict>>,
    /// What the deciding guard measured, as a share of events (or the query's value).
    pub value: Option<f64>,
    /// The same for those not yet updated.
    pub baseline: Option<f64>,
    /// What would be a deviation.
    pub limit: Option<f64>,
}

/// Many rehearsals of one scenario with different seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distribution {
    /// Name of the scenario.
    pub scenario: String,
    /// The first seed; run `n` has seed `first_seed + n`.
    pub first_seed: u64,
    /// How many runs.
    pub runs: usize,
    /// Rollouts of healthy versions, over all runs.
    pub healthy_rollouts: usize,
    /// Of these reverted by themselves.
    pub false_reverts: usize,
    /// Their share with its 95 % confidence interval (Clopper-Pearson).
    pub false_revert_share: Interval,
    /// One entry per faulty version of the scenario, in order.
    pub faults: Vec<FaultOutcome>,
    /// Days from start to completion of the versions that completed.
    pub days_to_completion: Option<Quantiles>,
}

/// A share with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// What became of one faulty version over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultOutcome {
    /// The version.
    pub version: String,
    /// Its fault, in words.
    pub fault: String,
    /// Runs in which it started.
    pub started: usize,
    /// Of these, runs in which it was taken out by itself.
    pub caught: usize,
    /// Seconds from the first harm to the decision.
    pub seconds_to_detection: Option<Quantiles>,
    /// Tenants that were ever on it.
    pub tenants_touched: Option<Quantiles>,
    /// Tenant-minutes of harm.
    pub tenant_minutes_of_harm: Option<Quantiles>,
    /// Bad events in excess.
    pub excess_bad_events: Option<Quantiles>,
}

/// The middle and the ends of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// Smallest.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// Largest.
    pub max: f64,
}

impl Quantiles {
    /// Of a sample, by the nearest rank; `None` of an empty one.
    pub fn of(mut sample: Vec<f64>) -> Option<Self> {
        sample.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rank within the sample"
            )]
            let rank = (share * sample.len() as f64).ceil() as usize;
            sample.get(rank.clamp(1, sample.len()) - 1).copied()
        };
        Some(Self { min: *sample.first()?, p50: rank(0.5)?, p90: rank(0.9)?, max: *sample.last()? })
    }
}
