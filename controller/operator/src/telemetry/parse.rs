//! The parts of an answer of `/api/v1/query` and `/api/v1/query_range`: a series, and what is around the list of them.
//! Pure.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::sink::{Labels, Sink};

/// Longest text that an error repeats, in characters.
pub const SHOWN_MAX: usize = 200;

/// The printable start of a text, for an error.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect()
}

/// What a series holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// One sample: of a vector.
    Sample,
    /// A list of them: of a matrix.
    Samples,
}

/// Reads one series, a whole JSON object, and pours it into the sink.
pub fn series(object: &[u8], sink: &mut dyn Sink) -> Result<Held, Fault> {
    let Series { metric, value, values, histogram, histograms } =
        serde_json::from_slice(object).map_err(Fault::of)?;
    if histogram.is_some() || histograms.is_some() {
        return Err(Fault::Shape("a sample is a native histogram".to_owned()));
    }
    let labels = metric.map_or(Labels::NONE, |metric| Labels::new(metric.get()));
    match (value, values) {
        (Some(Point(at, Number(value))), None) => {
            sink.series(labels).map_err(Fault::Shape)?;
            sink.sample(at, value);
            Ok(Held::Sample)
        }
        (None, Some(values)) => {
            sink.series(labels).map_err(Fault::Shape)?;
            let mut from = serde_json::Deserializer::from_str(values.get());
            from.deserialize_seq(Points(sink)).map_err(Fault::of)?;
            Ok(Held::Samples)
        }
        (None, None) => Err(Fault::Shape("a sample has no value".to_owned())),
        (Some(_), Some(_)) => Err(Fault::Shape("a series is one sample and many".to_owned())),
    }
}

/// Why a part cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is JSON of another shape: what is wrong.
    Shape(String),
    /// It ends too early.
    Cut,
    /// It is no JSON.
    NotJson,
}

impl Fault {
    #[expect(clippy::needless_pass_by_value, reason = "called as a function of errors")]
    fn of(why: serde_json::Error) -> Self {
        if why.is_data() {
            Self::Shape(shown(&why.to_string()))
        } else if why.is_eof() {
            Self::Cut
        } else {
            Self::NotJson
        }
    }
}

/// An answer without its series, which were read before.
#[derive(Debug, PartialEq)]
pub enum Envelope {
    /// A list of series, empty or taken out: the type of the result.
    List(String),
    /// One number without labels.
    Scalar {
        /// Its timestamp in seconds.
        at: f64,
        /// Its value.
        value: f64,
    },
    /// An answer with a warning: the first one.
    Warning(String),
    /// `status: error`: Prometheus's kind and words.
    Error(String),
}

/// Reads what is around the series.
pub fn envelope(body: &[u8]) -> Result<Envelope, Fault> {
    let Body { status, data, warnings, whole, error_type, error } =
        serde_json::from_slice(body).map_err(Fault::of)?;
    let partial = whole.is_partial || data.as_ref().is_some_and(|data| data.whole.is_partial);
    if let Some(warning) = warnings.into_iter().flatten().find(|text| !is_info(text)) {
        return Ok(Envelope::Warning(shown(&warning)));
    }
    if partial {
        return Ok(Envelope::Warning(
            "the answer is partial: a part of the storage did not answer".to_owned(),
        ));
    }
    match (status.as_str(), data) {
        ("success", Some(Data { result_type, result, whole: _ })) => match (result_type.as_str(), result) {
            ("scalar", Items::Scalar { at, value }) => Ok(Envelope::Scalar { at, value }),
            (kind @ ("vector" | "matrix"), Items::Empty) => Ok(Envelope::List(kind.to_owned())),
            (kind, _) => Err(Fault::Shape(format!("its result is no vector but {:?}", shown(kind)))),
        },
        ("success", None) => Err(Fault::Shape("it has no data".to_owned())),
        ("error", _) => Ok(Envelope::Error(shown(&format!("{error_type}: {error}")))),
        (other, _) => Err(Fault::Shape(format!("its status is {:?}", shown(other)))),
    }
}

/// Prometheus 2.48 to 2.53 put hints, such as that a counter has an unusual name, among the warnings. They say nothing of the answer.
fn is_info(warning: &str) -> bool {
    warning.starts_with("PromQL info")
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    status: String,
    data: Option<Data>,
    warnings: Option<Vec<String>>,
    #[serde(flatten)]
    whole: Whole,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

/// Whether a part is missing: `VictoriaMetrics` says so in every answer, whatever was asked for; others have other words for it.
#[derive(Deserialize)]
struct Whole {
    #[serde(
        default,
        rename = "isPartial",
        alias = "partial",
        alias = "partialResponse",
        alias = "is_partial"
    )]
    is_partial: bool,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, rename = "resultType")]
    result_type: String,
    #[serde(flatten)]
    whole: Whole,
    result: Items,
}

/// `result` in each of its shapes; the type beside it may come after.
enum Items {
    Empty,
    Scalar { at: f64, value: f64 },
    Other,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of samples")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
                let Some(first) = items.next_element::<serde_json::Value>()? else { return Ok(Items::Empty) };
                if let Some(at) = first.as_f64() {
                    return scalar(at, items);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items::Other)
            }
        }
        from.deserialize_seq(List)
    }
}

fn scalar<'de, A: SeqAccess<'de>>(at: f64, mut items: A) -> Result<Items, A::Error> {
    let value = items.next_element::<Number>()?.ok_or_else(|| A::Error::custom("a scalar has no value"))?;
    if items.next_element::<IgnoredAny>()?.is_some() {
        return Err(A::Error::custom("a scalar has more than a time and a value"));
    }
    Ok(Items::Scalar { at, value: value.0 })
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow)]
    metric: Option<&'a RawValue>,
    value: Option<Point>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Point(f64, Number);

/// Pours the samples of a series into a sink.
struct Points<'s>(&'s mut dyn Sink);

impl<'de> Visitor<'de> for Points<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of samples")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut points: A) -> Result<(), A::Error> {
        while let Some(Point(at, Number(value))) = points.next_element()? {
            self.0.sample(at, value);
        }
        Ok(())
    }
}

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
