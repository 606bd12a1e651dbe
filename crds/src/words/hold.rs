//! Why nothing advances. Pure.

use super::table::words;

/// What hangs on a hold's reason.
struct Facts {
    what_to_do: &'static str,
    needs_human: bool,
    is_promotable: bool,
}

/// It ends by itself with its cause.
const fn passing(what_to_do: &'static str) -> Facts {
    Facts { what_to_do, needs_human: false, is_promotable: false }
}

/// Only a human ends it.
const fn human(what_to_do: &'static str) -> Facts {
    Facts { what_to_do, needs_human: true, is_promotable: false }
}

/// An SLO holds; it ends by itself, and a Promote goes on for this wave.
const fn promotable(what_to_do: &'static str) -> Facts {
    Facts { what_to_do, needs_human: false, is_promotable: true }
}

words! {
    /// Why nothing advances: the reason of the condition `Held`, and the word behind the phase in `status.summary`.
    HoldReason is a "hold reason" with Facts {
        Held: "A `Hold` action is in force." => human("`kubectl breakwater lift NAME SUBJECT`.");
        Paused: "`spec.paused` is true." => human("Set `paused: false` in Git.");
        Stopped: "A `Stop` action or `ConfigMap` `breakwater-stop` is in force: nothing is written, reverts included."
            => human("Lift it by name; `kubectl breakwater lift --all` deletes the `ConfigMap`.");
        NoData: "Prometheus is away, slow, partial, or says nothing of the candidates, or of the tenants before a wave's \
                 first write."
            => promotable("Mend Prometheus; the steps since are fetched again. After 30 m the condition `Blind` says \
               so too.");
        TelemetryLost: "The candidates' series are gone while the baseline's are there."
            => promotable("Does the new version still export its metrics?");
        Uninstrumented: "Too many candidates never had a series, or too many tenants of the wave that is to start."
            => human("Compare `tenantLabels` with `tenants.id`.");
        BurnRate: "A window of the error budget's burn rate holds, or the baseline burns as well (R14)."
            => promotable("Read the sentence: a shared outage ends it; one bad tenant wants a look, and goes back \
               alone with `onDeviation.scope: Tenant`.");
        SharpPath: "The sharp path holds: only once so far, one tenant alone, or the baseline burns as well (R14)."
            => promotable("Read the sentence: a shared outage ends it; one bad tenant wants a look, and goes back \
               alone with `onDeviation.scope: Tenant`.");
        Limit: "A `query` is beyond its `max` or `min`, and nobody can say yet that the release is at fault."
            => passing("Read the sentence; it ends once the value is back.");
        Comparison: "The comparison speaks against one tenant alone, or by the candidates' own past alone."
            => promotable("Look into it; `promote` goes on, `revert` takes the version out, \
               `onDeviation.scope: Tenant` sends a guilty tenant back by itself.");
        Uncalibrated: "The comparison may not speak: there is too little history, or it would have cried wolf on it (R13)."
            => promotable("Mend what the sentence names: longer `judge.history`, a wider margin, a noisy tenant left \
               out; `promote` accepts it for this wave.");
        Inconclusive: "An SLO asks to hold and names no guard." => passing("Read the sentence; it ends with its cause.");
        Insufficient: "The wave soaked for `judge.maxSoak` times its soak, and its traffic would still not have shown \
               what `judge.mustDetect` asks for."
            => human("`kubectl breakwater promote NAME` accepts it for this wave; or lower `judge.mustDetect`.");
        UpdateCost: "The restarts of the update cost more than `updateCost.max`."
            => promotable("Slow down (`maxConcurrent`), or mend the start-up; `promote` accepts it for this wave.");
        TooManyFailures: "More tenants failed than the wave bears; the cause is being looked up."
            => passing("Look at the tenants in `troubled`. What is not infrastructure becomes a deviation.");
        Infrastructure: "More tenants failed than the wave bears, because of infrastructure."
            => passing("Mend the images, nodes or volumes that the sentence names.");
        FleetUnready: "Tenants that were not updated are not ready either: the failures are not the version's alone (R14)."
            => passing("Mend what both versions share: nodes, network, a database. It ends with its cause.");
        NeverReady: "No tenant of the wave is ready, and none was before its update: readiness says nothing about the version."
            => human("Give `tenants.ready` a rule that your healthy tenants meet, or mend the tenants in `troubled`.");
        WritesRefused: "The API server refuses to have the tenants of the wave written; they are tried again."
            => passing("The sentence has its words: admission, quota, RBAC (`fleets` in the chart's values).");
        Contested: "Somebody changed the version of a marked tenant."
            => human("The manager is named: release the field there, or set the value back.");
        OwnerNotReleased: "A manager that is not in `takeFrom` owns the version."
            => human("The message has the snippet that releases it.");
        OtherHub: "Tenants carry the markers of another hub for a Rollout of this name: that hub is gone and this one was \
                   rebuilt, or two of one name fight."
            => human("If that hub is gone: `kubectl breakwater acknowledge NAME --hub ID --reason ...`. Else give one of \
               the two Rollouts another name.");
        EmptyWave: "No live tenant matches the wave's selector." => human("Mend the selector, or set `optional: true`.");
        OpenDeviations: "A deviation of another version was not answered, and `gates.openDeviations` is `Require`."
            => human("Look into it and close the report: `kubectl breakwater report NAME --close fixed --in VERSION`.");
        Migrations: "The Release's migrations are missing, or speak against the version ([releases](releases.md))."
            => human("Read the sentence; mend the evidence, or \
               `kubectl breakwater acknowledge NAME migrations --reason ...`.");
        LoadTest: "The Release's load test is missing, or speaks against the version ([releases](releases.md))."
            => human("Read the sentence; mend the evidence, or \
               `kubectl breakwater acknowledge NAME loadTest --reason ...`.");
        SoakGate: "Another Rollout has not soaked yet what the Release includes ([releases](releases.md))."
            => passing("Wait, or `kubectl breakwater acknowledge NAME soak --reason ...`.");
        Withdrawn: "A Release withdrew the version." => human("Another version; if it is under way: `revert`.");
        Emergency: "An Emergency release wants one human."
            => human("`kubectl breakwater acknowledge NAME emergency --reason ...`.");
        ReleasesUnread: "Releases cannot be listed, so nobody knows what they say." => human("The chart's RBAC and CRDs.");
        ReleasesBehind: "A Release was not assessed as it is now, so nobody knows what it says."
            => passing("Wait; the sentence names it. If it stays: the controller's log, and the Release's status.");
        RevertGated: "The version before does not run on the new schema: no revert by itself, however the SLOs fare."
            => human("The `DeviationReport` has the steps down; run them, then `kubectl breakwater acknowledge NAME \
               revert --reason ...`; or close the report, and the version goes on.");
        JobFailed: "A tenant's `downJob` or `beforeUpdateJob` failed, or could not be made."
            => human("Look at the Job, mend the cause, delete the Job: it is made anew.");
        Unmatched: "Tenants are in no wave, and `unmatched` is `Refuse`." => human("Mend the selectors.");
        NoTenants: "There are no live tenants at all." => passing("Mend the selectors, or wait until tenants are awake.");
        FleetUnknown: "Watches have not listed, or the kind is not served."
            => passing("RBAC (`fleets` in the chart's values), or the tenants' CRD.");
        Deviating: "There is a deviation, and `onDeviation.action` is `Hold`."
            => passing("Decide: `revert`, or wait until it is over.");
        Reverting: "Tenants on a rejected version go back first." => passing("Wait.");
        NewerState: "A newer controller stored what this one cannot read (R38)."
            => human("Run the newer controller, or delete what the sentence names.");
    }
}

impl HoldReason {
    /// What to do about it, in one line of Markdown.
    pub const fn what_to_do(self) -> &'static str {
        self.facts().what_to_do
    }

    /// Whether only a human ends it.
    pub const fn needs_human(self) -> bool {
        self.facts().needs_human
    }

    /// Whether a Promote answers it: an SLO holds, and nothing else does.
    pub const fn is_promotable(self) -> bool {
        self.facts().is_promotable
    }
}
