//! The review as text: the table an SRE knows from the v6.0 analysis, then what to do. Pure.

use breakwater_migrations::{
    Decision, Finding, Impact, Lock, OldBinary, Revert, Review, Statement, Work, in_words,
};

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
            format!("{number:06}"),
            shortened(&text::plain(&one.sql)),
            in_words(one.duration),
            impact(one),
            one.old_binary.in_words().to_owned(),
            to_do(one),
        ]
    };
    shown(review).map(move |(number, one)| of(number, one))
}

/// The statements that say something: what a guard asks of the catalogue, and settings, touch no table.
pub(super) fn shown(review: &Review) -> impl Iterator<Item = (u32, &Statement)> {
    let all =
        review.migrations.iter().flat_map(move |one| one.statements.iter().map(move |it| (one.number, it)));
    all.filter(|(_, one)| !silent(one))
}

fn silent(one: &Statement) -> bool {
    let nothing = one.lock == Lock::None && one.tables.is_empty() && one.other_lock.is_none();
    nothing && one.work == Work::Catalog && one.old_binary == OldBinary::Works && one.impact == Impact::Quiet
}

fn shortened(sql: &str) -> String {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(120) {
        Some((at, _)) => format!("{}...", &flat[..at]),
        None => flat,
    }
}

/// The lock, the tables, and what others feel.
pub(super) fn impact(one: &Statement) -> String {
    let tables = if one.tables.is_empty() { "no table".to_owned() } else { one.tables.join(", ") };
    format!("{} on {tables}: {}", one.lock.name(), one.felt())
}

/// The decision about the lock; a change that the old version does not survive is more than that.
pub(super) fn to_do(one: &Statement) -> String {
    let breaks = one.old_binary >= OldBinary::Breaks && one.decision == Decision::Nothing;
    if breaks {
        "the old version fails afterwards: no way back without the down file".into()
    } else {
        one.decision.action().into()
    }
}

fn head(review: &Review) -> String {
    text::fields([
        ("Migrations", count(review)),
        ("Server", format!("{} {}", review.dialect, review.server_version)),
        ("Duration", in_words(review.duration)),
        ("Left out", left_out(review)),
    ])
}

/// `101 to 126 (26 files)`.
fn count(review: &Review) -> String {
    let files = review.migrations.len();
    let word = if files == 1 { "file" } else { "files" };
    format!("{:06} to {:06} ({files} {word})", review.first(), review.to)
}

/// `3 statements that touch no table`, if there are any.
fn left_out(review: &Review) -> String {
    let all: usize = review.migrations.iter().map(|one| one.statements.len()).sum();
    match all - shown(review).count() {
        0 => String::new(),
        1 => "1 statement that touches no table".into(),
        count => format!("{count} statements that touch no table"),
    }
}

fn list(title: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("- {}", text::plain(line))).collect();
    format!("{title}\n{}", lines.join("\n"))
}

/// So many places of one rule are shown with what was found.
const PLACES_MAX: usize = 4;

/// The rules that are broken, each once with its alternative and where.
pub(super) fn findings(review: &Review) -> Option<String> {
    let files =
        review.migrations.iter().flat_map(|one| one.findings.iter().map(move |found| (one.number, found)));
    let folder = review.findings.iter().map(|found| (0, found));
    let mut rules: Vec<(&Finding, Vec<String>)> = Vec::new();
    for (number, found) in folder.chain(files) {
        let at = if number == 0 { String::new() } else { format!("{number:06}:{} ", found.line) };
        let seen = if found.acknowledged { " (acknowledged by its author)" } else { "" };
        let place = format!("{at}{}{seen}", text::plain(&found.what));
        match rules.iter_mut().find(|(one, _)| one.rule == found.rule && one.fix == found.fix) {
            Some((_, places)) => places.push(place),
            None => rules.push((found, vec![place])),
        }
    }
    let of = |(found, places): &(&Finding, Vec<String>)| {
        let mut lines = vec![format!("- {}: {}", found.rule, found.fix)];
        lines.extend(places.iter().take(PLACES_MAX).map(|place| format!("  - {place}")));
        let more: Vec<&str> =
            places.iter().skip(PLACES_MAX).filter_map(|place| place.split(' ').next()).collect();
        if !more.is_empty() {
            lines.push(format!("  - and {}", more.join(", ")));
        }
        lines.join("\n")
    };
    let shown: Vec<String> = rules.iter().map(of).collect();
    (!shown.is_empty()).then(|| format!("Rules:\n{}", shown.join("\n")))
}

fn rest(shown: &Shown) -> Vec<String> {
    let review = &shown.review;
    let mut parts = Vec::new();
    if !review.off_hours_sql.is_empty() {
        // As it is to be run: a comment before a statement stands on a line of its own.
        let lines = review.off_hours_sql.iter().flat_map(|sql| sql.lines()).map(text::plain);
        parts.push(format!("To run off-hours beforehand:\n{}", lines.collect::<Vec<_>>().join("\n")));
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
    format!("{mark} {}, {}", review.impact, review.revert)
}
