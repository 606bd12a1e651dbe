//! `report`: the deviation reports of a namespace, one of them in any form, and people's answer to it. [`show`] and
//! [`investigation`] are pure.

pub mod show;

use std::path::Path;

use breakwater_crds::DeviationReport;
use breakwater_operator::clock;
use breakwater_page::report::{self as page, Report};
use breakwater_text::near;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    act::MANAGER,
    args::{self, Close, Form},
    failure::{self, Failure},
    output::{self, Output},
    session::{self, Session},
};

const REPORTS: &str = "deviationreports.breakwater.dev";

/// Runs the command.
pub async fn run(session: &Session, output: Output, args: args::Report) -> Result<(), Failure> {
    let args::Report { name, out, close, fixed_in, notes } = args;
    let Some(name) = name else {
        if close.is_some() {
            return Err(Failure::usage("--close needs the name of a report; list them without it"));
        }
        return list(session, output, out.as_deref()).await;
    };
    if let Some(close) = close {
        let investigation =
            investigation(close, fixed_in.as_deref(), notes.as_deref()).map_err(Failure::usage)?;
        return answer(session, output, &name, &investigation).await;
    }
    one(&read(session, &name).await?, output, out.as_deref())
}

fn one(report: &DeviationReport, output: Output, out: Option<&Path>) -> Result<(), Failure> {
    match output.form() {
        Some(Form::Html) => write(output.plain(), out, &page::html(&of(report))),
        Some(Form::Markdown) => write(output.plain(), out, &page::markdown(&of(report))),
        Some(form @ (Form::Json | Form::Yaml | Form::Name)) => {
            write(output.plain(), out, &output::text_of(form, std::slice::from_ref(report), true)?)
        }
        Some(Form::Wide) | None => write(output, out, &show::one(&of(report), clock::now())),
    }
}

/// The report as pages take it.
fn of(report: &DeviationReport) -> Report<'_> {
    static BARE: std::sync::LazyLock<breakwater_crds::DeviationReportStatus> =
        std::sync::LazyLock::new(Default::default);
    Report {
        namespace: report.metadata.namespace.as_deref().unwrap_or_default(),
        name: report.metadata.name.as_deref().unwrap_or_default(),
        spec: &report.spec,
        status: report.status.as_ref().unwrap_or(&BARE),
    }
}

async fn list(session: &Session, output: Output, out: Option<&Path>) -> Result<(), Failure> {
    let reports: Api<DeviationReport> = session.api();
    let mut reports = session::list(&reports, session.doing("list", REPORTS), ListParams::default()).await?;
    reports
        .sort_by_key(|report| std::cmp::Reverse(report.metadata.creation_timestamp.as_ref().map(|at| at.0)));
    match output.form() {
        Some(Form::Html | Form::Markdown) => {
            one(meant(&reports, &session.namespace).map_err(Failure::usage)?, output, out)
        }
        Some(form @ (Form::Json | Form::Yaml | Form::Name)) => {
            write(output.plain(), out, &output::text_of(form, &reports, false)?)
        }
        Some(Form::Wide) | None if reports.is_empty() => {
            eprintln!("No DeviationReports in namespace {}.", session.namespace);
            Ok(())
        }
        Some(Form::Wide) | None => write(output, out, &show::list(&reports, clock::now())),
    }
}

/// The report that is meant where none is named: the only one, or the only one that nobody answered yet.
fn meant<'a>(reports: &'a [DeviationReport], namespace: &str) -> Result<&'a DeviationReport, String> {
    let open: Vec<_> = reports.iter().filter(|report| !report.spec.is_answered_for("")).collect();
    match (reports, &open[..]) {
        ([], _) => Err(format!("no DeviationReports in namespace {namespace}")),
        ([report], _) => Ok(report),
        (_, [report]) => Ok(*report),
        (several, _) => {
            let newest: Vec<String> = several.iter().take(3).map(ResourceExt::name_any).collect();
            Err(format!(
                "-o html and -o md show one report, and of {} here {} are open: give a name; the newest are {}",
                several.len(),
                open.len(),
                newest.join(", ")
            ))
        }
    }
}

/// Reads one report; where there is none, names what may have been meant.
async fn read(session: &Session, name: &str) -> Result<DeviationReport, Failure> {
    let reports: Api<DeviationReport> = session.api();
    let error = match reports.get(name).await {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    match &error {
        kube::Error::Api(status) if status.code == 404 && !failure::is_missing_kind(status) => {}
        _ => return Err(failure::explain(&error, session.doing("get", REPORTS))),
    }
    let namespace = &session.namespace;
    let there = session::list(&reports, session.doing("list", REPORTS), ListParams::default()).await;
    let there: Vec<String> = there.unwrap_or_default().iter().map(ResourceExt::name_any).collect();
    let near = near::nearest(name, &there).join(", ");
    let near = if near.is_empty() {
        "this namespace has none".to_owned()
    } else {
        format!("this namespace has {near}")
    };
    Err(Failure::usage(format!(
        "deviation report {namespace}/{name} not found; {near}. Another namespace is named with -n"
    )))
}

/// Prints, or writes to a file.
fn write(output: Output, out: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = out else { return output.print(text) };
    std::fs::write(path, text)
        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}

/// The part of `spec` that is people's; what is not said stays as it is.
fn investigation(close: Close, fixed_in: Option<&str>, notes: Option<&str>) -> Result<Value, String> {
    if close == Close::Fixed && fixed_in.is_none() {
        return Err("--close fixed needs --in: the version that mends it".into());
    }
    let mut investigation = json!({"state": close.state(), "fixedIn": fixed_in});
    if let Some(notes) = notes {
        investigation["notes"] = notes.into();
    }
    Ok(investigation)
}

async fn answer(session: &Session, output: Output, name: &str, investigation: &Value) -> Result<(), Failure> {
    let reports: Api<DeviationReport> = session.api();
    read(session, name).await?; // for the words where there is none
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"investigation": investigation}}));
    let closed = reports
        .patch(name, &params, &patch)
        .await
        .map_err(|error| failure::explain(&error, session.doing("patch", REPORTS)))?;
    match output.machine() {
        Some(form @ (Form::Json | Form::Yaml | Form::Name)) => {
            output.objects(form, std::slice::from_ref(&closed), true)
        }
        Some(Form::Html | Form::Markdown | Form::Wide) | None => output.print(&format!(
            "{} closed: {}",
            output::name_of(&closed),
            page::investigation(&of(&closed))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_the_only_report_is_meant_or_the_only_open_one() {
        let report = |name: &str, answer: &str| -> DeviationReport {
            serde_json::from_value(json!({
                "apiVersion": "breakwater.dev/v1alpha1", "kind": "DeviationReport", "metadata": {"name": name},
                "spec": {"rollout": "app", "version": "1", "investigation": {"state": answer}},
            }))
            .unwrap()
        };
        let (open, closed, other) = (report("a", "Open"), report("b", "Attributed"), report("c", "Open"));
        let name = |reports: &[DeviationReport]| meant(reports, "shop").map(ResourceExt::name_any);
        assert_eq!(name(std::slice::from_ref(&closed)), Ok("b".into()));
        assert_eq!(name(&[closed.clone(), open.clone()]), Ok("a".into()));
        assert_eq!(name(&[]), Err("no DeviationReports in namespace shop".into()));
        insta::assert_snapshot!(name(&[other, closed, open]).unwrap_err(), @"-o html and -o md show one report, and of 3 here 2 are open: give a name; the newest are c, b, a");
    }

    #[test]
    fn an_answer_says_what_it_says_and_leaves_the_notes_alone() {
        assert_eq!(
            investigation(Close::Fixed, Some("1.2.1"), Some("cache")),
            Ok(json!({"state": "Fixed", "fixedIn": "1.2.1", "notes": "cache"}))
        );
        assert_eq!(
            investigation(Close::NotAttributed, None, None),
            Ok(json!({"state": "NotAttributed", "fixedIn": null}))
        );
        assert_eq!(
            investigation(Close::Fixed, None, None),
            Err("--close fixed needs --in: the version that mends it".into())
        );
    }
}
