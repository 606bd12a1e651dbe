//! From the webhook's receipt of an alert, in the middle of an advance, to the first tenant written back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::stage::{ALERT_TENANT, PATIENCE, STABLE, Stage};
use super::table::{Aim, Table};
use super::{Options, median, now, progress};
use crate::bed::http;
use crate::scene::control::WEBHOOK_TOKEN;

/// Most that it may take, in times of one patch's median latency.
const AIM: f64 = 10.0;
/// A fresh controller's token of the webhook may take this long to be read.
const TOKEN: Duration = Duration::from_secs(2);

/// Alerts in the middle of so many advances; the unit of each is the latency that a patch beside it had.
pub(super) async fn measure(stage: &mut Stage, options: Options, table: &mut Table) -> Result<()> {
    stage.controlled().await?;
    stage.settle("5s").await?;
    tokio::time::sleep(TOKEN).await;
    let (mut units, mut took, mut answered, mut patch) = (vec![], vec![], vec![], vec![]);
    for round in 0..options.pairs {
        let one = once(stage, &format!("1.2.{round}"), options.tenants / 2).await?;
        let times = one.back.as_secs_f64() / one.patch.as_secs_f64();
        progress(&format!(
            "alert {round}: answered after {:.0} ms, first tenant back after {:.0} ms, {times:.1} patches of {:.1} ms",
            millis(one.answered),
            millis(one.back),
            millis(one.patch)
        ));
        units.push(times);
        took.push(millis(one.back));
        answered.push(millis(one.answered));
        patch.push(millis(one.patch));
    }
    table.judged("alert to first write back: times of a patch", median(units), 1, "", Aim::AtMost(AIM));
    let (took, answered, patch) = (median(took), median(answered), median(patch));
    let told = format!("{took:.0} ms (webhook answered after {answered:.0} ms, a patch {patch:.1} ms)");
    table.told("alert to first write back: median", told);
    Ok(())
}

struct Reaction {
    answered: Duration,
    back: Duration,
    patch: Duration,
}

async fn once(stage: &Stage, version: &str, half: usize) -> Result<Reaction> {
    stage.tape().forget();
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let probed = stage.tape().objects(stage.twin()).into_iter().next().context("there are no twins")?;
    stage.wants(version).await?;
    let probe = stage.bare().probe(&probed.0, probed.1, |latency| {
        latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency.as_secs_f64());
    });
    tokio::select! {
        ended = probe => ended?,
        reached = stage.tape().until(stage.own(), version, half, PATIENCE) => drop(reached?),
    }
    // What a patch takes while the advance is at full speed; the decision ends that.
    let patch = median(std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner)));
    let tenant = stage.tape().latest(stage.own(), version).context("no tenant was updated")?;
    let request = http::client()?
        .post(format!("{}/webhook/alertmanager", stage.controller()?.url()))
        .bearer_auth(WEBHOOK_TOKEN)
        .header("content-type", "application/json")
        .body(alert(&format!("{}/{tenant}", stage.own())));
    let sent = Instant::now();
    let (answered, back) = tokio::join!(
        async {
            let answer = http::answer(request).await;
            answer.map(|_| sent.elapsed())
        },
        stage.tape().until(stage.own(), STABLE, 1, PATIENCE),
    );
    let reaction = Reaction {
        answered: answered?,
        back: back?.first.saturating_duration_since(sent),
        patch: Duration::from_secs_f64(patch),
    };
    stage.is_in("Reverted").await?;
    Ok(reaction)
}

/// What Alertmanager sends for an alert that fires on one tenant.
fn alert(tenant: &str) -> String {
    let labels = json!({"alertname": "TenantBurns", "severity": "page", ALERT_TENANT: tenant});
    json!({
        "version": "4", "status": "firing", "receiver": "breakwater", "groupKey": "{}", "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://alertmanager",
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": {}, "startsAt": now(),
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "",
        }],
    })
    .to_string()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
