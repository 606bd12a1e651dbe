//! Words on the wire: statuses and reports with every word, and with words of a newer controller, come back byte for byte.

#![allow(clippy::unwrap_used, reason = "tests")]

use breakwater_crds::{
    DeviationReportStatus, ReleaseStatus, RolloutStatus,
    words::{
        ConditionType, DeviationReason, GateSubject, HoldReason, Impact, LoadTestVerdict, RevertSafety,
        TransitionReason, Trouble, Verdict, Vocabulary,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const AT: &str = "2026-03-01T09:00:00Z";
/// In no vocabulary, neither as a whole nor folded.
const NEWER: &str = "Becalmed-\u{e9}\u{301} \"2\"";

/// One entry per word of a vocabulary, or one for a word that is in none.
fn each<T: Vocabulary>(newer: bool, entry: impl Fn(&str) -> Value) -> Vec<Value> {
    if newer { vec![entry(NEWER)] } else { T::all().iter().map(|word| entry(word.as_str())).collect() }
}

fn comes_back<T: Serialize + DeserializeOwned>(written: &Value) -> T {
    let read: T = serde_json::from_value(written.clone()).unwrap();
    let back = serde_json::to_value(&read).unwrap();
    for (field, value) in written.as_object().unwrap() {
        assert_eq!(back[field], *value, "{field}");
    }
    read
}

fn status(newer: bool) -> Value {
    let held = if newer { NEWER } else { HoldReason::Insufficient.as_str() };
    json!({
        "conditions": each::<ConditionType>(newer, |word| json!({
            "type": word, "status": "True", "reason": held, "message": "m", "lastTransitionTime": AT, "observedGeneration": 1,
        })),
        "history": each::<TransitionReason>(newer, |word| json!({"at": AT, "reason": word, "message": "m"})),
        "slos": each::<Verdict>(newer, |word| json!({"name": "s", "verdict": word})),
        "troubled": each::<Trouble>(newer, |word| json!({"namespace": "n", "name": "t", "reason": word})),
        "acknowledged": each::<GateSubject>(newer, |word| json!({
            "subject": word, "version": "2", "said": "0", "by": "ada", "at": AT, "action": "a",
        })),
    })
}

fn report(newer: bool) -> Value {
    let reason = if newer { NEWER } else { DeviationReason::Manual.as_str() };
    json!({
        "reason": reason,
        "slos": each::<Verdict>(newer, |word| json!({"name": "s", "objective": "99.5%", "verdict": word, "message": "m"})),
        "rejectedFor": each::<DeviationReason>(newer, |word| json!({"tenant": "n/t", "at": AT, "reason": word})),
        "appended": each::<DeviationReason>(newer, |word| json!({"at": AT, "reason": word, "message": "m"})),
        "changes": each::<TransitionReason>(newer, |word| json!({"at": AT, "reason": word, "message": "m"})),
    })
}

fn release(newer: bool) -> Value {
    let tests = each::<LoadTestVerdict>(newer, |word| json!({"name": "pg", "verdict": word, "message": "m"}));
    let one = |impact: &str, revert: &str| json!({"number": 1, "name": "m", "impact": impact, "revert": revert, "message": "m"});
    let impacts = each::<Impact>(newer, |word| one(word, RevertSafety::RevertSafe.as_str()));
    let reverts = each::<RevertSafety>(newer, |word| one(Impact::Quiet.as_str(), word));
    let listed: Vec<Value> = impacts.into_iter().chain(reverts).collect();
    json!({
        "loadTest": tests[0]["verdict"], "loadTests": tests,
        "migrations": {"from": 1, "to": 2, "impact": listed[0]["impact"], "revert": listed[0]["revert"], "message": "m", "listed": listed},
    })
}

#[test]
fn every_word_of_a_status_a_report_and_a_release_comes_back_as_it_was_written() {
    let status = comes_back::<RolloutStatus>(&status(false));
    assert!(ConditionType::ALL.iter().all(|type_| status.condition(*type_).is_some()));
    assert!(status.history.iter().all(|told| told.reason.known().is_some()));
    assert_eq!(status.held().unwrap().0, HoldReason::Insufficient);
    comes_back::<DeviationReportStatus>(&report(false));
    comes_back::<ReleaseStatus>(&release(false));
}

#[test]
fn r38_words_of_a_newer_controller_come_back_byte_for_byte_and_are_none_of_ours() {
    let mut status = comes_back::<RolloutStatus>(&status(true));
    assert!(ConditionType::ALL.iter().all(|type_| status.condition(*type_).is_none()));
    assert!(Verdict::ALL.iter().all(|verdict| !status.slos[0].is(*verdict)));
    assert_eq!(status.history[0].reason.known(), None);
    status.conditions[0].type_ = ConditionType::Held.into();
    let (reason, message) = status.held().unwrap();
    assert_eq!((reason.known(), reason.as_str(), message), (None, NEWER, "m"));
    status.bound();
    assert_eq!(status.history[0].reason.as_str(), NEWER);
    comes_back::<DeviationReportStatus>(&report(true));
    comes_back::<ReleaseStatus>(&release(true));
}

#[test]
fn a_report_without_a_reason_is_written_without_one() {
    let read: DeviationReportStatus = serde_json::from_value(json!({"reason": ""})).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json!({"reverted": 0, "failed": 0}));
}
