//! Long-lived tasks by name: one that panics, or ends before its owner, ends its owner, and the error names it. No I/O.

use std::{any::Any, collections::HashMap, panic::AssertUnwindSafe};

use futures::FutureExt as _;
use tokio::{
    sync::mpsc,
    task::{self, AbortHandle, JoinError, JoinSet},
};

/// A task that was to run as long as its owner, and did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It panicked.
    #[error("task {task} panicked: {why}")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// The panic's message.
        why: String,
    },
    /// It returned.
    #[error("task {task} ended, and was to run as long as the controller")]
    Ended {
        /// Its name.
        task: &'static str,
    },
}

impl Lost {
    /// What became of a task that was to run on.
    pub(crate) fn of(task: &'static str, ended: Result<(), JoinError>) -> Self {
        match ended.map_err(JoinError::try_into_panic) {
            Err(Ok(panic)) => Self::panicked(task, &*panic),
            Ok(()) | Err(Err(_)) => Self::Ended { task },
        }
    }

    fn panicked(task: &'static str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::Panicked { task, why: text.unwrap_or("it does not say why").to_owned() }
    }
}

/// The tasks of one owner; they are aborted with it.
pub struct Tasks {
    running: JoinSet<()>,
    names: HashMap<task::Id, &'static str>,
    alarm: Alarm,
    /// What the alarm was told.
    told: mpsc::Receiver<Lost>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        // One is enough: the first loss ends the owner.
        let (sender, told) = mpsc::channel(1);
        Self { running: JoinSet::new(), names: HashMap::new(), alarm: Alarm(sender), told }
    }

    /// Starts a task that is to run as long as the owner.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// For tasks that may end sooner than the owner, and must not panic either.
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    /// Resolves when a task is lost, and not before.
    pub async fn lost(&mut self) -> Lost {
        tokio::select! {
            ended = self.running.join_next_with_id(), if !self.running.is_empty() => match ended {
                Some(Ok((id, ()))) => Lost::of(self.name(id), Ok(())),
                Some(Err(error)) => Lost::of(self.name(error.id()), Err(error)),
                None => std::future::pending().await, // the guard says that there is one
            },
            Some(lost) = self.told.recv() => lost,
        }
    }

    fn name(&self, id: task::Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("unknown")
    }
}

/// Tells the owner of a panic in a task that may end sooner than it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alarm(mpsc::Sender<Lost>);

impl Alarm {
    /// Starts a task; whoever starts it ends it with the handle.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let owner = self.0.clone();
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                let _ = owner.try_send(Lost::panicked(name, &*panic)); // full: an earlier loss ends the owner already
            }
        };
        tokio::spawn(guarded).abort_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_named_and_nothing_is_lost_while_all_run() {
        let mut tasks = Tasks::new();
        assert_eq!(tasks.lost().now_or_never(), None, "there is none");
        tasks.spawn("idle", std::future::pending());
        tasks.alarm().spawn("short", async {});
        tokio::task::yield_now().await;
        assert_eq!(tasks.lost().now_or_never(), None, "one that may end sooner did so");
        tasks.spawn("stop watch", async { panic!("no {}", "reason") });
        let why = "no reason".to_owned();
        assert_eq!(tasks.lost().await, Lost::Panicked { task: "stop watch", why });
        tasks.spawn("token", async {});
        assert_eq!(tasks.lost().await, Lost::Ended { task: "token" });
        tasks.alarm().spawn("forwarder", async { panic!("once") });
        let lost = tasks.lost().await;
        assert_eq!(lost.to_string(), "task forwarder panicked: once");
    }
}
