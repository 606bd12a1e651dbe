//! The HTTP side of the program: what the webhook is given, its token, and the second look at what it remembers. I/O.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client};
use tokio::sync::watch;

use crate::{clock::Clock, http::Alerts, telemetry::Secret};

/// Key of the token in its Secret.
const TOKEN_KEY: &str = "token";
/// How often the Secret is read: tokens rotate.
const TOKEN_EVERY: Duration = Duration::from_secs(30);
/// How often remembered alerts are decided on again, for those that had not fired for long enough.
const REDECIDE_EVERY: Duration = Duration::from_secs(5);

/// How often Prometheus is asked for the alerts that fire.
const PULL_EVERY: Duration = Duration::from_mins(1);

/// Follows the webhook's token; without a Secret, or while it cannot be read, the webhook is shut.
pub(crate) fn token(
    client: Client,
    namespace: &str,
    secret: Option<String>,
) -> (watch::Receiver<Option<Secret>>, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = watch::channel(None);
    let api: Api<Object> = Api::namespaced(client, namespace);
    let namespace = namespace.to_owned();
    (receiver, async move {
        let Some(name) = secret else { return };
        let full = format!("{namespace}/{name}");
        while !sender.is_closed() {
            match read(&api, &name).await {
                Ok(token) => {
                    sender.send_if_modified(|now| {
                        let differs = now.as_ref() != Some(&token);
                        *now = Some(token);
                        differs
                    });
                }
                // The last known token stays: an API server that is away must not shut out alerts.
                Err(why) => tracing::warn!("webhook token of Secret {full}: {why}"),
            }
            tokio::time::sleep(TOKEN_EVERY).await;
        }
    })
}

async fn read(api: &Api<Object>, name: &str) -> Result<Secret, String> {
    let secret = api.get(name).await.map_err(|error| error.to_string())?;
    let bytes =
        secret.data.unwrap_or_default().remove(TOKEN_KEY).ok_or_else(|| format!("has no key {TOKEN_KEY}"))?;
    let text = String::from_utf8(bytes.0).map_err(|_| "is not UTF-8".to_owned())?;
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(Secret::new(&text)) }
}

/// Decides again on what is remembered, for ever.
pub(crate) async fn redecide(alerts: Arc<Alerts>, clock: Clock) {
    loop {
        tokio::time::sleep(REDECIDE_EVERY).await;
        if let Err(error) = alerts.redecide(None, clock()).await {
            tracing::debug!(%error, "remembered alerts wait");
        }
    }
}

/// Asks Prometheus for the alerts that fire, for ever.
pub(crate) async fn pull(alerts: Arc<Alerts>, clock: Clock) {
    loop {
        tokio::time::sleep(PULL_EVERY).await;
        alerts.pull(clock()).await;
    }
}
