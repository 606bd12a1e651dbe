//! The API clients: kube's own retries off, a deadline over every request, a bounded number of connections. I/O.
//!
//! Three clients, so that none starves another: one for reads and writes, one for watches (a deadline would end
//! them), one for the lease (a renewal must never queue behind ten thousand patches).
//!
//! kube 5's connector speaks HTTP/1.1 only, so throughput comes from many connections, each with one request at a
//! time: 32 of them saturate an API server on two cores at 700-900 patches/s. hyper's pool has no upper bound of its
//! own; the permits here are the bound.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body as RawBody, HttpBody, to_bytes};
use futures::{StreamExt as _, future::BoxFuture};
use http::{HeaderMap, Request, Response, StatusCode, header};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    core::{Status, response::StatusDetails},
};
use tokio::{sync::Semaphore, time::timeout};
use tower::{BoxError, Layer, Service, ServiceExt as _};

/// Largest answer that is read, in bytes: a page of 500 of the largest objects etcd stores (1.5 MB) does not fit,
/// a page of 500 ordinary ones does a hundred times over.
const ANSWER_MAX_BYTES: usize = 256 << 20;
/// Connections of the lease's client: a renewal and one that hangs.
const LEASE_CONNECTIONS: usize = 2;

/// Bounds of the clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most requests (and so connections) at once, watches aside; more than the executor's slots, so that reads pass.
    pub connections: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer, queueing for a connection included.
    pub request_timeout: Duration,
    /// Longest silence on a watch. API servers send a bookmark a minute and end a watch of kube's after 290 s, so
    /// anything above only ends half-open connections.
    pub watch_silence: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 64,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            watch_silence: Duration::from_secs(320),
        }
    }
}

/// The clients of one identity.
#[derive(Clone)]
pub struct Clients {
    /// For every request that has an end.
    pub requests: Client,
    /// For watches, and the lists that a watcher makes.
    pub watches: Client,
    /// For the lease alone.
    pub lease: Client,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The configuration (certificates, token, proxy, address) is of no use.
    #[error("api client for {url}: {source}")]
    Config {
        /// The API server's address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: kube::Error,
    },
}

/// Why a request had no answer; it comes wrapped in [`kube::Error::Service`].
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not within the deadline. Whether a write was committed is unknown.
    #[error("no whole answer from the api server within {0:?}")]
    TimedOut(Duration),
    /// The answer broke off or is too large.
    #[error("answer of the api server: {0}")]
    Answer(#[source] axum::Error),
}

/// Builds the clients for `config`. Must run inside a tokio runtime.
pub fn connect(config: &Config, settings: &Settings) -> Result<Clients, ClientError> {
    install_crypto();
    let Settings { connections, connect_timeout: _, request_timeout, watch_silence } = *settings;
    let failed = |source| ClientError::Config { url: config.cluster_url.to_string(), source };
    let bounded = |connections| -> Result<Client, ClientError> {
        let layer = DeadlineLayer::new(connections, request_timeout);
        let builder = ClientBuilder::try_from(prepared(config, settings)).map_err(failed)?;
        Ok(builder.with_layer(&layer).build())
    };
    let mut watching = prepared(config, settings);
    watching.read_timeout = Some(watch_silence);
    // Else the time a pooled connection sat idle counts against its next answer.
    watching.reset_reader_on_write = true;
    let watches = ClientBuilder::try_from(watching).map_err(failed)?.build();
    Ok(Clients { requests: bounded(connections)?, watches, lease: bounded(LEASE_CONNECTIONS)? })
}

/// The clients over any service that answers as an API server, under the same bounds as over a connection.
pub fn over<S, B>(service: &S, settings: &Settings) -> Clients
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Settings { connections, connect_timeout: _, request_timeout, watch_silence } = *settings;
    let bounded = |connections| {
        let layer = DeadlineLayer::new(connections, request_timeout);
        Client::new(layer.layer(service.clone()), "default")
    };
    Clients {
        requests: bounded(connections),
        watches: Client::new(
            service
                .clone()
                .map_err::<_, BoxError>(Into::into)
                .map_future(move |answer| ended_by_silence(answer, watch_silence)),
            "default",
        ),
        lease: bounded(LEASE_CONNECTIONS),
    }
}

/// The answer, ended by an error once nothing has come for so long: what a read time-out is to a connection.
async fn ended_by_silence<B, E>(
    answer: impl Future<Output = Result<Response<B>, E>> + Send + 'static,
    silence: Duration,
) -> Result<Response<RawBody>, BoxError>
where
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    let answer = timeout(silence, answer).await.map_err(|_| RequestError::TimedOut(silence))?;
    let (parts, body) = answer.map_err(Into::into)?.into_parts();
    let frames = RawBody::new(body).into_data_stream();
    let frames = futures::stream::unfold(Some(frames), move |frames| async move {
        let mut frames = frames?;
        match timeout(silence, frames.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(frames))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(None) => None,
            Err(_) => Some((Err(BoxError::from(RequestError::TimedOut(silence))), None)),
        }
    });
    Ok(Response::from_parts(parts, RawBody::from_stream(frames)))
}

/// kube retries 429, 503 and 504 fifteen times with up to 1000 s between, on any verb: a write could leave long after
/// the lease was lost (R26). Whether to retry is the executor's decision.
fn prepared(config: &Config, settings: &Settings) -> Config {
    let mut config = config.clone();
    config.default_retry = false;
    config.connect_timeout = Some(settings.connect_timeout);
    config
}

/// kube and the Prometheus client together leave rustls without a default provider, which panics at first use.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error only says that another thread was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Bounds how many requests run at once and how long each takes, its whole answer included; hands `Retry-After` on.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    permits: Arc<Semaphore>,
    deadline: Duration,
}

impl DeadlineLayer {
    /// At most `connections` requests at once, each within `deadline`.
    pub fn new(connections: usize, deadline: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(connections)), deadline }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner, permits: Arc::clone(&self.permits), within: self.deadline }
    }
}

/// The service that [`DeadlineLayer`] makes.
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    permits: Arc<Semaphore>,
    within: Duration,
}

impl<S, B> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let permits = Arc::clone(&self.permits);
        let within = self.within;
        let answer = self.inner.call(request); // lazy: nothing is sent before it is polled
        Box::pin(async move {
            timeout(within, async {
                let _permit = permits.acquire_owned().await?;
                whole(answer).await
            })
            .await
            .map_err(|_| RequestError::TimedOut(within))?
        })
    }
}

/// Waits for the answer and all of its body.
async fn whole<F, B, E>(answer: F) -> Result<Response<Body>, BoxError>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    let (parts, body) = answer.await.map_err(Into::into)?.into_parts();
    let bytes = to_bytes(RawBody::new(body), ANSWER_MAX_BYTES).await.map_err(RequestError::Answer)?;
    let body = match retry_after_seconds(parts.status, &parts.headers) {
        Some(seconds) => Body::from(with_retry_after(parts.status, &bytes, seconds)),
        None => Body::from(bytes),
    };
    Ok(Response::from_parts(parts, body))
}

/// `Retry-After` in seconds where the server turned a request away; the form with a date is not used by API servers.
fn retry_after_seconds(status: StatusCode, headers: &HeaderMap) -> Option<u32> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// kube drops headers of failed requests, and the API server's priority and fairness answers 429 in plain text with the
/// delay in the header only: it is put where kube keeps it, into the Status.
fn with_retry_after(status: StatusCode, body: &[u8], seconds: u32) -> Vec<u8> {
    let mut answer = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
        let reason = status.canonical_reason().unwrap_or_default().replace(' ', "");
        Status::failure(String::from_utf8_lossy(body).trim(), &reason).with_code(status.as_u16())
    });
    let details = answer.details.get_or_insert_with(|| StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    });
    if details.retry_after_seconds == 0 {
        details.retry_after_seconds = seconds;
    }
    // A Status is strings and numbers; if it could not be written, the body as received is as good.
    serde_json::to_vec(&answer).unwrap_or_else(|_| body.to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use tower::service_fn;

    use super::*;

    fn client<F>(connections: usize, deadline: Duration, answer: impl Fn() -> F + Send + 'static) -> Client
    where
        F: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        let service = service_fn(move |_: Request<Body>| answer());
        Client::new(DeadlineLayer::new(connections, deadline).layer(service), "default")
    }

    fn config_map() -> Response<Body> {
        Response::new(Body::from(br#"{"metadata":{"name":"a"}}"#.to_vec()))
    }

    #[test]
    fn r26_kubes_own_retries_are_off() {
        let config = Config::new("https://127.0.0.1:6443".parse().expect("a URL"));
        assert!(config.default_retry, "kube 5 retries by default; if not, this module has less to do");
        assert!(!prepared(&config, &Settings::default()).default_retry);
    }

    #[tokio::test]
    async fn clients_are_built_from_a_plain_config() {
        let config = Config::new("https://127.0.0.1:6443".parse().expect("a URL"));
        assert!(connect(&config, &Settings::default()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_at_its_deadline() {
        let client = client(4, Duration::from_secs(3), || async {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Ok(config_map())
        });
        let began = tokio::time::Instant::now();
        let error = Api::<ConfigMap>::default_namespaced(client).get("a").await.expect_err("must time out");
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        let kube::Error::Service(inner) = error else { panic!("{error}") };
        assert!(matches!(inner.downcast_ref(), Some(RequestError::TimedOut(_))), "{inner}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_run_at_once_than_there_are_connections() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
        let client = client(3, Duration::from_mins(1), move || {
            let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(config_map())
            }
        });
        let api = Api::<ConfigMap>::default_namespaced(client);
        let answers = futures::future::join_all((0..20).map(|_| api.get("a"))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn r25_retry_after_reaches_the_caller_even_from_plain_text() {
        let client = client(1, Duration::from_secs(1), || async {
            let answer = Response::builder().status(429).header("Retry-After", "7");
            Ok(answer.body(Body::from(b"Too many requests, please try again later.\n".to_vec()))?)
        });
        let error = Api::<ConfigMap>::default_namespaced(client).get("a").await.expect_err("429");
        let kube::Error::Api(status) = error else { panic!("{error}") };
        assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
        assert_eq!(status.message, "Too many requests, please try again later.");
        assert_eq!(status.details.map(|details| details.retry_after_seconds), Some(7));
    }
}
