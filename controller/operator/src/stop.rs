//! The brake for everything: the existence of `ConfigMap` `breakwater-stop` (rule R36). I/O.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::watch;

use breakwater_crds::marker::STOP_CONFIG_MAP;

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
        let mut events = watcher(api, only).default_backoff().boxed();
        let mut seen = false;
        loop {
            let verdict = match events.try_next().await {
                Ok(Some(watcher::Event::Init)) => {
                    seen = false;
                    continue;
                }
                Ok(Some(watcher::Event::InitApply(_))) => {
                    seen = true;
                    continue;
                }
                Ok(Some(watcher::Event::InitDone)) => seen,
                Ok(Some(watcher::Event::Apply(_))) => true,
                Ok(Some(watcher::Event::Delete(_))) => false,
                Ok(None) => return,
                Err(error) => {
                    let why = format!("ConfigMap {namespace}/{STOP_CONFIG_MAP} cannot be read: {error}");
                    tracing::warn!("{why}");
                    sender.send_replace(Some(why));
                    continue;
                }
            };
            let why = verdict
                .then(|| format!("ConfigMap {namespace}/{STOP_CONFIG_MAP} exists: delete it to go on"));
            if sender.is_closed() {
                return;
            }
            sender.send_if_modified(|now| std::mem::replace(now, why.clone()) != why);
        }
    })
}
