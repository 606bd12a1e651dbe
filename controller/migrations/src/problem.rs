//! What is wrong with an input: the one error of the reviewer. Pure, data.

use thiserror::Error;

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

/// Something in the input that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}{}: {what}: {fix}", at(*.line))]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where no line of a file is meant.
    pub line: usize,
    /// What is wrong, with the value.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    pub(crate) fn of(file: &str, what: String, fix: &str) -> Self {
        Self { file: file.into(), line: 0, what, fix: fix.into() }
    }
}
