//! The comparison from runs to the answer. Pure.

use std::collections::BTreeSet;

use breakwater_text::figure::number;

use crate::{
    graphs, judge,
    noise::{self, Widened},
    outcome::{Change, Comparison, Counts, Metric, Side, Verdict},
    pairs::{self, Pair},
    rules::Rules,
    run::{Kind, Run},
    stats::median,
};

/// Lengths of runs, or their request rates, that differ by more are told.
const UNLIKE: f64 = 0.1;
/// Scatter between the sides that is told, times what runs explain.
const WIDENED: f64 = 1.5;

/// Compares a candidate with a base, several runs a side or one. Never panics, and what cannot be compared is
/// [`Verdict::NoData`].
pub fn compare(base: &[Run], candidate: &[Run], rules: &Rules) -> Comparison {
    let mut notes = Vec::new();
    let (base, candidate) = (usable("base", base, &mut notes), usable("candidate", candidate, &mut notes));
    let (sides, runs) = ((side(&base), side(&candidate)), (base.len(), candidate.len()));
    let (times, whole) = (pairs::times(&base, &candidate, rules), graphs::whole(&base, &candidate, rules));
    let Judged { mut metrics, widened, could_detect } = judged(&times, runs, rules, None);
    let mut factors: Vec<f64> =
        widened.iter().filter(|(kind, _)| kind.is_time()).map(|(_, factor)| *factor).collect();
    metrics.extend(judged(&whole, runs, rules, Some(median(&mut factors).max(1.0))).metrics);
    notes.extend(inputs(&base, &candidate, &times, &widened));
    if metrics.iter().any(|metric| metric.kind == Kind::RequestRate && metric.change == Change::Better) {
        notes.push(
            "the candidate served more requests a second: its times were measured under more load".to_owned(),
        );
    }
    let counts = counted(&metrics);
    let (verdict, sentence, findings) = if let Some(why) = no_data(runs, &times, &counts, rules) {
        (Verdict::NoData, why, Vec::new())
    } else {
        let (verdict, sentence) = answer(&metrics, &counts, could_detect, rules);
        (verdict, sentence, findings(&metrics, rules.shown))
    };
    Comparison {
        verdict,
        sentence,
        base: sides.0,
        candidate: sides.1,
        counts,
        could_detect,
        findings,
        vanished: named(&metrics, Change::Vanished, rules.shown),
        appeared: named(&metrics, Change::New, rules.shown),
        notes,
        metrics,
    }
}

/// The runs that hold anything.
fn usable<'a>(name: &str, runs: &'a [Run], notes: &mut Vec<String>) -> Vec<&'a Run> {
    for run in runs.iter().filter(|run| run.is_empty()) {
        notes.push(format!("{name}: run {:?} holds no figures and is left out", run.label));
    }
    runs.iter().filter(|run| !run.is_empty()).collect()
}

fn side(runs: &[&Run]) -> Side {
    Side {
        runs: runs.iter().map(|run| run.label.clone()).collect(),
        from: runs.iter().filter_map(|run| run.start).min(),
        until: runs.iter().filter_map(|run| run.end).max(),
    }
}

/// What became of pairs.
struct Judged {
    metrics: Vec<Metric>,
    widened: Widened,
    could_detect: Option<f64>,
}

/// `whole`: they are of the whole server, widened by this.
fn judged(pairs: &[Pair], runs: (usize, usize), rules: &Rules, whole: Option<f64>) -> Judged {
    let (testable, others): (Vec<&Pair>, Vec<&Pair>) = pairs.iter().partition(|pair| pair.is_testable());
    let (estimates, widened) = noise::estimates(&testable, rules, whole);
    let mut metrics = judge::tested(&testable, &estimates, rules);
    let could_detect = judge::detectable(&testable, &estimates, rules);
    metrics.extend(others.into_iter().map(|pair| judge::untested(pair, runs, rules)));
    Judged { metrics, widened, could_detect }
}

fn counted(metrics: &[Metric]) -> Counts {
    let mut counts = Counts::default();
    for metric in metrics {
        let count = match metric.change {
            Change::Same => None,
            Change::Worse => Some(&mut counts.worse),
            Change::Better => Some(&mut counts.better),
            Change::Clamped => Some(&mut counts.clamped),
            Change::Unresolved => Some(&mut counts.unresolved),
            Change::Vanished => Some(&mut counts.vanished),
            Change::New => Some(&mut counts.new),
            Change::NoData => Some(&mut counts.no_data),
        };
        if let Some(count) = count {
            *count += 1;
        }
        if matches!(metric.change, Change::Same | Change::Worse | Change::Better) {
            counts.compared += 1;
        }
    }
    counts
}

/// Why nothing can be said.
fn no_data(runs: (usize, usize), times: &[Pair], counts: &Counts, rules: &Rules) -> Option<String> {
    match runs {
        (0, 0) => return Some("neither side has a run with figures".to_owned()),
        (0, _) => return Some("the base has no run with figures".to_owned()),
        (_, 0) => return Some("the candidate has no run with figures".to_owned()),
        _ => {}
    }
    let of_base = times.iter().filter(|pair| !pair.base.is_empty());
    let (had, kept) = of_base.fold((0_usize, 0_usize), |(had, kept), pair| {
        (had + 1, kept + usize::from(!pair.candidate.is_empty()))
    });
    if had > 0 && (kept as f64) < rules.least_overlap.0 * had as f64 {
        return Some(format!(
            "the candidate has {kept} of the base's {had} times: not a whole report of the same test"
        ));
    }
    if had == 0 && times.iter().any(|pair| !pair.candidate.is_empty()) {
        return Some("the base has no times, though the candidate has".to_owned());
    }
    (counts.compared == 0).then(|| "no metric can be compared".to_owned())
}

/// The worst of all, and why.
fn answer(
    metrics: &[Metric],
    counts: &Counts,
    could_detect: Option<f64>,
    rules: &Rules,
) -> (Verdict, String) {
    let verdict = metrics.iter().map(|metric| metric.verdict).max().unwrap_or(Verdict::NoData);
    let worst = findings(metrics, 1).pop().map(|metric| metric.sentence).unwrap_or_default();
    let with = |verdict| metrics.iter().filter(|metric| metric.verdict == verdict).count();
    let compared = counts.compared;
    let seen = could_detect.map_or_else(String::new, |ratio| {
        format!("; could detect {}x on the average of a typical handler", number(ratio))
    });
    match verdict {
        Verdict::Fail => (verdict, format!("{} of {compared} metrics fail; {worst}", with(Verdict::Fail))),
        Verdict::Warn => (
            verdict,
            format!("{} of {compared} metrics want a look, none fails; {worst}", with(Verdict::Warn)),
        ),
        Verdict::Pass | Verdict::NoData => {
            let blind = could_detect.is_some_and(|ratio| ratio > rules.must_detect);
            let verdict = if blind { Verdict::Warn } else { verdict };
            let wanted = if blind {
                format!(", though {}x is wanted", number(rules.must_detect))
            } else {
                String::new()
            };
            (
                verdict,
                format!(
                    "none of {compared} metrics is worse by more than noise where users would feel it{seen}{wanted}"
                ),
            )
        }
    }
}

/// Those that fail or warn: worst first, then the whole server, then by the time that users lose.
fn findings(metrics: &[Metric], most: usize) -> Vec<Metric> {
    let mut found: Vec<&Metric> =
        metrics.iter().filter(|metric| matches!(metric.verdict, Verdict::Warn | Verdict::Fail)).collect();
    // Of a p99 one request in a hundred feels anything.
    let felt_by =
        |metric: &Metric| metric.traffic_share.unwrap_or(1.0) * if metric.kind.is_p99() { 0.01 } else { 1.0 };
    let lost = |metric: &Metric| match (metric.base, metric.candidate, metric.name.is_empty()) {
        (_, _, true) => f64::INFINITY,
        (Some(base), Some(candidate), false) => (candidate - base) * felt_by(metric),
        (_, _, false) => 0.0,
    };
    found.sort_by(|a, b| {
        b.verdict.cmp(&a.verdict).then(lost(b).total_cmp(&lost(a))).then(a.name.cmp(&b.name))
    });
    found.into_iter().take(most).cloned().collect()
}

fn named(metrics: &[Metric], change: Change, most: usize) -> Vec<String> {
    let family = |metric: &Metric| match metric.kind {
        Kind::ApiAverage | Kind::ApiP99 => format!("{} (API)", metric.name),
        Kind::StoreAverage | Kind::StoreP99 => format!("{} (store)", metric.name),
        Kind::RequestRate
        | Kind::ErrorShare
        | Kind::Cpu
        | Kind::Memory
        | Kind::Goroutines
        | Kind::SupportedUsers => metric.kind.words().to_owned(),
    };
    let names: BTreeSet<String> =
        metrics.iter().filter(|metric| metric.change == change).map(family).collect();
    names.into_iter().take(most).collect()
}

/// What of the inputs limits the answer.
fn inputs(base: &[&Run], candidate: &[&Run], times: &[Pair], widened: &Widened) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown = times.iter().filter(|pair| pair.calls.is_none() && pair.within.is_none()).count();
    if base.len() == 1 && candidate.len() == 1 && unknown > 0 {
        notes.push(format!(
            "one run a side, and for {unknown} of {} times the calls are not known: these can warn, not fail; give several runs, \
             or the calls under traffic in the rules",
            times.len()
        ));
    }
    let missing = |runs: &[&Run]| {
        runs.iter()
            .flat_map(|run| run.times.values())
            .flatten()
            .filter(|(_, measured)| measured.value.is_nan())
            .count()
    };
    for (name, runs) in [("base", base), ("candidate", candidate)] {
        let missing = missing(runs);
        if missing > 0 {
            notes.push(format!(
                "{name}: {missing} figures are NaN: nothing was called, and nothing is compared"
            ));
        }
    }
    let lengths: Vec<f64> = base.iter().chain(candidate).filter_map(|run| run.length_seconds()).collect();
    let (least, most) =
        (lengths.iter().copied().fold(f64::INFINITY, f64::min), lengths.iter().copied().fold(0.0, f64::max));
    if lengths.len() > 1 && most > least * (1.0 + UNLIKE) {
        notes.push(format!("runs are of unlike length: {:.0} to {:.0} minutes", least / 60.0, most / 60.0));
    }
    for (kind, factor) in widened.iter().filter(|(_, factor)| *factor > WIDENED) {
        notes.push(format!(
            "{}: the sides scatter {factor:.1} times as much as their runs explain, across most metrics; noise is taken to be that much",
            kind.words()
        ));
    }
    notes
}
