//! The tenants a human may want to look at, worst first, at most 32 (rule R27). Pure.

use breakwater_crds::{
    marker::CONSENT_LABEL,
    status::{ENTRY_MESSAGE_MAX, TROUBLED_MAX, TroubledTenant},
    words,
};
use breakwater_slo::TenantId;

use crate::{
    course::{Course, is_known},
    input::Input,
    observed::{Cause, Readiness, Reading, Tenant},
    roster::{Place, Roster, Standing, hub_of, own},
    said::clip_to,
};

/// Names them. Words are made for those only that are listed. `diagnose` are those whose cause is looked up.
pub(super) fn troubled(
    input: &Input<'_>,
    course: &Course,
    roster: &Roster<'_>,
    diagnose: &[TenantId],
) -> Vec<TroubledTenant> {
    let of_rank = |(tenant, place)| Some((trouble(input, course, tenant, place)?, tenant, place));
    let mut listed: Vec<(Trouble, &Tenant, &Place)> = roster.fleet().filter_map(of_rank).collect();
    let key = |(trouble, tenant, _): &(Trouble, &Tenant, &Place)| {
        (*trouble, tenant.namespace.clone(), tenant.name.clone())
    };
    if listed.len() > TROUBLED_MAX {
        listed.select_nth_unstable_by_key(TROUBLED_MAX, key);
        listed.truncate(TROUBLED_MAX);
    }
    listed.sort_by_key(key);
    let named = listed.into_iter().map(|(trouble, tenant, place)| {
        let wave = place.wave.and_then(|wave| course.waves.get(wave)).map(|wave| wave.name.clone());
        let mut listed = TroubledTenant {
            namespace: tenant.namespace.to_string(),
            name: tenant.name.to_string(),
            wave: wave.unwrap_or_default(),
            reason: trouble.word().into(),
            message: clip_to(&trouble.message(input, course, tenant), ENTRY_MESSAGE_MAX),
        };
        if diagnose.contains(&tenant.id) && !input.fleet.causes.contains_key(&tenant.id) {
            keep_message(&mut listed, &input.status.troubled);
        }
        listed
    });
    named.collect()
}

/// Says what was said before: a cause that is looked up again is not forgotten meanwhile, or the status would change to and fro.
fn keep_message(listed: &mut TroubledTenant, before: &[TroubledTenant]) {
    let same = |before: &&TroubledTenant| {
        (&before.namespace, &before.name, &before.reason) == (&listed.namespace, &listed.name, &listed.reason)
    };
    if let Some(before) = before.iter().find(same) {
        listed.message.clone_from(&before.message);
    }
}

/// What a human may want to look at, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    RevertFailed,
    NoSafeVersion,
    Untouched,
    Failed,
    Contested,
    WriteRefused,
    OwnerNotReleased,
    Reverted,
    NotReadyBefore,
    PreviousUnknown,
    Unreadable,
    Claimed,
    NoConsent,
}

impl Trouble {
    const fn word(self) -> words::Trouble {
        match self {
            Self::RevertFailed => words::Trouble::RevertFailed,
            Self::NoSafeVersion | Self::Untouched => words::Trouble::NoSafeVersion,
            Self::Failed => words::Trouble::Failed,
            Self::Contested => words::Trouble::Contested,
            Self::WriteRefused => words::Trouble::WriteRefused,
            Self::OwnerNotReleased => words::Trouble::OwnerNotReleased,
            Self::Reverted => words::Trouble::Reverted,
            Self::NotReadyBefore => words::Trouble::NotReadyBefore,
            Self::PreviousUnknown => words::Trouble::PreviousUnknown,
            Self::Unreadable => words::Trouble::Unreadable,
            Self::Claimed => words::Trouble::Claimed,
            Self::NoConsent => words::Trouble::NoConsent,
        }
    }

    fn message(self, input: &Input<'_>, course: &Course, tenant: &Tenant) -> String {
        let owner = tenant.foreign_owner.as_deref().unwrap_or("somebody");
        match self {
            Self::RevertFailed | Self::Failed => match input.fleet.causes.get(&tenant.id) {
                Some(Cause::Application(how) | Cause::Infrastructure(how)) => how.clone(),
                Some(Cause::Unknown) | None => not_ready(tenant),
            },
            Self::NotReadyBefore => not_ready(tenant),
            Self::NoSafeVersion => "every version it came from is rejected".into(),
            Self::Untouched => {
                "it was found on a rejected version, and nobody knows which one it had before".into()
            }
            Self::Contested => format!("version changed by {owner}"),
            Self::WriteRefused => input.fleet.problems.get(&tenant.id).cloned().unwrap_or_default(),
            Self::OwnerNotReleased => format!("version is owned by {owner}"),
            Self::PreviousUnknown => {
                let named = own(tenant).map_or("", |marker| &marker.previous);
                format!("its marker says that it came from {named:?}, which this Rollout never saw")
            }
            Self::Unreadable => match &tenant.version {
                Reading::Unreadable(why) => why.to_string(),
                Reading::Version(_) => String::new(),
            },
            Self::Reverted => {
                let wanted = course.wanted();
                let since =
                    course.rejections.spared.since(tenant.id, wanted).map(|at| format!(" since {at:.0}"));
                format!("{wanted} is rejected for it alone{}", since.unwrap_or_default())
            }
            Self::Claimed => match hub_of(tenant) {
                Some(hub) => format!("marked by hub {hub} for a Rollout of this name"),
                None => "marked by another Rollout".into(),
            },
            Self::NoConsent => {
                format!("namespace lacks the label {CONSENT_LABEL}")
            }
        }
    }
}

/// Why a tenant is not ready, in its object's words.
fn not_ready(tenant: &Tenant) -> String {
    match &tenant.readiness {
        Readiness::NotReady { reason } => reason.to_string(),
        Readiness::Ready { .. } => String::new(),
    }
}

fn trouble(input: &Input<'_>, course: &Course, tenant: &Tenant, place: &Place) -> Option<Trouble> {
    let (problems, out) = (input.fleet.problems, &course.rejections.out);
    let refused =
        || (!problems.is_empty() && problems.contains_key(&tenant.id)).then_some(Trouble::WriteRefused);
    let untouched = || {
        let on_rejected = |version: &std::sync::Arc<str>| out.contains(&**version);
        let on_rejected = !out.is_empty() && tenant.version.version().is_some_and(on_rejected);
        (on_rejected && own(tenant).is_none()).then_some(Trouble::Untouched)
    };
    let unknown = || {
        let named = own(tenant).map(|marker| &*marker.previous);
        named
            .is_some_and(|version| !is_known(&input.status.known_versions, version))
            .then_some(Trouble::PreviousUnknown)
    };
    match &place.standing {
        Standing::ReturnFailed => Some(Trouble::RevertFailed),
        Standing::Outgoing if !course.way(input).has_safe(tenant) => Some(Trouble::NoSafeVersion),
        Standing::Failed => Some(Trouble::Failed),
        Standing::Unready => Some(Trouble::NotReadyBefore),
        Standing::Contested => Some(Trouble::Contested),
        Standing::NotReleased => Some(Trouble::OwnerNotReleased),
        Standing::Spared => Some(Trouble::Reverted),
        Standing::Unreadable => Some(Trouble::Unreadable),
        Standing::Claimed => Some(Trouble::Claimed),
        Standing::Unconsented => Some(Trouble::NoConsent),
        Standing::Pending | Standing::Updating { .. } | Standing::Ready { .. } => {
            untouched().or_else(refused).or_else(unknown)
        }
        Standing::Outgoing | Standing::Returning { .. } | Standing::Returned { .. } | Standing::Unsure => {
            refused().or_else(unknown)
        }
        Standing::Ignored | Standing::Dormant | Standing::Ahead | Standing::Unmatched => None,
    }
}
