//! What a request asks for: its path and query, parsed. Pure.

use std::collections::BTreeMap;

use http::{Method, Uri};

use super::{
    failure::Failure,
    kinds::{KindId, Kinds, Scope},
};

/// What is done, in the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Follow changes.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change a part of one.
    Patch,
    /// Delete one.
    Delete,
    /// Ask what is served.
    Discover,
}

/// A part of an object with a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subresource {
    /// `status`
    Status,
    /// `scale`
    Scale,
}

impl Subresource {
    /// As paths and `managedFields` name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// A request about objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: KindId,
    /// Empty: all namespaces, or a cluster-wide kind.
    pub(super) namespace: String,
    /// Empty: the collection.
    pub(super) name: String,
    pub(super) subresource: Option<Subresource>,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/api`, `/apis`, `/apis/group`, `/version`.
    Discovery,
    /// `/api/v1`, `/apis/group/version`.
    Resources { group: String, version: String },
    /// Objects.
    Objects(Target),
}

/// Parses a path.
pub(super) fn route(kinds: &Kinds, path: &str) -> Result<Route, Failure> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api" | "apis" | "version"] | ["apis", _] => return Ok(Route::Discovery),
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Failure::no_such_path()),
    };
    let (namespace, rest) = match rest {
        [] => return Ok(Route::Resources { group: group.into(), version: version.into() }),
        // `/api/v1/namespaces/NAME` is a namespace, and only what follows is in it.
        ["namespaces", namespace, rest @ ..]
            if !rest.is_empty() && !["status", "scale"].contains(&rest[0]) =>
        {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", None),
        [plural, name] => (*plural, *name, None),
        [plural, name, "status"] => (*plural, *name, Some(Subresource::Status)),
        [plural, name, "scale"] => (*plural, *name, Some(Subresource::Scale)),
        _ => return Err(Failure::no_such_path()),
    };
    let kind = kinds.of_path(group, version, plural).ok_or_else(Failure::no_such_path)?;
    let known = kinds.at(kind);
    let fits = match known.scope {
        Scope::Namespaced => !namespace.is_empty() || name.is_empty(),
        Scope::Cluster => namespace.is_empty(),
    };
    let is_served = match subresource {
        None => true,
        Some(Subresource::Status) => known.has_status,
        Some(Subresource::Scale) => known.scale.is_some(),
    };
    if !fits || !is_served {
        return Err(Failure::no_such_path());
    }
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Ok(Route::Objects(Target { kind, namespace, name, subresource }))
}

/// The query's parameters, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    pub(super) fn is(&self, key: &str) -> bool {
        matches!(self.text(key), "true" | "1")
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.text(key).parse().ok()
    }
}

/// The verb of a request.
pub(super) fn verb(method: &Method, route: &Route, query: &Query) -> Option<Verb> {
    let Route::Objects(target) = route else { return Some(Verb::Discover) };
    Some(match (method.as_str(), target.name.is_empty()) {
        ("GET", _) if query.is("watch") => Verb::Watch,
        ("GET", true) => Verb::List,
        ("GET", false) => Verb::Get,
        ("POST", true) => Verb::Create,
        ("PUT", false) => Verb::Update,
        ("PATCH", false) => Verb::Patch,
        ("DELETE", false) => Verb::Delete,
        _ => return None,
    })
}
