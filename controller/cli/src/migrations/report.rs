//! The review as text: the table an SRE knows from the v6.0 analysis, then what to do. Pure.

use breakwater_migrations::{Blocked, Impact, Revert, Review, Statement, in_words};

use super::Shown;
use crate::plugin::{
    paint::{BAD, DONE, WARN},
    text,
};

/// For a terminal.
pub(super) fn table(shown: &Shown) -> String {
    let review = &shown.review;
    let mut parts = vec![head(review)];
    parts.push(text::table(HEADER, rows(review)));
    parts.extend(findings(review));
    if !review.reasons.is_empty() {
        parts.push(list("Why:", &review.reasons));
    }
    parts.extend(rest(shown));
    parts.push(verdict(review));
    parts.join("\n\n")
}

/// For release notes.
pub(super) fn markdown(shown: &Shown) -> String {
    let review = &shown.review;
    let line = |cells: &[String]| {
        format!(
            "| {} |",
            cells
                .iter()
                .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
                .collect::<Vec<_>>()
                .join(" | ")
        )
    };
    let mut lines = vec![
        format!("## {}\n", verdict(review)),
        line(&HEADER.map(str::to_owned)),
        format!("|{}", " --- |".repeat(HEADER.len())),
    ];
    lines.extend(rows(review).map(|row| line(&row)));
    let mut parts = vec![lines.join("\n")];
    parts.extend(findings(review));
    if !review.reasons.is_empty() {
        parts.push(list("Why:", &review.reasons));
    }
    parts.extend(rest(shown));
    parts.join("\n\n")
}

/// The file of SQL for off-hours.
pub(super) fn off_hours(review: &Review) -> String {
    let mut out = format!(
        "-- To run off-hours before the upgrade to migration {}: each leaves the running version as it was (unless it says to ask), and the shipped\n\
         -- statement then does nothing. They can still lock meanwhile. Back up first.\n",
        review.to
    );
    for sql in &review.off_hours_sql {
        out.push_str(sql);
        out.push('\n');
    }
    out
}

const HEADER: [&str; 6] = ["#", "QUERY", "DURATION", "IMPACT", "OLD BINARY", "TO DO"];

fn rows(review: &Review) -> impl Iterator<Item = [String; 6]> {
    let of = |number: u32, one: &Statement| {
        [
            number.to_string(),
            shortened(&text::plain(&one.sql)),
            in_words(one.duration),
            impact(one),
            format!("{:?}", one.old_binary),
            one.decision.action().to_owned(),
        ]
    };
    review
        .migrations
        .iter()
        .flat_map(move |migration| migration.statements.iter().map(move |one| of(migration.number, one)))
}

fn shortened(sql: &str) -> String {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(160) {
        Some((at, _)) => format!("{}...", &flat[..at]),
        None => flat,
    }
}

/// The seed's words for what others feel.
pub(super) fn impact(one: &Statement) -> String {
    let table = one.table.as_deref().unwrap_or("no table");
    let blocked = match (one.reads, one.writes) {
        (Blocked::Unknown, _) | (_, Blocked::Unknown) => "what it blocks is not known",
        (Blocked::Whole, _) => "no reads nor writes for the whole duration",
        (_, Blocked::Whole) => "no writes for the whole duration",
        (Blocked::Brief, _) => "reads and writes wait briefly",
        (_, Blocked::Brief) => "writes wait briefly",
        (_, Blocked::MatchedRows) => "only the rows it changes are locked",
        _ => "reads and writes go on",
    };
    format!("{} on {table}: {blocked}", one.lock.name())
}

fn head(review: &Review) -> String {
    text::fields([
        ("Migrations", format!("{} to {}", review.from + 1, review.to)),
        ("Server", format!("{} {}", review.dialect, review.server_version)),
        ("Duration", in_words(review.duration)),
    ])
}

fn list(title: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("- {}", text::plain(line))).collect();
    format!("{title}\n{}", lines.join("\n"))
}

fn findings(review: &Review) -> Option<String> {
    let of = |migration: &breakwater_migrations::Migration| {
        let line = |one: &breakwater_migrations::Finding| {
            format!("{:06}:{} {}: {}: {}", migration.number, one.line, one.rule, one.what, one.fix)
        };
        migration.findings.iter().map(line).collect::<Vec<_>>()
    };
    let lines: Vec<String> = review.migrations.iter().flat_map(of).collect();
    (!lines.is_empty()).then(|| list("Rules:", &lines))
}

fn rest(shown: &Shown) -> Vec<String> {
    let review = &shown.review;
    let mut parts = Vec::new();
    if !review.off_hours_sql.is_empty() {
        parts.push(list("To run off-hours beforehand:", &review.off_hours_sql));
    }
    if review.revert != Revert::RevertSafe && !review.down_sql.is_empty() {
        let steps: Vec<String> =
            review.down_sql.iter().map(|step| format!("{}: {}", step.file, shortened(&step.sql))).collect();
        parts.push(list("Down, in this order:", &steps));
    }
    if let Some(words) = &review.inform_sre {
        parts.push(format!("Inform SRE:\n{words}"));
    }
    if let Some(measured) = &shown.measured {
        let wrong: Vec<String> = measured
            .iter()
            .filter(|one| !one.disagreements.is_empty())
            .map(|one| format!("{:06} {}: {}", one.number, shortened(&one.sql), one.disagreements.join("; ")))
            .collect();
        parts.push(list(
            &format!("Measured: {} of {} statements agree.", measured.len() - wrong.len(), measured.len()),
            &wrong,
        ));
    }
    parts.push(list("Not seen:", &review.limits.iter().map(|limit| (*limit).to_owned()).collect::<Vec<_>>()));
    parts
}

/// The two verdicts in a line.
pub(super) fn verdict(review: &Review) -> String {
    let mark = match (review.impact, review.revert) {
        (Impact::Quiet, Revert::RevertSafe) => DONE,
        (Impact::Quiet | Impact::OffHours, Revert::RevertSafe | Revert::RevertNeedsDown) => WARN,
        _ => BAD,
    };
    format!("{mark} {:?}, {:?}", review.impact, review.revert)
}
