//! Against an independent implementation in Python (analysis.md 5): random streams, agreement to 1e-9.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::bed::{Noise, START_SECONDS, STEP_SECONDS};
use breakwater_slo::{
    Action, Against, Arm, Comparison, Config, Counts, Edges, Frozen, Guard, Members, Past, Reading, Sample,
    Series, Side, State, Step, Tail, TenantId,
};
use serde_json::{Value, json};

const STEPS: i64 = 400;
const TENANTS: u64 = 12;
const EDGES_SECONDS: [f64; 3] = [0.1, 0.25, 1.0];

/// One stream with its settings.
struct Stream {
    noise: Noise,
    config: Config,
    frozen: Frozen,
}

impl Stream {
    fn new(seed: u64, against: Against) -> Self {
        let mut config = Config::ratio(0.99, STEP_SECONDS);
        config.compare.ratio = 1.1 + 0.1 * (seed % 3) as f64;
        config.compare.absolute = seed.is_multiple_of(2).then_some(0.0);
        config.compare.weight = 1.0 / (1 + seed % 3) as f64;
        config.compare.shape = seed % 4 == 1;
        config.compare.traffic = (seed % 4 > 1).then_some(1.5);
        // Guards stay out of the way.
        config.sharp.factor = 99.0;
        config.page.iter_mut().for_each(|pair| pair.factor = 99.0);
        config.hold.clear();
        let frozen = Frozen {
            against,
            phi: 1.5,
            phi_tenant: 2.0,
            phi_past: 1.7,
            phi_traffic: 3.0,
            shape: Some(Edges { seconds: EDGES_SECONDS.to_vec(), phi: 1.9 }),
            planned_hours: 4 + u32::try_from(seed).unwrap(),
            planned_waves: 3,
            waves: Vec::new(),
        };
        Self { noise: Noise::new(seed), config, frozen }
    }

    fn counted(&mut self, mean: f64, ratio: f64) -> Counts {
        let total = self.noise.poisson(mean);
        Counts { bad: self.noise.poisson(mean * ratio).min(total), total }
    }

    /// Worse from the middle on; some tenants silent, some burned, some without history.
    fn sample(&mut self, tenant: u64, minute: i64) -> Sample {
        let updated = match tenant {
            0..=3 => 0,
            4..=6 => STEPS / 2,
            7 => STEPS / 2 + 20,
            _ => i64::MAX,
        };
        let arm = if minute >= updated { Arm::Candidate } else { Arm::Baseline };
        let own = 0.01 * (1 + tenant % 3) as f64;
        let worse =
            if arm == Arm::Candidate && minute > STEPS / 3 { 1.0 + 0.5 * (tenant % 4) as f64 } else { 1.0 };
        let mean = 20.0 * (1 + tenant % 5) as f64;
        let counts = self.counted(mean, own * worse);
        let series = match self.noise.unit() {
            u if u < 0.05 => Series::Absent,
            u if u < 0.1 => Series::Counted(Counts { bad: 2.0, total: 1.0 }),
            _ => Series::Counted(counts),
        };
        Sample {
            tenant: TenantId(tenant),
            arm,
            series,
            instrumented: true,
            burned_before: tenant == 8,
            own: (tenant != 9).then_some(own),
            usual: (tenant != 10).then_some(mean),
        }
    }

    fn past(&mut self, minute: i64) -> Option<Past> {
        let Counts { bad, total } = self.counted(200.0, 0.015);
        let past = Past { bad, exposure: total * 0.015, good: total - bad, usual: 150.0 };
        (minute % 7 != 3).then_some(past)
    }

    fn tails(&mut self) -> Vec<Tail> {
        let mut side = |ratio: f64| {
            let Counts { bad, total } = self.counted(100.0, ratio);
            Side { bad, exposure: total * 0.1, requests: total }
        };
        EDGES_SECONDS
            .into_iter()
            .zip([0.3, 0.1, 0.02])
            .map(|(edge_seconds, ratio)| Tail { edge_seconds, candidate: side(ratio), baseline: side(ratio) })
            .collect()
    }

    fn setting(&self) -> Value {
        let compare = &self.config.compare;
        let against = match self.frozen.against {
            Against::Others => "Others",
            Against::History { .. } => "History",
            Against::Both => "Both",
        };
        json!({
            "against": against, "ratio": compare.ratio, "absolute": compare.absolute.unwrap_or(0.1 * (1.0 - 0.99)),
            "alpha": compare.alpha, "weight": compare.weight, "shape": compare.shape, "traffic": compare.traffic,
            "phi": self.frozen.phi, "phi_tenant": self.frozen.phi_tenant, "phi_past": self.frozen.phi_past,
            "phi_traffic": self.frozen.phi_traffic, "phi_shape": self.frozen.shape.as_ref().map(|edges| edges.phi), "hours": self.frozen.planned_hours, "waves": self.frozen.planned_waves,
        })
    }
}

fn told(samples: &[Sample]) -> Value {
    let one = |sample: &Sample| {
        let arm = if sample.arm == Arm::Candidate { "c" } else { "b" };
        let counts = match sample.series {
            Series::Counted(counts) if counts.bad <= counts.total => Some(counts),
            _ => None,
        };
        let (bad, total) = (counts.map(|counts| counts.bad), counts.map(|counts| counts.total));
        json!([sample.tenant.0, arm, bad, total, sample.own, sample.usual, sample.burned_before])
    };
    samples.iter().map(one).collect()
}

fn tails_told(tails: &[Tail]) -> Value {
    let side = |side: Side| json!([side.bad, side.exposure, side.requests]);
    tails.iter().map(|tail| json!([side(tail.candidate), side(tail.baseline)])).collect()
}

/// What this implementation says, step by step, and the document for the other one.
fn run(mut stream: Stream) -> (Vec<Value>, Value) {
    let (mut state, mut said, mut steps) = (State::default(), Vec::new(), Vec::new());
    for minute in 0..STEPS {
        let begins = [(0, vec![0, 1, 2, 3]), (STEPS / 2, vec![4, 5, 6])];
        let wave = begins.into_iter().find(|(at, _)| *at == minute).map(|(_, members)| members);
        if let Some(members) = &wave {
            stream
                .frozen
                .waves
                .push(Members::from(members.iter().copied().map(TenantId).collect::<Vec<_>>()));
            state.compare(Comparison::Armed(Arc::new(stream.frozen.clone())));
        }
        let samples: Vec<Sample> = (0..TENANTS).rev().map(|tenant| stream.sample(tenant, minute)).collect();
        let (past, tails) = (stream.past(minute), stream.tails());
        let end_seconds = START_SECONDS + (minute + 1) * STEP_SECONDS;
        let step = Step { past, tails: &tails, ..Step::new(end_seconds, Reading::Counts(&samples)) };
        state.feed(&stream.config, &step);
        let evidence = state.evidence(&stream.config, end_seconds).expect("candidates from the start");
        let compared = evidence.guard == Some(Guard::Comparison) && evidence.action == Action::Deviate;
        let mut guilty: Vec<u64> = evidence.guilty.iter().map(|(tenant, _)| tenant.0).collect();
        if !compared {
            guilty.clear();
        }
        said.push(json!({"ln_e": evidence.ln_e, "best": state.detectable().map(|detectable| detectable.share), "guilty": guilty, "compared": compared}));
        steps.push(json!({
            "start": end_seconds - STEP_SECONDS, "wave": wave, "samples": told(&samples), "tails": tails_told(&tails),
            "past": past.map(|p| json!({"bad": p.bad, "exposure": p.exposure, "good": p.good, "usual": p.usual})),
        }));
    }
    (said, json!({"setting": stream.setting(), "steps": steps}))
}

fn python(document: &Value) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slo/differential/judge.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is in the PATH");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(document.to_string().as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "python3 failed");
    serde_json::from_slice(&output.stdout).expect("it writes JSON")
}

#[test]
fn an_independent_implementation_agrees_to_a_billionth() {
    let (mut compared, mut most) = (0, f64::NEG_INFINITY);
    for (seed, against) in
        (1..=9).zip([Against::Others, Against::Both, Against::History { chosen: true }].repeat(3))
    {
        let (ours, document) = run(Stream::new(seed, against));
        let theirs = python(&document);
        assert_eq!(ours.len(), theirs.len());
        for (minute, (our, their)) in ours.iter().zip(&theirs).enumerate() {
            let at = format!("seed {seed}, {against:?}, minute {minute}: {our} and {their}");
            for key in ["ln_e", "best"] {
                match (our[key].as_f64(), their[key].as_f64()) {
                    (Some(one), Some(other)) => {
                        assert!((one - other).abs() <= 1e-9 * other.abs().max(1.0), "{key} {at}");
                        most = most.max(if key == "ln_e" { one } else { most });
                    }
                    (one, other) => assert_eq!(one, other, "{key} {at}"),
                }
            }
            if our["compared"] == true {
                compared += 1;
                assert_eq!(our["guilty"], their["guilty"], "{at}");
            }
        }
    }
    println!("{compared} steps deviated, greatest ln E {most:.1}");
    assert!(compared > 100, "the streams reach the limit: {compared}");
}
