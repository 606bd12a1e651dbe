//! `breakwater migrations review`: the schema migrations of a range, reviewed; no cluster, no database unless `--measure`.
//!
//! [`args`] become an input once; the analysis is `breakwater_migrations`' own; [`report`] and [`page`] show it. Pure but
//! for [`args`], and what is here.

pub mod args;
mod page;
mod report;

use std::{io::Write as _, process::ExitCode};

use breakwater_migrations::{
    Impact, Revert, Review, analyse,
    measure::{Measured, measure, statements_before},
};
use serde::Serialize;

use self::args::{Command, Form, ReviewArgs};
use crate::plugin::paint::Paint;

/// Exit code where the input cannot be used.
const BAD_INPUT: u8 = 2;

/// What is shown: the review, and what a server showed beside it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    review: Review,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Vec<Measured>>,
}

/// Runs the command.
pub fn run(command: &Command) -> ExitCode {
    let Command::Review(args) = command;
    match review(args).and_then(|shown| show(args, &shown).map(|()| good(&shown))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}\n\nFor more information, try 'breakwater migrations review --help'.");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn good(shown: &Shown) -> bool {
    let agrees = shown.measured.iter().flatten().all(|one| one.disagreements.is_empty());
    shown.review.impact == Impact::Quiet && shown.review.revert == Revert::RevertSafe && agrees
}

fn review(args: &ReviewArgs) -> Result<Shown, String> {
    let input = args.input()?;
    let problems = |problems: Vec<breakwater_migrations::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let review = analyse(&input).map_err(problems)?;
    let measured = match &args.measure {
        None => None,
        Some(url) => {
            Some(measure(url, &statements_before(&input).map_err(problems)?, &review, args.measure_rows)?)
        }
    };
    Ok(Shown { review, measured })
}

fn show(args: &ReviewArgs, shown: &Shown) -> Result<(), String> {
    if let Some(path) = &args.off_hours {
        let text = report::off_hours(&shown.review);
        std::fs::write(path, text)
            .map_err(|why| format!("--off-hours {}: cannot write it: {why}", path.display()))?;
    }
    let text = match args.output {
        Form::Table => report::table(shown),
        Form::Md => report::markdown(shown),
        Form::Json => serde_json::to_string_pretty(shown).map_err(|why| why.to_string())?,
        Form::Html => page::render(shown),
    };
    let paint = Paint::of_stdout(args.no_color || args.output != Form::Table);
    match writeln!(std::io::stdout().lock(), "{}", paint.apply(text.trim_end())) {
        // Nobody reads any more.
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(why) => Err(format!("cannot write to standard output: {why}")),
        Ok(()) => Ok(()),
    }
}
