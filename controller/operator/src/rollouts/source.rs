//! The Prometheus of one Rollout: built of its settings and Secrets when first asked, and again when it says 401. I/O.

use std::{sync::Arc, time::Duration};

use breakwater_crds::rollout::{Flavor, Prometheus as Spec, SecretRef};
use breakwater_plan::spec::QUERY_TIMEOUT_MAX;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Mutex;

use crate::ground::CountsOf;
use crate::telemetry::{Counts, Grid, Prometheus, Reach, ReadError, Secret, Settings, Sink};

/// Counts from the Prometheus that each Rollout names, as far as it may, or else from the fallback.
pub(crate) fn counts_of(client: Client, reach: Arc<Reach>) -> CountsOf {
    Arc::new(move |namespace, spec| Source::new(client.clone(), namespace, spec.cloned(), reach.clone()))
}

/// Label of a Secret that may be sent to a Prometheus: nobody else's password is, by mistake or otherwise (S2).
const OPT_IN: &str = "breakwater.dev/prometheus";

/// Asks the Prometheus that a Rollout names, or the controller's.
struct Source {
    client: Client,
    namespace: String,
    spec: Option<Spec>,
    reach: Arc<Reach>,
    /// Built lazily, and dropped when its credentials are refused: Secrets rotate.
    current: Mutex<Option<Prometheus>>,
}

impl Source {
    fn new(client: Client, namespace: &str, spec: Option<Spec>, reach: Arc<Reach>) -> Arc<Self> {
        Arc::new(Self { client, namespace: namespace.into(), spec, reach, current: Mutex::default() })
    }

    async fn prometheus(&self) -> Result<Prometheus, ReadError> {
        let mut current = self.current.lock().await;
        if let Some(prometheus) = &*current {
            return Ok(prometheus.clone());
        }
        let built = Prometheus::new(&self.settings().await?)?;
        *current = Some(built.clone());
        Ok(built)
    }

    /// Credentials that were refused are read again the next time.
    async fn heed(&self, answer: Result<(), ReadError>) -> Result<(), ReadError> {
        if matches!(answer, Err(ReadError::Status { status: 401 | 403, .. })) {
            *self.current.lock().await = None;
        }
        answer
    }

    async fn settings(&self) -> Result<Settings, ReadError> {
        let Some(spec) = &self.spec else {
            let none = || ReadError::Settings("no Prometheus is named".into());
            return Ok(Settings::new(self.reach.fallback().ok_or_else(none)?));
        };
        let mut settings = Settings { reach: Some(self.reach.clone()), ..Settings::new(&spec.url) };
        settings.flavor = match spec.flavor {
            flavor @ (Flavor::Prometheus | Flavor::Thanos | Flavor::Mimir | Flavor::VictoriaMetrics) => {
                flavor
            }
        };
        let timeout = spec.timeout.min(QUERY_TIMEOUT_MAX); // an older spec in force may ask for more
        settings.timeout = Duration::from_secs(timeout.as_seconds().unsigned_abs().max(1));
        if let Some(reference) = &spec.bearer_token_secret_ref {
            settings.bearer = Some(self.key(reference, "token").await?);
        }
        if let Some(reference) = &spec.ca_secret_ref {
            settings.ca_pem = Some(self.key(reference, "ca.crt").await?.expose().as_bytes().to_vec());
        }
        if let Some(reference) = &spec.headers_secret_ref {
            for (name, value) in self.secret(reference).await? {
                settings.headers.push((name, value));
            }
        }
        Ok(settings)
    }

    async fn key(&self, reference: &SecretRef, key: &str) -> Result<Secret, ReadError> {
        let found = self.secret(reference).await?.into_iter().find(|(name, _)| name == key);
        let missing =
            || ReadError::Settings(format!("Secret {}/{} has no key {key}", self.namespace, reference.name));
        found.map(|(_, value)| value).ok_or_else(missing)
    }

    /// Keys and values of a Secret of the Rollout's own namespace (R39).
    async fn secret(&self, reference: &SecretRef) -> Result<Vec<(String, Secret)>, ReadError> {
        let api: Api<Object> = Api::namespaced(self.client.clone(), &self.namespace);
        let refuse =
            |why: String| ReadError::Settings(format!("Secret {}/{}: {why}", self.namespace, reference.name));
        let secret = api.get(&reference.name).await.map_err(|error| refuse(error.to_string()))?;
        if secret.labels().get(OPT_IN).is_none_or(|word| word != "true") {
            return Err(refuse(format!("is not for this: label it {OPT_IN}=true")));
        }
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| refuse("a value is not UTF-8".into()));
        let data = secret.data.unwrap_or_default();
        data.into_iter().map(|(key, value)| Ok((key, Secret::new(&text(value.0)?)))).collect()
    }
}

impl Counts for Source {
    fn query<'a>(
        &'a self,
        promql: &'a str,
        at: Timestamp,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            let answer = self.prometheus().await?.query(promql, at, sink).await;
            self.heed(answer).await
        })
    }

    fn query_range<'a>(
        &'a self,
        promql: &'a str,
        grid: Grid,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(async move {
            let answer = self.prometheus().await?.query_range(promql, grid, sink).await;
            self.heed(answer).await
        })
    }
}
