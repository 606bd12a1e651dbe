//! Selectors and matchers as parsed values: what users wrote, checked, with the Rollout's matchers put in. Pure.

use std::fmt;

use breakwater_text::cut;
use promql_parser::{
    label::{METRIC_NAME, Matcher},
    parser::{self, Expr, VectorSelector, token::T_EQL_REGEX, value::ValueType},
};

use crate::spec::FieldError;

/// Most tokens that may nest: the walk over a parsed expression is recursive.
const NESTING_MAX: usize = 600;

/// What is wrong with a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    wrong: String,
    fix: String,
}

impl Refusal {
    /// From the two halves of the sentence: `is no selector`, `write it as ...`.
    pub fn new(wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), fix: fix.into() }
    }

    /// The error of the field at `path` that holds `value`.
    pub fn at(&self, path: &str, value: &str) -> FieldError {
        let shown = cut::chars(value, 120);
        FieldError { path: path.to_owned(), message: format!("{shown:?} {self}") }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.wrong, self.fix)
    }
}

/// Label matchers that are added to every selector.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// No matchers.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Parses `cluster="eu1",env=~"prod|stage"`; blank is none.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let fix = "write it as cluster=\"eu1\",env=~\"prod|stage\"";
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::none());
        }
        let parsed = guarded(&format!("x{{{text}}}"))?;
        // A text that closes the brace itself is another kind of expression, or a selector with more to it.
        let Expr::VectorSelector(VectorSelector { name: Some(name), matchers, offset: None, at: None }) =
            parsed
        else {
            return Err(Refusal::new("is more than a list of matchers", fix));
        };
        if !matchers.or_matchers.is_empty()
            || matchers.matchers.iter().any(|m| m.name == METRIC_NAME)
            || name != "x"
        {
            return Err(Refusal::new("holds an `or` or a metric's name", fix));
        }
        Ok(Self(matchers.matchers))
    }

    /// One of these values in a label, each taken literally.
    pub fn one_of(label: &str, values: &[&str]) -> Result<Self, Refusal> {
        let literal = |value: &&str| {
            let mut text = String::with_capacity(value.len());
            for c in value.chars() {
                // What Go's QuoteMeta quotes: Prometheus's regular expressions are Go's.
                if "\\.+*?()|[]{}^$".contains(c) {
                    text.push('\\');
                }
                text.push(c);
            }
            text
        };
        let pattern = values.iter().map(literal).collect::<Vec<_>>().join("|");
        let refuse =
            || Refusal::new("cannot be asked for by name", "use names of letters, digits and dashes");
        let matcher = Matcher::new_matcher(T_EQL_REGEX, label.to_owned(), pattern).map_err(|_| refuse())?;
        // Written and read again: whatever is in the names stays within its quotes.
        match parser::parse(&format!("x{{{matcher}}}")) {
            Ok(Expr::VectorSelector(again)) if again.matchers.matchers == [matcher.clone()] => {
                Ok(Self(vec![matcher]))
            }
            _ => Err(refuse()),
        }
    }

    /// The same, refused if it speaks of `le`, which belongs to the threshold.
    pub fn without_le(self) -> Result<Self, Refusal> {
        if self.0.iter().any(|matcher| matcher.name == "le") {
            return Err(Refusal::new("matches le", "leave le to the threshold"));
        }
        Ok(self)
    }

    fn add_to(&self, selector: &mut VectorSelector) {
        for matcher in &self.0 {
            if !selector.matchers.matchers.contains(matcher) {
                selector.matchers.matchers.push(matcher.clone());
            }
        }
    }
}

/// The matcher of one bucket edge.
pub fn le_matcher(pattern: &str) -> Result<Matchers, Refusal> {
    Matchers::parse(&format!("le=~\"{}\"", pattern.replace('\\', "\\\\")))
}

/// A plain selector of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector(VectorSelector);

impl Selector {
    /// Parses a selector and adds `matchers`; refused is whatever the query around it could not frame.
    pub fn parse(text: &str, matchers: &Matchers) -> Result<Self, Refusal> {
        let fix = "write a plain selector such as http_requests_total{code=~\"5..\"}; the query around it is Breakwater's";
        let mut selector = match guarded(text)? {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(_) => return Err(Refusal::new("has a range", fix)),
            other => return Err(Refusal::new(format!("is {}, no selector", kind(&other)), fix)),
        };
        if selector.offset.is_some() || selector.at.is_some() {
            return Err(Refusal::new("has an offset or @", fix));
        }
        if !selector.matchers.or_matchers.is_empty() {
            return Err(Refusal::new("holds an `or`, which Prometheus does not know", fix));
        }
        let named =
            selector.matchers.matchers.iter().any(|matcher| {
                matcher.name == METRIC_NAME && matcher.op == promql_parser::label::MatchOp::Equal
            });
        if selector.name.is_none() && !named {
            return Err(Refusal::new("names no single metric", fix));
        }
        matchers.add_to(&mut selector);
        let printed = Self(selector);
        printed.survives_printing()?;
        Ok(printed)
    }

    /// Refuses what is a rate or a ratio by its name: no query can count events in it. Recording rules are named
    /// `level:metric:operations` (Prometheus's own advice; Sloth and Pyrra do so), gauges of shares end with `_ratio`.
    pub fn counts(self) -> Result<Self, Refusal> {
        let Some(name) = self.0.name.as_deref() else { return Ok(self) };
        let operations = name.rsplit_once(':').map_or("", |(_, operations)| operations);
        // `rate5m`, `burnrate1h`, `irate`: a window follows the word.
        let is_rate = |word: &str| {
            let word = word
                .trim_end_matches(['s', 'm', 'h', 'd', 'w'])
                .trim_end_matches(|c: char| c.is_ascii_digit());
            word.ends_with("rate") || word == "ratio"
        };
        if operations.split('_').any(is_rate) || name.ends_with("_ratio") {
            return Err(Refusal::new(
                "is a rate or a ratio by its name, and no count of events",
                "give the counters that it is recorded from, or record the counts of one step and use errors.recorded",
            ));
        }
        Ok(self)
    }

    /// A metric's series that all of these hold for.
    pub fn of(metric: &str, own: &[Matcher], matchers: &Matchers) -> Result<Self, Refusal> {
        let own = promql_parser::label::Matchers::new(own.to_vec());
        let mut selector = VectorSelector::new(Some(metric.to_owned()), own);
        matchers.add_to(&mut selector);
        let printed = Self(selector);
        printed.survives_printing()?;
        Ok(printed)
    }

    /// The same with further matchers.
    #[must_use]
    pub fn with(&self, matchers: &Matchers) -> Self {
        let mut selector = self.0.clone();
        matchers.add_to(&mut selector);
        Self(selector)
    }

    fn survives_printing(&self) -> Result<(), Refusal> {
        let mut sorted = self.0.clone();
        sorted.matchers.matchers.sort_by_key(ToString::to_string);
        match parser::parse(&self.to_string()) {
            Ok(Expr::VectorSelector(again)) if again == sorted => Ok(()),
            _ => Err(Refusal::new("cannot be written back", "use names of letters, digits, _ and : only")),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses an expression of an instant vector or a scalar and puts `matchers` into every selector of it.
pub fn expression(text: &str, matchers: &Matchers) -> Result<String, Refusal> {
    let fix = "write an expression of one value, such as sum(rate(reconnects_total[5m]))";
    let mut parsed = guarded(text)?;
    match parsed.value_type() {
        ValueType::Vector | ValueType::Scalar => {}
        ValueType::Matrix => return Err(Refusal::new("is a range, not a value", fix)),
        ValueType::String => return Err(Refusal::new("is a string, not a value", fix)),
    }
    let mut or = false;
    each_selector(&mut parsed, &mut |selector| or |= !selector.matchers.or_matchers.is_empty());
    if or {
        return Err(Refusal::new("holds an `or` between matchers, which Prometheus does not know", fix));
    }
    if matchers.0.is_empty() {
        return Ok(text.trim().to_owned());
    }
    each_selector(&mut parsed, &mut |selector| matchers.add_to(selector));
    let printed = parsed.to_string();
    // The printer sorts matchers, so trees are compared once both have been through it.
    match parser::parse(&printed) {
        Ok(again) if again.to_string() == printed => Ok(printed),
        _ => Err(Refusal::new(
            "cannot be written back with prometheus.matchers in it",
            "write the matchers into the query, and leave prometheus.matchers out",
        )),
    }
}

/// Visits every selector; unlike the parser's own walk also those in an aggregation's parameter.
pub(super) fn each_selector(expression: &mut Expr, visit: &mut impl FnMut(&mut VectorSelector)) {
    match expression {
        Expr::VectorSelector(selector) => visit(selector),
        Expr::MatrixSelector(selector) => visit(&mut selector.vs),
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                each_selector(param, visit);
            }
            each_selector(&mut aggregate.expr, visit);
        }
        Expr::Unary(unary) => each_selector(&mut unary.expr, visit),
        Expr::Binary(binary) => {
            each_selector(&mut binary.lhs, visit);
            each_selector(&mut binary.rhs, visit);
        }
        Expr::Paren(paren) => each_selector(&mut paren.expr, visit),
        Expr::Subquery(subquery) => each_selector(&mut subquery.expr, visit),
        Expr::Call(call) => {
            for argument in &mut call.args.args {
                each_selector(argument, visit);
            }
        }
        // The parser makes no extensions.
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Parses, unless the text nests so deeply that walking it could exhaust a thread's stack.
pub fn guarded(text: &str) -> Result<Expr, Refusal> {
    // Each nesting level costs an opening bracket, an operator or a word between blanks.
    let mut blank = true;
    let mut tokens = 0_usize;
    for c in text.chars() {
        tokens += usize::from(c.is_ascii_punctuation() && !"_:.\"'|\\".contains(c));
        tokens += usize::from(c.is_whitespace() && !blank);
        blank = c.is_whitespace();
    }
    if tokens > NESTING_MAX {
        return Err(Refusal::new(
            "is too long to be checked",
            "record it with a rule and name the recorded series",
        ));
    }
    parser::parse(text).map_err(|why| {
        let why = cut::chars(&why, 200);
        Refusal::new(format!("is no PromQL ({why})"), "try it in Prometheus's own page first")
    })
}

const fn kind(expression: &Expr) -> &'static str {
    match expression {
        Expr::Aggregate(_) => "an aggregation",
        Expr::Unary(_) | Expr::Binary(_) => "an operation",
        Expr::Paren(_) => "in parentheses",
        Expr::Subquery(_) => "a subquery",
        Expr::NumberLiteral(_) => "a number",
        Expr::StringLiteral(_) => "a string",
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) => "a selector",
        Expr::Call(_) | Expr::Extension(_) => "a function call",
    }
}
