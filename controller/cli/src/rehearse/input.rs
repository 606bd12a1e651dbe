//! What a rehearsal or a backtest is given: files, read strictly.

use std::{io::Read as _, path::Path};

use breakwater_crds::Rollout;
use breakwater_rehearsal::{
    bed,
    fleet::{FleetSpec, Scenario, scenario::ROLLOUT},
};
use kube::CustomResourceExt as _;
use serde::Deserialize as _;
use serde_json::Value;

/// Most bytes of a file.
const FILE_MAX: u64 = 4 << 20;

/// The Rollout in a file, or the built-in one.
pub(crate) fn rollout(path: Option<&Path>) -> Result<Rollout, String> {
    let (name, text) = match path {
        None => ("the built-in Rollout".to_owned(), ROLLOUT.to_owned()),
        Some(path) => (path.display().to_string(), file(path)?),
    };
    let rollout = parse(&text).map_err(|why| format!("{name}: {why}"))?;
    bed::check(&rollout).map_err(|why| format!("{name}: the Rollout is refused:\n{why}"))?;
    Ok(rollout)
}

/// Finds the one Rollout among the documents of a text.
fn parse(text: &str) -> Result<Rollout, String> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document).map_err(|why| why.to_string())?;
        let kind = value.get("kind").and_then(serde_yaml::Value::as_str).unwrap_or_default();
        if kind == "Rollout" {
            found.push(value);
        }
    }
    let count = found.len();
    let value = match found.pop() {
        Some(one) if count == 1 => one,
        _ => return Err(format!("holds {count} documents of kind Rollout; exactly one is wanted")),
    };
    let json = serde_json::to_value(&value).map_err(|why| why.to_string())?;
    if json["apiVersion"] != "breakwater.dev/v1alpha1" {
        return Err(format!("apiVersion is {}, not breakwater.dev/v1alpha1", json["apiVersion"]));
    }
    let crd = serde_json::to_value(Rollout::crd()).map_err(|why| why.to_string())?;
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut unknown = Vec::new();
    for part in ["spec", "status"] {
        unknown_fields(&schema["properties"][part], &json[part], part, &mut unknown);
    }
    if !unknown.is_empty() {
        return Err(unknown.join("\n"));
    }
    serde_path_to_error::deserialize(json).map_err(|why| quoted(&why.to_string()))
}

/// Where a text is wanted and YAML read a number or a boolean: the quotes that are missing.
fn quoted(why: &str) -> String {
    let unquoted = ["integer `", "floating point `", "boolean `"].iter().any(|found| why.contains(found));
    let hint = if unquoted && why.ends_with("expected a string") { "; put it in quotes" } else { "" };
    format!("{why}{hint}")
}

/// Names every field that the schema does not know, with the nearest one that it does.
fn unknown_fields(schema: &Value, value: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let known = schema["properties"].as_object();
            let others = &schema["additionalProperties"];
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match known.and_then(|known| known.get(name)) {
                    Some(schema) => unknown_fields(schema, value, &path, unknown),
                    None if others.is_object() => unknown_fields(others, value, &path, unknown),
                    None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                    None => {
                        let names: Vec<String> =
                            known.into_iter().flatten().map(|(name, _)| name.clone()).collect();
                        unknown.push(format!("{path}: unknown field{}", hint(name, &names)));
                    }
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown_fields(&schema["items"], item, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Offers the nearest name.
fn hint(wanted: &str, names: &[String]) -> String {
    let near = breakwater_text::near::nearest(wanted, names);
    near.first().map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// A shipped scenario, or one in a file.
pub(super) fn scenario(name: &str) -> Result<Scenario, String> {
    let path = Path::new(name);
    let is_file = path.extension().is_some() || name.contains('/');
    if !is_file {
        let shipped: Vec<String> = Scenario::shipped().into_iter().map(|(name, _)| name.to_owned()).collect();
        return Scenario::named(name).map_err(|why| {
            let hint = hint(name, &shipped);
            format!("{why}{hint} (breakwater rehearse --list shows all)")
        });
    }
    let stem = path.file_stem().map_or_else(|| name.into(), |stem| stem.to_string_lossy().into_owned());
    Scenario::parse(&stem, &file(path)?).map_err(|why| format!("{name}: {why}"))
}

/// The fleet in a file, or the scenario's, or the default.
pub(super) fn fleet(path: Option<&Path>, scenario: &Scenario) -> Result<FleetSpec, String> {
    match path {
        Some(path) => FleetSpec::parse(&file(path)?).map_err(|why| format!("{}: {why}", path.display())),
        None => Ok(scenario.fleet.clone().unwrap_or_default()),
    }
}

fn file(path: &Path) -> Result<String, String> {
    let failed = |why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_field_and_what_it_may_have_meant() {
        let refused = |from: &str, to: &str| {
            let text = ROLLOUT.replacen(from, to, 1);
            parse(&text).and_then(|rollout| bed::check(&rollout).map(drop)).expect_err(to)
        };
        assert_eq!(refused("  version:", "  verison:"), "spec.verison: unknown field; did you mean version?");
        assert!(refused("soak: 3d", "soka: 3d").starts_with("spec.waves[0].soka: unknown field"));
        assert!(refused("soak: 3d", "soak: 3 days").contains("waves[0].soak"));
        assert_eq!(
            refused("soak: 3d", "soak: 3"),
            "spec.waves[0].soak: 3 is a number: write it in quotes and with its unit, such as \"3d\""
        );
        let version = refused("  version: \"1.0.0\"", "  version: 1.10");
        assert_eq!(
            version,
            "spec.version: invalid type: floating point `1.1`, expected a string; put it in quotes"
        );
        assert!(
            refused("http_requests_total{code", "http_requests_total{{code")
                .contains("spec.slos[0].errors.bad")
        );
        assert!(refused("kind: Rollout", "kind: Rolout").contains("holds 0 documents of kind Rollout"));
        assert!(super::scenario("erors-double").expect_err("a typo").contains("did you mean errors-double?"));
        let two = format!("{ROLLOUT}\n---\n{ROLLOUT}");
        assert!(parse(&two).expect_err("two").contains("holds 2 documents"));
    }

    #[test]
    fn the_built_in_rollout_is_what_a_user_would_write() {
        assert!(rollout(None).is_ok(), "{:?}", rollout(None));
    }
}
