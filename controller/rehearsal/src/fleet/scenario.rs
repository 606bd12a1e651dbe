//! What happens in a rehearsal and when, as users write it. Pure.

use std::collections::BTreeMap;

use breakwater_crds::{Percent, Span, action::Verb, report::InvestigationState};
use serde::{Deserialize, Serialize};

use super::{fault::Fault, lie::Lie, spec::FleetSpec};

/// A scenario, in YAML.
///
/// ```yaml
/// about: errors double in one tenant of ten
/// versions:
///   1.1.0: {errors: 1%, tenants: 10%}
/// events:
///   - {publish: 1.1.0}                          # at the start
///   - {at: 4d, prometheus: Away, for: 10h}      # four days after the start
///   - {after: Reverted, at: 20h, close: Fixed, fixedIn: 1.1.1}   # people have found the cause
///   - {after: Previous, at: 4h, publish: 1.1.1} # and publish what mends it
/// ```
///
/// Events happen in the order in which they stand. Each says exactly one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scenario {
    /// Its name; not in the YAML.
    #[serde(skip)]
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The fleet, if the scenario needs one of its own; `--fleet` wins.
    pub fleet: Option<FleetSpec>,
    /// What is wrong with which version. A version that is not named is healthy.
    pub versions: BTreeMap<String, Fault>,
    /// What happens, in order.
    pub events: Vec<Event>,
}

/// What an event waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// The start of the rehearsal.
    #[default]
    Start,
    /// The event before.
    Previous,
    /// Phase `Completed` with the version that was published last.
    Completed,
    /// Phase `Reverted` or `RevertedPartly`.
    Reverted,
    /// Phase `AwaitingApproval` or `Adopting`.
    AwaitingApproval,
    /// Phase `Reverting`.
    Reverting,
}

/// One thing that happens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Event {
    /// What it waits for first.
    pub after: After,
    /// So long after that.
    pub at: Span,
    /// `spec.version` is set to this.
    pub publish: Option<String>,
    /// Prometheus fails or lies like this.
    pub prometheus: Option<Lie>,
    /// Share of requests that fail in every tenant, whatever its version.
    pub outage: Option<Percent>,
    /// The API server answers nobody.
    pub api_server_away: bool,
    /// How long `prometheus`, `outage` and `apiServerAway` last.
    #[serde(rename = "for")]
    pub for_: Option<Span>,
    /// The controller is killed and started anew.
    pub restart_controller: bool,
    /// The controller's clock is stepped by this, forth (`30s`) or back (`-1h`).
    pub clock_step: Option<String>,
    /// A `RolloutAction` with this verb, about the version that was published last.
    pub act: Option<Verb>,
    /// The wave that `act: Approve` is about; default: the one that waits.
    pub wave: Option<String>,
    /// People close the open `DeviationReport`s with this answer; versions wait for it (`gates.openDeviations`).
    pub close: Option<InvestigationState>,
    /// The version that mends it; needed by `close: Fixed`.
    pub fixed_in: Option<String>,
    /// So many tenants are created.
    pub add_tenants: Option<usize>,
    /// So many tenants are deleted, the oldest first.
    pub remove_tenants: Option<usize>,
}

/// What an event does, once checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// `spec.version` is set.
    Publish(String),
    /// Prometheus fails.
    Prometheus(Lie, Option<Span>),
    /// Requests fail everywhere.
    Outage(Percent, Span),
    /// The API server is away.
    ApiServerAway(Span),
    /// The controller is killed and started anew.
    Restart,
    /// The controller's clock steps, by seconds.
    ClockStep(i64),
    /// A human, or a program, asks for something.
    Act(Verb, Option<String>),
    /// People answer the open reports.
    Close(InvestigationState, Option<String>),
    /// Tenants come.
    Add(usize),
    /// Tenants go.
    Remove(usize),
}

impl Event {
    /// The one thing that it says, or what is wrong with it.
    pub fn happening(&self) -> Result<Happening, String> {
        let needs = |what: &str| self.for_.ok_or_else(|| format!("{what} needs `for`: how long it lasts"));
        let mut all = Vec::new();
        all.extend(self.publish.clone().map(Happening::Publish));
        all.extend(self.prometheus.map(|lie| Happening::Prometheus(lie, self.for_)));
        if let Some(share) = self.outage {
            all.push(Happening::Outage(share, needs("outage")?));
        }
        if self.api_server_away {
            all.push(Happening::ApiServerAway(needs("apiServerAway")?));
        }
        all.extend(self.restart_controller.then_some(Happening::Restart));
        if let Some(step) = &self.clock_step {
            all.push(Happening::ClockStep(seconds(step)?));
        }
        all.extend(self.act.map(|verb| Happening::Act(verb, self.wave.clone())));
        if let Some(state) = self.close {
            let fixed_in = self.fixed_in.clone();
            if state == InvestigationState::Fixed && fixed_in.is_none() {
                return Err("close: Fixed needs `fixedIn`: the version that mends it".into());
            }
            all.push(Happening::Close(state, fixed_in));
        }
        all.extend(self.add_tenants.map(Happening::Add));
        all.extend(self.remove_tenants.map(Happening::Remove));
        let count = all.len();
        match all.pop() {
            Some(one) if count == 1 => Ok(one),
            _ => Err(format!(
                "says {count} things, and must say one of publish, prometheus, outage, apiServerAway, \
                 restartController, clockStep, act, close, addTenants, removeTenants"
            )),
        }
    }
}

fn seconds(step: &str) -> Result<i64, String> {
    let (sign, span) = step.strip_prefix('-').map_or((1, step), |rest| (-1, rest));
    let span: Span = span.parse().map_err(|why| format!("clockStep: {why}"))?;
    Ok(sign * span.as_seconds())
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".yaml")))),*]
    };
}

/// The scenarios that come with the program.
const SHIPPED: [(&str, &str); 15] = shipped![
    "story",
    "healthy-release",
    "errors-double",
    "latency-creep",
    "latency-below-threshold",
    "one-in-fifty-tenants",
    "slow-burn-over-days",
    "bad-at-peak-only",
    "fault-after-36-hours",
    "crash-loop",
    "shared-outage",
    "prometheus-away-overnight",
    "traffic-drop",
    "patch-release-during-soak",
    "controller-restarts-daily",
];

/// The Rollout that is rehearsed where none is given.
pub const ROLLOUT: &str = include_str!("../../scenarios/rollout.yaml");

impl Scenario {
    /// The one that is played where none is named.
    pub const DEFAULT: &'static str = "story";

    /// Reads YAML. The error names the field or the event, and what may stand there.
    pub fn parse(name: &str, yaml: &str) -> Result<Self, String> {
        let mut scenario: Self =
            serde_yaml::from_str(yaml).map_err(|why| format!("scenario {name}: {why}"))?;
        name.clone_into(&mut scenario.name);
        for (version, fault) in &scenario.versions {
            fault.check().map_err(|why| format!("scenario {name}: versions.{version}: {why}"))?;
        }
        for (n, event) in scenario.events.iter().enumerate() {
            event.happening().map_err(|why| format!("scenario {name}: events[{n}] {why}"))?;
        }
        if let Some(fleet) = &scenario.fleet {
            fleet.check().map_err(|why| format!("scenario {name}: {why}"))?;
        }
        Ok(scenario)
    }

    /// The shipped scenario of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = SHIPPED.iter().find(|(known, _)| *known == name);
        let (name, yaml) = found.ok_or_else(|| format!("there is no scenario {name:?}"))?;
        Self::parse(name, yaml)
    }

    /// Names and sentences of the shipped scenarios.
    pub fn shipped() -> Vec<(&'static str, String)> {
        let about = |yaml: &str| serde_yaml::from_str::<Self>(yaml).map(|s| s.about).unwrap_or_default();
        SHIPPED.iter().map(|(name, yaml)| (*name, about(yaml))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_read_and_says_what_it_is_about() {
        for (name, about) in Scenario::shipped() {
            let scenario = Scenario::named(name).unwrap_or_else(|why| panic!("{why}"));
            assert!(!about.is_empty() && !scenario.events.is_empty(), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named_with_what_may_stand_there() {
        let refused = |yaml: &str| Scenario::parse("mine", yaml).expect_err(yaml);
        assert!(refused("events: [{publish: 1.0.0, act: Revert}]").contains("events[0] says 2 things"));
        assert!(refused("events: [{at: 1d}]").contains("events[0] says 0 things"));
        assert!(refused("events: [{outage: 5%}]").contains("needs `for`"));
        assert!(refused("events: [{close: Fixed}]").contains("needs `fixedIn`"));
        assert!(refused("versions: {1.1.0: {erors: 5%}}").contains("erors"));
        assert!(refused("versions: {1.1.0: {errorsFactor: -1}}").contains("versions.1.1.0: errorsFactor"));
        assert!(refused("fleet: {tenants: 0}").contains("tenants is 0"));
    }
}
