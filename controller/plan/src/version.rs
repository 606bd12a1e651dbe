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

/// The parts of what `git describe` makes of a commit behind a tag: `v1.4.0-63-gc1cfb68` is 63 commits after `v1.4.0`.
fn described(text: &str) -> Option<(Version, u64)> {
    let text = text.strip_suffix("-dirty").unwrap_or(text);
    let (rest, commit) = text.rsplit_once("-g")?;
    let (tag, commits) = rest.rsplit_once('-')?;
    let is_commit = (4..=40).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((parse(tag)?, commits.parse().ok().filter(|_| is_commit)?))
}

/// A version, and how many commits it is past its tag.
fn placed(text: &str) -> Option<(Version, u64)> {
    described(text).or_else(|| Some((parse(text)?, 0)))
}

/// True when `found` is a later version than `wanted`; versions that are not semantic are never ahead.
pub fn is_ahead(found: &str, wanted: &str) -> bool {
    match (placed(found), placed(wanted)) {
        (Some((found, past)), Some((wanted, than))) => {
            found.cmp_precedence(&wanted).then(past.cmp(&than)) == Ordering::Greater
        }
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
            ("v1.4.0-63-gc1cfb68", "v1.4.0-100-gdeadbee", false),
            ("v1.4.0-100-gdeadbee", "v1.4.0-63-gc1cfb68", true),
            ("v1.4.0-1-gdeadbee", "v1.4.0", true),
            ("v1.4.0", "v1.4.0-1-gdeadbee", false),
            ("v1.4.1", "v1.4.0-900-gdeadbee-dirty", true),
            ("1.4.0-rc-1-gnome", "1.4.0", false),
        ] {
            assert_eq!(is_ahead(found, wanted), ahead, "{found} against {wanted}");
        }
    }
}
