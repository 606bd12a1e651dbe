//! The world's Prometheus: what it answers, from the versions that tenants ran, and what it has forgotten or cannot be asked.

use breakwater_plan::{
    observed::{ByTenant, Counted, Seen, Sight, SloReading, Slower, Step, StepData},
    spec::is_per_tenant,
    study::Week,
};
use breakwater_slo::{Counts, Series, TenantId};
use jiff::Timestamp;

use super::{LAG_SECONDS, LookedAt, REQUESTS, SLOWER_EDGES, STEP_SECONDS, Sim, World, seconds};

impl World {
    pub(super) fn readings(&self) -> Vec<SloReading> {
        (0..self.spec.spec.slos.len()).map(|i| self.reading(i)).collect()
    }

    fn reading(&self, index: usize) -> SloReading {
        let per_tenant = is_per_tenant(&self.spec.spec.slos[index]);
        let mut reading = SloReading {
            state: self.judges[index].clone(),
            trace: self.traces[index].clone(),
            step_seconds: STEP_SECONDS,
            lag_seconds: LAG_SECONDS,
            history: self.histories.iter().filter(|_| per_tenant).map(|at| (*at, self.week())).collect(),
            studies: self.studies.clone(),
            sight: self.sight(per_tenant),
            ..SloReading::default()
        };
        let Some(since) = self.watch_since else { return reading };
        let known = self.status.slos.get(index).and_then(|slo| slo.evaluated_until).map(Timestamp::as_second);
        let known = known.max(self.traces[index].as_ref().and_then(|trace| trace.until_seconds()));
        let from =
            known.map_or(since.as_second(), |known| known.max(since.as_second())).div_euclid(STEP_SECONDS)
                + 1;
        let delay = self.delays.get(index).copied().unwrap_or(0);
        let newest = (self.now.as_second() - LAG_SECONDS - delay).div_euclid(STEP_SECONDS);
        if self.outage(self.now).is_some() {
            reading.error = Some("connection refused".into());
            return reading;
        }
        let steps = |range: std::ops::RangeInclusive<i64>| {
            range.map(|n| self.step(n * STEP_SECONDS, per_tenant)).collect()
        };
        reading.steps = steps(from..=newest);
        if reading.state.is_none() && known.is_some() {
            reading.recent = steps(from - 5..=from - 1);
        }
        reading
    }

    /// What Prometheus shows of the fleet just now.
    fn sight(&self, per_tenant: bool) -> Option<Sight> {
        let at = match self.looked_at {
            LookedAt::Never => return None,
            LookedAt::Now => self.now,
            LookedAt::At(at) => at,
        };
        let has_series = |sim: &&Sim| self.series(sim, self.now) != Series::Absent;
        let mut measured: Vec<TenantId> =
            self.sims.iter().filter(has_series).map(|sim| sim.tenant.id).collect();
        measured.sort_unstable();
        let seen = match self.outage(self.now) {
            Some(_) => Err("connection refused".into()),
            None if !per_tenant => Ok(Seen::Value),
            None if measured.is_empty() => Err("no series belongs to a tenant".into()),
            None => Ok(Seen::Tenants(measured.into())),
        };
        Some(Sight { at, seen })
    }

    fn outage(&self, at: Timestamp) -> Option<Timestamp> {
        self.outages.iter().find(|(from, to)| *from <= at && at < *to).map(|(_, to)| *to)
    }

    /// The step as it was read: on time, or at the end of an outage.
    fn step(&self, end_seconds: i64, per_tenant: bool) -> Step {
        let end = Timestamp::from_second(end_seconds).unwrap();
        let due = end + seconds(LAG_SECONDS);
        let fetched_at = self.outage(due).unwrap_or(due);
        let counts = self.sims.iter().map(|sim| (sim.tenant.id, self.series(sim, end)));
        let worst = || {
            self.sims.iter().filter_map(|sim| self.behaviours.get(sim.version_at(end)?)).map(|how| how.errors)
        };
        let data = if per_tenant {
            StepData::Counts(self.with_slower(counts.collect(), end))
        } else {
            StepData::Values(vec![worst().fold(0.0, f64::max)])
        };
        Step { end_seconds, fetched_at, data }
    }

    fn series(&self, sim: &Sim, end: Timestamp) -> Series {
        if self.uninstrumented.contains(&sim.tenant.id) || self.silent.contains(&sim.tenant.id) {
            return Series::Absent;
        }
        let version = sim.version_at(end).unwrap_or_default();
        let usual = self.behaviours.get(version).map_or(0.001, |how| how.errors);
        let ails = self.ailing.get(&sim.tenant.id).filter(|(of, _)| of == version);
        let errors = ails.map_or(usual, |(_, errors)| *errors);
        Series::Counted(Counts { bad: errors * REQUESTS, total: REQUESTS })
    }

    /// With what is above the edges, by the version that each tenant ran.
    fn with_slower(&self, counted: Counted, end: Timestamp) -> Counted {
        if self.slower.is_empty() {
            return counted;
        }
        let of = |id: TenantId| {
            let sim = self.sims.iter().find(|sim| sim.tenant.id == id);
            sim.and_then(|sim| self.slower.get(sim.version_at(end)?)).copied().unwrap_or_default()
        };
        let edges = self.slower_edges.len();
        let above = counted.as_slice().iter().flat_map(|(id, _)| of(*id).into_iter().take(edges));
        let above = above.map(|share| share.map(|share| share * REQUESTS));
        let slower = Slower::new(self.slower_edges.as_slice().into(), above.collect::<Vec<_>>());
        counted.with_slower(slower)
    }

    /// The seven days before, on the version that all had.
    fn week(&self) -> Week {
        let week = Week::new(self.history());
        let Some(shares) = self.slower.get("1.0.0") else { return week };
        let counts = week.counts().clone();
        let of = |total: f64| shares.map(|share| share.map(|share| share * total));
        let above = counts.as_slice().iter().flat_map(|(_, counts)| of(counts.total));
        let slower = Slower::new(SLOWER_EDGES.into(), above);
        week.with_slower(slower)
    }

    fn history(&self) -> ByTenant<Counts> {
        if self.forgotten {
            return ByTenant::new(Vec::new());
        }
        let known = self.sims.iter().filter(|sim| !self.uninstrumented.contains(&sim.tenant.id));
        let bad = |id| if self.burned_before.contains(&id) { 20_000.0 } else { 100.0 };
        known.map(|sim| (sim.tenant.id, Counts { bad: bad(sim.tenant.id), total: 100_000.0 })).collect()
    }
}
