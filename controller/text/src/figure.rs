//! Counts, shares and plain numbers, as they are read. Pure.
//!
//! Figures in tables and on pages are in full ([`count`], [`number`], [`percent`]); those in a sentence, which an event has
//! to hold, are short ([`short_count`], [`decimal`]).

/// A whole number with `separator` between thousands: `12,340`. A sign is not written.
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

/// A count with three digits or so: `9999`, `412k`, `1.2M`, `5000M`.
pub fn short_count(value: f64) -> String {
    match value {
        value if value < 9_999.5 => format!("{value:.0}"),
        value if value < 999_500.0 => format!("{:.0}k", value / 1e3),
        value if value < 9_950_000.0 => format!("{:.1}M", value / 1e6),
        value => format!("{:.0}M", value / 1e6),
    }
}

/// A number with three significant digits, without trailing zeros: `0.412`, `41.2`, `412000`. Of small ones four decimals.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    trimmed(value, decimals)
}

/// A share as a percentage with three significant digits: `0.18%`, `1.8%`, `100%`.
pub fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

/// A number with at most three decimals, as a power of ten where that would not show it: `7.25`, `1.00e-5`, `1.00e12`.
pub fn decimal(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e9).contains(&value.abs()) {
        format!("{value:.2e}")
    } else {
        trimmed(value, 3)
    }
}

/// A number with so many decimals at most, without trailing zeros: `36`, `14.4`.
pub fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_matter() {
        let shown: Vec<_> = [0.0, 0.000_12, 0.018, 1.0, 0.995].map(percent).into();
        assert_eq!(shown, ["0%", "0.012%", "1.8%", "100%", "99.5%"]);
        assert_eq!(number(412_000.0), "412000");
        assert_eq!([f64::NAN, f64::INFINITY].map(number), ["NaN", "inf"]);
        assert_eq!(
            (count(412_000.4), grouped(1_234.0, '\u{2009}')),
            ("412,000".into(), "1\u{2009}234".into())
        );
    }

    #[test]
    fn figures_in_a_sentence_are_short() {
        for (events, text) in [
            (0.0, "0"),
            (12.4, "12"),
            (9_999.0, "9999"),
            (412_000.0, "412k"),
            (1.25e6, "1.2M"),
            (12.3e6, "12M"),
            (5e9, "5000M"),
        ] {
            assert_eq!(short_count(events), text);
        }
        for (value, text) in [(7.25, "7.25"), (0.0, "0"), (1e-5, "1.00e-5"), (1e12, "1.00e12"), (-3.0, "-3")]
        {
            assert_eq!(decimal(value), text);
        }
        assert_eq!(
            (trimmed(36.0, 1), trimmed(14.4, 1), trimmed(100.0, 0)),
            ("36".into(), "14.4".into(), "100".into())
        );
    }
}
