//! Alertmanager's webhook: who may call it, and what it answers. I/O through [`crate::alerts`].

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

use super::HttpState;
use crate::{alerts::IntakeError, metrics::WebhookResult};

/// `POST /webhook/alertmanager/{namespace}/{rollout}`.
pub async fn one(
    State(state): State<HttpState>,
    Path((namespace, rollout)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    handle(&state, Some((&namespace, &rollout)), &headers, &body).await
}

/// `POST /webhook/alertmanager`.
pub async fn all(State(state): State<HttpState>, headers: HeaderMap, body: Bytes) -> Response {
    handle(&state, None, &headers, &body).await
}

async fn handle(state: &HttpState, only: Option<(&str, &str)>, headers: &HeaderMap, body: &[u8]) -> Response {
    let (status, result, text) = match authorize(state, headers) {
        Err(refused) => refused,
        Ok(()) => match state.alerts.receive(only, body, (state.clock)()).await {
            Ok(0) => (StatusCode::OK, WebhookResult::Kept, "remembered".to_owned()),
            Ok(n) => (StatusCode::OK, WebhookResult::Stored, format!("{n} actions stand")),
            Err(why) => {
                let text = why.to_string();
                match why {
                    IntakeError::Malformed(_) => (StatusCode::BAD_REQUEST, WebhookResult::Malformed, text),
                    IntakeError::Unknown(_) => (StatusCode::NOT_FOUND, WebhookResult::Unknown, text),
                    IntakeError::Unavailable(_) => {
                        tracing::warn!(error = %text, "alerts could not be served");
                        (StatusCode::SERVICE_UNAVAILABLE, WebhookResult::Unavailable, text)
                    }
                }
            }
        },
    };
    state.metrics.webhook(result);
    (status, text).into_response()
}

/// Without a token the webhook is closed, never open.
fn authorize(state: &HttpState, headers: &HeaderMap) -> Result<(), (StatusCode, WebhookResult, String)> {
    let token = state.token.borrow();
    let Some(token) = token.as_ref().filter(|token| !token.expose().is_empty()) else {
        let text = "the webhook's token is not configured".to_owned();
        return Err((StatusCode::SERVICE_UNAVAILABLE, WebhookResult::Unavailable, text));
    };
    let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, given) = given.split_at_checked(b"Bearer ".len()).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.expose().as_bytes())) {
        Ok(())
    } else {
        Err((
            StatusCode::UNAUTHORIZED,
            WebhookResult::Unauthorized,
            "the bearer token is missing or wrong".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests;
