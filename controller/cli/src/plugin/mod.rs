//! `kubectl breakwater`: reads Rollouts and shows them, and asks for things by creating `RolloutAction`s.
//!
//! Pure: [`args`], [`list`], [`paint`], [`request`], [`text`], [`tree`], [`verdict`], and the inner halves of
//! [`failure`], [`get`], [`history`], [`report`] and [`tenants`]. The rest talks to the API server through a [`session::Session`].

pub mod act;
pub mod args;
pub mod brake;
pub mod failure;
pub mod get;
pub mod history;
pub mod list;
pub mod output;
pub mod paint;
pub mod report;
pub mod request;
pub mod session;
pub mod status;
pub mod tenants;
pub mod text;
pub mod tree;
pub mod verdict;

use clap::CommandFactory as _;

use self::{
    act::Ask,
    args::{Cli, Command},
    failure::Failure,
    output::Output,
    session::Session,
};

/// Runs one command to its end. Exit codes are those of [`Failure`].
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    let output = Output::new(&global);
    if let Command::Completion { shell } = command {
        return output.print(&completion(shell));
    }
    if global.all_namespaces && !matches!(command, Command::Get(args::Get { name: None, .. })) {
        return Err(Failure::usage(
            "-A/--all-namespaces is for `get` without a name; name one namespace with -n",
        ));
    }
    let is_page = matches!(global.output, Some(args::Form::Html | args::Form::Markdown));
    if is_page && !matches!(command, Command::Report(_)) {
        return Err(Failure::usage("-o html and -o md are for `report`; others have -o json and -o yaml"));
    }
    let session = Session::connect(&global).await?;
    let ask = |name: &str, asking: args::Asking| Ask { rollout: name.to_owned(), no_wait: asking.no_wait };
    match command {
        Command::Get(args) => get::run(&session, output, args).await,
        Command::Tenants(args) => tenants::run(&session, output, args).await,
        Command::History { name } => history::run(&session, output, &name).await,
        Command::Report(args) => report::run(&session, output, args).await,
        Command::Status(args) => status::run(&session, output, args).await,
        Command::Approve(args) => {
            let (wave, version) = (args.wave, args.version);
            let ask = ask(&args.name, args.asking);
            act::run(&session, output, ask, |rollout| request::approve(rollout, wave, version)).await
        }
        Command::Promote { name, asking } => {
            act::run(&session, output, ask(&name, asking), request::promote).await
        }
        Command::Revert(args) => {
            let (version, reason) = (args.version, args.reason);
            let ask = ask(&args.name, args.asking);
            act::run(&session, output, ask, |rollout| request::revert(rollout, version, reason)).await
        }
        Command::Retry { name, version, asking } => {
            act::run(&session, output, ask(&name, asking), |rollout| request::retry(rollout, version)).await
        }
        Command::Acknowledge(args) => {
            let (hub, gate, version, reason) = (args.hub, args.gate, args.version, args.reason);
            let ask = ask(&args.name, args.asking);
            act::run(&session, output, ask, |rollout| match (hub, gate) {
                (Some(hub), _) => request::take_over(&hub, reason),
                (None, Some(gate)) => Ok(request::acknowledge(rollout, gate, version, reason)),
                (None, None) => Err("name a gate, or --hub".into()),
            })
            .await
        }
        Command::Hold(args) => brake::hold(&session, output, args).await,
        Command::Stop(args) => brake::stop(&session, output, args).await,
        Command::Lift(args) => brake::lift(&session, output, args).await,
        Command::Completion { .. } => Ok(()),
    }
}

/// The completion script of a shell, for the program under its own name.
fn completion(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-breakwater", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
