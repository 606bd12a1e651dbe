//! Faults that are put into what was recorded: how users write them, and what they do to counts. Pure.

use std::{fmt, str::FromStr};

use breakwater_crds::{Percent, Span};
use breakwater_slo::{Counts, TenantId};
use breakwater_text::near::nearest;

/// Keys behind the `@`.
const KEYS: [&str; 2] = ["tenant-share", "start"];
/// Largest multiple: more is another word for an outage.
const TIMES_MAX: f64 = 1_000.0;

/// A fault, such as `2x@tenant-share=10%,start=3d`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inject {
    /// How bad it is.
    pub size: Size,
    /// Share of the candidates that have it, in `(0, 1]`; one at least.
    pub tenant_share: Percent,
    /// So long after the watching begins; `None`: as the backtest chooses.
    pub start: Option<Span>,
}

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// So many times the bad events that were recorded, above 1.
    Times(f64),
    /// So large a share of all events becomes bad on top, in `(0, 1]`.
    Plus(Percent),
}

impl Inject {
    /// The faults that are tried where none is asked for.
    pub fn usual() -> Vec<Self> {
        let fault =
            |times| Self { size: Size::Times(times), tenant_share: Percent::of_ratio(1.0), start: None };
        [1.5, 2.0, 3.0, 5.0, 10.0].map(fault).into()
    }

    /// Bad events on top of those that were counted, no more than there are good ones. `draw` in `[0, 1)` decides whether
    /// a fraction is a whole event: counters count whole ones. Where recorded counts are fractions, so is this.
    pub fn extra(&self, counts: Counts, draw: f64) -> f64 {
        let Counts { bad, total } = counts;
        let mean = match self.size {
            Size::Times(times) => (times - 1.0) * bad,
            Size::Plus(share) => share.as_ratio() * total,
        };
        let is_whole = |events: f64| events.fract().abs() < f64::EPSILON;
        let extra = if is_whole(bad) && is_whole(total) {
            mean.floor() + if draw < mean.fract() { 1.0 } else { 0.0 }
        } else {
            mean
        };
        extra.clamp(0.0, (total - bad).max(0.0))
    }

    /// How many times the share of bad events that is usual for those who have it.
    pub fn factor(&self, usual: Counts) -> Option<f64> {
        match self.size {
            Size::Times(times) => Some(times),
            Size::Plus(share) => {
                usual.ratio().filter(|ratio| *ratio > 0.0).map(|ratio| 1.0 + share.as_ratio() / ratio)
            }
        }
    }
}

/// Which of the candidates have a fault: a stable draw, the same ones for every size. In order.
pub fn faulted(candidates: &[TenantId], share: Percent, seed: u64) -> Vec<TenantId> {
    let mut drawn: Vec<(u64, TenantId)> =
        candidates.iter().map(|tenant| (mixed(seed, tenant.0, 0), *tenant)).collect();
    drawn.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let count = ((drawn.len() as f64 * share.as_ratio()).ceil() as usize).clamp(1, drawn.len().max(1));
    let mut faulted: Vec<TenantId> = drawn.into_iter().take(count).map(|(_, tenant)| tenant).collect();
    faulted.sort_unstable();
    faulted
}

/// A draw in `[0, 1)` for one tenant and one step: the same for every size, so that a larger fault is never the smaller.
pub fn draw(seed: u64, tenant: TenantId, end_seconds: i64) -> f64 {
    (mixed(seed, tenant.0, end_seconds.cast_unsigned()) >> 11) as f64 / (1_u64 << 53) as f64
}

/// `SplitMix64`'s finish over three words.
fn mixed(seed: u64, tenant: u64, step: u64) -> u64 {
    let mut word =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ tenant ^ step.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl FromStr for Inject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, options) = text.split_once('@').map_or((text, None), |(size, rest)| (size, Some(rest)));
        let mut inject = Self { size: size.parse()?, tenant_share: Percent::of_ratio(1.0), start: None };
        for option in options.into_iter().flat_map(|options| options.split(',')) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "tenant-share" => inject.tenant_share = share(value).map_err(|why| at(key, value, &why))?,
                "start" => {
                    inject.start = Some(value.parse().map_err(|_| at(key, value, "write 90m, 3d or 1w"))?);
                }
                _ => {
                    let names = KEYS.map(str::to_owned);
                    let near = nearest(key, &names).first().copied().unwrap_or_default().to_owned();
                    return Err(format!(
                        "unknown key {key:?}; did you mean {near}=? (keys: {})",
                        KEYS.join(", ")
                    ));
                }
            }
        }
        Ok(inject)
    }
}

fn at(key: &str, value: &str, why: &str) -> String {
    format!("{key}={value}: {why}")
}

fn share(value: &str) -> Result<Percent, String> {
    let share: Percent = value.parse().map_err(|_| "write a percentage, such as 10%".to_owned())?;
    if share.as_ratio() > 0.0 { Ok(share) } else { Err("must be more than 0%".to_owned()) }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(plus) = text.strip_prefix('+') {
            let wrong = |_| format!("{text:?}: write +1% for one request in a hundred on top");
            return share(plus).map(Self::Plus).map_err(wrong);
        }
        let times = text.strip_suffix('x').and_then(|number| number.parse::<f64>().ok());
        match times {
            Some(times) if times > 1.0 && times <= TIMES_MAX => Ok(Self::Times(times)),
            Some(times) => Err(format!(
                "{times}x: a fault is more than 1x and at most {TIMES_MAX}x the recorded bad events"
            )),
            None => Err(format!(
                "{text:?} is no size: write 2x for twice the bad events, or +1% for one request in a hundred on top"
            )),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x"),
            Self::Plus(share) => write!(f, "+{share}"),
        }
    }
}

impl fmt::Display for Inject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, tenant_share, start } = self;
        let share = (tenant_share.as_ratio() < 1.0).then(|| format!("tenant-share={tenant_share}"));
        let start = start.map(|start| format!("start={start}"));
        let options: Vec<String> = share.into_iter().chain(start).collect();
        if options.is_empty() { write!(f, "{size}") } else { write!(f, "{size}@{}", options.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        for text in ["2x", "1.5x@tenant-share=10%", "+1%@tenant-share=12.5%,start=3d", "10x@start=0"] {
            assert_eq!(text.parse::<Inject>().unwrap().to_string(), text);
        }
        let inject: Inject = "2x@start=90m,tenant-share=100%".parse().unwrap();
        assert_eq!(inject.to_string(), "2x@start=1h30m");
    }

    #[test]
    fn mistakes_name_the_part_its_value_and_what_would_be_right() {
        let refused: Vec<String> = [
            "2",
            "x",
            "",
            "twice",
            "1x",
            "0.5x",
            "NaNx",
            "1001x",
            "+1",
            "+0%",
            "2x@",
            "2x@tennant-share=10%",
            "2x@tenant-share=10",
            "2x@tenant-share=0%",
            "2x@start=soon",
            "2x@start",
            "2x@share=10%",
        ]
        .map(|text| format!("{text}  ->  {}", text.parse::<Inject>().unwrap_err()))
        .into();
        insta::assert_snapshot!(refused.join("\n"));
    }

    #[test]
    fn extra_events_are_whole_on_average_right_and_never_more_than_there_are_good_ones() {
        let fault = |text: &str| text.parse::<Inject>().unwrap();
        let counts = |bad, total| Counts { bad, total };
        let extra = |text, bad: f64, total: f64, draw: f64| fault(text).extra(counts(bad, total), draw);
        let known = [
            (extra("2x", 3.0, 100.0, 0.9), 3.0),
            (extra("1.5x", 3.0, 100.0, 0.4), 2.0),
            (extra("1.5x", 3.0, 100.0, 0.6), 1.0),
            (extra("10x", 30.0, 100.0, 0.0), 70.0),
            (extra("+1%", 0.0, 250.0, 0.4), 3.0),
            (extra("1.5x", 0.3, 99.5, 0.0), 0.15),
        ];
        for (got, wanted) in known {
            assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        }
        let sum: f64 = (0..20_000).map(|n| extra("1.5x", 1.0, 9.0, draw(7, TenantId(n), 60))).sum();
        assert!((sum / 20_000.0 - 0.5).abs() < 0.02, "{sum}");
    }

    #[test]
    fn larger_shares_hold_the_tenants_of_smaller_ones_and_one_at_least() {
        let tenants: Vec<TenantId> = (0..40).map(TenantId).collect();
        let share = |percent: &str| faulted(&tenants, percent.parse().unwrap(), 1);
        assert_eq!((share("1%").len(), share("10%").len(), share("100%").len()), (1, 4, 40));
        assert!(share("10%").iter().all(|tenant| share("50%").contains(tenant)));
    }

    #[test]
    fn an_absolute_fault_has_a_size_by_what_is_usual() {
        let usual = Counts { bad: 2.0, total: 1_000.0 };
        let factor = |text: &str| text.parse::<Inject>().unwrap().factor(usual);
        assert_eq!(factor("3x"), Some(3.0));
        assert!(factor("+1%").is_some_and(|factor| (factor - 6.0).abs() < 1e-9));
        assert_eq!("+1%".parse::<Inject>().unwrap().factor(Counts::default()), None);
    }
}
