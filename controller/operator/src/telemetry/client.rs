//! The HTTP client of one Prometheus, or of what speaks its API. I/O.
//!
//! prometheus-http-query forms the requests; answers are taken raw, since its parsed form drops warnings.

use std::{fmt, time::Duration};

use breakwater_crds::rollout::Flavor;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use prometheus_http_query::Client;
use reqwest::{Response, redirect::Policy};

use super::{
    ReadError, Rows,
    parse::{self, Answer},
    read::Counts,
};

/// Most bytes of an answer: a hundred thousand tenants are some 40 MB.
pub const BODY_MAX: usize = 256 << 20;
/// Most bytes of an error's body, of which the start is shown.
const ERROR_BODY_MAX: usize = 64 << 10;
/// From this size on an answer is read on a thread of its own, not between other tasks.
const LARGE_BODY: usize = 1 << 20;
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
        let Settings { url, flavor, timeout, bearer, ca_pem, headers, body_max } = settings;
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
        let client = Client::from(http, url).map_err(|_| refuse("the URL cannot be parsed".to_owned()))?;
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

    async fn ask(&self, promql: &str, at: Timestamp) -> Result<Rows, ReadError> {
        let limit_ms = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let query = self.client.query(promql).at(at.as_second()).timeout(limit_ms);
        let query = match self.flavor {
            Flavor::Prometheus | Flavor::Mimir => query,
            Flavor::Thanos => query.query("partial_response", "false"),
            Flavor::VictoriaMetrics => query.query("deny_partial_response", "1"),
        };
        let response = query.post_raw().await.map_err(|why| self.failed(&why))?;
        let status = response.status();
        let limit = if status.is_success() { self.body_max } else { ERROR_BODY_MAX };
        let body = self.body(response, limit).await;
        if !status.is_success() {
            let body = body.unwrap_or_default();
            return Err(self.refused(status.as_u16(), &body));
        }
        let body = body?;
        let answer = if body.len() < LARGE_BODY {
            parse::answer(&body)
        } else {
            let reading = tokio::task::spawn_blocking(move || parse::answer(&body)).await;
            reading.unwrap_or_else(|why| Answer::Malformed(why.to_string()))
        };
        let host = self.host.clone();
        match answer {
            Answer::Rows(rows) => Ok(rows),
            Answer::Warning(why) => Err(ReadError::Warning { host, why }),
            Answer::Error(why) => Err(ReadError::Status { host, status: status.as_u16(), why }),
            Answer::Malformed(why) => Err(ReadError::Malformed { host, why }),
        }
    }

    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
        let too_large = || ReadError::TooLarge { host: self.host.clone(), mebibytes: limit >> 20 };
        let announced =
            response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|why| self.failed(&why))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
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
        let why = match parse::answer(body) {
            Answer::Error(why) | Answer::Warning(why) => why,
            Answer::Rows(_) | Answer::Malformed(_) => {
                parse::shown(&String::from_utf8_lossy(parse::start(body)))
            }
        };
        ReadError::Status { host: self.host.clone(), status, why }
    }
}

impl Counts for Prometheus {
    fn query<'a>(&'a self, promql: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Rows, ReadError>> {
        self.ask(promql, at).boxed()
    }
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
    parse::shown(&parts.join(": "))
}

#[cfg(test)]
mod tests;
