//! What a Release's evidence comes to. Pure.

use super::table::words;

words! {
    /// When a migration may run, the mildest first.
    Impact is a "impact" {
        Quiet: "Any time.";
        OffHours: "Outside business hours.";
        Downtime: "A large table is unavailable meanwhile.";
        Unknown: "Not known: to be taken for `Downtime`.";
    }
}

words! {
    /// What a revert to the version before needs, the mildest first.
    RevertSafety is a "revert safety" {
        RevertSafe: "The old binary runs on the new schema.";
        RevertNeedsDown: "The down files have to run first, and they lose nothing.";
        RevertLosesData: "Data are lost, with or without the down files.";
        Unknown: "Not known: to be taken for `RevertLosesData`.";
    }
}

words! {
    /// What a load test comes to, the mildest first.
    LoadTestVerdict is a "load-test verdict" {
        Pass: "Nothing is worse by more than noise.";
        Warn: "Something is worse, though not where, or not by as much as, users would feel.";
        Fail: "Something is worse, for certain, by much, and users are on it.";
        NoData: "Not enough to compare: never a pass.";
    }
}
