//! Reports on a terminal: the table of all, and one of them. Pure.

use breakwater_crds::{
    DeviationReport, DeviationReportStatus, Outcome, report::SloAccount, status::Transition, words::Word,
};
use breakwater_page::{
    report::{self as page, Report},
    text as words,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::of;
use crate::plugin::{
    paint::{BAD, DONE, GOING, PAUSED, WARN},
    text,
};

/// Tenants, requests and changes that are shown; the other forms have all.
const SHOWN_MAX: usize = 10;

/// Reports as a table; ends with a newline.
pub fn list(reports: &[DeviationReport], now: Timestamp) -> String {
    let rows = reports.iter().map(|object| {
        let report = of(object);
        let created = object.creation_timestamp().map(|at| text::age(at.0, now));
        [
            object.name_any(),
            report.spec.rollout.clone(),
            report.spec.version.clone(),
            outcome(report.status),
            text::or_dash(page::attribution(report.status)),
            page::investigation(&report),
            text::or_dash(report.status.wave.clone()),
            text::or_dash(created.unwrap_or_default()),
            report.status.message.clone(),
        ]
    });
    let header =
        ["NAME", "ROLLOUT", "VERSION", "OUTCOME", "ATTRIBUTION", "INVESTIGATION", "WAVE", "AGE", "MESSAGE"];
    text::table(header, rows) + "\n"
}

fn outcome(status: &DeviationReportStatus) -> String {
    let glyph = match status.outcome {
        Some(Outcome::Reverted) => DONE,
        Some(Outcome::Reverting) => GOING,
        Some(Outcome::Held | Outcome::TenantsReverted) => PAUSED,
        Some(Outcome::RevertedPartly) => WARN,
        None => BAD,
    };
    format!("{glyph} {}", page::outcome(status))
}

/// One report; ends with a newline.
pub fn one(report: &Report<'_>, now: Timestamp) -> String {
    let status = report.status;
    let figures = page::figures(status);
    let figures = text::fields(figures.iter().map(|(name, value)| (*name, value.clone())));
    let alerts: Vec<String> = status.alerts.iter().map(|alert| text::plain(alert)).collect();
    let mut parts = vec![
        head(report, now),
        titled("Schema", &schema(status)),
        titled("Figures", &figures),
        titled("Times", &times(status)),
        titled("SLOs", &slos(status)),
        titled("Felt it most", &worst(status)),
        titled("Asked for", &told(&status.actions)),
        titled("Also changed", &told(&status.changes)),
        titled("Alerts that fired", &alerts.join("\n")),
        titled("Rejected for these tenants alone", &page::rejected_for(status).join("\n")),
        titled("Not back", &status.not_back.join("\n")),
        hint(report),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

fn head(report: &Report<'_>, now: Timestamp) -> String {
    let status = report.status;
    let found = report.spec.investigation.as_ref();
    text::fields([
        ("Report", format!("{}/{}", report.namespace, report.name)),
        ("Rollout", report.spec.rollout.clone()),
        ("Version", report.spec.version.clone()),
        ("Outcome", outcome(status)),
        ("Decided", text::ago(status.decided_at, now)),
        ("Why", status.message.clone()),
        ("Wave", status.wave.clone()),
        ("Asked for by", status.requested_by.clone()),
        ("Compared with", status.compared_with.clone()),
        ("Answer", status.answer.clone()),
        ("Attribution", page::attribution(status).to_owned()),
        ("Investigation", page::investigation(report)),
        ("Notes", found.map(|found| found.notes.clone()).unwrap_or_default()),
    ])
}

/// Why the revert waits, and what takes the schema down (R21).
fn schema(status: &DeviationReportStatus) -> String {
    let mut lines = Vec::new();
    if !status.revert_waits_for.is_empty() {
        lines.push(status.revert_waits_for.clone());
    }
    if !status.down_steps.is_empty() {
        lines.push(page::DOWN_STEPS.to_owned());
    }
    for step in &status.down_steps {
        lines.push(format!("-- {} {}", step.number, step.file));
        lines.push(step.sql.trim_end().to_owned());
    }
    lines.join("\n")
}

/// A part under its title, indented; nothing where there is nothing.
fn titled(title: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = body.lines().map(|line| format!("  {line}")).collect();
    format!("{title}:\n{}", lines.join("\n"))
}

fn times(status: &DeviationReportStatus) -> String {
    let moment = status.moment();
    let rows = page::times(status).into_iter().map(|(what, at)| {
        let apart = moment.filter(|moment| *moment != at).map(|moment| words::apart(at, moment));
        let apart = apart.map_or_else(String::new, |apart| format!("{apart} the decision"));
        [what.to_owned(), text::stamp(at), apart]
    });
    if rows.len() == 0 {
        return String::new();
    }
    let table = text::table(["WHAT", "WHEN", ""], rows);
    match status.known_since {
        Some(since) => {
            let since = text::stamp(since);
            format!(
                "{table}\ncounts are known from {since} on: earlier ones were lost, as with a restart of the controller"
            )
        }
        None => table,
    }
}

fn slos(status: &DeviationReportStatus) -> String {
    let number = |value: Option<f64>, slo: &SloAccount| {
        let shown = |value| if slo.objective.is_some() { text::percent(value) } else { text::number(value) };
        text::or_dash(value.map(shown).unwrap_or_default())
    };
    let rows = status.slos.iter().map(|slo| {
        let harm = slo.harm.as_ref();
        [
            slo.name.clone(),
            text::or_dash(slo.verdict.as_ref().map_or("", Word::as_str)),
            number(slo.value, slo),
            number(slo.baseline, slo),
            number(slo.limit, slo),
            text::or_dash(slo.window.map(|window| window.to_string()).unwrap_or_default()),
            text::or_dash(harm.map(|harm| text::count(harm.excess)).unwrap_or_default()),
            text::or_dash(harm.map(|harm| text::number(harm.budget_minutes)).unwrap_or_default()),
        ]
    });
    if status.slos.is_empty() {
        return String::new();
    }
    text::table(
        ["SLO", "VERDICT", "VALUE", "BASELINE", "LIMIT", "WINDOW", "BAD IN EXCESS", "BUDGET MIN"],
        rows,
    )
}

fn worst(status: &DeviationReportStatus) -> String {
    if status.worst.is_empty() {
        return String::new();
    }
    let rows = status.worst.iter().take(SHOWN_MAX).map(|tenant| {
        let excess = tenant.excess.map(text::count).unwrap_or_default();
        let share = if tenant.total > 0.0 { text::percent(tenant.bad / tenant.total) } else { String::new() };
        [
            tenant.tenant.clone(),
            text::count(tenant.bad),
            text::count(tenant.total),
            share,
            text::or_dash(excess),
        ]
    });
    text::table(["TENANT", "BAD", "OF", "SHARE", "IN EXCESS"], rows)
}

fn told(told: &[Transition]) -> String {
    let newest = told[told.len().saturating_sub(SHOWN_MAX)..].iter();
    let line = |event: &Transition| {
        let glyph = if event.warning { WARN } else { ' ' };
        format!("{}  {glyph} {}  {}", text::stamp(event.at), event.reason, text::plain(&event.message))
    };
    newest.map(line).collect::<Vec<_>>().join("\n")
}

/// What to do next.
fn hint(report: &Report<'_>) -> String {
    let (name, namespace) = (report.name, report.namespace);
    let open = !report.spec.is_answered_for("") && report.status.closed_by.is_none();
    let close = format!(
        "It is open, and other versions wait for it (gates.openDeviations). Close it:\n  \
         kubectl breakwater report {name} -n {namespace} --close fixed --in VERSION --notes TEXT\n"
    );
    let whole = format!(
        "With charts and queries:\n  kubectl breakwater report {name} -n {namespace} -o html --out {name}.html"
    );
    if open { close + &whole } else { whole }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::tree::tests::NOW;

    fn report(investigation: &Value) -> DeviationReport {
        serde_json::from_value(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport",
            "metadata": {"name": "app-1a2b3c4d-1", "namespace": "ops", "creationTimestamp": "2026-03-10T10:01:31Z"},
            "spec": {"rollout": "app", "version": "10.5.2", "investigation": investigation},
            "status": {
                "outcome": "Reverted", "reason": "BurnRate", "attribution": "Attributed", "slo": "api-errors", "wave": "early",
                "message": "api-errors of wave early: 18% against 0.2% baseline (burn rate 36x, limit 14.4x) over 1h and 5m",
                "startedAt": "2026-03-01T09:00:00Z", "firstHarmAt": "2026-03-10T09:49:00Z", "detectedAt": "2026-03-10T10:00:00Z",
                "decidedAt": "2026-03-10T10:01:30Z", "firstWriteAt": "2026-03-10T10:01:31Z", "lastReadyAt": "2026-03-10T10:06:10Z",
                "finishedAt": "2026-03-10T10:46:10Z", "reverted": 16, "failed": 1, "notBack": ["tenants/t-9"],
                "answer": "version 10.5.2 is out of 16 tenants, 1 are not back; the SLOs recovered, so the release was the cause",
                "waves": [{"name": "community", "touched": 12}, {"name": "early", "touched": 5}],
                "comparedWith": "263 tenants that were not updated yet, at the same time",
                "slos": [{
                    "name": "api-errors", "objective": "99.5%", "verdict": "Deviating", "value": 0.18, "baseline": 0.002,
                    "limit": 0.072, "window": "1h",
                    "harm": {"bad": 6930.0, "total": 252_000.0, "excess": 6690.0, "budgetMinutes": 5.15, "tenants": 14},
                }, {"name": "queue", "verdict": "Healthy", "value": 12.0, "limit": 1000.0, "window": "10m"}],
                "worst": [{"tenant": "tenants/t-3", "bad": 2914.0, "total": 41_200.0, "excess": 2875.0}],
                "actions": [{"at": "2026-03-09T08:00:00Z", "reason": "ActionHonoured", "message": "Approve app-approve-x7k2p by alice: wave early may start"}],
                "changes": [{"at": "2026-03-10T10:01:30Z", "reason": "Reverting", "message": "api-errors of wave early: 18%", "warning": true}],
                "alerts": ["ApiErrors{tenant=\"t-3\"} since 2026-03-10T09:58:00Z"],
            },
        }))
        .unwrap()
    }

    #[test]
    fn reports_are_a_table_with_what_came_of_each() {
        let fixed = json!({"state": "Fixed", "fixedIn": "10.5.3"});
        let reports = [report(&Value::Null), report(&fixed)];
        insta::assert_snapshot!(list(&reports, NOW.parse().unwrap()));
    }

    #[test]
    fn one_report_shows_what_happened_when_to_whom_and_how_it_is_closed() {
        insta::assert_snapshot!(one(&of(&report(&Value::Null)), NOW.parse().unwrap()));
    }

    #[test]
    fn a_report_without_an_account_is_shown_too() {
        let bare: DeviationReport = serde_json::from_value(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport", "metadata": {"name": "by-hand", "namespace": "ops"},
            "spec": {"rollout": "app", "version": "10.5.2"},
        }))
        .unwrap();
        insta::assert_snapshot!(one(&of(&bare), NOW.parse().unwrap()));
    }
}
