//! A CRD's structural schema: prunes what it does not know, fills in defaults, validates, evaluates CEL rules. Pure.

use std::{cell::LazyCell, collections::BTreeMap, sync::Arc};

use cel::{
    Context, Env, Program, extensions,
    extractors::This,
    objects::{Key, Map},
};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

/// What the schema says of one place.
#[derive(Debug)]
pub(super) struct Schema {
    says: Says,
    pattern: Option<Regex>,
    properties: BTreeMap<String, Schema>,
    additional: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    program: Program,
    source: String,
    message: String,
    /// It compares with what was there before, so it is asked on updates only.
    transition: bool,
}

/// The words of a schema that need no preparation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Says {
    r#type: String,
    format: String,
    nullable: bool,
    default: Option<Value>,
    r#enum: Option<Vec<Value>>,
    required: Vec<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    max_properties: Option<usize>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    preserves: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: String,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    list_keys: Vec<String>,
}

/// Where, and what is wrong there.
pub(super) type Causes = Vec<(String, String)>;

impl Schema {
    /// Reads a schema; the error says what of it is not understood.
    pub(super) fn parse(schema: &Value) -> Result<Self, String> {
        let children = |name: &str| -> Result<BTreeMap<String, Self>, String> {
            let fields = schema[name].as_object().into_iter().flatten();
            fields.map(|(name, schema)| Ok((name.clone(), Self::parse(schema)?))).collect()
        };
        let child = |name: &str| {
            schema
                .get(name)
                .filter(|child| child.is_object())
                .map(|child| Self::parse(child).map(Box::new))
                .transpose()
        };
        let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let pattern = schema["pattern"].as_str().map(Regex::new).transpose();
        Ok(Self {
            says: serde_json::from_value(schema.clone()).map_err(|why| why.to_string())?,
            pattern: pattern.map_err(|why| why.to_string())?,
            properties: children("properties")?,
            additional: child("additionalProperties")?,
            items: child("items")?,
            rules: rules.map(Rule::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Takes out the fields that the schema does not know; their paths.
    pub(super) fn prune(&self, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let path = join(path, name);
                let known = self.properties.get(name).or(self.additional.as_deref());
                match known {
                    Some(schema) => schema.prune(value, &path, unknown),
                    None if self.says.preserves => {}
                    None => unknown.push(path),
                }
                known.is_some() || self.says.preserves
            }),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.prune(item, &format!("{path}[{index}]"), unknown);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What of an applied intent has no declared type, or another one: who owns it could not be told.
    pub(super) fn undeclared(&self, value: &Value, path: &str) -> Option<String> {
        if !value.is_null() && !self.fits(value) {
            return Some(format!("{path}: expected {}, got {value}", self.says.r#type));
        }
        match value {
            Value::Object(fields) => fields.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match self.properties.get(name).or(self.additional.as_deref()) {
                    Some(schema) => schema.undeclared(value, &path),
                    None if self.says.preserves => None,
                    None => Some(format!("{path}: field not declared in schema")),
                }
            }),
            Value::Array(items) => {
                let schema = self.items.as_ref()?;
                items.iter().find_map(|item| schema.undeclared(item, path))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    /// Fills in what is absent, and what is null where null may not be.
    pub(super) fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, schema) in &self.properties {
                    let is_null =
                        fields.get(name).is_some_and(|value| value.is_null() && !schema.says.nullable);
                    if let Some(default) = &schema.says.default
                        && (is_null || !fields.contains_key(name))
                    {
                        fields.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in fields.iter_mut() {
                    if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                        schema.fill(value);
                    }
                }
            }
            Value::Array(items) => {
                for (item, schema) in items.iter_mut().zip(std::iter::repeat(&self.items)) {
                    if let Some(schema) = schema {
                        schema.fill(item);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What is wrong with a value; CEL rules are asked only where the rest is right, as the API server does.
    pub(super) fn check(&self, value: &Value, old: Option<&Value>, path: &str) -> Causes {
        let mut causes = Causes::new();
        self.validate(value, path, &mut causes);
        if causes.is_empty() {
            self.evaluate(value, old, path, &mut causes);
        }
        causes
    }

    fn validate(&self, value: &Value, path: &str, causes: &mut Causes) {
        let mut wrong = |why: String| causes.push((path.to_owned(), format!("Invalid value: {why}")));
        if value.is_null() && self.says.nullable {
            return;
        }
        if !self.fits(value) {
            wrong(format!("{value}: must be of type {}", self.says.r#type));
            return;
        }
        if self.says.r#enum.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
            wrong(format!("{value}: supported values: {:?}", self.says.r#enum));
        }
        match value {
            Value::String(text) => self.text(text, &mut wrong),
            Value::Number(number) => self.number(number.as_f64().unwrap_or(f64::NAN), &mut wrong),
            Value::Array(items) => self.list(items, path, causes),
            Value::Object(fields) => self.object(fields, path, causes),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn fits(&self, value: &Value) -> bool {
        if self.says.int_or_string {
            return value.is_string() || is_whole(value);
        }
        match self.says.r#type.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => is_whole(value),
            _ => true,
        }
    }

    fn text(&self, text: &str, wrong: &mut impl FnMut(String)) {
        let length = text.chars().count();
        if self.says.min_length.is_some_and(|least| length < least) {
            wrong(format!("{text:?}: should be at least {:?} chars long", self.says.min_length));
        }
        if self.says.max_length.is_some_and(|most| length > most) {
            wrong(format!("too long: may not be more than {:?}", self.says.max_length));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            wrong(format!("{text:?}: should match '{pattern}'"));
        }
        if self.says.format == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            wrong(format!("{text:?}: must be of type date-time"));
        }
    }

    fn number(&self, number: f64, wrong: &mut impl FnMut(String)) {
        if self.says.minimum.is_some_and(|least| number < least) {
            wrong(format!("{number}: should be greater than or equal to {:?}", self.says.minimum));
        }
        if self.says.maximum.is_some_and(|most| number > most) {
            wrong(format!("{number}: should be less than or equal to {:?}", self.says.maximum));
        }
    }

    fn list(&self, items: &[Value], path: &str, causes: &mut Causes) {
        let mut wrong = |why: String| causes.push((path.to_owned(), why));
        if self.says.min_items.is_some_and(|least| items.len() < least) {
            wrong(format!(
                "Invalid value: {}: should have at least {:?} items",
                items.len(),
                self.says.min_items
            ));
        }
        if self.says.max_items.is_some_and(|most| items.len() > most) {
            wrong(format!("Too many: {}: must have at most {:?} items", items.len(), self.says.max_items));
        }
        let key = |item: &Value| match self.says.list_type.as_str() {
            "map" => Some(self.says.list_keys.iter().map(|key| item[key].to_string()).collect()),
            "set" => Some(item.to_string()),
            _ => None,
        };
        let keys: Vec<String> = items.iter().filter_map(key).collect();
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].contains(key) {
                causes.push((format!("{path}[{index}]"), format!("Duplicate value: {key}")));
            }
        }
        if let Some(schema) = &self.items {
            for (index, item) in items.iter().enumerate() {
                schema.validate(item, &format!("{path}[{index}]"), causes);
            }
        }
    }

    fn object(&self, fields: &serde_json::Map<String, Value>, path: &str, causes: &mut Causes) {
        if self.says.max_properties.is_some_and(|most| fields.len() > most) {
            causes.push((
                path.to_owned(),
                format!("Too many: must have at most {:?} items", self.says.max_properties),
            ));
        }
        for name in self.says.required.iter().filter(|name| !fields.contains_key(*name)) {
            causes.push((join(path, name), "Required value".into()));
        }
        for (name, value) in fields {
            if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                schema.validate(value, &join(path, name), causes);
            }
        }
    }

    fn evaluate(&self, value: &Value, old: Option<&Value>, path: &str, causes: &mut Causes) {
        if value.is_null() {
            return;
        }
        let asked = self.rules.iter().filter(|rule| !rule.transition || old.is_some());
        for rule in asked {
            if let Some(why) = rule.breach(self, value, old) {
                causes.push((path.to_owned(), format!("Invalid value: {why}")));
            }
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                        let old = old.and_then(|old| old.get(name));
                        schema.evaluate(value, old, &join(path, name), causes);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        schema.evaluate(item, None, &format!("{path}[{index}]"), causes);
                    }
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Null => {}
        }
    }

    /// The value as CEL sees it: numbers by the schema's type, reserved names escaped.
    fn cel(&self, value: &Value) -> cel::Value {
        match value {
            Value::Null => cel::Value::Null,
            Value::Bool(truth) => cel::Value::Bool(*truth),
            Value::Number(number) if self.says.r#type == "number" => {
                cel::Value::Float(number.as_f64().unwrap_or(f64::NAN))
            }
            Value::Number(number) => number
                .as_i64()
                .map_or(cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)), cel::Value::Int),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => {
                let item = |item| self.items.as_ref().map_or(cel::Value::Null, |schema| schema.cel(item));
                cel::Value::List(Arc::new(items.iter().map(item).collect()))
            }
            Value::Object(fields) => {
                let known = |name: &String| self.properties.get(name).or(self.additional.as_deref());
                let field = |(name, value): (&String, &Value)| {
                    let name_there = if name == "for" { "__for__" } else { name };
                    Some((Key::from(name_there.to_owned()), known(name)?.cel(value)))
                };
                cel::Value::Map(Map { map: Arc::new(fields.iter().filter_map(field).collect()) })
            }
        }
    }
}

impl Rule {
    fn parse(rule: &Value) -> Result<Self, String> {
        let source = rule["rule"].as_str().ok_or("a rule without a text")?.to_owned();
        let program = Program::compile(&source).map_err(|why| format!("{source}: {why}"))?;
        let message = rule["message"].as_str().unwrap_or("failed rule").to_owned();
        Ok(Self { program, transition: source.contains("oldSelf"), source, message })
    }

    /// Why a value breaks the rule; `None` where it does not.
    fn breach(&self, schema: &Schema, value: &Value, old: Option<&Value>) -> Option<String> {
        ROOT.with(|root| {
            let mut context = root.new_inner_scope();
            context.add_variable_from_value("self", schema.cel(value));
            if let Some(old) = old.filter(|_| self.transition) {
                context.add_variable_from_value("oldSelf", schema.cel(old));
            }
            match self.program.execute(&context) {
                Ok(cel::Value::Bool(true)) => None,
                Ok(_) => Some(self.message.clone()),
                Err(why) => Some(format!("rule {:?} cannot be evaluated: {why}", self.source)),
            }
        })
    }
}

thread_local! {
    static ROOT: LazyCell<Context<'static, 'static>> = const { LazyCell::new(root) };
}

/// What Kubernetes' CEL has beyond the standard functions, as far as our rules use it.
fn root() -> Context<'static, 'static> {
    let mut env = Env::stdlib();
    let known = env.add_extension(extensions::strings);
    let mut context = Context::with_env(Arc::new(env));
    let sum = |This(list): This<Arc<Vec<cel::Value>>>| -> f64 {
        let number = |value: &cel::Value| match value {
            cel::Value::Float(number) => *number,
            cel::Value::Int(number) => *number as f64,
            _ => f64::NAN,
        };
        list.iter().map(number).sum()
    };
    let added = context.add_function("sum", sum);
    debug_assert!(known.is_ok() && added.is_ok(), "the functions are new to a fresh environment");
    context
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
                "share": {"type": "number", "default": 5},
                "parts": {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                          "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
                "size": {"x-kubernetes-int-or-string": true},
            },
            "x-kubernetes-validations": [
                {"rule": "self.share > 0.0", "message": "share must be positive"},
                {"rule": "self.name == oldSelf.name", "message": "name is for good"},
            ],
        });
        Schema::parse(&schema).expect("a schema")
    }

    fn wrong(value: &Value, old: Option<&Value>) -> Vec<String> {
        schema().check(value, old, "spec").into_iter().map(|(path, why)| format!("{path}: {why}")).collect()
    }

    #[test]
    fn what_is_not_known_is_pruned_and_what_is_absent_filled_in() {
        let mut value = json!({"name": "a", "nmae": 1, "share": null, "parts": [{"k": "x", "z": 2}]});
        let mut unknown = Vec::new();
        schema().prune(&mut value, "spec", &mut unknown);
        schema().fill(&mut value);
        unknown.sort();
        assert_eq!(unknown, ["spec.nmae", "spec.parts[0].z"]);
        assert_eq!(value, json!({"name": "a", "share": 5, "parts": [{"k": "x"}]}));
    }

    #[test]
    fn types_bounds_keys_and_rules_are_checked_by_path() {
        assert!(wrong(&json!({"name": "a", "share": 1, "size": "5%"}), None).is_empty());
        assert!(wrong(&json!({"share": 1}), None)[0].starts_with("spec.name: Required"));
        assert!(wrong(&json!({"name": "A", "share": 1}), None)[0].contains("should match"));
        assert!(
            wrong(&json!({"name": "a", "share": "1"}), None)[0].contains("spec.share: Invalid value: \"1\"")
        );
        assert!(wrong(&json!({"name": "a", "share": 1, "size": 1.5}), None)[0].starts_with("spec.size"));
        let twice = json!({"name": "a", "share": 1, "parts": [{"k": "x"}, {"k": "x"}]});
        assert!(wrong(&twice, None)[0].starts_with("spec.parts[1]: Duplicate"));
        assert_eq!(
            wrong(&json!({"name": "a", "share": 0}), None),
            ["spec: Invalid value: share must be positive"]
        );
        let (old, new) = (json!({"name": "a", "share": 1}), json!({"name": "b", "share": 1}));
        assert_eq!(wrong(&new, Some(&old)), ["spec: Invalid value: name is for good"]);
    }
}
