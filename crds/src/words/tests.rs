//! What every vocabulary must keep.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Every word is its own, reads back, and says what it means in one line.
fn check<T: Vocabulary + std::fmt::Debug>(meaning: impl Fn(T) -> &'static str) {
    let words: BTreeSet<&str> = T::all().iter().map(|word| word.as_str()).collect();
    assert_eq!(words.len(), T::all().len(), "{}: two words are the same", T::KIND);
    for word in T::all() {
        let read: Word<T> = serde_json::from_value(json!(word.as_str())).unwrap();
        assert_eq!(read, *word);
        assert_eq!(serde_json::to_value(&read).unwrap(), json!(word.as_str()));
        let meaning = meaning(*word);
        assert!(meaning.ends_with(['.', '?']) && !meaning.contains(['\n', '|']), "{word:?}: {meaning:?}");
    }
}

#[test]
fn every_word_reads_back_and_says_what_it_means() {
    check(ConditionReason::meaning);
    check(ConditionType::meaning);
    check(DeviationReason::meaning);
    check(GateSubject::meaning);
    check(HoldReason::meaning);
    check(HoldReason::what_to_do);
    check(Impact::meaning);
    check(LoadTestVerdict::meaning);
    check(RevertSafety::meaning);
    check(TransitionReason::meaning);
    check(Trouble::meaning);
    check(Verdict::meaning);
}

#[test]
fn r38_a_newer_controllers_word_is_kept_byte_for_byte_and_is_none_of_ours() {
    for text in ["Becalmed", "", "held", " Held", "Held\u{301}"] {
        let read: Word<HoldReason> = serde_json::from_value(json!(text)).unwrap();
        assert_eq!((read.known(), read.as_str()), (None, text));
        assert!(HoldReason::ALL.iter().all(|reason| read != *reason), "{text:?}");
        assert_eq!(serde_json::to_value(&read).unwrap(), json!(text));
    }
    let error = "Becalmed".parse::<HoldReason>().unwrap_err();
    assert_eq!(error.to_string(), "\"Becalmed\" is no hold reason");
}

#[test]
fn a_name_is_the_wire_form_of_its_variant() {
    use crate::{
        action::Verb,
        release::Lane,
        report::Outcome,
        rollout::Baseline,
        status::{BrakeKind, Phase},
    };
    assert_eq!(json!(Phase::RevertedPartly), Phase::RevertedPartly.as_str());
    assert_eq!(json!(Verb::Acknowledge), Verb::Acknowledge.as_str());
    assert_eq!(json!(Lane::Emergency), Lane::Emergency.as_str());
    assert_eq!(json!(Outcome::TenantsReverted), Outcome::TenantsReverted.as_str());
    assert_eq!(json!(Baseline::History), Baseline::History.as_str());
    assert_eq!(json!(BrakeKind::Stop), BrakeKind::Stop.as_str());
}

#[test]
fn a_promotion_answers_what_the_slos_hold_for_and_nothing_that_needs_a_human() {
    for reason in HoldReason::ALL {
        assert!(!(reason.is_promotable() && reason.needs_human()), "{reason}");
    }
}

#[test]
fn a_warning_gate_tells_the_same_word_that_it_holds_with() {
    for subject in GateSubject::ALL {
        if let Some(told) = subject.transition_reason() {
            assert_eq!(told.as_str(), subject.hold_reason().as_str());
        }
    }
}
