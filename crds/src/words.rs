//! The words that decide: closed vocabularies of the API's string fields, and [`Word`], which keeps a newer controller's word
//! that is in none of them. Pure.
//!
//! One file per subject. Each vocabulary is one table ([`table`]) of its words, what they mean, and what hangs on them; the
//! runbook's tables are rendered from the same lines.

mod condition;
mod deviation;
mod gate;
mod hold;
mod release;
mod table;
mod transition;
mod trouble;
mod verdict;
mod word;

pub use self::{
    condition::{ConditionReason, ConditionType},
    deviation::DeviationReason,
    gate::GateSubject,
    hold::HoldReason,
    release::{Impact, LoadTestVerdict, RevertSafety},
    transition::{Severity, TransitionReason},
    trouble::Trouble,
    verdict::Verdict,
    word::{UnknownWord, Vocabulary, Word},
};

#[cfg(test)]
mod tests;
