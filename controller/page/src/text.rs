//! Numbers and times in words. Pure.

use breakwater_crds::Span;
use jiff::Timestamp;

/// A whole number with `separator` between thousands: `12,340`.
pub fn grouped(value: f64, separator: char) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// A whole number with commas: `12,340`.
pub fn count(value: f64) -> String {
    grouped(value, ',')
}

/// A share as a percentage with three significant digits: `0.18%`, `1.8%`, `100%`.
pub fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

/// A number with three significant digits, without trailing zeros; large ones in full.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

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
    fn numbers_have_three_digits_that_matter() {
        let shown: Vec<_> = [0.0, 0.000_12, 0.018, 1.0, 0.995].map(percent).into();
        assert_eq!(shown, ["0%", "0.012%", "1.8%", "100%", "99.5%"]);
        assert_eq!(number(412_000.0), "412000");
        assert_eq!(
            (count(412_000.4), grouped(1_234.0, '\u{2009}')),
            ("412,000".into(), "1\u{2009}234".into())
        );
    }

    #[test]
    fn instants_are_told_from_each_other() {
        let at = |second: i64| Timestamp::from_second(1_767_571_200 + second).unwrap();
        assert_eq!(apart(at(-720), at(0)), "12m before");
        assert_eq!(apart(at(9_000), at(0)), "2h30m after");
        assert_eq!((apart(at(0), at(0)), stamp(at(0))), ("at once".into(), "2026-01-05 00:00:00 UTC".into()));
    }
}
