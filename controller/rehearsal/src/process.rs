//! A controller's process on the bed: the shipped program, on clients and a clock that can be taken from it.

use std::{sync::Arc, time::Duration};

use breakwater_operator::{
    client,
    ground::{CountsOf, Ground},
    lease,
    program::{Program, Settings, WhoAmI},
    telemetry::Reach,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    apiserver::{ApiServer, Fates, Line},
    time::VirtualTime,
};

/// Where the controller lives.
pub const NAMESPACE: &str = "breakwater-system";
/// The hub that it runs in.
pub const HUB: &str = "rehearsal";
/// Who it is.
pub const USER: &str = "system:serviceaccount:breakwater-system:breakwater";

/// Settings that differ from a cluster's only in how often time passes without anything to do: a lease is renewed once
/// a minute and not every two seconds.
pub fn settings(identity: &str) -> Settings {
    Settings {
        namespace: NAMESPACE.into(),
        lease_name: "breakwater".into(),
        identity: identity.into(),
        lease: lease::Config {
            duration: Duration::from_mins(5),
            renew_deadline: Duration::from_mins(4),
            retry: Duration::from_mins(1),
            write_timeout: Duration::from_secs(5),
        },
        reach: Arc::new(Reach::anywhere()),
        webhook_token_secret: None,
        max_in_flight_writes: 32,
        write_timeout: Duration::from_secs(5),
        status_interval: Duration::from_mins(1),
    }
}

/// A running controller.
pub struct Process {
    line: Line,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    /// Starts one; its calls go through `fates`.
    pub fn start(
        api: &ApiServer,
        time: &VirtualTime,
        counts: CountsOf,
        fates: Arc<dyn Fates>,
        settings: &Settings,
    ) -> Result<Self, lease::ConfigError> {
        let line = api.line(USER, fates);
        let bounds = client::Settings {
            connections: settings.max_in_flight_writes + 32,
            ..client::Settings::default()
        };
        let clients = client::over(&line, &bounds);
        let program = Program::new(
            settings,
            Ground { clients, clock: time.clock(), counts },
            WhoAmI { user: USER.into(), hub: HUB.into() },
        )?;
        let shutdown = CancellationToken::new();
        let run = program.run(shutdown.clone());
        let task = tokio::spawn(async {
            if let Err(lost) = run.await {
                tracing::error!(%lost, "the controller's process ended");
            }
        });
        Ok(Self { line, shutdown, task })
    }

    /// Kills it: nothing of it reaches the API server any more.
    pub fn kill(&self) {
        self.line.cut();
        self.shutdown.cancel();
        self.task.abort();
    }

    /// Asks it to end, and waits.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = self.task.await; // a panic of it was printed
    }

    /// Its line to the API server.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Calls that it made so far.
    pub fn calls(&self) -> u64 {
        self.line.calls()
    }
}
