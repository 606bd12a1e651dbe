//! Every fault of testbed.md that needs no second machine, played into five scripts on the rehearsal bed: the shipped
//! controller, an API server in memory, a virtual clock.
//!
//! `BREAKWATER_FAULTS=all` plays every case, otherwise a part of them that is spread evenly. `BREAKWATER_FAULT=<case>`
//! with the test `replay` plays one, and says all about it at the level that `RUST_LOG` names.
//!
//! The crate's other tests are modules of the same binary: `scenarios`, `frozen`, `fixtures` and `sequence`.

#![expect(clippy::expect_used, reason = "a test's set-up that fails is a failed test")]

mod fixtures;
mod frozen;
mod generated;
mod harm;
mod oracle;
mod play;
mod scenarios;
mod script;
mod sequence;
mod suite;

use breakwater_rehearsal::apiserver::Verb;
use harm::{ANSWERS, Harm};
use suite::{Case, run};

/// Before and after each call of each script.
#[test]
fn f1_a_controller_that_dies_at_any_call_changes_nothing() {
    run("F1 crash", 110, |plain| {
        let calls = plain.calls();
        (0..calls).flat_map(|call| [false, true].map(|after| vec![Harm::Crash { call, after }])).collect()
    });
}

#[test]
fn f2_stale_watches_change_nothing() {
    run("F2 stale", 60, |plain| {
        plain
            .moments(60)
            .flat_map(|at| {
                [(30, false), (300, false), (300, true)]
                    .map(|(seconds, restart)| vec![Harm::Stale { at, seconds, restart }])
            })
            .collect()
    });
}

#[test]
fn f3_what_no_watch_has_seen_changes_nothing() {
    run("F3 unseen", 30, |plain| {
        plain.moments(60).map(|at| vec![Harm::Unseen { at, anew: false }]).collect()
    });
}

#[test]
fn f4_a_rival_before_any_write_changes_nothing() {
    run("F4 rival", 60, |plain| {
        plain.writing_calls().into_iter().map(|call| vec![Harm::Rival { call }]).collect()
    });
}

#[test]
fn f5_any_answer_to_any_call_changes_nothing() {
    run("F5 answers", 90, |plain| {
        let sites = plain.sites();
        sites
            .into_iter()
            .flat_map(|call| ANSWERS.map(|with| vec![Harm::Answer { call, with: with.into() }]))
            .collect()
    });
}

/// A stray one, as a server that restarts may give.
#[test]
fn f5_a_rollout_that_is_not_found_once_goes_on() {
    run("F5 not found", 5, |plain| {
        let gets = plain.ran.calls.iter().zip(0..);
        let first =
            gets.filter(|(call, _)| call.verb == Verb::Get && call.kind == "Rollout").map(|(_, index)| index);
        first.take(1).map(|call| vec![Harm::Answer { call, with: "404".into() }]).collect()
    });
}

#[test]
fn f6_an_api_server_that_goes_away_changes_nothing() {
    run("F6 away", 50, |plain| {
        let flapping = |at: i64| (0..4).map(|turn| Harm::Away { at: at + 20 * turn, seconds: 10 }).collect();
        plain
            .moments(60)
            .flat_map(|at| {
                let once = [5, 30, 120].map(|seconds| vec![Harm::Away { at, seconds }]);
                once.into_iter().chain([flapping(at), vec![Harm::Compact { at }]])
            })
            .collect()
    });
}

#[test]
fn f9_a_clock_that_steps_changes_nothing() {
    run("F9 clock", 40, |plain| {
        let steps = [1, -1, 30, -30, 3600, -3600];
        plain.moments(60).flat_map(|at| steps.map(|by| vec![Harm::Clock { at, by }])).collect()
    });
}

#[test]
fn f10_two_controllers_are_as_one() {
    run("F10 leaders", 60, |plain| {
        plain
            .moments(60)
            .flat_map(|at| {
                [
                    vec![Harm::Double { at }],
                    vec![Harm::Zombie { at, seconds: 20 }],
                    vec![Harm::Zombie { at, seconds: 400 }],
                ]
            })
            .collect()
    });
}

#[test]
fn f11_no_lie_of_prometheus_moves_anything() {
    run("F11 lies", 70, |plain| {
        plain
            .moments(240)
            .flat_map(|at| {
                // Shorter than what a verification waits for data (three times `verifyFor`).
                suite::LIES.map(|lie| vec![Harm::Lie { lie, at, seconds: 480 }])
            })
            .collect()
    });
}

#[test]
fn f12_an_edit_that_is_set_back_changes_nothing() {
    run("F12 edits", 70, |plain| {
        let spec = serde_json::to_value(script::rollout().spec).expect("a spec");
        let edits = script::edits(&spec).len();
        plain
            .moments(120)
            .flat_map(|at| (0..edits).map(move |which| vec![Harm::Edit { at, which }]))
            .collect()
    });
}

#[test]
fn f12_a_status_that_is_wiped_and_a_rollout_that_is_made_anew_end_where_they_should() {
    run("F12 forgotten", 60, |plain| {
        plain.moments(30).flat_map(|at| [vec![Harm::Wipe { at }], vec![Harm::Delete { at }]]).collect()
    });
}

#[test]
fn f15_random_mixes_change_nothing() {
    run("F15 mixes", 60, |plain| (0..400).map(|seed| plain.mix(seed)).collect());
}

/// Single cases of the long set that once failed.
#[test]
fn what_was_found_stays_mended() {
    for case in [
        "deviation edit:841:26",
        "deviation clock:601:3600",
        "deletion clock:121:3600",
        "healthy lie:147:300:MoreBadThanTotal",
    ] {
        let case: Case = case.parse().expect("a case");
        let wrong = suite::plain(&case.script).play(&case.harms);
        assert!(wrong.is_empty(), "{case}:\n    {}", wrong.join("\n    "));
    }
}

/// Plays the case that `BREAKWATER_FAULT` names, and says all about it.
#[test]
fn replay() {
    let Ok(case) = std::env::var("BREAKWATER_FAULT") else { return };
    let case: Case = case.parse().expect("a case, such as `healthy crash:17:after`");
    let plain = suite::plain(&case.script);
    for (index, call) in plain.ran.calls.iter().enumerate() {
        println!(
            "{index} {:?} {} {}/{} {:?}",
            call.verb, call.kind, call.namespace, call.name, call.subresource
        );
    }
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let wrong = plain.play(&case.harms);
    assert!(wrong.is_empty(), "{case}:\n    {}", wrong.join("\n    "));
}
