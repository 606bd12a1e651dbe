//! Small checked values of the API: durations, percentages, counts-or-percentages. Pure.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize, de::Visitor};

/// Why a scalar of the API was refused; the caller adds the field's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    /// Not a Prometheus-style duration.
    #[error("{0:?} is not a duration such as 30m, 3d or 1w2d")]
    Span(String),
    /// Not a percentage.
    #[error("{0:?} is not a percentage such as 99.5%")]
    Percent(String),
    /// Not a multiple.
    #[error("{0:?} is not a multiple from 1x to 99x, such as 3x")]
    Times(String),
    /// Neither a count nor a percentage.
    #[error("{0:?} is neither a whole number nor a percentage such as 5%")]
    IntOrPercent(String),
}

/// Reads a text. Who leaves out the quotes or the unit gives YAML a number, and is told how to write it.
struct Text<T>(&'static str, PhantomData<T>);

impl<T> Text<T> {
    fn refuse<E: serde::de::Error>(&self, number: impl fmt::Display) -> E {
        let example = self.0;
        E::custom(format!(
            "{number} is a number: write it in quotes and with its unit, such as \"{example}\""
        ))
    }
}

impl<T: FromStr<Err = ScalarError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text such as \"{}\"", self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        Err(self.refuse(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        Err(self.refuse(number))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        Err(self.refuse(number))
    }
}

macro_rules! string_scalar {
    ($name:ident, $pattern:literal, $min:literal, $max:literal, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Text::<Self>($example, PhantomData))
            }
        }

        #[cfg(feature = "kube")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "minLength": $min, "maxLength": $max})
            }
        }
    };
}

/// A multiple, whole, written `3x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Times(u8);

string_scalar!(Times, "^[1-9][0-9]?x$", 2, 3, "3x");

impl Times {
    /// How many times, 1 to 99.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Times {
    fn default() -> Self {
        Self(3)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

impl FromStr for Times {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_suffix('x')
            .filter(|digits| matches!(digits.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9']));
        digits
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| ScalarError::Times(text.to_owned()))
    }
}

/// A duration, whole seconds, written the Prometheus way: `90s`, `30m`, `1h30m`, `3d`, `2w`, `1y` (365 d), `0`;
/// at most a hundred years, so that no instant plus a span leaves the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span(i64);

string_scalar!(
    Span,
    "^(0|([0-9]{1,2}y)?([0-9]{1,4}w)?([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?)$",
    1,
    32,
    "3d"
);

const UNITS: [(char, i64); 6] =
    [('y', 365 * 86_400), ('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A hundred years: what is longer is cut to it, not refused, since the API server cannot add up the units.
const SPAN_MAX_SECONDS: i64 = 100 * 365 * 86_400;

impl Span {
    /// A span of whole seconds; negative ones become zero, those of over a hundred years a hundred years.
    pub const fn seconds(seconds: i64) -> Self {
        Self(if seconds < 0 {
            0
        } else if seconds > SPAN_MAX_SECONDS {
            SPAN_MAX_SECONDS
        } else {
            seconds
        })
    }

    /// Length in seconds, never negative.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// The same as a duration to add to a timestamp.
    pub const fn as_duration(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(self.0)
    }

    /// True for `0`.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The span in its two largest units, for tables: `3d4h`, `12m`, `45s`.
    pub fn rounded(self) -> String {
        let mut rest = self.0;
        let mut out = String::new();
        for (unit, length) in UNITS.into_iter().skip(2) {
            if rest >= length {
                let written = out.len();
                out.push_str(&(rest / length).to_string());
                out.push(unit);
                rest %= length;
                if written > 0 {
                    break;
                }
            } else if !out.is_empty() {
                break;
            }
        }
        if out.is_empty() { "0s".into() } else { out }
    }
}

impl FromStr for Span {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ScalarError::Span(text.to_owned());
        if text == "0" {
            return Ok(Self(0));
        }
        let (mut total, mut digits, mut units) = (0_i64, String::new(), UNITS.iter());
        for c in text.chars() {
            if c.is_ascii_digit() && digits.len() < 6 {
                digits.push(c);
                continue;
            }
            // `units` only moves on, so each unit stands once and in falling order, as in Prometheus.
            let (_, length) = units.find(|(unit, _)| *unit == c).ok_or_else(refuse)?;
            total += digits.parse::<i64>().map_err(|_| refuse())? * length;
            digits.clear();
        }
        if text.is_empty() || !digits.is_empty() { Err(refuse()) } else { Ok(Self::seconds(total)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let mut rest = self.0;
        for (unit, length) in UNITS.into_iter().skip(1) {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// A percentage with up to six decimals, `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Percent(f64);

string_scalar!(Percent, "^(100(\\.0{1,6})?|[0-9]{1,2}(\\.[0-9]{1,6})?)%$", 2, 12, "99.5%");

impl Percent {
    /// From a ratio, 0 to 1; outside or not a number: clamped to it.
    pub fn of_ratio(ratio: f64) -> Self {
        Self(if ratio.is_finite() { ratio.clamp(0.0, 1.0) * 100.0 } else { 0.0 })
    }

    /// As a ratio, 0 to 1.
    pub fn as_ratio(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ScalarError::Percent(text.to_owned());
        let number = text.strip_suffix('%').ok_or_else(refuse)?;
        let value: f64 = number.parse().map_err(|_| refuse())?;
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if plain && (0.0..=100.0).contains(&value) { Ok(Self(value)) } else { Err(refuse()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A number of tenants (`10`) or a share of a wave (`5%`, whole percent).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntOrPercent {
    /// So many tenants.
    Int(u32),
    /// So many percent, 0 to 100.
    Percent(u32),
}

impl IntOrPercent {
    /// How many of `total` that is: percentages round down, never under one (rule R5).
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Int(n) => (n as usize).max(1),
            Self::Percent(p) => (total.saturating_mul(p as usize) / 100).max(1),
        }
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p}%"),
        }
    }
}

impl Serialize for IntOrPercent {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(n) => to.serialize_u32(*n),
            Self::Percent(_) => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrPercent {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Int(u32),
            Text(String),
        }
        match Raw::deserialize(from)? {
            Raw::Int(n) => Ok(Self::Int(n)),
            Raw::Text(text) => text
                .strip_suffix('%')
                .and_then(|p| p.parse().ok())
                .filter(|p| *p <= 100)
                .map(Self::Percent)
                .ok_or_else(|| serde::de::Error::custom(ScalarError::IntOrPercent(text))),
        }
    }
}

#[cfg(feature = "kube")]
impl schemars::JsonSchema for IntOrPercent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^(100|[1-9][0-9]?)%$",
            "minimum": 1,
            "maximum": 1_000_000,
            "maxLength": 4
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print_the_prometheus_way() {
        for (text, seconds) in
            [("0", 0), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("3d", 259_200), ("3w", 1_814_400)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_seconds(), seconds, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!(Span::seconds(273_700).rounded(), "3d4h");
    }

    #[test]
    fn a_span_of_any_length_is_at_most_a_hundred_years_and_still_prints_as_one() {
        let longest: Span = "99y9999w99999d999999h999999m999999s".parse().unwrap();
        assert_eq!(longest, "100y".parse().unwrap());
        assert_eq!(longest.to_string().parse::<Span>().unwrap(), longest);
    }

    #[test]
    fn bad_spans_are_refused_by_name() {
        for text in ["", "5", "m", "30m1h", "1h1h", "-1h", "1.5h", "9999999s", "10ms", " 1h"] {
            assert_eq!(text.parse::<Span>(), Err(ScalarError::Span(text.into())));
        }
    }

    #[test]
    fn b4_a_number_without_quotes_is_told_how_to_be_written() {
        let refused = |json: &str| serde_json::from_str::<Percent>(json).unwrap_err().to_string();
        let says = "99.5 is a number: write it in quotes and with its unit, such as \"99.5%\"";
        assert!(refused("99.5").starts_with(says), "{}", refused("99.5"));
        let soak = serde_json::from_str::<Span>("3").unwrap_err().to_string();
        assert!(
            soak.starts_with("3 is a number: write it in quotes and with its unit, such as \"3d\""),
            "{soak}"
        );
        assert!(
            serde_json::from_str::<Times>("true").unwrap_err().to_string().contains("a text such as \"3x\"")
        );
    }

    #[test]
    fn percentages_are_between_zero_and_a_hundred() {
        assert!(("99.5%".parse::<Percent>().unwrap().as_ratio() - 0.995).abs() < 1e-12);
        for text in ["99.5", "101%", "-1%", "NaN%", "inf%", "1e1%", "%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn r5_percent_of_concurrency_rounds_down_but_is_at_least_one() {
        assert_eq!(IntOrPercent::Percent(5).of(39), 1);
        assert_eq!(IntOrPercent::Percent(5).of(40), 2);
        assert_eq!(IntOrPercent::Percent(1).of(10), 1);
        assert_eq!(IntOrPercent::Int(0).of(10), 1);
    }
}
