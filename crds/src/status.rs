//! `Rollout.status`: the road so far, bounded at any fleet size (rule R27).

mod actions;
mod history;
mod slos;
mod tenants;
mod waves;

use breakwater_text::cut::store;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::history::{NUMBER_BYTES, Unnumbered};
pub use self::{
    actions::{Acknowledged, Brake, BrakeKind, ProcessedAction},
    slos::{Compared, SloStatus},
    tenants::{Adoption, Counts, OwnerCount, RevertStatus, TelemetryCount, TroubledTenant, VersionCount},
    waves::{Approved, SoakedDay, WaveDraw, WaveStatus},
};
use crate::{
    names,
    release::Lane,
    state::SLOS_MAX,
    words::{ConditionType, HoldReason, TransitionReason, Word},
};

/// Most entries of `status.history` (R31).
pub const HISTORY_MAX: usize = 100;
/// Most tenants listed in `status.troubled` (R27).
pub const TROUBLED_MAX: usize = 32;
/// Most versions listed anywhere in the status.
pub const VERSIONS_MAX: usize = 16;
/// Longest message that the status carries, in bytes.
pub const MESSAGE_MAX: usize = 320;
/// Longest message of an entry of which there are many (`history`, `troubled`, brakes), in bytes.
pub const ENTRY_MESSAGE_MAX: usize = 160;
/// Most acknowledgements kept.
pub const ACKNOWLEDGED_MAX: usize = 16;
/// Most other hubs whose markers a Rollout may take for its own.
pub const OTHER_HUBS_MAX: usize = 4;
/// Most versions that are kept for reverts to go back to.
pub const KNOWN_VERSIONS_MAX: usize = 10;
/// Most days of soak kept.
pub const SOAKED_DAYS_MAX: usize = 64;
/// Longest name of a human in the status, in bytes; the `RolloutAction` tells the whole of it.
pub const REQUESTER_MAX: usize = 64;
/// Largest status, in bytes of JSON (R27).
pub const STATUS_MAX_BYTES: usize = 64 * 1024;

/// Where a Rollout stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The generation that this status speaks of.
    pub observed_generation: i64,
    /// Lease epoch of the controller that wrote it (R26).
    pub epoch: i64,
    /// The hub that leads it: what its markers name (R48).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hub: String,
    /// Hubs whose markers for a Rollout of this name somebody took over by an Acknowledge, at most 4 (R48).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_hubs: Vec<String>,
    /// Versions that this Rollout found on tenants before it wrote them, or completed, newest last: a revert goes back to no
    /// other, whatever a tenant's marker says (R17). With ten, which is the most, there are more than can be kept, and markers are
    /// believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_versions: Vec<String>,
    /// The place on the road.
    pub phase: Phase,
    /// The phase as shown: `Soaking (Held: prometheus)`.
    pub summary: String,
    /// What is happening and why, in one sentence.
    pub message: String,
    /// Figures for the table.
    pub progress: Progress,
    /// The last version that completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_version: Option<String>,
    /// The version that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_version: Option<String>,
    /// How fast the version under way travels, as its Release said when it started.
    #[serde(skip_serializing_if = "is_normal")]
    pub lane: Lane,
    /// The version that waits for the one under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<String>,
    /// Versions that deviation reports reject, newest first, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
    /// When the version under way started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the last wave was passed and watching went on alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watching_since: Option<Timestamp>,
    /// When the last version completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Name of the wave in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// The waves, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveStatus>,
    /// The fleet in numbers.
    pub counts: Counts,
    /// The worst tenants, at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubled: Vec<TroubledTenant>,
    /// The SLOs' verdicts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slos: Vec<SloStatus>,
    /// Holds and Stops in force; they add up and are lifted by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<Brake>,
    /// Gates that somebody passed by an Acknowledge, newest last, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<Acknowledged>,
    /// Seconds in which every SLO was Healthy, by day, whatever version soaked: the last 64 days (`gates.soak` of others).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub soaked_days: Vec<SoakedDay>,
    /// Actions whose effect stands here but not yet in their own status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processed: Vec<ProcessedAction>,
    /// What an adoption found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// The revert under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert: Option<RevertStatus>,
    /// Name of the `DeviationReport` that is open for the version under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// How many tenants the version under way is rejected for alone; the `DeviationReport` lists them (R22).
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_for: u32,
    /// The `ControllerRevision` that keeps the accepted spec (R9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_revision: Option<String>,
    /// kstatus conditions (R29).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])))]
    pub conditions: Vec<Condition>,
    /// The last hundred transitions, newest last (R31).
    #[serde(skip_serializing_if = "Vec::is_empty", with = "history")]
    #[cfg_attr(feature = "kube", schemars(with = "Vec<Transition>"))]
    pub history: Vec<Transition>,
}

impl RolloutStatus {
    /// Keeps the status within [`STATUS_MAX_BYTES`] whatever was put into it (R27): cuts lists, texts and times to their
    /// bounds, and where that is not enough forgets the oldest history (Events and logs keep it), then troubled
    /// tenants (the tenants' own annotations keep theirs). What decisions hang on, such as waves, brakes, processed
    /// actions and evidence, is never dropped. Doing it twice changes nothing.
    pub fn bound(&mut self) {
        self.cut_lists();
        self.cut_texts();
        self.cut_times();
        let mut excess = json_bytes(self).saturating_sub(STATUS_MAX_BYTES);
        if excess > 0 {
            excess += NUMBER_BYTES; // the entry that is the oldest then may have to be stored with its number
        }
        for (history, troubled) in
            [(HISTORY_MAX / 4, TROUBLED_MAX), (HISTORY_MAX / 4, TROUBLED_MAX / 4), (0, 0)]
        {
            let oldest = self.history.iter().take(self.history.len().saturating_sub(history));
            let drop = take_bytes(oldest.map(|told| json_bytes(&Unnumbered::of(told))), &mut excess);
            self.history.drain(..drop);
            let mildest = self.troubled.iter().skip(troubled).rev();
            let drop = take_bytes(mildest.map(json_bytes), &mut excess);
            self.troubled.truncate(self.troubled.len() - drop);
        }
    }

    /// The condition of a type, if the status has it.
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The condition of a type, where it holds.
    pub fn holds(&self, type_: ConditionType) -> Option<&Condition> {
        self.condition(type_).filter(|condition| condition.status == ConditionStatus::True)
    }

    /// Why nothing advances, in a word and in a sentence, while something holds.
    pub fn held(&self) -> Option<(Word<HoldReason>, &str)> {
        let held = self.holds(ConditionType::Held)?;
        Some((Word::from(held.reason.as_str()), held.message.as_str()))
    }

    fn cut_lists(&mut self) {
        self.history.drain(..self.history.len().saturating_sub(HISTORY_MAX));
        self.troubled.truncate(TROUBLED_MAX);
        self.rejected.truncate(VERSIONS_MAX);
        self.other_hubs.truncate(OTHER_HUBS_MAX);
        self.known_versions.truncate(KNOWN_VERSIONS_MAX);
        self.acknowledged.drain(..self.acknowledged.len().saturating_sub(ACKNOWLEDGED_MAX));
        self.soaked_days.drain(..self.soaked_days.len().saturating_sub(SOAKED_DAYS_MAX));
        if let Some(Adoption { versions, owners, telemetry, approved: _ }) = &mut self.adoption {
            versions.truncate(VERSIONS_MAX);
            owners.truncate(VERSIONS_MAX);
            telemetry.truncate(SLOS_MAX);
        }
    }

    /// Cuts times of which there are many, and that nothing is reckoned from, to whole milliseconds: they take 2 KB of a full status.
    fn cut_times(&mut self) {
        let history = self.history.iter_mut().map(|told| &mut told.at);
        let passed = self.waves.iter_mut().flat_map(|wave| {
            let WaveStatus { completed_at, passed_at, approved_before, approved_after, promoted, .. } = wave;
            let words = [approved_before, approved_after, promoted].into_iter().flatten();
            words.map(|word| &mut word.at).chain([completed_at, passed_at].into_iter().flatten())
        });
        for at in history.chain(passed) {
            *at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(*at);
        }
    }

    fn cut_texts(&mut self) {
        store(&mut self.message, MESSAGE_MAX);
        store(&mut self.summary, ENTRY_MESSAGE_MAX);
        let conditions = self.conditions.iter_mut().map(|condition| &mut condition.message);
        let slos = self.slos.iter_mut().map(|slo| &mut slo.message);
        let revert = self.revert.iter_mut().map(|revert| &mut revert.message);
        let telemetry = self.adoption.iter_mut().flat_map(|adoption| &mut adoption.telemetry);
        let telemetry = telemetry.map(|count| &mut count.message);
        conditions.chain(slos).chain(revert).chain(telemetry).for_each(|text| store(text, MESSAGE_MAX));
        let history = self.history.iter_mut().map(|entry| &mut entry.message);
        let troubled = self.troubled.iter_mut().map(|tenant| &mut tenant.message);
        let brakes = self.brakes.iter_mut().map(|brake| &mut brake.reason);
        let processed = self.processed.iter_mut().map(|action| &mut action.message);
        history
            .chain(troubled)
            .chain(brakes)
            .chain(processed)
            .for_each(|text| store(text, ENTRY_MESSAGE_MAX));
        let waves = self.waves.iter_mut();
        let approved =
            waves.flat_map(|wave| [&mut wave.approved_before, &mut wave.approved_after, &mut wave.promoted]);
        let adopted = self.adoption.iter_mut().map(|adoption| &mut adoption.approved);
        let acknowledged = self.acknowledged.iter_mut().map(|acknowledged| &mut acknowledged.word.by);
        let approvers =
            approved.chain(adopted).flatten().map(|approved| &mut approved.by).chain(acknowledged);
        let stopped_by = self.brakes.iter_mut().map(|brake| &mut brake.requested_by);
        approvers.chain(stopped_by).for_each(|text| store(text, REQUESTER_MAX));
    }
}

/// Bytes of JSON, with the comma that parts it from the next; what does not render takes none, since it is not written either.
pub(crate) fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len() + 1)
}

/// How many of these sizes must go to make up for `excess`, which is lowered by them.
fn take_bytes(sizes: impl Iterator<Item = usize>, excess: &mut usize) -> usize {
    let mut taken = 0;
    for size in sizes {
        if *excess == 0 {
            break;
        }
        *excess = excess.saturating_sub(size);
        taken += 1;
    }
    taken
}

/// The place on the road (product.md 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Phase {
    /// Not yet begun: gates, owners, missing kinds.
    #[default]
    Pending,
    /// A fleet without history was counted; waits for an approval.
    Adopting,
    /// A wave is being updated.
    Advancing,
    /// A wave is updated and spends its soak.
    Soaking,
    /// A human is asked.
    AwaitingApproval,
    /// All waves passed; the SLOs are watched on.
    Watching,
    /// The version is the stable one.
    Completed,
    /// Touched tenants go back.
    Reverting,
    /// All are back; the SLOs show whether it helped.
    Verifying,
    /// The version is out.
    Reverted,
    /// The version is out but for tenants that are listed.
    RevertedPartly,
}

names!(Phase {
    Pending,
    Adopting,
    Advancing,
    Soaking,
    AwaitingApproval,
    Watching,
    Completed,
    Reverting,
    Verifying,
    Reverted,
    RevertedPartly
});

impl Phase {
    /// True while a candidate is somewhere on the road forward.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Advancing | Self::Soaking | Self::AwaitingApproval | Self::Watching)
    }

    /// True from the decision to revert until the SLOs were verified.
    pub const fn is_reverting(self) -> bool {
        matches!(self, Self::Reverting | Self::Verifying)
    }
}

/// Figures for the table of `kubectl get`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// `2/4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wave: String,
    /// `120/300`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub updated: String,
    /// `2d4h`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub soak_left: String,
}

/// A condition with Kubernetes' semantics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled`, `Progressing`, `Deviating`, `Held`, `Blind`, `Accepted`.
    #[serde(rename = "type")]
    pub type_: Word<ConditionType>,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word for machines.
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// The generation that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// One transition (R31).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Its number, rising for the Rollout's life, also over a wiped or restored status. Left out where it is the time `at` in
    /// milliseconds since 1970 or, if that is more, one more than the number of the entry before. A copy in a report has none.
    #[serde(default, skip_serializing_if = "is_zero_i64")]
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// One word, also the Event's reason.
    pub reason: Word<TransitionReason>,
    /// A sentence with its numbers.
    pub message: String,
    /// True where the Event is a warning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warning: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes references")]
const fn is_normal(lane: &Lane) -> bool {
    matches!(lane, Lane::Normal)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes references")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes references")]
const fn is_zero_i64(n: &i64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-22T22:51:00.123456789Z";
    const EVIDENCE_BYTES: usize = 2_560;

    fn times<T>(n: usize, make: impl Fn(usize) -> T) -> Vec<T> {
        (0..n).map(make).collect()
    }

    /// Everything there is room for, with texts of `text` characters and names of `name`.
    fn full(text: &str, name: &str) -> RolloutStatus {
        let approved = serde_json::json!({"by": name, "at": AT, "action": name});
        let status = serde_json::json!({
            "observedGeneration": i64::MAX, "epoch": i64::MAX, "hub": name, "otherHubs": times(OTHER_HUBS_MAX, |_| name), "knownVersions": times(KNOWN_VERSIONS_MAX, |_| name), "phase": "AwaitingApproval", "summary": text, "message": text,
            "progress": {"wave": "32/32", "updated": "100000/100000", "soakLeft": "99d23h"},
            "stableVersion": name, "candidateVersion": name, "queued": name, "rejected": times(VERSIONS_MAX, |_| name),
            "startedAt": AT, "watchingSince": AT, "completedAt": AT, "wave": name,
            "waves": times(32, |_| serde_json::json!({
                "name": name, "total": 100_000, "updated": 100_000, "ready": 100_000, "failed": 100_000,
                "startedAt": AT, "completedAt": AT, "warmAt": AT, "soakedSeconds": 99_999_999, "passedAt": AT, "drawn": "3.125 ffffffffffffffff",
                "approvedBefore": approved,
            })),
            "counts": {
                "live": 100_000, "updated": 100_000, "ready": 100_000, "failed": 100_000, "dormant": 100_000, "ahead": 100_000,
                "claimed": 100_000, "contested": 100_000, "notReleased": 100_000, "unconsented": 100_000,
                "unreadable": 100_000, "unmatched": 100_000, "uninstrumented": 100_000, "toRevert": 100_000,
            },
            "troubled": times(TROUBLED_MAX, |_| serde_json::json!({
                "namespace": name, "name": name, "wave": name, "reason": "OwnerNotReleased", "message": text,
            })),
            "slos": times(8, |_| serde_json::json!({
                "name": name, "verdict": "Inconclusive", "message": text, "value": 0.123_456_789_012, "baseline": 0.123_456_789_012,
                "limit": 0.123_456_789_012, "window": "3d", "evaluatedUntil": AT, "definition": "0123456789abcdef",
                "evidence": {"sums": "e".repeat(EVIDENCE_BYTES)},
            })),
            "conditions": times(8, |i| serde_json::json!({
                "type": format!("Condition{i}"), "status": "Unknown", "reason": "OwnerNotReleased", "message": text,
                "lastTransitionTime": AT, "observedGeneration": i64::MAX,
            })),
            "brakes": times(4, |_| serde_json::json!({
                "name": name, "kind": "Hold", "reason": text, "requestedBy": name, "since": AT, "until": AT,
            })),
            "history": times(HISTORY_MAX, |i| serde_json::json!({
                "at": AT, "reason": format!("WaveCompleted{i}"), "message": text, "warning": true,
            })),
        });
        serde_json::from_value(status).unwrap()
    }

    fn bytes(status: &RolloutStatus) -> usize {
        serde_json::to_vec(status).unwrap().len()
    }

    #[test]
    fn r27_a_full_status_with_messages_of_usual_length_keeps_its_whole_history() {
        let mut status = full(&"m".repeat(72), &"n".repeat(24));
        status.bound();
        assert!(bytes(&status) <= STATUS_MAX_BYTES, "{}", bytes(&status));
        assert_eq!(
            (status.history.len(), status.troubled.len()),
            (HISTORY_MAX, TROUBLED_MAX),
            "{}",
            bytes(&status)
        );
    }

    #[test]
    fn r5_a_draw_is_one_short_text_and_what_is_none_is_drawn_anew() {
        let read = |text: &str| serde_json::from_value::<WaveDraw>(serde_json::json!(text)).unwrap();
        let draw = WaveDraw { percent: "12.5".into(), up_to: 0xabc };
        let text = serde_json::to_value(&draw).unwrap();
        assert_eq!((text.as_str(), read("12.5 0000000000000abc")), (Some("12.5 0000000000000abc"), draw));
        for text in ["", "12.5", "12.5 xyz", "12.5 11112222333344445"] {
            assert_eq!(read(text), WaveDraw { percent: String::new(), up_to: 0 }, "{text}");
        }
    }

    #[test]
    fn r31_numbers_are_stored_where_their_place_does_not_say_them_and_read_back_whole() {
        let at: Timestamp = AT.parse().unwrap();
        let ms = at.as_millisecond();
        let told =
            |seq: i64| Transition { seq, at, reason: "R".into(), message: String::new(), warning: false };
        let numbers = [ms, ms + 1, ms + 2, ms + 10, ms + 11, ms - 5, ms];
        let status = RolloutStatus { history: numbers.map(told).into(), ..RolloutStatus::default() };
        let json = serde_json::to_value(&status).unwrap();
        let stored: Vec<i64> =
            json["history"].as_array().unwrap().iter().filter_map(|told| told["seq"].as_i64()).collect();
        assert_eq!(stored, [ms + 10, ms - 5]);
        assert_eq!(serde_json::from_value::<RolloutStatus>(json).unwrap(), status);
    }

    #[test]
    fn r27_a_status_with_every_brake_there_may_be_fits() {
        let mut status = full(&"m".repeat(MESSAGE_MAX), &"n".repeat(40));
        status.brakes = times(40, |_| status.brakes[0].clone());
        status.bound();
        assert!(bytes(&status) <= STATUS_MAX_BYTES, "{}", bytes(&status));
        assert_eq!(status.brakes.len(), 40);
    }

    #[test]
    fn r27_a_status_of_any_content_fits_and_keeps_what_decisions_hang_on() {
        for text in ["m".repeat(MESSAGE_MAX), "ж\u{1}".repeat(5_000), "🌊".repeat(320)] {
            let mut status = full(&text, &"n".repeat(40));
            let before = status.clone();
            status.bound();
            assert!(bytes(&status) <= STATUS_MAX_BYTES, "{}", bytes(&status));
            assert!(status.history.len() >= HISTORY_MAX / 4, "{} of history left", status.history.len());
            assert_eq!(status.waves.len(), before.waves.len());
            assert_eq!(status.brakes.len(), before.brakes.len());
            assert_eq!(status.slos[7].evidence, before.slos[7].evidence);
            assert_eq!(status.history.last().map(|e| &e.reason), before.history.last().map(|e| &e.reason));
            let once = status.clone();
            status.bound();
            assert_eq!(status, once);
        }
    }
}
