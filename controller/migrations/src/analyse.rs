//! [`analyse`]: the files of a range in, their review out. Pure: ifs here, facts in the modules it calls.

use crate::{
    Blocked, Decision, Dialect, Estimate, Impact, Input, Lock, Migration, OldBinary, Problem, Reversible,
    Revert, Review, Statement, Work, compat, cost,
    down::{self, Fidelity},
    effect::{Effect, Facts, effect},
    files::{Pair, Text, pairs},
    input::version,
    op::{Action, Op, Parsed},
    parse::parse,
    report,
    rules::{self, File, Read},
    schema::Schema,
    split::split,
    unwrap::{Leaf, unwrap},
};

/// A block of up to this long is a hiccup, reported but not waited for.
const HICCUP_MS: f64 = 1000.0;

/// Reviews the migrations of a range.
pub fn analyse(input: &Input) -> Result<Review, Vec<Problem>> {
    let server = version(input.dialect, &input.server_version).map_err(|problem| vec![problem])?;
    let pairs = pairs(input)?;
    check(input, &pairs)?;
    let mut schema = Schema::default();
    let mut migrations = Vec::new();
    for pair in pairs.iter().take_while(|pair| pair.number <= input.to) {
        schema.fresh.clear();
        let since_esr = input.last_esr.is_some_and(|esr| pair.number > esr);
        if pair.number > input.from || since_esr {
            let migration = Reader { input, server, pair }.migration(&mut schema);
            migrations.push(migration);
        } else {
            for (_, parsed) in statements(&pair.up, input.dialect) {
                parsed.into_iter().flat_map(|parsed| parsed.actions).for_each(|action| schema.apply(&action));
            }
        }
    }
    Ok(report::review(input, migrations, &pairs))
}

fn check(input: &Input, pairs: &[Pair]) -> Result<(), Vec<Problem>> {
    let known = |number: u32| pairs.iter().any(|pair| pair.number == number);
    let mut problems = Vec::new();
    if input.from >= input.to {
        let what = format!("the range {}..{} is empty", input.from, input.to);
        problems.push(Problem::of(
            "range",
            what,
            "give the last number that runs, and the last that is wanted, which is greater",
        ));
    } else if !known(input.to) {
        let what = format!("there is no migration {}", input.to);
        problems.push(Problem::of("range", what, "give a number that a file has"));
    }
    for one in &input.overrides {
        if !known(one.migration) || one.reason.trim().is_empty() {
            let what = format!("the override of migration {} has no such file, or no reason", one.migration);
            problems.push(Problem::of(
                "overrides",
                what,
                "name a migration that exists, and say why it is so",
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A file's statements, unwrapped and read.
fn statements(text: &Text, dialect: Dialect) -> Vec<(Leaf, Result<Parsed, String>)> {
    let leaves = unwrap(&split(&text.sql, dialect), dialect);
    let read = |leaf: Leaf| {
        let parsed = match leaf.unknown.clone().or_else(|| text.broken.clone()) {
            Some(why) => Err(why),
            None => parse(&leaf.sql, dialect),
        };
        (leaf, parsed)
    };
    leaves.into_iter().map(read).collect()
}

struct Reader<'a> {
    input: &'a Input,
    server: (u16, u16, u16),
    pair: &'a Pair,
}

/// One statement with its changes and their effects.
struct Found {
    leaf: Leaf,
    actions: Vec<Action>,
    effects: Vec<Effect>,
    fresh: Vec<bool>,
    statement: Statement,
}

impl Reader<'_> {
    fn migration(&self, schema: &mut Schema) -> Migration {
        let transactional = self.pair.transactional(self.input.dialect);
        let mut found: Vec<Found> = Vec::new();
        for (at, (leaf, parsed)) in statements(&self.pair.up, self.input.dialect).into_iter().enumerate() {
            found.push(self.statement(at, leaf, parsed, schema));
        }
        if transactional {
            hold_to_the_end(&mut found);
        }
        for one in &mut found {
            self.decide(&mut one.statement);
        }
        let reads: Vec<Read<'_>> = found
            .iter()
            .map(|one| Read {
                leaf: &one.leaf,
                actions: &one.actions,
                effects: &one.effects,
                fresh: &one.fresh,
            })
            .collect();
        let file = File {
            pair: self.pair,
            dialect: self.input.dialect,
            version: self.server,
            transactional,
            statements: &reads,
        };
        let mut findings = rules::findings(&file);
        let (revert, mut reasons) = self.revert(&found, &mut findings);
        if let Some(why) = &self.pair.up.broken {
            reasons.push(format!("{}: {why}", self.pair.up.name));
        }
        let broken = self.pair.up.broken.is_some()
            || findings.iter().any(|one| matches!(one.rule, "concurrently-in-tx" | "ntx-multi-statement"));
        let worst = found.iter().map(|one| one.statement.impact).max().unwrap_or(Impact::Quiet);
        if broken && self.pair.up.broken.is_none() {
            reasons.push(
                "it fails on the server as it is written: CONCURRENTLY cannot run in a transaction".into(),
            );
        }
        let durations: Vec<_> = found.iter().map(|one| one.statement.duration).collect();
        Migration {
            number: self.pair.number,
            name: self.pair.name.clone(),
            transactional,
            duration: durations.into_iter().try_fold(Estimate::default(), |sum, one| Some(sum.plus(one?))),
            impact: if broken { Impact::Unknown } else { worst },
            revert,
            reasons,
            findings,
            statements: found.into_iter().map(|one| one.statement).collect(),
        }
    }

    fn statement(&self, at: usize, leaf: Leaf, parsed: Result<Parsed, String>, schema: &mut Schema) -> Found {
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(why) => return unread(leaf, &why),
        };
        let mut out = Found {
            statement: blank(&leaf),
            leaf,
            actions: Vec::new(),
            effects: Vec::new(),
            fresh: Vec::new(),
        };
        for mut action in parsed.actions.clone() {
            action.table = schema.table_of(&action).or(action.table);
            let facts = Facts { dialect: self.input.dialect, version: self.server, schema, utc: false };
            let mut effect = effect(&action, &facts);
            self.asked(&parsed, &mut effect);
            let fresh = action.table.as_ref().is_some_and(|table| schema.fresh.contains(table))
                || matches!(action.op, Op::CreateTable { .. });
            self.add(&mut out.statement, &action, &effect, fresh, schema);
            schema.apply(&action);
            out.actions.push(action);
            out.effects.push(effect);
            out.fresh.push(fresh);
        }
        out.statement.becomes_no_op =
            out.leaf.guarded || out.actions.iter().all(|action| rules::repeatable(&action.op));
        self.overridden(at, &mut out.statement);
        out.statement.safe_before_upgrade = out.statement.old_binary <= OldBinary::WorksIfWidened
            && !out.actions.iter().any(|action| matches!(action.op, Op::DropIndex { .. }));
        out
    }

    /// MySQL's explicit `ALGORITHM=` and `LOCK=`.
    fn asked(&self, parsed: &Parsed, effect: &mut Effect) {
        let lock = parsed.lock.as_deref();
        if parsed.algorithm.as_deref() == Some("COPY") {
            (effect.lock, effect.work) = (Lock::Copy, Work::Rewrite);
        }
        let cannot = match parsed.algorithm.as_deref() {
            Some("INPLACE" | "INSTANT") => effect.lock == Lock::Copy,
            _ => false,
        } || (lock == Some("NONE") && effect.lock.blocks_writes());
        if cannot && self.input.dialect == Dialect::Mysql {
            effect.note = Some("the server refuses this ALGORITHM or LOCK for it before it does anything (algorithm-unsupported)".into());
            effect.assumed = true;
        }
        match lock {
            Some("SHARED") => effect.lock = effect.lock.max(Lock::InplaceShared),
            Some("EXCLUSIVE") => effect.lock = Lock::MetadataExclusive,
            _ => {}
        }
    }

    /// Adds one change to its statement: the strictest part of a statement decides.
    fn add(&self, statement: &mut Statement, action: &Action, effect: &Effect, fresh: bool, schema: &Schema) {
        let rows = action.table.as_ref().and_then(|table| self.input.rows.get(table)).copied();
        let rows = if fresh { Some(0) } else { rows };
        let bounded = matches!(
            action.op,
            Op::Insert { .. } | Op::Update { bounded: true, .. } | Op::Delete { bounded: true }
        );
        let counted = if bounded && effect.work == Work::Dml { Some(1000) } else { rows };
        if statement.table.is_none() {
            (statement.table, statement.rows) = (action.table.clone(), rows);
        }
        let duration = cost::estimate(self.input.dialect, effect.work, counted);
        statement.duration = match (statement.duration, duration) {
            _ if effect.work < statement.work => statement.duration,
            (Some(old), Some(new)) if old.most_ms > new.most_ms => Some(old),
            (_, new) => new,
        };
        statement.work = statement.work.max(effect.work);
        if fresh {
            statement.reasons.push("the table is made in the same file: nobody waits for it".into());
        } else {
            statement.lock = statement.lock.max(effect.lock);
            statement.reads = statement.reads.max(effect.reads());
            statement.writes = statement.writes.max(effect.writes());
        }
        if effect.other.is_some_and(|other| other != Lock::AccessShare) && refers(&action.op) {
            statement.other_lock = statement.other_lock.max(effect.other);
        }
        statement.reasons.extend(effect.note.clone());
        let (old_binary, why) = compat::old_binary(action, schema);
        // A table that the same file makes is one that the old binary does not know.
        let old_binary = if fresh { OldBinary::Works } else { old_binary };
        if old_binary > OldBinary::Works {
            statement.reasons.push(format!("old binary: {why}"));
        }
        statement.old_binary = statement.old_binary.max(old_binary);
        statement.reversible = statement.reversible.max(compat::reversible(action));
    }

    fn overridden(&self, at: usize, statement: &mut Statement) {
        let mine = self.input.overrides.iter().filter(|one| {
            one.migration == self.pair.number && one.statement.is_none_or(|number| number == at + 1)
        });
        for one in mine {
            statement.old_binary = one.old_binary;
            statement.reasons.push(format!("override: {}", one.reason.trim()));
        }
    }

    /// The seeds' decision table, and the verdict that follows from it.
    fn decide(&self, statement: &mut Statement) {
        let large = statement.table.as_ref().is_some_and(|table| self.input.large.tables.contains(table))
            || statement.rows.is_some_and(|rows| rows >= self.input.large.rows);
        let worst = statement.reads.max(if statement.writes == Blocked::MatchedRows {
            Blocked::No
        } else {
            statement.writes
        });
        let hiccup = statement.lock_held.or(statement.duration).is_some_and(|held| held.most_ms <= HICCUP_MS);
        let size_known = statement.rows.is_some()
            || large
            || statement.work == Work::Catalog
            || statement.duration.is_some();
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
            statement.reasons.push("another table's writes wait as well, for as long".into());
        }
        if !size_known {
            let table = statement.table.as_deref().unwrap_or("its table");
            statement
                .reasons
                .push(format!("the rows of {table} are not given, so neither is how long it takes"));
        }
    }

    fn revert(&self, found: &[Found], findings: &mut Vec<crate::Finding>) -> (Revert, Vec<String>) {
        let worst = found.iter().map(|one| one.statement.old_binary).max().unwrap_or(OldBinary::Works);
        let mut reasons: Vec<String> = found
            .iter()
            .filter(|one| one.statement.old_binary > OldBinary::Works)
            .map(|one| format!("`{}`: {}", rules::brief(&one.leaf.sql), one.statement.reasons.join("; ")))
            .collect();
        if self.pair.up.broken.is_some() || worst == OldBinary::Unknown {
            return (Revert::Unknown, reasons);
        }
        let down = self.pair.down.as_ref().map(|down| statements(down, self.input.dialect));
        let fidelity = down.as_ref().map(|down| fidelity(found, down));
        if let Some(Ok(fidelity)) = &fidelity {
            let line = 1;
            findings.extend(fidelity.missing.iter().map(|what| crate::Finding {
                rule: "down-not-inverse",
                line,
                what: format!("the down leaves out {what}"),
                fix: "a new migration that mends it",
            }));
            findings.extend(fidelity.loses.iter().map(|what| crate::Finding {
                rule: "down-data-loss",
                line,
                what: format!("the down loses {what}"),
                fix: "revert the binary and skip the down",
            }));
        }
        if worst == OldBinary::Works {
            return (Revert::RevertSafe, reasons);
        }
        let lost = found
            .iter()
            .find(|one| matches!(one.statement.reversible, Reversible::SchemaOnly | Reversible::No));
        if let Some(lost) = lost {
            reasons.push(format!(
                "`{}` cannot be taken back: what was there is gone",
                rules::brief(&lost.leaf.sql)
            ));
            return (Revert::RevertLosesData, reasons);
        }
        match fidelity {
            None => reasons.push("there is no down file".into()),
            Some(Err(why)) => reasons.push(format!("the down file cannot be read: {why}")),
            Some(Ok(fidelity)) if !fidelity.missing.is_empty() => {
                reasons.push(format!("the down file leaves out {}", fidelity.missing.join(", ")));
            }
            Some(Ok(fidelity)) if !fidelity.loses.is_empty() => {
                reasons.push(format!("the down file loses {}", fidelity.loses.join(", ")));
                return (Revert::RevertLosesData, reasons);
            }
            Some(Ok(_)) => return (Revert::RevertNeedsDown, reasons),
        }
        (Revert::Unknown, reasons)
    }
}

fn fidelity(found: &[Found], down: &[(Leaf, Result<Parsed, String>)]) -> Result<Fidelity, String> {
    let mut back = Vec::new();
    for (leaf, parsed) in down {
        match parsed {
            Ok(parsed) => back.extend(parsed.actions.clone()),
            Err(why) => return Err(format!("line {}: {why}", leaf.line)),
        }
    }
    let up: Vec<Action> = found.iter().flat_map(|one| one.actions.clone()).collect();
    Ok(down::fidelity(&up, &back))
}

/// Whether a change names another table.
fn refers(op: &Op) -> bool {
    match op {
        Op::CreateTable { references, .. } => !references.is_empty(),
        Op::AddColumn { column, .. } => column.references.is_some(),
        Op::AddConstraint { references, .. } => references.is_some(),
        Op::Attach { .. } | Op::Detach { .. } => true,
        _ => false,
    }
}

/// In one transaction each lock is held until the last statement ends.
fn hold_to_the_end(found: &mut [Found]) {
    let mut rest = Some(Estimate::default());
    for one in found.iter_mut().rev() {
        let statement = &mut one.statement;
        let after = rest;
        rest = match (rest, statement.duration) {
            (Some(rest), Some(own)) => Some(rest.plus(own)),
            _ => None,
        };
        if statement.lock > Lock::AccessShare && statement.lock != Lock::Unknown {
            statement.lock_held = rest;
            if after.is_none_or(|after| after.most_ms > HICCUP_MS) {
                let longer = |blocked: &mut Blocked| {
                    if *blocked == Blocked::Brief {
                        *blocked = if after.is_some() { Blocked::Whole } else { Blocked::Unknown };
                        true
                    } else {
                        false
                    }
                };
                let (reads, writes) = (longer(&mut statement.reads), longer(&mut statement.writes));
                if reads || writes {
                    statement.reasons.push("its lock is kept while the rest of the file runs, for one transaction holds the file".into());
                }
            }
        }
    }
}

fn blank(leaf: &Leaf) -> Statement {
    Statement {
        line: leaf.line,
        sql: leaf.sql.clone(),
        within: leaf.within.clone(),
        guarded: leaf.guarded,
        table: None,
        rows: None,
        lock: Lock::None,
        other_lock: None,
        reads: Blocked::No,
        writes: Blocked::No,
        work: Work::Catalog,
        duration: None,
        lock_held: None,
        decision: Decision::Nothing,
        impact: Impact::Quiet,
        old_binary: OldBinary::Works,
        safe_before_upgrade: false,
        becomes_no_op: false,
        reversible: Reversible::Yes,
        reasons: Vec::new(),
    }
}

fn unread(leaf: Leaf, why: &str) -> Found {
    let statement = Statement {
        lock: Lock::Unknown,
        reads: Blocked::Unknown,
        writes: Blocked::Unknown,
        work: Work::Unknown,
        old_binary: OldBinary::Unknown,
        reversible: Reversible::Unknown,
        reasons: vec![format!("cannot be read: {why}")],
        ..blank(&leaf)
    };
    Found { leaf, actions: Vec::new(), effects: Vec::new(), fresh: Vec::new(), statement }
}
