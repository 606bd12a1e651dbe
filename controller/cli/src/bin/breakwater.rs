//! `breakwater`: the controller.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use breakwater_cli::{
    cluster,
    settings::{Cli, Command, Settings},
};
use breakwater_operator::{
    program,
    run::{self, Options},
    telemetry::Reach,
};
use clap::{CommandFactory as _, Parser as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Small objects without headers, and what a plan over ten thousand tenants used is given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    breakwater_cli::install_crypto();
    match Cli::parse().command {
        Command::Run(arguments) => match arguments.parse() {
            Ok((settings, logging)) => {
                logging.start();
                end(serve(settings))
            }
            Err(error) => {
                eprintln!("error: {error}\n\nFor more information, try 'breakwater run --help'.");
                ExitCode::from(2)
            }
        },
        Command::Rehearse(arguments) => breakwater_cli::rehearse::run(&arguments),
        Command::Backtest(arguments) => breakwater_cli::backtest::run(&arguments),
        Command::Loadtest { command } => breakwater_cli::loadtest::run(&command),
        Command::Migrations(command) => breakwater_cli::migrations::run(&command),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "breakwater", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// On as many threads as there are processors; a rehearsal makes its own runtimes.
fn serve(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(start(settings))
}

fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => {
            info!("breakwater ends");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(error = format!("{error:#}"), "breakwater ends with an error");
            ExitCode::FAILURE
        }
    }
}

/// Runs the controller until SIGTERM or SIGINT.
async fn start(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    tokio::spawn(cancel_on_signal(terminate, interrupt, shutdown.clone()));
    info!(version = env!("CARGO_PKG_VERSION"), identity = settings.identity, "breakwater starts");
    run::run(options(settings).await?, shutdown).await.context("the controller failed")
}

async fn cancel_on_signal(mut terminate: Signal, mut interrupt: Signal, shutdown: CancellationToken) {
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal = name, "shutting down");
    shutdown.cancel();
}

async fn options(settings: Settings) -> anyhow::Result<Options> {
    let Settings {
        kubeconfig,
        context,
        controller_namespace,
        lease_name,
        identity,
        lease,
        max_in_flight_writes,
        status_interval,
        listen,
        probe_listen,
        prometheus_url,
        prometheus_allow,
        hub_id,
        webhook_token_secret,
    } = settings;
    let kube =
        cluster::config(kubeconfig.as_deref(), context.as_deref()).await.map_err(anyhow::Error::msg)?;
    let settings = program::Settings {
        namespace: controller_namespace,
        lease_name,
        identity,
        write_timeout: lease.write_timeout,
        lease,
        reach: Arc::new(Reach::new(prometheus_url, &prometheus_allow)),
        webhook_token_secret,
        max_in_flight_writes: max_in_flight_writes.get(),
        status_interval,
    };
    Ok(Options { kube, listen, probe_listen, hub_id, settings })
}
