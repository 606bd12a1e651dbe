//! `kubectl breakwater`: see [`breakwater_cli::plugin`].

use std::process::ExitCode;

use breakwater_cli::plugin::{self, args::Cli};
use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    breakwater_cli::install_crypto();
    let cli = Cli::parse();
    match plugin::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            ExitCode::from(failure.code)
        }
    }
}
