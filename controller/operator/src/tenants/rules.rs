//! A user's CEL expressions over `object` and `version`: bounded when they are read, then evaluated. Pure.
//!
//! cel 0.15 has no cost limit (six nested `all` over ten items ran a second), so the bounds are on the text: its
//! length, one comprehension, and functions from a list.

use std::{
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use breakwater_text::cut;
use cel::{
    Context, IdedExpr, Program, Value,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators},
    objects::{Key, Map},
};
use kube::api::DynamicObject;
use serde_json::Value as Json;

/// Most bytes of an expression.
const MAX_LENGTH: usize = 1_024;
/// Most bytes of a pattern of `matches`.
const MAX_PATTERN: usize = 64;
/// Functions beside the operators. All of them are linear in their input; `matches` compiles its pattern at each
/// call, so that one must be a short literal without counted repetitions.
const FUNCTIONS: [&str; 10] =
    ["size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double", "has"];
/// Operators, and what the macros expand to.
const OPERATORS: [&str; 17] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
];
const MACRO_PARTS: [&str; 2] = [operators::NOT_STRICTLY_FALSE, operators::IN];

/// A checked expression.
#[derive(Debug)]
pub struct Rule {
    program: Program,
    needs: Needs,
    variables: BTreeSet<String>,
    fields: BTreeSet<String>,
}

/// Which top-level parts of the object an expression looks at; only they are converted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Needs {
    All,
    Parts(BTreeSet<String>),
}

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not CEL.
    #[error("is not a CEL expression: {0}")]
    Syntax(String),
    /// Longer than the limit.
    #[error("has {0} bytes, more than {MAX_LENGTH}")]
    TooLong(usize),
    /// More than one loop.
    #[error("has {0} loops (all, exists, exists_one, map, filter), more than one")]
    Loops(usize),
    /// A function that is not on the list.
    #[error("calls {0:?}; allowed are operators, has, one of all, exists, exists_one, map, filter, and {list}", list = FUNCTIONS.join(", "))]
    Function(String),
    /// A pattern that is computed, long, or counts.
    #[error("matches needs a literal pattern of at most {MAX_PATTERN} bytes without {{}}")]
    Pattern,
    /// An unknown variable.
    #[error("names {0:?}; known are object and version")]
    Variable(String),
}

/// What an expression is evaluated on: the parts of one object, converted at most once each.
pub struct Scope<'a> {
    object: &'a DynamicObject,
    version: &'a str,
}

impl<'a> Scope<'a> {
    /// The object, and the version it holds.
    pub const fn new(object: &'a DynamicObject, version: &'a str) -> Self {
        Self { object, version }
    }
}

impl Rule {
    /// Reads and bounds an expression.
    pub fn compile(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_LENGTH {
            return Err(RuleError::TooLong(text.len()));
        }
        // The generated parser of cel is not ours; a text from a user must not end the watch.
        let program = catch_unwind(|| Program::compile(text))
            .map_err(|_| RuleError::Syntax("the parser gave up".into()))?
            .map_err(|errors| RuleError::Syntax(first_line(&errors.to_string())))?;
        let mut census = Census::default();
        census.visit(program.expression())?;
        if census.loops > 1 {
            return Err(RuleError::Loops(census.loops));
        }
        if let Some(name) =
            census.variables.iter().find(|name| !matches!(name.as_str(), "object" | "version"))
        {
            return Err(RuleError::Variable(name.clone()));
        }
        let needs = if census.whole { Needs::All } else { Needs::Parts(census.parts) };
        Ok(Self { program, needs, variables: census.variables, fields: census.fields })
    }

    /// True when the expression uses the variable `name`.
    pub fn names(&self, name: &str) -> bool {
        self.variables.contains(name)
    }

    /// True when the expression selects a field `name` of anything.
    pub fn selects(&self, name: &str) -> bool {
        self.fields.contains(name)
    }

    /// Its truth; an error (a missing key, say) or another type is the reason.
    pub fn truth(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(format!("gives {}, not true or false", other.type_of())),
        }
    }

    /// Its text; an error, another type or an empty text is the reason.
    pub fn text(&self, scope: &Scope<'_>) -> Result<String, String> {
        match self.evaluate(scope)? {
            Value::String(text) if !text.is_empty() => Ok(text.to_string()),
            Value::String(_) => Err("gives an empty text".into()),
            other => Err(format!("gives {}, not a text", other.type_of())),
        }
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        ROOT.with(|root| {
            let mut context = root.new_inner_scope();
            context.add_variable_from_value("object", self.needs.convert(scope.object));
            context.add_variable_from_value("version", scope.version);
            catch_unwind(AssertUnwindSafe(|| self.program.execute(&context)))
                .map_err(|_| "could not be evaluated".to_owned())?
                .map_err(|error| short(&error.to_string()))
        })
    }
}

thread_local! {
    /// A fresh root context costs 22 us, nearly as much as an evaluation.
    static ROOT: Context<'static, 'static> = Context::default();
}

impl Needs {
    fn convert(&self, object: &DynamicObject) -> Value {
        let wanted = |part: &str| match self {
            Self::All => true,
            Self::Parts(parts) => parts.contains(part),
        };
        let mut map = HashMap::new();
        let mut put = |key: &str, value: Value| {
            map.insert(Key::from(key.to_owned()), value);
        };
        if let Some(types) = &object.types {
            put("apiVersion", types.api_version.as_str().into());
            put("kind", types.kind.as_str().into());
        }
        if wanted("metadata") {
            put("metadata", metadata(object));
        }
        for (key, value) in object.data.as_object().into_iter().flatten() {
            if wanted(key) {
                put(key, convert(value));
            }
        }
        Value::Map(Map { map: Arc::new(map) })
    }
}

/// What people ask of the metadata; managedFields alone would be larger than all the rest.
fn metadata(object: &DynamicObject) -> Value {
    let meta = &object.metadata;
    let mut map = HashMap::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(Key::from(key.to_owned()), value);
        }
    };
    put("name", meta.name.as_deref().map(Value::from));
    put("namespace", meta.namespace.as_deref().map(Value::from));
    put("uid", meta.uid.as_deref().map(Value::from));
    put("generation", meta.generation.map(Value::Int));
    put("creationTimestamp", meta.creation_timestamp.as_ref().map(|time| time.0.to_string().into()));
    put("deletionTimestamp", meta.deletion_timestamp.as_ref().map(|time| time.0.to_string().into()));
    put("labels", meta.labels.as_ref().map(texts));
    put("annotations", meta.annotations.as_ref().map(texts));
    Value::Map(Map { map: Arc::new(map) })
}

fn texts(map: &std::collections::BTreeMap<String, String>) -> Value {
    let map = map.iter().map(|(key, value)| (Key::from(key.clone()), Value::from(value.as_str()))).collect();
    Value::Map(Map { map: Arc::new(map) })
}

/// As Kubernetes' CEL does it: whole numbers are `int`. (serde would make them `uint`, which does not add to `int`.)
fn convert(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(uint)) => Value::UInt(uint),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(convert).collect())),
        Json::Object(map) => {
            let map = map.iter().map(|(key, value)| (Key::from(key.clone()), convert(value))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// What an expression consists of.
#[derive(Default)]
struct Census {
    loops: usize,
    variables: BTreeSet<String>,
    fields: BTreeSet<String>,
    parts: BTreeSet<String>,
    /// `object` is used other than by `object.part`.
    whole: bool,
    bound: Vec<String>,
}

impl Census {
    /// Recursion ends: the parser takes at most 96 levels.
    fn visit(&mut self, node: &IdedExpr) -> Result<(), RuleError> {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                self.name(name);
                self.whole |= name == "object";
                Ok(())
            }
            Expr::Select(select) => {
                self.fields.insert(select.field.clone());
                match &select.operand.expr {
                    Expr::Ident(name) if name == "object" => {
                        self.name(name);
                        self.parts.insert(select.field.clone());
                        Ok(())
                    }
                    _ => self.visit(&select.operand),
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(_) => Err(RuleError::Syntax("messages are not known here".into())),
            Expr::Comprehension(fold) => {
                self.loops += 1;
                self.visit(&fold.iter_range)?;
                self.visit(&fold.accu_init)?;
                let before = self.bound.len();
                self.bound.push(fold.iter_var.clone());
                self.bound.extend(fold.iter_var2.clone());
                self.bound.push(fold.accu_var.clone());
                [&fold.loop_cond, &fold.loop_step, &fold.result]
                    .into_iter()
                    .try_for_each(|part| self.visit(part))?;
                self.bound.truncate(before);
                Ok(())
            }
        }
    }

    fn name(&mut self, name: &str) {
        if !self.bound.iter().any(|bound| bound == name) {
            self.variables.insert(name.to_owned());
        }
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), RuleError> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key)?;
                self.visit(&entry.value)
            }
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<(), RuleError> {
        let name = call.func_name.as_str();
        if ![&FUNCTIONS[..], &OPERATORS[..], &MACRO_PARTS[..]].iter().any(|list| list.contains(&name)) {
            return Err(RuleError::Function(name.to_owned()));
        }
        if name == "matches" {
            check_pattern(call)?;
        }
        if let (operators::INDEX, [_, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }]) =
            (name, call.args.as_slice())
        {
            self.fields.insert(key.inner().to_owned());
        }
        call.target.as_deref().map_or(Ok(()), |target| self.visit(target))?;
        call.args.iter().try_for_each(|argument| self.visit(argument))
    }
}

fn check_pattern(call: &CallExpr) -> Result<(), RuleError> {
    match call.args.last().map(|argument| &argument.expr) {
        Some(Expr::Literal(LiteralValue::String(pattern)))
            if pattern.inner().len() <= MAX_PATTERN && !pattern.inner().contains(['{', '}']) =>
        {
            Ok(())
        }
        Some(_) | None => Err(RuleError::Pattern),
    }
}

fn first_line(text: &str) -> String {
    short(text.lines().next().unwrap_or_default())
}

/// Reasons go into statuses and tables.
fn short(text: &str) -> String {
    cut::chars(text, 160).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "x/v1", "kind": "Thing",
            "metadata": {"name": "t", "namespace": "n", "labels": {"ring": "early", "a.b/c": "1"}},
            "spec": {"replicas": 0, "big": 1.5},
            "status": {"state": "stable", "version": "1.0", "items": [{"ok": true}, {"ok": false}]},
        }))
        .unwrap()
    }

    #[test]
    fn r3_a_rule_is_true_false_or_the_reason_why_it_cannot_tell() {
        for (text, expected) in [
            ("object.status.state == 'stable' && object.status.version == version", Ok(true)),
            ("object.spec.replicas == 0", Ok(true)),
            ("object.spec.replicas + 1 < 1", Ok(false)),
            ("object.metadata.labels['a.b/c'] == '1'", Ok(true)),
            ("object['kind'] == 'Thing'", Ok(true)),
            ("has(object.spec.absent)", Ok(false)),
            ("object.status.items.exists(i, i.ok)", Ok(true)),
            ("object.status.items.all(i, i.ok)", Ok(false)),
            ("'early' in ['early'] && object.metadata.labels.ring.matches('^ea')", Ok(true)),
            ("object.spec.absent == 1", Err("No such key: absent")),
            ("object.spec.replicas", Err("not true or false")),
        ] {
            let rule = Rule::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            match (rule.truth(&Scope::new(&object(), "1.0")), expected) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{text}"),
                (Err(found), Err(wanted)) => assert!(found.contains(wanted), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn an_expression_is_bounded_before_it_is_ever_run() {
        for (text, message) in [
            ("object.a.all(x, object.b.all(y, x == y))", "has 2 loops"),
            ("object.a.map(x, x).exists(y, y == 1)", "has 2 loops"),
            ("object.a ==", "is not a CEL expression"),
            ("other.a == 1", "names \"other\""),
            ("object.a.lowerAscii() == 'x'", "calls \"lowerAscii\""),
            ("type(object) == type(1)", "calls \"type\""),
            ("object.a.matches(object.b)", "literal pattern"),
            ("object.a.matches('(x{99}){99}')", "literal pattern"),
        ] {
            let error = Rule::compile(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert_eq!(Rule::compile(&" ".repeat(2_000)).err(), Some(RuleError::TooLong(2_000)));
    }

    #[test]
    fn only_the_parts_that_an_expression_names_are_converted() {
        let needs = |text: &str| Rule::compile(text).unwrap().needs;
        assert_eq!(needs("object.spec.a == object.spec.b"), Needs::Parts(["spec".to_owned()].into()));
        assert_eq!(needs("size(object) == 1"), Needs::All);
        assert!(Rule::compile("object.status.version == version").unwrap().names("version"));
        assert!(!Rule::compile("object.status.version == 'stable'").unwrap().names("version"));
    }

    #[test]
    fn a_text_is_given_or_the_reason() {
        let text = |rule: &str| Rule::compile(rule).unwrap().text(&Scope::new(&object(), ""));
        assert_eq!(text("object.metadata.labels.ring + '-' + object.metadata.name"), Ok("early-t".into()));
        assert!(text("object.spec.replicas").unwrap_err().contains("not a text"));
    }
}
