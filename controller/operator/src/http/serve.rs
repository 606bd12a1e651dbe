//! The server: routes, time-outs, bounds, and an end that waits for what is under way. I/O.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{health, webhook};
use crate::{alerts::Alerts, clock::Clock, metrics::Metrics, telemetry::Secret};

/// Most connections at once; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 256;
/// Most connections of one peer at once: who crowds crowds out itself (S9).
pub const PEER_MAX: usize = 32;
/// Most bytes of a request's body.
pub const BODY_MAX: usize = 1 << 20;
/// Most bytes of a request's head.
const HEAD_MAX: usize = 32 << 10;
/// How long a request's head may take, and how long an idle connection stays.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request may take, its body included; Alertmanager itself gives up after ten seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(9);
/// How long requests under way may take once the server is to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the handlers share.
#[derive(Clone)]
pub struct HttpState {
    /// The alerts, and who is to hear of them.
    pub alerts: Arc<Alerts>,
    /// The webhook's token, as it stands now; `None`: the webhook is closed.
    pub token: watch::Receiver<Option<Secret>>,
    /// False while this process holds the lease and does not get to lead.
    pub ready: watch::Receiver<bool>,
    /// The metrics.
    pub metrics: Metrics,
    /// The clock.
    pub clock: Clock,
}

/// All routes.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/webhook/alertmanager", post(webhook::all))
        .route("/webhook/alertmanager/{namespace}/{rollout}", post(webhook::one))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(in_time))
        .with_state(state)
}

/// What probes ask.
pub fn probes(state: HttpState) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .layer(middleware::from_fn(in_time))
        .with_state(state)
}

/// Serves until `shutdown`, then lets what is under way end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let crowd = Arc::new(Crowd::default());
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Taken and closed rather than left waiting, where it would be in the way of others.
                let Some(place) = crowd.admit(peer.ip()) else { continue };
                let (router, shutdown) = (router.clone(), shutdown.clone());
                tracker.spawn(async move {
                    connection(stream, router, shutdown).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(END_TIMEOUT, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "connections were cut off at the end");
    }
}

/// The open connections by peer.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place among them.
struct Placed {
    crowd: Arc<Crowd>,
    peer: IpAddr,
}

impl Crowd {
    /// A place, unless there are too many, of all or of this peer's.
    fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Placed> {
        let mut open = self.open();
        let all: usize = open.values().sum();
        let own = open.entry(peer).or_default();
        if all >= CONNECTIONS_MAX || *own >= PEER_MAX {
            return None;
        }
        *own += 1;
        Some(Placed { crowd: self.clone(), peer })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // counts; nothing is half done
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let mut open = self.crowd.open();
        if let Some(own) = open.get_mut(&self.peer) {
            *own -= 1;
        }
        open.retain(|_, own| *own > 0);
    }
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// 503 rather than 408 after the time-out: Alertmanager tries again after a 5xx only.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not done in time; try again").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpSocket,
    };

    use super::*;

    async fn started() -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            "done"
        };
        let router = Router::new().route("/slow", get(slow)).layer(middleware::from_fn(in_time));
        let served = tokio::spawn(serve(listener, router, shutdown.clone()));
        (address, shutdown, served)
    }

    #[tokio::test]
    async fn the_end_waits_for_requests_under_way_and_not_for_idle_connections() {
        let (address, shutdown, served) = started().await;
        let _idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        shutdown.cancel();
        let mut answer = String::new();
        busy.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        served.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
    }

    #[test]
    fn s9_one_peer_takes_its_own_places_and_nobody_elses() {
        let crowd = Arc::new(Crowd::default());
        let [crowding, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let held: Vec<Placed> = std::iter::from_fn(|| crowd.admit(crowding)).take(1_000).collect();
        assert_eq!(held.len(), PEER_MAX);
        assert!(crowd.admit(other).is_some());
        drop(held);
        assert!(crowd.admit(crowding).is_some() && crowd.open().len() < 2, "places are given back");
        let many = (0..u32::MAX).map_while(|n| crowd.admit(IpAddr::V4(n.into())));
        assert_eq!(many.take(1_000).collect::<Vec<_>>().len(), CONNECTIONS_MAX);
    }

    #[tokio::test]
    async fn s9_a_thousand_silent_connections_keep_nobody_else_waiting() {
        let (address, _shutdown, _served) = started().await;
        let mut silent = Vec::new();
        for _ in 0..1_000 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"GET /slow HTTP/1.1\r\nx: ").await; // closed already, if there were too many
            silent.push(stream);
        }
        // Another peer is answered on the crowded listener itself; probes have one of their own besides.
        let other = TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(address).await.unwrap();
        other.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(silent.len(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_cut_off() {
        let (address, _shutdown, _served) = started().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\n").await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection was closed");
    }
}
