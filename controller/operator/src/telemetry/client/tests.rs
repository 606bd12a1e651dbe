use std::time::Instant;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::telemetry::Rows;

/// A server that answers every request with these bytes and closes, or never answers (`None`); it gives back the
/// last request.
async fn stub(reply: Option<Vec<u8>>) -> (Settings, tokio::sync::watch::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = tokio::sync::watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0_u8; 16 << 10];
            let mut length = 0;
            // Headers and the form may come in two packets.
            while let Ok(Ok(read)) =
                tokio::time::timeout(Duration::from_millis(50), stream.read(&mut request[length..])).await
            {
                length += read;
                if read == 0 {
                    break;
                }
            }
            let _ = seen.send(String::from_utf8_lossy(&request[..length]).into_owned());
            match &reply {
                Some(reply) => drop(stream.write_all(reply).await),
                None => std::future::pending().await,
            }
        }
    });
    (Settings { timeout: Duration::from_secs(5), ..Settings::new(url) }, requests)
}

fn http(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

async fn ask(settings: &Settings) -> Result<Rows, ReadError> {
    let mut rows = Rows::default();
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    Prometheus::new(settings).unwrap().query("up", at, &mut rows).await.map(|()| rows)
}

const GOOD: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"1"]}]}}"#;

#[tokio::test]
async fn r12_every_way_to_answer_badly_is_an_error_that_names_the_host() {
    let json = "application/json";
    let cut = {
        let mut whole = http("200 OK", json, GOOD);
        whole.truncate(whole.len() - 20);
        whole
    };
    for (reply, says) in [
        (
            http("200 OK", "text/html", "<html>please log in</html>"),
            "not an answer of Prometheus: it is no JSON",
        ),
        (
            http("302 Found\r\nlocation: http://127.0.0.1:1/login", "text/html", ""),
            "HTTP 302: it leads to 127.0.0.1",
        ),
        (
            http(
                "422 Unprocessable",
                json,
                r#"{"status":"error","errorType":"execution","error":"too many samples"}"#,
            ),
            "HTTP 422: execution: too many samples",
        ),
        (http("503 Unavailable", "text/plain", "no healthy upstream"), "HTTP 503"),
        (http("401 Unauthorized", "text/plain", "Unauthorized"), "HTTP 401"),
        (
            http("200 OK", json, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
            "HTTP 200: timeout: query timed out",
        ),
        (
            http(
                "200 OK",
                json,
                r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["store unreachable"]}"#,
            ),
            "warning: store unreachable",
        ),
        (
            http(
                "200 OK",
                json,
                r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#,
            ),
            "warning: the answer is partial",
        ),
        (
            http("302 Found\r\nlocation: https://login.example/?from=secret", "text/html", ""),
            "HTTP 302: it leads to login.example",
        ),
        (http("200 OK", json, &GOOD[..60]), "cut off"),
        (cut, "no answer"),
        (b"nonsense\r\n\r\n".to_vec(), "no answer"),
        (Vec::new(), "no answer"),
    ] {
        let (settings, _) = stub(Some(reply)).await;
        let error = ask(&settings).await.unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(error.starts_with("127.0.0.1:"), "{error}");
        let foreign = ["log in", "healthy", "Unauthorized"];
        assert!(
            !foreign.iter().any(|words| error.contains(words)),
            "s2: a foreign body is repeated: {error}"
        );
    }
}

#[tokio::test]
async fn r12_a_silent_prometheus_is_given_up_in_time_and_a_closed_port_at_once() {
    let (settings, _) = stub(None).await;
    let settings = Settings { timeout: Duration::from_millis(300), ..settings };
    let began = Instant::now();
    assert!(matches!(ask(&settings).await, Err(ReadError::TimedOut { .. })));
    assert!(began.elapsed() < Duration::from_secs(3));
    let closed = ask(&Settings::new("http://127.0.0.1:1")).await;
    assert!(matches!(closed, Err(ReadError::Unreachable { .. })), "{closed:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_announced_or_not() {
    let body = format!("{}{GOOD}", " ".repeat(3 << 20));
    let unannounced = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}").into_bytes();
    for reply in [http("200 OK", "application/json", &body), unannounced] {
        let (settings, _) = stub(Some(reply.clone())).await;
        let small = Settings { body_max: 2 << 20, ..settings };
        assert!(matches!(ask(&small).await, Err(ReadError::TooLarge { mebibytes: 2, .. })));
        let (settings, _) = stub(Some(reply)).await;
        assert_eq!(ask(&settings).await.unwrap().0.len(), 1);
    }
}

#[tokio::test]
async fn the_request_declines_partial_answers_and_carries_the_secrets() {
    for (flavor, parameter) in [
        (Flavor::Prometheus, ""),
        (Flavor::Mimir, ""),
        (Flavor::Thanos, "partial_response=false"),
        (Flavor::VictoriaMetrics, "deny_partial_response=1"),
    ] {
        let (settings, requests) = stub(Some(http("200 OK", "application/json", GOOD))).await;
        let settings = Settings {
            flavor,
            bearer: Some(Secret::new("s3cret\n")),
            headers: vec![("X-Scope-OrgID".to_owned(), Secret::new("team"))],
            ..settings
        };
        ask(&settings).await.unwrap();
        let request = requests.borrow().clone();
        for part in [
            "POST /api/v1/query ",
            "authorization: Bearer s3cret\r\n",
            "x-scope-orgid: team\r\n",
            "query=up",
            "time=1700000000",
            "timeout=5000ms",
            parameter,
        ] {
            assert!(request.contains(part), "{part} in {request}");
        }
        let (client, grid) =
            (Prometheus::new(&settings).unwrap(), Grid { first: 600, step_seconds: 60, steps: 5 });
        let mut rows = Rows::default();
        let vector = client.query_range("up", grid, &mut rows).await.unwrap_err().to_string();
        assert!(vector.contains("no matrix but \"vector\""), "{vector}");
        let request = requests.borrow().clone();
        for part in [
            "POST /api/v1/query_range ",
            "x-scope-orgid: team\r\n",
            "query=up&start=600&end=840&step=60&timeout=5000",
            parameter,
        ] {
            assert!(request.contains(part), "{part} in {request}");
        }
        let shown = format!("{settings:?} {:?}", Prometheus::new(&settings).unwrap());
        assert!(!shown.contains("s3cret") && !shown.contains("team"), "{shown}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_without_showing_secrets() {
    for settings in [
        Settings::new("nonsense"),
        Settings::new("ftp://host"),
        Settings::new("http://user:pass@host"),
        Settings { ca_pem: Some(b"nonsense".to_vec()), ..Settings::new("https://host") },
        Settings { bearer: Some(Secret::new("se\u{0}cret")), ..Settings::new("http://host") },
        Settings {
            headers: vec![("bad name".to_owned(), Secret::new("secret"))],
            ..Settings::new("http://host")
        },
        Settings {
            headers: vec![("x".to_owned(), Secret::new("secret")); 40],
            ..Settings::new("http://host")
        },
    ] {
        let error = Prometheus::new(&settings).map(|_| ()).unwrap_err();
        assert!(matches!(error, ReadError::Settings(_)), "{error}");
        assert!(!error.to_string().contains("cret") && !error.to_string().contains("pass"), "{error}");
    }
}
