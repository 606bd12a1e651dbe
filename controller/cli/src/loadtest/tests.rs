//! The command on the fixtures of `breakwater-loadtest`, and on a Prometheus that is made up.

use breakwater_loadtest::Verdict;
use breakwater_operator::telemetry::{Counts, Grid, Labels, ReadError, Sink};
use clap::Parser as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Args, Command, exit_code, page, play, read, report};
use crate::settings::{Cli, Command as Verb};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../loadtest/tests/data");

fn args(line: &str) -> Args {
    let words = line.split_whitespace().map(|word| {
        if word.contains(".json") || word.contains(".yaml") {
            format!("{DATA}/{word}")
        } else {
            word.to_owned()
        }
    });
    let line = ["breakwater", "loadtest", "compare"].map(String::from).into_iter().chain(words);
    let Verb::Loadtest { command: Command::Compare(args) } = Cli::try_parse_from(line).unwrap().command
    else {
        panic!("another command")
    };
    *args
}

/// What is printed, and the verdict.
fn said(line: &str) -> (String, Verdict) {
    let comparison = play(&args(line)).unwrap();
    (report::table(&comparison), comparison.verdict)
}

#[test]
fn a_slower_candidate_fails_and_the_same_passes() {
    let (text, verdict) = said(
        "base-1.json base-2.json.gz base-3.json.gz --candidate slower-1.json slower-2.json.gz slower-3.json.gz",
    );
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
    let (_, verdict) = said(
        "base-1.json base-2.json.gz base-3.json.gz --candidate same-1.json same-2.json.gz same-3.json.gz",
    );
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn one_run_a_side_says_what_it_cannot_see_and_the_traffic_in_the_rules_mends_it() {
    insta::assert_snapshot!(said("base-1.json same-1.json").0);
    let comparison = play(&args("base-1.json slower-1.json --rules rules.yaml --users 17339/15000")).unwrap();
    insta::assert_snapshot!(report::markdown(&comparison));
    let html = page::render(&comparison);
    assert!(html.contains("supported users") && html.contains("427 metrics"));
}

#[test]
fn exit_codes_tell_pass_from_fail_from_bad_input() {
    let code = |verdict, strict| exit_code(Ok(verdict), strict);
    assert_eq!([code(Verdict::Pass, true), code(Verdict::Warn, false)], [0, 0]);
    assert_eq!(
        [code(Verdict::Warn, true), code(Verdict::Fail, false), code(Verdict::NoData, false)],
        [1, 1, 1]
    );
    assert_eq!(exit_code(Err(()), false), 2);
}

#[test]
fn bad_input_names_what_is_wrong() {
    let why = |line: &str| play(&args(line)).unwrap_err().replace(DATA, "");
    let said = [
        why("base-1.json"),
        why("--candidate base-1.json"),
        why("base-1.json absent.json"),
        why("base-1.json rules.yaml"),
        why("base-1.json same-1.json --rules base-1.json"),
        why("base-1.json same-1.json --users many"),
        why("--from-prometheus http://localhost:1 --base 2026-03-01"),
        why("--from-prometheus http://localhost:1 --base 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z"),
        why(
            "--from-prometheus http://localhost:1 --matchers a=b --base 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z --candidate 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z",
        ),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

/// A Prometheus with twenty handlers and methods, on the second day of which one handler is twice as slow.
struct MadeUp;

const SECOND_DAY: i64 = 1_772_409_600;

impl MadeUp {
    fn value(promql: &str, name: i64, at: i64) -> f64 {
        // Some per cent of noise, the same at every look.
        let noise = 1.0 + 0.01 * ((at / 300 + name * 7) % 5) as f64;
        let slow = if name == 3 && at > SECOND_DAY && promql.contains("api_time") { 2.0 } else { 1.0 };
        match promql {
            _ if promql.contains("histogram_quantile") => 0.2 * noise * slow,
            _ if promql.contains(" / ") => 0.03 * noise * slow,
            _ => 50_000.0,
        }
    }
}

impl Counts for MadeUp {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            let label = if promql.contains("handler") { "handler" } else { "method" };
            for name in 0..20 {
                let labels = format!("{{\"{label}\":\"thing{name}\"}}");
                sink.series(Labels::new(&labels)).unwrap();
                sink.sample(at.as_second() as f64, Self::value(promql, name, at.as_second()));
            }
            Ok(())
        })
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            // No goroutines were scraped.
            if promql.contains("goroutines") {
                return Ok(());
            }
            sink.series(Labels::NONE).unwrap();
            for line in 0..grid.steps {
                sink.sample(grid.at(line) as f64, Self::value(promql, 0, grid.at(line)));
            }
            Ok(())
        })
    }
}

#[test]
fn two_stretches_of_a_prometheus_are_compared_like_reports() {
    let args = args(
        "--from-prometheus http://unused --base 2026-03-01T08:00:00Z/2026-03-01T09:30:00Z --candidate 2026-03-02T08:00:00Z/2026-03-02T09:30:00Z",
    );
    let ranges = args.ranges().unwrap();
    let mut shares = Vec::new();
    let mut progress = |_: &str, share: f64| shares.push(share);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sides = runtime.block_on(read::sides(&MadeUp, &ranges, "", &mut progress)).unwrap();
    assert!(shares.is_sorted() && shares.len() == 2 * (38 + 9));
    let comparison = breakwater_loadtest::compare(&sides.base, &sides.candidate, &args.rules().unwrap());
    insta::assert_snapshot!(report::table(&comparison));
}
