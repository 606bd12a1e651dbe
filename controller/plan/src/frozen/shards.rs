//! From what is to be stored to the objects that hold it, each well below what an object may have. Pure.

use breakwater_crds::{
    marker::stable_hash,
    state::{
        DOUBT_MAX, FORMAT, FrozenDoubt, FrozenLearned, FrozenSlo, RolloutStateSpec, SHARDS_MAX,
        STATE_MAX_BYTES,
    },
};
use breakwater_slo::{Learned, TenantId};

use super::{
    Freeze, FreezeSlo,
    pack::{self, Cell},
};
use crate::said::clip_to;

/// Room in every shard for what is not the members' row or an SLO's: names, times, punctuation.
const FRAME_BYTES: usize = 2 * 1024;

/// One object to create.
#[derive(Debug, Clone, PartialEq)]
pub struct Shard {
    /// Its name: `{rollout}-{hash of all shards}-{i}`.
    pub name: String,
    /// What it holds.
    pub spec: RolloutStateSpec,
}

impl Freeze {
    /// The objects; none where the wave has more tenants than they hold (1.4 million with two SLOs, one of them a latency).
    pub fn shards(&self) -> Vec<Shard> {
        let heads: Vec<FrozenSlo> = self.slos.iter().map(|slo| head(slo, true)).collect();
        let first = serde_json::to_string(&heads).map_or(0, |json| json.len());
        let rows = self.rows();
        let tenant_bytes = rows.row_bytes + rows.slower_bytes;
        let lean: Vec<FrozenSlo> = self.slos.iter().map(|slo| head(slo, false)).collect();
        let room = |head: usize| {
            let text = STATE_MAX_BYTES.saturating_sub(FRAME_BYTES + head);
            (pack::room(text) / tenant_bytes).max(1)
        };
        let lean_room = room(serde_json::to_string(&lean).map_or(0, |json| json.len()));
        let parts = rows.parts(room(first), lean_room);
        let Some(shards) = u32::try_from(parts.len()).ok().filter(|shards| *shards <= SHARDS_MAX) else {
            return Vec::new();
        };
        let spec = |(shard, part): (u32, std::ops::Range<usize>)| RolloutStateSpec {
            format: FORMAT,
            rollout: self.rollout.clone(),
            version: self.version.clone(),
            wave: self.wave.clone(),
            wave_started_at: self.wave_started_at,
            shard,
            shards,
            tenants: u32::try_from(part.len()).unwrap_or(u32::MAX),
            slos: if shard == 0 { heads.clone() } else { lean.clone() },
            members: pack::text(&rows.members[part.start * rows.row_bytes..part.end * rows.row_bytes]),
            slower: pack::text(&rows.slower[part.start * rows.slower_bytes..part.end * rows.slower_bytes]),
        };
        let specs: Vec<RolloutStateSpec> = (0..shards).zip(parts).map(spec).collect();
        let stem = stem(&self.rollout, &specs);
        let named = |spec: RolloutStateSpec| Shard { name: format!("{stem}-{}", spec.shard), spec };
        specs.into_iter().map(named).collect()
    }

    /// Every tenant that is one of the wave for any SLO, in order of the ids.
    fn rows(&self) -> Rows {
        let mut ids: Vec<TenantId> = match self.slos.as_slice() {
            [] => Vec::new(),
            [first, others @ ..] => {
                // Mostly the same for all of them: those of one study.
                let others = others.iter().filter(|slo| slo.members != first.members);
                let others = others.flat_map(|slo| slo.members.as_slice());
                first.members.as_slice().iter().chain(others).copied().collect()
            }
        };
        ids.sort_unstable();
        ids.dedup();
        let mut weeks: Vec<_> = self.slos.iter().map(|slo| (slo, slo.week.counts().walk())).collect();
        let edges: usize = self.slos.iter().map(|slo| slo.week.slower().edges().len()).sum();
        let mut rows = Rows {
            tenants: ids.len(),
            row_bytes: pack::row_bytes(weeks.len()),
            slower_bytes: 4 * edges,
            ..Rows::default()
        };
        rows.members.reserve_exact(rows.tenants * rows.row_bytes);
        rows.slower.reserve_exact(rows.tenants * rows.slower_bytes);
        for id in ids {
            let Rows { members, slower, .. } = &mut rows;
            let cells = weeks.iter_mut().map(|(slo, week)| {
                let found = week.find(id).filter(|_| slo.members.contains(id));
                let of = slo.week.slower();
                let above = |edge: &f64| found.and_then(|(place, _)| of.above(place, *edge));
                pack::push_known(slower, of.edges().iter().map(above));
                match found {
                    _ if !slo.members.contains(id) => Cell::Stranger,
                    None => Cell::Unseen,
                    Some((_, counts)) => Cell::Seen(*counts),
                }
            });
            pack::push_row(members, id, cells);
        }
        rows
    }
}

/// The tenants' rows.
#[derive(Debug, Default)]
struct Rows {
    tenants: usize,
    members: Vec<u8>,
    /// Bytes of a tenant in `members`.
    row_bytes: usize,
    slower: Vec<u8>,
    /// Bytes of a tenant in `slower`.
    slower_bytes: usize,
}

impl Rows {
    /// Which tenants are in which shard: at most so many in the first, and in each of the others.
    fn parts(&self, first: usize, others: usize) -> Vec<std::ops::Range<usize>> {
        let first = first.min(self.tenants);
        let starts = (first..self.tenants).step_by(others.max(1));
        let rest = starts.map(|start| start..start.saturating_add(others.max(1)).min(self.tenants));
        std::iter::once(0..first).chain(rest).collect()
    }
}

/// `{rollout}-{hash}`: the same for the same content, and for no other.
fn stem(rollout: &str, specs: &[RolloutStateSpec]) -> String {
    let texts: Vec<String> = specs.iter().filter_map(|spec| serde_json::to_string(spec).ok()).collect();
    let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
    format!("{rollout}-{:08x}", stable_hash(&parts) >> 32)
}

/// What stands of an SLO in a shard; what the past taught in the first one only.
fn head(slo: &FreezeSlo, is_first: bool) -> FrozenSlo {
    FrozenSlo {
        name: slo.name.clone(),
        definition: slo.definition.clone(),
        fleet: slo.week.fleet(),
        edges: slo.week.slower().edges().to_vec(),
        slower_fleet: slo.week.slower_fleet().map(|fleet| fleet.unwrap_or(0.0)).collect(),
        learned: slo.studied.as_ref().filter(|_| is_first).map(|studied| learned(&studied.learned)),
    }
}

fn learned(learned: &Learned) -> FrozenLearned {
    let Learned {
        phi,
        phi_tenant,
        phi_past,
        phi_traffic,
        ref shape,
        ref profile,
        ref doubt,
        detectable,
        replayed,
    } = *learned;
    // One that is no number leaves its comparison without increments, and so does a huge one.
    let finite = |phi: f64| if phi.is_finite() { phi } else { f64::MAX };
    FrozenLearned {
        phi: finite(phi),
        phi_tenant: finite(phi_tenant),
        phi_past: finite(phi_past),
        phi_traffic: finite(phi_traffic),
        phi_shape: shape.as_ref().map(|edges| finite(edges.phi)),
        shape: shape.as_ref().map_or_else(Vec::new, |edges| edges.seconds.clone()),
        doubt: doubt
            .as_ref()
            .map(|doubt| FrozenDoubt { reason: clip_to(&doubt.reason, DOUBT_MAX), guards: doubt.guards }),
        detectable: detectable.filter(|ratio| ratio.is_finite()),
        replayed: replayed.min(1_000_000_000),
        profile: pack::floats_text(profile.rows().flatten()),
    }
}
