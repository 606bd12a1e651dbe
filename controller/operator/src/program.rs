//! The controller itself: election, executor, alerts, and leading while the lease is held; on whatever ground it is
//! given. I/O.

use std::{sync::Arc, time::Duration};

use axum::Router;
use breakwater_crds::Rollout;
use kube::{Api, Client, api::ListParams};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    execute::{self, Executor},
    ground::Ground,
    http::{self, Alerts, HttpState, Metrics},
    intake,
    lease::{self, Candidate, Election, GiveBack, Lease, Standing},
    rollouts::{Leader, Office, Options as RolloutOptions, Targets},
    stop,
};

/// Longest wait for writes in flight at the end.
const DRAIN: Duration = Duration::from_secs(12);
/// Slots that advances leave free for a revert (R18).
pub(crate) const REVERT_RESERVE: usize = 4;

/// Everything about the controller that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the Lease, the stop `ConfigMap` and the webhook's token.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Who this process is; unique.
    pub identity: String,
    /// The Lease's times.
    pub lease: lease::Config,
    /// Whether there is a Prometheus for Rollouts that name none.
    pub has_prometheus: bool,
    /// Secret with the webhook's bearer token under `token`; without one the webhook stays shut.
    pub webhook_token_secret: Option<String>,
    /// Most tenant writes in flight.
    pub max_in_flight_writes: usize,
    /// Time limit of one tenant write.
    pub write_timeout: Duration,
    /// Shortest time between two status writes that are no transitions, while advancing or reverting (R27).
    pub status_interval: Duration,
}

/// One process's controller, ready to run.
pub struct Program {
    leader: Leader,
    lease: Lease,
    election: Election,
    office: watch::Sender<Option<Office>>,
    alerts: Arc<Alerts>,
    http: HttpState,
    /// Tasks that live as long as the program.
    tasks: JoinSet<()>,
}

impl Program {
    /// Puts the parts together and begins to watch the stop; `user` is who the API server takes this process for.
    /// Must be called inside a tokio runtime.
    pub fn new(settings: &Settings, ground: Ground, user: &str) -> Result<Self, lease::ConfigError> {
        let Settings {
            namespace,
            lease_name,
            identity,
            lease,
            has_prometheus,
            webhook_token_secret,
            max_in_flight_writes,
            write_timeout,
            status_interval,
        } = settings;
        let (clients, clock) = (&ground.clients, &ground.clock);
        let metrics = Metrics::new(clock.clone());
        let mut tasks = JoinSet::new();
        let (stop, stopping) = stop::watch(clients.watches.clone(), namespace);
        tasks.spawn(stopping);
        let candidate =
            Candidate { namespace: namespace.clone(), name: lease_name.clone(), identity: identity.clone() };
        let highest = highest_epoch(clients.requests.clone());
        let (election, lease) =
            Election::new(clients.lease.clone(), candidate, lease.clone(), clock.clone(), highest)?;
        let executor = Executor::new(
            execute::Settings {
                max_in_flight: max_in_flight_writes + REVERT_RESERVE,
                revert_reserve: REVERT_RESERVE,
                write_timeout: *write_timeout,
            },
            Arc::new(lease.clone()),
            clock.clone(),
            Arc::new(metrics.clone()),
        );
        let (office, opened) = watch::channel(None::<Office>);
        let targets = Arc::new(Targets { office: opened, client: clients.requests.clone() });
        let alerts =
            Arc::new(Alerts::new(targets, user.to_owned(), http::webhook::REMEMBERED, metrics.clone()));
        tasks.spawn(intake::redecide(alerts.clone(), clock.clone()));
        tasks.spawn(intake::pull(alerts.clone(), clock.clone()));
        // A standby is ready as well: it answers health and metrics, and tells Alertmanager to try again.
        let (_, ready) = watch::channel(true);
        let (token, reading) =
            intake::token(clients.requests.clone(), namespace, webhook_token_secret.clone());
        tasks.spawn(reading);
        let http = HttpState {
            alerts: alerts.clone(),
            token,
            ready,
            metrics: metrics.clone(),
            clock: clock.clone(),
        };
        let options = RolloutOptions {
            has_prometheus: *has_prometheus,
            status_interval: *status_interval,
            write_timeout: *write_timeout,
            user: user.to_owned(),
        };
        let identity = identity.clone();
        let leader = Leader { ground, lease: lease.clone(), executor, stop, metrics, options, identity };
        Ok(Self { leader, lease, election, office, alerts, http, tasks })
    }

    /// What is to be served: alerts, health, metrics.
    pub fn router(&self) -> Router {
        http::router(self.http.clone())
    }

    /// The alerts, for whoever brings them by another way than HTTP.
    pub fn alerts(&self) -> Arc<Alerts> {
        self.alerts.clone()
    }

    /// Runs until `shutdown`, then gives the lease back once the writes in flight are answered.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { leader, lease, election, office, alerts: _, http: _, tasks: _tasks } = self;
        let (give_back, end) = oneshot::channel();
        let elected = tokio::spawn(election.run(async { end.await.unwrap_or(GiveBack::Abandon) }));
        let drained = lead_while_leading(&leader, lease, &office, &shutdown).await;
        let _ = give_back.send(if drained { GiveBack::Release } else { GiveBack::Abandon }); // the election may have ended
        let _ = elected.await; // a panic of it was printed
    }
}

/// One term after the other, each with fresh watches and an empty memory. True when every write was answered at the end.
async fn lead_while_leading(
    leader: &Leader,
    mut lease: Lease,
    office: &watch::Sender<Option<Office>>,
    shutdown: &CancellationToken,
) -> bool {
    loop {
        let epoch = tokio::select! {
            biased;
            () = shutdown.cancelled() => return true,
            epoch = leading(&mut lease) => epoch,
        };
        let Some(epoch) = epoch else { return true };
        tracing::info!(epoch, "leading");
        leader.metrics.leader(true);
        let end = shutdown.child_token();
        let term = leader.lead(end.clone(), |context| {
            office.send_replace(Some(context));
        });
        tokio::pin!(term);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = lost(&mut lease, epoch) => tracing::warn!(epoch, "no longer leading"),
            _ = &mut term => {}
        }
        end.cancel();
        office.send_replace(None);
        if shutdown.is_cancelled() {
            // Reconciles that run are waited for, so that nothing is written after the lease is given back.
            return tokio::time::timeout(DRAIN, &mut term).await.unwrap_or(false);
        }
        leader.metrics.leader(false);
    }
}

/// Waits until this process leads; `None` when the election has ended.
async fn leading(lease: &mut Lease) -> Option<i64> {
    loop {
        if let Standing::Leading(fence) = lease.standing() {
            return Some(fence.epoch);
        }
        if !lease.changed().await {
            return None;
        }
    }
}

/// Waits until this process no longer leads under `epoch`.
async fn lost(lease: &mut Lease, epoch: i64) {
    while matches!(lease.standing(), Standing::Leading(fence) if fence.epoch == epoch) {
        if !lease.changed().await {
            return;
        }
    }
}

/// The highest epoch in any Rollout's status (R26).
fn highest_epoch(client: Client) -> lease::HighestEpoch {
    Arc::new(move || {
        let api: Api<kube::core::DeserializeGuard<Rollout>> = Api::all(client.clone());
        Box::pin(async move {
            let all = api.list(&ListParams::default()).await?;
            let epochs = all
                .items
                .iter()
                .filter_map(|object| object.0.as_ref().ok()?.status.as_ref().map(|s| s.epoch));
            Ok(epochs.max().unwrap_or(0))
        })
    })
}
