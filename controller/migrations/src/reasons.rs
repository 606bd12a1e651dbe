//! How a review words what it says of a statement: its first words, and reasons that speak of the old binary. Pure.

use breakwater_text::cut;

/// Most characters of a statement that are shown of it.
const BRIEF_MAX: usize = 100;
/// How a reason starts that speaks of the old binary.
const OLD_BINARY: &str = "old binary: ";
/// How a reason starts that an override gives for the old binary.
const OVERRIDE: &str = "override: ";

/// Why the old binary does not simply work.
pub(crate) fn of_old_binary(why: &str) -> String {
    format!("{OLD_BINARY}{why}")
}

/// What the application's authors say of the old binary.
pub(crate) fn of_override(reason: &str) -> String {
    format!("{OVERRIDE}{}", reason.trim())
}

/// Whether a statement's reason speaks of the old binary, not of its lock.
pub(crate) fn of_revert(reason: &str) -> bool {
    reason.starts_with(OLD_BINARY) || reason.starts_with(OVERRIDE)
}

/// A statement's first words.
pub(crate) fn brief(sql: &str) -> String {
    cut::brief(sql, BRIEF_MAX)
}
