//! What a minute's answers cost: `cargo run --release -p breakwater-operator --example minute [-- TENANTS]`.
//!
//! The answers of two SLOs, one of errors (three rows per tenant come back) and one of a histogram's latency (Prometheus
//! sums its buckets: as many, and one for each of the four edges of its shape), are read from their bytes to counts by
//! tenant, in pieces as a connection brings them; beside it the same bytes are parsed barely: into a tree, and into a list
//! of typed rows. Once more without the edges. Time is this thread's on a processor, of a round of many; memory is the most
//! that was resident in the first round beyond what was before. Each way has a process of its own.

use std::{
    alloc::System, collections::BTreeMap, error::Error, fmt::Write as _, fs, process::Command, sync::Arc,
};

use breakwater_crds::slo::Slo;
use breakwater_operator::telemetry::{
    Grid, Sheet, TenantIds,
    body::{Answer, Reader, Wanted},
};
use breakwater_plan::{
    observed::StepData,
    promql::{Matchers, Measure, Queries},
};
use breakwater_slo::TenantId;
use serde::Deserialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How long each way is measured, after a round that warms it.
const MEASURED_MS: f64 = 3_000.0;
/// The further edges of a latency's shape, around its threshold of 0.5 s.
const EDGES: [f64; 4] = [0.1, 0.25, 1.0, 2.5];
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

/// A way to take answers in, by the name that the process of its own is called with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Typed,
    Tree,
    Counts,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Typed, "typed rows (serde_json)"),
    (Way::Tree, "tree (serde_json::Value)"),
    (Way::Counts, "to counts by tenant"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tenants = arguments.first().map_or(Ok(100_000), |tenants| tenants.parse::<u32>())?;
    if let [_, way, edges] = &arguments[..] {
        let known = WAYS.iter().find(|(known, _)| format!("{known:?}") == *way).ok_or("no such way")?;
        let Cost { ms, peak_mb, allocations } = cost(known.0, tenants, &EDGES[..edges.parse()?])?;
        println!("{ms} {peak_mb} {allocations}");
        return Ok(());
    }
    compare(tenants, &EDGES)?;
    compare(tenants, &[])
}

/// Prints what the answers cost where latencies have a shape of these edges.
fn compare(tenants: u32, edges: &[f64]) -> Result<(), Box<dyn Error>> {
    let bytes: usize = bodies(tenants, edges).iter().map(String::len).sum();
    println!("{tenants} tenants, two SLOs, {} edges, {:.1} MB of answers", edges.len(), bytes as f64 / 1e6);
    println!("{:<34} {:>8} {:>10} {:>12} {:>14}", "", "ms", "of typed", "peak MB", "allocs/tenant");
    let mut typed_ms = None;
    for (way, name) in WAYS {
        let arguments = [tenants.to_string(), format!("{way:?}"), edges.len().to_string()];
        let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
        let said = String::from_utf8(output.stdout)?;
        let figures = said.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let &[ms, peak_mb, allocations] = &figures[..] else {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        };
        let of_typed = ms / *typed_ms.get_or_insert(ms);
        println!("{name:<34} {ms:>8.1} {of_typed:>10.2} {peak_mb:>12.1} {allocations:>14.4}");
    }
    Ok(())
}

fn cost(way: Way, tenants: u32, edges: &[f64]) -> Result<Cost, Box<dyn Error>> {
    let bodies = bodies(tenants, edges);
    match way {
        Way::Typed => measure(tenants, || {
            for body in &bodies {
                let parsed: Typed = serde_json::from_str(body)?;
                let rows = parsed.data.result.iter();
                std::hint::black_box(rows.map(|row| row.metric.len() + row.value.1.len()).sum::<usize>());
            }
            Ok(())
        }),
        Way::Tree => measure(tenants, || {
            for body in &bodies {
                std::hint::black_box(serde_json::from_str::<serde_json::Value>(body)?);
            }
            Ok(())
        }),
        Way::Counts => {
            let id = |n| TenantId(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let ids = Arc::new(TenantIds::new((0..tenants).map(|n| (name(n).into(), id(n)))));
            let latency = Queries::new(&latency()?, &Matchers::default(), "slo");
            let latency = latency.map_err(|wrong| format!("{wrong:?}"))?.with_edges(edges);
            let errors = Sheet::new(Measure::Counters, vec!["tenant".to_owned()].into());
            let mut sheets = [errors, Sheet::of(&latency.map_err(|wrong| wrong.to_string())?)];
            measure(tenants, || {
                for (sheet, body) in sheets.iter_mut().zip(&bodies) {
                    read(sheet, body, &ids)?;
                }
                Ok(())
            })
        }
    }
}

/// The answers of both SLOs.
fn bodies(tenants: u32, edges: &[f64]) -> [String; 2] {
    [body(tenants, "bad", &[]), body(tenants, "good", edges)]
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
    fs::write("/proc/self/clear_refs", "5")?; // the peak begins anew
    let resident = memory_mb("VmRSS:")?;
    round()?;
    let peak_mb = memory_mb("VmHWM:")? - resident;
    let region = Region::new(ALLOCATOR);
    round()?;
    let allocations = region.change().allocations;
    // The kernel's clock of a thread may tick every few milliseconds: many rounds are one measurement.
    let (began, mut rounds) = (on_processor_ms()?, 0.0);
    while on_processor_ms()? - began < MEASURED_MS {
        round()?;
        rounds += 1.0;
    }
    let ms = (on_processor_ms()? - began) / rounds;
    Ok(Cost { ms, peak_mb, allocations: allocations as f64 / f64::from(tenants) })
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

fn latency() -> Result<Slo, serde_json::Error> {
    serde_json::from_value(serde_json::json!({
        "name": "latency",
        "latency": {"histogram": "api_time", "threshold": "500ms"},
        "objective": "99%",
        "tenantLabels": ["tenant"],
    }))
}

/// An answer as Prometheus writes it: half of the edges are below the threshold.
fn body(tenants: u32, part: &str, edges: &[f64]) -> String {
    let mut body = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    let plain = [("total", 600), (part, 30), ("now", 2)].map(|(row, value)| (format!("\"{row}\""), value));
    let further = (1..).zip(edges).map(|(at, edge)| (format!("\"le\",\"le\":\"{edge:?}\""), 10 * at + 5));
    for (row, value) in plain.into_iter().chain(further) {
        for number in 0..tenants {
            let comma = if body.ends_with('[') { "" } else { "," };
            let (name, value) = (name(number), if value == 600 { value + number % 7_000 } else { value });
            // Writing into a string cannot fail.
            let _ = write!(
                body,
                r#"{comma}{{"metric":{{"breakwater":{row},"tenant":"{name}"}},"value":[{AT},"{value}"]}}"#
            );
        }
    }
    body.push_str("]}}");
    body
}
