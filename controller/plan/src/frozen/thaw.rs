//! From the objects that were stored back to what was frozen; what is incomplete is not used. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use breakwater_crds::{
    RolloutStatus,
    state::{FORMAT, FrozenLearned, FrozenSlo, RolloutStateSpec},
    status::WaveStatus,
};
use breakwater_slo::{Counts, Doubt, Edges, Learned, Profile, TenantId};
use jiff::Timestamp;

use super::pack::{self, Cell};
use crate::{
    observed::{ByTenant, SloReading, Slower},
    spec::Checked,
    study::{Studied, Week},
};

/// What was frozen of one SLO at one wave's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What the past taught, and the wave's tenants; `None` where it was not compared.
    pub studied: Option<Arc<Studied>>,
    /// The seven days of the wave's tenants.
    pub week: Arc<Week>,
}

/// The objects of one wave's start, without what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Their names, in order of the shards.
    pub names: Vec<String>,
    /// Their format.
    pub format: u32,
    /// The version that they were frozen for.
    pub version: String,
    /// The wave.
    pub wave: String,
    /// When it started.
    pub wave_started_at: Timestamp,
    /// How many there should be.
    pub shards: u32,
    /// How much of the spec's SLOs, defined as they are now, is in them: one for each, and one more with what the past
    /// taught; 0 unless all shards are there and can be read.
    pub fits: usize,
}

impl Set {
    /// They are of this start of this wave.
    pub fn is_of(&self, wave: &WaveStatus) -> bool {
        self.wave == wave.name && wave.started_at == Some(self.wave_started_at)
    }

    /// Their format is known.
    pub fn is_readable(&self) -> bool {
        self.format <= FORMAT
    }
}

/// What there is of a Rollout's frozen starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thawed {
    /// All objects that were found, by what they belong to.
    pub sets: Vec<Set>,
    /// Per SLO, in the spec's order, by the start of the wave.
    pub slos: Vec<HashMap<Timestamp, Kept>>,
    /// Objects that could not be used, and why, for the log.
    pub ignored: Vec<String>,
}

impl Thawed {
    /// Puts what was frozen into the readings, one per SLO in the spec's order.
    pub fn lend(&self, readings: &mut [SloReading]) {
        for (reading, kept) in readings.iter_mut().zip(&self.slos) {
            reading.kept.clone_from(kept);
        }
    }

    /// The set that a wave's start is taken from: the one with most of the SLOs as they are now.
    pub(crate) fn of(&self, wave: &WaveStatus) -> Option<&Set> {
        let mine = self.sets.iter().filter(|set| set.fits > 0 && set.is_of(wave));
        mine.max_by_key(|set| (set.fits, std::cmp::Reverse(&set.names)))
    }
}

/// A stored object: its name and what is in it.
pub type Stored = (String, RolloutStateSpec);

/// Reads the stored objects of a Rollout. What is of other versions or starts than the status knows, of SLOs that are
/// defined otherwise now, in a newer format, or not all there, is named and not used.
pub fn thaw(stored: &[Stored], checked: &Checked, status: &RolloutStatus) -> Thawed {
    let mut thawed = Thawed { slos: vec![HashMap::new(); checked.definitions.len()], ..Thawed::default() };
    let mut groups: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
    for object in stored {
        groups.entry(stem(&object.0)).or_default().push(object);
    }
    let mut found = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|(_, spec)| spec.shard);
        let Some((name, first)) = group.first() else { continue };
        let mut set = Set {
            names: group.iter().map(|(name, _)| name.clone()).collect(),
            format: first.format,
            version: first.version.clone(),
            wave: first.wave.clone(),
            wave_started_at: first.wave_started_at,
            shards: first.shards,
            fits: 0,
        };
        let is_mine = status.candidate_version.as_ref().is_none_or(|version| *version == set.version)
            && status.waves.iter().any(|wave| set.is_of(wave));
        if is_mine {
            let specs: Vec<&RolloutStateSpec> = group.iter().map(|(_, spec)| spec).collect();
            match kept(&specs, checked) {
                Ok(kept) => {
                    set.fits = kept.len() + kept.iter().filter(|(_, kept)| kept.studied.is_some()).count();
                    found.push((set.fits, set.wave_started_at, kept));
                }
                Err(why) => thawed.ignored.push(format!("{name}: {why}")),
            }
        }
        thawed.sets.push(set);
    }
    // The one that fits best stands; of what only another has, that.
    found.sort_by_key(|(fits, ..)| std::cmp::Reverse(*fits));
    for (_, started_at, kept) in found {
        for (slo, kept) in kept {
            thawed.slos[slo].entry(started_at).or_insert(kept);
        }
    }
    thawed
}

/// A name without its shard.
fn stem(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(stem, _)| stem)
}

/// What is in all shards of one set, by the SLO's place in the spec.
fn kept(shards: &[&RolloutStateSpec], checked: &Checked) -> Result<Vec<(usize, Kept)>, String> {
    let first = shards.first().ok_or("there is no shard")?;
    if first.format > FORMAT {
        return Err(format!("its format {} is newer than {FORMAT}", first.format));
    }
    let numbers = shards.iter().map(|spec| spec.shard);
    if !numbers.eq(0..first.shards) {
        return Err(format!("{} of {} shards are there", shards.len(), first.shards));
    }
    let (mut rows, mut slower) = (Vec::new(), Vec::new());
    let edges: usize = first.slos.iter().map(|slo| slo.edges.len()).sum();
    for spec in shards {
        let mut part = pack::rows(&spec.members, first.slos.len()).ok_or("its members cannot be read")?;
        let mut above = pack::floats(&spec.slower).ok_or("what was slower cannot be read")?;
        if above.len() != part.len() * edges {
            return Err("what was slower is of other tenants".to_owned());
        }
        rows.append(&mut part);
        slower.append(&mut above);
    }
    let place = |slo: &FrozenSlo| {
        let same = |(spec, definition): (&breakwater_crds::slo::Slo, &String)| {
            spec.name == slo.name && *definition == slo.definition
        };
        checked.spec.slos.iter().zip(&checked.definitions).position(same)
    };
    let columns = first.slos.iter().enumerate();
    let mine = columns.filter_map(|(column, slo)| Some((place(slo)?, column, slo)));
    mine.map(|(place, column, slo)| {
        let before: usize = first.slos[..column].iter().map(|slo| slo.edges.len()).sum();
        let above = |row: usize| slower[row * edges + before..].iter().take(slo.edges.len());
        Ok((place, one(slo, column, &rows, above)?))
    })
    .collect()
}

/// One SLO's part of the rows; `above` gives what was slower than its edges in a row.
fn one<'a>(
    slo: &FrozenSlo,
    column: usize,
    rows: &[(TenantId, Vec<Cell>)],
    above: impl Fn(usize) -> std::iter::Take<std::slice::Iter<'a, f64>>,
) -> Result<Kept, String> {
    let (mut members, mut counts) = (Vec::new(), Vec::<(TenantId, Counts)>::new());
    let mut slower = Vec::new();
    for (row, (tenant, cells)) in rows.iter().enumerate() {
        match cells.get(column) {
            Some(Cell::Seen(seen)) => {
                members.push(*tenant);
                counts.push((*tenant, *seen));
                slower.extend(above(row).map(|above| pack::known(*above)));
            }
            Some(Cell::Unseen) => members.push(*tenant),
            Some(Cell::Stranger) | None => {}
        }
    }
    let studied = match &slo.learned {
        Some(stored) => {
            let learned =
                learned(stored).ok_or_else(|| format!("the week of {} cannot be read", slo.name))?;
            Some(Arc::new(Studied { learned, members: members.into() }))
        }
        None => None,
    };
    // Rows are in order of the ids; of others nobody would know whose is whose.
    let is_ordered = counts.is_sorted_by(|(one, _), (other, _)| one < other);
    let slower =
        if is_ordered { Slower::new(slo.edges.as_slice().into(), slower) } else { Slower::default() };
    let week = Week::frozen(ByTenant::new(counts), slo.fleet, slower, &slo.slower_fleet);
    Ok(Kept { studied, week: Arc::new(week) })
}

fn learned(stored: &FrozenLearned) -> Option<Learned> {
    let FrozenLearned {
        phi,
        phi_tenant,
        phi_past,
        phi_traffic,
        phi_shape,
        shape,
        doubt,
        detectable,
        replayed,
        profile,
    } = stored;
    let edges = |phi: f64| Edges { seconds: shape.clone(), phi };
    let numbers = pack::floats(profile)?;
    let (rows, rest) = numbers.as_chunks::<5>();
    Some(Learned {
        phi: *phi,
        phi_tenant: *phi_tenant,
        phi_past: *phi_past,
        phi_traffic: *phi_traffic,
        shape: phi_shape.filter(|_| !shape.is_empty()).map(edges),
        profile: Profile::from_rows(rows.to_vec()).filter(|_| rest.is_empty())?,
        doubt: doubt.as_ref().map(|doubt| Doubt { reason: doubt.reason.clone(), guards: doubt.guards }),
        detectable: *detectable,
        replayed: *replayed,
    })
}
