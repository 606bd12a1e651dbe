//! The one clock: every other module is given the time.

use jiff::Timestamp;

/// Wall-clock time now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
