//! What each verb does to the store. Pure but for the store.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Inner, discovery,
    failure::Failure,
    kinds::{Generation, Kind, Kinds, Scope},
    merge,
    object::{Stored, text},
    owners::{self, Writer},
    request::{Query, Route, Subresource, Target, Verb},
    scale,
    selector::Selector,
    store::{Change, Store, Write},
    watch::{self, Watch},
};

/// What a request says beside its path.
pub(super) struct Say<'a> {
    pub(super) verb: Verb,
    pub(super) user: &'a str,
    pub(super) manager: &'a str,
    pub(super) media: &'a str,
    pub(super) query: &'a Query,
    pub(super) body: &'a [u8],
}

/// An answer.
#[derive(Debug)]
pub(super) enum Done {
    Text { code: u16, text: String },
    Watch(Watch),
}

fn done(text: impl Into<String>) -> Done {
    Done::Text { code: 200, text: text.into() }
}

/// Performs a request.
pub(super) fn perform(
    inner: &mut Inner,
    route: &Route,
    path: &str,
    say: &Say<'_>,
    now: Timestamp,
) -> Result<Done, Failure> {
    let target = match route {
        Route::Discovery => return Ok(done(discovery::groups(&inner.kinds, path)?.to_string())),
        Route::Resources { group, version } => {
            return Ok(done(discovery::resources(&inner.kinds, group, version)?.to_string()));
        }
        Route::Objects(target) => target,
    };
    let kind = inner.kinds.at(target.kind);
    if let (Some(Subresource::Scale), Some(paths)) = (target.subresource, &kind.scale) {
        return resize(inner, &kind, paths, target, say, now);
    }
    match say.verb {
        Verb::Get => Ok(done(existing(&inner.store, &kind, target)?.json.clone())),
        Verb::List => list(inner, &kind, target, say.query),
        Verb::Watch => Ok(Done::Watch(watch::open(inner, target, say.query)?)),
        Verb::Create => {
            let stored = create(inner, &kind, target, say, body(say.body)?, now)?;
            Ok(Done::Text { code: 201, text: stored.json.clone() })
        }
        Verb::Update => {
            let old = existing(&inner.store, &kind, target)?;
            let stored = replace(inner, &kind, target, say, &old, body(say.body)?, now)?;
            Ok(done(stored.json.clone()))
        }
        Verb::Patch => patch(inner, &kind, target, say, now),
        Verb::Delete => delete(inner, &kind, target, say, now),
        Verb::Discover => Err(Failure::no_such_path()),
    }
}

/// Shows or changes an object's size.
fn resize(
    inner: &mut Inner,
    kind: &Kind,
    paths: &scale::Paths,
    target: &Target,
    say: &Say<'_>,
    now: Timestamp,
) -> Result<Done, Failure> {
    let old = existing(&inner.store, kind, target)?;
    let mut scale = scale::of(paths, &old);
    match say.verb {
        Verb::Get => {
            scale::check(kind, paths, &old)?;
            return Ok(done(scale.to_string()));
        }
        Verb::Update => scale = body(say.body)?,
        Verb::Patch => patched(&mut scale, say)?,
        Verb::List | Verb::Watch | Verb::Create | Verb::Delete | Verb::Discover => {
            return Err(Failure::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on a scale",
            ));
        }
    }
    if kind.custom {
        check_preconditions(kind, &old, &scale, say.verb)?; // built-in kinds look at the size first
    }
    let new = scale::into_object(kind, paths, &old, &scale)?;
    let stored = replace(inner, kind, target, say, &old, new, now)?;
    Ok(done(scale::of(paths, &stored).to_string()))
}

/// Selects by the query, and by the name where a watch names one.
pub(super) fn selector(target: &Target, query: &Query) -> Result<Selector, Failure> {
    let mut fields = query.text("fieldSelector").to_owned();
    if !target.name.is_empty() {
        fields = format!("metadata.name={}", target.name);
    }
    Selector::parse(query.text("labelSelector"), &fields)
}

fn body(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|why| Failure::bad_request(format!("the object provided is unrecognized: {why}")))
}

fn existing(store: &Store, kind: &Kind, target: &Target) -> Result<Arc<Stored>, Failure> {
    let found = store.get(target.kind, &target.namespace, &target.name);
    found.cloned().ok_or_else(|| Failure::not_found(&kind.resource(), &target.name))
}

fn list(inner: &mut Inner, kind: &Kind, target: &Target, query: &Query) -> Result<Done, Failure> {
    let selector = selector(target, query)?;
    let token = query.text("continue");
    let (version, all): (u64, Arc<[Arc<Stored>]>) = if token.is_empty() {
        let store = &inner.store;
        let here =
            |stored: &&Arc<Stored>| target.namespace.is_empty() || stored.namespace() == target.namespace;
        let all = store.of_kind(target.kind).filter(here).filter(|stored| selector.matches(&stored.value));
        (store.version(), all.cloned().collect())
    } else {
        let parsed = token.split_once('-').and_then(|(v, t)| Some((v.parse().ok()?, t.parse().ok()?)));
        let (version, token): (u64, u64) =
            parsed.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        let expired = || {
            let why = "The provided continue parameter is too old to display a consistent list result.";
            Failure::new(410, "Expired", why)
        };
        (version, inner.store.page(token).ok_or_else(expired)?)
    };
    let limit =
        query.number("limit").filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok());
    let (page, rest) = all.split_at(limit.unwrap_or(all.len()).min(all.len()));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        let token = inner.store.keep_page(version, rest.into());
        metadata["continue"] = Value::from(format!("{version}-{token}"));
        metadata["remainingItemCount"] = Value::from(rest.len());
    }
    let api_version = kind.api_version();
    let items: Vec<String> = page.iter().map(|stored| item(kind, stored)).collect();
    Ok(done(format!(
        r#"{{"kind":"{}List","apiVersion":"{api_version}","metadata":{metadata},"items":[{}]}}"#,
        kind.kind,
        items.join(",")
    )))
}

/// An object within a list: of a built-in kind it does not say what it is, for that is the list's to say.
fn item(kind: &Kind, stored: &Stored) -> String {
    if kind.custom {
        return stored.json.clone();
    }
    let named = format!(r#"{{"apiVersion":"{}","kind":"{}","#, kind.api_version(), kind.kind);
    if let Some(rest) = stored.json.strip_prefix(&named) {
        return format!("{{{rest}");
    }
    let mut value = stored.value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| name != "apiVersion" && name != "kind");
    }
    value.to_string()
}

/// Creates an object with its status, as set-up does.
pub(super) fn put(
    kinds: &Kinds,
    store: &mut Store,
    mut object: Value,
    now: Timestamp,
) -> Result<Arc<Stored>, Failure> {
    let id = kinds.of_object(&object).ok_or_else(Failure::no_such_path)?;
    let kind = kinds.at(id);
    let (namespace, name) = (text(&object, "namespace").to_owned(), text(&object, "name").to_owned());
    if store.get(id, &namespace, &name).is_some() {
        return Err(already_there(&kind, &name));
    }
    let status = object.get("status").cloned();
    birth(&kind, store, &mut object, now);
    if let Some(status) = status {
        object["status"] = status;
    }
    let query = Query::default();
    let say = Say { verb: Verb::Create, user: "", manager: "", media: "", query: &query, body: &[] };
    admit(&kind, &say, &mut object, None)?;
    let version = store.next_version();
    Ok(store.set(id, Stored::new(object, version)))
}

fn already_there(kind: &Kind, name: &str) -> Failure {
    Failure::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.resource()))
}

/// Gives a new object what the server gives.
fn birth(kind: &Kind, store: &mut Store, object: &mut Value, now: Timestamp) {
    if kind.has_status
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    let uid = store.next_uid();
    let metadata = &mut object["metadata"];
    metadata["uid"] = Value::from(uid);
    metadata["creationTimestamp"] = Value::from(seconds(now));
    if kind.generation != Generation::None {
        metadata["generation"] = Value::from(1);
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("deletionTimestamp");
    }
}

/// As the API writes times: whole seconds.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn create(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    mut object: Value,
    now: Timestamp,
) -> Result<Arc<Stored>, Failure> {
    check_type(kind, &object)?;
    if kind.scope == Scope::Namespaced {
        let namespaces = inner.kinds.named("Namespace");
        if namespaces.is_none_or(|id| inner.store.get(id, "", &target.namespace).is_none()) {
            return Err(Failure::not_found("namespaces", &target.namespace));
        }
        let own = text(&object, "namespace");
        if !own.is_empty() && own != target.namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object["metadata"]["namespace"] = Value::from(target.namespace.as_str());
    }
    if text(&object, "name").is_empty() {
        let stem = text(&object, "generateName").to_owned();
        if stem.is_empty() {
            let why = "Required value: name or generateName is required".to_owned();
            return Err(Failure::invalid(&kind.qualified(), "", vec![("metadata.name".into(), why)]));
        }
        object["metadata"]["name"] = Value::from(format!("{stem}{}", inner.store.next_suffix()));
    }
    let name = text(&object, "name").to_owned();
    if !text(&object, "resourceVersion").is_empty() {
        return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
    }
    birth(kind, &mut inner.store, &mut object, now);
    admit(kind, say, &mut object, None)?;
    if inner.store.get(target.kind, &target.namespace, &name).is_some() {
        return Err(already_there(kind, &name));
    }
    drop_managed(&mut object);
    let time = seconds(now);
    let writer = Writer { manager: say.manager, subresource: "", time: &time };
    owners::updated(kind, None, &mut object, writer);
    let version = inner.store.next_version();
    let stored = inner.store.set(target.kind, Stored::new(object, version));
    note(&mut inner.store, kind, target, say, now, None, Some(&stored));
    Ok(stored)
}

fn check_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let (api_version, name) = (object["apiVersion"].as_str(), object["kind"].as_str());
    if !object.is_object() || name.is_some_and(|name| name != kind.kind) {
        return Err(Failure::bad_request(format!(
            "the object provided is no {} ({})",
            kind.kind,
            name.unwrap_or("no kind")
        )));
    }
    if api_version.is_some_and(|found| found != kind.api_version()) {
        return Err(Failure::bad_request(
            "the API version in the data does not match the expected API version",
        ));
    }
    Ok(())
}

/// Prunes, fills in and checks an object by its kind's schema; what is unknown is an error where the client asks for it.
fn admit(kind: &Kind, say: &Say<'_>, new: &mut Value, old: Option<&Value>) -> Result<(), Failure> {
    drop_empty(&mut new["metadata"], &["labels", "annotations", "finalizers", "ownerReferences"]);
    if !kind.custom {
        drop_empty(new, &["data", "binaryData"]);
    }
    let Some(schema) = &kind.schema else { return Ok(()) };
    let mut unknown = Vec::new();
    schema.prune(new, "", &mut unknown);
    schema.fill(new);
    if !unknown.is_empty() && say.query.text("fieldValidation") == "Strict" {
        let fields: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        return Err(Failure::bad_request(format!("strict decoding error: {}", fields.join(", "))));
    }
    let causes = schema.check(new, old, "");
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(&kind.qualified(), text(new, "name"), causes))
    }
}

/// Go's types with `omitempty` do not say what is empty.
fn drop_empty(object: &mut Value, fields: &[&str]) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, value| !fields.contains(&name.as_str()) || !is_empty(value));
    }
}

fn drop_managed(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// Puts `new` in the place of `old`, as far as the path may write it.
fn replace(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    old: &Arc<Stored>,
    mut new: Value,
    now: Timestamp,
) -> Result<Arc<Stored>, Failure> {
    check_type(kind, &new)?;
    check_preconditions(kind, old, &new, say.verb)?;
    let says_status = target.subresource == Some(Subresource::Status);
    let mut claimed = (says_status && kind.custom).then(|| new.clone());
    settle(kind, target.subresource, &old.value, &mut new);
    admit(kind, say, &mut new, Some(&old.value))?;
    if new["metadata"].get("managedFields").is_some() || say.verb == Verb::Update {
        new["metadata"]["managedFields"] = old.value["metadata"]["managedFields"].clone();
    }
    let time = seconds(now);
    let subresource = target.subresource.map_or("", Subresource::as_str);
    let writer = Writer { manager: say.manager, subresource, time: &time };
    match &mut claimed {
        // Who writes a custom object's status owns the metadata that was sent along, and changes nothing of it.
        Some(claimed) => {
            claimed["spec"] = new["spec"].clone();
            claimed["status"] = new["status"].clone();
            owners::updated(kind, Some(&old.value), claimed, writer);
            new["metadata"]["managedFields"] = claimed["metadata"]["managedFields"].clone();
        }
        None => owners::updated(kind, Some(&old.value), &mut new, writer),
    }
    let scale = kind.scale.as_ref().filter(|_| target.subresource == Some(Subresource::Scale));
    if let Some(paths) = scale.filter(|paths| !scale::is_owned(kind, paths, &old.value)) {
        owners::release(&mut new, &paths.spec);
    }
    commit(inner, kind, target, say, old, new, now)
}

/// A resourceVersion and a UID in what is sent are preconditions.
fn check_preconditions(kind: &Kind, old: &Stored, new: &Value, verb: Verb) -> Result<(), Failure> {
    let name = text(new, "name");
    if !name.is_empty() && name != old.name() {
        let why =
            format!("the name of the object ({name}) does not match the name on the URL ({})", old.name());
        return Err(Failure::bad_request(why));
    }
    let (uid, version) = (text(new, "uid"), text(new, "resourceVersion"));
    if !uid.is_empty() && uid != old.uid() {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(Failure::conflict(&kind.resource(), old.name(), &why));
    }
    if version.is_empty() && !kind.unconditional && verb == Verb::Update {
        let why = "Invalid value: 0x0: must be specified for an update".to_owned();
        return Err(Failure::invalid(
            &kind.qualified(),
            old.name(),
            vec![("metadata.resourceVersion".into(), why)],
        ));
    }
    if !version.is_empty() && version != "0" && version != old.version.to_string() {
        return Err(Failure::outdated(&kind.resource(), old.name()));
    }
    Ok(())
}

/// Keeps what the path may not write: the status beside it, or all but the status; identity always.
fn settle(kind: &Kind, subresource: Option<Subresource>, old: &Value, new: &mut Value) {
    let keep = |new: &mut Value, field: &str| match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => {
            if let Some(fields) = new.as_object_mut() {
                fields.remove(field);
            }
        }
    };
    match subresource {
        Some(Subresource::Status) => {
            let status = new.get("status").cloned();
            *new = old.clone();
            match (status, new.as_object_mut()) {
                (Some(status), _) => new["status"] = status,
                (None, Some(fields)) => drop(fields.remove("status")),
                (None, None) => {}
            }
        }
        None | Some(Subresource::Scale) if kind.has_status => keep(new, "status"),
        None | Some(Subresource::Scale) => {}
    }
    for field in ["apiVersion", "kind"] {
        keep(new, field);
    }
    let metadata = &old["metadata"];
    for field in [
        "uid",
        "name",
        "namespace",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        match (metadata.get(field), new["metadata"].as_object_mut()) {
            (Some(value), _) => new["metadata"][field] = value.clone(),
            (None, Some(fields)) => drop(fields.remove(field)),
            (None, None) => {}
        }
    }
    new["metadata"]["resourceVersion"] = metadata["resourceVersion"].clone();
}

/// Stores `new` unless it says what `old` says.
fn commit(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    old: &Arc<Stored>,
    mut new: Value,
    now: Timestamp,
) -> Result<Arc<Stored>, Failure> {
    if same(&old.value, &new) {
        return Ok(old.clone());
    }
    if moves_generation(kind, &old.value, &new) {
        let generation = old.value["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        new["metadata"]["generation"] = Value::from(generation);
    }
    let released = new["metadata"].get("deletionTimestamp").is_some() && finalizers(&new) == 0;
    let stored = if released {
        let gone = bury(inner, target.kind, &target.namespace, &target.name);
        let gone = gone.ok_or_else(|| Failure::not_found(&kind.resource(), &target.name))?;
        Stored::new(new, gone.version).into()
    } else {
        let version = inner.store.next_version();
        inner.store.set(target.kind, Stored::new(new, version))
    };
    note(&mut inner.store, kind, target, say, now, Some(old), (!released).then_some(&stored));
    Ok(stored)
}

/// Whether two objects differ in nothing but when somebody wrote.
fn same(old: &Value, new: &Value) -> bool {
    let but_owners = |object: &Value| {
        let mut object = object.clone();
        drop_managed(&mut object);
        object
    };
    let entries = |object: &Value| {
        let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let but_time = |entry: &Value| {
            let mut entry = entry.clone();
            entry["time"] = Value::Null;
            entry
        };
        list.map(|list| list.iter().map(but_time).collect::<Vec<_>>())
    };
    but_owners(old) == but_owners(new) && entries(old) == entries(new)
}

fn moves_generation(kind: &Kind, old: &Value, new: &Value) -> bool {
    let outside = |object: &Value| {
        let mut fields: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
        fields.remove("metadata");
        if kind.has_status {
            fields.remove("status");
        }
        fields
    };
    let annotations = |object: &Value| object["metadata"].get("annotations").cloned();
    match kind.generation {
        Generation::None => false,
        Generation::Spec => outside(old) != outside(new),
        Generation::SpecAndAnnotations => {
            outside(old) != outside(new) || annotations(old) != annotations(new)
        }
    }
}

fn finalizers(object: &Value) -> usize {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Changes an object in place as `user` would by an update; false where there is none.
pub(super) fn modify(
    inner: &mut Inner,
    target: &Target,
    user: &str,
    now: Timestamp,
    change: impl FnOnce(&mut Value),
) -> bool {
    let kind = inner.kinds.at(target.kind);
    let Ok(old) = existing(&inner.store, &kind, target) else { return false };
    let query = Query::default();
    let say = Say { verb: Verb::Update, user, manager: user, media: "", query: &query, body: &[] };
    let mut new = old.value.clone();
    change(&mut new);
    replace(inner, &kind, target, &say, &old, new, now).is_ok()
}

fn patch(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    now: Timestamp,
) -> Result<Done, Failure> {
    if media(say) == "application/apply-patch+yaml" {
        return apply(inner, kind, target, say, now);
    }
    let old = existing(&inner.store, kind, target)?;
    let mut new = old.value.clone();
    patched(&mut new, say)?;
    let stored = replace(inner, kind, target, say, &old, new, now)?;
    Ok(done(stored.json.clone()))
}

/// Changes an object as a merge patch or a JSON patch says.
fn patched(object: &mut Value, say: &Say<'_>) -> Result<(), Failure> {
    let change = body(say.body)?;
    match media(say) {
        "application/merge-patch+json" if change.is_object() => merge::merge(object, &change),
        "application/merge-patch+json" => return Err(Failure::bad_request("the patch is no object")),
        "application/json-patch+json" => merge::json(object, &change)?,
        _ => {
            let why = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(Failure::new(415, "UnsupportedMediaType", why));
        }
    }
    Ok(())
}

fn media<'a>(say: &Say<'a>) -> &'a str {
    say.media.split(';').next().unwrap_or_default().trim()
}

/// Who owns what is not declared cannot be told: that is an error of the server, seen on 1.34.
fn check_declared(kind: &Kind, intent: &Value) -> Result<(), Failure> {
    let undeclared = kind.schema.as_ref().and_then(|schema| schema.undeclared(intent, ""));
    undeclared.map_or(Ok(()), |why| {
        Err(Failure::new(500, "", format!("failed to create typed patch object: {why}")))
    })
}

fn apply(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    now: Timestamp,
) -> Result<Done, Failure> {
    let intent = body(say.body)?;
    check_type(kind, &intent)?;
    check_declared(kind, &intent)?;
    let time = seconds(now);
    let subresource = target.subresource.map_or("", Subresource::as_str);
    let writer = Writer { manager: say.manager, subresource, time: &time };
    let force = say.query.is("force");
    let Some(old) = inner.store.get(target.kind, &target.namespace, &target.name).cloned() else {
        let mut object = owners::apply(kind, None, &intent, writer, force)?;
        object["metadata"]["name"] = Value::from(target.name.as_str());
        if kind.scope == Scope::Namespaced {
            object["metadata"]["namespace"] = Value::from(target.namespace.as_str());
        }
        birth(kind, &mut inner.store, &mut object, now);
        admit(kind, say, &mut object, None)?;
        let version = inner.store.next_version();
        let stored = inner.store.set(target.kind, Stored::new(object, version));
        note(&mut inner.store, kind, target, say, now, None, Some(&stored));
        return Ok(Done::Text { code: 201, text: stored.json.clone() });
    };
    check_preconditions(kind, &old, &intent, Verb::Patch)?;
    let mut new = owners::apply(kind, Some(&old.value), &intent, writer, force)?;
    settle(kind, target.subresource, &old.value, &mut new);
    admit(kind, say, &mut new, Some(&old.value))?;
    Ok(done(commit(inner, kind, target, say, &old, new, now)?.json.clone()))
}

fn delete(
    inner: &mut Inner,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    now: Timestamp,
) -> Result<Done, Failure> {
    let old = existing(&inner.store, kind, target)?;
    let options = if say.body.is_empty() { Value::Null } else { body(say.body)? };
    let wanted = |field: &str| options.pointer(&format!("/preconditions/{field}")).and_then(Value::as_str);
    if let Some(uid) = wanted("uid").filter(|uid| *uid != old.uid()) {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(Failure::conflict(&kind.resource(), &target.name, &why));
    }
    let version = old.version.to_string();
    if let Some(asked) = wanted("resourceVersion").filter(|asked| *asked != version) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {asked}, ResourceVersion in object meta: {version}"
        );
        return Err(Failure::conflict(&kind.resource(), &target.name, &why));
    }
    if finalizers(&old.value) > 0 {
        let mut new = old.value.clone();
        if new["metadata"].get("deletionTimestamp").is_none() {
            new["metadata"]["deletionTimestamp"] = Value::from(seconds(now));
            new["metadata"]["deletionGracePeriodSeconds"] = Value::from(0);
            if kind.generation != Generation::None {
                let generation = new["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
                new["metadata"]["generation"] = Value::from(generation);
            }
            let version = inner.store.next_version();
            let stored = inner.store.set(target.kind, Stored::new(new, version));
            note(&mut inner.store, kind, target, say, now, Some(&old), Some(&stored));
            return Ok(done(stored.json.clone()));
        }
        return Ok(done(old.json.clone()));
    }
    bury(inner, target.kind, &target.namespace, &target.name);
    note(&mut inner.store, kind, target, say, now, Some(&old), None);
    let details = json!({"name": target.name, "group": kind.group, "kind": kind.plural, "uid": old.uid()});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(done(status.to_string()))
}

/// Removes an object, and in the end what it owns, as the garbage collector would.
fn bury(inner: &mut Inner, kind: usize, namespace: &str, name: &str) -> Option<Arc<Stored>> {
    let gone = inner.store.remove(kind, namespace, name)?;
    for (kind, orphan) in inner.store.owned_by(gone.uid()) {
        bury(inner, kind, orphan.namespace(), orphan.name());
    }
    Some(gone)
}

fn note(
    store: &mut Store,
    kind: &Kind,
    target: &Target,
    say: &Say<'_>,
    at: Timestamp,
    before: Option<&Arc<Stored>>,
    after: Option<&Arc<Stored>>,
) {
    let change = match (before, after) {
        (None, _) => Change::Created,
        (Some(_), Some(_)) => Change::Changed,
        (Some(_), None) => Change::Removed,
    };
    store.note(say.user, &kind.kind, || Write {
        at,
        user: say.user.to_owned(),
        verb: say.verb,
        change,
        kind: kind.kind.clone(),
        subresource: target.subresource,
        before: before.map(|stored| stored.value.clone()),
        after: after.map(|stored| stored.value.clone()),
    });
}
