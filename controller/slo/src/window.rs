//! Pooled counts of both arms over one window, in at most 20 slots whatever the window and the step. Pure.
//!
//! Counts are held in thousandths of an event, as integers: sums are exact, so neither the order of samples nor a
//! trip through JSON changes a verdict.
//!
//! # Format
//! A window is one string, `<seconds>/<step>*<steps>@<newest>:<slots>`: its length and step in seconds, the steps of a
//! slot, the number of the newest slot (unix seconds over a slot's width), then the slots, oldest first, empty ones at
//! the old end cut. A slot is five numbers: steps that were *not* evaluated, candidate's bad and total, baseline's bad
//! and total. A number is a count of [`crate::digits`]; of events it is `2 * n` for `n` whole ones and `2 * m + 1` for
//! `m` thousandths.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::config::whole_steps;
use crate::digits::{COUNT_64, Digits, NoNumber, push_count};
use crate::reading::Counts;

/// Most slots of a window: it covers 95 % to 100 % of its length, and the default pairs stay under 2.5 KB of JSON.
const SLOTS_MAX: i64 = 20;
/// Most slots that are read, whoever wrote them.
const SLOTS_READ_MAX: usize = 64;
/// Thousandths of an event: fractions come from recorded series, and no guard sees a finer one.
const MILLI: u64 = 1_000;
/// No sum passes this (10^15 events); above it sums stand still instead of wrapping.
const TALLY_MAX_MILLI: u64 = 1 << 60;

/// Bad and all events, in thousandths. `bad <= total` always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Tally {
    bad_milli: u64,
    total_milli: u64,
}

impl Tally {
    pub(crate) fn of(counts: Counts) -> Self {
        let total_milli = milli(counts.total);
        Self { bad_milli: milli(counts.bad).min(total_milli), total_milli }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.bad_milli = (self.bad_milli + other.bad_milli).min(TALLY_MAX_MILLI);
        self.total_milli = (self.total_milli + other.total_milli).min(TALLY_MAX_MILLI);
    }

    pub(crate) fn sum(tallies: &[Self]) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.add(*tally);
        }
        sum
    }

    /// Bad events beyond a share of all.
    pub(crate) fn excess(self, share: f64) -> f64 {
        let Counts { bad, total } = self.counts();
        bad - share * total
    }

    pub(crate) fn is_empty(self) -> bool {
        self.total_milli == 0
    }

    pub(crate) fn counts(self) -> Counts {
        Counts { bad: self.bad_milli as f64 / MILLI as f64, total: self.total_milli as f64 / MILLI as f64 }
    }

    /// At least `events` bad ones.
    pub(crate) fn holds_bad(self, events: u32) -> bool {
        self.bad_milli >= u64::from(events) * MILLI
    }

    fn write(self, text: &mut String) {
        for count in [self.bad_milli, self.total_milli] {
            push_count(text, if count % MILLI == 0 { count / MILLI * 2 } else { count * 2 + 1 });
        }
    }

    fn read(digits: &mut Digits<'_>) -> Result<Self, Unreadable> {
        let mut count = || -> Result<u64, Unreadable> {
            let number = digits.count(COUNT_64)?;
            let milli = if number % 2 == 0 { (number / 2).checked_mul(MILLI) } else { Some(number / 2) };
            milli.filter(|milli| *milli <= TALLY_MAX_MILLI).ok_or(Unreadable::Number)
        };
        let (bad_milli, total_milli) = (count()?, count()?);
        if bad_milli > total_milli { Err(Unreadable::Number) } else { Ok(Self { bad_milli, total_milli }) }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "compared after, or clamped to [0, 2^60] before"
)]
fn milli(events: f64) -> u64 {
    // Most counts are whole: that saves the rounding, which is a call.
    let whole = events as u64;
    if events - whole as f64 == 0.0 && whole < TALLY_MAX_MILLI / MILLI {
        return whole * MILLI;
    }
    (events * MILLI as f64).round().clamp(0.0, TALLY_MAX_MILLI as f64) as u64
}

/// One slot of a window, or the sum of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Steps evaluated since the candidate's first exposure.
    pub(crate) steps: u32,
    pub(crate) candidate: Tally,
    pub(crate) baseline: Tally,
}

impl Slot {
    fn add(&mut self, other: Self) {
        let Self { steps, candidate, baseline } = other;
        self.steps = self.steps.saturating_add(steps);
        self.candidate.add(candidate);
        self.baseline.add(baseline);
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A window of the last `seconds`: a ring of slots, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Window {
    seconds: i64,
    step_seconds: i64,
    /// Stored beside the slots, so that a judge that divides windows otherwise knows them for another's.
    steps_per_slot: i64,
    newest: i64,
    slots: VecDeque<Slot>,
}

impl Window {
    pub(crate) fn new(seconds: i64, step_seconds: i64) -> Self {
        let (seconds, step_seconds) = (seconds.max(1), step_seconds.max(1));
        let steps_per_slot = whole_steps(whole_steps(seconds, step_seconds), SLOTS_MAX);
        Self { seconds, step_seconds, steps_per_slot, newest: 0, slots: VecDeque::new() }
    }

    /// The window of this length and step, divided as this judge does.
    pub(crate) fn is(&self, seconds: i64, step_seconds: i64) -> bool {
        let Self { seconds: own, step_seconds: own_step, steps_per_slot, newest: _, slots: _ } =
            Self::new(seconds, step_seconds);
        (self.seconds, self.step_seconds, self.steps_per_slot) == (own, own_step, steps_per_slot)
    }

    fn slot_count(&self) -> usize {
        let slots = whole_steps(whole_steps(self.seconds, self.step_seconds), self.steps_per_slot);
        usize::try_from(slots.clamp(1, SLOTS_MAX)).unwrap_or(1)
    }

    /// Moves on to the step that starts at `start_seconds` and adds what was counted in it. Steps come in order.
    pub(crate) fn add(&mut self, start_seconds: i64, counted: Slot) {
        let slot_seconds = self.step_seconds.saturating_mul(self.steps_per_slot);
        let number = start_seconds.div_euclid(slot_seconds);
        let room = self.slot_count();
        let steps_max = u32::try_from(self.steps_per_slot).unwrap_or(u32::MAX);
        let passed = number.saturating_sub(self.newest).max(0);
        if self.slots.is_empty() {
            self.newest = number;
            self.slots.push_back(Slot::default());
        } else {
            self.newest = self.newest.saturating_add(passed);
            self.slots.extend((0..passed.min(SLOTS_MAX)).map(|_| Slot::default()));
        }
        while self.slots.len() > room {
            self.slots.pop_front();
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.add(counted);
            slot.steps = slot.steps.min(steps_max);
        }
        self.cut();
    }

    /// Cuts empty slots at the old end; so equal content is equal, and the string short.
    fn cut(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.is_empty()) {
            self.slots.pop_front();
        }
    }

    /// What the candidates had over the window without its worst `seconds`; over all of it where there is no room for that.
    pub(crate) fn lasting(&self, seconds: i64, limit: f64) -> Tally {
        let slot_seconds = self.step_seconds.saturating_mul(self.steps_per_slot);
        let worst = worst_slots(seconds, slot_seconds, self.slot_count());
        let slots: Vec<Tally> = self.slots.iter().map(|slot| slot.candidate).collect();
        Tally::sum(&without_worst(slots, worst, limit))
    }

    /// Sum over the window.
    pub(crate) fn sum(&self) -> Slot {
        let mut sum = Slot::default();
        for slot in &self.slots {
            sum.add(*slot);
        }
        sum
    }
}

/// How many of a window's slots a stretch of `seconds` takes; none where they would leave less than two to look at.
pub(crate) fn worst_slots(seconds: i64, slot_seconds: i64, slots: usize) -> usize {
    let worst = usize::try_from(whole_steps(seconds, slot_seconds.max(1))).unwrap_or(usize::MAX);
    if worst.saturating_add(2) <= slots { worst } else { 0 }
}

/// All slots but so many that exceed `limit` most.
pub(crate) fn without_worst(mut slots: Vec<Tally>, worst: usize, limit: f64) -> Vec<Tally> {
    slots.sort_by(|one, other| other.excess(limit).total_cmp(&one.excess(limit)));
    slots.split_off(worst.min(slots.len()))
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        let Window { seconds, step_seconds, steps_per_slot, newest, slots } = &window;
        let mut text = Self::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{seconds}/{step_seconds}*{steps_per_slot}@{newest}:");
        let steps = u64::try_from(*steps_per_slot).unwrap_or(0);
        for Slot { steps: evaluated, candidate, baseline } in slots {
            push_count(&mut text, steps.saturating_sub(u64::from(*evaluated)));
            candidate.write(&mut text);
            baseline.write(&mut text);
        }
        text
    }
}

impl TryFrom<String> for Window {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        let (head, slots) = text.split_once(':').ok_or(Unreadable::Head)?;
        let (lengths, newest) = head.split_once('@').ok_or(Unreadable::Head)?;
        let (lengths, steps_per_slot) = lengths.split_once('*').ok_or(Unreadable::Head)?;
        let (seconds, step_seconds) = lengths.split_once('/').ok_or(Unreadable::Head)?;
        let integer = |text: &str| text.parse::<i64>().map_err(|_| Unreadable::Head);
        let mut window = Self::new(integer(seconds)?, integer(step_seconds)?);
        window.steps_per_slot = integer(steps_per_slot)?.max(1);
        window.newest = integer(newest)?;
        let steps = u64::try_from(window.steps_per_slot).unwrap_or(0);
        let mut digits = Digits(slots);
        while !digits.is_empty() {
            if window.slots.len() == SLOTS_READ_MAX {
                return Err(Unreadable::TooLong);
            }
            let evaluated = steps.checked_sub(digits.count(COUNT_64)?).ok_or(Unreadable::Number)?;
            let steps = u32::try_from(evaluated).map_err(|_| Unreadable::Number)?;
            let (candidate, baseline) = (Tally::read(&mut digits)?, Tally::read(&mut digits)?);
            window.slots.push_back(Slot { steps, candidate, baseline });
        }
        window.cut();
        Ok(window)
    }
}

impl From<Tally> for String {
    fn from(tally: Tally) -> Self {
        let mut text = Self::new();
        tally.write(&mut text);
        text
    }
}

impl TryFrom<String> for Tally {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        let mut digits = Digits(&text);
        let tally = Self::read(&mut digits)?;
        if digits.is_empty() { Ok(tally) } else { Err(Unreadable::TooLong) }
    }
}

/// Why a stored window cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("window does not begin with <seconds>/<step>*<steps>@<newest>:")]
    Head,
    #[error("window holds a number that cannot be")]
    Number,
    #[error("window holds more than its slots")]
    TooLong,
}

impl From<NoNumber> for Unreadable {
    fn from(NoNumber: NoNumber) -> Self {
        Self::Number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(bad: f64, total: f64) -> Slot {
        Slot { steps: 1, candidate: Tally::of(Counts { bad, total }), baseline: Tally::default() }
    }

    #[test]
    fn a_window_forgets_what_is_older_than_its_length() {
        for (seconds, step) in
            [(300, 60), (1_800, 60), (3_600, 60), (300, 5), (259_200, 5), (86_400, 60), (60, 60)]
        {
            let mut window = Window::new(seconds, step);
            let steps = 4 * seconds / step;
            for number in 0..steps {
                window.add(number * step, slot(0.0, 1.0));
            }
            let total = window.sum().candidate.counts().total * step as f64 / seconds as f64;
            assert!(window.slots.len() <= 20 && total <= 1.0 && total > 0.95, "{seconds}/{step}: {total}");
            assert!(i64::from(window.sum().steps) <= seconds / step);
        }
    }

    #[test]
    fn a_window_reads_back_what_it_wrote() {
        let mut window = Window::new(3_600, 60);
        for number in 0..200_i32 {
            window.add(i64::from(number) * 60, slot(f64::from(number) / 7.0, 1e9 + f64::from(number)));
            let text = String::from(window.clone());
            assert_eq!(Window::try_from(text), Ok(window.clone()));
        }
    }

    #[test]
    fn a_broken_string_is_an_error_and_no_panic() {
        for text in [
            "",
            ":",
            "60/60",
            "60/60@1:",
            "60/60*1:",
            "a/b*c@d:",
            "60/60*1@1:A",
            "60/60*1@1:AAAAAA",
            "60/60*1@1:é",
        ] {
            assert!(Window::try_from(text.to_owned()).is_err(), "{text}");
        }
        for (slots, error) in [
            ("AAAAA".repeat(65), Unreadable::TooLong),
            ("ACAAA".to_owned(), Unreadable::Number), // more bad than all
            ("CAAAA".to_owned(), Unreadable::Number), // more steps missing than there are
            ("_".repeat(14), Unreadable::Number),
        ] {
            assert_eq!(Window::try_from(format!("60/60*1@1:{slots}")), Err(error));
        }
        let foreign = Window::try_from("-9223372036854775808/0*0@9223372036854775807:AACAA".to_owned());
        assert!(foreign.is_ok_and(|mut window| {
            window.add(i64::MIN, Slot::default());
            !window.is(60, 60)
        }));
        assert!(Tally::try_from("AAA".to_owned()).is_err());
    }

    #[test]
    fn sums_stand_still_instead_of_wrapping() {
        let mut tally = Tally::of(Counts { bad: 0.0, total: f64::MAX });
        tally.add(tally);
        assert_eq!(tally.total_milli, TALLY_MAX_MILLI);
        assert_eq!(Tally::of(Counts { bad: f64::NAN, total: f64::NAN }), Tally::default());
    }
}
