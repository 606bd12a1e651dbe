//! The same alerts as Prometheus itself tells them, in its series `ALERTS` (R15): the query of a rule, and the alerts of
//! its answer in the form in which Alertmanager's come. Pure.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use promql_parser::label::{MatchOp, Matcher};

use super::{AlertRule, Firing};
use crate::promql::{Matchers, Refusal, Selector};

const NAME: &str = "__name__";
const STATE: &str = "alertstate";
const FIRING: &str = "ALERTS";
/// Its value is since when the alert's condition holds, in unix seconds. That is earlier than since when it fires, by the
/// alert's own `for`: what began before a tenant's update is not its fault, so the earlier instant is the careful one.
const SINCE: &str = "ALERTS_FOR_STATE";

impl AlertRule {
    /// The query of the alerts that fire and that this rule speaks of, and of since when; `matchers` are the Rollout's.
    pub fn query(&self, matchers: &Matchers) -> Result<String, Refusal> {
        let mut firing = vec![Matcher::new(MatchOp::Equal, STATE, "firing")];
        firing.extend(self.matchers.iter().cloned());
        let firing = Selector::of(FIRING, &firing, matchers)?;
        let since = Selector::of(SINCE, &self.matchers, matchers)?;
        Ok(format!("{firing}\nor\n{since}"))
    }
}

/// The alerts of an answer to [`AlertRule::query`]: labels and value of each row. Where it does not say since when one
/// fires, it is since when that was `known`, or `now`.
pub fn pulled(
    rows: impl IntoIterator<Item = (BTreeMap<String, String>, f64)>,
    known: &[Firing],
    now: Timestamp,
) -> Vec<Firing> {
    let (mut firing, mut since) = (BTreeMap::new(), HashMap::new());
    for (mut labels, value) in rows {
        match labels.remove(NAME).as_deref() {
            Some(FIRING) if labels.remove(STATE).as_deref() == Some("firing") => {
                firing.insert(fingerprint(&labels), labels);
            }
            Some(SINCE) => {
                since.extend(instant(value, now).map(|at| (fingerprint(&labels), at)));
            }
            Some(_) | None => {}
        }
    }
    let known: HashMap<&str, Timestamp> =
        known.iter().map(|alert| (alert.fingerprint.as_str(), alert.starts_at)).collect();
    let alert = |(fingerprint, labels): (String, BTreeMap<String, String>)| {
        let starts_at = since.get(&fingerprint).or_else(|| known.get(fingerprint.as_str())).copied();
        Firing { starts_at: starts_at.unwrap_or(now), fingerprint, labels }
    };
    firing.into_iter().map(alert).collect()
}

/// An instant that can be one of an alert's: not to come, and a number at all.
fn instant(seconds: f64, now: Timestamp) -> Option<Timestamp> {
    let possible = seconds.is_finite() && (1.0..=253_402_207_200.0).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "checked to be an instant of this era")]
    let at = possible.then(|| Timestamp::from_second(seconds as i64).ok()).flatten()?;
    (at <= now).then_some(at)
}

/// Alertmanager's fingerprint of labels: FNV-1a over names and values in order of the names, each with a byte that no text
/// holds. An alert that is both pulled and pushed has one fingerprint, unless Prometheus adds external labels to the latter.
pub fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in labels {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use breakwater_crds::{
        rollout::{Alert, AlertAction},
        scalars::Span,
    };
    use promql_parser::parser;

    use super::*;

    fn rule(matchers: &[&str]) -> AlertRule {
        let alert = Alert {
            matchers: matchers.iter().map(|text| (*text).to_owned()).collect(),
            tenant_label: "tenant".into(),
            action: AlertAction::Revert,
            min_tenants: 1,
            for_: Span::seconds(60),
        };
        AlertRule::parse(&alert, "spec.alerts[0]").unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    type Row = (BTreeMap<String, String>, f64);

    fn row(name: &str, tenant: &str, more: &[(&str, &str)], value: f64) -> Row {
        let labels = [(NAME, name), ("alertname", "Errors"), ("tenant", tenant)];
        (labels.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), value)
    }

    fn fires(tenant: &str) -> Row {
        row(FIRING, tenant, &[(STATE, "firing")], 1.0)
    }

    #[test]
    fn r15_matchers_become_promql_and_stay_within_their_braces() {
        let matchers = Matchers::parse("cluster=\"eu\"").unwrap();
        let query = rule(&["severity=page", "team=~\"web|api\"", "env!=\"x\"", "zone!~\"a.*\""])
            .query(&matchers)
            .unwrap();
        assert!(parser::parse(&query).is_ok(), "{query}");
        let (firing, since) = query.split_once("\nor\n").unwrap();
        assert!(firing.starts_with("ALERTS{") && firing.contains("alertstate=\"firing\""), "{firing}");
        assert!(since.starts_with("ALERTS_FOR_STATE{") && !since.contains("alertstate"), "{since}");
        for part in
            ["severity=\"page\"", "team=~\"web|api\"", "env!=\"x\"", "zone!~\"a.*\"", "cluster=\"eu\""]
        {
            assert!(firing.contains(part) && since.contains(part), "{part} in {query}");
        }
        for nasty in ["a=\"\\\"} or vector(1) #\"", "a=\"b\\nc\"", "a=~\"\\\\d+\"", "a=\"\""] {
            let query = rule(&[nasty]).query(&matchers).unwrap();
            let parser::Expr::Binary(or) = parser::parse(&query).unwrap() else { panic!("{query}") };
            let parser::Expr::VectorSelector(selector) = *or.lhs else { panic!("{query}") };
            assert!(
                selector.matchers.matchers.iter().any(|m| rule(&[nasty]).matchers.contains(m)),
                "{query}"
            );
        }
    }

    #[test]
    fn r15_firing_alerts_come_with_their_tenant_and_since_when() {
        let rows = vec![fires("a"), row(SINCE, "a", &[], 500.0), row(SINCE, "b", &[], 400.0), fires("c")];
        let alerts = pulled(rows, &[], at(1_000));
        let found: Vec<(&str, Timestamp)> =
            alerts.iter().map(|alert| (alert.labels["tenant"].as_str(), alert.starts_at)).collect();
        assert!(
            found.len() == 2 && found.contains(&("a", at(500))) && found.contains(&("c", at(1_000))),
            "{found:?}"
        );
        assert!(
            alerts.iter().all(|alert| !alert.labels.contains_key(NAME) && !alert.labels.contains_key(STATE))
        );
        let later = pulled(vec![fires("c")], &alerts, at(2_000));
        assert_eq!(later[0].starts_at, at(1_000), "it goes on");
    }

    #[test]
    fn r12_rows_that_make_no_sense_are_no_alerts() {
        let pending = row(FIRING, "a", &[(STATE, "pending")], 1.0);
        let other = row("up", "a", &[], 1.0);
        assert_eq!(pulled(vec![pending, other, (BTreeMap::new(), 1.0)], &[], at(1_000)), []);
        for value in [f64::NAN, f64::INFINITY, -5.0, 0.0, 1e300, 2_000.0] {
            let alerts = pulled(vec![fires("a"), row(SINCE, "a", &[], value)], &[], at(1_000));
            assert_eq!(alerts[0].starts_at, at(1_000), "{value}");
        }
        assert_eq!(pulled(vec![fires("a"), fires("a")], &[], at(1_000)).len(), 1, "twice is once");
    }

    #[test]
    fn the_fingerprint_is_alertmanagers_own() {
        // FNV-1a of nothing, and of "a\xffb\xff", as Prometheus's own library computes them.
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
        let one = fingerprint(&BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in *b"a\xffb\xff" {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        assert_eq!(one, format!("{hash:016x}"));
    }
}
