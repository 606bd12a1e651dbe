//! `breakwater loadtest compare --from-prometheus` over what a real Prometheus has recorded: two stretches of one load test,
//! written with its own promtool.

use std::fmt::Write as _;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::binaries;
use breakwater_tests::bed::folder::Folder;
use breakwater_tests::bed::recorded::Recorded;
use fastrand::Rng;
use serde_json::Value;

/// 2026-03-01T08:00:00Z, and how long a stretch takes.
const START: i64 = 1_772_352_000;
const STRETCH: i64 = 5_400;
const SCRAPE: i64 = 15;
const EDGES: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const BASE: &str = "2026-03-01T08:00:00Z/2026-03-01T09:30:00Z";
const SAME: &str = "2026-03-01T10:00:00Z/2026-03-01T11:30:00Z";
const SLOW: &str = "2026-03-01T12:00:00Z/2026-03-01T13:30:00Z";

/// One histogram of calls with exponential times: `means` in seconds, one for each stretch, two hours apart.
fn histogram(
    text: &mut String,
    family: &str,
    label: &str,
    means: [f64; 3],
    calls: u32,
    chance: &mut Rng,
) -> Result<()> {
    let (mut buckets, mut count, mut sum) = ([0_u32; EDGES.len()], 0_u32, 0.0);
    for (stretch, mean) in (0_i64..).zip(means) {
        for sample in 0..=STRETCH / SCRAPE {
            let at = START + stretch * 7_200 + sample * SCRAPE;
            for _ in 0..calls {
                let time = -mean * (1.0 - chance.f64()).ln();
                (count, sum) = (count + 1, sum + time);
                for (bucket, _) in buckets.iter_mut().zip(EDGES).filter(|(_, edge)| time <= *edge) {
                    *bucket += 1;
                }
            }
            for (bucket, edge) in buckets.iter().zip(EDGES) {
                writeln!(text, "{family}_bucket{{{label},le=\"{edge}\"}} {bucket} {at}")?;
            }
            writeln!(text, "{family}_bucket{{{label},le=\"+Inf\"}} {count} {at}")?;
            writeln!(text, "{family}_count{{{label}}} {count} {at}\n{family}_sum{{{label}}} {sum} {at}")?;
        }
    }
    Ok(())
}

/// Three stretches: of the third, one handler takes half as long again.
fn open_metrics() -> Result<String> {
    let (mut text, mut chance) = (String::from("# TYPE mattermost_api_time histogram\n"), Rng::with_seed(1));
    for (handler, means, calls) in [
        ("createPost", [0.04, 0.04, 0.06], 60),
        ("getPosts", [0.02; 3], 40),
        ("getUser", [0.01; 3], 30),
        ("login", [0.1; 3], 20),
    ] {
        let label = format!("handler=\"{handler}\",method=\"POST\",status_code=\"200\"");
        histogram(&mut text, "mattermost_api_time", &label, means, calls, &mut chance)?;
    }
    text.push_str("# TYPE mattermost_db_store_time histogram\n");
    for method in ["PostStore.Save", "UserStore.Get"] {
        let label = format!("method=\"{method}\"");
        histogram(&mut text, "mattermost_db_store_time", &label, [0.004; 3], 50, &mut chance)?;
    }
    text.push_str("# EOF\n");
    Ok(text)
}

fn compare(url: &str, candidate: &str) -> Result<(Output, Value)> {
    let mut command = Command::new(binaries::own("breakwater")?);
    command.args([
        "loadtest",
        "compare",
        "--from-prometheus",
        url,
        "--base",
        BASE,
        "--candidate",
        candidate,
        "-o",
        "json",
    ]);
    let output = command.output().context("run breakwater loadtest compare")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&said)
        .with_context(|| format!("read {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output, json))
}

#[tokio::test]
async fn two_stretches_of_a_prometheus_are_compared_and_only_the_slower_one_is_found() -> Result<()> {
    breakwater_tests::install_crypto();
    let folder = Folder::new()?;
    let prometheus = Recorded::serve(&folder, &open_metrics()?).await?;
    let (output, same) = compare(prometheus.url(), SAME)?;
    ensure!(output.status.success() && same["verdict"] != "Fail" && same["verdict"] != "NoData", "{same}");
    let (output, slow) = compare(prometheus.url(), SLOW)?;
    ensure!(output.status.code() == Some(1) && slow["verdict"] == "Fail", "{slow}");
    let worst = &slow["findings"][0];
    let ratio = worst["ratio"].as_f64().unwrap_or_default();
    ensure!(worst["name"].as_str().is_some_and(|name| name.contains("createPost")), "{worst}");
    ensure!((1.4..1.6).contains(&ratio), "{worst}");
    let (_, nothing) = compare(prometheus.url(), "2026-04-01T08:00:00Z/2026-04-01T09:30:00Z")?;
    ensure!(nothing["verdict"] == "NoData", "{nothing}");
    Ok(())
}
