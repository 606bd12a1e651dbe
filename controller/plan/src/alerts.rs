//! Which firing alerts hold or revert a rollout (R15): one function over alerts, tenants and time. Pure.

mod pull;

use std::collections::{BTreeMap, HashMap, HashSet};

use breakwater_crds::rollout::{Alert, AlertAction};
use breakwater_text::cut;
use jiff::{SignedDuration, Timestamp};
use promql_parser::{
    label::Matcher,
    parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX},
};

pub use self::pull::{fingerprint, pulled};
use crate::spec::FieldError;

/// How many times the baseline's share the candidates' must be.
pub const SHARE_RATIO: usize = 3;
/// Most tenants that a reason names.
const NAMED_MAX: usize = 5;
/// Longest value that a reason or an error repeats, in characters.
const SHOWN_MAX: usize = 80;

/// One entry of `spec.alerts`, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    matchers: Vec<Matcher>,
    text: String,
    tenant_label: Option<String>,
    action: AlertAction,
    min_tenants: usize,
    for_: SignedDuration,
}

impl AlertRule {
    /// Parses an entry; `path` is its own (`spec.alerts[0]`).
    pub fn parse(alert: &Alert, path: &str) -> Result<Self, Vec<FieldError>> {
        let Alert { matchers: texts, tenant_label, action, min_tenants, for_ } = alert;
        let (mut matchers, mut errors) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            match parse_matcher(text) {
                Ok(matcher) => matchers.push(matcher),
                Err(why) => errors.push(FieldError {
                    path: format!("{path}.matchers[{index}]"),
                    message: format!(
                        "{:?} {why}; write it as severity=\"page\" or team=~\"web|api\"",
                        shown(text)
                    ),
                }),
            }
        }
        if texts.is_empty() {
            errors.push(FieldError {
                path: format!("{path}.matchers"),
                message: "is empty, so every alert would match; name at least one, such as severity=\"page\""
                    .to_owned(),
            });
        }
        if *action == AlertAction::Revert && tenant_label.is_empty() {
            errors.push(FieldError {
                path: format!("{path}.tenantLabel"),
                message:
                    "is empty, and alerts without a tenant only hold; name the label, or say action: Hold"
                        .to_owned(),
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            matchers,
            text: texts.join(","),
            tenant_label: (!tenant_label.is_empty()).then(|| tenant_label.clone()),
            action: *action,
            min_tenants: usize::try_from(*min_tenants).unwrap_or(usize::MAX).max(1),
            for_: for_.as_duration(),
        })
    }

    /// The matchers as written, joined by commas: the rule's identity.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when every matcher holds; an absent label is an empty one, as in Alertmanager.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matchers.iter().all(|m| m.is_match(labels.get(&m.name).map_or("", String::as_str)))
    }
}

/// Parses `spec.alerts`; every mistake in it where there is one.
pub fn parse(alerts: &[Alert], path: &str) -> Result<Vec<AlertRule>, Vec<FieldError>> {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for (i, alert) in alerts.iter().enumerate() {
        match AlertRule::parse(alert, &format!("{path}[{i}]")) {
            Ok(rule) => rules.push(rule),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
}

/// What the decision needs of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertTenant {
    /// Its name in metrics and alerts (`tenants.id`).
    pub metric_id: std::sync::Arc<str>,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On the candidate version.
    Candidate {
        /// When that was written (the marker).
        written_at: Timestamp,
        /// When its warm-up is or was over; `None` while it is not ready.
        warm_at: Option<Timestamp>,
    },
    /// Not written yet, ready and warm.
    Baseline,
    /// Neither: reverted, dormant, pinned, on another version.
    Neither,
}

/// What the alerts ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Hold or revert.
    pub action: AlertAction,
    /// Why, in one sentence with its numbers.
    pub reason: String,
    /// Fingerprint of the alert that has fired longest.
    pub fingerprint: String,
}

/// Decides for one rule. Counted are alerts that started after their own tenant's update and fire past its
/// warm-up, on `minTenants` candidates for `for`, at a share of the warm candidates at least three times the baseline's.
/// Alerts without a tenant hold, and never revert; neither does anything once no baseline is left to compare with,
/// because a shared outage would look the same (R14).
pub fn decide(
    rule: &AlertRule,
    firing: &[Firing],
    tenants: &[AlertTenant],
    now: Timestamp,
) -> Option<Decision> {
    let known = unambiguous(tenants);
    let matching: Vec<&Firing> = firing.iter().filter(|alert| rule.matches(&alert.labels)).collect();
    let on_tenants = on_tenants(rule, &matching, &known, now);
    on_tenants.or_else(|| without_tenant(rule, &matching, tenants, now))
}

/// Alerts by tenant: the decision proper.
fn on_tenants(
    rule: &AlertRule,
    matching: &[&Firing],
    known: &HashMap<&str, Standing>,
    now: Timestamp,
) -> Option<Decision> {
    let label = rule.tenant_label.as_ref()?;
    let mut hit: HashMap<&str, (Timestamp, &Firing)> = HashMap::new();
    let mut burning_baseline: HashSet<&str> = HashSet::new();
    for alert in matching {
        let Some(tenant) = alert.labels.get(label).map(String::as_str).filter(|id| !id.is_empty()) else {
            continue;
        };
        match known.get(tenant) {
            Some(Standing::Candidate { written_at, warm_at: Some(warm_at) })
                if alert.starts_at > *written_at && *warm_at <= now && alert.starts_at <= now =>
            {
                let since = alert.starts_at.max(*warm_at);
                let entry = hit.entry(tenant).or_insert((since, alert));
                if (since, &alert.fingerprint) < (entry.0, &entry.1.fingerprint) {
                    *entry = (since, alert);
                }
            }
            Some(Standing::Baseline) => {
                burning_baseline.insert(tenant);
            }
            Some(Standing::Candidate { .. } | Standing::Neither) | None => {}
        }
    }
    let mut order: Vec<(Timestamp, &str, &Firing)> =
        hit.into_iter().map(|(id, (at, alert))| (at, id, alert)).collect();
    order.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    // So many candidates have been firing together since the last of the first `minTenants` began.
    let (together_since, ..) = *order.get(rule.min_tenants - 1)?;
    if now.duration_since(together_since) < rule.for_ {
        return None;
    }
    let warm = known.values().filter(|s| is_warm(**s, now)).count();
    let baseline = known.values().filter(|s| **s == Standing::Baseline).count();
    // hit / warm >= 3 * burning / baseline, without division: a baseline of none cannot burn.
    if order.len().saturating_mul(baseline)
        < SHARE_RATIO.saturating_mul(burning_baseline.len()).saturating_mul(warm)
    {
        return None;
    }
    let action = if baseline == 0 { AlertAction::Hold } else { rule.action };
    let held_back = baseline == 0 && rule.action == AlertAction::Revert;
    let names: Vec<&str> = order.iter().take(NAMED_MAX).map(|(_, id, _)| *id).collect();
    let more = order.len().saturating_sub(NAMED_MAX);
    let reason = format!(
        "alert {} fires on {} of {warm} candidates ({}{}) since {together_since}, and on {} of {baseline} on the baseline{}",
        rule.text,
        order.len(),
        shown(&names.join(", ")),
        if more > 0 { format!(" and {more} more") } else { String::new() },
        burning_baseline.len(),
        if held_back { "; it only holds, as there is no baseline to compare with" } else { "" },
    );
    Some(Decision { action, reason, fingerprint: order.first()?.2.fingerprint.clone() })
}

/// Alerts that name no tenant: they hold while a candidate is warm.
fn without_tenant(
    rule: &AlertRule,
    matching: &[&Firing],
    tenants: &[AlertTenant],
    now: Timestamp,
) -> Option<Decision> {
    let candidates = tenants.iter().filter_map(|tenant| match tenant.standing {
        Standing::Candidate { written_at, warm_at } => Some((written_at, warm_at)),
        Standing::Baseline | Standing::Neither => None,
    });
    let (first_written, first_warm) = candidates.fold((None, None), |(written, warm), (w, at)| {
        (earlier(written, Some(w)), earlier(warm, at.filter(|at| *at <= now)))
    });
    let (first_written, first_warm): (Timestamp, Timestamp) = (first_written?, first_warm?);
    let names_one = |alert: &Firing| {
        rule.tenant_label
            .as_ref()
            .is_some_and(|label| alert.labels.get(label).is_some_and(|id| !id.is_empty()))
    };
    let counted = matching.iter().filter(|alert| {
        let since = alert.starts_at.max(first_warm);
        !names_one(alert)
            && alert.starts_at > first_written
            && alert.starts_at <= now
            && now.duration_since(since) >= rule.for_
    });
    let alert = counted.min_by_key(|alert| (alert.starts_at, &alert.fingerprint))?;
    Some(Decision {
        action: AlertAction::Hold,
        reason: format!(
            "alert {} fires since {}; it names no tenant, so it only holds",
            alert.labels.get("alertname").map_or_else(|| rule.text.clone(), |name| shown(name)),
            alert.starts_at
        ),
        fingerprint: alert.fingerprint.clone(),
    })
}

fn is_warm(standing: Standing, now: Timestamp) -> bool {
    matches!(standing, Standing::Candidate { warm_at: Some(at), .. } if at <= now)
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Tenants by name in alerts; a name that two tenants share speaks of neither.
fn unambiguous(tenants: &[AlertTenant]) -> HashMap<&str, Standing> {
    let mut known = HashMap::with_capacity(tenants.len());
    for tenant in tenants {
        let standing = tenant.standing;
        known.entry(&*tenant.metric_id).and_modify(|at| *at = Standing::Neither).or_insert(standing);
    }
    known
}

/// `name="value"`, `name=value`, with `=`, `!=`, `=~`, `!~`; a value in quotes is unescaped.
fn parse_matcher(text: &str) -> Result<Matcher, String> {
    let text = text.trim();
    let at = text.find(['=', '!']).ok_or("has none of =, !=, =~ and !~")?;
    let (name, rest) = text.split_at(at);
    let (operator, value) = [("=~", T_EQL_REGEX), ("!~", T_NEQ_REGEX), ("!=", T_NEQ), ("=", T_EQL)]
        .into_iter()
        .find_map(|(sign, operator)| rest.strip_prefix(sign).map(|value| (operator, value.trim())))
        .ok_or("has none of =, !=, =~ and !~")?;
    let name = name.trim();
    let mut chars = name.chars();
    if !chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Err("has no label name before its operator".to_owned());
    }
    Matcher::new_matcher(operator, name.to_owned(), unquoted(value)?)
}

fn unquoted(value: &str) -> Result<String, String> {
    let Some(inner) = value.strip_prefix('"') else {
        if value.contains(['"', '{', '}', ',']) || value.chars().any(char::is_whitespace) {
            return Err("has a value that needs quotes".to_owned());
        }
        return Ok(value.to_owned());
    };
    let (mut out, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    loop {
        match chars.next().ok_or("has a value without a closing quote")? {
            '"' if chars.as_str().is_empty() => return Ok(out),
            '"' => return Err("goes on after the closing quote".to_owned()),
            // Alertmanager keeps a backslash before anything else, so that regular expressions need not double theirs.
            '\\' => match chars.next().ok_or("has a value without a closing quote")? {
                'n' => out.push('\n'),
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
}

fn shown(text: &str) -> String {
    cut::dotted(&cut::plain(text), SHOWN_MAX).into_owned()
}

#[cfg(test)]
mod tests;
