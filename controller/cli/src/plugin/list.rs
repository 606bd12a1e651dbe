//! The table of Rollouts. Pure.

use breakwater_crds::{Rollout, RolloutStatus, Span, rollout::Wave};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{text, tree};

/// Rollouts as a table, with more columns where `wide`; ends with a newline.
pub fn render(rollouts: &[Rollout], wide: bool, now: Timestamp) -> String {
    let nothing = RolloutStatus::default();
    let cells = |rollout: &Rollout| {
        let status = rollout.status.as_ref().unwrap_or(&nothing);
        let phase = format!("{} {}", tree::glyph(rollout), tree::phase(rollout));
        let created = rollout.creation_timestamp().map(|time| text::age(time.0, now));
        let narrow = [
            rollout.namespace().unwrap_or_default(),
            rollout.name_any(),
            rollout.spec.version.clone(),
            phase,
            text::or_dash(wave(rollout, status)),
            format!("{}/{}", status.counts.updated, status.counts.live),
            text::or_dash(soak_left(rollout, status)),
            text::or_dash(created.unwrap_or_default()),
        ];
        let brakes: Vec<_> = status.brakes.iter().map(|brake| brake.name.as_str()).collect();
        let more = [
            text::or_dash(status.stable_version.clone().unwrap_or_default()),
            text::or_dash(status.candidate_version.clone().unwrap_or_default()),
            status.counts.failed.to_string(),
            text::or_dash(brakes.join(",")),
        ];
        (narrow, more, status.message.clone())
    };
    let rows = rollouts.iter().map(cells);
    let text = if wide {
        let header = [
            "NAMESPACE",
            "NAME",
            "VERSION",
            "PHASE",
            "WAVE",
            "UPDATED",
            "SOAK LEFT",
            "AGE",
            "STABLE",
            "CANDIDATE",
            "FAILED",
            "HELD BY",
            "MESSAGE",
        ];
        text::table(
            header,
            rows.map(|([a, b, c, d, e, f, g, h], [i, j, k, l], m)| [a, b, c, d, e, f, g, h, i, j, k, l, m]),
        )
    } else {
        let header =
            ["NAMESPACE", "NAME", "VERSION", "PHASE", "WAVE", "UPDATED", "SOAK LEFT", "AGE", "MESSAGE"];
        text::table(header, rows.map(|([a, b, c, d, e, f, g, h], _, i)| [a, b, c, d, e, f, g, h, i]))
    };
    text + "\n"
}

/// `2/4 early`.
fn wave(rollout: &Rollout, status: &RolloutStatus) -> String {
    let waves = &rollout.spec.all_waves();
    match current(rollout, status) {
        Some((index, wave)) => format!("{}/{} {}", index + 1, waves.len(), wave.name),
        None => String::new(),
    }
}

/// Counted from the wave itself: the status's own figure is as old as the last status write.
fn soak_left(rollout: &Rollout, status: &RolloutStatus) -> String {
    let Some((_, spec)) = current(rollout, status) else { return String::new() };
    let wave = status.waves.iter().find(|wave| wave.name == spec.name && wave.started_at.is_some());
    wave.map(|wave| tree::soak_left(&spec, wave, status.lane)).map(Span::rounded).unwrap_or_default()
}

fn current(rollout: &Rollout, status: &RolloutStatus) -> Option<(usize, Wave)> {
    let name = status.wave.as_ref().filter(|_| status.phase.is_under_way())?;
    rollout.spec.all_waves().into_iter().enumerate().find(|(_, wave)| wave.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tree::tests::{NOW, adopting, advancing, completed, reverted, soaking_held};

    #[test]
    fn rollouts_are_a_table() {
        let now = NOW.parse().unwrap();
        let rollouts = [advancing(), soaking_held(), adopting(), reverted(), completed()];
        insta::assert_snapshot!("table", render(&rollouts, false, now));
        insta::assert_snapshot!("table_wide", render(&rollouts[1..2], true, now));
    }
}
