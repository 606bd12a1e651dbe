//! What the comparison of an SLO says, in few words. Pure.

use breakwater_crds::{
    Rollout, RolloutStatus,
    rollout::Comparison,
    status::SloStatus,
    words::{Verdict, Word},
};

use crate::plugin::text::{number, percent};

/// From here on a certainty is worth a word.
const CERTAINTY_MIN: f64 = 0.5;
/// From here on a dispersion is worth a word: the judge takes as many times longer.
const DISPERSED: f64 = 3.0;
/// What stands before the reason in the sentence of an SLO that is not calibrated.
const NOT_CALIBRATED: &str = "not calibrated, holding: ";

/// The message of an SLO's row: a healthy one says only how much it could have seen, one that is not calibrated only why,
/// and all others the whole sentence.
pub(super) fn said(slo: &SloStatus) -> String {
    let certain = slo.certainty.filter(|certainty| *certainty >= CERTAINTY_MIN);
    // Rounded down: never more certain than it is.
    let certain = certain.map(|certainty| format!("certainty {:.1}%", (certainty * 1e3).floor() / 10.0));
    let mut parts = match slo.verdict.as_ref().and_then(Word::known) {
        Some(Verdict::Healthy) => could_detect(slo).into_iter().chain(goes_by(slo)).collect(),
        Some(Verdict::Uncalibrated) => vec![uncalibrated(&slo.message)],
        Some(Verdict::Deviating | Verdict::Inconclusive | Verdict::NoData) | None => {
            vec![slo.message.clone()]
        }
    };
    parts.extend(certain.filter(|_| !slo.message.contains("certainty")));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// What makes the judge slow or narrow: a past that was bursty.
fn goes_by(slo: &SloStatus) -> Option<String> {
    let compared = slo.compared.as_ref().filter(|compared| compared.dispersion >= DISPERSED)?;
    Some(format!("slow: its past was {} times as bursty as counting noise", number(compared.dispersion)))
}

/// `could detect >= 2.1x (0.4%)`, or the share alone.
fn could_detect(slo: &SloStatus) -> Option<String> {
    let share = percent(slo.detectable_share?);
    Some(match slo.detectable {
        Some(ratio) => format!("could detect >= {ratio:.1}x ({share})"),
        None => format!("could detect >= {share}"),
    })
}

/// `not calibrated: it would have reverted on Tuesday`.
fn uncalibrated(message: &str) -> String {
    let reason = message.split_once(NOT_CALIBRATED).map(|(_, reason)| reason);
    let reason = reason.map(|reason| reason.split_once("; ").map_or(reason, |(first, _)| first));
    reason.map_or_else(|| message.to_owned(), |reason| format!("not calibrated: {reason}"))
}

/// Why a wave that has soaked for its time goes on soaking: its traffic could not have found what `judge.mustDetect` says.
pub(super) fn insufficient(rollout: &Rollout, status: &RolloutStatus) -> Option<String> {
    let judge = &rollout.spec.judge;
    let compared = rollout.spec.slos.iter().filter(|slo| slo.query.is_none());
    let mut compared = compared.filter_map(|spec| status.slos.iter().find(|slo| slo.name == spec.name));
    let is_short = |slo: &&SloStatus| match (slo.detectable_share, slo.must_detect_share) {
        (Some(share), Some(must)) => share > must,
        (_, _) => true,
    };
    let slo = compared.find(is_short).filter(|_| judge.comparison == Comparison::Enabled)?;
    let seen = could_detect(slo).unwrap_or_else(|| "could not detect any share yet".to_owned());
    let must = slo.must_detect_share.map_or_else(|| format!("{}x", judge.must_detect), percent);
    Some(format!("{}: {seen}, must {must}", slo.name))
}
