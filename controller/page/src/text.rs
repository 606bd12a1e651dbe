//! Numbers and times in words. Pure.

use breakwater_crds::Span;
pub use breakwater_text::figure::{count, grouped, number, percent};
use jiff::Timestamp;

/// A duration in its two largest units: `2d3h`; a negative one is `0s`.
pub fn span(seconds: i64) -> String {
    Span::seconds(seconds.max(0)).rounded()
}

/// `2026-03-10 09:58:00 UTC`.
pub fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How far an instant is from another: `12m before`, `3m after`, `at once`.
pub fn apart(at: Timestamp, from: Timestamp) -> String {
    let seconds = at.duration_since(from).as_secs();
    match seconds {
        0 => "at once".into(),
        later if later > 0 => format!("{} after", span(later)),
        earlier => format!("{} before", span(-earlier)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_from_each_other() {
        let at = |second: i64| Timestamp::from_second(1_767_571_200 + second).unwrap();
        assert_eq!(apart(at(-720), at(0)), "12m before");
        assert_eq!(apart(at(9_000), at(0)), "2h30m after");
        assert_eq!((apart(at(0), at(0)), stamp(at(0))), ("at once".into(), "2026-01-05 00:00:00 UTC".into()));
    }
}
