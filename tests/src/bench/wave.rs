//! A whole wave and a whole revert, against bare patches of as many objects.

use std::time::Duration;

use anyhow::Result;

use super::stage::{STABLE, Stage};
use super::table::{Aim, Table};
use super::tape::Lap;
use super::{Options, median, progress};

/// Most that a wave or a revert may take, in times of what bare patches take.
const AIM: f64 = 1.15;
/// Rest between two runs, so that none pays for the one before.
const REST: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Runs {
    own: Vec<f64>,
    bare: Vec<f64>,
}

impl Runs {
    fn add(&mut self, what: &str, own: Lap, bare: Lap) {
        let (own, bare) = (own.took().as_secs_f64(), bare.took().as_secs_f64());
        progress(&format!("{what}: own {own:.2} s, bare {bare:.2} s, ratio {:.3}", own / bare));
        self.own.push(own);
        self.bare.push(bare);
    }

    fn tell(self, what: &str, tenants: usize, table: &mut Table) {
        let ratios = self.own.iter().zip(&self.bare).map(|(own, bare)| own / bare).collect();
        table.judged(&format!("{what}: times of bare patches"), median(ratios), 3, "", Aim::AtMost(AIM));
        let (own, bare) = (median(self.own), median(self.bare));
        let rate = tenants as f64 / bare;
        table.told(&format!("{what}: median"), format!("{own:.2} s, bare {bare:.2} s ({rate:.0}/s)"));
    }
}

/// Waves and reverts in turns with bare ones; the first pair, in which markers are new, is not counted.
pub(super) async fn measure(stage: &mut Stage, options: Options, table: &mut Table) -> Result<()> {
    stage.controlled().await?;
    stage.settle("1m").await?;
    let (mut waves, mut reverts) = (Runs::default(), Runs::default());
    for pair in 0..=options.pairs {
        let version = format!("1.1.{pair}");
        progress(&format!("pair {pair} of {}", options.pairs));
        let own_first = pair % 2 == 0;
        let (own, bare) = turns(stage, &version, own_first).await?;
        stage.is_in("Soaking").await?;
        let (own_back, bare_back) = turns(stage, STABLE, !own_first).await?;
        stage.is_in("Completed").await?;
        if pair > 0 {
            waves.add("wave", own, bare);
            reverts.add("revert", own_back, bare_back);
        }
    }
    waves.tell("wave", options.tenants, table);
    reverts.tell("revert", options.tenants, table);
    Ok(())
}

async fn turns(stage: &Stage, version: &str, own_first: bool) -> Result<(Lap, Lap)> {
    tokio::time::sleep(REST).await;
    if own_first {
        let own = stage.own_run(version).await?;
        tokio::time::sleep(REST).await;
        Ok((own, stage.bare_run(version).await?))
    } else {
        let bare = stage.bare_run(version).await?;
        tokio::time::sleep(REST).await;
        Ok((stage.own_run(version).await?, bare))
    }
}
