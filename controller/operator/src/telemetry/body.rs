//! The body of an answer, read as it comes in: each series is cut out and poured into the sink, and dropped; what is
//! around them is small and read at the end. Pure.

use super::{
    ReadError,
    parse::{self, Envelope, Fault, Held, shown},
    sink::{Labels, Sink},
};

/// Most bytes around the series, blanks not counted: status, warnings, statistics.
const AROUND_MAX: usize = 1 << 20;
/// Most bytes of one series: eleven thousand samples, the most that Prometheus gives, are half a megabyte.
const SERIES_MAX: usize = 4 << 20;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One instant: a vector or a scalar.
    Instant,
    /// A range: a matrix.
    Range,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// All of it is in the sink, and good.
    Done,
    /// An answer with a warning: the first one.
    Warning(String),
    /// `status: error`: Prometheus's kind and words.
    Error(String),
    /// Not what the API promises: why.
    Malformed(String),
}

impl Answer {
    /// The error that it is, if it is one.
    pub fn into_result(self, host: &str, status: u16) -> Result<(), ReadError> {
        let host = host.to_owned();
        match self {
            Self::Done => Ok(()),
            Self::Warning(why) => Err(ReadError::Warning { host, why }),
            Self::Error(why) => Err(ReadError::Status { host, status, why }),
            Self::Malformed(why) => Err(ReadError::Malformed { host, why }),
        }
    }
}

/// Where in a body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside the list of series.
    Around,
    /// Before the first item of `result`.
    First,
    /// In a series.
    Series,
    /// After a series.
    After,
    /// After the comma after a series.
    Next,
}

/// Reads one body.
#[derive(Debug)]
pub struct Reader {
    wanted: Wanted,
    place: Place,
    /// Open brackets: of what is around, or of the series.
    depth: usize,
    in_string: bool,
    escaped: bool,
    in_data: bool,
    /// What is around the series.
    around: Vec<u8>,
    /// The series that is not whole yet.
    series: Vec<u8>,
    held: Option<Held>,
    mixed: bool,
    bytes: usize,
}

impl Reader {
    /// For the answer to one question.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            place: Place::Around,
            depth: 0,
            in_string: false,
            escaped: false,
            in_data: false,
            around: Vec::new(),
            series: Vec::new(),
            held: None,
            mixed: false,
            bytes: 0,
        }
    }

    /// Takes the next bytes. The error says why the body is malformed; nothing more need be read then.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut dyn Sink) -> Result<(), String> {
        self.bytes += chunk.len();
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.place {
                Place::Around => self.around(rest)?,
                Place::Series => self.series(rest, sink)?,
                Place::First | Place::After | Place::Next => self.between(rest[0])?,
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// The body is at its end: what it was.
    pub fn end(self, sink: &mut dyn Sink) -> Answer {
        if self.place != Place::Around {
            return Answer::Malformed(self.fault(Fault::Cut));
        }
        match parse::envelope(&self.around) {
            Ok(Envelope::Warning(why)) => Answer::Warning(why),
            Ok(Envelope::Error(why)) => Answer::Error(why),
            Ok(Envelope::List(kind)) => self.list(&kind),
            Ok(Envelope::Scalar { at, value }) if self.wanted == Wanted::Instant => {
                match sink.series(Labels::NONE) {
                    Ok(()) => {
                        sink.sample(at, value);
                        Answer::Done
                    }
                    Err(why) => Answer::Malformed(why),
                }
            }
            Ok(Envelope::Scalar { .. }) => Answer::Malformed("its result is no matrix but \"scalar\"".into()),
            Err(fault) => Answer::Malformed(self.fault(fault)),
        }
    }

    fn list(&self, kind: &str) -> Answer {
        let (wanted, held) = match self.wanted {
            Wanted::Instant => ("vector", Held::Sample),
            Wanted::Range => ("matrix", Held::Samples),
        };
        if kind != wanted {
            return Answer::Malformed(format!("its result is no {wanted} but {:?}", shown(kind)));
        }
        if self.mixed || self.held.is_some_and(|found| found != held) {
            return Answer::Malformed("a sample has no value".to_owned());
        }
        Answer::Done
    }

    fn fault(&self, fault: Fault) -> String {
        match fault {
            Fault::Shape(why) => why,
            Fault::Cut => format!("it is cut off after {} bytes", self.bytes),
            Fault::NotJson => "it is no JSON".to_owned(),
        }
    }

    /// Keeps what is around the series, until their list begins.
    fn around(&mut self, bytes: &[u8]) -> Result<usize, String> {
        for (at, byte) in bytes.iter().copied().enumerate() {
            let in_string = self.in_string;
            if !self.quoted(byte) {
                match byte {
                    b'{' | b'[' => {
                        if byte == b'[' && self.depth == 2 && self.in_data && self.is_value_of(b"\"result\"")
                        {
                            self.around.push(byte);
                            self.place = Place::First;
                            return Ok(at + 1);
                        }
                        self.in_data |= self.depth == 1 && self.is_value_of(b"\"data\"");
                        self.depth += 1;
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        self.in_data &= self.depth > 1;
                    }
                    _ => {}
                }
            }
            // One blank stands for many.
            if !in_string && byte.is_ascii_whitespace() {
                if self.around.last() != Some(&b' ') {
                    self.around.push(b' ');
                }
                continue;
            }
            self.around.push(byte);
            if self.around.len() > AROUND_MAX {
                let not_json = self.around.iter().find(|byte| **byte != b' ') != Some(&b'{');
                return Err(if not_json {
                    self.fault(Fault::NotJson)
                } else {
                    format!("it has more than {} MiB beside its series", AROUND_MAX >> 20)
                });
            }
        }
        Ok(bytes.len())
    }

    /// Whether the byte is in a string, its quotes included.
    fn quoted(&mut self, byte: u8) -> bool {
        if !self.in_string {
            self.in_string = byte == b'"';
            return self.in_string;
        }
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
        true
    }

    /// Whether what comes next is the value of this key.
    fn is_value_of(&self, key: &[u8]) -> bool {
        let before = self.around.trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        let before = before.and_then(|before| before.strip_suffix(key));
        before.is_some_and(|before| before.last() != Some(&b'\\'))
    }

    /// A byte of the list that is in no series.
    fn between(&mut self, byte: u8) -> Result<usize, String> {
        match (self.place, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Place::First | Place::Next, b'{') => {
                (self.place, self.depth) = (Place::Series, 0);
                return Ok(0);
            }
            (Place::First | Place::After, b']') => {
                self.around.push(byte);
                (self.place, self.depth) = (Place::Around, 2);
            }
            (Place::After, b',') => self.place = Place::Next,
            (Place::Next, _) => return Err("a vector holds what is no sample".to_owned()),
            (Place::After, _) => return Err(self.fault(Fault::NotJson)),
            // No list of series: a scalar, or nothing that is known.
            (Place::First | Place::Around | Place::Series, _) => {
                (self.place, self.depth) = (Place::Around, 3);
                return Ok(0);
            }
        }
        Ok(1)
    }

    /// Reads the series that begins here or goes on here, if it is whole.
    fn series(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<usize, String> {
        let end = self.end_of_series(bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.series.len() + part.len() > SERIES_MAX {
            return Err(format!("a series has more than {} MiB", SERIES_MAX >> 20));
        }
        if end.is_none() || !self.series.is_empty() {
            self.series.extend_from_slice(part);
        }
        if end.is_some() {
            let whole = if self.series.is_empty() { part } else { &self.series };
            let held = parse::series(whole, sink).map_err(|fault| self.fault(fault))?;
            self.series.clear();
            self.mixed |= self.held.is_some_and(|before| before != held);
            self.held = Some(held);
            self.place = Place::After;
        }
        Ok(part.len())
    }

    /// Where the series ends, if it ends in these bytes.
    fn end_of_series(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().copied().enumerate() {
            if self.quoted(byte) {
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
