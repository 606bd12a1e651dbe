//! The documents' tables of words, rendered from the words' own lines. Pure.

use crate::words::{
    ConditionType, DeviationReason, HoldReason, Severity, TransitionReason, Trouble, Verdict,
};

const RUNBOOK: &str = "controller/docs/runbook.md";
const METRICS: &str = "controller/docs/metrics.md";

/// A table between two marker comments of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The document's path below the repository's root.
    pub path: &'static str,
    /// The name in the marker comments.
    pub name: &'static str,
    /// What stands between them.
    pub text: String,
}

impl Section {
    /// The comment before it.
    fn begins(&self) -> String {
        format!("<!-- {}: rendered by render-crds from crds/src/words; do not edit -->\n", self.name)
    }

    /// The comment after it.
    fn ends(&self) -> String {
        format!("<!-- /{} -->\n", self.name)
    }

    /// The document with this section in its place; `None` where the document lacks the comments.
    pub fn placed_in(&self, document: &str) -> Option<String> {
        let (before, rest) = document.split_once(&self.begins())?;
        let (_, after) = rest.split_once(&self.ends())?;
        Some([before, &self.begins(), "\n", &self.text, "\n", &self.ends(), after].concat())
    }
}

/// All of them.
pub fn sections() -> Vec<Section> {
    vec![
        section(
            RUNBOOK,
            "hold-reasons",
            ["reason", "ends", "meaning", "what to do"],
            HoldReason::ALL,
            |reason| {
                [
                    code(reason.as_str()),
                    ends(reason).into(),
                    reason.meaning().into(),
                    reason.what_to_do().into(),
                ]
            },
        ),
        section(
            RUNBOOK,
            "transitions",
            ["transition", "Event", "meaning"],
            TransitionReason::ALL,
            |reason| {
                let event = match reason.severity() {
                    Severity::Normal => "Normal",
                    Severity::Warning => "Warning",
                };
                [code(reason.as_str()), event.into(), reason.meaning().into()]
            },
        ),
        section(RUNBOOK, "troubles", ["reason", "meaning"], Trouble::ALL, |trouble| {
            [code(trouble.as_str()), trouble.meaning().into()]
        }),
        section(RUNBOOK, "deviation-reasons", ["reason", "meaning"], DeviationReason::ALL, |reason| {
            [code(reason.as_str()), reason.meaning().into()]
        }),
        section(METRICS, "condition-types", ["type", "True means"], ConditionType::ALL, |type_| {
            [code(type_.as_str()), type_.meaning().into()]
        }),
        section(METRICS, "verdicts", ["verdict", "meaning"], Verdict::ALL, |verdict| {
            [code(verdict.as_str()), verdict.meaning().into()]
        }),
    ]
}

/// Who ends a hold.
const fn ends(reason: HoldReason) -> &'static str {
    if reason.needs_human() {
        "by a human"
    } else if reason.is_promotable() {
        "by itself, or by `promote`"
    } else {
        "by itself"
    }
}

fn code(word: &str) -> String {
    format!("`{word}`")
}

/// One row per word, in the vocabulary's order.
fn section<T: Copy, const N: usize>(
    path: &'static str,
    name: &'static str,
    header: [&'static str; N],
    words: &[T],
    cells: impl Fn(T) -> [String; N],
) -> Section {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head = [row(&header.map(str::to_owned)), row(&[const { "---" }; N].map(str::to_owned))];
    let rows = words.iter().map(|word| row(&cells(*word)));
    Section { path, name, text: head.into_iter().chain(rows).collect() }
}
