//! The way to the API server: kubeconfig, client, namespace, and reads whose errors say what to do.

use std::time::Duration;

use breakwater_crds::Rollout;
use breakwater_text::near;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::ListParams,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{WatchStreamExt as _, watcher},
};
use serde::de::DeserializeOwned;

use super::{
    args::Global,
    failure::{self, Doing, Failure},
};
use crate::cluster;

/// Time limit of connecting, and of one answer. Watches are long and have their own.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Objects per page of a list.
const PAGE: u32 = 500;

/// How `kubectl auth can-i` calls Rollouts.
pub const ROLLOUTS: &str = "rollouts.breakwater.dev";

/// One user's way to one cluster.
#[derive(Clone)]
pub struct Session {
    /// For requests; every answer has a time limit.
    pub client: Client,
    /// For watches.
    watcher: Client,
    /// The namespace that names are in.
    pub namespace: String,
    /// True where lists span all namespaces.
    pub all_namespaces: bool,
}

impl Session {
    /// Reads the kubeconfig as kubectl does. Asks nothing of the server yet.
    pub async fn connect(flags: &Global) -> Result<Self, Failure> {
        let mut config = cluster::config(flags.kubeconfig.as_deref(), flags.context.as_deref())
            .await
            .map_err(Failure::usage)?;
        config.connect_timeout = Some(CONNECT_WITHIN);
        // kube would retry for minutes; a human sees the error and decides.
        config.default_retry = false;
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let watcher = client(config.clone())?;
        config.read_timeout = Some(ANSWER_WITHIN);
        config.reset_reader_on_write = true;
        let client = client(config)?;
        Ok(Self { client, watcher, namespace, all_namespaces: flags.all_namespaces })
    }

    /// The API of a kind in the session's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Reads one Rollout; where there is none, names what may have been meant.
    pub async fn rollout(&self, name: &str) -> Result<Rollout, Failure> {
        match self.api::<Rollout>().get(name).await {
            Ok(rollout) => Ok(rollout),
            Err(kube::Error::Api(status)) if status.code == 404 && !failure::is_missing_kind(&status) => {
                Err(self.not_found(name).await)
            }
            Err(error) => Err(failure::explain(&error, self.doing("get", ROLLOUTS))),
        }
    }

    /// All Rollouts of the namespace (or of all, with `-A`), and what could not be read.
    pub async fn rollouts(&self) -> Result<(Vec<Rollout>, Vec<String>), Failure> {
        let api: Api<DeserializeGuard<Rollout>> = if self.all_namespaces {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), &self.namespace)
        };
        let namespace = (!self.all_namespaces).then_some(self.namespace.as_str());
        let listed =
            list(&api, Doing { verb: "list", resource: ROLLOUTS, namespace }, ListParams::default()).await?;
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for guard in listed {
            match readable(guard) {
                Ok(rollout) => read.push(rollout),
                Err(words) => unread.push(words),
            }
        }
        Ok((read, unread))
    }

    /// Changes of one Rollout, or of all that [`Session::rollouts`] lists. Ends never; interruptions are retried.
    pub fn watch(
        &self,
        name: Option<&str>,
    ) -> impl Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<Rollout>>>> + Send + use<> {
        let api = if self.all_namespaces {
            Api::all(self.watcher.clone())
        } else {
            Api::namespaced(self.watcher.clone(), &self.namespace)
        };
        let config = match name {
            Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
            None => watcher::Config::default(),
        };
        watcher(api, config).default_backoff().boxed()
    }

    /// What is being asked, in the session's namespace.
    pub fn doing<'a>(&'a self, verb: &'a str, resource: &'a str) -> Doing<'a> {
        Doing { verb, resource, namespace: Some(&self.namespace) }
    }

    /// The name in use where none is given: the only Rollout of the namespace.
    pub async fn only_rollout(&self) -> Result<Rollout, Failure> {
        let (mut rollouts, _) = self.rollouts().await?;
        let namespace = &self.namespace;
        match (rollouts.pop(), rollouts.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => {
                Err(Failure::usage(format!("no Rollouts in namespace {namespace}; name another one with -n")))
            }
            (Some(last), false) => {
                let names: Vec<_> = rollouts.iter().chain([&last]).map(ResourceExt::name_any).collect();
                Err(Failure::usage(format!(
                    "namespace {namespace} has several Rollouts; name one of {}",
                    names.join(", ")
                )))
            }
        }
    }

    async fn not_found(&self, name: &str) -> Failure {
        let namespace = &self.namespace;
        let said = format!("rollout {namespace}/{name} not found");
        let here: Vec<String> = match self.rollouts().await {
            Ok((rollouts, _)) => rollouts.iter().map(ResourceExt::name_any).collect(),
            Err(_) => return Failure::usage(format!("{said}; is -n {namespace} the right namespace?")),
        };
        if !here.is_empty() {
            let near = near::nearest(name, &here).join(", ");
            return Failure::usage(format!(
                "{said}; this namespace has {near}. Another namespace is named with -n"
            ));
        }
        // Only few may list everywhere; a refusal just leaves the hint out.
        let everywhere = Self { all_namespaces: true, ..self.clone() }.rollouts().await;
        let elsewhere: Vec<String> = everywhere
            .map(|(rollouts, _)| {
                rollouts.iter().filter(|rollout| rollout.name_any() == name).map(full_name).collect()
            })
            .unwrap_or_default();
        match elsewhere.as_slice() {
            [] => Failure::usage(format!(
                "{said}: namespace {namespace} has no Rollouts; name another one with -n"
            )),
            found => Failure::usage(format!(
                "{said}, but there is {}; name the namespace with -n",
                found.join(", ")
            )),
        }
    }
}

/// Reads a list page by page, so that no answer is large.
pub async fn list<K>(api: &Api<K>, doing: Doing<'_>, params: ListParams) -> Result<Vec<K>, Failure>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = params.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|error| failure::explain(&error, doing))?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(items),
        }
    }
}

/// The Rollout, or words about why it cannot be read.
pub fn readable(guard: DeserializeGuard<Rollout>) -> Result<Rollout, String> {
    guard.0.map_err(|error| {
        let name = error.metadata.name.clone().unwrap_or_default();
        let namespace = error.metadata.namespace.clone().unwrap_or_default();
        format!("rollout {namespace}/{name} cannot be read by this version of the plugin: {error}")
    })
}

fn full_name(rollout: &Rollout) -> String {
    format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any())
}

fn client(config: Config) -> Result<Client, Failure> {
    Client::try_from(config)
        .map_err(|error| Failure::usage(format!("cannot make a client of the kubeconfig: {error}")))
}

/// The watch's next event; ends the command where waiting cannot help, and tells of interruptions.
pub async fn next_event<S>(
    stream: &mut S,
    doing: Doing<'_>,
) -> Result<watcher::Event<DeserializeGuard<Rollout>>, Failure>
where
    S: Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<Rollout>>>> + Unpin,
{
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => return Ok(event),
            Ok(None) => return Err(Failure::usage("the watch has ended")),
            Err(error) => match for_ever(&error) {
                Some(status) => {
                    return Err(failure::explain(&kube::Error::Api(Box::new(status.clone())), doing));
                }
                None => eprintln!("watch interrupted, trying again: {error}"),
            },
        }
    }
}

/// The server's answer where it will not change by asking again.
fn for_ever(error: &watcher::Error) -> Option<&kube::core::Status> {
    let (watcher::Error::InitialListFailed(error)
    | watcher::Error::WatchStartFailed(error)
    | watcher::Error::WatchFailed(error)) = error
    else {
        return None;
    };
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404) => Some(status),
        _ => None,
    }
}
