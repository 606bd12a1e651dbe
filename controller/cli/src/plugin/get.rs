//! `get`: one Rollout or the table, once or on every change. [`changes`] is pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal as _,
    time::Duration,
};

use breakwater_crds::Rollout;
use breakwater_operator::clock;
use kube::{ResourceExt as _, core::DeserializeGuard, runtime::watcher::Event};

use super::{
    args::{self, Form},
    failure::Failure,
    list,
    output::Output,
    session::{self, Session},
    text, tree,
};

/// A watched screen is drawn anew this often without a change: ages and soaks go on.
const REDRAW_EVERY: Duration = Duration::from_secs(10);

/// Runs the command.
pub async fn run(session: &Session, output: Output, args: args::Get) -> Result<(), Failure> {
    let name = args.name.as_deref();
    // Read once in any case: its errors say what to do, a watch's would be retried.
    let rollouts = if let Some(name) = name {
        vec![session.rollout(name).await?]
    } else {
        let (rollouts, unread) = session.rollouts().await?;
        for words in unread {
            eprintln!("{words}");
        }
        rollouts
    };
    if args.watch {
        return watch(session, output, name).await;
    }
    if rollouts.is_empty() && output.machine().is_none() {
        let place = if session.all_namespaces {
            "the cluster".into()
        } else {
            format!("namespace {}", session.namespace)
        };
        eprintln!("No Rollouts in {place}.");
        return Ok(());
    }
    show(output, &rollouts, name.is_some())
}

fn show(output: Output, rollouts: &[Rollout], one: bool) -> Result<(), Failure> {
    match output.machine() {
        Some(form) => output.objects(form, rollouts, one),
        None => output.print(&drawn(output, rollouts, one)),
    }
}

fn drawn(output: Output, rollouts: &[Rollout], one: bool) -> String {
    match rollouts {
        [rollout] if one => tree::render(rollout, clock::now()),
        _ => list::render(rollouts, output.form() == Some(Form::Wide), clock::now()),
    }
}

/// A screen on a terminal, lines of changes elsewhere; ends when the one watched Rollout is deleted.
async fn watch(session: &Session, output: Output, name: Option<&str>) -> Result<(), Failure> {
    let is_screen = output.machine().is_none() && std::io::stdout().is_terminal();
    let doing = session.doing("watch", session::ROLLOUTS);
    let mut stream = session.watch(name);
    let mut seen = Seen::default();
    let mut tick = tokio::time::interval(REDRAW_EVERY);
    if is_screen {
        output.print("\x1b[2J")?;
    }
    loop {
        let changes = tokio::select! {
            event = session::next_event(&mut stream, doing) => seen.take(event?),
            _ = tick.tick(), if is_screen => Vec::new(),
        };
        for change in changes {
            match change {
                Change::Gone(namespace, gone) if name.is_some() => {
                    return Err(Failure::usage(format!("rollout {namespace}/{gone} was deleted")));
                }
                Change::Gone(namespace, gone) if !is_screen && output.machine().is_none() => {
                    output.print(&format!("{}  {namespace}/{gone}  deleted", text::stamp(clock::now())))?;
                }
                Change::Is(before, after) if !is_screen => tell(output, before.as_deref(), &after)?,
                Change::Gone(..) | Change::Is(..) => {}
            }
        }
        if is_screen && seen.is_whole {
            let rollouts: Vec<Rollout> = seen.rollouts.values().cloned().collect();
            output.redraw(&drawn(output, &rollouts, name.is_some()))?;
        }
    }
}

/// What a watch has shown so far.
#[derive(Default)]
struct Seen {
    rollouts: BTreeMap<Key, Rollout>,
    /// Those of the list under way, to know which are gone at its end.
    listed: BTreeSet<Key>,
    /// True from the end of the first list on.
    is_whole: bool,
}

/// Namespace and name.
type Key = (String, String);

/// A difference between two events of a watch.
enum Change {
    /// The Rollout before, if it was known, and as it is.
    Is(Option<Box<Rollout>>, Box<Rollout>),
    /// Namespace and name of one that is no more.
    Gone(String, String),
}

impl Seen {
    fn take(&mut self, event: Event<DeserializeGuard<Rollout>>) -> Vec<Change> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(guard) | Event::Apply(guard) => {
                told(guard).into_iter().map(|new| self.put(new)).collect()
            }
            Event::InitDone => {
                self.is_whole = true;
                let gone: Vec<Key> =
                    self.rollouts.keys().filter(|key| !self.listed.contains(*key)).cloned().collect();
                gone.into_iter().map(|key| self.drop(key)).collect()
            }
            Event::Delete(guard) => told(guard).into_iter().map(|old| self.drop(key(&old))).collect(),
        }
    }

    fn put(&mut self, rollout: Rollout) -> Change {
        self.listed.insert(key(&rollout));
        let before = self.rollouts.insert(key(&rollout), rollout.clone());
        Change::Is(before.map(Box::new), Box::new(rollout))
    }

    fn drop(&mut self, key: Key) -> Change {
        self.rollouts.remove(&key);
        Change::Gone(key.0, key.1)
    }
}

fn told(guard: DeserializeGuard<Rollout>) -> Option<Rollout> {
    session::readable(guard).map_err(|words| eprintln!("{words}")).ok()
}

fn key(rollout: &Rollout) -> Key {
    (rollout.namespace().unwrap_or_default(), rollout.name_any())
}

fn tell(output: Output, before: Option<&Rollout>, after: &Rollout) -> Result<(), Failure> {
    if output.machine().is_some() {
        return show(output, std::slice::from_ref(after), true);
    }
    let lines = changes(before, after, &text::stamp(clock::now()));
    if lines.is_empty() { Ok(()) } else { output.print(&lines.join("\n")) }
}

/// What is new, a line each: transitions of the history, and the phase with its message where these changed.
pub fn changes(before: Option<&Rollout>, after: &Rollout, now: &str) -> Vec<String> {
    let Some(status) = &after.status else { return Vec::new() };
    let (namespace, name) = key(after);
    let old = before.and_then(|before| before.status.as_ref());
    let last = old.and_then(|old| old.history.last());
    let mut lines = Vec::new();
    if old.is_some() {
        // The history is a ring: what stands behind the last entry known is new; if that has left it, all is.
        let start = last
            .and_then(|last| status.history.iter().rposition(|event| event == last))
            .map_or(0, |at| at + 1);
        let new = status.history[start..].iter();
        lines.extend(new.map(|event| {
            format!(
                "{}  {namespace}/{name}  {}  {}",
                text::stamp(event.at),
                event.reason,
                text::plain(&event.message)
            )
        }));
    }
    let shown =
        |rollout: &Rollout| (tree::phase(rollout), rollout.status.as_ref().map(|s| s.message.clone()));
    if before.is_none_or(|before| shown(before) != shown(after)) {
        let (glyph, phase) = (tree::glyph(after), tree::phase(after));
        lines.push(format!("{now}  {namespace}/{name}  {glyph} {phase}  {}", text::plain(&status.message)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tree::tests::{NOW, advancing};

    #[test]
    fn a_change_is_told_once() {
        let first = advancing();
        assert_eq!(changes(None, &first, NOW).len(), 1, "the state only, not its whole history");
        let mut second = first.clone();
        assert!(changes(Some(&first), &second, NOW).is_empty());
        let status = second.status.as_mut().unwrap();
        let mut event = status.history[0].clone();
        event.reason = breakwater_crds::words::TransitionReason::WavePassed.into();
        status.history.remove(0);
        status.history.push(event);
        status.message = "wave half starts".into();
        insta::assert_snapshot!(changes(Some(&first), &second, NOW).join("\n"));
    }
}
