//! Programs of the bed: started with a log file, signalled as a process group, never left behind.
//!
//! A child dies with its `Process`, and also when this process is killed outright: it runs under `setpriv
//! --pdeathsig KILL`. The kernel ties that signal to the *thread* that forked, and test threads end with their
//! test, so one thread that lives as long as the process does all the spawning.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::eventually;

/// How much of a log is worth printing with a failure, in bytes.
const LOG_TAIL: usize = 4_000;

/// What to run; kept, so that it can be run again.
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Program {
    /// A program by the name its log file will have.
    pub fn new(name: &str, path: &Path) -> Self {
        Self { name: name.into(), path: path.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn command(&self, log: &File) -> io::Result<Command> {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.path)
            .args(&self.args)
            .envs(self.env.iter().cloned());
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        Ok(command)
    }
}

/// A running (or killed, or stopped) program. Dropped, it is killed with its whole process group.
#[derive(Debug)]
pub struct Process {
    program: Program,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts the program; its output is appended to `<folder>/<name>.log`.
    pub fn start(program: Program, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{}.log", program.name));
        let child = Mutex::new(launch(&program, &log)?);
        Ok(Self { program, log, child })
    }

    /// Kills what is left of it and runs the same program again, on the same data.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        *self.child() = launch(&self.program, &self.log)?;
        Ok(())
    }

    /// SIGKILL to the group; returns when the program is gone.
    pub fn kill(&self) {
        let mut child = self.child();
        signal(&mut child, Signal::KILL);
        // It was sent SIGKILL, so this ends; an error says that it was waited for before.
        let _ = child.wait();
    }

    /// SIGTERM, then the exit status within `timeout`.
    pub fn terminate(&self, timeout: Duration) -> Result<ExitStatus> {
        signal(&mut self.child(), Signal::TERM);
        self.wait(timeout)
    }

    /// SIGSTOP: frozen, with its connections open.
    pub fn stop(&self) {
        signal(&mut self.child(), Signal::STOP);
    }

    /// SIGCONT: goes on where it was stopped.
    pub fn cont(&self) {
        signal(&mut self.child(), Signal::CONT);
    }

    /// The exit status, within `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {timeout:?}; {}", self.program.name, self.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The exit status, if it has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Its process id, which is its process group's too.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The log file's path and end, for failure messages.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]).into_owned();
        format!("log {}:\n{tail}", self.log.display())
    }

    /// Waits until `probe` succeeds, which says that the program serves; fails at once, with the end of the log, if
    /// the program ends.
    pub async fn serves(&self, within: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
        let what = format!("{} serves", self.program.name);
        eventually(&what, within, async || match self.exited() {
            Some(status) => {
                Ok(Err(anyhow!("{} ended with {status}; {}", self.program.name, self.last_words())))
            }
            None => probe().await.map(Ok),
        })
        .await?
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(program: &Program, log: &Path) -> Result<Child> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("open {}", log.display()))?;
    let command = program.command(&file)?;
    let (reply, answer) = mpsc::channel();
    SPAWNER.send((command, reply)).context("the spawning thread is gone")?;
    answer.recv().context("the spawning thread is gone")?.with_context(|| format!("start {}", program.name))
}

/// Signals the program's group; nothing, if it has ended, for its id may be somebody else's by now.
fn signal(child: &mut Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Ok(None), Some(group)) = (child.try_wait(), group) {
        // It may end between the look and the signal: then there is nobody to signal.
        let _ = kill_process_group(group, signal);
    }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, reply) in inbox {
            // Whoever ordered may have gone; then the child is dropped, and dies with this process.
            let _ = reply.send(command.spawn());
        }
    });
    orders
});
