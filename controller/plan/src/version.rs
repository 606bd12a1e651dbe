//! How versions compare (`versionOrder`, rule R34). Pure.

use std::cmp::Ordering;

use semver::Version;

/// Semantic version of a text: a leading `v` and missing parts are forgiven (`v10.5` is `10.5.0`).
fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.find(['-', '+']).unwrap_or(text.len());
    let missing = 2_usize.saturating_sub(text[..core].matches('.').count());
    let padded = format!("{}{}{}", &text[..core], ".0".repeat(missing), &text[core..]);
    Version::parse(&padded).ok()
}

/// True when `found` is a later version than `wanted`; versions that are not semantic are never ahead.
pub fn is_ahead(found: &str, wanted: &str) -> bool {
    match (parse(found), parse(wanted)) {
        (Some(found), Some(wanted)) => found.cmp_precedence(&wanted) == Ordering::Greater,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_ahead;

    #[test]
    fn r34_only_a_later_semantic_version_is_ahead() {
        for (found, wanted, ahead) in [
            ("10.5.3", "10.5.2", true),
            ("v10.6", "10.5.9", true),
            ("10.5.2", "10.5.2", false),
            ("10.5.2-rc1", "10.5.2", false),
            ("10.5.2", "10.5.2-rc1", true),
            ("10.5.2+build9", "10.5.2", false),
            ("9.11.0", "10.5.2", false),
            ("nightly", "10.5.2", false),
            ("10.5.2", "nightly", false),
            ("1.2.3.4", "1.2.3", false),
        ] {
            assert_eq!(is_ahead(found, wanted), ahead, "{found} against {wanted}");
        }
    }
}
