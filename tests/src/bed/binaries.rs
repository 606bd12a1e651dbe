//! Where the programs are: those of the control plane (built or unpacked once by `controlplane/install`) and our own
//! (built by cargo, once per test binary).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The path of one of the control plane's programs: etcd, kube-apiserver, kube-controller-manager, kubectl, kwok,
/// helm, prometheus, promtool, alertmanager. The first call may build for minutes.
pub fn find(name: &str) -> Result<&'static Path> {
    static FOUND: OnceLock<Result<BTreeMap<String, PathBuf>, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    let paths = found.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    paths.get(name).map(PathBuf::as_path).with_context(|| format!("the bed has no program {name}"))
}

/// The path of one of our own programs: `breakwater` or `kubectl-breakwater`, built in the test's own profile.
/// `BREAKWATER_BIN` names a folder with other builds of them.
pub fn own(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let folder = built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(folder.join(name))
}

fn install() -> Result<BTreeMap<String, PathBuf>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane/install");
    let output =
        Command::new(&script).stderr(Stdio::inherit()).output().context("run controlplane/install")?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    let lines = String::from_utf8(output.stdout).context("read the output of controlplane/install")?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, path)| (name.into(), path.into()))
        .collect())
}

fn build() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BREAKWATER_BIN") {
        return Ok(folder.into());
    }
    // A test binary is <target>/<profile>/deps/<name>; our programs are two folders up.
    let test = std::env::current_exe().context("find the test binary")?;
    let folder = test.ancestors().nth(2).context("the test binary is not in a cargo target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--workspace", "--bin", "breakwater"]);
    command.args(["--bin", "kubectl-breakwater"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().context("run cargo build")?;
    if !status.success() {
        bail!("cargo build of our own programs ended with {status}");
    }
    Ok(folder.into())
}
