use breakwater_crds::Rollout;
use futures::executor::block_on;

use super::*;
use crate::{
    bed,
    fleet::{FleetSpec, scenario},
};

/// What an answer held: per series its samples.
#[derive(Default)]
struct Log(BTreeMap<String, Vec<(u64, u64)>>, String);

impl Sink for Log {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        self.1 = labels.as_str().to_owned();
        Ok(())
    }

    fn sample(&mut self, at: f64, value: f64) {
        self.0.entry(self.1.clone()).or_default().push((at.to_bits(), value.to_bits()));
    }
}

fn metrics(tenants: usize) -> (Metrics, Queries) {
    let rollout: Rollout = serde_yaml::from_str(scenario::ROLLOUT).expect("the shipped one");
    let spec = FleetSpec { tenants, ..FleetSpec::default() };
    let fleet = Fleet::new(Population::new(spec.clone(), "tenants", 1, bed::ORIGIN.as_second()));
    let shape = Shape::new(&rollout, &spec).expect("a shape");
    let lens = bed::check(&rollout).expect("a lens");
    let metrics =
        Metrics::new(fleet, &rollout.spec, shape, lens, Arc::new(|| Timestamp::MAX)).expect("queries");
    let queries = Queries::new(&rollout.spec.slos[0], &Matchers::none(), "").expect("queries");
    (metrics, queries)
}

fn range(metrics: &Metrics, query: &str, grid: Grid) -> Result<Log, ReadError> {
    let mut log = Log::default();
    block_on(metrics.query_range(query, grid, &mut log)).map(|()| log)
}

#[test]
fn a_range_says_what_its_instants_say_and_a_list_of_names_no_more_than_of_them() {
    let (metrics, queries) = metrics(20);
    let grid = Grid { first: bed::ORIGIN.as_second(), step_seconds: 60, steps: 30 };
    let whole = range(&metrics, &queries.step(60), grid).expect("an answer").0;
    let mut instants = Log::default();
    for line in 0..grid.steps {
        let at = Timestamp::from_second(grid.at(line)).expect("a time");
        block_on(metrics.query(&queries.step(60), at, &mut instants)).expect("an answer");
    }
    assert_eq!(whole, instants.0);
    let names: Vec<String> = (0..20).step_by(7).map(|n| format!("tenants/tenant-{n:05}")).collect();
    let few = queries.of_tenants(&names, 1_000);
    assert_eq!(few.len(), 1);
    let few = range(&metrics, &few[0].step(60), grid).expect("an answer").0;
    let of_them: BTreeMap<_, _> = whole
        .into_iter()
        .filter(|(labels, _)| names.iter().any(|name| labels.contains(&name["tenants/".len()..])))
        .collect();
    assert!(few == of_them && !few.is_empty(), "{:?}", few.keys());
}

#[test]
fn a_latency_answers_further_edges_alike_in_ranges_and_instants_and_more_requests_up_to_each() {
    let (metrics, _) = metrics(20);
    let rollout: Rollout = serde_yaml::from_str(scenario::ROLLOUT).expect("the shipped one");
    let latency = Queries::new(&rollout.spec.slos[1], &Matchers::none(), "").expect("queries");
    let queries = latency.with_edges(&[0.125, 0.25, 1.0, 2.0]).expect("edges");
    let grid = Grid { first: bed::ORIGIN.as_second(), step_seconds: 60, steps: 5 };
    let whole = range(&metrics, &queries.step(60), grid).expect("an answer").0;
    let mut instants = Log::default();
    for line in 0..grid.steps {
        let at = Timestamp::from_second(grid.at(line)).expect("a time");
        block_on(metrics.query(&queries.step(60), at, &mut instants)).expect("an answer");
    }
    assert_eq!(whole, instants.0);
    let of = |label: &str| -> Vec<f64> {
        let rows = whole.iter().filter(|(labels, _)| labels.contains(label));
        rows.flat_map(|(_, samples)| samples.iter().map(|(_, value)| f64::from_bits(*value))).collect()
    };
    let up_to =
        ["\"le\":\"0.125\"", "\"le\":\"0.25\"", "good", "\"le\":\"1\"", "\"le\":\"2\"", "total"].map(of);
    assert!(up_to.iter().all(|counts| counts.len() == 100), "{:?}", up_to.map(|counts| counts.len()));
    for (fewer, more) in up_to.iter().zip(&up_to[1..]) {
        assert!(fewer.iter().zip(more).all(|(fewer, more)| fewer <= more));
    }
    assert!(up_to[0].iter().sum::<f64>() < up_to[5].iter().sum::<f64>() - 100.0);
    assert!(range(&metrics, &latency.step(60), grid).is_err(), "nobody asks without the edges");
}

#[test]
fn what_is_above_the_servers_limits_is_refused() {
    let (metrics, queries) = metrics(20);
    let grid = |steps| Grid { first: bed::ORIGIN.as_second(), step_seconds: 60, steps };
    let refused =
        |steps| range(&metrics, &queries.step(60), grid(steps)).map(drop).expect_err("a refusal").to_string();
    assert!(refused(11_001).contains("11,000 points"), "{}", refused(11_001));
    metrics.refuse_above(20 * 10);
    assert!(range(&metrics, &queries.step(60), grid(10)).is_ok());
    assert!(refused(11).contains("too many samples"), "{}", refused(11));
    let few = queries.of_tenants(&["tenants/tenant-00003"], 1_000);
    assert!(range(&metrics, &few[0].step(60), grid(11)).is_ok(), "one tenant is a twentieth");
    assert!(range(&metrics, "up", grid(1)).is_err());
}
