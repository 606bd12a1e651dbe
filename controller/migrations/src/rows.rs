//! How many rows and bytes the tables have. Pure.

use std::collections::BTreeMap;

use crate::Problem;

/// Row counts by table, names in lower case.
pub type Rows = BTreeMap<String, u64>;

/// Reads row counts: `{"posts": 11470022}`, or lines of `posts 11470022`, `posts,11470022`, `posts: 11470022`, or psql's
/// and mysql's table with bars. `#` starts a comment.
pub fn read_rows(name: &str, text: &str) -> Result<Rows, Problem> {
    let mut rows = Rows::new();
    let flat = text.trim().trim_start_matches('{').trim_end_matches('}');
    let json = text.trim_start().starts_with('{');
    for (at, line) in flat.split(|one| one == '\n' || (json && one == ',')).enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line
            .split(|one: char| one.is_whitespace() || ",:|\"".contains(one))
            .filter(|word| !word.is_empty() && !word.starts_with(['+', '-']))
            .collect();
        match words.as_slice() {
            [] | ["Table" | "table", _] => {}
            [table, count] if count.replace('_', "").parse::<u64>().is_ok() => {
                let count = count.replace('_', "").parse().unwrap_or(u64::MAX);
                rows.insert(table.to_lowercase(), count);
            }
            _ => {
                return Err(Problem {
                    file: name.into(),
                    line: at + 1,
                    what: format!("`{}` is not a table and its number of rows", line.trim()),
                    fix: "write one table a line: `posts 11470022`".into(),
                });
            }
        }
    }
    Ok(rows)
}
