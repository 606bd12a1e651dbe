//! morph's files: names, the prefix, pairs. Pure.

use std::collections::BTreeMap;

use crate::{Dialect, Input, Problem};

/// morph looks for these very bytes at the start (its PostgreSQL driver only).
const PREFIX: &str = "-- morph:nontransactional";

/// One file's text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub name: String,
    pub sql: String,
    /// Why the bytes are no text, if so.
    pub broken: Option<String>,
}

/// A migration's two files.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub number: u32,
    pub name: String,
    pub up: Text,
    pub down: Option<Text>,
}

impl Pair {
    /// Whether the up file runs in one transaction.
    pub fn transactional(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Postgresql && !self.up.sql.starts_with(PREFIX)
    }

    /// A prefix that morph does not see: not at the first byte, or spelled otherwise.
    pub fn misplaced_prefix(&self) -> bool {
        !self.up.sql.starts_with(PREFIX)
            && self.up.sql.lines().take(20).any(|line| {
                let line = line.trim_start_matches('\u{feff}').trim_start();
                line.starts_with("--")
                    && line
                        .to_lowercase()
                        .replace([' ', '_'], "")
                        .replace("non-", "non")
                        .contains("morph:nontransactional")
            })
    }
}

/// Pairs by number, in order.
pub(crate) fn pairs(input: &Input) -> Result<Vec<Pair>, Vec<Problem>> {
    let mut ups: BTreeMap<u32, (String, Text)> = BTreeMap::new();
    let mut downs = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, bytes) in input.files.iter().filter(|(file, _)| file.to_lowercase().ends_with(".sql")) {
        match named(file) {
            Err(problem) => problems.push(problem),
            Ok((number, name, true)) => {
                if let Some((other, _)) = ups.insert(number, (name.clone(), text(file, bytes))) {
                    let what = format!("number {number} is taken by `{other}` and by `{name}`");
                    problems.push(Problem::of(
                        file,
                        what,
                        "merge upstream and give the newer one the next free number",
                    ));
                }
            }
            Ok((number, name, false)) => {
                downs.insert((number, name), text(file, bytes));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let pair = |(number, (name, up)): (u32, (String, Text))| {
        let down = downs.remove(&(number, name.clone()));
        Pair { number, name, up, down }
    };
    Ok(ups.into_iter().map(pair).collect())
}

fn named(file: &str) -> Result<(u32, String, bool), Problem> {
    let bad = |what: String| {
        Problem::of(file, what, "name it as morph does: 000066_name.up.sql and 000066_name.down.sql")
    };
    let stem = &file[..file.len() - ".sql".len()];
    let (stem, up) = match (stem.strip_suffix(".up"), stem.strip_suffix(".down")) {
        (Some(stem), _) => (stem, true),
        (_, Some(stem)) => (stem, false),
        _ => return Err(bad(format!("`{file}` says neither up nor down"))),
    };
    let (number, name) =
        stem.split_once('_').ok_or_else(|| bad(format!("`{file}` has no `_` after its number")))?;
    let number = number.parse().map_err(|_| bad(format!("`{number}` is no number")))?;
    Ok((number, name.into(), up))
}

pub(crate) fn text(file: &str, bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text { name: file.into(), sql: text.into(), broken: None },
        Err(why) => Text {
            name: file.into(),
            sql: String::from_utf8_lossy(bytes).into_owned(),
            broken: Some(format!("byte {} is not UTF-8: save the file as UTF-8", why.valid_up_to())),
        },
    }
}
