//! `breakwater loadtest`: load tests of two versions compared; no cluster.
//!
//! [`args`] are checked once; [`read`] asks a Prometheus where there are no reports; the judgement is `breakwater-loadtest`'s;
//! [`report`] and [`page`] show it. Pure, but for [`args`], [`read`], and what is here.

pub mod args;
mod page;
mod read;
mod report;
#[cfg(test)]
mod tests;

use std::{io::Write as _, process::ExitCode};

use breakwater_loadtest::{Comparison, Verdict, compare};
use breakwater_operator::telemetry::Prometheus;
use breakwater_plan::promql::Matchers;
use clap::Subcommand;

use self::args::{Args, Form, Sides};
use crate::{plugin::paint::Paint, screen::Screen};

/// Exit code where the input is bad.
const BAD_INPUT: u8 = 2;

/// What to do with load tests.
#[derive(Debug, Clone, Subcommand)]
#[expect(clippy::doc_markdown, reason = "doc comments of commands are help texts, shown as they stand")]
pub enum Command {
    /// Compare a candidate's load test with a base's: Pass, Warn, Fail or NoData, and the few metrics that matter
    #[command(long_about = "\
Compare a candidate's load test with a base's: Pass, Warn, Fail or NoData, and the few metrics that matter.

Averages and p99s by API handler and store method, and figures of the whole server. A metric is worse if it is certain to be \
worse than a margin that nobody feels, among hundreds compared; it fails if users are on it and it is worse by much. What \
vanished is told, never counted as better; a p99 at the histogram's last edge is not comparable. Several runs a side give the \
noise; with one, say how often handlers are called (traffic in the rules), or single handlers can only warn.

Exit codes: 0 Pass, or Warn without --strict; 1 Fail or NoData; 2 bad input, or no answer from Prometheus.")]
    Compare(Box<Args>),
}

/// Runs the command.
pub fn run(command: &Command) -> ExitCode {
    let Command::Compare(args) = command;
    let verdict = play(args).and_then(|comparison| show(args, &comparison).map(|()| comparison.verdict));
    let verdict = verdict.map_err(|why| {
        eprintln!("error: {why}\n\nFor more information, try 'breakwater loadtest compare --help'.");
    });
    ExitCode::from(exit_code(verdict, args.strict))
}

fn exit_code(verdict: Result<Verdict, ()>, strict: bool) -> u8 {
    match verdict {
        Ok(Verdict::Pass) => 0,
        Ok(Verdict::Warn) => u8::from(strict),
        Ok(Verdict::Fail | Verdict::NoData) => 1,
        Err(()) => BAD_INPUT,
    }
}

fn play(args: &Args) -> Result<Comparison, String> {
    let (rules, users) = (args.rules()?, args.users()?);
    let mut sides = match &args.from_prometheus {
        Some(url) => asked(args, url)?,
        None => args.runs()?,
    };
    if let Some(Sides { base, candidate }) = users {
        sides.base.iter_mut().for_each(|run| run.supported_users = Some(base));
        sides.candidate.iter_mut().for_each(|run| run.supported_users = Some(candidate));
    }
    Ok(compare(&sides.base, &sides.candidate, &rules))
}

fn asked(args: &Args, url: &str) -> Result<Sides<Vec<breakwater_loadtest::Run>>, String> {
    let ranges = args.ranges()?;
    Matchers::parse(&args.matchers).map_err(|why| format!("--matchers {:?} {why}", args.matchers))?;
    let prometheus = Prometheus::new(&args.access.settings(url)?).map_err(|why| why.to_string())?;
    let mut screen = Screen::of_stderr(args.no_color);
    let mut progress = |what: &str, share: f64| screen.bar(share, what);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("cannot start the runtime: {why}"))?;
    let sides = runtime.block_on(read::sides(&prometheus, &ranges, &args.matchers, &mut progress));
    screen.end();
    sides
}

fn show(args: &Args, comparison: &Comparison) -> Result<(), String> {
    let text = match args.output {
        Form::Table => report::table(comparison),
        Form::Json => serde_json::to_string_pretty(comparison).map_err(|why| why.to_string())?,
        Form::Md => report::markdown(comparison),
        Form::Html => page::render(comparison),
    };
    let paint = Paint::of_stdout(args.no_color || args.output != Form::Table);
    match writeln!(std::io::stdout().lock(), "{}", paint.apply(text.trim_end())) {
        // Nobody reads any more.
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(why) => Err(format!("cannot write to standard output: {why}")),
        Ok(()) => Ok(()),
    }
}
