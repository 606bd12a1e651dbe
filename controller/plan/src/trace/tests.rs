use super::*;

const STEP: i64 = 60;

fn frame(n: i64) -> Frame {
    Frame {
        end_seconds: n * STEP,
        step_seconds: STEP,
        allowed: 0.01,
        margin_ratio: 1.2,
        margin_absolute: 0.001,
    }
}

fn counts(bad: f64) -> Counts {
    Counts { bad, total: 1_000.0 }
}

/// Ten candidates, the first of them with so many bad events, and ten others.
fn step(trace: &mut Trace, n: i64, first: f64) {
    let candidates =
        (0..10).map(move |i| (TenantId(i), Side::Candidate, counts(if i == 0 { first } else { 1.0 })));
    let others = (10..20).map(|i| (TenantId(i), Side::Baseline, counts(1.0)));
    trace.take(frame(n), candidates.chain(others), |_| None);
}

#[test]
fn the_first_harm_is_the_step_with_which_the_excess_began_to_grow() {
    let mut trace = Trace::default();
    (1..=500).for_each(|n| step(&mut trace, n, 1.0));
    assert_eq!((trace.first_harm_seconds(), trace.harm()), (None, None));
    assert!(trace.tenants.is_empty(), "a healthy version leaves nothing behind");
    (501..=510).for_each(|n| step(&mut trace, n, 101.0));
    let harm = trace.harm().unwrap();
    assert_eq!(trace.first_harm_seconds(), Some(500 * STEP));
    // A hundred of 20,000 requests a minute where 200 are allowed: half a minute's budget, ten times.
    let figures = (harm.bad, harm.total, harm.excess, harm.budget_minutes, harm.tenants);
    assert_eq!(figures, (1_100.0, 100_000.0, 1_000.0, 5.0, 1));
    let (worst, all) = trace.worst(5);
    assert_eq!((worst[0].0, worst[0].1.excess, all), (TenantId(0), 1_000.0, 1));
}

#[test]
fn each_step_counts_once_and_a_chart_is_only_ever_added_to() {
    let mut trace = Trace::default();
    (1..=200).for_each(|n| step(&mut trace, n, 1.0));
    step(&mut trace, 150, 900.0);
    let mut chart = None;
    trace.draw(&mut chart, 1_000_000);
    let first = chart.clone().unwrap();
    assert_eq!((first.len(), first.start.as_second()), (120, 80 * STEP), "two hours");
    assert_eq!(first.candidates.bad, [10.0; 120]);
    trace.draw(&mut chart, 1_000_000);
    assert_eq!(chart.as_ref(), Some(&first));
    trace.pin(200 * STEP);
    (201..=400).for_each(|n| step(&mut trace, n, 5.0));
    trace.draw(&mut chart, (200 + 120) * STEP);
    let whole = chart.unwrap();
    assert_eq!((whole.len(), end_seconds(&whole)), (POINTS_MAX, 320 * STEP));
    assert_eq!((whole.start, &whole.candidates.bad[..120]), (first.start, &first.candidates.bad[..]));
}

/// Found at random: a revert after two hours without a look, and then a backlog of steps from before its window.
#[test]
fn steps_that_come_late_and_lie_before_the_window_of_a_decision_are_not_of_its_chart() {
    let mut trace = Trace::default();
    trace.pin(300 * STEP);
    step(&mut trace, 100, 500.0);
    assert!(trace.points.is_empty(), "200 minutes before the decision");
    assert_eq!(trace.harm().map(|harm| harm.bad), Some(509.0), "what was felt is counted all the same");
    trace.take_values(frame(101), Some(1.0));
    step(&mut trace, 301, 1.0);
    assert_eq!(trace.points.len(), 1);
}

#[test]
fn short_steps_are_added_up_and_gaps_are_stretches_without_events() {
    let mut trace = Trace::default();
    for n in (1..=24).chain(49..=60) {
        let frame = Frame { end_seconds: n * 5, step_seconds: 5, ..frame(n) };
        trace.take(frame, std::iter::once((TenantId(1), Side::Candidate, counts(1.0))), |_| None);
    }
    let mut chart = None;
    trace.draw(&mut chart, 1_000);
    let chart = chart.unwrap();
    assert_eq!(chart.candidates.total, [12_000.0, 12_000.0, 0.0, 0.0, 12_000.0]);
    assert_eq!(chart.candidates.share(2), None);
}

#[test]
fn after_the_decision_nothing_falls_back_and_who_is_back_feels_no_more() {
    let mut trace = Trace::default();
    (1..=10).for_each(|n| step(&mut trace, n, 101.0));
    trace.pin(10 * STEP);
    let before = trace.harm().unwrap();
    for n in 11..=100 {
        let back = (0..10).map(|i| (TenantId(i), Side::Back, counts(0.0)));
        trace.take(frame(n), back, |_| None);
    }
    assert_eq!(trace.harm().unwrap(), before);
    trace.unpin();
    (101..=1_500).for_each(|n| step(&mut trace, n, 1.0));
    assert_eq!(trace.harm(), None, "its window over, it falls back");
}

#[test]
fn a_tenant_that_always_was_like_this_did_not_begin_to_be() {
    let mut trace = Trace::default();
    for n in 1..=300 {
        let candidates =
            (0..10).map(|i| (TenantId(i), Side::Candidate, counts(if i == 0 { 50.0 } else { 1.0 })));
        let others = (10..110).map(|i| (TenantId(i), Side::Baseline, counts(6.0)));
        trace.take(frame(n), candidates.chain(others), |id| (id == TenantId(0)).then_some(0.05));
    }
    assert_eq!(trace.first_harm_seconds(), None);
}

#[test]
fn of_any_fleet_only_so_many_tenants_are_kept_and_the_worst_are_among_them() {
    let mut trace = Trace::default();
    for n in 1..=3 {
        let candidates = (0..100_000_u64).map(|i| {
            (
                TenantId(i),
                Side::Candidate,
                counts(if i % 10_000 == 9_999 { 900.0 } else { 100.0 + (i % 7) as f64 }),
            )
        });
        trace.take(frame(n), candidates.chain([(TenantId(1 << 40), Side::Baseline, counts(1.0))]), |_| None);
    }
    assert!(trace.tenants.len() <= TENANTS_MAX);
    let (worst, _) = trace.worst(10);
    assert!(worst.iter().all(|(id, _)| id.0 % 10_000 == 9_999), "{worst:?}");
    assert!(trace.harm().unwrap().excess > 2.9e7, "the arm's sum is whole");
}

#[test]
fn values_of_a_query_are_drawn_with_gaps() {
    let mut trace = Trace::default();
    for (n, worst) in [(1, Some(3.0)), (2, None), (3, Some(f64::NAN)), (5, Some(7.0))] {
        trace.take_values(frame(n), worst);
    }
    let mut chart = None;
    trace.draw(&mut chart, 1_000);
    assert_eq!(chart.unwrap().values, [Some(3.0), None, None, None, Some(7.0)]);
}
