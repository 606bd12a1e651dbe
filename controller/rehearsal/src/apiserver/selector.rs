//! Label and field selectors in requests. Pure.

use serde_json::Value;

use super::{failure::Failure, object::text};

/// What a list or watch asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| Failure::bad_request(format!("unable to parse requirement: {why}"));
        let labels = split(labels).into_iter().map(|term| requirement(&term).ok_or_else(|| refuse(&term)));
        let fields = fields.split(',').filter(|term| !term.is_empty()).map(|term| {
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else {
                let (field, value) = term.split_once('=').ok_or_else(|| refuse(term))?;
                (field, true, value.trim_start_matches('='))
            };
            match field {
                "metadata.name" | "metadata.namespace" => Ok((field.to_owned(), equal, value.to_owned())),
                _ => Err(Failure::bad_request(format!("field label not supported: {field}"))),
            }
        });
        Ok(Self { labels: labels.collect::<Result<_, _>>()?, fields: fields.collect::<Result<_, _>>()? })
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let by_labels = self.labels.iter().all(|(key, test)| match test {
            Test::In(values) => label(key).is_some_and(|found| values.iter().any(|value| value == found)),
            Test::NotIn(values) => label(key).is_none_or(|found| values.iter().all(|value| value != found)),
            Test::Exists => label(key).is_some(),
            Test::Absent => label(key).is_none(),
        });
        by_labels
            && self.fields.iter().all(|(field, equal, value)| {
                (text(object, field.trim_start_matches("metadata.")) == value) == *equal
            })
    }
}

/// Splits at commas outside brackets.
fn split(selector: &str) -> Vec<String> {
    let (mut terms, mut depth) = (vec![String::new()], 0);
    for c in selector.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match terms.last_mut() {
            Some(term) if c != ',' || depth > 0 => term.push(c),
            _ => terms.push(String::new()),
        }
    }
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Option<(String, Test)> {
    let set = |values: &str| -> Option<Vec<String>> {
        let inner = values.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let key = |key: &str| Some(key.trim().to_owned()).filter(|key| !key.is_empty() && !key.contains(' '));
    if let Some((left, values)) = term.split_once(" notin ") {
        return Some((key(left)?, Test::NotIn(set(values)?)));
    }
    if let Some((left, values)) = term.split_once(" in ") {
        return Some((key(left)?, Test::In(set(values)?)));
    }
    if let Some((left, value)) = term.split_once("!=") {
        return Some((key(left)?, Test::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((left, value)) = term.split_once('=') {
        return Some((key(left)?, Test::In(vec![value.trim_start_matches('=').trim().to_owned()])));
    }
    match term.strip_prefix('!') {
        Some(rest) => Some((key(rest)?, Test::Absent)),
        None => Some((key(term)?, Test::Exists)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_match_as_the_api_says() {
        let object = json!({"metadata": {"name": "a", "labels": {"ring": "0", "app": "tenant"}}});
        for (labels, fields, matches) in [
            ("", "", true),
            ("ring=0,app==tenant", "metadata.name=a", true),
            ("ring!=0", "", false),
            ("absent!=0", "metadata.name!=b", true),
            ("ring in (0, 1),app notin (x)", "", true),
            ("ring notin (0,1)", "", false),
            ("ring,!absent", "", true),
            ("!ring", "", false),
            ("ring=0", "metadata.name=b", false),
        ] {
            let selector = Selector::parse(labels, fields).expect("parses");
            assert_eq!(selector.matches(&object), matches, "{labels} {fields}");
        }
        assert_eq!(Selector::parse("a b", "").expect_err("two words").code, 400);
        assert_eq!(Selector::parse("", "spec.x=1").expect_err("unknown field").code, 400);
    }
}
