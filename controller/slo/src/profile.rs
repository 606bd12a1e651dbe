//! A week of the candidates, in stretches of ten minutes: what `History` compares with. Pure.

use serde::{Deserialize, Serialize};

use crate::reading::{Past, Side};

const WEEK_SECONDS: i64 = 7 * 86_400;
/// Length of a stretch.
pub const STRETCH_SECONDS: i64 = 600;
/// Stretches of a week.
pub const STRETCHES: usize = 1_008;

/// Pooled sums of the same tenants by minute of the week, 32 KB whatever the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// By stretch; empty before the first step.
    stretches: Vec<Stretch>,
}

/// Sums of one stretch over all weeks that were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 5]", into = "[f64; 5]")]
struct Stretch {
    seconds: f64,
    past: Past,
}

impl From<Stretch> for [f64; 5] {
    fn from(stretch: Stretch) -> Self {
        let Stretch { seconds, past: Past { bad, exposure, good, usual } } = stretch;
        [seconds, bad, exposure, good, usual]
    }
}

impl From<[f64; 5]> for Stretch {
    fn from([seconds, bad, exposure, good, usual]: [f64; 5]) -> Self {
        Self { seconds, past: Past { bad, exposure, good, usual } }
    }
}

impl Profile {
    /// From rows of seconds, bad, exposure, good and usual, one per stretch of the week; `None` unless there is one for
    /// each, or none at all.
    pub fn from_rows(rows: Vec<[f64; 5]>) -> Option<Self> {
        let is_whole = rows.is_empty() || rows.len() == STRETCHES;
        is_whole.then(|| Self { stretches: rows.into_iter().map(Stretch::from).collect() })
    }

    /// Its rows, as [`Profile::from_rows`] takes them.
    pub fn rows(&self) -> impl Iterator<Item = [f64; 5]> {
        self.stretches.iter().map(|stretch| <[f64; 5]>::from(*stretch))
    }

    /// Takes what the tenants had in the step that ends at `end_seconds`: counts, and successes as [`Side::bad`].
    pub(crate) fn add(&mut self, end_seconds: i64, step_seconds: i64, rate: Side, traffic: Side) {
        self.stretches.resize(STRETCHES, Stretch::default());
        let Stretch { seconds, past } = &mut self.stretches[place(end_seconds, step_seconds)];
        *seconds += step_seconds as f64;
        past.bad += rate.bad;
        past.exposure += rate.exposure;
        past.good += traffic.bad;
        past.usual += traffic.exposure;
    }

    /// What the same tenants had in a step that ends at `end_seconds`, a `uses`-th of it: a minute of the week that
    /// serves so many times must be divided by that ([`Past`]). `None` where the stretch was not seen.
    pub fn past(&self, end_seconds: i64, step_seconds: i64, uses: u32) -> Option<Past> {
        let Stretch { seconds, past } = self.stretches.get(place(end_seconds, step_seconds))?;
        let share = step_seconds as f64 / seconds / f64::from(uses.max(1));
        let Past { bad, exposure, good, usual } = *past;
        let scaled =
            Past { bad: bad * share, exposure: exposure * share, good: good * share, usual: usual * share };
        (share.is_finite()
            && [scaled.bad, scaled.exposure, scaled.good, scaled.usual].iter().all(|x| x.is_finite()))
        .then_some(scaled)
    }
}

/// The stretch in which a step begins.
fn place(end_seconds: i64, step_seconds: i64) -> usize {
    let within = end_seconds.saturating_sub(step_seconds).rem_euclid(WEEK_SECONDS);
    usize::try_from(within / STRETCH_SECONDS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(bad: f64, exposure: f64) -> Side {
        Side { bad, exposure, requests: 100.0 }
    }

    #[test]
    fn a_minute_of_the_week_is_what_its_ten_minutes_had_divided_by_its_uses() {
        let mut profile = Profile::default();
        assert_eq!(profile.past(60, 60, 1), None);
        for minute in 1..=20 {
            profile.add(minute * 60, 60, side(if minute <= 10 { 2.0 } else { 4.0 }, 1.0), side(98.0, 100.0));
        }
        let next_week = WEEK_SECONDS + 300;
        assert_eq!(
            profile.past(next_week, 60, 1),
            Some(Past { bad: 2.0, exposure: 1.0, good: 98.0, usual: 100.0 })
        );
        assert_eq!(
            profile.past(next_week + 600, 60, 4),
            Some(Past { bad: 1.0, exposure: 0.25, good: 24.5, usual: 25.0 })
        );
        assert_eq!(profile.past(next_week + 1_200, 60, 1), None, "never seen");
        let json = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&json).unwrap(), profile);
        assert_eq!(Profile::from_rows(profile.rows().collect()), Some(profile));
        assert_eq!(Profile::from_rows(vec![[0.0; 5]; 3]), None);
        assert_eq!(Profile::from_rows(Vec::new()), Some(Profile::default()));
    }

    #[test]
    fn two_weeks_are_averaged_and_steps_before_1970_have_a_place() {
        let mut profile = Profile::default();
        profile.add(-60, 60, side(1.0, 1.0), side(9.0, 10.0));
        profile.add(WEEK_SECONDS - 60, 60, side(3.0, 1.0), side(9.0, 10.0));
        assert_eq!(profile.past(-60, 60, 1).map(|past| past.bad), Some(2.0));
    }
}
