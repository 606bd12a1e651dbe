//! What a human sees in each situation, as snapshots.

use serde_json::{Value, json};

use super::*;

/// The time at which everything is looked at.
pub(crate) const NOW: &str = "2026-03-10T12:00:00Z";

fn rollout(status: &Value) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "breakwater.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "app", "namespace": "ops", "generation": 4, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "version": "10.5.2",
            "tenants": {"resource": {"apiVersion": "apps/v1", "kind": "Deployment"}},
            "waves": [
                {"name": "community", "selector": {"matchLabels": {"ring": "community"}}, "soak": "7d"},
                {"name": "early", "percent": 5.0, "soak": "3d", "maxConcurrent": 10, "approval": "After"},
                {"name": "half", "percent": 50.0, "soak": "3d", "maxConcurrent": "5%"},
                {"name": "rest", "soak": "3d", "approval": "Before"},
            ],
            "slos": [
                {"name": "api-errors", "errors": {"bad": "bad_total", "total": "all_total"}, "objective": "99.5%",
                 "tenantLabels": ["namespace", "name"]},
                {"name": "queue", "query": "max(queue_length)", "limit": {"max": 1000.0}},
            ],
        },
        "status": status,
    }))
    .expect("the fixture is a Rollout")
}

fn base(phase: &str, summary: &str) -> Value {
    json!({
        "observedGeneration": 4,
        "phase": phase,
        "summary": summary,
        "stableVersion": "10.5.1",
        "candidateVersion": "10.5.2",
        "startedAt": "2026-03-01T09:00:00Z",
        "wave": "early",
        "counts": {"live": 310, "updated": 17, "ready": 15, "failed": 1, "dormant": 3},
        "waves": [
            {"name": "community", "total": 12, "updated": 12, "ready": 12, "startedAt": "2026-03-01T09:00:00Z",
             "completedAt": "2026-03-01T10:00:00Z", "warmAt": "2026-03-01T10:10:00Z", "soakedSeconds": 604_800,
             "passedAt": "2026-03-09T09:00:00Z"},
            {"name": "early", "total": 30, "updated": 5, "ready": 3, "failed": 1, "startedAt": "2026-03-09T09:00:00Z"},
            {"name": "half", "total": 150},
            {"name": "rest", "total": 118},
        ],
        "slos": [
            {"name": "api-errors", "verdict": "Healthy", "value": 0.0018, "baseline": 0.0021, "limit": 0.072,
             "window": "1h", "evaluatedUntil": "2026-03-10T11:59:00Z", "message": "0.18% against 0.21% baseline"},
            {"name": "queue"},
        ],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "OnPlan", "lastTransitionTime": "2026-03-01T09:00:00Z"},
        ],
        "history": [
            {"at": "2026-03-01T09:00:00Z", "reason": "RolloutStarted", "message": "10.5.1 to 10.5.2"},
            {"at": "2026-03-09T09:00:00Z", "reason": "WavePassed", "message": "wave community: soaked 7d"},
            {"at": "2026-03-09T09:00:01Z", "reason": "WaveStarted", "message": "wave early: 30 tenants"},
        ],
    })
}

fn with(mut status: Value, changes: Value) -> Value {
    if let (Some(status), Value::Object(changes)) = (status.as_object_mut(), changes) {
        status.extend(changes);
    }
    status
}

pub(crate) fn advancing() -> Rollout {
    let changes = json!({
        "message": "wave early: 5 of 30 updated",
        "queued": "10.5.3",
        "troubled": [
            {"namespace": "tenant-7", "name": "chat", "wave": "early", "reason": "Failed",
             "message": "not ready 30m after its update: 1 of 2 replicas unavailable"},
            {"namespace": "tenant-9", "name": "chat", "wave": "early", "reason": "Failed", "message": "image pull"},
            {"namespace": "lost", "name": "chat", "reason": "Unreadable", "message": "no container app"},
        ],
    });
    rollout(&with(base("Advancing", "Advancing"), changes))
}

pub(crate) fn soaking_held() -> Rollout {
    let changes = json!({
        "message": "wave early soaks; 1 hold",
        "waves": [
            {"name": "community", "total": 12, "updated": 12, "ready": 12, "passedAt": "2026-03-08T09:00:00Z",
             "startedAt": "2026-03-01T09:00:00Z", "promoted": {"by": "bob", "at": "2026-03-08T08:59:00Z", "action": "p"}},
            {"name": "early", "total": 30, "updated": 30, "ready": 30, "startedAt": "2026-03-09T09:00:00Z",
             "completedAt": "2026-03-09T10:00:00Z", "warmAt": "2026-03-09T10:10:00Z", "soakedSeconds": 86_400},
            {"name": "half", "total": 150}, {"name": "rest", "total": 118},
        ],
        "brakes": [
            {"name": "app-hold-x7k2p", "kind": "Hold", "reason": "ticket 4711:\nlogin is slow", "requestedBy": "alice@example.com",
             "since": "2026-03-10T10:00:00Z", "until": "2026-03-10T13:30:00Z"},
        ],
        "conditions": [
            {"type": "Held", "status": "True", "reason": "Hold", "message": "app-hold-x7k2p by alice@example.com",
             "lastTransitionTime": "2026-03-10T10:00:00Z"},
            {"type": "Ready", "status": "True", "reason": "OnPlan", "lastTransitionTime": "2026-03-01T09:00:00Z"},
        ],
    });
    rollout(&with(base("Soaking", "Soaking (Held: 1 hold)"), changes))
}

/// One tenant alone was reverted, and what is left of the wave has not enough traffic.
pub(crate) fn insufficient() -> Rollout {
    let changes = json!({
        "message": "wave early has soaked for 9d, and with its traffic api-errors would have found no share of bad requests below 0.655% (mustDetect 2x: 0.510%) within maxSoak (3x): promote it, or lower mustDetect",
        "rejectedFor": 1,
        "report": "app-1a2b3c4d-1",
        "counts": {"live": 310, "updated": 41, "ready": 41, "spared": 1},
        "waves": [
            {"name": "community", "total": 12, "updated": 12, "ready": 12, "passedAt": "2026-03-01T09:00:00Z",
             "startedAt": "2026-02-20T09:00:00Z"},
            {"name": "early", "total": 30, "updated": 29, "ready": 29, "startedAt": "2026-03-01T09:00:00Z",
             "completedAt": "2026-03-01T10:00:00Z", "warmAt": "2026-03-01T10:10:00Z", "soakedSeconds": 777_600},
            {"name": "half", "total": 150}, {"name": "rest", "total": 118},
        ],
        "troubled": [
            {"namespace": "tenant-7", "name": "chat", "wave": "early", "reason": "Reverted",
             "message": "10.5.2 is rejected for it alone since 2026-03-02T10:12:00Z"},
        ],
        "slos": [
            {"name": "api-errors", "verdict": "Healthy", "value": 0.0018, "baseline": 0.0021, "limit": 0.072, "window": "1h",
             "evaluatedUntil": "2026-03-10T11:59:00Z", "certainty": 0.0, "detectable": 3.12,
             "detectableShare": 0.00655, "mustDetectShare": 0.0051, "compared": {"with": "Others", "reverts": true, "dispersion": 7.5},
             "message": "api-errors of wave early: 0.18% against 0.21% baseline; could detect >= 3.1x (0.7%)"},
            {"name": "queue", "verdict": "Healthy", "value": 12.0, "limit": 1000.0, "window": "10m"},
        ],
        "conditions": [
            {"type": "Held", "status": "True", "reason": "Insufficient", "message": "wave early has soaked for 9d",
             "lastTransitionTime": "2026-03-10T10:00:00Z"},
        ],
    });
    rollout(&with(base("Soaking", "Soaking (Insufficient)"), changes))
}

/// The judge would have cried wolf; beside it an SLO on the way to a finding.
fn uncalibrated() -> Rollout {
    let changes = json!({
        "message": "api-errors of wave early: not calibrated, holding",
        "slos": [
            {"name": "api-errors", "verdict": "Uncalibrated", "value": 0.0018, "baseline": 0.0021, "limit": 0.072, "window": "1h",
             "evaluatedUntil": "2026-03-10T11:59:00Z",
             "message": "api-errors of wave early: not calibrated, holding: it would have fired on 3 Mar at 04:10; 0.18% against 0.21% baseline over 1h"},
            {"name": "queue", "verdict": "Inconclusive", "certainty": 0.8769, "detectable": 2.1,
             "message": "queue of wave early: 0.9% against 0.4% baseline over 14m; could detect >= 2.1x"},
        ],
    });
    rollout(&with(base("Soaking", "Soaking (Uncalibrated)"), changes))
}

fn revert(finished: bool) -> Value {
    json!({
        "version": "10.5.2",
        "message": "api-errors of wave early: 18% against 0.6% baseline (burn rate 36x, limit 14.4x) over 5m and 1m",
        "decidedAt": "2026-03-10T11:50:00Z",
        "reverted": if finished { 16 } else { 9 },
        "failed": 1,
        "attribution": if finished { json!("Attributed") } else { Value::Null },
    })
}

pub(crate) fn reverting() -> Rollout {
    let changes = json!({
        "message": "taking 10.5.2 out: 9 of 17 tenants are back",
        "counts": {"live": 310, "updated": 8, "ready": 8, "toRevert": 8},
        "report": "app-1a2b3c4d-1",
        "revert": revert(false),
        "waves": [
            {"name": "community", "total": 12, "updated": 8, "ready": 8, "startedAt": "2026-03-01T09:00:00Z",
             "passedAt": "2026-03-09T09:00:00Z"},
            {"name": "early", "total": 30, "startedAt": "2026-03-09T09:00:00Z"},
            {"name": "half", "total": 150}, {"name": "rest", "total": 118},
        ],
        "slos": [
            {"name": "api-errors", "verdict": "Deviating", "value": 0.18, "baseline": 0.006, "limit": 0.072,
             "window": "5m", "evaluatedUntil": "2026-03-10T11:59:00Z",
             "message": "18% against 0.6% baseline (burn rate 36x, limit 14.4x) over 5m and 1m, 412k requests"},
            {"name": "queue", "verdict": "NoData", "message": "no step for 12m (limit 5m)"},
        ],
        "conditions": [
            {"type": "Deviating", "status": "True", "reason": "BurnRate", "message": "api-errors of wave early",
             "lastTransitionTime": "2026-03-10T11:50:00Z"},
        ],
    });
    rollout(&with(base("Reverting", "Reverting"), changes))
}

pub(crate) fn reverted() -> Rollout {
    let changes = json!({
        "message": "10.5.2 is out and rejected",
        "candidateVersion": null,
        "wave": null,
        "rejected": ["10.5.2", "10.4.9"],
        "counts": {"live": 310},
        "revert": revert(true),
        "slos": [],
        "waves": [
            {"name": "community", "total": 12, "startedAt": "2026-03-01T09:00:00Z"},
            {"name": "early", "total": 30, "startedAt": "2026-03-09T09:00:00Z"},
            {"name": "half", "total": 150}, {"name": "rest", "total": 118},
        ],
        "conditions": [
            {"type": "Stalled", "status": "True", "reason": "Reverted", "message": "set spec.version to a fixed version",
             "lastTransitionTime": "2026-03-10T11:55:00Z"},
        ],
        "history": [
            {"at": "2026-03-10T10:00:00Z", "reason": "Deviation", "message": "api-errors of wave early", "warning": true},
            {"at": "2026-03-10T11:55:00Z", "reason": "Reverted", "message": "16 tenants are back", "warning": true},
        ],
    });
    rollout(&with(base("Reverted", "Reverted"), changes))
}

pub(crate) fn adopting() -> Rollout {
    let status = json!({
        "observedGeneration": 4, "phase": "Adopting", "summary": "Adopting",
        "message": "310 tenants found; waits for an Approve of wave community",
        "stableVersion": "10.5.1",
        "counts": {"live": 310, "notReleased": 4, "uninstrumented": 2},
        "waves": [{"name": "community", "total": 12}, {"name": "early", "total": 30}, {"name": "half", "total": 150},
                  {"name": "rest", "total": 118}],
        "adoption": {
            "versions": [{"version": "10.5.1", "tenants": 300}, {"version": "10.4.0", "tenants": 10}],
            "owners": [{"manager": "helm", "tenants": 306, "released": true},
                       {"manager": "argocd-controller", "tenants": 4, "released": false}],
        },
    });
    rollout(&status)
}

pub(crate) fn awaiting_approval() -> Rollout {
    let passed = |name: &str, total: u32, at: &str| {
        json!({"name": name, "total": total, "updated": total, "ready": total, "startedAt": "2026-02-01T00:00:00Z",
               "passedAt": at})
    };
    let changes = json!({
        "message": "wave rest waits for an Approve",
        "wave": "rest",
        "counts": {"live": 310, "updated": 192, "ready": 192},
        "waves": [
            passed("community", 12, "2026-03-01T00:00:00Z"), passed("early", 30, "2026-03-04T00:00:00Z"),
            passed("half", 150, "2026-03-08T00:00:00Z"), {"name": "rest", "total": 118},
        ],
    });
    rollout(&with(base("AwaitingApproval", "AwaitingApproval"), changes))
}

pub(crate) fn completed() -> Rollout {
    let waves = ["community", "early", "half", "rest"].map(|name| {
        json!({"name": name, "total": 77, "updated": 77, "ready": 77, "startedAt": "2026-02-01T00:00:00Z",
               "passedAt": "2026-03-07T06:00:00Z"})
    });
    let changes = json!({
        "message": "10.5.2 is stable",
        "stableVersion": "10.5.2", "candidateVersion": null, "wave": null, "completedAt": "2026-03-10T06:00:00Z",
        "counts": {"live": 310, "updated": 310, "ready": 310, "dormant": 3},
        "waves": waves,
    });
    rollout(&with(base("Completed", "Completed"), changes))
}

macro_rules! shows {
    ($($test:ident: $rollout:expr;)*) => {$(
        #[test]
        fn $test() {
            insta::assert_snapshot!(render(&$rollout, NOW.parse().unwrap()));
        }
    )*};
}

shows! {
    an_advancing_wave_shows_its_failed_tenants: advancing();
    a_soak_with_a_hold_shows_who_holds_and_why: soaking_held();
    a_wave_with_too_little_traffic_says_so_and_shows_the_spared_tenant: insufficient();
    what_is_not_calibrated_says_why: uncalibrated();
    a_revert_shows_the_figure_that_caused_it: reverting();
    a_reverted_version_shows_what_came_of_it: reverted();
    an_adoption_shows_versions_and_owners: adopting();
    an_awaited_approval_shows_the_command: awaiting_approval();
    a_completed_version_is_short: completed();
    a_rollout_nobody_has_seen_says_so: Rollout { status: None, ..advancing() };
}

#[test]
fn an_edit_that_was_not_seen_is_said() {
    let mut rollout = advancing();
    rollout.metadata.generation = Some(5);
    assert!(
        render(&rollout, NOW.parse().unwrap()).contains("(the last edit of the spec has not been seen yet)")
    );
}

#[test]
fn other_peoples_words_stay_on_their_line_and_move_no_cursor() {
    let mut rollout = soaking_held();
    let status = rollout.status.as_mut().unwrap();
    status.message = "a\x1b[2Jb\nName: fake".into();
    status.brakes[0].reason = "\x1b]0;title\x07".into();
    let text = render(&rollout, NOW.parse().unwrap());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(text.contains("a [2Jb Name: fake"));
}
