//! Random requests, half of them such as a server must refuse.

use serde_json::{Value, json};

/// What a request is, before a side fills in its versions and UIDs.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub media: &'static str,
    pub body: Value,
    /// Put the side's own resourceVersion into the body: the latest, or an older one.
    pub version: Option<Age>,
    /// What is sent is the object as it is, with the body merged over it.
    pub whole: bool,
    /// Preconditions of a deletion.
    pub precondition: Option<(&'static str, Age)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    Latest,
    Old,
}

/// Queries of lists.
const LISTS: [&str; 5] = [
    "limit=1",
    "labelSelector=l%3Dx",
    "labelSelector=l%21%3Dx",
    "fieldSelector=metadata.name%3Da",
    "labelSelector=l%20in%20(x%2Cy)",
];

/// A kind whose objects are played with.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    api_version: &'static str,
    name: &'static str,
    plural: &'static str,
    status: bool,
}

pub const KINDS: [Kind; 4] = [
    Kind { api_version: "conformance.example/v1", name: "Widget", plural: "widgets", status: true },
    Kind { api_version: "v1", name: "ConfigMap", plural: "configmaps", status: false },
    Kind { api_version: "apps/v1", name: "Deployment", plural: "deployments", status: true },
    Kind { api_version: "coordination.k8s.io/v1", name: "Lease", plural: "leases", status: false },
];

impl Kind {
    pub fn path(self, namespace: &str) -> String {
        let root = if self.api_version == "v1" { "/api" } else { "/apis" };
        format!("{root}/{}/namespaces/{namespace}/{}", self.api_version, self.plural)
    }

    /// A request that may make sense, or not.
    pub fn ask(self, namespace: &str, random: &mut fastrand::Rng) -> Ask {
        let name = ["a", "b"][random.usize(..2)];
        let all = self.path(namespace);
        let plain = plain(format!("{all}/{name}"), random);
        match random.usize(..20) {
            0..=3 => Ask { path: all, ..self.create(plain, name, random) },
            4..=8 => self.write(plain, random),
            9..=10 => Ask {
                method: "PATCH",
                media: "application/json-patch+json",
                body: self.steps(random),
                ..plain
            },
            11..=13 => self.apply(plain, name, random),
            14..=15 if self.status => self.tell(plain, random),
            14..=16 => {
                let body = json!({"metadata": {"finalizers": null}});
                Ask { method: "PATCH", media: "application/merge-patch+json", body, ..plain }
            }
            17 => {
                let age = [Age::Latest, Age::Old][random.usize(..2)];
                let precondition =
                    [None, Some(("uid", age)), Some(("resourceVersion", age))][random.usize(..3)];
                Ask { method: "DELETE", query: String::new(), precondition, ..plain }
            }
            18 => Ask { path: all, query: LISTS[random.usize(..LISTS.len())].into(), ..plain },
            _ => Ask { query: String::new(), ..plain },
        }
    }

    /// The size of an object: seen, set to what it was not or may not be, and the whole object seen. Asked at the end,
    /// for the real server's owners of a size that is set to what it was follow rules of their own.
    pub fn sizes(self, namespace: &str, random: &mut fastrand::Rng) -> Vec<Ask> {
        if !self.status {
            return Vec::new();
        }
        let one = format!("{}/{}", self.path(namespace), ["a", "b"][random.usize(..2)]);
        let see = plain(format!("{one}/scale"), random);
        let size = [-1, 5, 7, 8, 12][random.usize(..5)];
        let body = json!({"spec": {"replicas": size}});
        let version = version(random);
        let set =
            Ask { method: "PATCH", media: "application/merge-patch+json", body, version, ..see.clone() };
        let whole = Ask { path: one, ..see.clone() };
        vec![see, set, whole]
    }

    fn create(self, plain: Ask, name: &str, random: &mut fastrand::Rng) -> Ask {
        let mut body = self.object(name, random);
        body["spec"] = self.spec(random, true);
        if random.u8(..4) == 0 {
            body["metadata"]["finalizers"] = json!(["conformance.example/keep"]);
        }
        if random.u8(..4) == 0 && self.status {
            body["status"] = json!({"phase": "Early"});
        }
        Ask { method: "POST", body: self.fit(body), ..plain }
    }

    /// An update or a merge patch, with a version or without.
    fn write(self, plain: Ask, random: &mut fastrand::Rng) -> Ask {
        let version = version(random);
        if random.u8(..5) < 2 {
            let body = json!({"spec": self.spec(random, false), "metadata": {"labels": labels(random)}});
            return Ask { method: "PUT", body: self.fit(body), version, whole: true, ..plain };
        }
        let body = json!({"spec": self.spec(random, false), "metadata": metadata(random)});
        Ask { method: "PATCH", media: "application/merge-patch+json", body: self.fit(body), version, ..plain }
    }

    fn apply(self, plain: Ask, name: &str, random: &mut fastrand::Rng) -> Ask {
        let mut body = self.object(name, random);
        body["spec"] = self.spec(random, self.name == "Deployment");
        let query = format!("{}{}", plain.query, if random.bool() { "&force=true" } else { "" });
        Ask { method: "PATCH", query, media: "application/apply-patch+yaml", body: self.fit(body), ..plain }
    }

    fn tell(self, plain: Ask, random: &mut fastrand::Rng) -> Ask {
        let body = json!({"status": self.told(random), "metadata": {"labels": labels(random)}});
        let (path, version) = (format!("{}/status", plain.path), version(random));
        Ask { method: "PATCH", path, media: "application/merge-patch+json", body, version, ..plain }
    }

    fn object(self, name: &str, random: &mut fastrand::Rng) -> Value {
        json!({"apiVersion": self.api_version, "kind": self.name, "metadata": {"name": name, "labels": labels(random)}})
    }

    /// What the kind's objects hold, now and then what they may not.
    fn spec(self, random: &mut fastrand::Rng, whole: bool) -> Value {
        let small = random.u8(..4);
        match self.name {
            "Widget" => match random.u8(..10) {
                0 => json!({"size": 7}),
                1 => json!({"size": "two"}),
                2 => json!({"colour": "green"}),
                3 => json!({"note": "longer than five"}),
                4 => json!({"parts": ["a", "b"], "unknown": true}),
                5 => json!({"note": null, "colour": null}),
                _ => json!({"size": small, "note": "n"}),
            },
            "Deployment" => {
                // Never `paused: false`, which Go's type does not say.
                let mut spec = json!({"replicas": small, "paused": true});
                if whole {
                    spec["selector"] = json!({"matchLabels": {"app": "x"}});
                    spec["template"] = json!({"metadata": {"labels": {"app": "x"}},
                        "spec": {"containers": [{"name": "app", "image": format!("app:{small}")}]}});
                }
                spec
            }
            "Lease" => json!({"holderIdentity": format!("h{small}"), "leaseTransitions": small}),
            _ => json!({"k": small.to_string(), "x": random.u8(..2).to_string()}),
        }
    }

    /// `ConfigMap`s hold data and no spec.
    fn fit(self, mut body: Value) -> Value {
        if self.name == "ConfigMap"
            && let Some(fields) = body.as_object_mut()
            && let Some(spec) = fields.remove("spec")
        {
            fields.insert("data".into(), spec);
        }
        body
    }

    fn told(self, random: &mut fastrand::Rng) -> Value {
        let small = random.u8(..4);
        if self.name == "Deployment" {
            return json!({"observedGeneration": small + 1, "replicas": small + 1});
        }
        let phase = ["Ready", "Failed"][random.usize(..2)];
        json!({"phase": phase, "seen": small})
    }

    /// A JSON patch: with a test that may fail, and a path that may not be there.
    fn steps(self, random: &mut fastrand::Rng) -> Value {
        let field = match self.name {
            "Widget" => "/spec/size",
            "Deployment" => "/spec/replicas",
            "Lease" => "/spec/leaseTransitions",
            _ => "/data/k",
        };
        let value =
            |number: u8| if self.name == "ConfigMap" { json!(number.to_string()) } else { json!(number) };
        match random.u8(..4) {
            0 => {
                json!([{"op": "test", "path": "/metadata/name", "value": "a"}, {"op": "replace", "path": field, "value": value(1)}])
            }
            1 => {
                json!([{"op": "add", "path": "/metadata/annotations", "value": {"n": random.u8(..3).to_string()}}])
            }
            2 => json!([{"op": "replace", "path": "/metadata/labels/l", "value": "y"}]),
            _ => {
                json!([{"op": "test", "path": field, "value": value(random.u8(..4))}, {"op": "add", "path": field, "value": value(random.u8(..4))}])
            }
        }
    }
}

/// A request that looks at a path.
fn plain(path: String, random: &mut fastrand::Rng) -> Ask {
    let manager = ["m1", "m2"][random.usize(..2)];
    Ask {
        method: "GET",
        path,
        query: format!("fieldManager={manager}"),
        media: "application/json",
        body: Value::Null,
        version: None,
        whole: false,
        precondition: None,
    }
}

fn version(random: &mut fastrand::Rng) -> Option<Age> {
    [None, None, Some(Age::Latest), Some(Age::Old)][random.usize(..4)]
}

fn labels(random: &mut fastrand::Rng) -> Value {
    [json!({"l": "x"}), json!({"l": "y"}), json!({"l": "x", "m": "1"})][random.usize(..3)].clone()
}

fn metadata(random: &mut fastrand::Rng) -> Value {
    match random.u8(..4) {
        0 => json!({"labels": {"l": null}}),
        1 => json!({"annotations": {"n": random.u8(..3).to_string()}}),
        2 => json!({"finalizers": ["conformance.example/keep"]}),
        _ => json!({"labels": labels(random)}),
    }
}
