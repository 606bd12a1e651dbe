//! Keeping a report within its size, whatever was put into it. Pure.

use breakwater_text::cut::store;

use super::{
    ACTIONS_MAX, ALERTS_MAX, APPENDED_MAX, CHANGES_MAX, DOWN_SQL_MAX, DOWN_STEPS_MAX, DeviationReportStatus,
    LeftOut, NOT_BACK_MAX, REJECTED_FOR_MAX, REPORT_MAX_BYTES, SloAccount, WORST_MAX,
    account::{POINTS_MAX, QUERY_MAX},
};
use crate::status::{ENTRY_MESSAGE_MAX, MESSAGE_MAX, REQUESTER_MAX, VERSIONS_MAX, json_bytes};

/// Most holds and stops.
const BRAKES_MAX: usize = 32;
/// Most limits of one SLO.
const LIMITS_MAX: usize = 16;
/// Longest `namespace/name`, in bytes: both at Kubernetes' own limits.
const TENANT_MAX: usize = 63 + 1 + 253;
/// By how much lists are shortened where their bounds are not enough.
const SHORTER: usize = 4;

impl DeviationReportStatus {
    /// Keeps the report within [`REPORT_MAX_BYTES`]: cuts lists and texts to their bounds and counts what was left out;
    /// where that is not enough forgets first the judges' sums, then most of the lists, then charts, queries and limits of
    /// SLOs that did not speak. What became of which version, when and why is never dropped. Doing it twice changes nothing.
    pub fn bound(&mut self) {
        self.cut_lists(1);
        self.cut_texts();
        if self.is_too_large() {
            self.slos.iter_mut().for_each(|slo| slo.judge = None);
        }
        if self.is_too_large() {
            self.cut_lists(SHORTER);
        }
        let spoke = self.slo.clone();
        while self.is_too_large() {
            let spare = |slo: &&mut SloAccount| slo.chart.is_some() && Some(&slo.name) != spoke.as_ref();
            let Some(slo) = self.slos.iter_mut().rev().find(spare) else { break };
            slo.chart = None;
            slo.query.clear();
            slo.limits.clear();
        }
    }

    fn is_too_large(&self) -> bool {
        json_bytes(self) > REPORT_MAX_BYTES
    }

    /// Cuts lists to an `nth` of their bounds: of what comes in order of time the newest stays, else what is first.
    fn cut_lists(&mut self, nth: usize) {
        let out = [
            ("worst", keep_first(&mut self.worst, WORST_MAX / nth)),
            // Whom it is rejected for is a decision, and is never shortened further.
            ("rejectedFor", keep_first(&mut self.rejected_for, REJECTED_FOR_MAX)),
            ("notBack", keep_first(&mut self.not_back, NOT_BACK_MAX / nth)),
            ("alerts", keep_first(&mut self.alerts, ALERTS_MAX / nth)),
            ("brakes", keep_first(&mut self.brakes, BRAKES_MAX / nth)),
            ("versions", keep_first(&mut self.versions, VERSIONS_MAX / nth)),
            ("actions", keep_last(&mut self.actions, ACTIONS_MAX / nth)),
            ("changes", keep_last(&mut self.changes, CHANGES_MAX / nth)),
            ("appended", keep_last(&mut self.appended, APPENDED_MAX / nth)),
            ("downSteps", keep_first(&mut self.down_steps, DOWN_STEPS_MAX)),
        ];
        for (what, count) in out {
            self.leave_out(what, count);
        }
        self.cut_steps();
        for slo in &mut self.slos {
            keep_first(&mut slo.limits, LIMITS_MAX);
            if let Some(chart) = &mut slo.chart {
                for arm in [&mut chart.candidates, &mut chart.baseline] {
                    arm.bad.truncate(POINTS_MAX);
                    arm.total.truncate(POINTS_MAX);
                }
                chart.values.truncate(POINTS_MAX);
            }
        }
    }

    /// Half of an SQL text would be run as if it were whole: what does not fit is named instead.
    fn cut_steps(&mut self) {
        let mut left = DOWN_SQL_MAX;
        for step in &mut self.down_steps {
            match left.checked_sub(step.sql.len()) {
                Some(rest) => left = rest,
                None => step.sql = format!("-- too long to be shown here: run {} itself", step.file),
            }
        }
    }

    /// Notes that so many entries of a list are not in the report.
    pub fn leave_out(&mut self, what: &str, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count == 0 {
            return;
        }
        match self.left_out.iter_mut().find(|left| left.what == what) {
            Some(left) => left.count = left.count.saturating_add(count),
            None => self.left_out.push(LeftOut { what: what.into(), count }),
        }
    }

    fn cut_texts(&mut self) {
        for text in [&mut self.message, &mut self.answer, &mut self.compared_with] {
            store(text, MESSAGE_MAX);
        }
        store(&mut self.requested_by, 4 * REQUESTER_MAX);
        self.appended.iter_mut().for_each(|more| store(&mut more.message, MESSAGE_MAX));
        let told = self.actions.iter_mut().chain(&mut self.changes).map(|told| &mut told.message);
        told.chain(&mut self.alerts).for_each(|text| store(text, MESSAGE_MAX));
        self.brakes.iter_mut().for_each(|text| store(text, 2 * ENTRY_MESSAGE_MAX));
        let worst = self.worst.iter_mut().map(|worst| &mut worst.tenant);
        let rejected_for = self.rejected_for.iter_mut().map(|rejected| &mut rejected.tenant);
        worst.chain(&mut self.not_back).chain(rejected_for).for_each(|tenant| store(tenant, TENANT_MAX));
        for slo in &mut self.slos {
            store(&mut slo.query, QUERY_MAX);
            store(&mut slo.measures, QUERY_MAX / 4);
            store(&mut slo.message, MESSAGE_MAX);
            slo.limits.iter_mut().for_each(|limit| store(limit, ENTRY_MESSAGE_MAX));
        }
    }
}

/// Shortens to the first `max`; how many went.
fn keep_first<T>(list: &mut Vec<T>, max: usize) -> usize {
    let surplus = list.len().saturating_sub(max);
    list.truncate(max);
    surplus
}

/// Shortens to the last `max`; how many went.
fn keep_last<T>(list: &mut Vec<T>, max: usize) -> usize {
    list.drain(..list.len().saturating_sub(max)).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-22T22:51:00.123456789Z";

    fn full(text: &str, name: &str) -> DeviationReportStatus {
        let times = |n: usize, value: serde_json::Value| vec![value; n];
        let told = json!({"at": AT, "reason": "ActionHonoured", "message": text, "warning": true});
        let counts = vec![123_456_789.123; POINTS_MAX];
        let arm = json!({"bad": counts, "total": counts});
        let slo = |i: usize| {
            json!({
                "name": format!("slo-{i}"), "measures": text, "objective": "99.5%", "limits": times(40, json!(text)),
                "query": text, "step": "1m", "verdict": "Deviating", "message": text, "value": 0.123_456_789,
                "baseline": 0.123_456_789, "limit": 0.123_456_789, "window": "1h", "candidates": 100_000, "others": 100_000,
                "judge": {"sums": "s".repeat(4_096)},
                "harm": {"since": AT, "bad": 1e9, "total": 1e12, "excess": 1e9, "budgetMinutes": 1e5, "tenants": 100_000},
                "chart": {"start": AT, "every": "1m", "candidates": arm, "baseline": arm},
            })
        };
        let status = json!({
            "outcome": "Reverted", "reason": "BurnRate", "message": text, "slo": "slo-7", "requestedBy": text,
            "decidedAt": AT, "answer": text, "comparedWith": text,
            "slos": (0..8).map(slo).collect::<Vec<_>>(),
            "waves": times(32, json!({"name": name, "touched": 100_000})),
            "worst": times(200, json!({"tenant": format!("{name}/{name}"), "bad": 1e9, "total": 1e9, "excess": 1e9, "since": AT})),
            "rejectedFor": times(300, json!({"tenant": format!("{name}/{name}"), "at": AT, "reason": "Comparison"})),
            "notBack": times(200, json!(format!("{name}/{name}"))),
            "versions": times(40, json!({"version": name, "tenants": 100_000})),
            "brakes": times(60, json!(text)), "alerts": times(60, json!(text)),
            "actions": times(100, told.clone()), "changes": times(100, told),
            "appended": times(30, json!({"at": AT, "message": text})),
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_report_of_any_content_fits_says_what_it_leaves_out_and_keeps_the_speakers_chart() {
        for text in ["m".repeat(9_000), "\"\\".repeat(5_000), "ж\u{1}".repeat(5_000)] {
            let mut report = full(&text, &"n".repeat(250));
            report.bound();
            let bytes = json_bytes(&report);
            assert!(bytes <= REPORT_MAX_BYTES, "{bytes} bytes");
            assert!(report.left_out.iter().any(|left| left.what == "worst" && left.count >= 150));
            let spoke = report.slos.iter().find(|slo| slo.name == "slo-7").unwrap();
            assert_eq!(spoke.chart.as_ref().map(super::super::Chart::len), Some(POINTS_MAX));
            assert!(!report.worst.is_empty() && !report.changes.is_empty());
            assert_eq!(report.rejected_for.len(), REJECTED_FOR_MAX, "a decision is kept");
            let once = report.clone();
            report.bound();
            assert_eq!(report, once);
        }
    }

    #[test]
    fn a_report_of_usual_content_keeps_everything_within_its_lists_bounds() {
        let mut report = full(&"m".repeat(120), "tenant-of-usual-length");
        report.bound();
        assert!(json_bytes(&report) <= REPORT_MAX_BYTES);
        assert_eq!((report.worst.len(), report.changes.len()), (WORST_MAX, CHANGES_MAX));
        assert!(report.slos.iter().all(|slo| slo.chart.is_some() && slo.judge.is_some()));
    }
}
