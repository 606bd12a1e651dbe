//! The proof by simulation: false reverts and detection delays of the shipped judge, beside other judges.
//!
//! ```text
//! cargo run --release -p breakwater-slo --example proof [-- --runs 500] [--only false-reverts|delays|tenants|latency]
//! ```
//! Seeds are fixed and each run has its own, so the figures do not depend on the machine or the number of cores. The tables
//! are those of `controller/docs/judge.md`.

mod aims;
mod delays;
mod false_reverts;
mod figures;
mod judged;
mod latency;
mod noise;
mod rivals;
mod runs;
mod streams;

use std::process::ExitCode;

/// Runs of a cell, unless told otherwise.
const RUNS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    FalseReverts,
    Delays,
    Tenants,
    Latency,
}

/// What the command line asks for.
struct Asked {
    runs: usize,
    only: Option<Part>,
}

fn main() -> ExitCode {
    match asked(std::env::args().skip(1)) {
        Ok(asked) => {
            print(&asked);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}\nproof [--runs N] [--only false-reverts|delays|tenants|latency]");
            ExitCode::FAILURE
        }
    }
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { runs: RUNS, only: None };
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--runs" => {
                let runs = value.parse().ok().filter(|runs| *runs > 0);
                asked.runs = runs.ok_or_else(|| format!("--runs {value} is no number above zero"))?;
            }
            "--only" => asked.only = Some(part(&value)?),
            _ => return Err(format!("{argument} is not known")),
        }
    }
    Ok(asked)
}

fn part(name: &str) -> Result<Part, String> {
    match name {
        "false-reverts" => Ok(Part::FalseReverts),
        "delays" => Ok(Part::Delays),
        "tenants" => Ok(Part::Tenants),
        "latency" => Ok(Part::Latency),
        _ => Err(format!("--only {name} is not known")),
    }
}

fn print(asked: &Asked) {
    let Asked { runs, only } = *asked;
    let wants = |part| only.is_none_or(|only| only == part);
    if wants(Part::FalseReverts) {
        false_reverts::print(runs);
    }
    let mut aims = Vec::new();
    if wants(Part::Delays) {
        aims.extend(delays::print(runs));
    }
    if wants(Part::Tenants) {
        aims.extend(delays::print_tenants(runs));
    }
    if wants(Part::Latency) {
        aims.extend(delays::print_latency(runs));
    }
    if !aims.is_empty() {
        aims::print(&aims);
    }
}
