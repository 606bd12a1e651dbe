//! The marker: what Breakwater writes on a tenant beside the version (rule R17). Pure.

/// Label: hash of the hub and of the Rollout's namespace and name ([`RolloutIdentity::label`]), so that a watch by label finds
/// every touched tenant.
///
/// [`RolloutIdentity::label`]: crate::identity::RolloutIdentity::label
pub const ROLLOUT_LABEL: &str = "breakwater.dev/rollout";
/// Annotation: `namespace/name@hub` of the Rollout, for people and for another hub's controller.
pub const ROLLOUT_REF: &str = "breakwater.dev/rollout-ref";
/// Annotation: the version that the last write asked for.
pub const TARGET_VERSION: &str = "breakwater.dev/target-version";
/// Annotation: the tenant's last verified version, where a revert takes it.
pub const PREVIOUS_VERSION: &str = "breakwater.dev/previous-version";
/// Annotation: the wave in which the tenant was touched.
pub const WAVE: &str = "breakwater.dev/wave";
/// Annotation: when the write was sent, RFC 3339.
pub const WRITTEN_AT: &str = "breakwater.dev/written-at";
/// Annotation: `false` where the tenant was not ready before it left its last verified version: then its readiness says nothing
/// of the new one. Anything else, or none (markers of 0.1.0 have none), is `true`.
pub const READY_BEFORE: &str = "breakwater.dev/ready-before";
/// Annotation: the lease epoch of the writer (rule R26).
pub const EPOCH: &str = "breakwater.dev/epoch";
/// Namespace label: Rollouts of the named namespace may write tenants here (rule R39).
pub const CONSENT_LABEL: &str = "breakwater.dev/rollouts-from";
/// `ConfigMap` in the controller's namespace whose existence stops every write (rule R36).
pub const STOP_CONFIG_MAP: &str = "breakwater-stop";

/// FNV-1a (64 bit) over length-delimited parts, finished with murmur3's mixer; stable across versions,
/// machines and rebuilt clusters (rule R5).
pub fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        part.bytes().for_each(&mut feed);
        feed(0xff); // not a UTF-8 byte, so parts cannot run into each other
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r5_the_hash_is_the_same_on_every_machine_and_release() {
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
        // Pinned: a changed hash would move tenants between waves in mid-rollout.
        assert_eq!(format!("{:016x}", stable_hash(&["ops", "app", "tenants", "t-1"])), PINNED);
    }

    const PINNED: &str = "781d5d599a42323c";
}
