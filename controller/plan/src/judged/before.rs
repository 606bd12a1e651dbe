//! What a tenant was like before its wave: its own seven days (R14, analysis.md 2). Pure.

use breakwater_crds::status::WaveStatus;
use breakwater_slo::TenantId;

use super::as_of;
use crate::{
    course::Course,
    input::Input,
    observed::SloReading,
    study::{InWeek, Week, Weekly},
};

/// The weeks of all waves that have started. What was frozen of a wave's own tenants stands; others, such as those that
/// joined later or wait for their wave, have what Prometheus says.
pub(crate) struct Before<'a> {
    /// Per wave: frozen, read.
    waves: Vec<[Option<Weekly<'a>>; 2]>,
    /// As of the newest wave's start, for those whose wave has not started.
    newest: Option<Weekly<'a>>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(input: &Input<'_>, course: &Course, reading: &'a SloReading) -> Self {
        let frozen = |wave: &WaveStatus| Some(&*reading.kept.get(&wave.started_at?)?.week);
        let read = |wave: &WaveStatus| reading.history.get(&as_of(input, wave.started_at?));
        let waves = &course.waves;
        Self {
            waves: waves
                .iter()
                .map(|wave| [frozen(wave), read(wave)].map(|week| week.map(Week::walk)))
                .collect(),
            newest: waves.iter().max_by_key(|wave| wave.started_at).and_then(read).map(Week::walk),
        }
    }

    /// A tenant in the week that says what is usual by it. `wave`: its own, if that has started.
    pub(crate) fn of(&mut self, wave: Option<usize>, tenant: TenantId) -> Option<InWeek<'a>> {
        match wave.and_then(|wave| self.waves.get_mut(wave)) {
            Some(weeks) => weeks.iter_mut().flatten().find_map(|week| week.get(tenant)),
            None => self.newest.as_mut()?.get(tenant),
        }
    }
}
