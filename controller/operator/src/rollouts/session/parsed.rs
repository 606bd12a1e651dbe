//! A Rollout's spec, parsed into all that is made of it, or refused with every reason. Pure.

use std::sync::Arc;

use breakwater_crds::RolloutSpec;
use breakwater_plan::{
    alerts::AlertRule,
    promql::Matchers,
    spec::{Checked, FieldError},
};

use crate::{
    rollouts::key::Key,
    telemetry::Reach,
    tenants::{lens::Lens, marks::Hubs},
};

/// A spec that may be taken into force.
pub(super) struct Parsed {
    pub(super) checked: Checked,
    pub(super) lens: Lens,
    pub(super) alerts: AlertSpec,
}

/// What alerts are read by: parsed once, for all who ask.
#[derive(Debug, Clone)]
pub(in crate::rollouts) struct AlertSpec {
    /// `spec.alerts`.
    pub(in crate::rollouts) rules: Arc<[AlertRule]>,
    /// `prometheus.matchers`.
    pub(in crate::rollouts) matchers: Matchers,
}

impl Parsed {
    /// Parses a spec that is led under these hubs, and asks a Prometheus within reach.
    pub(super) fn parse(
        key: &Key,
        spec: &RolloutSpec,
        hubs: &Hubs,
        reach: &Reach,
    ) -> Result<Self, Vec<FieldError>> {
        let prometheus = reach.check(spec.prometheus.as_ref());
        match (Checked::parse(spec), Lens::compile(hubs, &key.namespace, &key.name, spec), prometheus) {
            (Ok(checked), Ok(lens), Ok(())) => {
                let alerts = AlertSpec::of(&checked)?;
                Ok(Self { checked, lens, alerts })
            }
            (checked, lens, prometheus) => {
                let errors = checked.err().into_iter().flatten().chain(lens.err().into_iter().flatten());
                Err(errors.chain(prometheus.err()).collect())
            }
        }
    }
}

impl AlertSpec {
    /// The rules of a checked spec: one that does not parse has refused it, since a rule that is left out would be an alert
    /// that nobody hears.
    fn of(checked: &Checked) -> Result<Self, Vec<FieldError>> {
        let matchers = checked.spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
        let matchers = Matchers::parse(matchers)
            .map_err(|why| vec![FieldError::new("spec.prometheus.matchers", why.to_string())])?;
        Ok(Self { rules: checked.alerts.clone().into(), matchers })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(alert: &serde_json::Value) -> RolloutSpec {
        let spec = json!({
            "version": "2.0.0",
            "tenants": {
                "resource": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "selector": {"matchLabels": {"app": "chat"}},
            },
            "waves": [{"name": "all", "soak": "1h"}],
            "slos": [],
            "alerts": [{"matchers": ["severity=page"], "tenantLabel": "tenant"}, alert],
        });
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_rule_that_does_not_parse_is_told_and_not_dropped() {
        let key = Key { namespace: "ops".into(), name: "app".into() };
        let good = spec(&json!({"matchers": ["team=\"web\""], "tenantLabel": "tenant"}));
        let parsed = Parsed::parse(&key, &good, &Hubs::only("hub"), &Reach::anywhere())
            .map_err(|errors| format!("{errors:?}"))
            .unwrap();
        assert_eq!(parsed.alerts.rules.len(), 2);
        let bad = spec(&json!({"matchers": ["nonsense"], "tenantLabel": "tenant"}));
        // The spec is refused, so the one before stays in force.
        let Err(errors) = Parsed::parse(&key, &bad, &Hubs::only("hub"), &Reach::anywhere()) else {
            panic!("a rule was dropped")
        };
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "spec.alerts[1].matchers[0]");
    }
}
