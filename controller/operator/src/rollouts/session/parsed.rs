//! A Rollout's spec, parsed into all that is made of it, or refused with every reason. Pure.

use std::sync::Arc;

use breakwater_crds::RolloutSpec;
use breakwater_plan::{
    alerts::AlertRule,
    promql::Matchers,
    spec::{Checked, FieldError},
};

use crate::{rollouts::key::Key, tenants::lens::Lens};

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
    /// Parses a spec; `has_prometheus` says whether there is one for Rollouts that name none.
    pub(super) fn parse(
        key: &Key,
        spec: &RolloutSpec,
        has_prometheus: bool,
    ) -> Result<Self, Vec<FieldError>> {
        let unreachable = spec.prometheus.is_none() && !has_prometheus;
        let prometheus = unreachable.then(|| {
            FieldError::new(
                "spec.prometheus.url",
                "is missing, and the controller has no --prometheus-url to fall back on",
            )
        });
        match (Checked::parse(spec), Lens::compile(&key.namespace, &key.name, spec), prometheus) {
            (Ok(checked), Ok(lens), None) => {
                let alerts = AlertSpec::parse(&checked.spec)?;
                Ok(Self { checked, lens, alerts })
            }
            (checked, lens, prometheus) => {
                let errors = checked.err().into_iter().flatten().chain(lens.err().into_iter().flatten());
                Err(errors.chain(prometheus).collect())
            }
        }
    }
}

impl AlertSpec {
    /// A rule that does not parse refuses the spec: one that is left out would be an alert that nobody hears.
    fn parse(spec: &RolloutSpec) -> Result<Self, Vec<FieldError>> {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for (i, alert) in spec.alerts.iter().enumerate() {
            match AlertRule::parse(alert, &format!("spec.alerts[{i}]")) {
                Ok(rule) => rules.push(rule),
                Err(why) => errors.extend(why),
            }
        }
        let matchers = spec.prometheus.as_ref().map_or("", |prometheus| &prometheus.matchers);
        let matchers = Matchers::parse(matchers)
            .map_err(|why| errors.push(FieldError::new("spec.prometheus.matchers", why.to_string())));
        match matchers {
            Ok(matchers) if errors.is_empty() => Ok(Self { rules: rules.into(), matchers }),
            Ok(_) | Err(()) => Err(errors),
        }
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
        let good = spec(&json!({"matchers": ["team=\"web\""], "tenantLabel": "tenant"}));
        assert_eq!(AlertSpec::parse(&good).unwrap().rules.len(), 2);
        let bad = spec(&json!({"matchers": ["nonsense"], "tenantLabel": "tenant"}));
        let errors = AlertSpec::parse(&bad).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "spec.alerts[1].matchers[0]");
        let key = Key { namespace: "ops".into(), name: "app".into() };
        assert!(
            Parsed::parse(&key, &bad, true).is_err(),
            "the spec is refused, so the one before stays in force"
        );
    }
}
