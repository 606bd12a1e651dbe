//! Plain HTTP on loopback, for Prometheus, Alertmanager and the controller's own pages.

use std::time::Duration;

use anyhow::{Context, Result};

/// A client for plain HTTP, bound to the runtime it is first used on: make one per test.
pub fn client() -> Result<reqwest::Client> {
    crate::install_crypto();
    // No root certificates: a machine without any must do, and there is only loopback to talk to.
    let plain = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    plain.timeout(Duration::from_secs(10)).build().context("build an HTTP client")
}

/// GETs `url`; the body of a 2xx answer, else an error with status and body.
pub async fn get(url: &str) -> Result<String> {
    answer(client()?.get(url)).await
}

/// Sends `request`; the body of a 2xx answer, else an error with status and body.
pub async fn answer(request: reqwest::RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let body = response.text().await?;
    anyhow::ensure!(status.is_success(), "{url} answered {status}: {body}");
    Ok(body)
}
