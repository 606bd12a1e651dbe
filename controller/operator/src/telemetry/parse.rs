//! The body of an answer of `/api/v1/query`, read in one pass without an intermediate tree. Pure.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Longest text that an error repeats, in characters.
const SHOWN_MAX: usize = 200;

/// The rows of an instant query's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows(pub Vec<Sample>);

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels in the order of the answer; none for a scalar. Shared: who makes rows often keeps them.
    pub labels: Arc<[(Box<str>, Box<str>)]>,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// Its timestamp in seconds.
    pub at: f64,
}

impl Sample {
    /// The label's value; an absent label is an empty one.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| &**key == name).map_or("", |(_, value)| value)
    }
}

/// What a body says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An answer.
    Rows(Rows),
    /// An answer with a warning: the first one.
    Warning(String),
    /// `status: error`: Prometheus's kind and words.
    Error(String),
    /// Not what the API promises: why.
    Malformed(String),
}

/// Reads a body.
pub fn answer(body: &[u8]) -> Answer {
    let parsed: Body = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        Err(why) if why.is_eof() => {
            return Answer::Malformed(format!("it is cut off after {} bytes", body.len()));
        }
        Err(why) if why.is_data() => return Answer::Malformed(shown(&why.to_string())),
        Err(_) => {
            return Answer::Malformed(format!(
                "it is no JSON: {}",
                shown(&String::from_utf8_lossy(start(body)))
            ));
        }
    };
    let Body { status, data, warnings, error_type, error } = parsed;
    if let Some(warning) = warnings.into_iter().flatten().next() {
        return Answer::Warning(shown(&warning));
    }
    match (status.as_str(), data) {
        ("success", Some(data)) => rows(data),
        ("success", None) => Answer::Malformed("it has no data".to_owned()),
        ("error", _) => Answer::Error(shown(&format!("{error_type}: {error}"))),
        (other, _) => Answer::Malformed(format!("its status is {:?}", shown(other))),
    }
}

/// The printable start of a text, for an error.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect()
}

/// The start of a body that is worth showing.
pub fn start(body: &[u8]) -> &[u8] {
    &body[..body.len().min(SHOWN_MAX)]
}

fn rows(data: Data) -> Answer {
    let Data { result_type, result } = data;
    match (result_type.as_str(), result) {
        ("vector", Items::Samples(samples)) => Answer::Rows(Rows(samples)),
        ("vector", Items::Empty) => Answer::Rows(Rows::default()),
        ("scalar", Items::Scalar { at, value }) => {
            Answer::Rows(Rows(vec![Sample { labels: Arc::default(), value, at }]))
        }
        (kind, _) => Answer::Malformed(format!("its result is no vector but {:?}", shown(kind))),
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    status: String,
    data: Option<Data>,
    warnings: Option<Vec<String>>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, rename = "resultType")]
    result_type: String,
    result: Items,
}

/// `result` in each of its shapes; the type beside it may come after.
enum Items {
    Empty,
    Samples(Vec<Sample>),
    Scalar { at: f64, value: f64 },
    Other,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of samples")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
        let first = match items.next_element::<Item>()? {
            None => return Ok(Items::Empty),
            Some(Item::Sample(sample)) => sample,
            Some(Item::Number(at)) => return scalar(at, items),
            Some(Item::Other) => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Items::Other);
            }
        };
        let mut samples = vec![first];
        while let Some(item) = items.next_element::<Item>()? {
            let Item::Sample(sample) = item else {
                return Err(A::Error::custom("a vector holds what is no sample"));
            };
            samples.push(sample);
        }
        Ok(Items::Samples(samples))
    }
}

fn scalar<'de, A: SeqAccess<'de>>(at: f64, mut items: A) -> Result<Items, A::Error> {
    let value = items.next_element::<Number>()?.ok_or_else(|| A::Error::custom("a scalar has no value"))?;
    if items.next_element::<IgnoredAny>()?.is_some() {
        return Err(A::Error::custom("a scalar has more than a time and a value"));
    }
    Ok(Items::Scalar { at, value: value.0 })
}

enum Item {
    Sample(Sample),
    Number(f64),
    Other,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Item, E> {
        Ok(Item::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_str<E>(self, _: &str) -> Result<Item, E> {
        Ok(Item::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Item, A::Error> {
        let (mut labels, mut point, mut other) = (Vec::new(), None, false);
        while let Some(field) = fields.next_key::<Field>()? {
            match field {
                Field::Metric => labels = fields.next_value::<Labels>()?.0,
                Field::Value => point = Some(fields.next_value::<Point>()?),
                Field::Histogram => return Err(A::Error::custom("a sample is a native histogram")),
                Field::Other => {
                    fields.next_value::<IgnoredAny>()?;
                    other = true;
                }
            }
        }
        match point {
            Some(Point(at, Number(value))) => Ok(Item::Sample(Sample { labels: labels.into(), value, at })),
            // A matrix has `values`; the result's type names it.
            None if other => Ok(Item::Other),
            None => Err(A::Error::custom("a sample has no value")),
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Metric,
    Value,
    Histogram,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Point(f64, Number);

/// A number as Prometheus writes it: in quotes, since JSON has neither NaN nor infinity.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse()
                    .map(Number)
                    .map_err(|_| E::custom(format_args!("{:?} is no number", shown(text))))
            }
        }
        from.deserialize_str(Text)
    }
}

#[derive(Default)]
struct Labels(Vec<(Box<str>, Box<str>)>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Labels, A::Error> {
                let mut labels = Vec::with_capacity(4);
                while let Some(label) = fields.next_entry()? {
                    labels.push(label);
                }
                Ok(Labels(labels))
            }
        }
        from.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"tenant":"a","breakwater":"total"},"value":[1700000000,"12"]},
        {"metric":{},"value":[1700000000.5,"+Inf"]}],"analysis":{}},"infos":["x"],"warnings":[]}"#;

    fn malformed(body: &str) -> String {
        match answer(body.as_bytes()) {
            Answer::Malformed(why) => why,
            other => panic!("{other:?} of {body}"),
        }
    }

    #[test]
    fn vectors_and_scalars_are_rows_with_their_exact_values() {
        let Answer::Rows(rows) = answer(GOOD.as_bytes()) else { panic!("no rows") };
        assert_eq!(rows.0[0].label("tenant"), "a");
        assert_eq!((rows.0[0].value, rows.0[0].at, rows.0[0].label("none")), (12.0, 1_700_000_000.0, ""));
        assert_eq!((rows.0[1].value, rows.0[1].labels.len()), (f64::INFINITY, 0));
        let scalar = r#"{"data":{"result":[1700000000,"NaN"],"resultType":"scalar"},"status":"success"}"#;
        let Answer::Rows(rows) = answer(scalar.as_bytes()) else { panic!("no rows") };
        assert!(rows.0[0].value.is_nan());
        let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(answer(empty.as_bytes()), Answer::Rows(Rows::default()));
    }

    #[test]
    fn r12_a_warning_spoils_the_answer() {
        let body = GOOD.replace("\"warnings\":[]", "\"warnings\":[\"partial response\"]");
        assert_eq!(answer(body.as_bytes()), Answer::Warning("partial response".into()));
    }

    #[test]
    fn r12_every_way_to_lie_is_named() {
        let data = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
        assert!(malformed("<html>login</html>").contains("no JSON: <html>"));
        assert!(malformed(&GOOD[..150]).contains("cut off after 150 bytes"));
        assert!(malformed("").contains("cut off"));
        assert!(malformed("{}").contains("status"));
        assert!(malformed(r#"{"status":"success"}"#).contains("no data"));
        malformed("[]");
        for (result, why) in [
            (r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"]]}]}"#, "\"matrix\""),
            (r#"{"resultType":"matrix","result":[]}"#, "\"matrix\""),
            (r#"{"resultType":"string","result":[1,"x"]}"#, "\"x\" is no number"),
            (r#"{"resultType":"vector","result":[1,"1"]}"#, "\"vector\""),
            (r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}"#, "native histogram"),
            (r#"{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}"#, "number in quotes"),
            (r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]},3]}"#, "no sample"),
            (r#"{"resultType":"vector","result":[{"metric":{}}]}"#, "no value"),
            (r#"{"resultType":"vector","result":null}"#, "list of samples"),
            (r#"{"resultType":"vector"}"#, "result"),
        ] {
            let said = malformed(&data(result));
            assert!(said.contains(why), "{result}: {said}");
        }
        let error = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
        assert_eq!(answer(error.as_bytes()), Answer::Error("execution: too many samples".into()));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..400_usize, flip in 0..400_usize) {
            let _ = answer(&body);
            let mut good = GOOD.as_bytes().to_vec();
            let flip = flip % good.len();
            good[flip] ^= 0x15;
            let _ = answer(&good[..cut % good.len()]);
            let _ = answer(&good);
        }
    }
}
