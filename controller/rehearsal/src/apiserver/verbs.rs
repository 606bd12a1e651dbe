//! What each verb does to the store. Pure but for the store.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Inner,
    admission::{
        admit, check_declared, check_preconditions, check_type, drop_managed, finalizers, moves_generation,
        same, settle,
    },
    discovery,
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

/// Puts an object back as another server held it. What the present schema does not know is dropped, and what it refuses
/// is refused.
pub(super) fn restore(kinds: &Kinds, store: &mut Store, mut object: Value) -> Result<Arc<Stored>, Failure> {
    let id = kinds.of_object(&object).ok_or_else(Failure::no_such_path)?;
    let query = Query::default();
    let say = Say { verb: Verb::Create, user: "", manager: "", media: "", query: &query, body: &[] };
    admit(&kinds.at(id), &say, &mut object, None)?;
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
