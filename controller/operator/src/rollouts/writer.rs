//! The executor's hands: patches and reads of one Rollout's tenants through its subscription. I/O.

use std::time::Duration;

use breakwater_plan::{
    observed::{Reading, Tenant},
    outcome::Write,
};
use breakwater_slo::TenantId;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::{Client, api::DynamicObject};

use crate::{
    clock::Clock,
    execute::{TenantApi, WriteError, Written},
    tenants::{ReadError, Subscription, Tenants},
};

/// Writes the tenants that a subscription sees.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) tenants: Tenants,
    pub(super) subscription: Subscription,
    pub(super) clock: Clock,
}

impl TenantApi for Writer {
    fn patch<'a>(
        &'a self,
        write: &'a Write,
        written_at: Timestamp,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Written, WriteError>> {
        Box::pin(async move {
            let name = || format!("{}/{}", write.tenant.namespace, write.tenant.name);
            let unfit = |error: crate::tenants::patch::PatchError| WriteError::Unfit {
                tenant: name(),
                reason: error.to_string(),
            };
            let request = self.subscription.patch_request(write, written_at, timeout).map_err(unfit)?;
            let answered = self.client.request::<DynamicObject>(request).await;
            let object = answered.map_err(|source| WriteError::Api { tenant: name(), source })?;
            let index = self.subscription.index();
            index.apply_written(&object, (self.clock)());
            let gone = || Reading::Unreadable("the tenant is not known any more".into());
            Ok(Written { version: index.get(write.tenant.id).map_or_else(gone, |tenant| tenant.version) })
        })
    }

    fn read(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Tenant>, WriteError>> {
        Box::pin(async move {
            self.tenants.read(&self.subscription, id).await.map_err(|error| match error {
                ReadError::Api { tenant, source } => WriteError::Api { tenant, source: *source },
                ReadError::Timeout(tenant) => WriteError::TimedOut { tenant, after: Duration::from_secs(10) },
                ReadError::NotServed(tenant) => {
                    WriteError::Unfit { tenant, reason: "its kind is not served".into() }
                }
            })
        })
    }
}
