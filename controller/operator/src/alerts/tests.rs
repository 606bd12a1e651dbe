use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    kit::{alerts, at, cluster, payload},
    *,
};

#[tokio::test]
async fn r15_enough_is_stored_once_before_the_answer_and_a_repeat_finds_it_there() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    for now in [0, 1, 5] {
        assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-10)), at(now)).await, Ok(1));
    }
    // Another process, as after a restart, comes to the same name.
    let other = self::alerts(&cluster);
    assert_eq!(
        other.receive(Some(("ops", "app")), &payload("firing", &["a", "b"], at(-10)), at(6)).await,
        Ok(1)
    );
    let stored = cluster.stored.lock().unwrap();
    assert_eq!(stored.len(), 1);
    let (name, spec) = &stored[0];
    assert!(name.starts_with("alert-") && name.len() == 22, "{name}");
    assert_eq!(
        (spec.verb, spec.version.as_deref(), spec.rollout.as_str()),
        (Verb::Revert, Some("2.0"), "app")
    );
    assert_eq!(spec.requested_by, "system:serviceaccount:bw:bw");
    let source = spec.source.as_ref().unwrap();
    assert_eq!((source.kind.as_str(), source.ref_.as_str()), ("Alert", "fp-a"));
    assert!(spec.reason.contains("2 of 2 candidates (a, b)"), "{}", spec.reason);
}

#[tokio::test]
async fn r15_too_few_are_remembered_and_a_later_call_makes_them_enough() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    assert_eq!(alerts.receive(None, &payload("firing", &["a"], at(-10)), at(0)).await, Ok(0));
    assert_eq!(
        alerts.receive(None, &payload("firing", &["b"], at(-1)), at(0)).await,
        Ok(0),
        "not for two minutes yet"
    );
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(0));
    assert_eq!(alerts.redecide(None, at(1)).await, Ok(1), "the tick finds them old enough");
    assert_eq!(cluster.stored.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn r15_resolved_alerts_end_the_count_and_so_does_silence() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-1)), at(0)).await, Ok(0));
    assert_eq!(alerts.receive(None, &payload("resolved", &["a"], at(-1)), at(0)).await, Ok(0));
    assert_eq!(alerts.redecide(None, at(30)).await, Ok(0), "one is left");
    assert_eq!(alerts.receive(None, &payload("firing", &["a"], at(40)), at(40)).await, Ok(0), "fires anew");
    assert_eq!(alerts.redecide(None, at(61)).await, Ok(0), "b was not repeated for an hour");
    assert!(cluster.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_account_hears_which_alerts_fire_and_that_they_do_not_any_more() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    let heard = || cluster.firing.lock().unwrap().clone();
    alerts.receive(None, &payload("firing", &["b", "a"], at(-1)), at(0)).await.unwrap();
    let told = |tenant: &str| format!("Errors{{severity=\"page\",tenant=\"{tenant}\"}} since {}", at(-1));
    assert_eq!(heard(), [told("a"), told("b")]);
    alerts.receive(None, &payload("resolved", &["a"], at(-1)), at(1)).await.unwrap();
    assert_eq!(heard(), [told("b")]);
    alerts.redecide(None, at(62)).await.unwrap();
    assert!(heard().is_empty(), "b was not repeated for an hour");
}

#[tokio::test]
async fn r15_nothing_is_decided_without_a_candidate_and_a_retried_version_is_guarded_anew() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    cluster.target.lock().unwrap().version = None;
    assert_eq!(alerts.receive(None, &payload("firing", &["a", "b"], at(-10)), at(0)).await, Ok(0));
    cluster.target.lock().unwrap().version = Some("2.0".into());
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(1));
    cluster.target.lock().unwrap().started_at = Some(at(-80));
    assert_eq!(alerts.redecide(None, at(0)).await, Ok(1));
    assert_eq!(cluster.stored.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_could_not_be_stored_is_tried_again() {
    let cluster = cluster();
    let alerts = alerts(&cluster);
    let body = payload("firing", &["a", "b"], at(-10));
    for broken in ["targets", "store"] {
        *cluster.broken.lock().unwrap() = Some(broken);
        let answer = alerts.receive(None, &body, at(0)).await;
        assert!(matches!(answer, Err(IntakeError::Unavailable(_))), "{answer:?}");
    }
    *cluster.broken.lock().unwrap() = None;
    assert_eq!(alerts.receive(None, &body, at(0)).await, Ok(1));
}

#[test]
fn the_memory_is_bounded() {
    let mut memory = Memory::new(REMEMBERED);
    let alert = |n: usize, label: String| Firing {
        fingerprint: format!("{n}"),
        labels: BTreeMap::from([("l".to_owned(), label)]),
        starts_at: at(0),
    };
    memory.fire(None, alert(0, "x".repeat(9_000)), at(0));
    assert!(memory.is_empty(at(0)), "too large");
    for n in 0..=ALERTS_MAX {
        memory.fire(
            None,
            alert(n, String::new()),
            at(0).checked_add(Duration::from_millis(n as u64)).unwrap(),
        );
    }
    let firing = memory.firing("ops", "app", at(1));
    assert_eq!(firing.len(), ALERTS_MAX);
    assert!(!firing.iter().any(|alert| alert.fingerprint == "0"), "the oldest made room");
    memory.fire(Some(("ops", "other")), alert(1, String::new()), at(1));
    assert!(memory.firing("ops", "app", at(1)).len() < memory.firing("ops", "other", at(1)).len());
    assert!(memory.is_empty(at(70)));
}

proptest! {
    #[test]
    fn no_payload_panics(body in proptest::collection::vec(any::<u8>(), 0..300), flip in 0..600_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let alerts = alerts(&cluster());
        let _ = runtime.block_on(alerts.receive(None, &body, at(0)));
        let mut good = payload("firing", &["a", "b"], at(-10));
        let flip = flip % good.len();
        good[flip] ^= 0x11;
        let _ = runtime.block_on(alerts.receive(None, &good, at(0)));
    }
}
