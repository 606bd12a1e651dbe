//! The road, live: `cargo run -p breakwater-tests --bin road` brings up the real bed with a fleet of 40 tenants, lets a
//! good version cross it wave by wave, then one that makes errors, shows how that is noticed and taken back, and lets
//! its patch release through. Ends with figures and exit code 0; another code says that something did not happen.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use breakwater_tests::bed::traffic::Behaviour;
use breakwater_tests::scene::rollout::Rollout;
use breakwater_tests::{Scene, Tenant};

/// Tenants of the ring that goes first, and all of them.
const COMMUNITY: usize = 2;
const FLEET: usize = 40;
/// Share of requests that the bad version fails, everywhere but in the community.
const ERRORS: f64 = 0.8;

const ROLLOUT: &str = r"
version: 1.0.0
waves:
  - {name: community, selector: {matchLabels: {ring: community}}, soak: 10s, maxConcurrent: 2}
  - {name: early, percent: 25, soak: 10s, maxConcurrent: 5}
  - {name: rest, soak: 10s, maxConcurrent: 10}
watchAfter: 5s
revert: {maxConcurrent: 10, verifyFor: 10s, tenantDeadline: 60s}
";

#[tokio::main]
async fn main() -> ExitCode {
    breakwater_tests::install_crypto();
    tokio::select! {
        result = show() => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        // What was started ends as the show is dropped.
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nstopped; nothing is left running");
            ExitCode::from(130)
        }
    }
}

async fn show() -> Result<()> {
    let began = Instant::now();
    let programs = Programs::built()?;
    println!("Starting etcd, a Kubernetes API server, its controllers, Prometheus, and {FLEET} tenants...");
    Scene::shown("road", Some(&programs.controller), async |scene| {
        let figures = acts(scene, &programs).await?;
        println!("{}", figures.told(began.elapsed()));
        Ok(())
    })
    .await
}

/// The three acts.
async fn acts(scene: &Scene, programs: &Programs) -> Result<Figures> {
    scene.has_tenants((0..FLEET).map(|i| tenant(scene, i))).await?;
    let rollout = scene.rollout_named("chat", ROLLOUT).await?;
    rollout.completes("1.0.0").await?;
    let screen = Screen::open(scene, programs)?;
    screen.announce("1/3  Version 1.1.0 is good: it crosses the fleet wave by wave, each wave soaks.");
    rollout.wants("1.1.0").await?;
    rollout.completes("1.1.0").await?;
    let bad = Instant::now();
    screen.announce("2/3  Version 1.2.0 makes errors, though not in the community: wave early feels it.");
    let others = (COMMUNITY..FLEET).map(|i| tenant(scene, i).id());
    scene.tenants().behave("1.2.0", Behaviour::errors(ERRORS).only(others));
    rollout.wants("1.2.0").await?;
    rollout.reverts("1.2.0").await?;
    scene.all_run("1.1.0").await?;
    let figures = Figures::of(scene, &rollout, bad).await?;
    screen.announce(
        "3/3  The report is closed; version 1.2.1 is the patch: 1.2.0 stays out, its fix goes the same road.",
    );
    programs.close_report(scene, "1.2.1").await?;
    rollout.wants("1.2.1").await?;
    rollout.completes("1.2.1").await?;
    scene.all_run("1.2.1").await?;
    Ok(figures)
}

fn tenant(scene: &Scene, i: usize) -> Tenant {
    let ring = if i < COMMUNITY { "community" } else { "customers" };
    Tenant::new(scene.namespace(), &format!("tenant-{i:02}"), "1.0.0").ring(ring)
}

/// What the bad version came to, by the API server's own watch.
struct Figures {
    touched: usize,
    detected_in: Duration,
    reverted_in: Duration,
    sentence: String,
}

impl Figures {
    async fn of(scene: &Scene, rollout: &Rollout<'_>, since: Instant) -> Result<Self> {
        let changes: Vec<_> = scene.recorder().changes().into_iter().filter(|c| c.at >= since).collect();
        let community: Vec<String> = (0..COMMUNITY).map(|i| tenant(scene, i).id()).collect();
        let felt = changes.iter().find(|c| c.wanted == "1.2.0" && c.ready && !community.contains(&c.tenant));
        let felt = felt.context("no tenant felt the bad version")?.at;
        let back = changes.iter().find(|c| c.wanted == "1.1.0" && !c.ready).context("nothing went back")?.at;
        let done = changes.iter().rfind(|c| c.wanted == "1.1.0" && c.ready).context("nothing came back")?.at;
        let mut touched = scene.recorder().asked("1.2.0");
        touched.sort();
        touched.dedup();
        ensure!(touched.len() < FLEET, "the bad version reached all tenants");
        let status = rollout.status().await?;
        let sentence = status["revert"]["message"].as_str().unwrap_or_default().to_owned();
        let figures =
            Self { touched: touched.len(), detected_in: back - felt, reverted_in: done - back, sentence };
        match status["revert"]["attribution"].as_str() {
            Some("Attributed") => Ok(figures),
            other => bail!("the revert was not seen to help: {other:?}"),
        }
    }

    fn told(&self, took: Duration) -> String {
        let Self { touched, detected_in, reverted_in, sentence } = self;
        format!(
            "\n1.1.0 completed. 1.2.0 was noticed and taken back: {sentence}\n\n\
             \x20 tenants touched by 1.2.0   {touched} of {FLEET}\n\
             \x20 time to detection          {:.1} s (from the first tenant that felt it to the first write back)\n\
             \x20 time to revert             {:.1} s (until all of them ran 1.1.0 again)\n\n\
             1.2.1 completed. All of it took {} s.",
            detected_in.as_secs_f64(),
            reverted_in.as_secs_f64(),
            took.as_secs()
        )
    }
}

/// Our own two programs.
struct Programs {
    controller: PathBuf,
    plugin: PathBuf,
}

impl Programs {
    /// Builds them beside this one, in its own profile; `BREAKWATER_BIN` names a folder with other builds of them.
    fn built() -> Result<Self> {
        if let Some(folder) = std::env::var_os("BREAKWATER_BIN") {
            return Ok(Self::in_folder(Path::new(&folder)));
        }
        let road = std::env::current_exe().context("find this program")?;
        let folder = road.parent().context("this program is in no folder")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "build",
            "--quiet",
            "-p",
            "breakwater-cli",
            "--bins",
        ]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        let status = command.status().context("run cargo build")?;
        ensure!(status.success(), "cargo build of our own programs ended with {status}");
        Ok(Self::in_folder(folder))
    }

    /// Closes the scene's report as an SRE does who has found the cause: `kubectl breakwater report NAME --close`.
    async fn close_report(&self, scene: &Scene, version: &str) -> Result<()> {
        let reports = scene.reports().await?;
        let name = reports.first().and_then(|report| report["metadata"]["name"].as_str());
        let name = name.context("there is no report of the bad version")?;
        let status = Command::new(&self.plugin)
            .args(["report", name, "--namespace", scene.namespace(), "--close", "fixed", "--in", version])
            .args(["--notes", "shown on the road"])
            .env("KUBECONFIG", scene.bed().control_plane().api().kubeconfig("admin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null()) // the screen is the other command's
            .status()
            .context("run kubectl-breakwater report")?;
        ensure!(status.success(), "kubectl breakwater report {name} --close ended with {status}");
        Ok(())
    }

    fn in_folder(folder: &Path) -> Self {
        Self { controller: folder.join("breakwater"), plugin: folder.join("kubectl-breakwater") }
    }
}

/// `kubectl breakwater get chat -w`, as a user runs it: a screen on a terminal, below a headline; lines elsewhere.
struct Screen {
    plugin: Child,
    headline: Arc<Mutex<String>>,
    is_terminal: bool,
}

impl Screen {
    fn open(scene: &Scene, programs: &Programs) -> Result<Self> {
        let is_terminal = std::io::stdout().is_terminal();
        let headline = Arc::new(Mutex::new(String::new()));
        let kubeconfig = scene.bed().control_plane().api().kubeconfig("admin");
        let watch = ["get", "chat", "--watch", "--namespace", scene.namespace()];
        let mut command = if is_terminal {
            // A terminal of its own, so that the headline can be put above what the plugin draws.
            let line = format!("{} {}", programs.plugin.display(), watch.join(" "));
            let mut command = Command::new("script");
            command.args(["--quiet", "--flush", "--command", &line, "/dev/null"]).stdout(Stdio::piped());
            command
        } else {
            let mut command = Command::new(&programs.plugin);
            command.args(watch);
            command
        };
        let command = command.env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
        let mut plugin = command.spawn().context("start kubectl-breakwater")?;
        if let Some(drawn) = plugin.stdout.take() {
            let headline = Arc::clone(&headline);
            std::thread::spawn(move || copy(drawn, &headline));
        }
        Ok(Self { plugin, headline, is_terminal })
    }

    /// Says what is shown from now on.
    fn announce(&self, words: &str) {
        if self.is_terminal {
            words.clone_into(&mut self.headline.lock().unwrap_or_else(PoisonError::into_inner));
        } else {
            println!("\n{words}");
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended by itself, with Ctrl-C.
        let _ = self.plugin.kill();
        let _ = self.plugin.wait();
    }
}

/// Copies what the plugin draws, with the headline above each picture, which begins by going home.
fn copy(mut drawn: impl std::io::Read, headline: &Mutex<String>) {
    const HOME: &str = "\x1b[H";
    let mut stdout = std::io::stdout();
    let (mut buffer, mut pending) = ([0_u8; 16_384], Vec::new());
    while let Ok(count @ 1..) = drawn.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..count]);
        let whole = valid_up_to(&pending);
        let words = headline.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
        pending.drain(..whole);
        let text = text.replace(HOME, &format!("{HOME}\x1b[1m{words}\x1b[0m\x1b[K\r\n\x1b[K\r\n"));
        // Whoever closed the terminal is not there to be told.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// Length of what can be drawn now: neither a character nor a control sequence is cut in two.
fn valid_up_to(bytes: &[u8]) -> usize {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    let begun = bytes[..valid].iter().rposition(|byte| *byte == 0x1b);
    begun.filter(|at| valid - at < 3).unwrap_or(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_in_two_waits_for_its_other_half() {
        assert_eq!(valid_up_to("wave ✔".as_bytes()), "wave ✔".len());
        assert_eq!(valid_up_to(&"wave ✔".as_bytes()[..6]), 5);
        assert_eq!(valid_up_to(b"wave\x1b["), 4);
        assert_eq!(valid_up_to(b"wave\x1b[H"), 7);
    }
}
