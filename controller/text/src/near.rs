//! Names near a name that was not found. Pure.

/// Most names offered where one was not found.
const NAMES_MAX: usize = 10;

/// The names that may have been meant, nearest first, at most ten; of equally near ones the first in the alphabet.
pub fn nearest<'a>(wanted: &str, names: &'a [String]) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> =
        names.iter().map(|name| (distance(wanted, name), name.as_str())).collect();
    near.sort_unstable();
    near.truncate(NAMES_MAX);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Levenshtein's distance over characters: how many are put in, left out or changed. It takes the product of both
/// lengths in time, so cut what comes from outside.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["chat", "app", "api", "billing"].map(String::from);
        assert_eq!(nearest("ap", &names)[..2], ["api", "app"]);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("é", "e")), (3, 3, 1));
    }
}
