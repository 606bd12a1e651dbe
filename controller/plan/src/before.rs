//! What a tenant was like before its wave: its own seven days (R14, analysis.md 2). Pure.

use breakwater_crds::status::WaveStatus;
use breakwater_slo::{Counts, TenantId};

use crate::{
    draft::Draft,
    judging::as_of,
    observed::{SloReading, Walk},
    study::Week,
};

/// A week that is walked through in order of the tenants' ids.
struct Walked<'a> {
    week: &'a Week,
    walk: Walk<'a, Counts>,
}

impl<'a> Walked<'a> {
    fn new(week: &'a Week) -> Self {
        Self { week, walk: week.counts().walk() }
    }

    fn get(&mut self, tenant: TenantId) -> Option<(Counts, &'a Week)> {
        Some((self.walk.get(tenant).copied()?, self.week))
    }
}

/// The weeks of all waves that have started. What was frozen of a wave's own tenants stands; others, such as those that
/// joined later or wait for their wave, have what Prometheus says.
pub(crate) struct Before<'a> {
    /// Per wave: frozen, read.
    waves: Vec<[Option<Walked<'a>>; 2]>,
    /// As of the newest wave's start, for those whose wave has not started.
    newest: Option<Walked<'a>>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(draft: &Draft<'_>, reading: &'a SloReading) -> Self {
        let frozen = |wave: &WaveStatus| Some(&*reading.kept.get(&wave.started_at?)?.week);
        let read = |wave: &WaveStatus| reading.history.get(&as_of(draft, wave.started_at?));
        let waves = &draft.status.waves;
        Self {
            waves: waves
                .iter()
                .map(|wave| [frozen(wave), read(wave)].map(|week| week.map(Walked::new)))
                .collect(),
            newest: waves.iter().max_by_key(|wave| wave.started_at).and_then(read).map(Walked::new),
        }
    }

    /// A tenant's counts, and the week that says what is usual by them. `wave`: its own, if that has started.
    pub(crate) fn of(&mut self, wave: Option<usize>, tenant: TenantId) -> Option<(Counts, &'a Week)> {
        match wave.and_then(|wave| self.waves.get_mut(wave)) {
            Some(weeks) => weeks.iter_mut().flatten().find_map(|week| week.get(tenant)),
            None => self.newest.as_mut()?.get(tenant),
        }
    }
}
