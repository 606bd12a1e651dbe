//! The report as Markdown, for an incident's ticket: short, and without what only a chart can show. Pure.

use std::fmt::Write as _;

use breakwater_crds::{
    report::{DeviationReportStatus, SloAccount},
    status::Transition,
    words::Word,
};
use breakwater_text::cut;

use super::{Report, facts};
use crate::text;

/// Most tenants in a ticket; the report has more.
const WORST_MAX: usize = 10;
/// Most entries of a list in a ticket: the newest.
const TOLD_MAX: usize = 20;

/// Renders a report as Markdown.
pub fn markdown(report: &Report<'_>) -> String {
    let status = report.status;
    let mut out = format!("# {}\n\n**{}**\n", plain(&facts::headline(report)), plain(&status.message));
    let answer =
        if status.answer.is_empty() { String::new() } else { format!(": {}", plain(&status.answer)) };
    let word = facts::attribution(status);
    let word = if word.is_empty() { String::new() } else { format!(" ({word})") };
    let _ = writeln!(out, "\n{}{word}{answer}", facts::outcome(status));
    let _ = writeln!(
        out,
        "\n`{}/{}` · wave {} · investigation: {}",
        report.namespace,
        report.name,
        if status.wave.is_empty() { "-" } else { &status.wave },
        plain(&facts::investigation(report))
    );
    schema(status, &mut out);
    figures(status, &mut out);
    times(status, &mut out);
    worst(status, &mut out);
    slos(status, &mut out);
    told("What people and alerts asked for", &status.actions, &mut out);
    list("Alerts that fired at the decision", &status.alerts, &mut out);
    told("What else changed", &status.changes, &mut out);
    list("Rejected for these tenants alone", &facts::rejected_for(status), &mut out);
    list("Not back", &status.not_back, &mut out);
    if let Some(found) = report.spec.investigation.as_ref().filter(|found| !found.notes.is_empty()) {
        let _ = write!(out, "\n## Notes\n\n{}\n", found.notes.trim_end());
    }
    out
}

/// Text of other people on one line, so that it neither begins a heading nor ends a cell.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '*' | '_' | '`' | '[' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Why the revert waits, and what takes the schema down (R21).
fn schema(status: &DeviationReportStatus, out: &mut String) {
    if status.down_steps.is_empty() && status.revert_waits_for.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {}\n\n{}", facts::SCHEMA, plain(&status.revert_waits_for));
    if !status.down_steps.is_empty() {
        let _ = writeln!(out, "\n{}", facts::DOWN_STEPS);
    }
    for step in &status.down_steps {
        // A fence that no text of the file ends.
        let fence = "`".repeat(4);
        let sql = step.sql.replace(&fence, "");
        let _ = writeln!(
            out,
            "\n{} `{}`\n\n{fence}sql\n{}\n{fence}",
            step.number,
            step.file.replace('`', ""),
            sql.trim_end()
        );
    }
}

fn figures(status: &DeviationReportStatus, out: &mut String) {
    out.push_str("\n| | |\n| --- | --- |\n");
    for (name, value) in facts::figures(status) {
        let _ = writeln!(out, "| {name} | {value} |");
    }
}

fn times(status: &DeviationReportStatus, out: &mut String) {
    out.push_str("\n## Times\n\n| what | when | |\n| --- | --- | --- |\n");
    for (what, at) in facts::times(status) {
        let moment = status.moment().filter(|moment| *moment != at);
        let apart = moment.map_or_else(String::new, |moment| text::apart(at, moment));
        let _ = writeln!(out, "| {what} | {} | {apart} |", text::stamp(at));
    }
    if let Some(since) = status.known_since {
        let since = text::stamp(since);
        let _ = writeln!(
            out,
            "\nCounts are known from {since} on: earlier ones were lost, as with a restart of the controller."
        );
    }
}

fn worst(status: &DeviationReportStatus, out: &mut String) {
    if status.worst.is_empty() {
        return;
    }
    out.push_str(
        "\n## Tenants that felt it most\n\n| tenant | bad | of | in excess |\n| --- | ---: | ---: | ---: |\n",
    );
    for tenant in status.worst.iter().take(WORST_MAX) {
        let (bad, total) = (text::count(tenant.bad), text::count(tenant.total));
        let excess = tenant.excess.map_or_else(String::new, text::count);
        let _ = writeln!(out, "| {} | {bad} | {total} | {excess} |", plain(&tenant.tenant));
    }
    let listed = status.worst.len().min(WORST_MAX);
    let left = status.left_out.iter().find(|left| left.what == "worst").map_or(0, |left| left.count as usize);
    let more = status.worst.len() - listed + left;
    if more > 0 {
        let _ = writeln!(out, "\n{} more felt it.", text::count(more as f64));
    }
}

fn slos(status: &DeviationReportStatus, out: &mut String) {
    for slo in &status.slos {
        let SloAccount { name, measures, objective, limits, query, verdict, message, harm, .. } = slo;
        let verdict = verdict.as_ref().map_or("nothing was judged", Word::as_str);
        let objective = objective.map_or_else(String::new, |objective| format!(", objective {objective}"));
        let _ = writeln!(out, "\n## SLO {name}{objective}: {verdict}\n");
        if !message.is_empty() {
            let _ = writeln!(out, "{}\n", plain(message));
        }
        if let Some(harm) = harm {
            let _ = writeln!(
                out,
                "{} bad requests in excess, {} minutes of the fleet's error budget.\n",
                text::count(harm.excess),
                facts::minutes(harm.budget_minutes)
            );
        }
        let _ = writeln!(out, "Measures `` {} ``:\n", cut::plain(measures));
        for limit in limits {
            let _ = writeln!(out, "- {}", plain(limit));
        }
        if !query.is_empty() {
            let _ = writeln!(out, "\n````promql\n{query}\n````");
        }
    }
}

fn told(title: &str, told: &[Transition], out: &mut String) {
    if told.is_empty() {
        return;
    }
    let _ = write!(out, "\n## {title}\n\n");
    let earlier = told.len().saturating_sub(TOLD_MAX);
    if earlier > 0 {
        let _ = writeln!(out, "- {earlier} earlier ones are in the report");
    }
    for event in &told[earlier..] {
        let _ = writeln!(out, "- {} {}: {}", text::stamp(event.at), event.reason, plain(&event.message));
    }
}

fn list(title: &str, lines: &[String], out: &mut String) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(out, "\n## {title}\n\n");
    for line in lines {
        let _ = writeln!(out, "- {}", plain(line));
    }
}
