//! The one table of what an answer means. Pure.

use std::time::Duration;

use kube::core::Status;

use super::{RETRY_AFTER_MAX, WriteError};

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The object is another than was read: read it again (R25). Nothing was committed.
    Conflict,
    /// There is no such object.
    Gone,
    /// Turned away before anything was done; later it may be taken.
    Busy {
        /// How long the server asked to wait, bounded.
        retry_after: Option<Duration>,
    },
    /// Turned away for good as it is: admission, validation, rights.
    Refused,
    /// It may or may not have been committed: read it again (R25).
    Unknown,
}

/// API servers answer a failed `test` of a JSON patch, or a path that is not there, with this and nothing else (seen on 1.34):
/// `NewGenericServerResponse` keeps the reason to itself.
const PATCH_DOES_NOT_APPLY: &str = "the server rejected our request due to an error in our request";
/// Longest message that is kept of an error, in characters; a refused patch quotes the whole object.
const MESSAGE_MAX: usize = 400;

/// What an error of kube's means for the write that met it.
pub fn classify(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => classify_status(status),
        // Never sent.
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => Class::Refused,
        // No token: nobody was asked.
        kube::Error::Auth(_) => Class::Busy { retry_after: None },
        // Broken connections, time-outs, truncated answers and whatever else kube may think of (its enum, not ours):
        // not knowing costs one read.
        _ => Class::Unknown,
    }
}

/// As [`classify`], for what a [`super::TenantApi`] returns.
pub(super) fn classify_write(error: &WriteError) -> Class {
    match error {
        WriteError::Api { source, .. } => classify(source),
        WriteError::TimedOut { .. } => Class::Unknown,
        WriteError::Unfit { .. } => Class::Refused,
    }
}

fn classify_status(status: &Status) -> Class {
    let asked =
        status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = asked.map(|seconds| Duration::from_secs(u64::from(seconds)).min(RETRY_AFTER_MAX));
    match status.code {
        404 | 410 => Class::Gone,
        409 => Class::Conflict,
        422 if is_failed_test(status) || is_other_uid(status) => Class::Conflict,
        // 401: an expired token is renewed by the client, and says nothing about this tenant.
        401 | 429 => Class::Busy { retry_after },
        // With a delay it is the API server itself that turned it away; without, any proxy after any commit.
        503 if retry_after.is_some() => Class::Busy { retry_after },
        // A Status in a stream may lack its code.
        0 | 500..=599 => Class::Unknown,
        _ => Class::Refused,
    }
}

/// Whether a JSON patch did not apply: a `test` failed, or the path it names is gone.
pub fn is_failed_test(status: &Status) -> bool {
    let caused = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    status.code == 422 && !caused && status.message.starts_with(PATCH_DOES_NOT_APPLY)
}

/// A merge patch with the uid of a predecessor (deleted and made again) tries to change an immutable field.
fn is_other_uid(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.field == "metadata.uid")
}

/// An error's message for people, its middle cut out if it is long: the end holds the reason.
pub(super) fn message(error: &WriteError) -> String {
    let whole = match error {
        WriteError::Api { source: kube::Error::Api(status), .. } if !status.message.is_empty() => {
            status.message.clone()
        }
        WriteError::Api { .. } | WriteError::TimedOut { .. } | WriteError::Unfit { .. } => error.to_string(),
    };
    let length = whole.chars().count();
    if length <= MESSAGE_MAX {
        return whole;
    }
    let head: String = whole.chars().take(MESSAGE_MAX / 2).collect();
    let tail: String = whole.chars().skip(length - MESSAGE_MAX / 2).collect();
    format!("{head} ... {tail}")
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn status(code: u16, message: &str, field: &str, retry_after_seconds: u32) -> kube::Error {
        let cause = StatusCause { reason: String::new(), message: String::new(), field: field.into() };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: if field.is_empty() { Vec::new() } else { vec![cause] },
            retry_after_seconds,
        };
        kube::Error::Api(Status::failure(message, "").with_code(code).with_details(details).boxed())
    }

    #[test]
    fn r25_every_code_has_its_class() {
        let busy = |seconds| Class::Busy { retry_after: Some(Duration::from_secs(seconds)) };
        let table = [
            (status(400, "bad", "", 0), Class::Refused),
            (status(401, "Unauthorized", "", 0), Class::Busy { retry_after: None }),
            (status(403, "forbidden", "", 0), Class::Refused),
            (status(404, "not found", "", 0), Class::Gone),
            (status(409, "modified", "", 0), Class::Conflict),
            (status(410, "gone", "", 0), Class::Gone),
            (status(413, "too large", "", 0), Class::Refused),
            (status(422, PATCH_DOES_NOT_APPLY, "", 0), Class::Conflict),
            (
                status(422, "a is invalid: metadata.uid: field is immutable", "metadata.uid", 0),
                Class::Conflict,
            ),
            (status(422, "strict decoding error: unknown field", "patch", 0), Class::Refused),
            (status(422, "a policy denied the request", "", 0), Class::Refused),
            (status(429, "too many", "", 3), busy(3)),
            (status(429, "too many", "", 3600), busy(30)),
            (status(429, "too many", "", 0), Class::Busy { retry_after: None }),
            (status(500, "failed calling webhook", "", 0), Class::Unknown),
            (status(502, "bad gateway", "", 0), Class::Unknown),
            (status(503, "unavailable", "", 1), busy(1)),
            (status(503, "no backends", "", 0), Class::Unknown),
            (status(504, "Timeout: request did not complete", "", 0), Class::Unknown),
            (kube::Error::Service("connection reset".into()), Class::Unknown),
        ];
        for (error, class) in table {
            assert_eq!(classify(&error), class, "{error}");
        }
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let long = format!("\"\" is invalid: {}: unknown field \"x\"", "é".repeat(10_000));
        let error = WriteError::Api { tenant: "a/b".into(), source: status(422, &long, "patch", 0) };
        let message = message(&error);
        assert!(message.chars().count() < MESSAGE_MAX + 10);
        assert!(message.starts_with("\"\" is invalid") && message.ends_with("unknown field \"x\""));
    }
}
