//! How a command ends badly: an exit code, and words that say what to do. [`explain`] is pure.

use std::fmt;

use kube::core::Status;

/// Refused by the controller, or a version that failed.
pub const REFUSED: u8 = 1;
/// Wrong usage, or the API server said no or nothing.
pub const USAGE: u8 = 2;
/// Not decided in time.
pub const UNDECIDED: u8 = 3;

/// Why a command ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What happened and what to do; empty where there is nobody left to tell.
    pub message: String,
}

impl Failure {
    /// Refused by the controller, or a version that failed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { code: REFUSED, message: message.into() }
    }

    /// Wrong usage, or the API server said no or nothing.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// Not decided in time.
    pub fn undecided(message: impl Into<String>) -> Self {
        Self { code: UNDECIDED, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What was being asked of the API server when it failed.
#[derive(Debug, Clone, Copy)]
pub struct Doing<'a> {
    /// The API's verb: `get`, `list`, `create`.
    pub verb: &'a str,
    /// The resource as `kubectl auth can-i` takes it: `rollouts.breakwater.dev`.
    pub resource: &'a str,
    /// The namespace, where there is one.
    pub namespace: Option<&'a str>,
}

/// Turns an API error into words that say what to do.
pub fn explain(error: &kube::Error, doing: Doing<'_>) -> Failure {
    let Doing { verb, resource, .. } = doing;
    let place = doing.namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    Failure::usage(match error {
        kube::Error::Api(status) if is_missing_kind(status) => missing_kind(resource),
        kube::Error::Api(status) if status.code == 401 => {
            format!("the API server does not know you ({}): log in again", status.message)
        }
        kube::Error::Api(status) if status.code == 403 => forbidden(status, doing),
        kube::Error::Api(status) if status.code == 422 => {
            format!("the API server refuses it as invalid: {}", status.message)
        }
        kube::Error::Api(status) => format!("cannot {verb} {resource}{place}: {}", status.message),
        kube::Error::Auth(error) => format!("cannot log in: {error}"),
        error => {
            let causes = causes(error);
            format!("cannot {verb} {resource}{place}: {causes}; is the cluster of this context reachable?")
        }
    })
}

/// True where the server has no such kind at all, as against no such object.
pub fn is_missing_kind(status: &Status) -> bool {
    let names_an_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    status.code == 404 && !names_an_object
}

fn missing_kind(resource: &str) -> String {
    if !resource.ends_with("breakwater.dev") {
        return format!("the cluster serves no {resource}: is its operator, with its CRDs, installed?");
    }
    format!(
        "the cluster serves no {resource}: Breakwater's CRDs are not installed, or this is another cluster.\n\
         Check the context with `kubectl config current-context`; install the chart, which brings the CRDs, with\n  \
         helm upgrade --install breakwater charts/breakwater --namespace breakwater-system --create-namespace"
    )
}

fn forbidden(status: &Status, doing: Doing<'_>) -> String {
    let Doing { verb, resource, namespace } = doing;
    let flag = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!(
        "forbidden: {}\nYou need the verb {verb} on {resource}; check with: kubectl auth can-i {verb} {resource}{flag}",
        status.message
    )
}

/// The error and its causes, each once; kube's own texts stop at the first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    const DOING: Doing<'_> =
        Doing { verb: "get", resource: "rollouts.breakwater.dev", namespace: Some("ops") };

    #[test]
    fn a_missing_crd_says_how_to_install_it() {
        insta::assert_snapshot!(explain(&api(404, "404 page not found\n"), DOING));
    }

    #[test]
    fn forbidden_names_the_verb_and_the_resource() {
        let said = r#"rollouts.breakwater.dev "app" is forbidden: User "bob" cannot get resource "rollouts""#;
        insta::assert_snapshot!(explain(&api(403, said), DOING));
    }
}
