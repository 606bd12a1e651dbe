//! `breakwater backtest`: the judge replayed over what Prometheus recorded; no cluster, no release.
//!
//! [`args`] are checked once; [`read`] goes through the past once for `breakwater_backtest`, which replays it; [`report`] and
//! [`page`] show what came of it. I/O: files, Prometheus, the terminal.

pub mod args;
mod page;
mod read;
mod report;

use std::{io::Write as _, process::ExitCode, sync::Arc};

use breakwater_backtest::{Outcome, Wanted};
use breakwater_crds::Rollout;
use breakwater_operator::{clock, telemetry::Prometheus};
use breakwater_plan::spec::Checked;
use kube::ResourceExt as _;

use self::args::{Args, Form};
use crate::{plugin::paint::Paint, rehearse::input, screen::Screen};

/// Exit code where there is no answer.
const NO_ANSWER: u8 = 2;

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match play(args).and_then(|outcome| show(args, &outcome).map(|()| outcome.good)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}\n\nFor more information, try 'breakwater backtest --help'.");
            ExitCode::from(NO_ANSWER)
        }
    }
}

fn play(args: &Args) -> Result<Outcome, String> {
    args.check()?;
    let rollout = input::rollout(Some(&args.filename))?;
    let checked = checked(&rollout)?;
    let settings = args.settings(checked.spec.prometheus.as_ref())?;
    let prometheus = Prometheus::new(&settings).map_err(|why| why.to_string())?;
    let namespace = rollout.namespace().unwrap_or_else(|| "default".into());
    let name = rollout.name_any();
    let now = clock::now().as_second();
    let wanted = Wanted {
        rollout: (&namespace, &name),
        checked: &checked,
        slos: args.slos(&checked)?,
        from_seconds: now - args.from.as_seconds(),
        until_seconds: now - args.to.as_seconds(),
        injects: args.injects(),
        selector_share: args.selector_share,
        seed: args.seed,
    };
    let mut screen = Screen::of_stderr(args.no_color);
    let mut progress = |what: &str, share: f64| screen.bar(share, what);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("cannot start the runtime: {why}"))?;
    let outcome = runtime.block_on(read::backtest(&wanted, Arc::new(prometheus), &mut progress));
    screen.end();
    outcome
}

fn checked(rollout: &Rollout) -> Result<Checked, String> {
    Checked::parse(&rollout.spec)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn show(args: &Args, outcome: &Outcome) -> Result<(), String> {
    if let Some(path) = &args.html {
        let written = std::fs::write(path, page::render(outcome));
        written.map_err(|why| format!("--html {}: cannot write it: {why}", path.display()))?;
    }
    let text = match args.output {
        Form::Table => report::outcome(outcome),
        Form::Json => serde_json::to_string_pretty(outcome).map_err(|why| why.to_string())?,
        Form::Html => page::render(outcome),
    };
    let paint = Paint::of_stdout(args.no_color || args.output != Form::Table);
    match writeln!(std::io::stdout().lock(), "{}", paint.apply(text.trim_end())) {
        // Nobody reads any more.
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(why) => Err(format!("cannot write to standard output: {why}")),
        Ok(()) => Ok(()),
    }
}
