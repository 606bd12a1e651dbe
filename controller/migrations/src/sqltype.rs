//! A column type's name and arguments, whatever it is spelled like. Pure.

/// A type's name without its arguments, and the arguments.
pub(crate) fn split_type(kind: &str) -> (String, Vec<u64>) {
    let (head, tail) = kind.split_once('(').unwrap_or((kind, ""));
    let (arguments, after) = tail.split_once(')').unwrap_or((tail, ""));
    let numbers = arguments.split(',').filter_map(|one| one.trim().parse().ok()).collect();
    let name = match format!("{}{after}", head.trim()).as_str() {
        "character varying" => "varchar".into(),
        "int" | "int4" => "integer".into(),
        "int8" => "bigint".into(),
        "bool" => "boolean".into(),
        "decimal" => "numeric".into(),
        "timestamp without time zone" => "timestamp".into(),
        "timestamptz" => "timestamp with time zone".into(),
        "bit varying" => "varbit".into(),
        other => other.to_owned(),
    };
    (name, numbers)
}
