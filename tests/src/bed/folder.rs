//! The folder of one bed: data, logs, kubeconfig files. It is removed when the bed ends well; one that a failed or
//! killed run left behind stays for reading, until the next run finds it unlocked.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const LOCK: &str = ".lock";

/// A locked folder under `$BREAKWATER_BEDS` (default: `breakwater-beds` in the system's temporary folder).
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held for as long as this process lives; the kernel lets go of it even after a SIGKILL.
    _lock: File,
}

impl Folder {
    /// Makes a new folder, and removes those whose process is gone.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = std::env::var_os("BREAKWATER_BEDS")
            .map_or_else(|| std::env::temp_dir().join("breakwater-beds"), PathBuf::from);
        fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
        let gate = File::create(root.join(LOCK))?;
        gate.lock()?;
        remove_abandoned(&root);
        let path = root.join(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What can't be removed now is removed as abandoned by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn remove_abandoned(root: &Path) {
    let abandoned =
        |folder: &PathBuf| File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in folders.filter(abandoned) {
        // Best effort: it is only old data.
        let _ = fs::remove_dir_all(folder);
    }
}
