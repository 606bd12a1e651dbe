use serde_json::json;

use super::*;

/// A latency SLO beside the one that spoke, a tenant with a hostile name, and everything that a report can hold.
pub(super) fn fixture() -> (DeviationReportSpec, DeviationReportStatus) {
    let wave = |i: usize| f64::from(u32::try_from(i % 7).unwrap()) * 11.0;
    let bad = |i: usize| match i {
        0..=108 => 24.0 + wave(i),
        109..=121 => 380.0 + wave(i) * 9.0,
        122..=126 => 260.0 - (i as f64 - 121.0) * 40.0,
        _ => 26.0 + wave(i),
    };
    let arm = |of: &dyn Fn(usize) -> f64, total: f64| json!({"bad": (0..240).map(of).collect::<Vec<_>>(), "total": vec![total; 240]});
    let others = arm(&|i| 220.0 + wave(i) * 3.0, 240_000.0);
    let spec = json!({
        "rollout": "chat", "version": "10.6.0",
        "investigation": {"state": "Fixed", "fixedIn": "10.6.1", "notes": "The session cache was keyed without the team.\nSee INC-4711."},
    });
    let at = |time: &str| format!("2026-03-10T{time}Z");
    let slos = json!([
        {"name": "api-latency", "measures": "http_seconds above 500ms", "objective": "99%", "verdict": "Healthy",
         "limits": ["deviation: 14.4% bad over 1h and 5m (burn rate 14.4x)"], "query": "sum by (tenant) (x)", "step": "1m",
         "message": "api-latency of wave early: 0.4% against 0.4% baseline", "value": 0.004, "baseline": 0.004, "limit": 0.144,
         "window": "1h", "candidates": 37, "others": 263,
         "chart": {"start": at("08:00:00"), "every": "1m", "candidates": arm(&|i| 90.0 + wave(i), 20_000.0), "baseline": others}},
        {"name": "api-errors", "measures": "http_requests_total{code=~\"5..\"} of http_requests_total", "objective": "99.5%",
         "limits": ["deviation: 7.2% bad over 1h and 5m (burn rate 14.4x)", "deviation: 3% bad over 6h and 30m (burn rate 6x)",
                    "hold: 5% bad during warm-up, per wave"],
         "query": "sum by (tenant) (increase(http_requests_total{code=~\"5..\"}[1m]))", "step": "1m", "verdict": "Deviating",
         "message": "api-errors of wave early: 3.2% against 0.095% baseline", "value": 0.032, "baseline": 0.00095, "limit": 0.03,
         "window": "6h", "candidates": 37, "others": 263,
         "harm": {"since": at("09:49:00"), "bad": 6_930, "total": 252_000, "excess": 6_690, "budgetMinutes": 5.15, "tenants": 33},
         "chart": {"start": at("08:00:00"), "every": "1m", "candidates": arm(&bad, 20_000.0), "baseline": others}},
        {"name": "queue", "measures": "max(queue)", "limits": ["deviation: above 1000 for 10m"], "query": "max(queue)", "limit": 1000.0,
         "chart": {"start": at("08:00:00"), "every": "1m", "values": (0..240).map(|i| if i % 60 == 7 { json!(null) } else { json!(200 + i) }).collect::<Vec<_>>()}},
    ]);
    let around = json!({
        "comparedWith": "263 tenants that were not updated yet, at the same time",
        "generation": 14, "revision": "chat-5f6d8", "versions": [{"version": "10.5.2", "tenants": 263}, {"version": "10.6.0", "tenants": 37}],
        "brakes": ["Hold chat-hold-x7k2p by alice: standup"],
        "actions": [{"at": at("07:30:00"), "reason": "ActionHonoured", "message": "Approve chat-approve-q9d1v by alice: wave early may start"}],
        "alerts": ["ApiErrors{severity=\"page\",tenant=\"acme-us\"} since 2026-03-10T09:58:00Z"],
        "changes": [
            {"at": at("08:20:00"), "reason": "SpecChanged", "message": "generation 14 is in force, kept as chat-5f6d8; it wants 10.6.0"},
            {"at": at("10:01:30"), "reason": "Deviation", "message": "api-errors of wave early: 3.2% against 0.095% baseline", "warning": true},
            {"at": at("10:06:20"), "reason": "RevertedTenants", "message": "36 tenants are back, 1 are not"},
        ],
    });
    let mut status = json!({
        "slos": slos,
        "outcome": "Reverted", "reason": "BurnRate", "attribution": "Attributed",
        "message": "api-errors of wave early: 3.2% against 0.095% baseline (burn rate 6.3x, limit 6x) over 6h and 30m, 2.8M requests, 37 tenants",
        "slo": "api-errors", "value": 0.032, "baseline": 0.00095, "limit": 0.03, "window": "6h", "wave": "early",
        "startedAt": "2026-03-03T09:00:00Z", "firstHarmAt": at("09:49:00"), "detectedAt": at("10:00:00"),
        "decidedAt": at("10:01:30"), "firstWriteAt": at("10:01:31"), "lastReadyAt": at("10:06:10"),
        "finishedAt": at("10:46:10"),
        "waves": [{"name": "community", "touched": 9}, {"name": "early", "touched": 28}, {"name": "rest", "touched": 0}],
        "reverted": 36, "failed": 1, "notBack": ["tenants/acme-eu"],
        "answer": "version 10.6.0 is out of 36 tenants, 1 are not back; the SLOs recovered, so the release was the cause",
        "worst": [
            {"tenant": "tenants/<script>alert(1)</script>", "bad": 2_914, "total": 41_200, "excess": 2_875, "since": at("09:49:00")},
            {"tenant": "tenants/acme-us", "bad": 1_201, "total": 39_800, "excess": 1_163, "since": at("09:51:00")},
        ],
        "leftOut": [{"what": "worst", "count": 31}],
    });
    status.as_object_mut().unwrap().extend(around.as_object().unwrap().clone());
    (serde_json::from_value(spec).unwrap(), serde_json::from_value(status).unwrap())
}

fn report((spec, status): &(DeviationReportSpec, DeviationReportStatus)) -> Report<'_> {
    Report { namespace: "ops", name: "chat-1a2b3c4d-1", spec, status }
}

#[test]
fn markdown_is_fit_for_a_ticket() {
    insta::assert_snapshot!(markdown(&report(&fixture())));
}

#[test]
fn a_page_stands_alone_escapes_what_people_named_and_breaks_no_number() {
    let page = html(&report(&fixture()));
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("NaN") && !page.contains("inf "), "a number that no browser draws");
    assert!(!page.contains("http://") && !page.contains("https://"), "a request would leave it");
    for part in [
        "first harm",
        "decided",
        "all back",
        "6,690",
        "tenants/acme-eu",
        "31 more are not listed",
        "INC-4711",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // What spoke is shown first.
    assert!(page.find("<code>api-errors").unwrap() < page.find("<code>api-latency").unwrap());
    if let Some(folder) = std::env::var_os("BREAKWATER_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join("report.html"), page).unwrap();
    }
}

#[test]
fn a_report_that_was_only_just_written_is_a_page_too() {
    let spec = DeviationReportSpec { rollout: "chat".into(), version: "1".into(), investigation: None };
    let bare = (spec, DeviationReportStatus::default());
    assert!(html(&report(&bare)).contains("Version 1 of chat is rejected"));
    assert!(markdown(&report(&bare)).starts_with("# Version 1 of chat is rejected"));
}

#[test]
fn a_decision_within_the_first_minutes_stands_in_the_chart_and_so_does_the_one_point_before_it() {
    let (spec, mut status) = fixture();
    let moment = status.moment().unwrap();
    for slo in &mut status.slos {
        let Some(chart) = &mut slo.chart else { continue };
        chart.start = moment - jiff::SignedDuration::from_secs(200);
        for arm in [&mut chart.candidates, &mut chart.baseline] {
            arm.bad.truncate(3);
            arm.total.truncate(3);
        }
        chart.values.truncate(3);
        if let [first, second, _] = &mut chart.candidates.total[..] {
            (*first, *second) = (0.0, 0.0);
        }
    }
    let page = html(&report(&(spec, status)));
    assert!(page.contains(">decided<") && page.contains("a2 2 0 1 0 2 0a2 2"), "{page}");
}
