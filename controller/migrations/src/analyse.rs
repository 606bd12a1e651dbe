//! [`analyse`]: the files of a range in, their review out. Pure: ifs here, facts in the modules it calls.

use crate::{
    Input, Problem, Review,
    files::{Pair, pairs, text},
    input::version,
    migration::Reader,
    range,
    read::statements,
    report,
    schema::Schema,
};

/// Reviews the migrations of a range.
pub fn analyse(input: &Input) -> Result<Review, Vec<Problem>> {
    let server = version(input.dialect, &input.server_version).map_err(|problem| vec![problem])?;
    let pairs = pairs(input)?;
    check(input, &pairs)?;
    let mut schema = Schema::default();
    let mut migrations = Vec::new();
    for pair in pairs.iter().take_while(|pair| pair.number <= input.to) {
        schema.next_file();
        let since_esr = input.last_esr.is_some_and(|esr| pair.number > esr);
        if pair.number > input.from || since_esr {
            let migration = Reader { input, server, pair }.migration(&mut schema);
            migrations.push(migration);
        } else {
            // What ran is what was shipped, whatever the file says now.
            let shipped = input.shipped.get(&pair.up.name).map(|bytes| text(&pair.up.name, bytes));
            for (_, parsed) in statements(shipped.as_ref().unwrap_or(&pair.up), input.dialect) {
                parsed.into_iter().flat_map(|parsed| parsed.actions).for_each(|action| schema.apply(&action));
            }
        }
    }
    Ok(report::review(input, migrations, &pairs))
}

fn check(input: &Input, pairs: &[Pair]) -> Result<(), Vec<Problem>> {
    let known = |number: u32| pairs.iter().any(|pair| pair.number == number);
    let mut problems = Vec::new();
    if input.from > input.to {
        let what = format!("the range ends at {}, before it starts after {}", input.to, input.from);
        let fix = "give the last number that runs, and the last that is wanted, which is not smaller";
        problems.push(Problem::of("range", what, fix));
    } else if input.to > 0 && !known(input.to) {
        problems.push(range::unknown("range", &input.to.to_string(), input.files.keys()));
    }
    for one in &input.overrides {
        if !known(one.migration) || one.reason.trim().is_empty() {
            let what = format!("the override of migration {} has no such file, or no reason", one.migration);
            problems.push(Problem::of(
                "overrides",
                what,
                "name a migration that exists, and say why it is so",
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
