//! Who is who: a tenant, and the Rollout that a marker speaks of. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::marker::stable_hash;

/// A tenant. `S` is how its texts are held: borrowed where they are only hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct TenantIdentity<S = String> {
    /// The cluster that it is in; empty: the hub's own.
    pub cluster: S,
    /// Its kind.
    pub kind: S,
    /// Its namespace.
    pub namespace: S,
    /// Its name.
    pub name: S,
}

impl<S: AsRef<str>> TenantIdentity<S> {
    /// The tenant's draw within the Rollout `namespace/name`: identity, percent draw and order at once (R5). The hub does not
    /// count, so that a hub that is rebuilt draws alike. Nor does the kind: a Rollout has one.
    pub fn draw(&self, namespace: &str, name: &str) -> u64 {
        let (own_namespace, own_name) = (self.namespace.as_ref(), self.name.as_ref());
        match self.cluster.as_ref() {
            "" => stable_hash(&[namespace, name, own_namespace, own_name]),
            cluster => stable_hash(&[namespace, name, cluster, own_namespace, own_name]),
        }
    }
}

/// The Rollout that a marker speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct RolloutIdentity<S = String> {
    /// The hub: the controller's own cluster, or what it was told to be. Empty: a marker that was written before hubs had names.
    pub hub: S,
    /// The Rollout's namespace.
    pub namespace: S,
    /// The Rollout's name.
    pub name: S,
}

impl<S: AsRef<str>> RolloutIdentity<S> {
    /// The value of the marker's label: 16 hex digits of a hash, never of the Rollout's UID, so that it survives deletion and
    /// re-creation.
    pub fn label(&self) -> String {
        let (namespace, name) = (self.namespace.as_ref(), self.name.as_ref());
        let hash = match self.hub.as_ref() {
            "" => stable_hash(&[namespace, name]),
            hub => stable_hash(&[hub, namespace, name]),
        };
        format!("{hash:016x}")
    }
}

impl<'a> RolloutIdentity<&'a str> {
    /// The Rollout as it is known where no hub is meant: on its Jobs, and on markers from before hubs had names.
    pub const fn local(namespace: &'a str, name: &'a str) -> Self {
        Self { hub: "", namespace, name }
    }

    /// Reads the annotation `rollout-ref` back.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rollout, hub) = text.split_once('@').unwrap_or((text, ""));
        let (namespace, name) = rollout.split_once('/')?;
        Some(Self { hub, namespace, name })
    }
}

/// As in the annotation `rollout-ref`: `namespace/name@hub`, or `namespace/name`.
impl<S: AsRef<str>> fmt::Display for RolloutIdentity<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, name) = (self.namespace.as_ref(), self.name.as_ref());
        match self.hub.as_ref() {
            "" => write!(f, "{namespace}/{name}"),
            hub => write!(f, "{namespace}/{name}@{hub}"),
        }
    }
}

/// Most characters of a hub's id.
pub const HUB_ID_MAX: usize = 63;

/// Whether a text may name a hub: it stands in annotations, in names of commands and in an Acknowledge's subject.
pub fn is_hub_id(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= HUB_ID_MAX
        && bytes.iter().copied().all(inner)
        && outer(bytes.first())
        && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant<'a>(cluster: &'a str, namespace: &'a str, name: &'a str) -> TenantIdentity<&'a str> {
        TenantIdentity { cluster, kind: "Deployment", namespace, name }
    }

    #[test]
    fn r5_the_draws_of_fleets_that_are_under_way_are_what_they_were() {
        // Of 0.1.0: another draw would move tenants between waves in mid-rollout.
        for (namespace, name, draw) in DRAWS {
            assert_eq!(tenant("", namespace, name).draw("ops", "app"), draw, "{namespace}/{name}");
        }
        assert_ne!(
            tenant("eu1", "tenants", "t-1").draw("ops", "app"),
            tenant("", "tenants", "t-1").draw("ops", "app")
        );
        let other = TenantIdentity { kind: "Mattermost", ..tenant("", "tenants", "t-1") };
        assert_eq!(other.draw("ops", "app"), tenant("", "tenants", "t-1").draw("ops", "app"));
    }

    #[test]
    fn r17_the_labels_of_markers_without_a_hub_are_what_they_were() {
        let rollout = RolloutIdentity { hub: "", namespace: "shop", name: "shop" };
        assert_eq!(rollout.label(), LABEL);
        assert_ne!(RolloutIdentity { hub: "eu", ..rollout }.label(), LABEL);
        assert_ne!(
            RolloutIdentity { hub: "eu", ..rollout }.label(),
            RolloutIdentity { hub: "us", ..rollout }.label()
        );
    }

    #[test]
    fn a_reference_is_read_back() {
        for text in ["ops/app", "ops/app@c0ffee00-1234", "ops/app@eu.example"] {
            assert_eq!(
                RolloutIdentity::parse(text).map(|rollout| rollout.to_string()).as_deref(),
                Some(text)
            );
        }
        assert_eq!(RolloutIdentity::parse("app"), None);
    }

    const DRAWS: [(&str, &str, u64); 4] = [
        ("tenants", "t-1", 0x781d_5d59_9a42_323c),
        ("tenants", "t-2", 0xa1ed_4125_5c35_629a),
        ("shop", "tenant-00000", 0xcce6_1e5e_e5fa_f525),
        ("a-b", "c", 0x79fc_1652_8475_dd4a),
    ];
    const LABEL: &str = "274d502beb3a9f65";
}
