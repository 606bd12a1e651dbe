//! What is asked of the controller: a verb and the Rollout as it stands in, a `RolloutAction` or a refusal out. Pure.
//!
//! Only what cannot be meant is refused here; whether an action is honoured is the controller's word.

use breakwater_crds::{
    Phase, Rollout, RolloutActionSpec, RolloutStatus, Verb,
    action::{HUB_SUBJECT, Source},
    identity::is_hub_id,
    rollout::Approval,
    status::{Brake, BrakeKind, WaveStatus},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::args::Gate;

/// What is asked, before it is known by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// The version that is meant.
    pub version: Option<String>,
    /// The wave that is meant.
    pub wave: Option<String>,
    /// The Hold or Stop that is lifted.
    pub subject: Option<String>,
    /// What kind of brake that is.
    pub lifts: Option<BrakeKind>,
    /// When a Hold or Stop ends by itself.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

impl Request {
    const fn new(verb: Verb) -> Self {
        Self {
            verb,
            version: None,
            wave: None,
            subject: None,
            lifts: None,
            until: None,
            reason: String::new(),
        }
    }

    /// The action's spec, in the name of `requested_by`.
    pub fn into_spec(self, rollout: &str, requested_by: &str) -> RolloutActionSpec {
        let Self { verb, version, wave, subject, lifts, until, reason } = self;
        RolloutActionSpec {
            rollout: rollout.to_owned(),
            verb,
            version,
            wave,
            subject,
            lifts,
            until,
            reason,
            requested_by: requested_by.to_owned(),
            source: Some(Source { kind: "Kubectl".into(), ref_: String::new(), on_behalf_of: String::new() }),
            expires_at: None,
        }
    }
}

/// Approves a wave: the named one, else the one that waits.
pub fn approve(rollout: &Rollout, wave: Option<String>, version: Option<String>) -> Result<Request, String> {
    let status = status(rollout)?;
    let wave = match wave {
        Some(wave) => known_wave(rollout, wave)?,
        None => waiting_wave(rollout, status).ok_or_else(|| {
            format!("rollout {} waits for no approval: {}", full_name(rollout), doing(rollout, status))
        })?,
    };
    let wanted = (status.phase == Phase::Adopting).then(|| rollout.spec.version.clone());
    let version = version.or(wanted).map_or_else(|| under_way(rollout, status, "approve"), Ok)?;
    Ok(Request { version: Some(version), wave: Some(wave), ..Request::new(Verb::Approve) })
}

/// Ends the soak of the wave in flight.
pub fn promote(rollout: &Rollout) -> Result<Request, String> {
    let status = status(rollout)?;
    let version = under_way(rollout, status, "promote")?;
    match status.phase {
        Phase::Advancing | Phase::Soaking => {
            Ok(Request { version: Some(version), wave: status.wave.clone(), ..Request::new(Verb::Promote) })
        }
        Phase::AwaitingApproval => Err(format!(
            "rollout {} soaks no wave: {}; to let it go on: kubectl breakwater approve {}",
            full_name(rollout),
            doing(rollout, status),
            rollout.name_any()
        )),
        _ => Err(format!("rollout {} soaks no wave: {}", full_name(rollout), doing(rollout, status))),
    }
}

/// Takes a version out: the named one, else the one under way.
pub fn revert(rollout: &Rollout, version: Option<String>, reason: String) -> Result<Request, String> {
    let status = status(rollout)?;
    let version = version.map_or_else(|| under_way(rollout, status, "revert"), Ok)?;
    Ok(Request { version: Some(version), reason, ..Request::new(Verb::Revert) })
}

/// Closes a rejection: of the named version, else of the one rejected last.
pub fn retry(rollout: &Rollout, version: Option<String>) -> Result<Request, String> {
    let rejected = &status(rollout)?.rejected;
    let name = full_name(rollout);
    let version = match version {
        Some(version) if rejected.is_empty() || rejected.contains(&version) => version,
        Some(version) => {
            return Err(format!(
                "rollout {name} does not reject {version}; rejected are {}",
                rejected.join(", ")
            ));
        }
        None => rejected.first().cloned().ok_or_else(|| format!("rollout {name} rejects no version"))?,
    };
    Ok(Request { version: Some(version), ..Request::new(Verb::Retry) })
}

/// Passes a gate: for the named version, else the one that it is about.
pub fn acknowledge(rollout: &Rollout, gate: Gate, version: Option<String>, reason: String) -> Request {
    let under_way = rollout.status.as_ref().and_then(|status| status.candidate_version.clone());
    let about = under_way.filter(|_| gate == Gate::Revert).unwrap_or_else(|| rollout.spec.version.clone());
    let subject = Some(gate.subject().to_string());
    Request { version: Some(version.unwrap_or(about)), subject, reason, ..Request::new(Verb::Acknowledge) }
}

/// Takes over the markers of another hub.
pub fn take_over(hub: &str, reason: String) -> Result<Request, String> {
    if !is_hub_id(hub) {
        return Err(format!("{hub:?} is no hub's id: the Rollout's message and its status name it"));
    }
    Ok(Request { subject: Some(format!("{HUB_SUBJECT}{hub}")), reason, ..Request::new(Verb::Acknowledge) })
}

/// A Hold or a Stop (`verb`), in force until it is lifted or its time is over.
pub fn brake(verb: Verb, until: Option<Timestamp>, reason: String) -> Request {
    Request { until, reason, ..Request::new(verb) }
}

/// Lifts the named brake, else the only one in force, or every one of them.
pub fn lift(rollout: &Rollout, subject: Option<String>, all: bool) -> Result<Vec<Request>, String> {
    let brakes: &[Brake] = rollout.status.as_ref().map_or(&[], |status| &status.brakes);
    let name = full_name(rollout);
    let names: Vec<String> = brakes.iter().map(|brake| brake.name.clone()).collect();
    let lifted = match (subject, names.as_slice()) {
        (_, []) if rollout.spec.paused => {
            return Err(format!(
                "rollout {name} has no Hold or Stop to lift: its spec says paused, which is Git's to end"
            ));
        }
        (_, []) => return Err(format!("rollout {name} has no Hold or Stop to lift")),
        (Some(subject), _) if names.contains(&subject) => vec![subject],
        (Some(subject), _) => {
            return Err(format!(
                "rollout {name} has no Hold or Stop {subject}; in force are {}",
                names.join(", ")
            ));
        }
        (None, [_]) => names,
        (None, _) if all => names,
        (None, _) => {
            let names = names.join(", ");
            return Err(format!(
                "rollout {name} has several Holds and Stops: name one of {names}, or say --all"
            ));
        }
    };
    let request = |name: String| {
        let lifts = brakes.iter().find(|brake| brake.name == name).map(|brake| brake.kind);
        Request { subject: Some(name), lifts, ..Request::new(Verb::Lift) }
    };
    Ok(lifted.into_iter().map(request).collect())
}

fn status(rollout: &Rollout) -> Result<&RolloutStatus, String> {
    rollout.status.as_ref().ok_or_else(|| {
        format!(
            "rollout {} has no status: no controller has looked at it yet; is Breakwater running?",
            full_name(rollout)
        )
    })
}

fn under_way(rollout: &Rollout, status: &RolloutStatus, verb: &str) -> Result<String, String> {
    status.candidate_version.clone().ok_or_else(|| {
        let name = full_name(rollout);
        format!("rollout {name} has no version under way to {verb}: {}", doing(rollout, status))
    })
}

/// `it is Soaking in wave early`.
fn doing(rollout: &Rollout, status: &RolloutStatus) -> String {
    let summary = super::tree::phase(rollout);
    match (&status.wave, status.phase.is_under_way()) {
        (Some(wave), true) => format!("it is {summary} in wave {wave}"),
        _ => match (&status.stable_version, status.phase) {
            (Some(stable), Phase::Completed) => format!("it is {summary} on {stable}"),
            _ => format!("it is {summary}"),
        },
    }
}

fn known_wave(rollout: &Rollout, wave: String) -> Result<String, String> {
    let waves = &rollout.spec.all_waves();
    if waves.iter().any(|known| known.name == wave) {
        return Ok(wave);
    }
    let names: Vec<_> = waves.iter().map(|wave| wave.name.as_str()).collect();
    Err(format!("rollout {} has no wave {wave}; its waves are {}", full_name(rollout), names.join(", ")))
}

/// The wave that an approval would move: the first in an adoption, else the first unpassed one, if it lacks its word.
fn waiting_wave(rollout: &Rollout, status: &RolloutStatus) -> Option<String> {
    match status.phase {
        Phase::Adopting => rollout.spec.waves.first().map(|wave| wave.name.clone()),
        Phase::AwaitingApproval => {
            let wave = status.waves.iter().find(|wave| wave.passed_at.is_none())?;
            let spec = rollout.spec.all_waves().into_iter().find(|spec| spec.name == wave.name)?;
            lacks_approval(spec.approval, wave).then(|| wave.name.clone())
        }
        _ => None,
    }
}

const fn lacks_approval(approval: Option<Approval>, wave: &WaveStatus) -> bool {
    match approval {
        Some(Approval::Before) => wave.approved_before.is_none() && wave.started_at.is_none(),
        Some(Approval::After) => wave.approved_after.is_none(),
        None => false,
    }
}

fn full_name(rollout: &Rollout) -> String {
    format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tree::tests::{adopting, awaiting_approval, completed, reverted, soaking_held};

    #[test]
    fn an_approval_goes_to_the_wave_and_version_that_wait() {
        let request = approve(&awaiting_approval(), None, None).unwrap();
        assert_eq!((request.wave.as_deref(), request.version.as_deref()), (Some("rest"), Some("10.5.2")));
    }

    #[test]
    fn r33_an_adoption_waits_for_its_first_wave_and_the_wanted_version() {
        let request = approve(&adopting(), None, None).unwrap();
        assert_eq!(
            (request.wave.as_deref(), request.version.as_deref()),
            (Some("community"), Some("10.5.2"))
        );
    }

    #[test]
    fn an_approval_that_nothing_waits_for_says_what_goes_on() {
        let refusal = approve(&soaking_held(), None, None).unwrap_err();
        assert_eq!(
            refusal,
            "rollout ops/app waits for no approval: it is Soaking (Held: 1 hold) in wave early"
        );
        let refusal = approve(&soaking_held(), Some("erly".into()), None).unwrap_err();
        assert_eq!(refusal, "rollout ops/app has no wave erly; its waves are community, early, half, rest");
    }

    #[test]
    fn a_promote_names_the_wave_and_the_version_in_flight() {
        let request = promote(&soaking_held()).unwrap();
        assert_eq!((request.wave.as_deref(), request.version.as_deref()), (Some("early"), Some("10.5.2")));
        let refusal = promote(&completed()).unwrap_err();
        assert_eq!(refusal, "rollout ops/app has no version under way to promote: it is Completed on 10.5.2");
    }

    #[test]
    fn a_retry_takes_the_version_rejected_last() {
        assert_eq!(retry(&reverted(), None).unwrap().version.as_deref(), Some("10.5.2"));
        assert_eq!(retry(&completed(), None).unwrap_err(), "rollout ops/app rejects no version");
    }

    #[test]
    fn a_lift_needs_no_name_where_there_is_one_brake_only() {
        let mut rollout = soaking_held();
        assert_eq!(lift(&rollout, None, false).unwrap()[0].subject.as_deref(), Some("app-hold-x7k2p"));
        let status = rollout.status.as_mut().unwrap();
        let second = Brake { name: "app-stop-2".into(), ..status.brakes[0].clone() };
        status.brakes.push(second);
        let refusal = lift(&rollout, None, false).unwrap_err();
        assert!(refusal.contains("name one of app-hold-x7k2p, app-stop-2"), "{refusal}");
        assert_eq!(lift(&rollout, None, true).unwrap().len(), 2);
        assert!(lift(&rollout, Some("other".into()), false).is_err());
    }

    #[test]
    fn an_acknowledgement_is_about_what_is_wanted_or_of_a_revert_about_what_is_under_way() {
        let mut rollout = soaking_held();
        rollout.spec.version = "10.6.0".into();
        let asked = |gate| acknowledge(&rollout, gate, None, "looked at".into());
        assert_eq!(asked(Gate::Revert).version.as_deref(), Some("10.5.2"));
        let loads = asked(Gate::LoadTest);
        assert_eq!((loads.version.as_deref(), loads.subject.as_deref()), (Some("10.6.0"), Some("loadTest")));
    }

    #[test]
    fn an_action_carries_the_name_of_who_asks() {
        let spec = brake(Verb::Stop, None, "page".into()).into_spec("app", "alice");
        assert_eq!((spec.requested_by.as_str(), spec.rollout.as_str()), ("alice", "app"));
        assert_eq!(spec.source.unwrap().kind, "Kubectl");
    }
}
