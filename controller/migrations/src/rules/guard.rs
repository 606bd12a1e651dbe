//! Guards that ask the wrong place, so that what they guard never runs, or always. Pure, total.
//!
//! Two are known from Mattermost's own files: MySQL's STATISTICS lists a column only where it is indexed, and
//! PostgreSQL's `data_type` names a type without its length (`character varying`), so that `'varchar(256)'` never equals it.

use crate::{
    Dialect,
    files::Text,
    lex::{Kind, Token, lex},
    split::{Raw, split},
};

/// Names that `information_schema.columns.data_type` never shows: its own are the standard's.
#[rustfmt::skip]
const ALIASES: [&str; 15] = [
    "varchar", "char", "int", "int2", "int4", "int8", "bool", "float4", "float8", "decimal", "timestamptz", "timetz",
    "varbit", "serial", "bigserial",
];

/// The wrong guards of a file: line, and what is wrong.
pub(crate) fn wrong(text: &Text, dialect: Dialect) -> Vec<(usize, String)> {
    let lower = text.sql.to_lowercase();
    let asked = match dialect {
        Dialect::Postgresql => "data_type",
        Dialect::Mysql => "statistics",
    };
    // Most files ask neither, and need not be read again.
    if !lower.contains(asked) {
        return Vec::new();
    }
    let raws = split(&text.sql, dialect);
    match dialect {
        Dialect::Postgresql => raws.iter().filter_map(data_type).collect(),
        Dialect::Mysql => statistics(&raws),
    }
}

/// A statement's own tokens and those of the texts in it: each list with whether it is a text's.
fn with_texts<T>(sql: &str, dialect: Dialect, mut each: impl FnMut(&[Token<'_>]) -> Option<T>) -> Option<T> {
    let tokens = lex(sql, dialect);
    let inner = || tokens.iter().filter(|token| token.text.len() > 20).filter_map(|t| t.content(dialect));
    let own = each(&tokens);
    own.or_else(|| inner().find_map(|text| each(&lex(&text, dialect))))
}

/// `data_type = 'varchar(256)'`, or any comparison of it with a name that the catalogue never shows.
fn data_type(raw: &Raw) -> Option<(usize, String)> {
    let dialect = Dialect::Postgresql;
    let compared = |tokens: &[Token<'_>]| {
        let asked = tokens.iter().enumerate().filter(|(_, token)| token.is("data_type"));
        asked.flat_map(|(at, _)| literals(&tokens[at + 1..], dialect)).find(|name| {
            let name = name.to_lowercase();
            name.contains('(') || ALIASES.contains(&name.as_str())
        })
    };
    let name = with_texts(&raw.sql, dialect, compared)?;
    let what = format!(
        "it compares data_type with '{name}', which the catalogue never shows, so the guard always says the same"
    );
    Some((raw.line, what))
}

/// The literals that a comparison's right side is: one, or a list after IN.
fn literals(tokens: &[Token<'_>], dialect: Dialect) -> Vec<String> {
    let compares = ["=", "<", ">", "!", "<>", "NOT", "IN", "(", ",", "IS", "DISTINCT", "FROM", "LIKE"];
    let side = tokens
        .iter()
        .take(40)
        .take_while(|token| token.kind == Kind::Text || compares.iter().any(|mark| token.is(mark)));
    side.filter_map(|token| token.content(dialect)).collect()
}

/// STATISTICS asked for a column where a column, not an index, is changed.
fn statistics(raws: &[Raw]) -> Vec<(usize, String)> {
    let dialect = Dialect::Mysql;
    let has = |tokens: &[Token<'_>], word: &str| tokens.iter().any(|token| token.is(word));
    let asks = |raw: &&Raw| {
        let asks = |tokens: &[Token<'_>]| {
            let column =
                has(tokens, "STATISTICS") && has(tokens, "COLUMN_NAME") && !has(tokens, "INDEX_NAME");
            column.then_some(())
        };
        with_texts(&raw.sql, dialect, asks).is_some()
    };
    let any = |sql: &str, test: fn(&[Token<'_>]) -> bool| {
        with_texts(sql, dialect, |tokens| test(tokens).then_some(())).is_some()
    };
    let changes_column = raws.iter().any(|raw| any(&raw.sql, column_change));
    let changes_index = raws.iter().any(|raw| any(&raw.sql, index_change));
    let wrong = |raw: &&Raw| {
        let (column, index) = (any(&raw.sql, column_change), any(&raw.sql, index_change));
        // A count that is kept in a variable is used further down.
        if column || index { column } else { changes_column && !changes_index }
    };
    let what = "it looks for a column in INFORMATION_SCHEMA.STATISTICS, which lists only indexed ones, so the change may silently not run";
    raws.iter().filter(asks).filter(wrong).map(|raw| (raw.line, what.to_owned())).collect()
}

fn column_change(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|two| {
        let verb = ["ADD", "DROP", "MODIFY", "CHANGE", "RENAME"].iter().any(|word| two[0].is(word));
        (verb && two[1].is("COLUMN")) || (two[0].is("MODIFY") && two[1].name().is_some())
    })
}

fn index_change(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|two| {
        ["CREATE", "DROP", "ADD", "UNIQUE", "RENAME"].iter().any(|word| two[0].is(word))
            && ["INDEX", "KEY"].iter().any(|word| two[1].is(word))
    })
}
