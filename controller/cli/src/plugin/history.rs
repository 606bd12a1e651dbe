//! `history`: transitions, actions and deviation reports of a Rollout in order of time. [`merge`] and [`render`] are pure.

use breakwater_crds::{DeviationReport, Rollout, RolloutAction, action::ActionResult};
use breakwater_operator::clock;
use breakwater_page::report as page;
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde::Serialize;

use super::{
    failure::Failure,
    output::Output,
    session::{self, Session},
    text,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// `Transition`, `Action` or `Report`.
    pub kind: &'static str,
    /// One word: the transition's reason, the action's verb, the report's outcome.
    pub what: String,
    /// Who asked; empty for the controller.
    pub who: String,
    /// The sentence with the numbers.
    pub message: String,
    /// True where it is a warning.
    pub warning: bool,
}

/// Runs the command.
pub async fn run(session: &Session, output: Output, name: &str) -> Result<(), Failure> {
    let actions: Api<RolloutAction> = session.api();
    let doing = session.doing("list", "rolloutactions.breakwater.dev");
    let mut actions = session::list(&actions, doing, ListParams::default()).await?;
    actions.retain(|action| action.spec.rollout == name);
    let reports: Api<DeviationReport> = session.api();
    let doing = session.doing("list", "deviationreports.breakwater.dev");
    let mut reports = session::list(&reports, doing, ListParams::default()).await?;
    reports.retain(|report| report.spec.rollout == name);
    // The audit outlives the Rollout (R37), so a missing one is an error only where nothing is left of it.
    let rollout = match session.rollout(name).await {
        Ok(rollout) => Some(rollout),
        Err(failure) if actions.is_empty() && reports.is_empty() => return Err(failure),
        Err(failure) => {
            eprintln!("{failure}");
            None
        }
    };
    let entries = merge(rollout.as_ref(), &actions, &reports);
    match output.machine() {
        Some(form) => output.value(form, &entries),
        None if entries.is_empty() => {
            eprintln!("Nothing has happened to rollout {}/{name} yet.", session.namespace);
            Ok(())
        }
        None => output.print(&render(&entries, clock::now())),
    }
}

/// All that happened, oldest first.
pub fn merge(
    rollout: Option<&Rollout>,
    actions: &[RolloutAction],
    reports: &[DeviationReport],
) -> Vec<Entry> {
    let history = rollout.and_then(|rollout| rollout.status.as_ref()).map(|status| status.history.as_slice());
    let transitions = history.unwrap_or_default().iter().map(|event| Entry {
        at: event.at,
        kind: "Transition",
        what: event.reason.to_string(),
        who: String::new(),
        message: event.message.clone(),
        warning: event.warning,
    });
    let mut entries: Vec<Entry> = transitions
        .chain(actions.iter().filter_map(action))
        .chain(reports.iter().filter_map(report))
        .collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn action(action: &RolloutAction) -> Option<Entry> {
    let status = action.status.clone().unwrap_or_default();
    let spec = &action.spec;
    let about = [&spec.version, &spec.wave, &spec.subject]
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    let answer = match status.result {
        Some(ActionResult::Honoured) => format!("honoured: {}", status.message),
        Some(ActionResult::Refused) => format!("refused: {}", status.message),
        None => "not answered yet".into(),
    };
    let why = if spec.reason.is_empty() { String::new() } else { format!(" ({})", spec.reason) };
    Some(Entry {
        at: action.creation_timestamp()?.0,
        kind: "Action",
        what: spec.verb.to_string(),
        who: spec.requested_by.clone(),
        message: format!("{} {about}{why}: {answer}", action.name_any())
            .replace(" :", ":")
            .replace("  ", " "),
        warning: status.result == Some(ActionResult::Refused),
    })
}

fn report(report: &DeviationReport) -> Option<Entry> {
    let status = report.status.clone().unwrap_or_default();
    let outcome = page::outcome(&status);
    let closed = status.closed_by.as_ref().map(|by| format!("; closed by {by}")).unwrap_or_default();
    Some(Entry {
        at: status.decided_at.or_else(|| Some(report.creation_timestamp()?.0))?,
        kind: "Report",
        what: outcome.into(),
        who: status.requested_by.clone(),
        message: format!("{} of {}: {}{closed}", report.name_any(), report.spec.version, status.message),
        warning: status.rejects(),
    })
}

/// The entries as a table; ends with a newline.
pub fn render(entries: &[Entry], now: Timestamp) -> String {
    let rows = entries.iter().map(|entry| {
        let Entry { at, kind, what, who, message, warning } = entry;
        let glyph = if *warning { '⚠' } else { ' ' };
        [
            text::stamp(*at),
            text::age(*at, now),
            (*kind).into(),
            format!("{glyph} {what}"),
            text::or_dash(who),
            message.clone(),
        ]
    });
    text::table(["TIME", "AGE", "KIND", "  WHAT", "WHO", "MESSAGE"], rows) + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::tree::tests::{NOW, reverted};

    #[test]
    fn transitions_actions_and_reports_stand_in_order_of_time() {
        let action: RolloutAction = serde_json::from_value(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "RolloutAction",
            "metadata": {"name": "app-approve-x7k2p", "creationTimestamp": "2026-03-09T08:00:00Z"},
            "spec": {"rollout": "app", "verb": "Approve", "version": "10.5.2", "wave": "early", "requestedBy": "alice",
                     "reason": "looks good"},
            "status": {"result": "Honoured", "message": "wave early may start"},
        }))
        .unwrap();
        let report: DeviationReport = serde_json::from_value(json!({
            "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport",
            "metadata": {"name": "app-1a2b3c4d-1", "creationTimestamp": "2026-03-10T10:00:01Z"},
            "spec": {"rollout": "app", "version": "10.5.2"},
            "status": {"outcome": "Reverted", "message": "api-errors of wave early: 18%",
                       "decidedAt": "2026-03-10T10:00:00Z"},
        }))
        .unwrap();
        let entries = merge(Some(&reverted()), &[action], &[report]);
        assert!(entries.is_sorted_by_key(|entry| entry.at));
        insta::assert_snapshot!(render(&entries, NOW.parse().unwrap()));
    }
}
