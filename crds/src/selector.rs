//! Label selectors with Kubernetes' semantics. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A label selector, as in `apps/v1`: both halves must match; an empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = kube::core::Rule::new("!has(self.matchLabels) || self.matchLabels.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))")
        .message("matchLabels: every key must be a label's, such as ring or example.org/ring")
        .field_path(".matchLabels"))
)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "kube", schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"})))]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 16)))]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::KubeSchema),
    x_kube(validation = ("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
        "values must be given for In and NotIn, and must not for Exists and DoesNotExist"))
)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The label's key.
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(min = 1, max = 317),
            regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
        )
    )]
    pub key: String,
    /// How the label is compared.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "kube",
        schemars(
            length(max = 64),
            inner(length(max = 63), regex(pattern = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"))
        )
    )]
    pub values: Vec<String>,
}

/// How a requirement compares a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// True when `labels` satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }

    /// The selector in the form of a list or watch query: `a=b,c in (d,e),!f`.
    pub fn query(&self) -> String {
        let equal = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let more = self.match_expressions.iter().map(Requirement::query);
        equal.chain(more).collect::<Vec<_>>().join(",")
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn => !value.is_some_and(|v| self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn query(&self) -> String {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In => format!("{key} in ({values})"),
            Operator::NotIn => format!("{key} notin ({values})"),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_matches_as_kubernetes_does_and_prints_its_query() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"app": "chat"},
            "matchExpressions": [
                {"key": "ring", "operator": "In", "values": ["early", "late"]},
                {"key": "frozen", "operator": "DoesNotExist"},
                {"key": "tier", "operator": "NotIn", "values": ["free"]},
            ],
        }))
        .unwrap();
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert!(selector.matches(&labels(&[("app", "chat"), ("ring", "late")])));
        assert!(!selector.matches(&labels(&[("app", "chat"), ("ring", "late"), ("frozen", "")])));
        assert!(!selector.matches(&labels(&[("app", "chat"), ("ring", "late"), ("tier", "free")])));
        assert!(!selector.matches(&labels(&[("app", "chat")])));
        assert_eq!(selector.query(), "app=chat,ring in (early,late),!frozen,tier notin (free)");
    }
}
