//! `breakwater backtest` over what a real Prometheus has recorded: two weeks of twenty tenants, written with its own
//! promtool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use breakwater_tests::bed::binaries;
use breakwater_tests::bed::folder::Folder;
use breakwater_tests::bed::recorded::{Recorded, Recording};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const ROLLOUT: &str = r"
apiVersion: breakwater.dev/v1alpha1
kind: Rollout
metadata: {name: app, namespace: ops}
spec:
  version: 1.1.0
  tenants:
    resource: {apiVersion: apps/v1, kind: Deployment}
    selector: {matchLabels: {app: app}}
    id: object.metadata.name
  slos:
    - name: errors
      errors: {bad: 'app_requests_total{code=~\'5..\'}', total: app_requests_total}
      objective: 99%
      tenantLabels: [installation]
  waves:
    - {name: early, percent: 45, soak: 3d}
    - {name: rest, soak: 3d}
";

/// Half of the tenants that the rollout's draw puts into its first wave.
const OF_EARLY: [u32; 4] = [3, 7, 15, 19];

/// Two weeks of twenty tenants that nothing happens to, a sample a minute. It goes on: so there are samples up to now,
/// whenever that is.
#[expect(clippy::disallowed_methods, reason = "the recording goes on now")]
fn two_weeks() -> Recording {
    Recording {
        tenants: 20,
        days: 14,
        until: Timestamp::now() + SignedDuration::from_mins(10),
        scrape_seconds: 60,
        requests_per_minute: 60.0,
        error_ratio: 0.004,
        broken: BTreeMap::new(),
        gap: None,
        seed: 1,
    }
}

struct Backtest {
    folder: Folder,
    prometheus: Recorded,
}

impl Backtest {
    async fn of(recording: &Recording) -> Result<Self> {
        breakwater_tests::install_crypto();
        let folder = Folder::new()?;
        let prometheus = Recorded::start(&folder, recording).await?;
        std::fs::write(folder.join("rollout.yaml"), ROLLOUT.replace("\\'", "\""))?;
        Ok(Self { folder, prometheus })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.run_at(self.prometheus.url(), arguments)
    }

    fn run_at(&self, prometheus: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binaries::own("breakwater")?);
        command.arg("backtest").arg("-f").arg(self.file("rollout.yaml"));
        command.args(["--prometheus", prometheus]).args(arguments);
        command.output().context("run breakwater backtest")
    }

    /// The outcome as JSON, where this is the exit code.
    fn json(&self, code: i32, arguments: &[&str]) -> Result<Value> {
        let output = self.run(&[arguments, &["-o", "json"]].concat())?;
        let (said, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.code() == Some(code), "{}: {said}{complaint}", output.status);
        serde_json::from_str(&said).with_context(|| format!("read {said}"))
    }
}

fn stands_alone(page: &Path) -> Result<()> {
    let text = std::fs::read_to_string(page)?;
    ensure!(text.contains("<svg") && text.contains("Backtest of ops/app"), "{text}");
    ensure!(!text.contains("NaN") && !text.contains("src=") && !text.contains("href="), "{text}");
    Ok(())
}

#[tokio::test]
async fn two_recorded_weeks_make_no_false_alarm_and_twice_the_errors_are_caught() -> Result<()> {
    let backtest = Backtest::of(&two_weeks()).await?;
    let page = backtest.file("backtest.html");
    let page_argument = page.display().to_string();
    let output = backtest.run(&["--from", "14d", "--html", &page_argument])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.stderr.is_empty(), "a progress bar without a terminal");
    println!("{said}");
    let line = said.lines().find(|line| line.contains("early") && line.contains(" 2x ")).context("no 2x")?;
    ensure!(line.contains("✔ after ") && line.contains("Comparison"), "{line}");
    ensure!(said.contains("✔ None") && said.contains("✔ Good: no false alarm"), "{said}");
    stands_alone(&page)?;

    let outcome = backtest
        .json(0, &["--from", "14d", "--inject", "2x@start=1d", "--inject", "10x@tenant-share=10%"])?;
    let early = &outcome["slos"][0]["waves"][0];
    ensure!(outcome["slos"][0]["stepSeconds"] == 240, "four scrapes: {outcome}");
    ensure!(early["missingSteps"].as_u64() <= Some(2) && early["alarms"] == serde_json::json!([]), "{early}");
    let seconds = early["faults"][0]["found"]["afterSeconds"].as_i64().context("2x was not found")?;
    ensure!((240..86_400).contains(&seconds), "{seconds}");
    // A fault in one tenant of the wave.
    ensure!(early["faults"][1]["tenants"] == 1 && early["faults"][1]["found"].is_object(), "{early}");
    Ok(())
}

#[tokio::test]
async fn arms_that_part_by_themselves_are_a_false_alarm_and_a_gap_is_none() -> Result<()> {
    let broken = OF_EARLY.map(|tenant| (tenant, (3.0, 2 * 86_400))).into();
    let recording = Recording { broken, gap: Some((4 * 86_400, 4 * 86_400 - 7_200)), ..two_weeks() };
    let backtest = Backtest::of(&recording).await?;
    let output = backtest.run(&["--from", "30d", "--inject", "2x"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("NoHistory: nothing was recorded before"), "{said}");
    ensure!(said.contains("false alarm") && said.contains("errors of wave early: "), "{said}");
    let outcome = backtest.json(1, &["--from", "14d", "--inject", "2x"])?;
    let early = &outcome["slos"][0]["waves"][0];
    ensure!(early["missingSteps"].as_u64() >= Some(25), "two hours without data: {early}");
    let first = early["alarms"][0]["at"].as_str().context("no alarm")?.parse::<Timestamp>()?;
    ensure!(first > recording.until - SignedDuration::from_hours(49), "the gap was an alarm: {early}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_would_be_right() -> Result<()> {
    let backtest = Backtest::of(&Recording { days: 1, tenants: 2, ..two_weeks() }).await?;
    for (arguments, words) in [
        (&["--inject", "2x@tennant-share=10%"][..], "did you mean tenant-share=?"),
        (&["--slo", "erors"], "there are errors"),
        (&["--from", "1h", "--to", "2h"], "--from 1h: must be longer ago than --to (2h)"),
        (&["--from", "30d", "--to", "20d"], "errors: NoHistory: its total has no series from"),
        (&["--inject", "2x@start=20h", "--from", "1d"], "go further back with --from"),
    ] {
        let output = backtest.run(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && complaint.contains(words), "{arguments:?}: {output:?}");
    }
    let output = backtest.run_at("http://127.0.0.1:1", &[])?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && complaint.contains("127.0.0.1:1: no answer"), "{output:?}");
    Ok(())
}
