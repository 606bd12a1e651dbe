//! Runs, spread over the cores; their results come in order. Progress goes to a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `count` runs of `run`, which gets its number.
pub fn all<T: Send>(what: &str, count: usize, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = run(number as u64);
                    if let Ok(mut results) = results.lock() {
                        results.push((number, result));
                        progress(what, results.len(), count);
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn progress(what: &str, done: usize, count: usize) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let end = if done == count { "\r\x1b[K" } else { "" };
        // A terminal that is gone shows nothing.
        let _ = write!(terminal, "\r{what}: {done} of {count}{end}");
        let _ = terminal.flush();
    }
}
