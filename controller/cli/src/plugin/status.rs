//! `status`: whether a version made it, by exit code; with `--wait`, when that is decided.

use std::time::Duration;

use breakwater_crds::Rollout;
use breakwater_operator::clock;
use kube::{ResourceExt as _, runtime::watcher::Event};
use serde_json::json;

use super::{
    args,
    failure::Failure,
    get,
    output::Output,
    session::{self, Session},
    text, tree,
    verdict::{self, Verdict},
};

/// Runs the command.
pub async fn run(session: &Session, output: Output, args: args::Status) -> Result<(), Failure> {
    let rollout = session.rollout(&args.name).await?;
    let version = args.version.unwrap_or_else(|| rollout.spec.version.clone());
    let verdict = verdict::judge(&rollout, &version);
    if !args.wait || !matches!(verdict, Verdict::UnderWay(_)) {
        return say(output, &rollout, &version, verdict);
    }
    let waiting = wait(session, output, &args.name, &version);
    if args.timeout.is_zero() {
        return waiting.await;
    }
    let limit = Duration::from_secs(args.timeout.as_seconds().unsigned_abs());
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| {
        Err(Failure::undecided(format!(
            "{version} is not decided within {}; see: kubectl breakwater get {}",
            args.timeout, args.name
        )))
    })
}

/// Prints every change, as lines that a CI log shows, until it is decided.
async fn wait(session: &Session, output: Output, name: &str, version: &str) -> Result<(), Failure> {
    let doing = session.doing("watch", session::ROLLOUTS);
    let mut stream = session.watch(Some(name));
    let mut before: Option<Rollout> = None;
    loop {
        let guard = match session::next_event(&mut stream, doing).await? {
            Event::Apply(guard) | Event::InitApply(guard) => guard,
            Event::Delete(_) => {
                return Err(Failure::usage(format!("rollout {}/{name} was deleted", session.namespace)));
            }
            Event::Init | Event::InitDone => continue,
        };
        let rollout = session::readable(guard).map_err(Failure::usage)?;
        if output.machine().is_none() {
            let lines = get::changes(before.as_ref(), &rollout, &text::stamp(clock::now()));
            if !lines.is_empty() {
                output.print(&lines.join("\n"))?;
            }
        }
        match verdict::judge(&rollout, version) {
            Verdict::UnderWay(_) => before = Some(rollout),
            decided => return say(output, &rollout, version, decided),
        }
    }
}

/// `; rejected for 2 tenants, which keep what they had`: the version made it, and not everywhere (R22).
fn spared(rollout: &Rollout) -> String {
    match rollout.status.as_ref().map_or(0, |status| status.counts.spared) {
        0 => String::new(),
        1 => "; rejected for 1 tenant, which keeps what it had".into(),
        n => format!("; rejected for {n} tenants, which keep what they had"),
    }
}

fn say(output: Output, rollout: &Rollout, version: &str, verdict: Verdict) -> Result<(), Failure> {
    let namespace = rollout.namespace().unwrap_or_default();
    let name = rollout.name_any();
    let word = verdict.word();
    let result = match verdict {
        Verdict::Completed => Ok(format!("{version} is Completed{}", spared(rollout))),
        Verdict::Failed(why) => Err(Failure::refused(why)),
        Verdict::UnderWay(what) => Err(Failure::undecided(what)),
    };
    let message = result.as_ref().map_or_else(|failure| failure.message.clone(), Clone::clone);
    if let Some(form) = output.machine() {
        let phase = tree::phase(rollout);
        output.value(
            form,
            &json!({"namespace": namespace, "rollout": name, "version": version, "verdict": word, "phase": phase, "message": message}),
        )?;
        return result.map(drop);
    }
    output.print(&format!("{namespace}/{name}: {}", result?))
}
