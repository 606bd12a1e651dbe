//! What speaks against a version. Pure.

use super::table::words;

words! {
    /// Why a version deviates: the guard of an SLO that spoke, or what else a `DeviationReport` was written for.
    DeviationReason is a "deviation reason" {
        BurnRate: "A pair of windows of the error budget's burn rate.";
        SharpPath: "The sharp path.";
        Limit: "`max` or `min` of a `query`.";
        UpdateCost: "The share of bad events during warm-up.";
        TelemetryLost: "The candidates' series are gone while the baseline's are there.";
        NoData: "There are no data.";
        Comparison: "The sequential comparison with a baseline, of one SLO or of all together.";
        Uncalibrated: "The comparison is asked for and may not speak.";
        Inconclusive: "An SLO speaks, and no guard of it is named.";
        TooManyFailures: "More tenants of a wave failed than it bears.";
        Manual: "Somebody, or an alert, asked for a revert.";
        Rejected: "A report without a reason of its own rejects the version.";
    }
}
