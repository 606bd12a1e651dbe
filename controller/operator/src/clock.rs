//! The one clock: every other module is given the time.

use std::sync::Arc;

use jiff::Timestamp;

/// Wall-clock time, as whoever needs it is given it: a rehearsal has its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock.
pub fn system() -> Clock {
    Arc::new(now)
}

/// Wall-clock time now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
