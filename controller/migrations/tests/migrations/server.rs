//! A PostgreSQL of a test's own: found, made, started on a free port, and gone with the test.
//!
//! Looked for in `PG_BIN`, where Debian installs it, and where `tests/controlplane/install` unpacks it. Where there is
//! none the test fails: a suite that measures nothing must not look as if it had.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// `nobody`: PostgreSQL does not run as root.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// A server that ends with the test.
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Where it listens.
    pub url: String,
    /// Its major version, as `postgres --version` says it.
    pub version: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown, after which no shared memory stays; SIGKILL only where that does not help.
        let _asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _gone = self.child.kill();
        let _waited = self.child.wait();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the newest server's programs.
fn find() -> PathBuf {
    let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(bin) = env("PG_BIN") {
        assert!(has_server(&bin), "PG_BIN={} holds no postgres and initdb", bin.display());
        return bin;
    }
    let cache = env("BREAKWATER_CACHE")
        .or_else(|| env("XDG_CACHE_HOME").map(|cache| cache.join("breakwater")))
        .or_else(|| env("HOME").map(|home| home.join(".cache/breakwater")));
    let unpacked = cache
        .iter()
        .flat_map(|cache| within(cache))
        .flat_map(|keyed| within(&keyed.join("postgresql/usr/lib/postgresql")));
    let bins = within(Path::new("/usr/lib/postgresql")).into_iter().chain(unpacked);
    bins.map(|version| version.join("bin"))
        .find(|bin| has_server(bin))
        .expect("there is no PostgreSQL to measure with: run tests/controlplane/install, which unpacks one")
}

fn has_server(bin: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| bin.join(name).exists())
}

/// What a folder holds, the newest version first.
fn within(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.reverse();
    found
}

fn root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

/// The programs where `nobody` can run them: a home folder that others cannot enter is copied from.
fn reachable(bin: PathBuf, folder: &Path) -> PathBuf {
    let closed = |path: &Path| fs::metadata(path).is_ok_and(|of| of.mode() & 0o001 == 0);
    if !root() || !bin.ancestors().any(closed) {
        return bin;
    }
    // <unpacked>/usr/lib/postgresql/<version>/bin
    let unpacked = bin.ancestors().nth(5).expect("five folders up").to_owned();
    let copy = folder.join("programs");
    let copied = Command::new("cp").arg("-r").arg(&unpacked).arg(&copy).status().expect("cp");
    assert!(copied.success(), "cannot copy {}", unpacked.display());
    copy.join(bin.strip_prefix(&unpacked).expect("an ancestor"))
}

/// A program, as a user that PostgreSQL accepts, with the libraries that were unpacked beside it.
fn program(bin: &Path, name: &str, folder: &Path) -> Command {
    let path = bin.join(name);
    let mut command = if root() { Command::new("setpriv") } else { Command::new(&path) };
    if root() {
        command.args(NOBODY).arg(&path);
    }
    if let Some(libraries) =
        bin.ancestors().nth(5).map(|root| root.join("libraries")).filter(|dir| dir.is_dir())
    {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command.current_dir(folder).env("LC_ALL", "C");
    command
}

/// Makes a server and starts it.
pub fn start() -> Server {
    let found = find();
    let folder = std::env::temp_dir().join(format!("breakwater-measure-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("permissions");
    let bin = reachable(found, &folder);
    let data = folder.join("data");
    let said = program(&bin, "postgres", &folder).arg("--version").output().expect("postgres --version");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = said.split_whitespace().find(|word| word.starts_with(|one: char| one.is_ascii_digit()));
    let version = number.unwrap_or_default().split('.').next().unwrap_or_default().to_owned();
    let made = program(&bin, "initdb", &folder)
        .arg("-D")
        .arg(&data)
        .args(["-U", "postgres", "-A", "trust", "-N"])
        .output()
        .expect("initdb");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let log = fs::File::create(folder.join("log")).expect("a log");
    let settings = ["fsync=off", "autovacuum=off", "jit=off", "unix_socket_directories="];
    let child = program(&bin, "postgres", &folder)
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres");
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let server = Server { child, folder, url, version };
    server.wait();
    server
}

impl Server {
    /// Until it answers, for half a minute.
    fn wait(&self) {
        for _ in 0..150 {
            if postgres::Client::connect(&self.url, postgres::NoTls).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("the server does not answer: {log}");
    }
}
