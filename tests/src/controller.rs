//! The controller's own program, run as a user runs it: `breakwater run`, with a kubeconfig and flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;

use crate::bed::process::{Process, Program};
use crate::bed::{binaries, http, ports};

/// How to run the controller.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    kubeconfig: PathBuf,
    program: Option<PathBuf>,
    listen_flag: String,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl ControllerOptions {
    /// Runs `breakwater run --listen 127.0.0.1:<free port>` with `KUBECONFIG` set.
    pub fn new(kubeconfig: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            program: None,
            listen_flag: "--listen".into(),
            args: Vec::new(),
            env: vec![
                ("RUST_LOG".into(), "info,breakwater=debug".into()),
                ("RUST_BACKTRACE".into(), "1".into()),
            ],
        }
    }

    /// Adds arguments after `run`.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Another build of the program, for example an older version's.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.into());
        self
    }

    /// The flag that takes the listen address.
    #[must_use]
    pub fn listen_flag(mut self, flag: &str) -> Self {
        self.listen_flag = flag.into();
        self
    }
}

/// A running controller; killed when dropped. Its log is shown when a test fails while it runs.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    address: String,
}

impl Controller {
    /// Starts it, with its log in `folder`; building it first, if need be. See [`Self::answers`] for when it is up.
    pub fn start(folder: &Path, options: ControllerOptions) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let ControllerOptions { kubeconfig, program, listen_flag, args, env } = options;
        let path = program.map_or_else(|| binaries::own("breakwater"), Ok)?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let name = format!("breakwater-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let program = Program::new(&name, &path).arg("run").args([listen_flag, address.clone()]).args(args);
        let program = env.into_iter().fold(program, |program, (name, value)| program.env(name, value));
        let process = Process::start(program.env("KUBECONFIG", kubeconfig), folder)?;
        Ok(Self { process, address })
    }

    /// The process: kill, stop, cont, restart, terminate, and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `host:port` it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// GETs a path of its own pages.
    pub async fn get(&self, path: &str) -> Result<String> {
        http::get(&format!("{}{path}", self.url())).await
    }

    /// Waits until `path` (`/readyz`, say) answers 2xx; fails at once if the program ends.
    pub async fn answers(&self, path: &str, within: Duration) -> Result<()> {
        self.process.serves(within, async || self.get(path).await.map(drop)).await
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("controller {}: {}", self.address, self.process.last_words());
        }
    }
}
