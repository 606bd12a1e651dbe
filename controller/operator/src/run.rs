//! The program: clients, lease, HTTP, and leading while the lease is held. I/O.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use breakwater_crds::Rollout;
use kube::{Api, Client, Config, api::ListParams};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, Clients},
    clock,
    execute::{self, Executor},
    http::{self, Alerts, HttpState, Metrics},
    intake,
    lease::{self, Candidate, Election, GiveBack, Lease, Standing},
    rollouts::{Leader, Office, Options as RolloutOptions, Targets},
    stop,
};

/// Longest wait for writes in flight at the end.
const DRAIN: Duration = Duration::from_secs(12);
/// Requests beside tenant writes that never wait for them: statuses, reports, reads.
const OTHER_REQUESTS: usize = 28;
/// Slots that advances leave free for a revert (R18).
const REVERT_RESERVE: usize = 4;

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to reach the API server.
    pub kube: Config,
    /// Namespace of the Lease, the stop `ConfigMap` and the webhook's token.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Who this process is; unique.
    pub identity: String,
    /// The Lease's times.
    pub lease: lease::Config,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Prometheus of Rollouts that name none.
    pub prometheus_url: Option<String>,
    /// Secret with the webhook's bearer token under `token`; without one the webhook stays shut.
    pub webhook_token_secret: Option<String>,
    /// Most tenant writes in flight.
    pub max_in_flight_writes: usize,
    /// Time limit of one tenant write.
    pub write_timeout: Duration,
    /// Shortest time between two status writes that are no transitions, while advancing or reverting (R27).
    pub status_interval: Duration,
}

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API client.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// The Lease's times contradict each other.
    #[error("lease: {0}")]
    Lease(#[from] lease::ConfigError),
    /// The address to listen on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The API server does not answer, or does not know this identity.
    #[error("cannot ask the api server who this is")]
    WhoAmI(#[source] kube::Error),
}

/// Runs until `shutdown`, then gives the lease back once the writes in flight are answered.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), RunError> {
    let bounds = client::Settings {
        connections: options.max_in_flight_writes + REVERT_RESERVE + OTHER_REQUESTS,
        ..client::Settings::default()
    };
    let clients = client::connect(&options.kube, &bounds)?;
    let user = who_am_i(&clients.requests).await.map_err(RunError::WhoAmI)?;
    let metrics = Metrics::new(clock::now);
    let (office_sender, office) = watch::channel(None::<Office>);
    let (stop, stopping) = stop::watch(clients.watches.clone(), &options.namespace);
    tokio::spawn(stopping);
    let server = serve(&options, &clients, &user, &metrics, office, shutdown.clone()).await?;
    let candidate = Candidate {
        namespace: options.namespace.clone(),
        name: options.lease_name.clone(),
        identity: options.identity.clone(),
    };
    let highest = highest_epoch(clients.requests.clone());
    let (election, lease) = Election::new(
        clients.lease.clone(),
        candidate,
        options.lease.clone(),
        Arc::new(clock::now),
        highest,
    )?;
    let executor = Executor::new(
        execute::Settings {
            max_in_flight: options.max_in_flight_writes + REVERT_RESERVE,
            revert_reserve: REVERT_RESERVE,
            write_timeout: options.write_timeout,
        },
        Arc::new(lease.clone()),
        Arc::new(clock::now),
        Arc::new(metrics.clone()),
    );
    let leader = Leader {
        clients,
        lease: lease.clone(),
        executor,
        stop,
        metrics: metrics.clone(),
        options: RolloutOptions {
            prometheus_url: options.prometheus_url.clone(),
            status_interval: options.status_interval,
            write_timeout: options.write_timeout,
            user,
        },
        identity: options.identity.clone(),
    };
    let (give_back, end) = oneshot::channel();
    let elected = tokio::spawn(election.run(async { end.await.unwrap_or(GiveBack::Abandon) }));
    let drained = lead_while_leading(&leader, lease, &office_sender, &shutdown).await;
    let _ = give_back.send(if drained { GiveBack::Release } else { GiveBack::Abandon }); // the election may have ended
    let _ = elected.await; // a panic of it was printed
    let _ = server.await;
    Ok(())
}

/// Starts the HTTP server: alerts, health, metrics.
async fn serve(
    options: &Options,
    clients: &Clients,
    user: &str,
    metrics: &Metrics,
    office: watch::Receiver<Option<Office>>,
    shutdown: CancellationToken,
) -> Result<JoinHandle<()>, RunError> {
    let address = options.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
    let targets = Arc::new(Targets { office, client: clients.requests.clone() });
    let alerts = Arc::new(Alerts::new(targets, user.to_owned(), http::webhook::REMEMBERED, metrics.clone()));
    tokio::spawn(intake::redecide(alerts.clone()));
    // A standby is ready as well: it answers health and metrics, and tells Alertmanager to try again.
    let (_, ready) = watch::channel(true);
    let token =
        intake::token(clients.requests.clone(), &options.namespace, options.webhook_token_secret.clone());
    let state = HttpState { alerts, token, ready, metrics: metrics.clone(), clock: clock::now };
    Ok(tokio::spawn(http::serve(listener, http::router(state), shutdown)))
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
            epoch = leading(&mut lease) => epoch,
            () = shutdown.cancelled() => return true,
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
            _ = &mut term => {}
            () = lost(&mut lease, epoch) => tracing::warn!(epoch, "no longer leading"),
            () = shutdown.cancelled() => {}
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

/// The name under which this process acts: admission demands it of the actions that it creates.
async fn who_am_i(client: &Client) -> Result<String, kube::Error> {
    use k8s_openapi::api::authentication::v1::SelfSubjectReview;
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api.create(&kube::api::PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default())
}
