//! A webhook stub: it keeps what it was sent.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::bed::background;

/// One request the stub got.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method and the path with its query.
    pub line: String,
    /// The `Authorization` header, empty if there was none.
    pub authorization: String,
    /// The body.
    pub body: String,
}

/// A listening stub; it ends when dropped.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    inbox: Arc<Inbox>,
    _server: AbortOnDropHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    answer: Mutex<StatusCode>,
}

impl Webhook {
    /// Listens on a free loopback port and answers 200 to everything.
    pub async fn start() -> Result<Self> {
        let inbox = Inbox { received: Mutex::default(), answer: Mutex::new(StatusCode::OK) };
        let inbox = Arc::new(inbox);
        let router = Router::new().fallback(keep).with_state(Arc::clone(&inbox));
        background::run(|| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for a webhook")?;
            let url = format!("http://{}", listener.local_addr()?);
            let server = background::spawn(async move { axum::serve(listener, router).await });
            Ok(Self { url, inbox, _server: server })
        })
        .await
    }

    /// `http://127.0.0.1:port`; every path is answered.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to answer from now on.
    pub fn answer(&self, status: StatusCode) {
        *self.inbox.answer.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

async fn keep(
    State(inbox): State<Arc<Inbox>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let authorization =
        headers.get("authorization").map(|value| String::from_utf8_lossy(value.as_bytes()).into());
    let received = Received {
        line: format!("{method} {uri}"),
        authorization: authorization.unwrap_or_default(),
        body: String::from_utf8_lossy(&body).into(),
    };
    inbox.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    *inbox.answer.lock().unwrap_or_else(PoisonError::into_inner)
}
