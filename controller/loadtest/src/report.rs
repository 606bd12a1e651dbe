//! Reports of load tests: JSON of average and p99 times by handler and method, and graphs; plain or gzip. Pure.
//!
//! Figures are strings of seconds, or numbers; `NaN` means that nothing was called. Fields that are not known are left alone:
//! the format is other people's. Two of ours are read where they stand: `APICalls` and `StoreCalls` (calls by name), and
//! `SupportedUsers`.

use std::{collections::BTreeMap, fmt, io::Read as _};

use breakwater_text::cut;
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor},
};

use crate::run::{Graph, Kind, Measured, Run};

/// Most bytes of a report, unpacked: a run of two days with ten graphs is some 20 MB.
const BYTES_MAX: u64 = 256 << 20;
/// First bytes of gzip (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a report cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Nothing in it.
    #[error("{file}: the file is empty: the report was not written to its end")]
    Empty {
        /// The file.
        file: String,
    },
    /// The packing is broken.
    #[error("{file}: not a whole gzip file: {why}")]
    Gzip {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than is read.
    #[error("{file}: more than {bytes} bytes unpacked")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit.
        bytes: u64,
    },
    /// The JSON ends too early.
    #[error("{file}: the JSON ends in the middle, at line {line}: the report was cut off")]
    Truncated {
        /// The file.
        file: String,
        /// Where.
        line: usize,
    },
    /// A field's value is not what it must be.
    #[error("{file}: {field}: {why}")]
    Field {
        /// The file.
        file: String,
        /// The field, such as `AvgAPITimes.createPost`.
        field: String,
        /// What it is and must be.
        why: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Raw {
    label: Option<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    avg_store_times: Option<BTreeMap<String, Figure>>,
    #[serde(rename = "P99StoreTimes")]
    p99_store_times: Option<BTreeMap<String, Figure>>,
    #[serde(rename = "AvgAPITimes")]
    avg_api_times: Option<BTreeMap<String, Figure>>,
    #[serde(rename = "P99APITimes")]
    p99_api_times: Option<BTreeMap<String, Figure>>,
    #[serde(rename = "APICalls")]
    api_calls: Option<BTreeMap<String, Figure>>,
    store_calls: Option<BTreeMap<String, Figure>>,
    graphs: Option<Vec<RawGraph>>,
    supported_users: Option<Figure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawGraph {
    name: String,
    #[serde(default)]
    values: Option<Vec<(f64, Signed)>>,
}

/// A figure that is not negative; NaN and infinity are figures too.
#[derive(Debug, Clone, Copy)]
struct Figure(f64);

/// A figure of a graph, which may be negative.
struct Signed(f64);

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Signed(value) = Signed::deserialize(from)?;
        if value < 0.0 {
            return Err(D::Error::custom(format!("{value} is negative, which no time and no count can be")));
        }
        Ok(Self(value))
    }
}

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Number).map(Self)
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, plain or as a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
        let short = cut::chars(text, 40);
        text.trim().parse().map_err(|_| E::custom(format!("{short:?} is not a number")))
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_unit<E>(self) -> Result<f64, E> {
        Ok(f64::NAN)
    }
}

impl Run {
    /// Reads a report; `file` names it in messages, and is its label where the report has none.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ReportError> {
        Self::parse_within(file, bytes, BYTES_MAX)
    }

    /// The same with a bound on the unpacked bytes, for who reads other people's: gzip packs a thousandfold.
    pub fn parse_within(file: &str, bytes: &[u8], bytes_max: u64) -> Result<Self, ReportError> {
        let unpacked;
        let text = if bytes.starts_with(&GZIP) {
            unpacked = unpack(file, bytes, bytes_max)?;
            &unpacked
        } else {
            bytes
        };
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(ReportError::Empty { file: file.to_owned() });
        }
        // Serde would take an array for a struct's fields in their order.
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let why = "is an array, where an object with AvgAPITimes and the like is wanted".to_owned();
            return Err(ReportError::Field { file: file.to_owned(), field: "the report".to_owned(), why });
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let raw: Raw = serde_path_to_error::deserialize(&mut json).map_err(|why| refused(file, &why))?;
        json.end().map_err(|why| ReportError::Field {
            file: file.to_owned(),
            field: "after the report".to_owned(),
            why: why.to_string(),
        })?;
        Ok(raw.into_run(file))
    }
}

fn unpack(file: &str, bytes: &[u8], bytes_max: u64) -> Result<Vec<u8>, ReportError> {
    let mut text = Vec::new();
    let read =
        flate2::read::MultiGzDecoder::new(bytes).take(bytes_max.saturating_add(1)).read_to_end(&mut text);
    match read {
        Err(why) => Err(ReportError::Gzip { file: file.to_owned(), why: why.to_string() }),
        Ok(_) if text.len() as u64 > bytes_max => {
            Err(ReportError::TooLarge { file: file.to_owned(), bytes: bytes_max })
        }
        Ok(_) => Ok(text),
    }
}

fn refused(file: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> ReportError {
    let (inner, path) = (error.inner(), error.path().to_string());
    let file = file.to_owned();
    if inner.is_eof() {
        return ReportError::Truncated { file, line: inner.line() };
    }
    let field = if path == "." { "the report".to_owned() } else { path };
    ReportError::Field { file, field, why: inner.to_string() }
}

impl Raw {
    fn into_run(self, file: &str) -> Run {
        let Self {
            label,
            start_time,
            end_time,
            avg_store_times,
            p99_store_times,
            avg_api_times,
            p99_api_times,
            api_calls,
            store_calls,
            graphs,
            supported_users,
        } = self;
        let (api, store) = (api_calls.unwrap_or_default(), store_calls.unwrap_or_default());
        let times = [
            (Kind::ApiAverage, avg_api_times, &api),
            (Kind::ApiP99, p99_api_times, &api),
            (Kind::StoreAverage, avg_store_times, &store),
            (Kind::StoreP99, p99_store_times, &store),
        ];
        let counted =
            |(kind, times, calls): (Kind, Option<BTreeMap<String, Figure>>, &BTreeMap<String, Figure>)| {
                let measured = |(name, Figure(value)): (String, Figure)| {
                    let calls =
                        calls.get(&name).map(|Figure(calls)| *calls).filter(|calls| calls.is_finite());
                    (name, Measured { value, calls, noise: None })
                };
                (kind, times.unwrap_or_default().into_iter().map(measured).collect())
            };
        let graph = |RawGraph { name, values }| {
            let values =
                values.unwrap_or_default().into_iter().map(|(at, Signed(value))| (at, value)).collect();
            Graph { name, values }
        };
        Run {
            label: label.filter(|label| !label.trim().is_empty()).unwrap_or_else(|| file.to_owned()),
            start: start_time,
            end: end_time,
            times: times.into_iter().map(counted).collect(),
            graphs: graphs.unwrap_or_default().into_iter().map(graph).collect(),
            supported_users: supported_users.map(|Figure(users)| users).filter(|users| users.is_finite()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const REPORT: &str = r#"{"Label": "v2", "StartTime": "2026-03-01T08:00:00Z", "EndTime": "2026-03-01T10:00:00.5+02:00",
        "AvgStoreTimes": {"PostStore.Save": "0.0109"}, "P99StoreTimes": null, "AvgAPITimes": {"createPost": "NaN", "login": 0.3},
        "P99APITimes": {"login": "+Inf"}, "APICalls": {"login": 12}, "Graphs": [{"Name": "RPS", "Values": [[1694671500, "59.7"], [1694671505.5, "NaN"]]}],
        "Colour": "blue"}"#;

    fn why(bytes: &[u8]) -> String {
        Run::parse("base.json", bytes).unwrap_err().to_string()
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_report_is_read_plain_and_packed() {
        let run = Run::parse("base.json", REPORT.as_bytes()).unwrap();
        assert_eq!((run.label.as_str(), run.graphs[0].values.len()), ("v2", 2));
        assert!(run.times[&Kind::ApiAverage]["createPost"].value.is_nan());
        assert_eq!(run.times[&Kind::ApiAverage]["login"].calls, Some(12.0));
        assert!(run.times[&Kind::ApiP99]["login"].value.is_infinite());
        assert_eq!(
            format!("{:?}", Run::parse("base.json", &packed(REPORT.as_bytes())).unwrap()),
            format!("{run:?}")
        );
        assert!(Run::parse("base.json", b"{}").unwrap().is_empty());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = packed(&vec![b' '; 10 << 20]);
        let why = Run::parse_within("bomb.gz", &bomb, 1 << 20).unwrap_err();
        assert_eq!(why, ReportError::TooLarge { file: "bomb.gz".into(), bytes: 1 << 20 });
    }

    #[test]
    fn what_is_wrong_is_said_with_file_field_and_value() {
        let said = [
            why(b""),
            why(b" \n"),
            why(&REPORT.as_bytes()[..200]),
            why(&packed(REPORT.as_bytes())[..90]),
            why(br#"{"AvgAPITimes": {"createPost": "fast"}}"#),
            why(br#"{"AvgAPITimes": {"createPost": "-1"}}"#),
            why(br#"{"Graphs": [{"Name": "RPS", "Values": [[1, "2"], [3]]}]}"#),
            why(br#"{"StartTime": "yesterday"}"#),
            why(b"[]"),
            why(b"{} {}"),
            why(b"<html>"),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }
}
