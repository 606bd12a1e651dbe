//! What is known of versions beside their tenants: Releases, and the soak of another Rollout. I/O.

use breakwater_crds::Rollout;
use breakwater_plan::{
    release::{Release, Soaked},
    spec::Checked,
};
use jiff::{SignedDuration, Timestamp};
use kube::Api;

use super::{context::Context, key::Key, reports};

/// How long another Rollout's soak is believed.
const SOAKED_AGE: SignedDuration = SignedDuration::from_secs(15);

/// What a session remembers of it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    releases: Vec<Release>,
    unread: Option<String>,
    /// Up to which change of theirs they were taken.
    changes: Option<u64>,
    soaked: Option<Result<Soaked, String>>,
    soaked_at: Option<Timestamp>,
}

impl Evidence {
    /// Releases that are for this Rollout.
    pub(super) fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Why they cannot be read, if so.
    pub(super) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// What the Rollout of `gates.soak` has soaked.
    pub(super) fn soaked(&self) -> Option<&Result<Soaked, String>> {
        self.soaked.as_ref()
    }

    /// Takes what there is now.
    pub(super) async fn refresh(&mut self, context: &Context, key: &Key, checked: &Checked) {
        let known = &context.mirrors.releases;
        let changes = *known.changes().borrow();
        if self.changes != Some(changes) {
            self.releases = known.of(&key.namespace, &key.name);
            self.unread = known.unread();
            self.changes = Some(changes);
        }
        let now = context.handles.now();
        let Some(gate) = &checked.spec.gates.soak else {
            (self.soaked, self.soaked_at) = (None, None);
            return;
        };
        if self.soaked_at.is_none_or(|at| now.duration_since(at) >= SOAKED_AGE) {
            self.soaked = Some(soaked(context, key, &gate.rollout.name).await);
            self.soaked_at = Some(now);
        }
    }
}

/// How another Rollout of the namespace has fared.
async fn soaked(context: &Context, key: &Key, name: &str) -> Result<Soaked, String> {
    let api: Api<Rollout> = Api::namespaced(context.handles.client().clone(), &key.namespace);
    let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
    let status = found.ok_or("there is none of that name")?.status.unwrap_or_default();
    let days = status.soaked_days.iter().map(|day| (day.day, day.seconds)).collect();
    let other = Key { namespace: key.namespace.clone(), name: name.to_owned() };
    let open = reports::cached(&context.mirrors.reports, &other).into_iter().filter_map(|report| {
        let answered = report.status.closed_by.is_some() || report.spec.is_answered_for("");
        // One whose time is not known stands in the way of whatever is asked about.
        Some((report.name, report.status.decided_at.unwrap_or(Timestamp::MAX))).filter(|_| !answered)
    });
    Ok(Soaked { days, open: open.collect() })
}
