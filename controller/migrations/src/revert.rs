//! What a revert over one migration needs: the old binary on the new schema first, the down file where it must. Pure.

use crate::{
    Dialect, Finding, OldBinary, Reversible, Revert,
    down::{self, Fidelity},
    files::{Pair, Text},
    read::{Read, Step, statements},
    reasons::{brief, of_revert},
    rules,
};

/// The verdict and its reasons; what is wrong with the down file is added to `findings`.
pub(crate) fn revert(
    pair: &Pair,
    dialect: Dialect,
    reads: &[Read],
    findings: &mut Vec<Finding>,
) -> (Revert, Vec<String>) {
    let worst = reads.iter().map(|one| one.statement.old_binary).max().unwrap_or(OldBinary::Works);
    let mut reasons: Vec<String> = reads
        .iter()
        .filter(|one| one.statement.old_binary > OldBinary::Works)
        .map(|one| {
            let all = &one.statement.reasons;
            let own = all.iter().filter(|reason| worst == OldBinary::Unknown || of_revert(reason));
            let why = own.map(String::as_str).collect::<Vec<_>>().join("; ");
            format!("`{}`: {why}", brief(&one.leaf.sql))
        })
        .collect();
    if pair.up.broken.is_some() || worst == OldBinary::Unknown {
        return (Revert::Unknown, reasons);
    }
    let fidelity = pair.down.as_ref().map(|down| fidelity(reads, down, dialect));
    if let Some(Ok(fidelity)) = &fidelity {
        fidelity.report(findings);
    }
    if worst == OldBinary::Works {
        return (Revert::RevertSafe, reasons);
    }
    let gone = |one: &&Read| matches!(one.statement.reversible, Reversible::SchemaOnly | Reversible::No);
    if let Some(lost) = reads.iter().find(gone) {
        let shown = brief(&lost.leaf.sql);
        reasons.push(format!("`{shown}` cannot be taken back: what was there is gone"));
        return (Revert::RevertLosesData, reasons);
    }
    let (verdict, why) = match fidelity {
        None => (Revert::Unknown, "there is no down file".into()),
        Some(Err(why)) => (Revert::Unknown, format!("the down file cannot be read: {why}")),
        Some(Ok(fidelity)) => match fidelity.verdict() {
            Some(verdict) => verdict,
            None => return (Revert::RevertNeedsDown, reasons),
        },
    };
    reasons.push(why);
    (verdict, reasons)
}

fn fidelity(reads: &[Read], down: &Text, dialect: Dialect) -> Result<Fidelity, String> {
    let mut back = Vec::new();
    for (leaf, parsed) in statements(down, dialect) {
        let parsed = parsed.map_err(|why| format!("line {}: {why}", leaf.line))?;
        back.extend(parsed.actions);
    }
    let up: Vec<&Step> = reads.iter().flat_map(|one| &one.steps).collect();
    let doubts = rules::guard::wrong(down, dialect).into_iter().map(|(_, what)| what).collect();
    Ok(Fidelity { doubts, ..down::fidelity(&up, &back) })
}
