//! `hold`, `stop` and `lift`: of one Rollout by an action, of all by a `ConfigMap` in the controller's namespace
//! (R36).

use std::collections::BTreeMap;

use breakwater_crds::{Verb, marker::STOP_CONFIG_MAP};
use breakwater_operator::clock;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams},
};

use super::{
    act::{self, Ask},
    args,
    failure::{self, Doing, Failure},
    output::Output,
    request,
    session::Session,
};

/// Keys of the `ConfigMap`; its existence stops, these are for people.
const REASON: &str = "reason";
const REQUESTED_BY: &str = "requestedBy";

/// Holds one Rollout.
pub async fn hold(session: &Session, output: Output, args: args::Hold) -> Result<(), Failure> {
    let ask = Ask { rollout: args.name, no_wait: args.asking.no_wait };
    brake(session, output, ask, Verb::Hold, args.brake).await
}

/// Stops one Rollout, or all.
pub async fn stop(session: &Session, output: Output, args: args::Stop) -> Result<(), Failure> {
    let args::Stop { name, all: _, controller, brake: words, asking } = args;
    match name {
        Some(rollout) => {
            brake(session, output, Ask { rollout, no_wait: asking.no_wait }, Verb::Stop, words).await
        }
        None => stop_all(session, output, &controller.controller_namespace, words.reason).await,
    }
}

/// Lifts one brake of a Rollout, all of them, or the stop of the cluster.
pub async fn lift(session: &Session, output: Output, args: args::Lift) -> Result<(), Failure> {
    let args::Lift { name, subject, all, controller, asking } = args;
    let Some(rollout) = name else {
        return lift_all(session, output, &controller.controller_namespace).await;
    };
    let requests =
        request::lift(&session.rollout(&rollout).await?, subject, all).map_err(Failure::refused)?;
    let ask = Ask { rollout, no_wait: asking.no_wait };
    for request in requests {
        act::send(session, output, &ask, request).await?;
    }
    Ok(())
}

async fn brake(
    session: &Session,
    output: Output,
    ask: Ask,
    verb: Verb,
    words: args::Brake,
) -> Result<(), Failure> {
    let now = clock::now();
    let until = words.until.map(|until| until.instant(now).filter(|until| *until > now));
    if until == Some(None) {
        return Err(Failure::usage("--until must lie in the future"));
    }
    act::run(session, output, ask, |_| Ok(request::brake(verb, until.flatten(), words.reason))).await
}

async fn stop_all(session: &Session, output: Output, namespace: &str, reason: String) -> Result<(), Failure> {
    let user = act::whoami(session).await?;
    let maps: Api<ConfigMap> = Api::namespaced(session.client.clone(), namespace);
    let data = BTreeMap::from([(REASON.to_owned(), reason), (REQUESTED_BY.to_owned(), user)]);
    let metadata = ObjectMeta { name: Some(STOP_CONFIG_MAP.into()), ..ObjectMeta::default() };
    let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
    let params = PostParams { field_manager: Some(act::MANAGER.into()), ..PostParams::default() };
    let said = match maps.create(&params, &map).await {
        Ok(_) => format!("configmap/{STOP_CONFIG_MAP} created in namespace {namespace}."),
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
            format!("configmap/{STOP_CONFIG_MAP} is in namespace {namespace} already{}.", whose(&maps).await)
        }
        Err(error) => return Err(fail(&error, "create", namespace)),
    };
    output.print(&format!(
        "{said}\nEvery Rollout of the cluster is stopped: nothing is written, reverts included; watching goes on.\n\
         To end it: kubectl breakwater lift --all"
    ))
}

/// Who stopped and why, as far as it can be read.
async fn whose(maps: &Api<ConfigMap>) -> String {
    let data = maps.get(STOP_CONFIG_MAP).await.ok().and_then(|map| map.data).unwrap_or_default();
    let by = data.get(REQUESTED_BY).map(|by| format!(", by {by}")).unwrap_or_default();
    let why = data.get(REASON).filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}"));
    format!("{by}{}", why.unwrap_or_default())
}

async fn lift_all(session: &Session, output: Output, namespace: &str) -> Result<(), Failure> {
    let maps: Api<ConfigMap> = Api::namespaced(session.client.clone(), namespace);
    match maps.delete(STOP_CONFIG_MAP, &DeleteParams::default()).await {
        Ok(_) => output.print(&format!(
            "configmap/{STOP_CONFIG_MAP} deleted in namespace {namespace}. Rollouts go on, but for those with Holds or \
             Stops of their own: kubectl breakwater get -A"
        )),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Failure::refused(format!(
            "there is no stop of the cluster to lift: namespace {namespace} has no configmap {STOP_CONFIG_MAP}; if the \
             controller lives elsewhere, say so with --controller-namespace"
        ))),
        Err(error) => Err(fail(&error, "delete", namespace)),
    }
}

fn fail(error: &kube::Error, verb: &str, namespace: &str) -> Failure {
    let mut failure =
        failure::explain(error, Doing { verb, resource: "configmaps", namespace: Some(namespace) });
    if matches!(error, kube::Error::Api(status) if status.code == 404) {
        failure.message += "; say where the controller lives with --controller-namespace";
    }
    failure
}
