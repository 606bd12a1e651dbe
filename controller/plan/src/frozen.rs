//! What is frozen at a wave's start and must outlive the controller's memory and Prometheus' (R27, R28): when it is to be
//! stored, what of it is there, and what stands in nobody's way any more. Pure.
//!
//! [`Freeze`] is what a plan wants stored, [`Freeze::shards`] makes `RolloutStates` of it; [`thaw()`] reads those back. Their
//! names carry a hash of all that is in them: storing the same twice is harmless, and what a crash left half stored can
//! never be taken for a part of what is stored after it.

mod pack;
mod shards;
mod thaw;

use std::sync::Arc;

use breakwater_crds::{status::WaveStatus, words::HoldReason};
use breakwater_slo::{Members, TenantId};
use jiff::Timestamp;

use crate::{
    course::Course,
    input::Input,
    judged::{as_of, comparing},
    observed::SloReading,
    roster::Roster,
    said::Said,
    spec::is_per_tenant,
    study::{Studied, Week},
};

pub use shards::Shard;
pub use thaw::{Kept, Set, Stored, Thawed, thaw};

/// What is to be stored of one wave's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// The Rollout's name.
    pub rollout: String,
    /// The version that goes in.
    pub version: String,
    /// The wave.
    pub wave: String,
    /// When it started.
    pub wave_started_at: Timestamp,
    /// The SLOs that are counted by tenant, in the spec's order.
    pub slos: Vec<FreezeSlo>,
}

/// What is to be stored of one SLO. Shared with the readings: making one copies no counts.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezeSlo {
    /// Its name.
    pub name: String,
    /// Hash of its definition.
    pub definition: String,
    /// What the past taught, where it is compared.
    pub studied: Option<Arc<Studied>>,
    /// The wave's tenants.
    pub members: Members,
    /// Their seven days, among others'.
    pub week: Week,
}

/// The newest wave that has started, with its place.
fn newest(course: &Course) -> Option<(usize, &WaveStatus, Timestamp)> {
    let mut newest_first = course.waves.iter().enumerate().rev();
    newest_first.find_map(|(index, wave)| Some((index, wave, wave.started_at?)))
}

/// The SLOs that are frozen: those counted by tenant.
fn slos(input: &Input<'_>) -> Vec<usize> {
    let spec = input.slos();
    (0..spec.len()).filter(|slo| is_per_tenant(&spec[*slo])).collect()
}

/// What is to be stored now: all of the newest wave's start, once all of it is known and while a part of it is not
/// stored. Nothing waits for it.
pub(crate) fn freeze(input: &Input<'_>, course: &Course, roster: &Roster<'_>) -> Option<Freeze> {
    input.measured.kept?;
    let (index, wave, started_at) = newest(course).filter(|_| course.phase.is_under_way())?;
    let slos = slos(input);
    let is_stored = |slo: &usize| {
        let kept = input.reading(*slo).and_then(|reading| reading.kept.get(&started_at));
        kept.is_some_and(|kept| kept.studied.is_some() || !comparing::is_compared(input, course, *slo))
    };
    if slos.is_empty() || slos.iter().all(is_stored) || !input.is_complete() {
        return None;
    }
    let freezer = Freezer { input, course, roster };
    let slos = slos.into_iter().map(|slo| freezer.slo(slo, index, started_at));
    Some(Freeze {
        slos: slos.collect::<Option<_>>()?,
        rollout: input.asked.name.to_owned(),
        version: course.wanted().to_owned(),
        wave: wave.name.clone(),
        wave_started_at: started_at,
    })
}

/// What a wave's start is frozen from.
struct Freezer<'f, 'a> {
    input: &'f Input<'a>,
    course: &'f Course,
    roster: &'f Roster<'a>,
}

impl Freezer<'_, '_> {
    /// One SLO; `None` while something of it is not known.
    fn slo(&self, slo: usize, wave: usize, started_at: Timestamp) -> Option<FreezeSlo> {
        let (checked, reading) = (self.input.asked.spec, self.input.reading(slo)?);
        let kept = reading.kept.get(&started_at).map(|kept| &*kept.week);
        let week = kept.or_else(|| reading.history.get(&as_of(self.input, started_at)))?.clone();
        let studied = match reading.study(&started_at) {
            Some(Ok(studied)) => Some(studied.clone()),
            Some(Err(_)) | None if comparing::is_compared(self.input, self.course, slo) => return None,
            Some(Err(_)) | None => None,
        };
        let members = match &studied {
            Some(studied) => studied.members.clone(),
            None => self.members(wave),
        };
        let (name, definition) = (checked.spec.slos[slo].name.clone(), checked.definitions[slo].clone());
        Some(FreezeSlo { name, definition, studied, members, week })
    }

    /// The live tenants of a wave.
    fn members(&self, wave: usize) -> Members {
        let fleet = self.roster.fleet();
        let own = fleet.filter(|(_, place)| place.wave == Some(wave) && place.standing.is_live());
        own.map(|(tenant, _)| tenant.id).collect::<Vec<TenantId>>().into()
    }
}

/// The waves, each with the number of objects in which its start is stored.
pub(crate) fn noted(input: &Input<'_>, waves: Vec<WaveStatus>) -> Vec<WaveStatus> {
    let Some(kept) = input.measured.kept else { return waves };
    let note = |wave: WaveStatus| WaveStatus { frozen: kept.of(&wave).map_or(0, |set| set.shards), ..wave };
    waves.into_iter().map(note).collect()
}

/// `RolloutStates` that are of no use while this version is under way: other versions', other starts', and what was
/// stored before an edit or left by a crash once something better is there. At most what was observed.
pub(crate) fn outlived(input: &Input<'_>, course: &Course) -> Vec<String> {
    let kept = input.measured.kept.filter(|_| course.phase.is_under_way());
    let outlived = |set: &&Set| {
        let wave = course.waves.iter().find(|wave| set.is_of(wave));
        match wave.filter(|_| set.version == course.wanted()) {
            None => true,
            Some(wave) => set.is_readable() && kept.and_then(|k| k.of(wave)).is_some_and(|best| best != *set),
        }
    };
    let sets = kept.iter().flat_map(|kept| &kept.sets).filter(outlived);
    sets.flat_map(|set| set.names.iter().cloned()).collect()
}

/// Nothing advances on what a newer controller froze and this one cannot read (R38).
pub(crate) fn hold_for_newer(input: &Input<'_>, course: &Course) -> Said {
    let newer = |set: &&Set| !set.is_readable() && course.waves.iter().any(|wave| set.is_of(wave));
    let Some(set) = input.measured.kept.and_then(|kept| kept.sets.iter().find(newer)) else {
        return Said::default();
    };
    let (name, format) = (set.names.first().cloned().unwrap_or_default(), set.format);
    let known = breakwater_crds::state::FORMAT;
    Said::held(
        HoldReason::NewerState,
        format!(
            "RolloutState {name} has format {format}, and this controller knows {known}: run the newer one, or delete it"
        ),
    )
}

impl SloReading {
    /// What came of the look at the past for the wave that started then; what was frozen stands.
    pub(crate) fn study(&self, started_at: &Timestamp) -> Option<Result<&Arc<Studied>, &str>> {
        let frozen = self.kept.get(started_at).and_then(|kept| kept.studied.as_ref());
        frozen.map(Ok).or_else(|| Some(self.studies.get(started_at)?.as_ref().map_err(String::as_str)))
    }
}
