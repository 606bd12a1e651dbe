//! What an answer is poured into while it is read: series by series, sample by sample, so that no answer is ever held
//! whole. Pure.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{MapAccess, Visitor},
};

/// Most series that [`Rows`] keeps: answers that are kept are small ones.
pub const ROWS_MAX: usize = 10_000;

/// Takes the rows of one answer. Whether the answer is any good (a warning may come after the rows) is known only when
/// the source says so at its end: until then nothing of it may be used. The error says what of the answer is malformed.
pub trait Sink: Send {
    /// A series begins; the samples up to the next one are its.
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String>;
    /// A sample: its timestamp in seconds, and its value, which may be NaN or infinite.
    fn sample(&mut self, at: f64, value: f64);
}

/// The labels of a series: the JSON object they came in, so that they are compared as a whole and taken apart only
/// where they are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels<'a>(&'a str);

impl<'a> Labels<'a> {
    /// Of a series without labels, such as a scalar.
    pub const NONE: Labels<'static> = Labels("{}");

    /// From the text of a JSON object of strings; checked when it is taken apart.
    pub const fn new(json: &'a str) -> Self {
        Self(json)
    }

    /// The text. The same text is the same labels; the same labels may come in several texts.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Names and values, in the order of the answer.
    pub fn each(self, mut take: impl FnMut(&str, &str)) -> Result<(), String> {
        let mut from = serde_json::Deserializer::from_str(self.0);
        from.deserialize_map(Each(&mut take)).map_err(|why| super::parse::shown(&why.to_string()))
    }
}

/// The text of labels, for who makes rows.
pub fn label_text<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Box<str> {
    let object: serde_json::Map<String, serde_json::Value> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::Value::Object(object).to_string().into()
}

struct Each<'f, F>(&'f mut F);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = fields.next_entry()? {
            (self.0)(&name, &value);
        }
        Ok(())
    }
}

/// Rows that are kept: of small answers only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows(pub Vec<Sample>);

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels in the order of the answer; none for a scalar.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// Its timestamp in seconds; NaN while none came.
    pub at: f64,
}

impl Sample {
    /// The label's value; an absent label is an empty one.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| &**key == name).map_or("", |(_, value)| value)
    }
}

impl Rows {
    /// Pours them into another sink.
    pub fn pour(&self, sink: &mut dyn Sink) -> Result<(), String> {
        for Sample { labels, value, at } in &self.0 {
            let text = label_text(labels.iter().map(|(name, value)| (&**name, &**value)));
            sink.series(Labels::new(&text))?;
            sink.sample(*at, *value);
        }
        Ok(())
    }
}

impl Sink for Rows {
    fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
        if self.0.len() >= ROWS_MAX {
            return Err(format!("it has more than {ROWS_MAX} rows, where a few were asked for"));
        }
        let mut all = Vec::new();
        labels.each(|name, value| all.push((name.into(), value.into())))?;
        self.0.push(Sample { labels: all, value: f64::NAN, at: f64::NAN });
        Ok(())
    }

    fn sample(&mut self, at: f64, value: f64) {
        if let Some(last) = self.0.last_mut() {
            (last.at, last.value) = (at, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_apart_in_their_order_with_escapes_undone() {
        let text = label_text([("tenant", "a\"b\n"), ("breakwater", "total")]);
        let mut all = Vec::new();
        Labels::new(&text).each(|name, value| all.push(format!("{name}={value}"))).unwrap();
        all.sort();
        assert_eq!(all, ["breakwater=total", "tenant=a\"b\n"]);
        for bad in ["", "[]", "{\"a\":1}", "{\"a\":\"b\"", "{\"a\":null}", "\"x\""] {
            assert!(Labels::new(bad).each(|_, _| {}).is_err(), "{bad}");
        }
        Labels::NONE.each(|_, _| panic!("a label")).unwrap();
    }

    #[test]
    fn an_answer_that_should_be_small_and_is_not_is_refused() {
        let mut rows = Rows::default();
        assert!((0..ROWS_MAX).all(|_| rows.series(Labels::NONE).is_ok()));
        assert!(rows.series(Labels::NONE).unwrap_err().contains("more than 10000 rows"));
    }
}
