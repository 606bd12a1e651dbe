//! The result in text, as an SRE reads it: first whether the judge is to be trusted, then how soon it is. Pure.

use breakwater_crds::{Span, rollout::Baseline};
use breakwater_page::text::{count, number};
use jiff::Timestamp;

use super::outcome::{Calibration, FaultOutcome, Found, Outcome, SloOutcome, WaveOutcome};
use crate::plugin::{
    paint::{BAD, DONE, IDLE, WARN},
    text,
};

/// The whole of it.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut parts = vec![head(outcome), judges(outcome), faults(outcome)];
    parts.extend(sentences(outcome));
    if !outcome.notes.is_empty() {
        let notes: Vec<String> =
            outcome.notes.iter().map(|note| format!("  {}", text::plain(note))).collect();
        parts.push(format!("Notes:\n{}", notes.join("\n")));
    }
    parts.push(verdict(outcome));
    parts.join("\n\n")
}

fn head(outcome: &Outcome) -> String {
    let between = |from: Timestamp, to: Timestamp| {
        format!("{} to {} ({})", minute(from), minute(to), span(to.duration_since(from).as_secs()))
    };
    let steps = |slo: &SloOutcome| {
        format!(
            "{} in steps of {}, each read {} after its end",
            slo.name,
            span(slo.step_seconds),
            span(slo.lag_seconds)
        )
    };
    text::fields([
        ("Rollout", outcome.rollout.clone()),
        ("Tenants", count(outcome.tenants as f64)),
        ("Taught", between(outcome.from, outcome.watched_from)),
        ("Tried", between(outcome.watched_from, outcome.until)),
        ("Read", outcome.slos.iter().map(steps).collect::<Vec<_>>().join("; ")),
        ("Seed", outcome.seed.map(|seed| seed.to_string()).unwrap_or_default()),
    ])
}

/// A line per SLO and wave: the judge while nothing is wrong.
fn judges(outcome: &Outcome) -> String {
    let header = [
        "SLO",
        "WAVE",
        "CANDIDATES",
        "COMPARED WITH",
        "DISPERSION",
        "FALSE ALARMS",
        "COULD DETECT",
        "HELD",
        "NO DATA",
    ];
    let rows = each(outcome).map(|(slo, wave)| {
        [
            slo.name.clone(),
            wave.wave.clone(),
            format!("{} of {}", wave.candidates, wave.candidates + wave.baseline),
            wave.against.map_or_else(|| "-".into(), |against| compared_with(against, wave)),
            wave.phi.map_or_else(|| "-".into(), |phi| format!("{phi:.2}")),
            alarms(wave),
            wave.detectable.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}x")),
            share(wave.held_steps, wave.steps),
            share(wave.no_data_steps, wave.steps),
        ]
    });
    text::table(header, rows)
}

/// What the comparison takes for its baseline, in words.
pub(super) fn compared_with(against: Baseline, wave: &WaveOutcome) -> String {
    match against {
        Baseline::Others => format!("{} others", wave.baseline),
        Baseline::Both => format!("{} others and own past", wave.baseline),
        Baseline::History | Baseline::Auto => "own past".to_owned(),
    }
}

/// Whether the judge cried, with a glyph.
pub(super) fn alarms(wave: &WaveOutcome) -> String {
    match &wave.calibration {
        Calibration::Armed | Calibration::Off if wave.is_blind() => format!("{BAD} NoData"),
        Calibration::Armed | Calibration::Off => match wave.alarms.first() {
            Some(alarm) => format!("{BAD} {} {}", alarm.guard, minute(alarm.at)),
            None => format!("{DONE} None"),
        },
        Calibration::Uncalibrated { .. } => format!("{BAD} Uncalibrated"),
        Calibration::NoHistory { .. } => format!("{BAD} NoHistory"),
    }
}

fn share(part: u64, of: u64) -> String {
    if part == 0 { "-".into() } else { breakwater_page::text::percent(part as f64 / of.max(1) as f64) }
}

/// A line per SLO, wave and fault.
fn faults(outcome: &Outcome) -> String {
    let header = ["SLO", "WAVE", "FAULT", "IN TENANTS", "CAUGHT", "BY", "BAD REQUESTS"];
    let rows = each(outcome).flat_map(|(slo, wave)| {
        wave.faults.iter().map(|fault| {
            let noticed = fault.found.as_ref().or(fault.held.as_ref());
            [
                slo.name.clone(),
                wave.wave.clone(),
                name(fault),
                format!("{} of {}", fault.tenants, wave.candidates),
                caught(fault, wave),
                noticed.map_or_else(|| "-".into(), |found| found.guard.to_string()),
                noticed.map_or_else(|| "-".into(), |found| count(found.bad_requests)),
            ]
        })
    });
    text::table(header, rows)
}

/// `+1% (6x)`, `2x`.
pub(super) fn name(fault: &FaultOutcome) -> String {
    match fault.factor {
        Some(factor) if fault.fault.starts_with('+') => format!("{} ({}x)", fault.fault, number(factor)),
        Some(_) | None => fault.fault.clone(),
    }
}

/// When, with a glyph.
pub(super) fn caught(fault: &FaultOutcome, wave: &WaveOutcome) -> String {
    match (&fault.found, &fault.held) {
        (Some(Found { after_seconds, .. }), _)
            if wave.soak_seconds > 0 && *after_seconds > wave.soak_seconds =>
        {
            format!(
                "{WARN} after {}, later than the soak of {}",
                minutes(*after_seconds),
                span(wave.soak_seconds)
            )
        }
        (Some(found), _) => format!("{DONE} after {}", minutes(found.after_seconds)),
        (None, Some(held)) => {
            format!(
                "{} held after {}",
                if fault.must_be_found { BAD } else { WARN },
                minutes(held.after_seconds)
            )
        }
        (None, None) => format!("{} not caught", if fault.must_be_found { BAD } else { IDLE }),
    }
}

/// `24m`, and from two hours on in hours too: `192m (3h12m)`.
fn minutes(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..7_200 => format!("{}m", seconds / 60),
        _ => format!("{}m ({})", seconds / 60, span(seconds)),
    }
}

/// What is wrong, in the judge's own words.
fn sentences(outcome: &Outcome) -> Option<String> {
    let mut lines = Vec::new();
    for (slo, wave) in each(outcome) {
        let at = format!("{}, wave {}", slo.name, wave.wave);
        match &wave.calibration {
            Calibration::Armed | Calibration::Off => {}
            Calibration::Uncalibrated { reason } => lines.push(format!("{at}: not calibrated: {reason}")),
            Calibration::NoHistory { reason } => lines.push(format!("{at}: NoHistory: {reason}")),
        }
        if wave.is_blind() {
            lines.push(format!(
                "{at}: {} of {} steps had no data: nothing is known",
                wave.no_data_steps, wave.steps
            ));
        }
        lines.extend(
            wave.alarms
                .iter()
                .map(|alarm| format!("{} {}: {}", minute(alarm.at), alarm.guard, alarm.sentence)),
        );
    }
    lines.extend(outcome.together.iter().map(|alarm| format!("{} {}", minute(alarm.at), alarm.sentence)));
    let lines: Vec<String> = lines.iter().map(|line| format!("  {}", text::plain(line))).collect();
    (!lines.is_empty()).then(|| format!("Nothing was rolled out, and yet:\n{}", lines.join("\n")))
}

/// The last line.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let must = number(outcome.must_detect);
    let alarms: usize =
        each(outcome).map(|(_, wave)| wave.alarms.len()).sum::<usize>() + outcome.together.len();
    let unarmed = each(outcome).any(|(_, wave)| match wave.calibration {
        Calibration::Armed | Calibration::Off => wave.is_blind(),
        Calibration::Uncalibrated { .. } | Calibration::NoHistory { .. } => true,
    });
    let missed: Vec<String> = each(outcome)
        .flat_map(|(slo, wave)| {
            let missed = wave.faults.iter().filter(|fault| !fault.is_good());
            missed.map(move |fault| format!("{} of {} in wave {}", fault.fault, slo.name, wave.wave))
        })
        .collect();
    let mut wrong = Vec::new();
    if alarms > 0 {
        wrong.push(format!("{alarms} false {}", if alarms == 1 { "alarm" } else { "alarms" }));
    }
    if unarmed {
        wrong.push("a judge that could not be armed, or saw too little".to_owned());
    }
    if !missed.is_empty() {
        wrong.push(format!("not caught though of mustDetect ({must}x) or more: {}", missed.join(", ")));
    }
    if wrong.is_empty() {
        format!(
            "{DONE} Good: no false alarm, and every fault of mustDetect ({must}x) or more was caught where others wait."
        )
    } else {
        format!("{BAD} Bad: {}.", wrong.join("; "))
    }
}

fn each(outcome: &Outcome) -> impl Iterator<Item = (&SloOutcome, &WaveOutcome)> {
    outcome.slos.iter().flat_map(|slo| slo.waves.iter().map(move |wave| (slo, wave)))
}

fn span(seconds: i64) -> String {
    Span::seconds(seconds).rounded()
}

/// `2026-03-10 09:58Z`.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use breakwater_crds::words::HoldReason;

    use super::*;
    use crate::backtest::outcome::{Alarm, Track};

    #[expect(clippy::too_many_lines, reason = "a fixture: one value, written out")]
    pub(in crate::backtest) fn example() -> Outcome {
        let at = |hours: i64| Timestamp::from_second(1_767_571_200 + hours * 3_600).unwrap();
        let found = |hours: i64, guard, bad_requests| Found {
            at: at(192 + hours),
            after_seconds: hours * 3_600,
            guard,
            sentence: "api of wave early: 0.7% against 0.3% baseline (2x, limit 1.2x) over 6h, 133k requests"
                .into(),
            bad_requests,
        };
        let fault = |fault: &str, factor, found: Option<Found>| FaultOutcome {
            fault: fault.into(),
            factor: Some(factor),
            starts_at: at(192),
            tenants: 8,
            must_be_found: factor >= 2.0,
            found,
            held: None,
        };
        let wave = |wave: &str, candidates, calibration| WaveOutcome {
            wave: wave.into(),
            soak_seconds: 259_200,
            candidates,
            baseline: 20 - candidates,
            against: Some(if candidates == 20 { Baseline::History } else { Baseline::Others }),
            calibration,
            phi: Some(1.59),
            shape_edges: Vec::new(),
            steps: 2_520,
            missing_steps: 12,
            no_data_steps: 14,
            held_steps: 30,
            detectable: Some(1.372),
            alarms: Vec::new(),
            faults: vec![
                fault("1.5x", 1.5, None),
                fault("2x", 2.0, Some(found(90, HoldReason::Comparison, 1_234.0))),
                fault("+1%", 3.5, Some(found(1, HoldReason::SharpPath, 84.0))),
            ],
            track: Track::default(),
        };
        let doubt = Calibration::Uncalibrated {
            reason: "nothing was rolled out, and the judge would have reverted 2 times".into(),
        };
        let mut rest = wave("rest", 20, doubt);
        rest.faults[1] = FaultOutcome {
            held: Some(found(5, HoldReason::Comparison, 60.0)),
            found: None,
            must_be_found: false,
            ..rest.faults[1].clone()
        };
        rest.faults[2].found = None;
        rest.alarms.push(Alarm {
            at: at(200),
            guard: HoldReason::BurnRate,
            sentence: "api of wave rest: 3% against 0.1% baseline".into(),
        });
        Outcome {
            rollout: "ops/app".into(),
            good: false,
            from: at(0),
            watched_from: at(168),
            until: at(336),
            tenants: 20,
            must_detect: 2.0,
            seed: None,
            notes: vec!["NoHistory: nothing was recorded before then".into()],
            slos: vec![SloOutcome {
                name: "api".into(),
                step_seconds: 240,
                lag_seconds: 120,
                waves: vec![wave("early", 8, Calibration::Armed), rest],
            }],
            together: Vec::new(),
        }
    }

    #[test]
    fn the_table_says_first_whether_the_judge_is_to_be_trusted_and_then_how_soon_it_is() {
        insta::assert_snapshot!(outcome(&example()));
    }

    #[test]
    fn a_good_one_is_good_and_the_json_keeps_its_shape() {
        let mut good = example();
        good.slos[0].waves.truncate(1);
        assert!(verdict(&good).starts_with("✔ Good: "));
        good.slos[0].waves[0].faults.truncate(2);
        insta::assert_snapshot!(serde_json::to_string_pretty(&good).unwrap());
    }
}
