use proptest::prelude::*;

use super::*;
use crate::telemetry::Rows;

const GOOD: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"tenant":"a","breakwater":"total"},"value":[1700000000,"12"]},
    {"metric":{},"value":[1700000000.5,"+Inf"]}],"analysis":{}},"infos":["x"],"warnings":[]}"#;
const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"tenant":"a\"]}"},"values":[[1700000000,"12"],[1700000060,"NaN"]]},{"metric":{},"values":[]}]}}"#;

/// Reads a body that comes in pieces of so many bytes.
fn read(wanted: Wanted, body: &[u8], piece: usize) -> (Answer, Rows) {
    let (mut reader, mut rows) = (Reader::new(wanted), Rows::default());
    for chunk in body.chunks(piece.max(1)) {
        if let Err(why) = reader.feed(chunk, &mut rows) {
            return (Answer::Malformed(why), rows);
        }
    }
    (reader.end(&mut rows), rows)
}

fn answer(body: &str) -> Answer {
    let whole = read(Wanted::Instant, body.as_bytes(), usize::MAX);
    for piece in [1, 3, 17] {
        let in_pieces = read(Wanted::Instant, body.as_bytes(), piece);
        // How much of the body an error shows depends on how much had come.
        let kind = |answer: &Answer| std::mem::discriminant(answer);
        assert_eq!(kind(&in_pieces.0), kind(&whole.0), "{body} in pieces of {piece}");
    }
    whole.0
}

fn malformed(body: &str) -> String {
    match answer(body) {
        Answer::Malformed(why) => why,
        other => panic!("{other:?} of {body}"),
    }
}

#[test]
fn vectors_and_scalars_are_rows_with_their_exact_values() {
    for piece in [1, 2, 7, 64, usize::MAX] {
        let (answer, rows) = read(Wanted::Instant, GOOD.as_bytes(), piece);
        assert_eq!(answer, Answer::Done);
        assert_eq!((rows.0.len(), rows.0[0].label("tenant"), rows.0[0].label("none")), (2, "a", ""));
        assert_eq!((rows.0[0].value, rows.0[0].at), (12.0, 1_700_000_000.0));
        assert_eq!((rows.0[1].value, rows.0[1].at), (f64::INFINITY, 1_700_000_000.5));
    }
    let scalar = r#"{"data":{"result":[1700000000,"NaN"],"resultType":"scalar"},"status":"success"}"#;
    let (answer, rows) = read(Wanted::Instant, scalar.as_bytes(), 5);
    assert_eq!((answer, rows.0.len()), (Answer::Done, 1));
    assert!(rows.0[0].value.is_nan() && rows.0[0].labels.is_empty());
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(read(Wanted::Instant, empty.as_bytes(), 9), (Answer::Done, Rows::default()));
}

#[test]
fn the_order_of_fields_and_blanks_mean_nothing() {
    let body = r#" { "warnings" : null , "data" : { "result" : [ { "value" : [ 1 , "2" ] , "metric" : { "a" : "b" } } , { "value" : [ 1 , "3" ] } ] ,
        "resultType" : "vector" } , "status" : "success" } "#;
    let (answer, rows) = read(Wanted::Instant, body.as_bytes(), 4);
    assert_eq!((answer, rows.0.len(), rows.0[0].label("a"), rows.0[1].value), (Answer::Done, 2, "b", 3.0));
    // What looks like the list and is none.
    let body = r#"{"status":"success","x\"data":{"result":[1]},"data":{"stats":{"result":[{"a":1}]},"resultType":"vector","result":[]}}"#;
    assert_eq!(read(Wanted::Instant, body.as_bytes(), 4), (Answer::Done, Rows::default()));
}

#[test]
fn a_range_is_a_matrix_whose_series_are_poured_sample_by_sample() {
    #[derive(Default)]
    struct Log(Vec<String>);
    impl Sink for Log {
        fn series(&mut self, labels: Labels<'_>) -> Result<(), String> {
            self.0.push(labels.as_str().to_owned());
            Ok(())
        }
        fn sample(&mut self, at: f64, value: f64) {
            self.0.push(format!("{at} {value}"));
        }
    }
    for piece in [1, 10, usize::MAX] {
        let (mut reader, mut log) = (Reader::new(Wanted::Range), Log::default());
        MATRIX.as_bytes().chunks(piece).for_each(|chunk| reader.feed(chunk, &mut log).unwrap());
        assert_eq!(reader.end(&mut log), Answer::Done);
        assert_eq!(log.0, [r#"{"tenant":"a\"]}"}"#, "1700000000 12", "1700000060 NaN", "{}"]);
    }
    for body in [GOOD, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#] {
        let (answer, _) = read(Wanted::Range, body.as_bytes(), 11);
        assert!(matches!(&answer, Answer::Malformed(why) if why.contains("no matrix")), "{answer:?}");
    }
    let of_vector = MATRIX.replace("\"matrix\"", "\"vector\"");
    assert!(malformed(&of_vector).contains("no value"));
}

#[test]
fn r12_a_warning_spoils_the_answer_even_after_its_rows() {
    let body = GOOD.replace("\"warnings\":[]", "\"warnings\":[\"partial response\"]");
    assert_eq!(answer(&body), Answer::Warning("partial response".into()));
}

#[test]
fn r12_every_way_to_lie_is_named() {
    let data = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
    assert!(malformed("<html>login</html>").ends_with("no JSON"));
    assert!(malformed(&GOOD[..150]).contains("cut off after 150 bytes"));
    assert!(malformed(&GOOD[..200]).contains("cut off after 200 bytes"));
    assert!(malformed("").contains("cut off"));
    assert!(malformed("{}").contains("status"));
    assert!(malformed(r#"{"status":"success"}"#).contains("no data"));
    malformed("[]");
    for (result, why) in [
        (r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"]]}]}"#, "\"matrix\""),
        (r#"{"resultType":"matrix","result":[]}"#, "\"matrix\""),
        (r#"{"resultType":"string","result":[1,"x"]}"#, "\"x\" is no number"),
        (r#"{"resultType":"vector","result":[1,"1"]}"#, "\"vector\""),
        (r#"{"resultType":"vector","result":["1"]}"#, "\"vector\""),
        (r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}"#, "native histogram"),
        (r#"{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]}"#, "native histogram"),
        (r#"{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}"#, "number in quotes"),
        (r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]},3]}"#, "no sample"),
        (r#"{"resultType":"vector","result":[{"metric":{}}]}"#, "no value"),
        (r#"{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}"#, "string"),
        (r#"{"resultType":"vector","result":[{"metric":[],"value":[1,"2"]}]}"#, "labels"),
        (r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}{}]}"#, "no JSON"),
        (r#"{"resultType":"vector","result":null}"#, "list of samples"),
        (r#"{"resultType":"vector"}"#, "result"),
    ] {
        let said = malformed(&data(result));
        assert!(said.contains(why), "{result}: {said}");
    }
    let error = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
    assert_eq!(answer(error), Answer::Error("execution: too many samples".into()));
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "x".repeat(AROUND_MAX);
    let (answer, _) = read(Wanted::Instant, format!("{{\"a\":\"{long}\"}}").as_bytes(), 1 << 16);
    assert_eq!(answer, Answer::Malformed("it has more than 1 MiB beside its series".into()));
    let (answer, _) = read(Wanted::Instant, format!("<p>{long}").as_bytes(), 1 << 16);
    assert!(matches!(&answer, Answer::Malformed(why) if why == "it is no JSON"), "{answer:?}");
    let long = "x".repeat(SERIES_MAX);
    let body = format!(r#"{{"data":{{"result":[{{"metric":{{"a":"{long}"}}}}]}}}}"#);
    let (answer, _) = read(Wanted::Instant, body.as_bytes(), 1 << 16);
    assert_eq!(answer, Answer::Malformed("a series has more than 4 MiB".into()));
}

proptest! {
    #[test]
    fn no_body_panics_and_pieces_change_nothing(
        body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..400_usize, flip in 0..400_usize,
        piece in 1..60_usize, range in any::<bool>(),
    ) {
        let wanted = if range { Wanted::Range } else { Wanted::Instant };
        let _ = read(wanted, &body, piece);
        let mut good = if range { MATRIX } else { GOOD }.as_bytes().to_vec();
        let flip = flip % good.len();
        good[flip] ^= 0x15;
        let cut = cut % good.len();
        let _ = read(wanted, &good[..cut], piece);
        let (whole, pieces) = (read(wanted, &good, usize::MAX).0, read(wanted, &good, piece).0);
        prop_assert_eq!(whole == Answer::Done, pieces == Answer::Done);
    }
}
