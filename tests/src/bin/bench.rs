//! The benches: `cargo run --release -p breakwater-tests --bin bench -- [--tenants N] [--pairs N]
//! [--only wave|react|memory|cpu]` measures the controller's release build on the real bed and prints a table of
//! figures, aims and verdicts. It fails only if something broke.

use std::process::ExitCode;

use breakwater_tests::bench::{self, Options};

#[tokio::main]
async fn main() -> ExitCode {
    breakwater_tests::install_crypto();
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    tokio::select! {
        result = bench::run(options) => match result {
            Ok(table) => {
                println!("{} tenants, {} pairs\n\n{table}", options.tenants, options.pairs);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        // What was started ends as the bench is dropped.
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}
