//! The program on a real cluster: clients, HTTP, and the controller between them. I/O.

use std::net::SocketAddr;

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    client, clock,
    ground::Ground,
    http, lease,
    program::{Program, REVERT_RESERVE, Settings, WhoAmI},
    rollouts::counts_of,
    tasks::Lost,
};

/// Its uid is the hub's id where none is given.
const HUB_NAMESPACE: &str = "kube-system";
/// Requests beside tenant writes that never wait for them: statuses, reports, reads.
const OTHER_REQUESTS: usize = 28;

/// Where the program runs, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to reach the API server.
    pub kube: Config,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where probes are served beside; `None`: only there.
    pub probe_listen: Option<SocketAddr>,
    /// Id of the hub; without one the uid of the cluster's namespace `kube-system`.
    pub hub_id: Option<String>,
    /// The controller's settings.
    pub settings: Settings,
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
    /// A task of the controller's own is lost: what it watched over, nobody watches any more.
    #[error("the controller cannot go on")]
    Lost(#[from] Lost),
    /// The API server does not answer, or does not know this identity.
    #[error("cannot ask the api server who this is")]
    WhoAmI(#[source] kube::Error),
    /// The namespace whose uid tells clusters apart cannot be read.
    #[error(
        "cannot read the uid of namespace {HUB_NAMESPACE}, which tells this cluster's Rollouts from others': allow get on it, or give --hub-id"
    )]
    Hub(#[source] kube::Error),
}

/// Runs until `shutdown`.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), RunError> {
    let Options { kube, listen: address, probe_listen, hub_id, settings } = options;
    let bounds = client::Settings {
        connections: settings.max_in_flight_writes + REVERT_RESERVE + OTHER_REQUESTS,
        ..client::Settings::default()
    };
    let clients = client::connect(&kube, &bounds)?;
    let user = who_am_i(&clients.requests).await.map_err(RunError::WhoAmI)?;
    let hub = match hub_id {
        Some(hub) => hub,
        None => cluster_uid(&clients.requests).await.map_err(RunError::Hub)?,
    };
    let counts = counts_of(clients.requests.clone(), settings.reach.clone());
    let program =
        Program::new(&settings, Ground { clients, clock: clock::system(), counts }, WhoAmI { user, hub })?;
    let listener = bind(address).await?;
    let beside = match probe_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let all = http::serve(listener, program.router(), shutdown.clone());
    let probes = beside.map(|listener| http::serve(listener, program.probes(), shutdown.clone()));
    let mut server = tokio::spawn(async move {
        tokio::join!(all, OptionFuture::from(probes));
    });
    tokio::select! {
        ran = program.run(shutdown.clone()) => ran?,
        lost = serving(&mut server, &shutdown) => return Err(lost.into()),
    }
    if !server.is_finished() {
        let _ = server.await; // it was to end, and did, in whatever way
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })
}

/// Resolves where the servers end before they are to.
async fn serving(server: &mut JoinHandle<()>, shutdown: &CancellationToken) -> Lost {
    let ended = server.await;
    if shutdown.is_cancelled() && ended.is_ok() {
        return std::future::pending().await;
    }
    Lost::of("http server", ended)
}

/// The uid of the namespace that every cluster has and none makes anew: as good as an id of the cluster.
async fn cluster_uid(client: &Client) -> Result<String, kube::Error> {
    let namespace = Api::<Namespace>::all(client.clone()).get(HUB_NAMESPACE).await?;
    Ok(namespace.metadata.uid.unwrap_or_default())
}

/// The name under which this process acts: admission demands it of the actions that it creates.
async fn who_am_i(client: &Client) -> Result<String, kube::Error> {
    use k8s_openapi::api::authentication::v1::SelfSubjectReview;
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api.create(&kube::api::PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default())
}
