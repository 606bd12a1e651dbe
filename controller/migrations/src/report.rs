//! The review of the whole range: worst verdicts, off-hours SQL, down SQL, the text for SRE. Pure.

use std::fmt::Write as _;

use crate::{
    Decision, Estimate, Finding, Impact, Input, Migration, OldBinary, Review, Statement,
    cost::in_words,
    files::Pair,
    folder,
    review::{DownStep, Revert},
    rules::brief,
    split::split,
};

const LIMITS: [&str; 3] = [
    "Go code that runs beside the files: morph's interceptors, the server's own data migrations and jobs",
    "how long a lock is waited for: behind one long query, even a brief lock makes all later queries wait",
    "durations are ranges from two db.r5.2xlarge with 11.5 million posts (v6.0); another server differs",
];

/// Puts the migrations together. Those up to `from` are there for the last ESR's sake only.
pub(crate) fn review(input: &Input, all: Vec<Migration>, pairs: &[Pair]) -> Review {
    let esr = since_esr(input, &all);
    let migrations: Vec<Migration> = all.into_iter().filter(|one| one.number > input.from).collect();
    let impact = migrations.iter().map(|one| one.impact).max().unwrap_or(Impact::Quiet);
    let revert = migrations.iter().map(|one| one.revert).max().unwrap_or(Revert::RevertSafe);
    let findings = folder::findings(input, pairs);
    let reasons = reasons(&migrations, esr, &findings);
    let duration = migrations.iter().try_fold(Estimate::default(), |sum, one| Some(sum.plus(one.duration?)));
    let off_hours_sql = off_hours(&migrations);
    let down_sql = down(input, pairs);
    let mut review = Review {
        dialect: input.dialect,
        server_version: input.server_version.clone(),
        from: input.from,
        to: input.to,
        impact,
        revert,
        duration,
        reasons,
        migrations,
        findings,
        off_hours_sql,
        down_sql,
        inform_sre: None,
        limits: LIMITS.to_vec(),
    };
    review.inform_sre = inform(&review);
    review
}

/// How bad a verdict is, the worst first: a summary shows the first reasons only.
fn weight(impact: Impact, revert: Revert) -> u8 {
    let impact = match impact {
        Impact::Quiet => 0,
        Impact::OffHours => 1,
        Impact::Downtime => 2,
        Impact::Unknown => 3,
    };
    let revert = match revert {
        Revert::RevertSafe => 0,
        Revert::RevertNeedsDown => 1,
        Revert::RevertLosesData => 2,
        Revert::Unknown => 3,
    };
    impact.max(revert)
}

/// All reasons, the worst first, then in the order of the files.
fn reasons(migrations: &[Migration], esr: Vec<String>, findings: &[Finding]) -> Vec<String> {
    // A file that servers keep in its old form is not the schema that they have.
    let edited = findings.iter().filter(|one| one.rule == "shipped-file-edited").map(|one| one.what.clone());
    let mut all: Vec<(u8, String)> = esr.into_iter().chain(edited).map(|reason| (2, reason)).collect();
    for one in migrations {
        let worst = |statement: &&Statement| statement.impact == one.impact && one.impact > Impact::Quiet;
        for statement in one.statements.iter().filter(worst) {
            all.push((weight(one.impact, Revert::RevertSafe), locked(one.number, statement)));
        }
        let weight = weight(Impact::Quiet, one.revert).max(if one.impact == Impact::Unknown {
            weight(one.impact, one.revert)
        } else {
            0
        });
        all.extend(one.reasons.iter().map(|reason| (weight, format!("{:06}: {reason}", one.number))));
    }
    all.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let mut reasons: Vec<String> = all.into_iter().map(|(_, reason)| reason).collect();
    reasons.dedup();
    reasons
}

/// Why a statement has its impact: what it holds, for how long, and what makes it so.
fn locked(number: u32, statement: &Statement) -> String {
    let why: Vec<&str> =
        statement.reasons.iter().map(String::as_str).filter(|reason| !of_revert(reason)).collect();
    format!(
        "{number:06}: `{}`: {} under {}{}{}",
        brief(&statement.sql),
        in_words(statement.duration),
        statement.lock.name(),
        if why.is_empty() { "" } else { ": " },
        why.join("; ")
    )
}

/// Whether a statement's reason speaks of the old binary, not of its lock.
pub(crate) fn of_revert(reason: &str) -> bool {
    reason.starts_with("old binary: ") || reason.starts_with("override: ")
}

/// Seed 004: "backwards compatible until the last ESR".
fn since_esr(input: &Input, all: &[Migration]) -> Vec<String> {
    let breaks =
        |one: &&Migration| one.statements.iter().any(|statement| statement.old_binary >= OldBinary::Breaks);
    let Some(esr) = input.last_esr else { return Vec::new() };
    all.iter()
        .filter(|one| one.number > esr)
        .filter(breaks)
        .map(|one| format!("{:06}: not backwards compatible with the last ESR (which has {esr}), as every migration must be", one.number))
        .collect()
}

/// What is right to run beforehand: the old binary is unaffected, the shipped statement then does nothing, and it is
/// worth it.
fn off_hours(migrations: &[Migration]) -> Vec<String> {
    migrations
        .iter()
        .flat_map(|one| &one.statements)
        .filter(|one| {
            one.safe_before_upgrade
                && one.becomes_no_op
                && one.work > crate::Work::Dml
                && one.impact > Impact::Quiet
        })
        .map(|one| {
            // Seed 002's query 9: only the application's authors know; an override says that they were asked.
            let ask = if one.old_binary == OldBinary::WorksIfWidened {
                "-- Ask first whether the running version depends on the column's type:\n"
            } else {
                ""
            };
            format!("{ask}{};", one.sql.trim_end_matches(';'))
        })
        .collect()
}

fn down(input: &Input, pairs: &[Pair]) -> Vec<DownStep> {
    let within = |pair: &&Pair| pair.number > input.from && pair.number <= input.to;
    let step = |pair: &Pair| {
        // One that holds no statement has nothing to run; a finding tells of it.
        let down = pair.down.as_ref().filter(|down| !split(&down.sql, input.dialect).is_empty())?;
        Some(DownStep {
            number: pair.number,
            file: down.name.clone(),
            sql: down.sql.trim_start_matches('\u{feff}').to_owned(),
        })
    };
    pairs.iter().rev().filter(within).filter_map(step).collect()
}

/// The text to send, where the decision table says so.
fn inform(review: &Review) -> Option<String> {
    let told = |decision: Decision| {
        matches!(
            decision,
            Decision::PublishForOffHours
                | Decision::UpgradeOffHours
                | Decision::UnavoidableDowntime
                | Decision::Ask
        )
    };
    let mut text = format!(
        "Schema migrations {:06} to {:06} ({} {}): {}, {}, duration {}.\n",
        review.first(),
        review.to,
        review.dialect,
        review.server_version,
        review.impact,
        review.revert,
        in_words(review.duration)
    );
    let mut any = review.revert > Revert::RevertNeedsDown;
    for migration in &review.migrations {
        for one in migration.statements.iter().filter(|one| told(one.decision)) {
            any = true;
            let table =
                if one.tables.is_empty() { "unknown table".to_owned() } else { one.tables.join(", ") };
            let _ = writeln!(
                text,
                "- {:06} {table} ({} rows): {}, {}: {}: {}.",
                migration.number,
                one.rows.map_or("unknown".into(), |rows| rows.to_string()),
                one.lock.name(),
                in_words(one.duration),
                one.felt(),
                one.decision.action()
            );
        }
    }
    any.then(|| text.trim_end().to_owned())
}
