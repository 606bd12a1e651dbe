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
use crate::draft::clip_to;

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
    /// The objects; none where the wave has more tenants than they hold (2.5 million with two SLOs).
    pub fn shards(&self) -> Vec<Shard> {
        let heads: Vec<FrozenSlo> = self.slos.iter().map(|slo| head(slo, true)).collect();
        let first = serde_json::to_string(&heads).map_or(0, |json| json.len());
        let rows = self.rows();
        let row_bytes = pack::row_bytes(self.slos.len());
        let lean: Vec<FrozenSlo> = self.slos.iter().map(|slo| head(slo, false)).collect();
        let room = |head: usize| {
            let text = STATE_MAX_BYTES.saturating_sub(FRAME_BYTES + head);
            (pack::room(text) / row_bytes).max(1) * row_bytes
        };
        let lean_room = room(serde_json::to_string(&lean).map_or(0, |json| json.len()));
        let (head_rows, tail_rows) = rows.split_at(room(first).min(rows.len()));
        let parts: Vec<&[u8]> = std::iter::once(head_rows).chain(tail_rows.chunks(lean_room)).collect();
        let Some(shards) = u32::try_from(parts.len()).ok().filter(|shards| *shards <= SHARDS_MAX) else {
            return Vec::new();
        };
        let spec = |(shard, part): (u32, &[u8])| RolloutStateSpec {
            format: FORMAT,
            rollout: self.rollout.clone(),
            version: self.version.clone(),
            wave: self.wave.clone(),
            wave_started_at: self.wave_started_at,
            shard,
            shards,
            tenants: u32::try_from(part.len() / row_bytes).unwrap_or(u32::MAX),
            slos: if shard == 0 { heads.clone() } else { lean.clone() },
            members: pack::text(part),
        };
        let specs: Vec<RolloutStateSpec> = (0..shards).zip(parts).map(spec).collect();
        let stem = stem(&self.rollout, &specs);
        let named = |spec: RolloutStateSpec| Shard { name: format!("{stem}-{}", spec.shard), spec };
        specs.into_iter().map(named).collect()
    }

    /// Every tenant that is one of the wave for any SLO, in order of the ids.
    fn rows(&self) -> Vec<u8> {
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
        let mut bytes = Vec::with_capacity(ids.len() * pack::row_bytes(weeks.len()));
        for id in ids {
            let cells = weeks.iter_mut().map(|(slo, week)| match week.get(id) {
                _ if !slo.members.contains(id) => Cell::Stranger,
                None => Cell::Unseen,
                Some(counts) => Cell::Seen(*counts),
            });
            pack::push_row(&mut bytes, id, cells);
        }
        bytes
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
        learned: slo.studied.as_ref().filter(|_| is_first).map(|studied| learned(&studied.learned)),
    }
}

fn learned(learned: &Learned) -> FrozenLearned {
    let Learned { phi, phi_tenant, phi_past, phi_traffic, ref profile, ref doubt, detectable, replayed } =
        *learned;
    // One that is no number leaves its comparison without increments, and so does a huge one.
    let finite = |phi: f64| if phi.is_finite() { phi } else { f64::MAX };
    FrozenLearned {
        phi: finite(phi),
        phi_tenant: finite(phi_tenant),
        phi_past: finite(phi_past),
        phi_traffic: finite(phi_traffic),
        doubt: doubt
            .as_ref()
            .map(|doubt| FrozenDoubt { reason: clip_to(&doubt.reason, DOUBT_MAX), guards: doubt.guards }),
        detectable: detectable.filter(|ratio| ratio.is_finite()),
        replayed: replayed.min(1_000_000_000),
        profile: pack::floats_text(profile.rows().flatten()),
    }
}
