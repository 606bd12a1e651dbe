//! A fleet of tenants of one kind: made, changed and looked at through the API, as anybody would.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::Value;

use crate::kinds::{Kind, TENANT_LABEL, Tenant};

/// Requests at once when many tenants are made.
const CONCURRENCY: usize = 32;

/// The tenants of one kind in some namespaces.
#[derive(Clone)]
pub struct Fleet {
    client: Client,
    kind: Kind,
}

impl Fleet {
    /// Looks at tenants of this kind with this client's rights.
    pub fn new(client: Client, kind: Kind) -> Self {
        Self { client, kind }
    }

    /// The API of these objects in a namespace.
    pub fn api(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.kind.resource())
    }

    /// Creates tenants, many at once; they become ready later.
    pub async fn create(&self, tenants: impl IntoIterator<Item = Tenant>) -> Result<()> {
        let one = async |tenant: Tenant| {
            let object: DynamicObject = serde_json::from_value(self.kind.object(&tenant))?;
            let created = self.api(&tenant.namespace).create(&PostParams::default(), &object).await;
            created.map(drop).with_context(|| format!("create {:?} {}", self.kind, tenant.id()))
        };
        stream::iter(tenants).map(one).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// One tenant's object.
    pub async fn object(&self, namespace: &str, name: &str) -> Result<Value> {
        let object = self.api(namespace).get(name).await;
        Ok(serde_json::to_value(object.with_context(|| format!("get {:?} {namespace}/{name}", self.kind))?)?)
    }

    /// Asks a tenant for another version: reads it, changes it, writes it back whole as the manager `kubectl-edit`.
    pub async fn set_version(&self, namespace: &str, name: &str, version: &str) -> Result<()> {
        self.edit(namespace, name, |object| self.kind.set_version(object, version)).await
    }

    /// Edits a tenant as a person would: reads it, changes it, writes it back; a conflict starts over.
    pub async fn edit(&self, namespace: &str, name: &str, change: impl Fn(&mut Value)) -> Result<()> {
        let params = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
        loop {
            let mut object = self.object(namespace, name).await?;
            change(&mut object);
            let object: DynamicObject = serde_json::from_value(object)?;
            match self.api(namespace).replace(name, &params, &object).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                written => return written.map(drop).with_context(|| format!("edit {namespace}/{name}")),
            }
        }
    }

    /// Deletes a tenant.
    pub async fn delete(&self, namespace: &str, name: &str) -> Result<()> {
        let deleted = self.api(namespace).delete(name, &DeleteParams::background()).await;
        deleted.map(drop).with_context(|| format!("delete {:?} {namespace}/{name}", self.kind))
    }

    /// What the tenants of a namespace are asked to run, by name.
    pub async fn wanted(&self, namespace: &str) -> Result<BTreeMap<String, String>> {
        self.each(namespace, |object| self.kind.wanted(object)).await
    }

    /// What the tenants of a namespace really run, by name; nothing (an empty text) for those in between.
    pub async fn running(&self, namespace: &str) -> Result<BTreeMap<String, String>> {
        self.each(namespace, |object| self.kind.running(object)).await
    }

    /// A look for [`crate::eventually()`]: all tenants of a namespace (at least one) wholly run `version`.
    pub async fn all_run(&self, namespace: &str, version: &str) -> Result<()> {
        let running = self.running(namespace).await?;
        ensure!(!running.is_empty(), "there are no tenants in {namespace}");
        let others: BTreeMap<_, _> =
            running.iter().filter(|(_, running)| *running != version).take(10).collect();
        ensure!(others.is_empty(), "not on {version}: {others:?}");
        Ok(())
    }

    async fn each(
        &self,
        namespace: &str,
        look: impl Fn(&Value) -> Option<String>,
    ) -> Result<BTreeMap<String, String>> {
        let objects = self.api(namespace).list(&ListParams::default().labels(TENANT_LABEL)).await?;
        let entry = |object: DynamicObject| {
            let name = object.metadata.name.clone().unwrap_or_default();
            Ok((name, look(&serde_json::to_value(object)?).unwrap_or_default()))
        };
        objects.items.into_iter().map(entry).collect()
    }
}
