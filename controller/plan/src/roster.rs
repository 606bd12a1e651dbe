//! The roster: where every tenant stands under a course, and in which wave (R3-R6, R17, R24, R34, R39). Pure.

mod arms;
mod hubs;
mod rules;
mod standing;

use breakwater_crds::{
    rollout::RolloutSpec,
    scalars::Span,
    status::{WaveDraw, WaveStatus},
};
use breakwater_slo::TenantId;
use jiff::Timestamp;

use self::rules::{Ground, is_spared, standing};
pub use self::standing::{Place, Standing};
pub(crate) use self::{
    arms::{alert_arms, arm},
    hubs::{hold as hold_for_hub, hub_of},
    rules::seen_complete,
};
use crate::{
    course::Course,
    input::Input,
    observed::{Claim, Marker, Tenant},
    waves::{self, Draw, Drawn, Progress},
};

/// All tenants with their places under one course.
pub(crate) struct Roster<'a> {
    tenants: &'a [Tenant],
    places: Vec<Place>,
}

impl<'a> Roster<'a> {
    /// Looks at every tenant.
    pub(crate) fn call(input: &Input<'a>, course: &Course) -> Self {
        let (tenants, ground) = (input.fleet.tenants, Ground::of(input, course));
        let place = |tenant: &Tenant| Place {
            standing: standing(tenant, &ground),
            wave: marked_wave(tenant, &ground),
        };
        let mut places: Vec<Place> = tenants.iter().map(place).collect();
        assign_waves(tenants, &mut places, &ground);
        Self { tenants, places }
    }

    /// Looks at every tenant again, where a course turned into another one under which they may stand elsewhere.
    pub(crate) fn again(input: &Input<'a>, before: &Course, turned: &Course) -> Option<Self> {
        (!Ground::of(input, before).is_like(&Ground::of(input, turned))).then(|| Self::call(input, turned))
    }

    /// Tenants with their places, in the order in which they were observed.
    pub(crate) fn fleet(&self) -> impl Iterator<Item = (&'a Tenant, &Place)> {
        self.tenants.iter().zip(&self.places)
    }

    /// The places alone.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The places, in the order in which tenants were observed.
    pub(crate) fn into_places(self) -> Vec<Place> {
        self.places
    }

    /// The tenant at a place.
    pub(crate) fn at(&self, index: usize) -> (&'a Tenant, &Place) {
        (&self.tenants[index], &self.places[index])
    }

    /// What is written down of the draw of a wave: `percent` of the tenants, up to the last that no marker binds to it and no
    /// selector takes (R5).
    pub(crate) fn draw(&self, wave: usize, percent: f64, wanted: &str) -> WaveDraw {
        let is_bound = |tenant: &Tenant| own(tenant).is_some_and(|marker| *marker.target == *wanted);
        let drawn = self.fleet().filter(|(tenant, place)| {
            place.wave == Some(wave) && tenant.selector_wave.is_none() && !is_bound(tenant)
        });
        let last = drawn.map(|(tenant, _)| tenant.id.0).max().unwrap_or(0);
        WaveDraw { percent: percent.to_string(), up_to: last }
    }

    /// How many tenants stand as `which` says.
    pub(crate) fn count(&self, which: impl Fn(&Standing) -> bool) -> usize {
        self.places.iter().filter(|place| which(&place.standing)).count()
    }

    /// The next instant at which a tenant becomes warm or is late.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let instants = self.places.iter().flat_map(|Place { standing, .. }| {
            [standing.ready_warm_at(), standing.returned_warm_at(), standing.deadline()].into_iter().flatten()
        });
        instants.filter(|at| *at > now).min()
    }
}

/// The marker, if it is this Rollout's.
pub fn own(tenant: &Tenant) -> Option<&Marker> {
    tenant.marker.as_deref().filter(|marker| marker.claim == Claim::Own)
}

/// The wave that was written down when the tenant was touched for the version that goes in (R5).
fn marked_wave(tenant: &Tenant, ground: &Ground<'_>) -> Option<usize> {
    let marker = own(tenant)?;
    let keeps = *marker.target == *ground.wanted || ground.rejections.is_out(&marker.target);
    let keeps = keeps || is_spared(tenant, ground);
    let keeps = keeps || ground.reverting_since.is_some_and(|since| marker.written_at >= since);
    keeps.then(|| ground.spec.waves.iter().position(|wave| *wave.name == *marker.wave))?
}

/// Gives every live tenant without a written-down wave its own: selector, percent by draw, the rest (R5).
fn assign_waves(tenants: &[Tenant], places: &mut [Place], ground: &Ground<'_>) {
    let spec = ground.spec;
    let in_spec = |wave: &usize| *wave < spec.waves.len();
    let live: Vec<usize> = (0..tenants.len()).filter(|i| places[*i].standing.is_live()).collect();
    let drawn: Vec<Drawn> = live
        .iter()
        .map(|i| Drawn {
            draw: tenants[*i].id,
            bound: places[*i].wave.or_else(|| tenants[*i].selector_wave.map(usize::from).filter(in_spec)),
        })
        .collect();
    let progress =
        |wave: usize| ground.waves.get(wave).map_or(Progress::AHEAD, |status| progress(spec, wave, status));
    for (i, wave) in live.into_iter().zip(waves::assign(spec, &drawn, progress)) {
        let place = &mut places[i];
        place.wave = wave;
        if wave.is_none() && (place.standing == Standing::Pending || own(&tenants[i]).is_none()) {
            // What was touched stays known although no wave takes it any more: it is watched, and goes back.
            place.standing = Standing::Unmatched;
        }
    }
}

/// How far a wave is, by its status.
fn progress(spec: &RolloutSpec, wave: usize, status: &WaveStatus) -> Progress {
    let percent = spec.waves[wave].percent.map(|percent| percent.to_string());
    let draw = match (&status.drawn, status.started_at, status.passed_at) {
        // It was skipped: nobody is missed.
        (_, None, Some(_)) => Draw::UpTo(TenantId(0)),
        (None, Some(_), _) => Draw::Band,
        (Some(drawn), Some(_), _) if percent.as_ref() == Some(&drawn.percent) => {
            Draw::UpTo(TenantId(drawn.up_to))
        }
        (_, None, None) | (Some(_), Some(_), _) => Draw::Anew,
    };
    Progress { draw, is_passed: status.passed_at.is_some() }
}

/// `at` and a span later. Annotations and statuses can hold any instant, also the calendar's last.
pub fn after(at: Timestamp, span: Span) -> Timestamp {
    at.checked_add(span.as_duration()).unwrap_or(Timestamp::MAX)
}
