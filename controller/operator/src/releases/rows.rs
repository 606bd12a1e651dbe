//! Row counts that differ by tenant (`migrations.rowsFrom`): by a metric or by labels; of each table the largest tenant
//! counts, and is named. I/O but for [`Largest`].

use std::collections::BTreeMap;

use breakwater_crds::{
    Rollout,
    release::{RowsFrom, TableRows},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    core::GroupVersionKind,
    discovery::pinned_kind,
};

use crate::{
    ground::Ground,
    telemetry::{Rows, Sample},
};

/// Tenants per page.
const PER_PAGE: u32 = 500;
/// Of each table so many series are asked for.
const TOP: u32 = 1;

/// The largest tenant by table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Largest(BTreeMap<String, (u64, String)>);

impl Largest {
    /// Takes one tenant's count of a table; what is no count is left out.
    pub fn take(&mut self, table: &str, tenant: &str, rows: f64) {
        if table.is_empty() || !rows.is_finite() || rows < 0.0 {
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast saturates"
        )]
        let rows = rows.ceil() as u64;
        let largest = self.0.entry(table.to_lowercase()).or_default();
        if largest.1.is_empty() || rows > largest.0 {
            *largest = (rows, tenant.to_owned());
        }
    }

    /// Rows by table.
    pub fn rows(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().map(|(table, (rows, _))| (table.clone(), *rows))
    }

    /// By name, for people.
    pub fn told(&self) -> Vec<TableRows> {
        let told = |(table, (rows, tenant)): (&String, &(u64, String))| TableRows {
            table: table.clone(),
            rows: *rows,
            tenant: tenant.clone(),
        };
        self.0.iter().map(told).collect()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the row counts of the tenants of a Release's Rollouts.
pub(super) async fn read(ground: &Ground, rollouts: &[Rollout], from: &RowsFrom) -> Result<Largest, String> {
    let mut largest = Largest::default();
    if rollouts.is_empty() {
        return Err(
            "spec.migrations.rowsFrom: there is no Rollout in this namespace whose tenants could be asked"
                .to_owned(),
        );
    }
    for rollout in rollouts {
        match (&from.metric, &from.label_prefix) {
            (Some(metric), None) => {
                let namespace = rollout.metadata.namespace.clone().unwrap_or_default();
                let source = (ground.counts)(&namespace, rollout.spec.prometheus.as_ref());
                let query = format!("topk by ({}) ({TOP}, ({}))", metric.table_label, metric.query);
                let mut rows = Rows::default();
                let answer = source.query(&query, (ground.clock)(), &mut rows).await;
                answer.map_err(|why| format!("spec.migrations.rowsFrom.metric: {why}"))?;
                for row in &rows.0 {
                    largest.take(
                        row.label(&metric.table_label),
                        &tenant(row, &metric.tenant_labels),
                        row.value,
                    );
                }
            }
            (None, Some(prefix)) => by_label(&ground.clients.requests, rollout, prefix, &mut largest).await?,
            _ => {
                return Err(
                    "spec.migrations.rowsFrom must have exactly one of metric and labelPrefix".to_owned()
                );
            }
        }
    }
    if largest.is_empty() {
        return Err("spec.migrations.rowsFrom: no tenant says how many rows it has".to_owned());
    }
    Ok(largest)
}

fn tenant(row: &Sample, labels: &[String]) -> String {
    labels.iter().map(|label| row.label(label)).collect::<Vec<_>>().join("/")
}

/// Labels of the tenants themselves: `<prefix><table>: "<rows>"`.
async fn by_label(
    client: &Client,
    rollout: &Rollout,
    prefix: &str,
    largest: &mut Largest,
) -> Result<(), String> {
    let resource = &rollout.spec.tenants.resource;
    let failed = |why: String| format!("spec.migrations.rowsFrom.labelPrefix: {why}");
    let (group, version) = resource.api_version.split_once('/').unwrap_or(("", &resource.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &resource.kind);
    let (kind, _) = pinned_kind(client, &gvk).await.map_err(|why| failed(why.to_string()))?;
    let api: Api<DynamicObject> = match rollout.spec.tenants.namespace_selector {
        None => Api::namespaced_with(
            client.clone(),
            rollout.metadata.namespace.as_deref().unwrap_or_default(),
            &kind,
        ),
        Some(_) => Api::all_with(client.clone(), &kind),
    };
    let mut params = ListParams::default().labels(&rollout.spec.tenants.selector.query()).limit(PER_PAGE);
    loop {
        let page = api.list_metadata(&params).await.map_err(|why| failed(why.to_string()))?;
        for object in &page.items {
            let metadata = &object.metadata;
            let id = format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            );
            for (label, value) in metadata.labels.iter().flatten() {
                if let (Some(table), Ok(rows)) = (label.strip_prefix(prefix), value.parse::<f64>()) {
                    largest.take(table, &id, rows);
                }
            }
        }
        let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { return Ok(()) };
        params = params.continue_token(&next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_table_the_largest_tenant_is_named_and_what_is_no_count_is_left_out() {
        let mut largest = Largest::default();
        for (table, tenant, rows) in [
            ("Posts", "acme/chat", 10.0),
            ("posts", "big/chat", 11_470_022.0),
            ("posts", "small/chat", 3.2),
            ("posts", "odd/chat", f64::NAN),
            ("posts", "odd/chat", -1.0),
            ("", "acme/chat", 5.0),
            ("jobs", "acme/chat", 0.0),
        ] {
            largest.take(table, tenant, rows);
        }
        let told =
            |table: &str, rows, tenant: &str| TableRows { table: table.into(), rows, tenant: tenant.into() };
        assert_eq!(largest.told(), [told("jobs", 0, "acme/chat"), told("posts", 11_470_022, "big/chat")]);
    }
}
