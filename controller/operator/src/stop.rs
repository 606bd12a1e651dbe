//! The brake for everything: the existence of `ConfigMap` `breakwater-stop` (rule R36). I/O.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, runtime::watcher};
use tokio::sync::watch;

use breakwater_crds::marker::STOP_CONFIG_MAP;

/// Pause before it is read again.
const AFTER_ERROR: Duration = Duration::from_secs(2);

/// Why everything stands, or `None`. Unreadable counts as stop: unknown is never safe.
pub type Stop = watch::Receiver<Option<String>>;

/// Watches the `ConfigMap` in `namespace` until the receiver and all its clones are gone.
pub fn watch(client: Client, namespace: &str) -> (Stop, impl Future<Output = ()> + Send + 'static) {
    let unread = format!("ConfigMap {namespace}/{STOP_CONFIG_MAP} has not been read yet");
    let (sender, receiver) = watch::channel(Some(unread));
    let api: Api<ConfigMap> = Api::namespaced(client, namespace);
    let namespace = namespace.to_owned();
    (receiver, async move {
        let only = watcher::Config::default().fields(&format!("metadata.name={STOP_CONFIG_MAP}"));
        loop {
            // After an error a watcher goes on where it was and says nothing until something happens: whether the stop
            // is there would stay unknown. A new one reads it afresh.
            let events = watcher(api.clone(), only.clone()).boxed();
            let error = follow(events, &sender, &namespace).await;
            if sender.is_closed() {
                return;
            }
            let why = format!("ConfigMap {namespace}/{STOP_CONFIG_MAP} cannot be read: {error}");
            tracing::warn!("{why}");
            sender.send_replace(Some(why));
            tokio::time::sleep(AFTER_ERROR).await;
        }
    })
}

/// Tells what the events say until one is an error.
async fn follow(
    mut events: impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin,
    sender: &watch::Sender<Option<String>>,
    namespace: &str,
) -> String {
    let mut seen = false;
    while let Some(event) = events.next().await {
        let stops = match event {
            Ok(watcher::Event::Init) => {
                seen = false;
                continue;
            }
            Ok(watcher::Event::InitApply(_)) => {
                seen = true;
                continue;
            }
            Ok(watcher::Event::InitDone) => seen,
            Ok(watcher::Event::Apply(_)) => true,
            Ok(watcher::Event::Delete(_)) => false,
            Err(error) => return error.to_string(),
        };
        if sender.is_closed() {
            break;
        }
        let why =
            stops.then(|| format!("ConfigMap {namespace}/{STOP_CONFIG_MAP} exists: delete it to go on"));
        sender.send_if_modified(|now| std::mem::replace(now, why.clone()) != why);
    }
    "the watch has ended".to_owned()
}
