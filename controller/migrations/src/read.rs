//! A file's statements as they were read: what each changes, what that does, and what is said of it. Pure.
//!
//! The reader of a migration makes them; the decision, the rules and the verdict on a revert look at them.

use crate::{
    Dialect, Statement,
    effect::Effect,
    files::Text,
    op::{Action, Parsed},
    parse::parse,
    schema::Before,
    split::split,
    unwrap::{Leaf, unwrap},
};

/// One change, what it does, and what it found.
pub(crate) struct Step {
    pub action: Action,
    pub effect: Effect,
    pub before: Before,
}

/// One statement with its changes.
pub(crate) struct Read {
    pub leaf: Leaf,
    pub steps: Vec<Step>,
    /// MySQL: what `ALGORITHM=` and `LOCK=` ask for.
    pub algorithm: Option<String>,
    pub lock: Option<String>,
    /// Why the server refuses it before it does anything.
    pub refused: Option<String>,
    pub statement: Statement,
}

/// A file's statements, unwrapped and read.
pub(crate) fn statements(text: &Text, dialect: Dialect) -> Vec<(Leaf, Result<Parsed, String>)> {
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

impl Statement {
    /// Gives a reason, once.
    pub(crate) fn say(&mut self, reason: &str) {
        if !self.reasons.iter().any(|one| one == reason) {
            self.reasons.push(reason.into());
        }
    }
}
