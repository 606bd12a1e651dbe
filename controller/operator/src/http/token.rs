//! The webhook's bearer token, followed in its Secret: tokens rotate. I/O.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client};
use tokio::sync::watch;

use crate::telemetry::Secret;

/// Key of the token in its Secret.
const TOKEN_KEY: &str = "token";
/// How often the Secret is read.
const READ_EVERY: Duration = Duration::from_secs(30);

/// Reads the token from Secret `name` for ever, and tells `token` of each.
pub(crate) async fn follow(
    client: Client,
    namespace: String,
    name: String,
    token: watch::Sender<Option<Secret>>,
) {
    let api: Api<Object> = Api::namespaced(client, &namespace);
    loop {
        match read(&api, &name).await {
            Ok(read) => {
                token.send_if_modified(|now| {
                    let differs = now.as_ref() != Some(&read);
                    *now = Some(read);
                    differs
                });
            }
            // The last known token stays: an API server that is away must not shut out alerts.
            Err(why) => tracing::warn!("webhook token of Secret {namespace}/{name}: {why}"),
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

async fn read(api: &Api<Object>, name: &str) -> Result<Secret, String> {
    let secret = api.get(name).await.map_err(|error| error.to_string())?;
    let bytes =
        secret.data.unwrap_or_default().remove(TOKEN_KEY).ok_or_else(|| format!("has no key {TOKEN_KEY}"))?;
    let text = String::from_utf8(bytes.0).map_err(|_| "is not UTF-8".to_owned())?;
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(Secret::new(&text)) }
}
