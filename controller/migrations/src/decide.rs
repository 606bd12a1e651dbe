//! The seeds' decision table (001, 003), and how long a transaction holds its locks. Pure.

use crate::{Blocked, Decision, Estimate, Impact, Lock, Statement, Work, input::Large, read::Read};

/// A block of up to this long is a hiccup, reported but not waited for.
const HICCUP_MS: f64 = 1000.0;

/// The decision for a statement, and the verdict that follows from it.
pub(crate) fn decide(statement: &mut Statement, refused: Option<&str>, large: &Large) {
    if let Some(why) = refused {
        (statement.decision, statement.impact) = (Decision::Ask, Impact::Unknown);
        return statement.say(why);
    }
    let large = large.is(statement.table.as_ref(), statement.rows);
    let worst = statement.reads.max(if statement.writes == Blocked::MatchedRows {
        Blocked::No
    } else {
        statement.writes
    });
    let hiccup = statement.lock_held.or(statement.duration).is_some_and(|held| held.most_ms <= HICCUP_MS);
    let size_known =
        statement.rows.is_some() || large || statement.work == Work::Catalog || statement.duration.is_some();
    let off_hours = if statement.safe_before_upgrade && statement.becomes_no_op {
        Decision::PublishForOffHours
    } else {
        Decision::UpgradeOffHours
    };
    (statement.decision, statement.impact) = match worst {
        Blocked::Unknown => (Decision::Ask, Impact::Unknown),
        _ if statement.work == Work::Unknown => (Decision::Ask, Impact::Unknown),
        Blocked::Whole if large => (Decision::UnavoidableDowntime, Impact::Downtime),
        Blocked::Whole if !size_known => (Decision::Ask, Impact::Unknown),
        Blocked::Whole if hiccup => (Decision::ReportBlock, Impact::Quiet),
        Blocked::Whole => (Decision::ReportBlock, Impact::OffHours),
        _ if statement.work != Work::Catalog && (large || !size_known) => (off_hours, Impact::OffHours),
        _ => (Decision::Nothing, Impact::Quiet),
    };
    // How large another table is (a foreign key's) is not asked, so it is taken for large.
    if statement.other_lock.is_some_and(|lock| lock >= Lock::Share) && !hiccup {
        statement.impact = statement.impact.max(Impact::OffHours);
        if statement.decision == Decision::Nothing {
            statement.decision = Decision::ReportBlock;
        }
        let reads = statement.other_lock.is_some_and(Lock::blocks_reads);
        statement.say(if reads {
            "another table's reads and writes wait as well, for as long"
        } else {
            "another table's writes wait as well, for as long"
        });
    }
    if !size_known {
        let table = statement.table.as_deref().unwrap_or("its table");
        statement.say(&format!("the rows of {table} are not given, so neither is how long it takes"));
    }
}

/// In one transaction each lock is held until the last statement ends.
pub(crate) fn hold_to_the_end(reads: &mut [Read]) {
    let mut rest = Some(Estimate::default());
    for read in reads.iter_mut().rev() {
        let statement = &mut read.statement;
        let after = rest;
        rest = match (rest, statement.duration) {
            (Some(rest), Some(own)) => Some(rest.plus(own)),
            _ => None,
        };
        if statement.lock <= Lock::AccessShare || statement.lock == Lock::Unknown {
            continue;
        }
        statement.lock_held = rest;
        if after.is_some_and(|after| after.most_ms <= HICCUP_MS) {
            continue;
        }
        let longer = |blocked: &mut Blocked| {
            let brief = *blocked == Blocked::Brief;
            if brief {
                *blocked = if after.is_some() { Blocked::Whole } else { Blocked::Unknown };
            }
            brief
        };
        let (reads, writes) = (longer(&mut statement.reads), longer(&mut statement.writes));
        if reads || writes {
            statement
                .say("its lock is kept while the rest of the file runs, for one transaction holds the file");
        }
    }
}
