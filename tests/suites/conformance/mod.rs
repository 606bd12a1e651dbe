//! The rehearsal's API server beside the real one: random sequences of requests have the same codes, objects, lists
//! and watch events on both. A difference prints the sequence's number, which is all that it takes to see it again.

mod asks;
mod normal;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use breakwater_rehearsal::apiserver as memory;
use breakwater_tests::bed::background;
use breakwater_tests::bed::controlplane::{ADMIN, ControlPlane};
use breakwater_tests::bed::folder::Folder;
use futures::StreamExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use self::{
    asks::{Age, Ask, KINDS},
    normal::normal,
};

/// How many sequences are run.
const SEQUENCES: u64 = 240;
/// Requests of each.
const REQUESTS: usize = 24;
/// How many run at once.
const AT_ONCE: usize = 12;

/// A kind whose schema has what ours have: defaults, bounds, list keys, a rule, a status.
fn widgets() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.conformance.example"},
        "spec": {
            "group": "conformance.example", "scope": "Namespaced",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.seen"}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "properties": {
                                "size": {"type": "integer", "minimum": 0, "maximum": 9},
                                "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                                "note": {"type": "string", "maxLength": 5, "nullable": true},
                                "parts": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
                            },
                            "x-kubernetes-validations": [
                                {"rule": "!has(self.size) || self.size != 7", "message": "seven is taken"},
                            ],
                        },
                        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "seen": {"type": "integer"}}},
                    },
                }},
            }],
        },
    })
}

/// One of the two servers, as a sequence sees it.
struct Side {
    client: Client,
    /// Versions of each object that this sequence has seen, oldest first.
    seen: BTreeMap<String, Vec<String>>,
    /// The version of the first list.
    first: String,
}

#[tokio::test]
async fn the_rehearsals_api_server_behaves_as_the_real_one() -> Result<()> {
    let folder = Folder::new()?;
    let path = folder.to_path_buf();
    let plane = background::run(move || async move {
        breakwater_tests::install_crypto();
        let plane = ControlPlane::start(&path, &[]).await?;
        // What reacts to objects is not compared.
        plane.controllers().kill();
        plane.kwok().kill();
        Ok(plane)
    })
    .await?;
    let real = plane.api().client(ADMIN).await?;
    let server = memory::ApiServer::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    server.define(&widgets()).map_err(anyhow::Error::msg)?;
    let ours = server.client(ADMIN);
    define(&real).await?;
    let only = std::env::var("BREAKWATER_SEQUENCE").ok().and_then(|one| one.parse::<u64>().ok());
    let numbers = only.map_or(0..SEQUENCES, |one| one..one + 1);
    let mut requests = 0;
    let mut differences = Vec::new();
    let mut runs =
        futures::stream::iter(numbers.map(|number| sequence(number, real.clone(), ours.clone(), &server)))
            .buffer_unordered(AT_ONCE);
    while let Some(ran) = runs.next().await {
        match ran? {
            Ok(count) => requests += count,
            Err(difference) => differences.push(difference),
        }
    }
    println!(
        "conformance: {requests} requests in the sequences that agree, {} sequences differ",
        differences.len()
    );
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(only.is_some() || requests > 4_000, "only {requests} requests were compared");
    Ok(())
}

/// Defines the widgets and waits until they are served.
async fn define(real: &Client) -> Result<()> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request =
        Request::post(path).header("content-type", "application/json").body(Body::from(bytes(&widgets())))?;
    real.send(request).await?;
    breakwater_tests::eventually("widgets are served", std::time::Duration::from_secs(30), async || {
        let request = Request::get("/apis/conformance.example/v1/widgets").body(Body::empty())?;
        ensure!(real.send(request).await?.status().is_success(), "not yet");
        Ok(())
    })
    .await
}

/// Runs one sequence in a namespace of its own on both; the error says where they differ.
async fn sequence(
    number: u64,
    real: Client,
    ours: Client,
    server: &memory::ApiServer,
) -> Result<Result<usize, String>> {
    let namespace = format!("conformance-{number}");
    let create = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let request = Request::post("/api/v1/namespaces").header("content-type", "application/json");
    real.send(request.body(Body::from(bytes(&create)))?).await.context("a namespace")?;
    server.namespace(&namespace, &[]);
    let mut sides = [real, ours].map(|client| Side { client, seen: BTreeMap::new(), first: String::new() });
    let mut random = fastrand::Rng::with_seed(number);
    let kind = KINDS[usize::try_from(number)? % KINDS.len()];
    for side in &mut sides {
        let list = side.request("GET", &kind.path(&namespace), "", "", &Value::Null).await?.1;
        list["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut side.first);
    }
    let mut asks: Vec<Ask> = (0..REQUESTS).map(|_| kind.ask(&namespace, &mut random)).collect();
    asks.extend(kind.sizes(&namespace, &mut random));
    for (turn, ask) in asks.iter().enumerate() {
        let [real, ours] = &mut sides;
        let (theirs, own) = (real.perform(ask).await?, ours.perform(ask).await?);
        if theirs != own {
            return Ok(Err(format!(
                "sequence {number}, request {turn}: {ask:?}\n   real: {theirs}\n   ours: {own}\n   again: BREAKWATER_SEQUENCE={number} cargo test -p breakwater-tests --test suites conformance"
            )));
        }
    }
    let [real, ours] = &sides;
    let path = kind.path(&namespace);
    let (theirs, own) = tokio::join!(real.events(&path), ours.events(&path));
    let (theirs, own) = (theirs?, own?);
    if theirs != own {
        let first = theirs.iter().zip(&own).position(|(a, b)| a != b).unwrap_or(theirs.len().min(own.len()));
        return Ok(Err(format!(
            "sequence {number}, events differ from {first} on (of {} and {}):\n   real: {:?}\n   ours: {:?}",
            theirs.len(),
            own.len(),
            theirs.get(first),
            own.get(first)
        )));
    }
    Ok(Ok(asks.len() + theirs.len()))
}

impl Side {
    /// Performs a request; what it did, without what two servers need not agree on.
    async fn perform(&mut self, ask: &Ask) -> Result<Value> {
        let object = ask.path.trim_end_matches("/status").trim_end_matches("/scale").to_owned();
        let seen = self.seen.get(&object).cloned().unwrap_or_default();
        let version = |age: Age| match age {
            Age::Latest => seen.last().cloned().unwrap_or_default(),
            Age::Old => seen.first().cloned().unwrap_or_default(),
        };
        let mut body = ask.body.clone();
        if ask.whole {
            let (code, mut now) = self.request("GET", &ask.path, "", "", &Value::Null).await?;
            if code != 200 {
                return Ok(json!({"code": code}));
            }
            merge(&mut now, &body);
            if let Some(metadata) = now["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
            }
            body = now;
        }
        if let Some(version) = ask.version.map(version).filter(|version| !version.is_empty()) {
            body["metadata"]["resourceVersion"] = version.into();
        }
        if let Some((field, age)) = ask.precondition {
            let value = match field {
                "uid" if age == Age::Latest => self.uid(&ask.path).await?,
                "uid" => "00000000-0000-0000-0000-000000000000".into(),
                _ => version(age),
            };
            if !value.is_empty() {
                body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {field: value}});
            }
        }
        let (code, answer) = self.request(ask.method, &ask.path, &ask.query, ask.media, &body).await?;
        if let (Some(name), Some(version)) =
            (answer["metadata"]["name"].as_str(), answer["metadata"]["resourceVersion"].as_str())
        {
            let key = if ask.method == "POST" { format!("{}/{name}", ask.path) } else { object };
            self.seen.entry(key).or_default().push(version.to_owned());
        }
        let mut pages = vec![normal(&answer)];
        let mut token = answer["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        while !token.is_empty() {
            let query = format!("{}&continue={token}", ask.query);
            let (code, page) = self.request(ask.method, &ask.path, &query, "", &Value::Null).await?;
            pages.push(json!([code, normal(&page)]));
            page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut token);
        }
        Ok(json!({"code": code, "answer": pages}))
    }

    async fn uid(&self, path: &str) -> Result<String> {
        let (_, object) = self.request("GET", path, "", "", &Value::Null).await?;
        Ok(object["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        query: &str,
        media: &str,
        body: &Value,
    ) -> Result<(u16, Value)> {
        let body = if body.is_null() { Body::empty() } else { Body::from(bytes(body)) };
        let mut request = Request::builder().method(method).uri(format!("{path}?{query}"));
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        let answer = self.client.send(request.body(body)?).await?;
        let code = answer.status().as_u16();
        let text = answer.into_body().collect_bytes().await?;
        Ok((code, serde_json::from_slice(&text).unwrap_or(Value::Null)))
    }

    /// Everything that a watch from before the first request tells within a second.
    async fn events(&self, path: &str) -> Result<Vec<Value>> {
        let query = format!("watch=true&timeoutSeconds=1&resourceVersion={}", self.first);
        let request = Request::get(format!("{path}?{query}")).body(Body::empty())?;
        let text = self.client.send(request).await?.into_body().collect_bytes().await?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let event = |line| {
            let event: Value = serde_json::from_slice(line)?;
            Ok(json!([event["type"], normal(&event["object"])]))
        };
        lines.map(event).collect()
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn merge(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}
