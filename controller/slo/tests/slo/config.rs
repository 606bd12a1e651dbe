//! What `check` refuses, by the name of its field.

use breakwater_slo::{Config, ConfigError, Kind, check};

type Case = (&'static str, fn(&mut Config));

#[test]
fn the_defaults_pass_at_every_objective_that_their_factors_can_reach() {
    for objective in [0.94, 0.95, 0.99, 0.995, 0.999, 0.9999] {
        for step_seconds in [5, 10, 15, 30, 60] {
            assert_eq!(check(&Config::ratio(objective, step_seconds)), Ok(()));
        }
        for step_seconds in [120, 240, 300] {
            assert!(check(&Config::ratio(objective, step_seconds)).is_err(), "sharp.short is 1m");
            assert_eq!(check(&Config::ratio(objective, step_seconds).rounded_to_steps()), Ok(()));
        }
    }
}

#[test]
fn a_refused_field_is_named() {
    let limit = |max, min, for_seconds| Kind::Limit { max, min, for_seconds };
    let cases: &[Case] = &[
        ("step", |c| c.step_seconds = 0),
        ("objective", |c| c.kind = Kind::Ratio { objective: 1.0 }),
        ("objective", |c| c.kind = Kind::Ratio { objective: 0.0 }),
        ("objective", |c| c.kind = Kind::Ratio { objective: f64::NAN }),
        ("burnRate.page[0].factor", |c| c.kind = Kind::Ratio { objective: 0.9 }),
        ("burnRate.page[1].factor", |c| c.page[1].factor = 200.0),
        ("burnRate.page[1].factor", |c| c.page[1].factor = f64::NAN),
        ("burnRate.hold[0].factor", |c| c.hold[0].factor = -1.0),
        ("burnRate.page[0].short", |c| c.page[0].short_seconds = 7_200),
        ("burnRate.page[0].short", |c| c.page[0].short_seconds = 30),
        ("burnRate.page[0].short", |c| c.page[0].short_seconds = 90),
        ("burnRate.hold[1].long", |c| c.hold[1].long_seconds = 0),
        ("burnRate.hold[1].long", |c| c.hold[1].long_seconds = 31 * 86_400),
        ("sharp.short", |c| c.step_seconds = 300),
        ("sharp.factor", |c| c.sharp.factor = 200.0),
        ("sharp.minBad", |c| c.sharp.min_bad = 0),
        ("updateCost.max", |c| c.update_cost_max = 0.0),
        ("margin.ratio", |c| c.compare.ratio = 0.9),
        ("margin.ratio", |c| c.compare.ratio = f64::NAN),
        ("margin.absolute", |c| c.compare.absolute = Some(1.0)),
        ("margin.absolute", |c| c.compare.absolute = Some(-0.1)),
        ("alpha", |c| c.compare.alpha = 0.0),
        ("weight", |c| c.compare.weight = 1.1),
        ("traffic", |c| c.compare.traffic = Some(0.5)),
        ("updateCost.max", |c| c.update_cost_max = f64::NAN),
        ("updateCost.max", |c| c.update_cost_max = 1.1),
    ];
    for (field, spoil) in cases {
        let mut config = Config::ratio(0.995, 60);
        spoil(&mut config);
        assert_eq!(
            check(&config).map_err(|ConfigError { field, problem: _ }| field),
            Err((*field).to_owned())
        );
    }
    for (field, kind) in [
        ("limit", limit(None, None, 600)),
        ("limit.max", limit(Some(f64::NAN), None, 600)),
        ("limit.min", limit(None, Some(f64::INFINITY), 600)),
        ("limit.min", limit(Some(1.0), Some(2.0), 600)),
        ("limit.for", limit(Some(1.0), None, 30)),
    ] {
        let config = Config { kind, ..Config::ratio(0.995, 60) };
        assert_eq!(check(&config).map_err(|error| error.field), Err(field.to_owned()));
    }
}

#[test]
fn an_unreachable_factor_says_so() {
    let mut config = Config::ratio(0.9, 60);
    config.sharp.factor = 5.0;
    let error = check(&config).map_err(|error| error.to_string()).unwrap_err();
    insta::assert_snapshot!(error, @"burnRate.page[0].factor: a burn rate of 14.4 cannot be reached with an objective of 0.9: its limit of bad events is 144.0%");
}
