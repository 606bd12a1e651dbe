//! Who owns which field (`metadata.managedFields`), and server-side apply on it. Pure.
//!
//! Ownership is kept by leaves: scalars, empty maps, atomic lists, items of sets, and fields of items of lists that are maps. The marks `.` that
//! the real server adds for maps themselves are not written, for nobody's decision depends on them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{failure::Failure, kinds::Kind};

/// Fields of the metadata that nobody owns.
const UNOWNED: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// A path: `f:spec`, `f:containers`, `k:{"name":"app"}`, ...; `v:"..."` is an item of a set.
type Path = Vec<String>;
type Leaves = BTreeSet<Path>;

/// One manager's share.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    manager: String,
    applied: bool,
    subresource: String,
    time: String,
    leaves: Leaves,
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) manager: &'a str,
    pub(super) subresource: &'a str,
    pub(super) time: &'a str,
}

/// Notes in `new` that `writer` changed what differs from `old`.
pub(super) fn updated(kind: &Kind, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
    let none = Value::Null;
    let (before, after) = (leaves(kind, old.unwrap_or(&none)), leaves(kind, new));
    let changed: Leaves = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    let gone: Leaves = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
    let mut shares = read(old.unwrap_or(&none));
    for share in &mut shares {
        share.leaves.retain(|path| !changed.contains(path) && !gone.contains(path));
    }
    take(&mut shares, writer, false, changed, false);
    write(new, &shares);
}

/// Takes a field from whoever owns it; `pointer` is a JSON pointer.
pub(super) fn release(object: &mut Value, pointer: &str) {
    let path: Path = pointer.split('/').skip(1).map(|name| format!("f:{name}")).collect();
    let mut shares = read(object);
    for share in &mut shares {
        share.leaves.remove(&path);
    }
    shares.retain(|share| !share.leaves.is_empty());
    write(object, &shares);
}

/// Applies `intent` over `old`, as `writer`'s whole opinion (server-side apply).
pub(super) fn apply(
    kind: &Kind,
    old: Option<&Value>,
    intent: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Failure> {
    let none = Value::Null;
    let mut shares = read(old.unwrap_or(&none));
    let (live, wanted) = (leaves(kind, old.unwrap_or(&none)), leaves(kind, intent));
    let is_mine = |share: &Share| is(share, writer, true);
    let others = |path: &Path| {
        let owners = shares.iter().filter(|share| !is_mine(share) && share.leaves.contains(path));
        owners.map(|share| share.manager.clone()).collect::<Vec<_>>()
    };
    let contested: Vec<(&Path, String)> = wanted
        .iter()
        .filter(|(path, value)| live.get(*path) != Some(*value))
        .flat_map(|(path, _)| others(path).into_iter().map(move |owner| (path, owner)))
        .collect();
    if !contested.is_empty() && !force {
        let causes = contested.iter().map(|(path, owner)| (dotted(path), format!("conflict with {owner:?}")));
        let causes: Vec<_> = causes.collect();
        let message = format!("Apply failed with {} conflicts", causes.len());
        return Err(Failure { causes, ..Failure::new(409, "Conflict", message) });
    }
    let lost: Leaves = contested.into_iter().map(|(path, _)| path.clone()).collect();
    let mut object = old.cloned().unwrap_or_else(|| json!({}));
    for field in ["apiVersion", "kind"] {
        object[field] = intent[field].clone();
    }
    let before = shares.iter().find(|share| is_mine(share)).map(|share| share.leaves.clone());
    for path in before.unwrap_or_default() {
        if !wanted.contains_key(&path) && others(&path).is_empty() {
            erase(&mut object, &path);
        }
    }
    for (path, value) in &wanted {
        set(&mut object, path, value);
    }
    for share in shares.iter_mut().filter(|share| !is(share, writer, true)) {
        share.leaves.retain(|path| !lost.contains(path));
    }
    take(&mut shares, writer, true, wanted.into_keys().collect(), true);
    write(&mut object, &shares);
    Ok(object)
}

fn is(share: &Share, writer: Writer<'_>, applied: bool) -> bool {
    share.manager == writer.manager && share.applied == applied && share.subresource == writer.subresource
}

/// Gives leaves to a writer: beside what it has, or instead.
fn take(shares: &mut Vec<Share>, writer: Writer<'_>, applied: bool, leaves: Leaves, instead: bool) {
    if !leaves.is_empty() {
        match shares.iter_mut().find(|share| is(share, writer, applied)) {
            Some(share) => {
                if instead {
                    share.leaves.clear();
                }
                share.leaves.extend(leaves);
                writer.time.clone_into(&mut share.time);
            }
            None => shares.push(Share {
                manager: writer.manager.to_owned(),
                applied,
                subresource: writer.subresource.to_owned(),
                time: writer.time.to_owned(),
                leaves,
            }),
        }
    }
    shares.retain(|share| !share.leaves.is_empty());
}

/// The leaves of an object and their values.
fn leaves(kind: &Kind, object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    let Value::Object(fields) = object else { return found };
    for (name, value) in fields {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if !UNOWNED.contains(&name.as_str()) {
                        descend(kind, vec!["f:metadata".into(), format!("f:{name}")], "", value, &mut found);
                    }
                }
            }
            _ => descend(kind, vec![format!("f:{name}")], name, value, &mut found),
        }
    }
    found
}

fn descend(kind: &Kind, path: Path, dots: &str, value: &Value, found: &mut BTreeMap<Path, Value>) {
    let keys = kind.list_keys.iter().find(|(list, _)| *list == dots).map(|(_, keys)| *keys);
    let is_set = path == ["f:metadata", "f:finalizers"];
    match (value, keys) {
        (Value::Array(items), _) if is_set && !items.is_empty() => {
            for item in items {
                let mut path = path.clone();
                path.push(format!("v:{item}"));
                found.insert(path, item.clone());
            }
        }
        (Value::Object(fields), _) if !fields.is_empty() => {
            for (name, value) in fields {
                let (mut path, dots) = (path.clone(), format!("{dots}.{name}"));
                path.push(format!("f:{name}"));
                descend(kind, path, &dots, value, found);
            }
        }
        (Value::Array(items), Some(keys)) if !items.is_empty() => {
            for item in items {
                let key: Map<String, Value> =
                    keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect();
                let mut path = path.clone();
                path.push(format!("k:{}", Value::Object(key)));
                descend(kind, path, dots, item, found);
            }
        }
        (Value::Null, _) if !kind.custom => {}
        _ => {
            found.insert(path, value.clone());
        }
    }
}

/// The place of a path in an object, made where it is missing.
fn place<'a>(object: &'a mut Value, path: &[String]) -> &'a mut Value {
    let mut at = object;
    for step in path {
        at = match step.split_at(2) {
            ("v:", item) => {
                let item: Value = serde_json::from_str(item).unwrap_or_default();
                if !at.is_array() {
                    *at = json!([]);
                }
                let Value::Array(items) = at else { return at };
                let index = items.iter().position(|other| *other == item).unwrap_or_else(|| {
                    items.push(item);
                    items.len() - 1
                });
                &mut items[index]
            }
            ("k:", key) => {
                let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                if !at.is_array() {
                    *at = json!([]);
                }
                let Value::Array(items) = at else { return at };
                let fits = |item: &Value| key.iter().all(|(name, value)| item.get(name) == Some(value));
                let index = items.iter().position(fits).unwrap_or_else(|| {
                    items.push(Value::Object(key.clone()));
                    items.len() - 1
                });
                &mut items[index]
            }
            (_, name) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[name]
            }
        };
    }
    at
}

fn set(object: &mut Value, path: &[String], value: &Value) {
    *place(object, path) = value.clone();
}

fn erase(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    match (place(object, parents), last.split_at(2)) {
        (Value::Object(fields), ("f:", name)) => drop(fields.remove(name)),
        (Value::Array(items), ("v:", item)) => {
            let item: Value = serde_json::from_str(item).unwrap_or_default();
            items.retain(|other| *other != item);
        }
        _ => {}
    }
}

fn dotted(path: &[String]) -> String {
    path.iter().fold(String::new(), |text, step| match step.split_at(2) {
        ("k:", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let keys: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{text}[{}]", keys.join(","))
        }
        (_, name) => format!("{text}.{name}"),
    })
}

fn read(object: &Value) -> Vec<Share> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let mut leaves = Leaves::new();
            collect(&entry["fieldsV1"], &mut Vec::new(), &mut leaves);
            Share {
                manager: text(entry, "manager"),
                applied: entry["operation"] == "Apply",
                subresource: text(entry, "subresource"),
                time: text(entry, "time"),
                leaves,
            }
        })
        .collect()
}

fn collect(fields: &Value, path: &mut Path, leaves: &mut Leaves) {
    match fields.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (step, below) in fields.iter().filter(|(step, _)| *step != ".") {
                path.push(step.clone());
                collect(below, path, leaves);
                path.pop();
            }
        }
        _ => {
            leaves.insert(path.clone());
        }
    }
}

fn write(object: &mut Value, shares: &[Share]) {
    let (api_version, time) = (object["apiVersion"].clone(), "time");
    let entries: Vec<Value> = shares
        .iter()
        .map(|share| {
            let mut fields = json!({});
            for path in &share.leaves {
                let mut at = &mut fields;
                for step in path {
                    at = &mut at[step.as_str()];
                    if at.is_null() {
                        *at = json!({});
                    }
                }
            }
            let mut entry = json!({
                "manager": share.manager, "operation": if share.applied { "Apply" } else { "Update" },
                "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": fields,
            });
            entry[time] = Value::from(share.time.as_str());
            if !share.subresource.is_empty() {
                entry["subresource"] = Value::from(share.subresource.as_str());
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    } else {
        object["metadata"]["managedFields"] = Value::from(entries);
    }
}
