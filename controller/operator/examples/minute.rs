//! What a minute's answers cost: `cargo run --release -p breakwater-operator --example minute [-- TENANTS]`.
//!
//! The answers of two SLOs, one of errors and one of a histogram's latency (Prometheus sums its buckets: three rows per
//! tenant come back for either), are read from their bytes to counts by tenant, in pieces as a connection brings them;
//! beside it the same bytes are parsed barely: into a tree, and into a list of typed rows. Time is this thread's on a
//! processor, the median of several rounds; memory is the most that was resident during a round beyond what was before.

use std::{alloc::System, collections::BTreeMap, error::Error, fmt::Write as _, fs, sync::Arc};

use breakwater_operator::telemetry::{
    Grid, Sheet, TenantIds,
    body::{Answer, Reader, Wanted},
};
use breakwater_plan::{observed::StepData, promql::Measure};
use breakwater_slo::TenantId;
use serde::Deserialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rounds of each way, after one that warms it.
const ROUNDS: usize = 7;
/// Bytes of a piece of a body.
const PIECE: usize = 16 << 10;
const AT: i64 = 1_700_000_040;

/// A response, typed, as one would parse it without further thought.
#[derive(Deserialize)]
struct Typed {
    data: TypedData,
}

#[derive(Deserialize)]
struct TypedData {
    result: Vec<TypedRow>,
}

#[derive(Deserialize)]
struct TypedRow {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

fn main() -> Result<(), Box<dyn Error>> {
    let tenants = std::env::args().nth(1).map_or(Ok(100_000), |tenants| tenants.parse::<u32>())?;
    let bodies = [body(tenants, "bad"), body(tenants, "good")];
    let bytes: usize = bodies.iter().map(String::len).sum();
    println!("{tenants} tenants, two SLOs, {:.1} MB of answers", bytes as f64 / 1e6);
    println!("{:<34} {:>8} {:>10} {:>12} {:>14}", "", "ms", "of typed", "peak MB", "allocs/tenant");
    let named =
        (0..tenants).map(|n| (name(n).into(), TenantId(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    let ids = Arc::new(TenantIds::new(named));
    let labels: Arc<[String]> = vec!["tenant".to_owned()].into();
    let mut sheets =
        [Measure::Counters, Measure::Histogram].map(|measure| Sheet::new(measure, labels.clone()));
    let typed = measure(tenants, || {
        for body in &bodies {
            let parsed: Typed = serde_json::from_str(body)?;
            std::hint::black_box(
                parsed.data.result.iter().map(|row| row.metric.len() + row.value.1.len()).sum::<usize>(),
            );
        }
        Ok(())
    })?;
    let tree = measure(tenants, || {
        for body in &bodies {
            std::hint::black_box(serde_json::from_str::<serde_json::Value>(body)?);
        }
        Ok(())
    })?;
    let ours = measure(tenants, || {
        for (sheet, body) in sheets.iter_mut().zip(&bodies) {
            read(sheet, body, &ids)?;
        }
        Ok(())
    })?;
    for (name, cost) in [
        ("typed rows (serde_json)", &typed),
        ("tree (serde_json::Value)", &tree),
        ("to counts by tenant", &ours),
    ] {
        let Cost { ms, peak_mb, allocations } = cost;
        println!("{name:<34} {ms:>8.1} {:>10.2} {peak_mb:>12.1} {allocations:>14.4}", ms / typed.ms);
    }
    Ok(())
}

/// As the client does: piece by piece into the sheet, and then what it says.
fn read(sheet: &mut Sheet, body: &str, ids: &Arc<TenantIds>) -> Result<(), Box<dyn Error>> {
    sheet.begin(ids, Grid::instant(AT));
    let mut reader = Reader::new(Wanted::Instant);
    for piece in body.as_bytes().chunks(PIECE) {
        reader.feed(piece, sheet)?;
    }
    match reader.end(sheet) {
        Answer::Done => sheet.end()?,
        other => return Err(format!("{other:?}").into()),
    }
    match sheet.step_data() {
        StepData::Counts(counts) if counts.as_slice().len() == ids.tenants().len() => Ok(()),
        other => Err(format!("{other:?}").chars().take(200).collect::<String>().into()),
    }
}

struct Cost {
    ms: f64,
    peak_mb: f64,
    allocations: f64,
}

fn measure(
    tenants: u32,
    mut round: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Cost, Box<dyn Error>> {
    round()?;
    let (mut times, mut peak_mb, mut allocations) = (Vec::new(), 0.0_f64, 0);
    for _ in 0..ROUNDS {
        fs::write("/proc/self/clear_refs", "5")?; // the peak begins anew
        let (resident, region, began) = (memory_mb("VmRSS:")?, Region::new(ALLOCATOR), on_processor_ms()?);
        round()?;
        times.push(on_processor_ms()? - began);
        allocations = region.change().allocations;
        peak_mb = peak_mb.max(memory_mb("VmHWM:")? - resident);
    }
    times.sort_by(f64::total_cmp);
    Ok(Cost { ms: times[ROUNDS / 2], peak_mb, allocations: allocations as f64 / f64::from(tenants) })
}

/// Milliseconds that this thread was on a processor.
fn on_processor_ms() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = text.split_whitespace().next().ok_or("no figure")?.parse()?;
    Ok(ns / 1e6)
}

fn memory_mb(field: &str) -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    let kb: f64 = line.split_whitespace().next().ok_or("no figure")?.parse()?;
    Ok(kb / 1_024.0)
}

fn name(number: u32) -> String {
    format!("tenant-{number:06}")
}

/// An answer as Prometheus writes it.
fn body(tenants: u32, part: &str) -> String {
    let mut body = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    for (row, value) in [("total", 600), (part, 3), ("now", 2)] {
        for number in 0..tenants {
            let comma = if body.ends_with('[') { "" } else { "," };
            let (name, value) = (name(number), if row == "total" { value + number % 7_000 } else { value });
            // Writing into a string cannot fail.
            let _ = write!(
                body,
                r#"{comma}{{"metric":{{"breakwater":"{row}","tenant":"{name}"}},"value":[{AT},"{value}"]}}"#
            );
        }
    }
    body.push_str("]}}");
    body
}
