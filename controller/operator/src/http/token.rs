//! The webhook's bearer token, followed in its Secret: tokens rotate. I/O.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client};
use tokio::sync::watch;

use crate::telemetry::Secret;

/// Key of the token in its Secret.
const TOKEN_KEY: &str = "token";
/// Fewest characters of a token.
const TOKEN_MIN: usize = 16;
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
            Err(Unread::Gone(why)) => {
                tracing::warn!("webhook token of Secret {namespace}/{name}: {why}; the webhook is shut");
                token.send_replace(None);
            }
            // The last known token stays: an API server that is away must not shut out alerts.
            Err(Unread::Away(why)) => tracing::warn!("webhook token of Secret {namespace}/{name}: {why}"),
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// Why there is no token.
enum Unread {
    /// The Secret holds none that will do: whoever took it out meant it (S12).
    Gone(String),
    /// Nobody knows what it holds now.
    Away(String),
}

async fn read(api: &Api<Object>, name: &str) -> Result<Secret, Unread> {
    let secret = api.get(name).await.map_err(|error| match &error {
        kube::Error::Api(status) if status.is_not_found() => Unread::Gone(error.to_string()),
        _ => Unread::Away(error.to_string()),
    })?;
    take(secret).map_err(Unread::Gone)
}

fn take(secret: Object) -> Result<Secret, String> {
    let data = secret.data.unwrap_or_default().remove(TOKEN_KEY);
    let bytes = data.ok_or_else(|| format!("has no key {TOKEN_KEY}"))?;
    let text = String::from_utf8(bytes.0).map_err(|_| "is not UTF-8".to_owned())?;
    match text.trim().len() {
        0 => Err("is empty".into()),
        1..TOKEN_MIN => Err(format!("is shorter than {TOKEN_MIN} characters, and could be guessed")),
        _ => Ok(Secret::new(&text)),
    }
}
