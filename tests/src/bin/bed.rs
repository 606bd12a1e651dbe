//! The real bed by hand: `cargo run -p breakwater-tests --bin bed -- [TENANTS]` starts it with a fleet of Deployments,
//! prints how to reach it, and stops with Ctrl-C. A version whose name holds `bad` makes errors, one with `slow` is slow.

use anyhow::Result;
use breakwater_tests::{
    bed::{Bed, traffic::Behaviour},
    kinds::{Kind, Tenant},
};

/// Versions that make errors, for whoever plays with it.
const BAD: [&str; 2] = ["2.0.0-bad", "1.1.0-bad"];
/// Versions that are slow.
const SLOW: [&str; 1] = ["2.0.0-slow"];

#[tokio::main]
async fn main() -> Result<()> {
    breakwater_tests::install_crypto();
    let tenants: usize = std::env::args().nth(1).map_or(Ok(12), |n| n.parse())?;
    let bed = Bed::own().await?;
    let area = bed.area("fleet").await?;
    for version in BAD {
        area.tenants().behave(version, Behaviour::errors(0.4));
    }
    for version in SLOW {
        area.tenants().behave(version, Behaviour::slow(0.5));
    }
    let ring = |i: usize| if i < tenants / 6 { "community" } else { "rest" };
    let fleet =
        (0..tenants).map(|i| Tenant::new(area.namespace(), &format!("t{i:03}"), "1.0.0").ring(ring(i)));
    area.fleet(Kind::Deployment).create(fleet).await?;
    println!("export KUBECONFIG={}", bed.control_plane().api().kubeconfig("admin").display());
    println!("namespace {}", area.namespace());
    println!("prometheus {}", bed.prometheus().url());
    println!("alertmanager {}", bed.alertmanager().url());
    println!("folder {}", bed.folder().display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
