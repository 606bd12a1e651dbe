//! Evidence of each candidate tenant against the pooled baseline: who is guilty (analysis.md 2). Pure.
//!
//! # Weights
//! Tenant `i` has a weight `w_i` and evidence `E_i`, a [`Mixture`] of its own. Wave `k` of `W` brings the mass `1/W`:
//! nine tenths are shared evenly by the tenants that are its own at its start, one tenth is kept for joiners, each of
//! which takes as much as an own tenant has, or half of what is left if that is less. So `sum w_i <= 1` over the
//! whole rollout, and every weight is fixed before its tenant's first step. A leaver's evidence freezes.
//!
//! # What follows from it
//! - `sum w_i*E_i` is evidence like any other: it passes `1/alpha` with probability at most alpha.
//! - **e-BH, weighted**: with `x = w_i*E_i` in descending order and `k` the greatest rank with `x_k >= 1/(k*alpha)`, the
//!   first `k` are guilty; their false discovery rate is at most alpha at any stopping time and under any dependence,
//!   since `V/R <= alpha * sum over true nulls of w_i*E_i` (Wang, Ramdas, JRSSB 2022). Weights make the number of
//!   tenants, which churns, unnecessary; with equal weights it is the plain e-BH.
//! - one tenant is guilty beyond doubt where its own `w_i*E_i` alone carries the release's evidence past the limit.
//!
//! # After a crash
//! The worst [`KEPT_MAX`] are stored. Who was forgotten resumes without mass and gets the hourly share only: another
//! 1/2 per crash would be new mass. The ledger holds however many starts a wave has left, so even a tenant that is
//! taken for a new one by mistake is paid from the same purse: the mass that is handed out, and with it the
//! expectation of `sum w_i*E_i`, stays at most 1, and only power is lost.

use super::Frozen;
use super::increment::{GAIN_COUNT, Test};
use super::mixture::Mixture;
use super::onset::Onset;
use super::ordered::{Ordered, weighed};
use crate::reading::{Arm, Sample, Side, TenantId};

/// Most tenants whose evidence is stored.
pub const KEPT_MAX: usize = 32;
/// Share of a wave's mass that is kept for joiners.
const JOINERS_SHARE: f64 = 0.1;
/// Steps of a stored logarithm, per nat: weights lie on this grid, so that they read back unchanged.
pub(crate) const GRID: f64 = 1_024.0;
/// Most grid steps of a stored weight, three digits of 6 bits: no weight at all.
const NOTHING: u32 = 0x3_FFFF;

/// The purse from which weights and starts are paid.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Ledger {
    /// Mass given to waves so far, in `[0, 1]`.
    pub(crate) given: f64,
    /// Mass that is left for joiners.
    pub(crate) joiners: f64,
    /// Own tenants of the current wave that may still start at 1/2.
    pub(crate) starts: u32,
    /// Weight of an own tenant of each wave begun, as `-1024 ln w`.
    pub(crate) weights: Vec<u32>,
}

impl Ledger {
    /// Begins the waves that `frozen` knows and the ledger does not. True if there was one.
    pub(crate) fn begin_waves(&mut self, frozen: &Frozen) -> bool {
        let known = self.weights.len();
        for (wave, members) in frozen.waves.iter().enumerate().skip(known) {
            let waves = usize::try_from(frozen.planned_waves).unwrap_or(usize::MAX);
            let mass = (1.0 - self.given).max(0.0) / waves.saturating_sub(wave).max(1) as f64;
            self.given += mass;
            let own = members.len().max(1) as f64;
            self.joiners += mass * JOINERS_SHARE;
            self.weights.push(weight_code(mass * (1.0 - JOINERS_SHARE) / own));
            self.starts = u32::try_from(members.len()).unwrap_or(u32::MAX);
        }
        frozen.waves.len() > known
    }

    /// Weight of a joiner, paid for here.
    fn join(&mut self) -> u32 {
        let own = self.weights.last().map_or(0.0, |code| weight(*code));
        let code = weight_code(own.min(self.joiners / 2.0));
        self.joiners = (self.joiners - weight(code)).max(0.0);
        code
    }
}

/// The weight on the grid, rounded down.
fn weight_code(weight: f64) -> u32 {
    let steps = (-weight.ln() * GRID).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 18 bits before")]
    let code = steps.clamp(0.0, f64::from(NOTHING)) as u32;
    code
}

fn weight(code: u32) -> f64 {
    if code >= NOTHING { 0.0 } else { (-f64::from(code) / GRID).exp() }
}

/// Evidence of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) tenant: TenantId,
    pub(crate) weight_code: u32,
    /// It belongs to the wave under way, as its own or as a joiner.
    pub(crate) is_current: bool,
    weight: f64,
    /// Restart mass that it has had, as the clock counts.
    given: f64,
    pub(crate) mixture: Mixture,
    /// `w_i*E_i`.
    pub(crate) value: f64,
    /// Its counts since its errors rose; for words only, and not stored.
    pub(crate) onset: Onset,
}

impl Row {
    pub(crate) fn new(tenant: TenantId, weight_code: u32, mixture: Mixture, given: f64, wave: bool) -> Self {
        let weight = weight(weight_code);
        let value = weight * mixture.e();
        let onset = Onset::default();
        Self { tenant, weight_code, is_current: wave, weight, given, mixture, value, onset }
    }

    fn grow(&mut self, increments: &[f64; GAIN_COUNT], mass: f64) {
        self.mixture.restart(mass - self.given);
        self.given = mass;
        self.mixture.grow(increments);
        self.value = self.weight * self.mixture.e();
    }
}

/// What all tenants share in one step.
pub(crate) struct Round<'a> {
    pub(crate) test: &'a Test,
    /// See [`Test::increments_at`].
    pub(crate) tide: bool,
    pub(crate) baseline: Side,
    /// Restart mass handed out so far.
    pub(crate) mass: f64,
    pub(crate) frozen: &'a Frozen,
}

/// Rows in order of tenants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenants {
    pub(crate) rows: Vec<Row>,
    /// Rows that a step brings, until they are merged.
    fresh: Vec<Row>,
    /// Tenants whose rows a restart of the process lost, and that have not come back.
    pub(crate) forgotten: u32,
    /// `sum w_i*E_i`.
    pub(crate) sum: f64,
}

impl Tenants {
    /// Takes one step: a merge walk over rows and samples, both in order of tenants. Returns the exposure of those
    /// candidates that belong to the wave under way.
    pub(crate) fn feed(&mut self, ledger: &mut Ledger, samples: &Ordered<'_>, round: &Round<'_>) -> Side {
        let forgotten = std::mem::take(&mut self.forgotten);
        let mut wave = Side::default();
        let mut at = 0;
        for sample in samples.iter() {
            if sample.arm != Arm::Candidate || sample.own.is_none() || sample.burned_before {
                continue;
            }
            while self.rows.get(at).is_some_and(|row| row.tenant < sample.tenant) {
                at += 1;
            }
            let side = weighed(sample);
            match self.rows.get_mut(at).filter(|row| row.tenant == sample.tenant) {
                Some(row) => step(row, side, round, &mut wave),
                None if self.fresh.last().is_some_and(|row| row.tenant == sample.tenant) => {}
                None => {
                    let mut row = new_row(sample, ledger, round, forgotten > 0);
                    step(&mut row, side, round, &mut wave);
                    self.fresh.push(row);
                }
            }
        }
        if !self.fresh.is_empty() {
            self.rows.append(&mut self.fresh);
            self.rows.sort_by_key(|row| row.tenant);
        }
        self.sum = self.rows.iter().map(|row| row.value).sum();
        wave
    }

    /// A new wave is under way: who is there already belongs to an earlier one.
    pub(crate) fn begin_wave(&mut self) {
        for row in &mut self.rows {
            row.is_current = false;
        }
    }

    /// Takes the evidence of these tenants away, for good: less evidence is always sound.
    pub(crate) fn forgive(&mut self, tenants: &[TenantId]) {
        for tenant in tenants {
            if let Ok(at) = self.rows.binary_search_by_key(tenant, |row| row.tenant) {
                let row = &mut self.rows[at];
                (row.weight, row.weight_code, row.value) = (0.0, NOTHING, 0.0);
            }
        }
        self.sum = self.rows.iter().map(|row| row.value).sum();
    }

    /// The guilty by e-BH at level `alpha`, most evidence first.
    pub(crate) fn guilty(&self, alpha: f64) -> Vec<&Row> {
        // Nobody below this can be among them.
        let least = 1.0 / (alpha * self.rows.len().max(1) as f64);
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.value >= least).collect();
        rows.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.tenant.cmp(&b.tenant)));
        let discovered = |(rank, row): (usize, &&Row)| row.value * alpha * (rank + 1) as f64 >= 1.0;
        let count =
            rows.iter().enumerate().rev().find(|each| discovered(*each)).map_or(0, |(rank, _)| rank + 1);
        rows.truncate(count);
        rows
    }

    /// The worst [`KEPT_MAX`], in order of tenants.
    pub(crate) fn worst(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let worse = |a: &&Row, b: &&Row| b.value.total_cmp(&a.value).then(a.tenant.cmp(&b.tenant));
        if rows.len() > KEPT_MAX {
            rows.select_nth_unstable_by(KEPT_MAX, worse);
            rows.truncate(KEPT_MAX);
        }
        rows.sort_unstable_by_key(|row| row.tenant);
        rows
    }
}

/// The row of a tenant that has none: of an own one, of one that was forgotten, or of a joiner.
fn new_row(sample: &Sample, ledger: &mut Ledger, round: &Round<'_>, is_forgotten: bool) -> Row {
    let waves = &round.frozen.waves;
    let own = waves.iter().rposition(|members| members.contains(sample.tenant));
    let current = own.is_some_and(|wave| wave + 1 == waves.len());
    let code = own.and_then(|wave| ledger.weights.get(wave).copied());
    let (code, mixture, current) = match code {
        Some(code) if is_forgotten || (current && ledger.starts == 0) => (code, Mixture::EMPTY, current),
        Some(code) if current => {
            ledger.starts -= 1;
            (code, Mixture::default(), true)
        }
        // A joiner, or one that comes after its wave. It has paid for its start with its weight.
        Some(_) | None => (ledger.join(), Mixture::default(), true),
    };
    Row::new(sample.tenant, code, mixture, round.mass, current)
}

fn step(row: &mut Row, side: Option<Side>, round: &Round<'_>, wave: &mut Side) {
    let Some(side) = side else { return };
    if row.is_current {
        wave.add(side);
    }
    let no_events = side.bad <= 0.0 && round.baseline.bad <= 0.0 && round.test.absolute <= 0.0;
    if no_events && row.given >= round.mass {
        return; // nothing would change
    }
    if side.exposure <= 0.0 || round.baseline.exposure <= 0.0 {
        return;
    }
    if let Some(increments) = round.test.increments_at(round.tide, side, round.baseline) {
        row.grow(&increments, round.mass);
        row.onset.add(increments[0], side);
    }
}
