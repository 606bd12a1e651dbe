//! Figures and findings in words. Pure.

use breakwater_text::figure::{number, percent, short_count};

use crate::{outcome::Change, pairs::ALL, rules::Rules, run::Kind};

/// A time with three significant digits: `0.21 ms`, `41.2 ms`, `1.5 s`.
pub fn seconds(value: f64) -> String {
    match value {
        value if value < 1e-3 => format!("{} µs", number(value * 1e6)),
        value if value < 1.0 => format!("{} ms", number(value * 1e3)),
        value => format!("{} s", number(value)),
    }
}

impl Kind {
    /// A figure in its unit.
    pub fn figure(self, value: f64) -> String {
        match self {
            Self::ApiAverage | Self::ApiP99 | Self::StoreAverage | Self::StoreP99 => seconds(value),
            Self::ErrorShare => percent(value),
            Self::Memory if value >= 1e6 => format!("{} MB", number(value / 1e6)),
            Self::RequestRate => format!("{}/s", number(value)),
            Self::Cpu | Self::Memory | Self::Goroutines | Self::SupportedUsers => number(value),
        }
    }
}

/// Of what the metric is: `createPost (API average)`, `CPU`.
pub(crate) fn subject(kind: Kind, name: &str) -> String {
    match name {
        "" => kind.words().to_owned(),
        ALL => format!("{}, {ALL}", kind.words()),
        name => format!("{name} ({})", kind.words()),
    }
}

/// What a sentence is made of.
pub(crate) struct Said<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub change: Change,
    pub base: Option<f64>,
    pub candidate: Option<f64>,
    pub at_least: bool,
    /// Standard deviation of the ratio's logarithm.
    pub noise: Option<f64>,
    pub calls: Option<f64>,
    pub share: Option<f64>,
    /// Why it does not fail, where it might.
    pub spared: Option<&'static str>,
}

impl Said<'_> {
    pub fn sentence(&self, rules: &Rules) -> String {
        let subject = subject(self.kind, self.name);
        let shown =
            |value: Option<f64>| value.map_or_else(|| "nothing".to_owned(), |value| self.kind.figure(value));
        match self.change {
            Change::Same | Change::Worse | Change::Better => self.changed(&subject),
            Change::Clamped => format!(
                "{subject}: {} or more on both sides, the histogram's last edge: not comparable",
                seconds(rules.buckets.last_seconds())
            ),
            Change::Unresolved => format!(
                "{subject}: under {} on both sides, the histogram's first edge: too fast to tell",
                seconds(rules.buckets.first_seconds())
            ),
            Change::Vanished => {
                format!("{subject}: vanished, {} in the base{}", shown(self.base), self.traffic())
            }
            Change::New => format!("{subject}: new, {}{}", shown(self.candidate), self.traffic()),
            Change::NoData => format!("{subject}: nothing was measured on either side"),
        }
    }

    fn changed(&self, subject: &str) -> String {
        let (Some(base), Some(candidate)) = (self.base, self.candidate) else {
            return format!("{subject}: nothing was measured");
        };
        let least = if self.at_least { "at least " } else { "" };
        let ratio =
            if base > 0.0 { format!("{least}{}x", number(candidate / base)) } else { "from none".to_owned() };
        let noise =
            self.noise.map_or_else(String::new, |noise| format!(", noise {}", percent(noise.exp_m1())));
        let spared = self.spared.map_or_else(String::new, |why| format!("; {why}"));
        format!(
            "{subject}: {least}{} against {} ({ratio}{noise}){}{spared}",
            self.kind.figure(candidate),
            self.kind.figure(base),
            self.traffic()
        )
    }

    fn traffic(&self) -> String {
        match (self.share, self.calls) {
            (Some(part), Some(calls)) => {
                format!(", {} of the calls, {} a run", percent(part), short_count(calls))
            }
            (_, Some(calls)) => format!(", {} calls a run", short_count(calls)),
            (_, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_units() {
        assert_eq!([seconds(0.000_21), seconds(0.0412), seconds(1.5)], ["210 µs", "41.2 ms", "1.5 s"]);
        assert_eq!([percent(0.124), percent(0.000_31)], ["12.4%", "0.031%"]);
        assert_eq!(Kind::Memory.figure(2.5e9), "2500 MB");
    }
}
