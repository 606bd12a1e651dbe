//! `breakwater rehearse`: a Rollout against a synthetic fleet, weeks in seconds.
//!
//! Pure: [`report`] and what of [`input`] checks. The rest reads files and writes to the terminal.

pub(crate) mod input;
mod progress;
mod report;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use breakwater_crds::Span;
use breakwater_rehearsal::{
    Rehearsal,
    bed::BedError,
    distribution,
    fleet::Scenario,
    outcome::{Distribution, Outcome, Report},
    page, rehearse,
};
use clap::ValueEnum;
use serde::Serialize;

use self::progress::Told;
use crate::plugin::paint::Paint;

/// Longest time that may be rehearsed.
const UNTIL_MAX: Span = Span::seconds(52 * 7 * 86_400);
/// Most runs of a distribution.
const RUNS_MAX: usize = 100_000;

/// Raw arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The Rollout, as it would be applied (YAML or JSON; `-`: standard input) [default: a built-in one]
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// What the fleet is like [default: the scenario's, or 300 tenants]
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// What happens: the name of a shipped scenario, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = Scenario::DEFAULT)]
    pub scenario: String,
    /// Decides everything random: the same seed gives the same rehearsal
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Rehearse so many times, with seeds from --seed on, and print distributions
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// Longest virtual time
    #[arg(long, value_name = "DURATION", default_value = "10w")]
    pub until: Span,
    /// How long people take to approve what the Rollout asks for: an adoption, a wave; `never`: nobody does. A scenario with
    /// approvals of its own gives those alone
    #[arg(long, value_name = "DURATION|never", default_value_t = APPROVE_AFTER, value_parser = approve_after)]
    pub approve_after: ApproveAfter,
    /// Write a report that stands alone, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write each deviation report into this folder, as `kubectl breakwater report NAME -o html` would show it
    #[arg(long, value_name = "FOLDER")]
    pub reports: Option<PathBuf>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    pub output: Form,
    /// List the shipped scenarios
    #[arg(long)]
    pub list: bool,
    /// No colours, wherever the output goes
    #[arg(long)]
    pub no_color: bool,
}

/// How long people take to approve; `None`: nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApproveAfter(Option<Span>);

/// An hour: somebody is there.
const APPROVE_AFTER: ApproveAfter = ApproveAfter(Some(Span::seconds(3_600)));

impl fmt::Display for ApproveAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str("never"),
        }
    }
}

fn approve_after(text: &str) -> Result<ApproveAfter, String> {
    if text == "never" {
        return Ok(ApproveAfter(None));
    }
    let span = text.parse::<Span>().map_err(|why| format!("{why}; or never"))?;
    Ok(ApproveAfter(Some(span)))
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Why there was no rehearsal.
enum Failure {
    /// Exit code 2.
    Usage(String),
    /// Exit code 1.
    Failed(String),
}

impl From<BedError> for Failure {
    fn from(error: BedError) -> Self {
        match error {
            BedError::Refused(why) => Self::Usage(format!("the Rollout is refused:\n{why}")),
            BedError::Tenants(why) => Self::Usage(why),
            BedError::Runtime(why) => Self::Failed(why.to_string()),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let result = if args.list { list(args) } else { play(args) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}\n\nFor more information, try 'breakwater rehearse --help'.");
            ExitCode::from(2)
        }
        Err(Failure::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn list(args: &Args) -> Result<(), Failure> {
    let shipped = Scenario::shipped();
    let rows = shipped.iter().map(|(name, about)| [(*name).to_owned(), about.clone()]);
    print(args, &crate::plugin::text::table(["SCENARIO", "ABOUT"], rows))
}

fn play(args: &Args) -> Result<(), Failure> {
    let rehearsal = read(args).map_err(Failure::Usage)?;
    match args.runs {
        None => one(args, &rehearsal),
        Some(runs) => many(args, &rehearsal, runs),
    }
}

/// Everything that was given, checked.
fn read(args: &Args) -> Result<Rehearsal, String> {
    if args.until.is_zero() || args.until > UNTIL_MAX {
        return Err(format!("--until {}: must be longer than 0 and at most {UNTIL_MAX}", args.until));
    }
    if args.runs.is_some_and(|runs| runs == 0 || runs > RUNS_MAX) {
        return Err(format!("--runs: must be between 1 and {RUNS_MAX}"));
    }
    if args.runs.is_some() && (args.html.is_some() || args.reports.is_some()) {
        return Err("--html and --reports show one rehearsal; leave --runs out".into());
    }
    let rollout = input::rollout(args.filename.as_deref())?;
    let scenario = input::scenario(&args.scenario)?;
    let fleet = input::fleet(args.fleet.as_deref(), &scenario)?;
    let (until, approve_after) = (args.until.as_duration(), args.approve_after.0.map(Span::as_duration));
    Ok(Rehearsal { rollout, fleet, scenario, seed: args.seed, until, approve_after })
}

fn one(args: &Args, rehearsal: &Rehearsal) -> Result<(), Failure> {
    let mut screen = Told::of_stderr(args.no_color);
    screen.title(rehearsal);
    let outcome = rehearse(rehearsal, &mut |progress| screen.show(progress))?;
    screen.end();
    if let Some(path) = &args.html {
        std::fs::write(path, page::render(&outcome, &command(args)))
            .map_err(|why| Failure::Failed(format!("cannot write {}: {why}", path.display())))?;
    }
    if let Some(folder) = &args.reports {
        reports(folder, &outcome)?;
    }
    result(args, &outcome, |outcome: &Outcome| report::outcome(outcome))
}

/// Every deviation report as a page of its own.
fn reports(folder: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let namespace = outcome.rollout.split('/').next().unwrap_or_default();
    let failed = |path: &Path, why| Failure::Failed(format!("cannot write {}: {why}", path.display()));
    std::fs::create_dir_all(folder).map_err(|why| failed(folder, why))?;
    for Report { name, spec, status } in &outcome.reports {
        let page =
            breakwater_page::report::html(&breakwater_page::report::Report { namespace, name, spec, status });
        let path = folder.join(format!("{name}.html"));
        std::fs::write(&path, page).map_err(|why| failed(&path, why))?;
    }
    Ok(())
}

fn many(args: &Args, rehearsal: &Rehearsal, runs: usize) -> Result<(), Failure> {
    let mut screen = Told::of_stderr(args.no_color);
    screen.title(rehearsal);
    let all = distribution(rehearsal, runs, &mut |done, outcome| screen.count(done, runs, outcome))?;
    screen.end();
    result(args, &all, |all: &Distribution| report::distribution(all))
}

fn result<T: Serialize>(args: &Args, value: &T, text: impl Fn(&T) -> String) -> Result<(), Failure> {
    let failed = |why: String| Failure::Failed(format!("cannot print the result: {why}"));
    match args.output {
        Form::Text => print(args, &text(value)),
        Form::Json => {
            let json = serde_json::to_string_pretty(value).map_err(|why| failed(why.to_string()))?;
            print(args, &json)
        }
        Form::Yaml => {
            let yaml = serde_yaml::to_string(value).map_err(|why| failed(why.to_string()))?;
            print(args, &yaml)
        }
    }
}

fn print(args: &Args, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let plain = args.no_color || args.output != Form::Text;
    let text = Paint::of_stdout(plain).apply(text.trim_end());
    match writeln!(std::io::stdout().lock(), "{text}") {
        // Nobody reads any more.
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(why) => Err(Failure::Failed(format!("cannot write to standard output: {why}"))),
        Ok(()) => Ok(()),
    }
}

/// The command that gives the same rehearsal again.
fn command(args: &Args) -> String {
    let mut words = vec!["breakwater rehearse".to_owned()];
    words.extend(args.filename.as_ref().map(|path| format!("-f {}", path.display())));
    words.extend(args.fleet.as_ref().map(|path| format!("--fleet {}", path.display())));
    words.push(format!("--scenario {} --seed {} --until {}", args.scenario, args.seed, args.until));
    words.extend(
        (args.approve_after != APPROVE_AFTER).then(|| format!("--approve-after {}", args.approve_after)),
    );
    words.join(" ")
}
