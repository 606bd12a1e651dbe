//! Shares and seconds as people write them: `5%`, `2ms`. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share: `5%` or `0.05`; also of more than the whole (`100%`).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Share(pub f64);

/// A time: `2ms`, `1.5s`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Seconds(pub f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

fn checked(value: f64, most: f64) -> Option<f64> {
    (0.0..=most).contains(&value).then_some(value)
}

impl TryFrom<Written> for Share {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let value = match &written {
            Written::Number(number) => Some(*number),
            Written::Text(text) => text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse::<f64>().ok())
                .map(|percent| percent / 100.0),
        };
        let value = value.and_then(|value| checked(value, 100.0));
        value.map(Self).ok_or_else(|| format!("{written} is not a share such as 5% or 0.05"))
    }
}

impl TryFrom<Written> for Seconds {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let value = match &written {
            Written::Number(number) => Some(*number),
            Written::Text(text) => {
                let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
                    (Some(number), _) => (number, 1e-3),
                    (None, Some(number)) => (number, 1.0),
                    (None, None) => ("", 1.0),
                };
                number.trim().parse::<f64>().ok().map(|number| number * unit)
            }
        };
        let value = value.and_then(|value| checked(value, 86_400.0));
        value.map(Self).ok_or_else(|| format!("{written} is not a time such as 2ms or 1.5s"))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        format!("{}%", rounded(share.0 * 100.0))
    }
}

impl From<Seconds> for String {
    fn from(seconds: Seconds) -> Self {
        format!("{}ms", rounded(seconds.0 * 1e3))
    }
}

/// Without the tail that binary fractions have.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_times_are_read_as_people_write_them_and_nothing_else_is() {
        let share = |text: &str| serde_yaml::from_str::<Share>(text).map(|share| share.0).ok();
        let seconds = |text: &str| serde_yaml::from_str::<Seconds>(text).map(|seconds| seconds.0).ok();
        assert_eq!([share("5%"), share("0.05"), share("150 %")], [Some(0.05), Some(0.05), Some(1.5)]);
        assert_eq!(
            [share("5"), share("101"), share("-1%"), share("five"), share(".nan")],
            [Some(5.0), None, None, None, None]
        );
        assert_eq!([seconds("2ms"), seconds("1.5s"), seconds("0.01")], [Some(0.002), Some(1.5), Some(0.01)]);
        assert_eq!([seconds("2m"), seconds("-1s"), seconds("s")], [None, None, None]);
        assert_eq!(String::from(Share(0.07)), "7%");
    }
}
