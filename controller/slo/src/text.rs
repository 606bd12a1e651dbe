//! What the judge writes of figures, short enough for an event. Pure.

use breakwater_text::figure::{decimal, trimmed};

/// `0.181` as `18.1%`; below a tenth of a percent with two significant digits.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0%".to_owned()
    } else if percent >= 0.1 {
        format!("{percent:.1}%")
    } else if percent >= 0.001 {
        format!("{percent:.3}%")
    } else {
        "under 0.001%".to_owned()
    }
}

/// `300` as `5m`, the largest unit that divides it; else minutes up to three hours, and two units above, `3d10h`.
pub(crate) fn span(seconds: i64) -> String {
    for (unit, unit_seconds) in [("d", 86_400), ("h", 3_600)] {
        if seconds != 0 && seconds % unit_seconds == 0 {
            return format!("{}{unit}", seconds / unit_seconds);
        }
    }
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, minutes) if seconds == minutes * 60 && seconds != 0 => format!("{minutes}m"),
        (0, 0, _) => format!("{seconds}s"),
        (0, 1 | 2, _) => format!("{}m", seconds / 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

/// A bucket's edge: `0.25` as `250 ms`, `2.5` as `2.5 s`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} ms", decimal(seconds * 1e3)) } else { format!("{} s", decimal(seconds)) }
}

/// A burn rate: `36x`, `14.4x`.
pub(crate) fn times(factor: f64) -> String {
    format!("{}x", trimmed(factor, 1))
}

/// `1 tenant`, `2 tenants`.
pub(crate) fn tenants(count: usize) -> String {
    if count == 1 { "1 tenant".to_owned() } else { format!("{count} tenants") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_units() {
        let shares =
            [(0.18, "18.0%"), (0.0, "0%"), (0.000_2, "0.020%"), (1.0, "100.0%"), (1e-9, "under 0.001%")];
        for (share, text) in shares {
            assert_eq!(percent(share), text);
        }
        for (seconds, text) in
            [(0, "0s"), (60, "1m"), (90, "90s"), (3_600, "1h"), (259_200, "3d"), (5_401, "90m")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!((times(36.0), times(14.4)), ("36x".to_owned(), "14.4x".to_owned()));
    }
}
