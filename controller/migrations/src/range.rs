//! Which migration a word means: a number, or a version that file names end in. Pure.

use std::collections::{BTreeMap, BTreeSet};

use breakwater_text::{cut, near};

use crate::Problem;

/// How many near names an error shows.
const NEAR_MAX: usize = 3;
/// So many characters of a word count for how near it is.
const WORD_MAX: usize = 40;

/// The greatest number that an up file has; 0 where there is none.
pub fn last_number(files: &BTreeMap<String, Vec<u8>>) -> u32 {
    files.keys().filter_map(|name| number(name)).max().unwrap_or(0)
}

/// The number of the migration that `text` means: a number, or a version (`v6.0`, `6.0`) that is a part of file names, of
/// which the last counts. `what` names the setting in the error; 0 stands for "before the first".
pub fn number_of(what: &str, text: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<u32, Problem> {
    let text = text.trim();
    if let Ok(number) = text.parse::<u32>() {
        let known = number == 0 || files.keys().any(|name| self::number(name) == Some(number));
        return if known { Ok(number) } else { Err(unknown(what, text, files.keys())) };
    }
    let version = format!("v{}", text.trim_start_matches(['v', 'V']));
    let named = files.keys().filter(|name| stem(name).split('_').any(|part| part == version));
    named.filter_map(|name| number(name)).max().ok_or_else(|| unknown(what, text, files.keys()))
}

/// The error for a word that names no migration, with the nearest that exist.
pub(crate) fn unknown<'a>(
    what: &str,
    text: &str,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Problem {
    let stems: BTreeSet<&str> =
        names.clone().filter(|name| number(name).is_some()).map(|name| stem(name)).collect();
    let mut near: Vec<(usize, &str)> = stems.iter().map(|stem| (distance(text, stem), *stem)).collect();
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(NEAR_MAX).map(|(_, stem)| stem).collect();
    let problem = format!("`{text}` names no migration of the folder");
    let last = names.filter_map(|name| number(name)).max();
    match last {
        Some(last) => Problem::of(
            what,
            problem,
            &format!(
                "give a number up to {last}, or a version that a name ends in; near are {}",
                near.join(", ")
            ),
        ),
        None => Problem::of(
            what,
            problem,
            "the folder holds no file that is named as morph does: 000066_name.up.sql",
        ),
    }
}

fn stem(name: &str) -> &str {
    let name = name.strip_suffix(".sql").unwrap_or(name);
    name.strip_suffix(".up").or_else(|| name.strip_suffix(".down")).unwrap_or(name)
}

fn number(name: &str) -> Option<u32> {
    name.to_lowercase().ends_with(".up.sql").then(|| name.split_once('_')?.0.parse().ok()).flatten()
}

/// How far a word is from a migration's name: from its number, or from the nearest part of its name.
fn distance(text: &str, stem: &str) -> usize {
    let (digits, _) = stem.split_once('_').unwrap_or((stem, ""));
    if let (Ok(wanted), Ok(has)) = (text.parse::<u32>(), digits.parse::<u32>()) {
        return usize::try_from(wanted.abs_diff(has)).unwrap_or(usize::MAX);
    }
    // A word comes from outside.
    let short = |word| cut::chars(word, WORD_MAX);
    let text = text.trim_start_matches(['v', 'V']);
    let parts = stem.split('_').map(|part| part.trim_start_matches('v'));
    parts.map(|part| near::distance(short(text), short(part))).min().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, Vec<u8>> {
        ["000001_base", "000056_channels_v6.0", "000066_posts_v6.0", "000070_upgrade_v6.1"]
            .iter()
            .flat_map(|name| {
                [(format!("{name}.up.sql"), Vec::new()), (format!("{name}.down.sql"), Vec::new())]
            })
            .collect()
    }

    #[test]
    fn a_number_or_a_version_names_a_migration() {
        let of = |text: &str| number_of("--to", text, &files());
        assert_eq!((of("66"), of("v6.0"), of("6.1"), of("0")), (Ok(66), Ok(66), Ok(70), Ok(0)));
        assert_eq!(last_number(&files()), 70);
    }

    #[test]
    fn what_names_none_is_told_what_is_near() {
        let near = |text: &str| {
            number_of("--to", text, &files()).map_or_else(|why| why.to_string(), |n| n.to_string())
        };
        assert!(near("67").contains("near are 000066_posts_v6.0, 000070_upgrade_v6.1"), "{}", near("67"));
        assert!(near("v6.2").contains("v6.0"), "{}", near("v6.2"));
        assert!(near("6.0.1").contains("names no migration"), "{}", near("6.0.1"));
        assert!(number_of("--to", "5", &BTreeMap::new()).is_err());
    }
}
