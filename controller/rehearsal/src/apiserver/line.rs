//! A client's line to the server, and what may befall the calls on it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body as Answer;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use kube::client::Body;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service};

use super::{
    ApiServer,
    failure::Failure,
    request::{self, Query, Route, Subresource, Verb},
    verbs::{self, Done, Say},
    watch,
};

/// A call, as those see it who decide what befalls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which call of this line it is, from 0.
    pub index: u64,
    /// What is done.
    pub verb: Verb,
    /// The kind, such as `Deployment`; empty for discovery.
    pub kind: String,
    /// The namespace; empty where none is named.
    pub namespace: String,
    /// The name; empty where none is named.
    pub name: String,
    /// The subresource.
    pub subresource: Option<Subresource>,
}

/// What befalls a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Pass,
    /// It is refused and changes nothing.
    Refuse(Failure),
    /// It takes effect, and its answer is this refusal (a 504 after the commit).
    RefuseAfter(Failure),
    /// It changes nothing, and the connection breaks.
    Break,
    /// It takes effect, and the connection breaks before the answer.
    BreakAfter,
    /// It takes effect, and half of the answer arrives.
    Truncate,
    /// It changes nothing and is never answered.
    Hang,
    /// It takes effect and is never answered.
    HangAfter,
    /// It takes so long, then happens.
    Delay(Duration),
}

/// Decides what befalls calls.
pub trait Fates: Send + Sync + 'static {
    /// The fate of a call that is about to be made.
    fn fate(&self, call: &Call) -> Fate;
}

/// Nothing ever happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unharmed;

impl Fates for Unharmed {
    fn fate(&self, _: &Call) -> Fate {
        Fate::Pass
    }
}

/// A client's line to the server. Clones share it.
#[derive(Clone)]
pub struct Line {
    server: ApiServer,
    user: Arc<str>,
    fates: Arc<dyn Fates>,
    calls: Arc<AtomicU64>,
    cut: CancellationToken,
    held: watch::Held,
}

impl Line {
    pub(super) fn new(server: ApiServer, user: &str, fates: Arc<dyn Fates>) -> Self {
        let (calls, cut, held) = (Arc::default(), CancellationToken::new(), watch::Held::default());
        Self { server, user: user.into(), fates, calls, cut, held }
    }

    /// From now on the watches of this line tell nothing new: what its client knows of the cluster is stale, while reads
    /// of single objects and lists, which a quorum answers, are not.
    pub fn hold(&self) {
        self.held.hold(self.server.lock().store.version());
    }

    /// The watches catch up.
    pub fn release(&self) {
        self.held.release();
        self.server.changed.wake();
    }

    /// Cuts the line for good: what is under way is never answered, what is sent later never arrives. So ends a process.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call(self, request: Request<Body>) -> Result<Response<Answer>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let query = Query::of(&parts.uri);
        let route = request::route(&self.server.lock().kinds, parts.uri.path());
        let route = match route {
            Ok(route) => route,
            Err(failure) => return Ok(refusal(&failure)),
        };
        let Some(verb) = request::verb(&parts.method, &route, &query) else {
            return Ok(refusal(&Failure::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )));
        };
        let call = self.describe(&route, verb);
        if self.cut.is_cancelled() {
            return std::future::pending().await;
        }
        let fate = self.fates.fate(&call);
        match &fate {
            Fate::Refuse(failure) => return Ok(refusal(failure)),
            Fate::Break => return Err("connection reset by peer".into()),
            Fate::Hang => return std::future::pending().await,
            Fate::Delay(by) => tokio::time::sleep(*by).await,
            Fate::Pass | Fate::RefuseAfter(_) | Fate::BreakAfter | Fate::Truncate | Fate::HangAfter => {}
        }
        if self.cut.is_cancelled() {
            return std::future::pending().await;
        }
        let manager = manager(&query, &parts.headers, &self.user);
        let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let say = Say { verb, user: &self.user, manager: &manager, media, query: &query, body: &body };
        let done = self.server.perform(&route, parts.uri.path(), &say);
        self.server.tell();
        match fate {
            Fate::RefuseAfter(failure) => Ok(refusal(&failure)),
            Fate::BreakAfter => Err("connection reset by peer".into()),
            Fate::HangAfter => std::future::pending().await,
            Fate::Truncate => Ok(self.answer(done, true)),
            Fate::Pass | Fate::Refuse(_) | Fate::Break | Fate::Hang | Fate::Delay(_) => {
                Ok(self.answer(done, false))
            }
        }
    }

    fn describe(&self, route: &Route, verb: Verb) -> Call {
        let index = self.calls.fetch_add(1, Ordering::Relaxed);
        match route {
            Route::Objects(target) => Call {
                index,
                verb,
                kind: self.server.lock().kinds.at(target.kind).kind.clone(),
                namespace: target.namespace.clone(),
                name: target.name.clone(),
                subresource: target.subresource,
            },
            Route::Discovery | Route::Resources { .. } => Call {
                index,
                verb,
                kind: String::new(),
                namespace: String::new(),
                name: String::new(),
                subresource: None,
            },
        }
    }

    fn answer(&self, done: Result<Done, Failure>, truncated: bool) -> Response<Answer> {
        match done {
            Ok(Done::Text { code, text }) => {
                let kept = if truncated { text.len() / 2 } else { text.len() };
                let kept = text.floor_char_boundary(kept);
                json(code, Answer::from(text[..kept].to_owned()))
            }
            Ok(Done::Watch(watch)) => {
                let (server, held, cut) = (self.server.clone(), self.held.clone(), self.cut.clone());
                json(200, Answer::from_stream(watch::stream(server, watch, held, cut)))
            }
            Err(failure) => refusal(&failure),
        }
    }
}

impl ApiServer {
    fn perform(&self, route: &Route, path: &str, say: &Say<'_>) -> Result<Done, Failure> {
        let now = self.now();
        let mut inner = self.lock();
        verbs::perform(&mut inner, route, path, say, now)
    }
}

impl Service<Request<Body>> for Line {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Self::call(self.clone(), request))
    }
}

/// The field manager: named by the request, or else the program, or else the user.
fn manager(query: &Query, headers: &http::HeaderMap, user: &str) -> String {
    let named = query.text("fieldManager");
    if !named.is_empty() {
        return named.to_owned();
    }
    let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.and_then(|agent| agent.split('/').next()).unwrap_or(user).to_owned()
}

fn refusal(failure: &Failure) -> Response<Answer> {
    let mut answer = json(failure.code, Answer::from(failure.status().to_string()));
    if failure.retry_after > 0 {
        answer.headers_mut().insert(http::header::RETRY_AFTER, failure.retry_after.into());
    }
    answer
}

fn json(code: u16, body: Answer) -> Response<Answer> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

/// A stream of a body cannot fail here.
pub(super) type Never = Infallible;
