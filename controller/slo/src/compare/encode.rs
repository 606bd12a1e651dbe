//! The comparison as one short string: what a checkpoint in the status holds (R27, R28). Pure.
//!
//! # Format
//! Version `2`, then sections, each after a dot: clock, ledger, `P`, `B`, detectable sums, span, shape, traffic, tenants.
//! A section that stands as at the start is empty. Digits, words and counts are those of [`crate::digits`]. An exact number
//! is a word of 11 digits: the 64 bits of the float, so that what is pooled goes on as if nothing had happened. A stored
//! logarithm (shape, tenants) is a word of 3 digits: `floor(1024 * ln S) + 2^17`, 0 for none; rounding down loses a thousandth of a nat of evidence at most,
//! and less evidence is always sound. A tenant is 11 digits of its identity, 3 of its weight, one for its wave, 21 of
//! its evidence. At most [`KEPT_MAX`] tenants. An edge of the shape is 11 digits of the edge, one for the tide, 21 of its
//! evidence; before them stands the span of the edge that says most, since no other is told of. About 2.6 KB with
//! everything on, four edges included 2.2 KB.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::detect::Detect;
use super::increment::GAIN_COUNT;
use super::mixture::Mixture;
use super::onset::Span;
use super::running::Running;
use super::shape::{Place, Shape};
use super::tenants::{GRID, KEPT_MAX, Ledger, Row, Tenants};
use crate::digits::{COUNT_32, Digits, NoNumber, WORD, push_count, push_digit, push_word};
use crate::reading::{Side, TAILS_MAX, TenantId};

const VERSION: &str = "2";
/// Digits of a stored logarithm or weight.
const SHORT: usize = 3;
/// Added to a stored logarithm.
const ZERO: f64 = 131_072.0;
/// Most waves that are read, whoever wrote them (R27).
const WAVES_MAX: usize = 64;

/// Why a stored comparison cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the comparison is of another version")]
    Version,
    #[error("the comparison does not hold the sections that it should")]
    Sections,
    #[error("the comparison holds a number that cannot be")]
    Number,
    #[error("the comparison holds more than it may")]
    TooLong,
}

impl From<NoNumber> for Unreadable {
    fn from(NoNumber: NoNumber) -> Self {
        Self::Number
    }
}

/// [`Running`] as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Stored(pub(crate) Box<Running>);

impl Stored {
    /// Nothing compared yet.
    pub(crate) fn begin() -> Self {
        Self(Box::default())
    }
}

impl PartialEq for Stored {
    /// Equality of what is stored.
    fn eq(&self, other: &Self) -> bool {
        write(&self.0) == write(&other.0)
    }
}

impl From<Stored> for String {
    fn from(stored: Stored) -> Self {
        write(&stored.0)
    }
}

impl TryFrom<String> for Stored {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        read(&text).map(|running| Self(Box::new(running)))
    }
}

fn write(running: &Running) -> String {
    let Running { clock, tide, ledger, pooled, past, detect, span, shape, traffic, tenants } = running;
    let mut text = Text(VERSION.to_owned());
    text.section(*clock != Clock::default(), |text| {
        text.exact_time(clock.since_seconds);
        text.count(u64::from(clock.hours));
        text.exact(clock.mass);
        text.count(u64::from(*tide));
    });
    text.section(*ledger != Ledger::default(), |text| {
        text.exact(ledger.given);
        text.exact(ledger.joiners);
        text.count(u64::from(ledger.starts));
        for weight in &ledger.weights {
            text.count(u64::from(*weight));
        }
    });
    text.section(*pooled != Mixture::default(), |text| text.exacts(&pooled.ln_s));
    text.section(*past != Mixture::default(), |text| text.exacts(&past.ln_s));
    text.section(*detect != Detect::default(), |text| {
        for sums in [&detect.gain, &detect.cost, &detect.gain_var, &detect.cost_var] {
            text.exacts(sums);
        }
        text.exacts(&[detect.usual, detect.requests, detect.best, detect.unit, detect.lift]);
    });
    text.section(*span != Span::default(), |text| {
        text.span(span);
    });
    let loudest = shape.loudest();
    text.section(loudest.is_some(), |text| {
        text.span(&loudest.map_or_else(Span::default, |(_, place)| place.span));
        for Place { edge_seconds, tide, mixture, span: _ } in &shape.places {
            text.exact(*edge_seconds);
            text.flag(*tide);
            text.logs(&mixture.ln_s);
        }
    });
    let quiet = Mixture::default();
    text.section((traffic.baseline, traffic.past) != (quiet, quiet), |text| {
        text.exacts(&traffic.baseline.ln_s);
        text.exacts(&traffic.past.ln_s);
    });
    let rows = tenants.worst();
    let lost = tenants.rows.len() - rows.len();
    let forgotten = u64::from(tenants.forgotten).saturating_add(lost as u64);
    text.section(!rows.is_empty() || forgotten > 0, |text| {
        text.count(forgotten);
        for row in rows {
            text.word(row.tenant.0);
            text.short(row.weight_code);
            text.flag(row.is_current);
            text.logs(&row.mixture.ln_s);
        }
    });
    text.0
}

/// What is being written.
struct Text(String);

impl Text {
    fn section(&mut self, is_there: bool, content: impl FnOnce(&mut Self)) {
        self.0.push('.');
        if is_there {
            content(self);
        }
    }

    fn flag(&mut self, flag: bool) {
        push_digit(&mut self.0, u64::from(flag));
    }

    fn word(&mut self, bits: u64) {
        push_word(&mut self.0, bits, WORD);
    }

    fn short(&mut self, code: u32) {
        push_word(&mut self.0, u64::from(code), SHORT);
    }

    fn exact(&mut self, value: f64) {
        self.word(value.to_bits());
    }

    fn exacts(&mut self, values: &[f64]) {
        for value in values {
            self.exact(*value);
        }
    }

    fn exact_time(&mut self, seconds: Option<i64>) {
        self.count(u64::from(seconds.is_some()));
        self.word(seconds.unwrap_or(0).cast_unsigned());
    }

    fn span(&mut self, span: &Span) {
        self.exact_time(span.since_seconds);
        self.exact(span.sum);
        for Side { bad, exposure, requests } in [span.candidate, span.baseline] {
            self.exacts(&[bad, exposure, requests]);
        }
    }

    fn count(&mut self, count: u64) {
        push_count(&mut self.0, count);
    }

    fn logs(&mut self, ln_s: &[f64; GAIN_COUNT]) {
        for ln_s in ln_s {
            let code = (ln_s * GRID).floor() + ZERO;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 18 bits"
            )]
            self.short(code.clamp(0.0, 2.0 * ZERO - 1.0) as u32);
        }
    }
}

fn read(text: &str) -> Result<Running, Unreadable> {
    let mut sections = text.split('.');
    if sections.next() != Some(VERSION) {
        return Err(Unreadable::Version);
    }
    let mut next = || sections.next().map(|section| Section(Digits(section))).ok_or(Unreadable::Sections);
    let mut running = Running::default();
    next()?.fill(|from| {
        running.clock.read(from)?;
        running.tide = from.count()? == 1;
        Ok(())
    })?;
    next()?.fill(|from| running.ledger.read(from))?;
    next()?.fill(|from| running.pooled.read(from))?;
    next()?.fill(|from| running.past.read(from))?;
    next()?.fill(|from| running.detect.read(from))?;
    next()?.fill(|from| running.span.read(from))?;
    next()?.fill(|from| running.shape.read(from))?;
    next()?.fill(|from| {
        running.traffic.baseline.read(from)?;
        running.traffic.past.read(from)
    })?;
    let mass = running.clock.mass;
    next()?.fill(|from| Arc::make_mut(&mut running.tenants).read(from, mass))?;
    if sections.next().is_some() { Err(Unreadable::Sections) } else { Ok(running) }
}

/// What is left to read of a section.
struct Section<'a>(Digits<'a>);

impl Section<'_> {
    /// Reads a section to its end, unless it is empty.
    fn fill(mut self, with: impl FnOnce(&mut Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        if self.0.is_empty() {
            return Ok(());
        }
        with(&mut self)?;
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable::TooLong) }
    }

    fn digit(&mut self) -> Result<u64, Unreadable> {
        Ok(self.0.digit()?)
    }

    fn word(&mut self) -> Result<u64, Unreadable> {
        Ok(self.0.word(WORD)?)
    }

    fn short(&mut self) -> Result<u32, Unreadable> {
        Ok(u32::try_from(self.0.word(SHORT)?).unwrap_or(0))
    }

    fn any(&mut self) -> Result<f64, Unreadable> {
        let value = f64::from_bits(self.word()?);
        if value.is_nan() { Err(Unreadable::Number) } else { Ok(value) }
    }

    fn finite(&mut self) -> Result<f64, Unreadable> {
        self.any().and_then(|value| if value.is_finite() { Ok(value) } else { Err(Unreadable::Number) })
    }

    /// In `[0, most]`, which may be infinite.
    fn mass(&mut self, most: f64) -> Result<f64, Unreadable> {
        self.any().and_then(
            |value| {
                if (0.0..=most).contains(&value) { Ok(value) } else { Err(Unreadable::Number) }
            },
        )
    }

    fn time(&mut self) -> Result<Option<i64>, Unreadable> {
        let (is_there, seconds) = (self.count()?, self.word()?.cast_signed());
        Ok((is_there > 0).then_some(seconds))
    }

    fn count(&mut self) -> Result<u32, Unreadable> {
        u32::try_from(self.0.count(COUNT_32)?).map_err(|_| Unreadable::Number)
    }

    fn side(&mut self) -> Result<Side, Unreadable> {
        Ok(Side { bad: self.finite()?, exposure: self.finite()?, requests: self.finite()? })
    }

    fn logs(&mut self) -> Result<Mixture, Unreadable> {
        let mut mixture = Mixture::EMPTY;
        for ln_s in &mut mixture.ln_s {
            let code = self.short()?;
            if code > 0 {
                *ln_s = (f64::from(code) - ZERO) / GRID;
            }
        }
        Ok(mixture)
    }
}

impl Clock {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        *self = Self { since_seconds: from.time()?, hours: from.count()?, mass: from.mass(0.5)? };
        Ok(())
    }
}

impl Ledger {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        (self.given, self.joiners, self.starts) = (from.mass(1.0)?, from.mass(1.0)?, from.count()?);
        while !from.0.is_empty() {
            if self.weights.len() == WAVES_MAX {
                return Err(Unreadable::TooLong);
            }
            self.weights.push(from.count()?);
        }
        Ok(())
    }
}

impl Mixture {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        for ln_s in &mut self.ln_s {
            *ln_s = from.any()?.min(Self::LN_MAX);
        }
        Ok(())
    }
}

impl Detect {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        for sums in [&mut self.gain, &mut self.cost, &mut self.gain_var, &mut self.cost_var] {
            for sum in sums {
                *sum = from.finite()?;
            }
        }
        for sum in [&mut self.usual, &mut self.requests] {
            *sum = from.mass(f64::MAX)?;
        }
        self.best = from.mass(f64::INFINITY)?;
        for factor in [&mut self.unit, &mut self.lift] {
            *factor = from.mass(f64::MAX)?;
        }
        Ok(())
    }
}

impl Span {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        let (since_seconds, sum) = (from.time()?, from.finite()?);
        *self = Self { since_seconds, sum, candidate: from.side()?, baseline: from.side()? };
        Ok(())
    }
}

impl Shape {
    fn read(&mut self, from: &mut Section<'_>) -> Result<(), Unreadable> {
        let mut span = Span::default();
        span.read(from)?;
        while !from.0.is_empty() {
            if self.places.len() == TAILS_MAX {
                return Err(Unreadable::TooLong);
            }
            let (edge_seconds, tide) = (from.finite()?, from.digit()? == 1);
            let mixture = from.logs()?;
            self.places.push(Place { edge_seconds, tide, mixture, span: Span::default() });
        }
        let loudest = self.loudest().map(|(at, _)| at);
        if let Some(place) = loudest.and_then(|at| self.places.get_mut(at)) {
            place.span = span;
        }
        Ok(())
    }
}

impl Tenants {
    fn read(&mut self, from: &mut Section<'_>, mass: f64) -> Result<(), Unreadable> {
        self.forgotten = from.count()?;
        while !from.0.is_empty() {
            if self.rows.len() == KEPT_MAX {
                return Err(Unreadable::TooLong);
            }
            let tenant = TenantId(from.word()?);
            if self.rows.last().is_some_and(|last| last.tenant >= tenant) {
                return Err(Unreadable::Number);
            }
            let (weight_code, wave) = (from.short()?, from.digit()?);
            self.rows.push(Row::new(tenant, weight_code, from.logs()?, mass, wave > 0));
        }
        self.sum = self.rows.iter().map(|row| row.value).sum();
        Ok(())
    }
}
