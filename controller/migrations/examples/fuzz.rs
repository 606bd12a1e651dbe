//! Mutates the corpus for so many seconds and reviews each mutant: no panic, no stack overflow, nothing that takes long.
//!
//! `cargo run --release -p breakwater-migrations --example fuzz -- --seconds 60 --seed 1`
//!
//! Mutant n of seed s is the same everywhere. What panics or takes more than a second is written to the folder for
//! temporary files, and makes the exit code 1. A stack overflow ends the program: the last number shown is near it.

use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    process::ExitCode,
    time::{Duration, Instant},
};

use breakwater_migrations::{Dialect, Input, analyse};

#[path = "../tests/migrations/mutate.rs"]
mod mutate;

const SLOW: Duration = Duration::from_secs(1);

/// As much as a worker thread of the controller has.
const STACK_BYTES: usize = 2 * 1024 * 1024;

fn argument(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|one| one != name);
    arguments.nth(1).map_or(default, |value| value.parse().unwrap_or(default))
}

fn review(dialect: Dialect, bytes: &[u8]) {
    let version = if dialect == Dialect::Mysql { "8.0.36" } else { "15.4" };
    let files = BTreeMap::from([
        ("000001_it.up.sql".to_owned(), bytes.to_vec()),
        ("000001_it.down.sql".to_owned(), bytes.to_vec()),
    ]);
    let input = Input { style: true, ..Input::new(files, dialect, version, 0, 1) };
    let _reviewed = analyse(&input);
}

fn fuzz(seconds: u64, seed: u64) -> bool {
    let corpus = mutate::corpus();
    let start = Instant::now();
    let (mut count, mut worst, mut bad) = (0_u64, Duration::ZERO, 0_u32);
    while start.elapsed() < Duration::from_secs(seconds) {
        let (dialect, bytes) = mutate::mutated(&corpus, seed.wrapping_mul(1_000_000_007).wrapping_add(count));
        let began = Instant::now();
        let panicked = catch_unwind(|| review(dialect, &bytes)).is_err();
        let took = began.elapsed();
        worst = worst.max(took);
        if panicked || took > SLOW {
            bad += 1;
            let path = std::env::temp_dir().join(format!("breakwater-fuzz-{seed}-{count}.sql"));
            let _written = std::fs::write(&path, &bytes);
            println!("mutant {count} ({dialect}): {took:?}, panicked: {panicked}: {}", path.display());
        }
        count += 1;
        if count.is_multiple_of(10_000) {
            eprint!("\r{count}");
        }
    }
    eprintln!();
    println!(
        "seed {seed}: {count} mutants in {seconds} s, {bad} bad; the slowest took {:.1} ms",
        worst.as_secs_f64() * 1000.0
    );
    bad == 0
}

fn main() -> ExitCode {
    let (seconds, seed) = (argument("--seconds", 60), argument("--seed", 1));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || fuzz(seconds, seed));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
