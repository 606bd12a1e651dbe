//! Rules on the folder as a whole: numbers, the list file, the other dialect's folder, files that were released before. Pure.

use std::collections::BTreeSet;

use crate::{
    Dialect, Finding, Input, Rule,
    files::{Pair, text},
    split::split,
};

/// All of them, for the numbers of the range.
pub(crate) fn findings(input: &Input, pairs: &[Pair]) -> Vec<Finding> {
    let mut out: Vec<Finding> = gaps(input, pairs).into_iter().collect();
    out.extend(orphans(input, pairs));
    out.extend(listed(input));
    out.extend(twins(input, pairs));
    out.extend(edited(input));
    out
}

fn sql(name: &str) -> bool {
    name.to_lowercase().ends_with(".sql")
}

/// Gaps are legal (Mattermost has no 110), but may be a file that is missing. Only those in the range are told.
fn gaps(input: &Input, pairs: &[Pair]) -> Option<Finding> {
    let within = |number: &u32| *number > input.from && *number <= input.to;
    let numbers: BTreeSet<u32> = pairs.iter().map(|pair| pair.number).filter(within).collect();
    let mut last = input.from;
    let mut missing = Vec::new();
    for number in numbers {
        let first = last.saturating_add(1);
        if number > first {
            let end = number - 1;
            missing.push(if first == end { first.to_string() } else { format!("{first} to {end}") });
        }
        last = number;
    }
    let fix = "nothing, if the number was given up; else add the file that is missing";
    let what = format!("no migration has the number {}", missing.join(", "));
    (!missing.is_empty()).then(|| Finding::of(Rule::SequenceGap, 1, what, fix))
}

/// Down files that no up file has the name of.
fn orphans(input: &Input, pairs: &[Pair]) -> Vec<Finding> {
    let taken: BTreeSet<&str> =
        pairs.iter().filter_map(|pair| pair.down.as_ref()).map(|down| down.name.as_str()).collect();
    let lone = |name: &&String| name.to_lowercase().ends_with(".down.sql") && !taken.contains(name.as_str());
    let of = |name: &String| {
        let fix = "give both files of a migration one number and one name";
        Finding::of(Rule::MissingUp, 1, format!("{name} has no up file"), fix)
    };
    input.files.keys().filter(lone).map(of).collect()
}

/// The list file against the folder. Its lines may name files of both dialects, by their folders.
fn listed(input: &Input) -> Vec<Finding> {
    let Some(list) = &input.list else { return Vec::new() };
    let other = match input.dialect {
        Dialect::Postgresql => "mysql",
        Dialect::Mysql => "postgres",
    };
    let mut named = BTreeSet::new();
    let mut out = Vec::new();
    let fix = "run `make migrations-extract` after merging upstream";
    for (at, line) in list.lines().enumerate() {
        let path = line.trim();
        let mut folders: Vec<&str> = path.split(['/', '\\']).collect();
        let name = folders.pop().unwrap_or_default();
        let theirs = folders.iter().any(|folder| folder.starts_with(other));
        if name.is_empty() || path.starts_with('#') || theirs || !sql(name) {
            continue;
        }
        if !named.insert(name) {
            out.push(Finding::of(Rule::SequenceList, at + 1, format!("the list names {name} twice"), fix));
        } else if !input.files.contains_key(name) {
            let what = format!("the list names {name}, which is not in the folder");
            out.push(Finding::of(Rule::SequenceList, at + 1, what, fix));
        }
    }
    let missing = input.files.keys().filter(|name| !named.contains(name.as_str()));
    out.extend(
        missing.map(|name| Finding::of(Rule::SequenceList, 1, format!("the list does not name {name}"), fix)),
    );
    out
}

/// Numbers of the range that only one dialect has.
fn twins(input: &Input, pairs: &[Pair]) -> Vec<Finding> {
    let Some(twin) = &input.twin else { return Vec::new() };
    let within = |number: &u32| *number > input.from && *number <= input.to;
    let own: BTreeSet<u32> = pairs.iter().map(|pair| pair.number).collect();
    let (here, there) = match input.dialect {
        Dialect::Postgresql => ("PostgreSQL", "MySQL"),
        Dialect::Mysql => ("MySQL", "PostgreSQL"),
    };
    let of = |number: &u32, has: &str, lacks: &str| {
        let fix = "add the twin; a comment is enough where there is nothing to do (needed until v11)";
        let what = format!("{has} has migration {number}, {lacks} has not");
        Finding::of(Rule::DriverPairMissing, 1, what, fix)
    };
    let mine = own.difference(twin).filter(|number| within(number)).map(|number| of(number, here, there));
    let theirs = twin.difference(&own).filter(|number| within(number)).map(|number| of(number, there, here));
    mine.chain(theirs).collect()
}

/// Files of the release before that are not what they were: servers that have them do not run them again.
fn edited(input: &Input) -> Vec<Finding> {
    let fix = "leave it as it was shipped, and add a new migration that mends it";
    let of = |(name, shipped): (&String, &Vec<u8>)| {
        let Some(now) = input.files.get(name) else {
            let what = format!("{name} was shipped and is gone: under another name it runs again");
            return Some(Finding::of(Rule::ShippedFileEdited, 1, what, fix));
        };
        if now == shipped {
            return None;
        }
        let statements = |bytes: &[u8]| -> Vec<String> {
            split(&text(name, bytes).sql, input.dialect).into_iter().map(|raw| raw.sql).collect()
        };
        let (was, is) = (statements(shipped), statements(now));
        let how = if was == is {
            "only its comments or blanks differ"
        } else if is.is_empty() {
            "it holds no statement any more (an older guide allowed that: seed 003; seed 004 does not)"
        } else {
            "its statements differ, and servers that have it keep what it did before"
        };
        Some(Finding::of(Rule::ShippedFileEdited, 1, format!("{name} was shipped and is edited: {how}"), fix))
    };
    input.shipped.iter().filter(|(name, _)| sql(name)).filter_map(of).collect()
}
