use jiff::Timestamp;

use super::*;
use crate::outcome::{Frame, SloFrame, WaveFrame, WaveState};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_767_571_200 + hours * 3_600).expect("in range")
}

fn frame(hours: i64, value: Option<f64>) -> Frame {
    Frame {
        at: at(hours),
        phase: breakwater_crds::Phase::Soaking,
        version: Some("1.1.0".into()),
        held: None,
        live: 10,
        updated: 4,
        ready: 3,
        failed: 0,
        to_revert: 0,
        waves: vec![WaveFrame { total: 10, updated: 4, soaked_seconds: 60, state: WaveState::Soaking }],
        slos: vec![SloFrame { verdict: None, value, baseline: Some(f64::NAN), limit: Some(0.0) }],
    }
}

fn outcome(frames: Vec<Frame>) -> Outcome {
    Outcome {
        rollout: "shop/<script>alert(1)</script>".into(),
        scenario: "mine".into(),
        about: "what <b>happens</b>".into(),
        seed: 7,
        tenants: 10,
        started_at: at(0),
        ended_at: at(i64::try_from(frames.len()).expect("a few")),
        end: End::OutOfTime,
        waves: vec!["<i>early</i>".into()],
        slos: vec!["errors".into()],
        versions: Vec::new(),
        timeline: Vec::new(),
        frames,
        reports: Vec::new(),
        api_requests: 0,
        tenant_writes: 0,
    }
}

#[test]
fn what_people_named_is_escaped_and_no_number_is_broken() {
    let page =
        render(&outcome(vec![frame(0, Some(0.01)), frame(1, None), frame(2, Some(f64::INFINITY))]), "x && y");
    assert!(!page.contains("<script>") && !page.contains("<i>early") && !page.contains("<b>happens"));
    assert!(page.contains("&lt;script&gt;") && page.contains("x &amp;&amp; y"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "a number that no browser draws");
    assert!(!page.contains("http://") && !page.contains("https://"), "a request would leave it");
}

#[test]
fn nothing_at_all_is_a_page_too() {
    let page = render(&outcome(Vec::new()), "again");
    assert!(page.contains("Nothing was judged."));
}
