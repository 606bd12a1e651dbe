//! `/healthz`, `/readyz`, `/metrics`. I/O.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::CONTENT_TYPE};

use super::HttpState;

/// The process runs.
pub async fn healthz() -> &'static str {
    "ok"
}

/// The process stands by, or leads.
pub async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    if *state.ready.borrow() {
        (StatusCode::OK, "ok")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "this process holds the lease and does not lead: its watches have not listed",
        )
    }
}

/// The metrics, as `OpenMetrics` text.
pub async fn metrics(State(state): State<HttpState>) -> impl IntoResponse {
    match state.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
