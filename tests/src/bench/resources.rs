//! What the controller's process costs while it watches: memory per tenant, processor time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::stage::Stage;
use super::table::{Aim, Table};
use super::{CONNECTIONS, Options, progress};
use crate::kinds::Kind;

/// Resident bytes that one tenant more may cost.
const MEMORY_AIM: f64 = 512.0;
/// Percent of a core that a quiet fleet may cost.
const CPU_AIM: f64 = 0.5;
/// Time in which what was used for a moment is given back.
const CALM: Duration = Duration::from_secs(10);
/// How long processor time is counted.
const SAMPLE: Duration = Duration::from_mins(1);
/// Events a second, and for how long.
const EVENTS: u32 = 100;
const EVENTS_FOR: Duration = Duration::from_secs(20);
/// Ticks a second in `/proc/PID/stat`: 100 on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;
/// The version that soaks.
const SOAKING: &str = "1.0.1";

/// Resident memory in soak at a tenth of the fleet and at all of it: grown under one controller, and as a fresh one
/// finds it.
pub(super) async fn memory(stage: &mut Stage, options: Options, table: &mut Table) -> Result<()> {
    let (few, many) = (options.tenants / 10, options.tenants);
    stage.grow(few).await?;
    stage.controlled().await?;
    stage.soaks(SOAKING).await?;
    let small = resident(stage).await?;
    stage.relieve().await?;
    let fresh_small = resident(stage).await?;
    stage.grow(many).await?;
    stage.all_on(SOAKING).await?;
    let grown = resident(stage).await?;
    stage.relieve().await?;
    let fresh = resident(stage).await?;
    let slope = |from: u64, to: u64| (to as f64 - from as f64) / (many - few) as f64;
    let what = format!("memory per tenant, {few} to {many} in soak");
    table.judged(
        &format!("{what}, after a start"),
        slope(fresh_small, fresh),
        0,
        " B",
        Aim::Below(MEMORY_AIM),
    );
    table.judged(&format!("{what}, after the wave"), slope(small, grown), 0, " B", Aim::Below(MEMORY_AIM));
    let kib = |bytes: u64| bytes / 1024;
    let figure = format!(
        "{} and {} KiB at {few}, {} and {} KiB",
        kib(fresh_small),
        kib(small),
        kib(fresh),
        kib(grown)
    );
    table.told("memory resident, after a start and after the wave", figure);
    Ok(())
}

/// Resident bytes of the controller, after a rest.
async fn resident(stage: &Stage) -> Result<u64> {
    tokio::time::sleep(CALM).await;
    let pid = stage.controller()?.process().pid();
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the controller's status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("there is no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    progress(&format!("{} tenants: {kib} KiB resident", stage.tape().len(stage.own())));
    Ok(kib * 1024)
}

/// Processor time in soak: quiet, with events that no plan depends on, with events that each plan depends on.
pub(super) async fn cpu(stage: &mut Stage, table: &mut Table) -> Result<()> {
    stage.controlled().await?;
    stage.soaks(SOAKING).await?;
    tokio::time::sleep(CALM).await;
    progress("counting processor time while it is quiet");
    let before = (seconds(stage)?, Instant::now());
    tokio::time::sleep(SAMPLE).await;
    let quiet = percent(stage, before)?;
    table.judged("cpu in soak, quiet: of a core", quiet, 2, " %", Aim::Below(CPU_AIM));
    progress("counting processor time with events");
    let status = busy(stage, true).await?;
    table.told(&format!("cpu in soak, {EVENTS} status events/s: of a core"), format!("{status:.1} %"));
    let changes = busy(stage, false).await?;
    table.told(
        &format!("cpu in soak, {EVENTS} tenants/s fall asleep or wake: of a core"),
        format!("{changes:.1} %"),
    );
    Ok(())
}

/// Percent of a core while tenants change: their statuses, or whether they sleep.
async fn busy(stage: &Stage, statuses: bool) -> Result<f64> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(stage.client().clone(), stage.own(), &Kind::Tenant.resource());
    let names: Vec<String> = stage.tape().objects(stage.own()).into_iter().map(|(name, _)| name).collect();
    let before = (seconds(stage)?, Instant::now());
    let ticks = tokio::time::interval(Duration::from_secs(1) / EVENTS);
    let count = EVENTS_FOR.as_secs() * u64::from(EVENTS);
    let params = PatchParams::default();
    let touch = async |(i, name): (u64, &String)| {
        if statuses {
            let patch = Patch::Merge(json!({"status": {"message": format!("beat {i}")}}));
            api.patch_status(name, &params, &patch).await
        } else {
            // Half of them fall asleep, and are woken in the second half.
            let patch = Patch::Merge(json!({"spec": {"replicas": i32::from(i >= count / 2)}}));
            api.patch(name, &params, &patch).await
        }
    };
    let half = usize::try_from(count / 2)?;
    let order = names.iter().cycle().take(half).chain(names.iter().cycle().take(half));
    let ticks = stream::unfold(ticks, async |mut ticks| Some((ticks.tick().await, ticks)));
    let touched = ticks.zip(stream::iter((0..count).zip(order))).map(|(_, one)| touch(one));
    let answers: Vec<_> = touched.buffer_unordered(CONNECTIONS).collect().await;
    let used = percent(stage, before)?;
    answers.into_iter().collect::<kube::Result<Vec<_>>>().context("touch a tenant")?;
    Ok(used)
}

fn percent(stage: &Stage, (seconds_before, began): (f64, Instant)) -> Result<f64> {
    Ok((seconds(stage)? - seconds_before) / began.elapsed().as_secs_f64() * 100.0)
}

/// Processor seconds of the controller so far, its own and the kernel's for it.
fn seconds(stage: &Stage) -> Result<f64> {
    let pid = stage.controller()?.process().pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read the controller's stat")?;
    // The second field is a name in brackets and may hold anything; utime and stime are the 14th and 15th.
    let fields = stat.rsplit_once(')').context("a stat without a name")?.1.split_whitespace();
    let ticks: Result<Vec<f64>, _> = fields.skip(11).take(2).map(str::parse).collect();
    Ok(ticks.context("utime and stime are no numbers")?.iter().sum::<f64>() / TICKS)
}
