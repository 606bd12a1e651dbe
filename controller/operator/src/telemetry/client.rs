//! The HTTP client of one Prometheus, or of what speaks its API. I/O.
//!
//! prometheus-http-query forms the requests; answers are taken raw, since its parsed form drops warnings.

mod resolver;

use std::{fmt, sync::Arc, time::Duration};

use breakwater_crds::rollout::Flavor;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use prometheus_http_query::Client;
use reqwest::{Response, redirect::Policy};

use self::resolver::Guarded;
use super::{
    ReadError,
    body::{Reader, Wanted},
    parse::{self, Envelope, shown},
    reach::Reach,
    read::Counts,
    sheet::Grid,
    sink::Sink,
};

/// Most bytes of an answer: a hundred thousand tenants are some 40 MB.
pub const BODY_MAX: usize = 256 << 20;
/// Most bytes of an error's body, of which the start is shown.
const ERROR_BODY_MAX: usize = 64 << 10;
/// Time limit of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most extra headers.
const HEADERS_MAX: usize = 32;

/// A value of a Kubernetes Secret that no log line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value without the blanks and line ends around it, which `kubectl create` likes to leave there.
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where and how to ask; Secrets are resolved already.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Base URL.
    pub url: String,
    /// Dialect; decides how incomplete answers are declined.
    pub flavor: Flavor,
    /// Time limit of one query, the answer included.
    pub timeout: Duration,
    /// Bearer token.
    pub bearer: Option<Secret>,
    /// CA certificates in PEM; with them the system's are not trusted.
    pub ca_pem: Option<Vec<u8>>,
    /// Further headers, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, Secret)>,
    /// Most bytes of an answer.
    pub body_max: usize,
    /// Which addresses may be connected to; `None`: any, for whoever runs this names the URL.
    pub reach: Option<Arc<Reach>>,
}

impl Settings {
    /// Settings of an open Prometheus.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            flavor: Flavor::Prometheus,
            timeout: Duration::from_secs(30),
            bearer: None,
            ca_pem: None,
            headers: Vec::new(),
            body_max: BODY_MAX,
            reach: None,
        }
    }
}

/// A client of one Prometheus; cheap to clone.
#[derive(Clone)]
pub struct Prometheus {
    client: Client,
    host: String,
    flavor: Flavor,
    timeout: Duration,
    body_max: usize,
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Prometheus {
    /// Builds the client; asks nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, ReadError> {
        let Settings { url, flavor, timeout, bearer, ca_pem, headers, body_max, reach } = settings;
        // kube and reqwest share one rustls, which panics without a provider; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refuse = |why: String| ReadError::Settings(why);
        let mut builder = reqwest::Client::builder()
            .default_headers(header_map(bearer.as_ref(), headers).map_err(refuse)?)
            .timeout(*timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect is a login page, or takes headers to another host.
            .redirect(Policy::none())
            .user_agent(concat!("breakwater/", env!("CARGO_PKG_VERSION")));
        if let Some(reach) = reach {
            reach.check_url(url).map_err(ReadError::Settings)?;
            // A proxy would resolve the name itself.
            builder = builder.dns_resolver(Arc::new(Guarded(reach.clone()))).no_proxy();
        }
        if let Some(pem) = ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem);
            let certificates =
                certificates.map_err(|why| refuse(format!("the CA is no PEM: {}", causes(&why))))?;
            if certificates.is_empty() {
                return Err(refuse("the CA holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|why| refuse(causes(&why)))?;
        // A slash at the end of a path would stand twice.
        let client = Client::from(http, url.trim_end_matches('/'))
            .map_err(|_| refuse("the URL cannot be parsed".to_owned()))?;
        let base = client.base_url();
        if !matches!(base.scheme(), "http" | "https")
            || !base.username().is_empty()
            || base.password().is_some()
        {
            return Err(refuse("the URL must be http or https, without a user".to_owned()));
        }
        let host = base.host_str().ok_or_else(|| refuse("the URL has no host".to_owned()))?;
        let host = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { client, host, flavor: *flavor, timeout: *timeout, body_max: *body_max })
    }

    async fn ask(&self, promql: &str, at: Timestamp, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let query = self.client.query(promql).at(at.as_second()).timeout(self.limit_ms());
        let query = match self.declines_partial() {
            Some((name, value)) => query.query(name, value),
            None => query,
        };
        let response = query.post_raw().await.map_err(|why| self.failed(&why))?;
        self.take(response, Wanted::Instant, sink).await
    }

    async fn ask_range(&self, promql: &str, grid: Grid, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let step = grid.step_seconds as f64;
        let query = self.client.query_range(promql, grid.first, grid.last(), step).timeout(self.limit_ms());
        let query = match self.declines_partial() {
            Some((name, value)) => query.query(name, value),
            None => query,
        };
        let response = query.post_raw().await.map_err(|why| self.failed(&why))?;
        self.take(response, Wanted::Range, sink).await
    }

    fn limit_ms(&self) -> i64 {
        i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX)
    }

    /// The parameter by which incomplete answers are declined.
    const fn declines_partial(&self) -> Option<(&'static str, &'static str)> {
        match self.flavor {
            Flavor::Prometheus | Flavor::Mimir => None,
            Flavor::Thanos => Some(("partial_response", "false")),
            Flavor::VictoriaMetrics => Some(("deny_partial_response", "1")),
        }
    }

    /// Pours an answer into the sink as it comes in. Between two pieces of it other tasks have their turn.
    async fn take(
        &self,
        mut response: Response,
        wanted: Wanted,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let status = response.status();
        if status.is_redirection() {
            return Err(ReadError::Status {
                host: self.host.clone(),
                status: status.as_u16(),
                why: leads_to(&response),
            });
        }
        if !status.is_success() {
            let body = self.error_body(response).await.unwrap_or_default();
            return Err(self.refused(status.as_u16(), &body));
        }
        self.check_length(&response, self.body_max)?;
        let (mut reader, mut length) = (Reader::new(wanted), 0_usize);
        while let Some(chunk) = response.chunk().await.map_err(|why| self.failed(&why))? {
            length += chunk.len();
            if length > self.body_max {
                return Err(self.too_large(self.body_max));
            }
            let fed = reader.feed(&chunk, sink);
            fed.map_err(|why| ReadError::Malformed { host: self.host.clone(), why })?;
        }
        reader.end(sink).into_result(&self.host, status.as_u16())
    }

    async fn error_body(&self, mut response: Response) -> Result<Vec<u8>, ReadError> {
        self.check_length(&response, ERROR_BODY_MAX)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|why| self.failed(&why))? {
            if body.len() + chunk.len() > ERROR_BODY_MAX {
                return Err(self.too_large(ERROR_BODY_MAX));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Refuses what is announced to be too large.
    fn check_length(&self, response: &Response, limit: usize) -> Result<(), ReadError> {
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) { Err(self.too_large(limit)) } else { Ok(()) }
    }

    fn too_large(&self, limit: usize) -> ReadError {
        ReadError::TooLarge { host: self.host.clone(), mebibytes: limit >> 20 }
    }

    fn failed(&self, why: &(dyn std::error::Error + 'static)) -> ReadError {
        let host = self.host.clone();
        let mut cause = Some(why);
        while let Some(error) = cause {
            if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout) {
                return ReadError::TimedOut { host, seconds: self.timeout.as_secs() };
            }
            cause = error.source();
        }
        ReadError::Unreachable { host, why: causes(why) }
    }

    fn refused(&self, status: u16, body: &[u8]) -> ReadError {
        let why = match parse::envelope(body) {
            Ok(Envelope::Error(why) | Envelope::Warning(why)) => why,
            Ok(Envelope::List(_) | Envelope::Scalar { .. }) | Err(_) => String::new(),
        };
        ReadError::Status { host: self.host.clone(), status, why }
    }
}

impl Counts for Prometheus {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        self.ask(promql, at, sink).boxed()
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        self.ask_range(promql, grid, sink).boxed()
    }
}

/// Where a redirect leads: the host alone, which says whether it is a login page or another address of the same server.
fn leads_to(response: &Response) -> String {
    let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| response.url().join(location).ok());
    let host = url.as_ref().and_then(reqwest::Url::host_str);
    host.map_or_else(String::new, |host| format!("it leads to {}; name the URL that answers", shown(host)))
}

fn header_map(bearer: Option<&Secret>, headers: &[(String, Secret)]) -> Result<HeaderMap, String> {
    if headers.len() > HEADERS_MAX {
        return Err(format!("{} headers, more than {HEADERS_MAX}", headers.len()));
    }
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    // The name is shown and the value is not.
    let mut insert = |name: &str, value: &str| {
        let key =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header name"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| format!("the value of {name:?} is no header value"))?;
        value.set_sensitive(true);
        map.insert(key, value);
        Ok::<_, String>(())
    };
    for (name, value) in headers {
        insert(name, value.expose())?;
    }
    if let Some(bearer) = bearer {
        insert(AUTHORIZATION.as_str(), &format!("Bearer {}", bearer.expose()))?;
    }
    Ok(map)
}

/// An error and what caused it, outermost first, each part once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
        cause = error.source();
    }
    shown(&parts.join(": "))
}

#[cfg(test)]
mod tests;
