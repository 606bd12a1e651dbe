//! One Rollout as text: what Argo's tree shows, folded for fleets. Pure: a Rollout and the time in, text out.

use breakwater_crds::{
    Phase, Rollout, RolloutStatus, Span,
    release::Lane,
    report::Attribution,
    rollout::{Approval, Wave},
    status::{
        Adoption, Condition, ConditionStatus, Counts, RevertStatus, SloStatus, TroubledTenant, WaveStatus,
    },
    words::{ConditionType, Trouble, Verdict, Word},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

mod compared;

use super::{
    paint::{BAD, DONE, GOING, IDLE, PAUSED, WARN},
    text,
};

/// Events shown, of the hundred that the status keeps.
const EVENTS_SHOWN: usize = 8;

/// Everything a human wants to know of one Rollout; ends with a newline.
pub fn render(rollout: &Rollout, now: Timestamp) -> String {
    let nothing = RolloutStatus::default();
    let view = View { rollout, status: rollout.status.as_ref().unwrap_or(&nothing), now };
    let sections = [view.header(), view.tree(), view.slos(), view.brakes(), view.events()];
    let shown: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    shown.join("\n\n") + "\n"
}

/// The phase's glyph: what stands beside the road counts more than the place on it.
pub fn glyph(rollout: &Rollout) -> char {
    let Some(status) = &rollout.status else { return GOING };
    if status.holds(ConditionType::Deviating).is_some() {
        return BAD;
    }
    match status.phase {
        Phase::Reverting | Phase::Verifying | Phase::Reverted | Phase::RevertedPartly => BAD,
        _ if status.holds(ConditionType::Stalled).is_some() => WARN,
        _ if is_held(rollout, status) => PAUSED,
        Phase::Adopting | Phase::AwaitingApproval => PAUSED,
        Phase::Completed => DONE,
        Phase::Pending | Phase::Advancing | Phase::Soaking | Phase::Watching => GOING,
    }
}

/// The phase as shown: `Soaking (Held: prometheus)`.
pub fn phase(rollout: &Rollout) -> String {
    match &rollout.status {
        None => Phase::Pending.as_str().into(),
        Some(status) if status.summary.is_empty() => status.phase.as_str().into(),
        Some(status) => status.summary.clone(),
    }
}

/// Soak that a wave still has to spend.
pub fn soak_left(spec: &Wave, status: &WaveStatus, lane: Lane) -> Span {
    Span::seconds(spec.soak_in(lane).as_seconds().saturating_sub(status.soaked_seconds))
}

fn is_held(rollout: &Rollout, status: &RolloutStatus) -> bool {
    status.phase != Phase::Completed
        && (rollout.spec.paused
            || !status.brakes.is_empty()
            || status.holds(ConditionType::Held).is_some()
            || status.holds(ConditionType::Blind).is_some())
}

struct View<'a> {
    rollout: &'a Rollout,
    status: &'a RolloutStatus,
    now: Timestamp,
}

impl View<'_> {
    fn header(&self) -> String {
        let Self { rollout, status, now } = self;
        let namespace = rollout.namespace().unwrap_or_default();
        let mut lines = vec![
            ("Name", format!("{namespace}/{}", rollout.name_any())),
            ("Phase", format!("{} {}", glyph(rollout), phase(rollout))),
            ("Version", self.versions()),
            ("Rejected", status.rejected.join(", ")),
            ("Wave", self.wave()),
            ("Tenants", tenants(&status.counts)),
            self.began(),
            ("Revert", status.revert.as_ref().map(|revert| self.revert(revert)).unwrap_or_default()),
            ("Report", status.report.clone().unwrap_or_default()),
            ("Message", self.message()),
        ];
        if let Some(adoption) = &status.adoption
            && matches!(status.phase, Phase::Pending | Phase::Adopting)
        {
            lines.extend(found(adoption));
        }
        let conditions = status.conditions.iter().filter(|condition| matters(condition));
        lines.extend(
            conditions.zip(first("Conditions")).map(|(condition, label)| (label, telling(condition, *now))),
        );
        lines.push(("Next", self.next()));
        text::fields(lines)
    }

    /// `10.5.1 → 10.5.2; 10.5.3 is queued`.
    fn versions(&self) -> String {
        let Self { rollout, status, .. } = self;
        let wanted = &rollout.spec.version;
        let stable = status.stable_version.as_ref();
        let candidate = status.candidate_version.as_ref();
        let shown = match (stable, candidate) {
            (Some(stable), Some(candidate)) => format!("{stable} → {candidate}"),
            (None, Some(candidate)) => format!("? → {candidate}"),
            (Some(stable), None) => format!("{stable} (stable)"),
            (None, None) => "none yet".into(),
        };
        if let Some(queued) = &status.queued {
            format!("{shown}; {queued} is queued")
        } else if status.rejected.contains(wanted) {
            format!("{shown}; {wanted} is wanted but rejected")
        } else if stable != Some(wanted) && candidate != Some(wanted) {
            format!("{shown}; {wanted} is wanted")
        } else {
            shown
        }
    }

    fn wave(&self) -> String {
        let name = self.status.wave.clone().unwrap_or_default();
        match self.rollout.spec.all_waves().iter().position(|wave| wave.name == name) {
            Some(index) => format!("{name} ({} of {})", index + 1, self.rollout.spec.waves.len()),
            None => name,
        }
    }

    /// When the version under way started, or the last one completed.
    fn began(&self) -> (&'static str, String) {
        let Self { status, now, .. } = self;
        let completed = status.completed_at.filter(|_| status.phase == Phase::Completed);
        let (label, at) = completed.map_or(("Started", status.started_at), |at| ("Completed", Some(at)));
        (label, at.map(|at| format!("{} ago ({})", text::age(at, *now), text::stamp(at))).unwrap_or_default())
    }

    fn revert(&self, revert: &RevertStatus) -> String {
        let mut parts = vec![format!("{} back", revert.reverted)];
        if self.status.counts.to_revert > 0 {
            parts.push(format!("{} to go", self.status.counts.to_revert));
        }
        if revert.failed > 0 {
            parts.push(format!("{} failed", revert.failed));
        }
        match revert.attribution {
            Some(Attribution::Attributed) => {
                parts.push("the SLOs recovered: attributed to the release".into());
            }
            Some(Attribution::NotAttributed) => parts.push("the SLOs did not recover: not attributed".into()),
            None => {}
        }
        let age = text::age(revert.decided_at, self.now);
        format!("of {}, decided {age} ago: {}; {}", revert.version, revert.message, parts.join(", "))
    }

    fn message(&self) -> String {
        let Self { rollout, status, .. } = self;
        let generation = rollout.metadata.generation.unwrap_or_default();
        if rollout.status.is_none() {
            return "no controller has looked at it yet; is Breakwater running?".into();
        }
        if status.observed_generation < generation {
            return format!("{} (the last edit of the spec has not been seen yet)", status.message);
        }
        status.message.clone()
    }

    /// The command that a waiting rollout waits for.
    fn next(&self) -> String {
        if !matches!(self.status.phase, Phase::AwaitingApproval | Phase::Adopting) {
            return String::new();
        }
        let namespace = self.rollout.namespace().unwrap_or_default();
        format!("kubectl breakwater approve {} -n {namespace}", self.rollout.name_any())
    }

    fn tree(&self) -> String {
        let Self { rollout, status, .. } = self;
        let counts = &status.counts;
        let mut rows = vec![[
            format!("⟳ {}", rollout.name_any()),
            format!("{} {}", glyph(rollout), status.phase.as_str()),
            format!("{}/{}", counts.ready, counts.live),
            some(counts.failed),
            String::new(),
            String::new(),
        ]];
        let waves = &rollout.spec.all_waves();
        let lost: Vec<&TroubledTenant> = status
            .troubled
            .iter()
            .filter(|tenant| !waves.iter().any(|wave| wave.name == tenant.wave))
            .collect();
        for (index, wave) in waves.iter().enumerate() {
            let is_last = index + 1 == waves.len() && lost.is_empty();
            let (branch, stem) = if is_last { ("└──", "   ") } else { ("├──", "│  ") };
            rows.push(self.wave_row(wave, branch));
            let troubled: Vec<_> = status.troubled.iter().filter(|tenant| tenant.wave == wave.name).collect();
            rows.extend(tenant_rows(&troubled, stem));
        }
        rows.extend(tenant_rows(&lost, ""));
        text::table(["NAME", "STATUS", "DONE", "FAILED", "SOAK LEFT", "INFO"], rows)
    }

    fn wave_row(&self, spec: &Wave, branch: &str) -> [String; 6] {
        let name = format!("{branch}≋ {}", spec.name);
        let Some(wave) = self.status.waves.iter().find(|wave| wave.name == spec.name) else {
            let soak = spec.soak_in(self.status.lane).rounded();
            return [name, format!("{IDLE} Waiting"), "-".into(), String::new(), soak, needs(spec)];
        };
        let (glyph, word) = self.wave_state(spec, wave);
        let soak = match wave.passed_at.or_else(|| wave.promoted.as_ref().map(|word| word.at)) {
            Some(_) => String::new(),
            None if self.has_reverted() => String::new(),
            None => soak_left(spec, wave, self.status.lane).rounded(),
        };
        let done = format!("{}/{}", wave.ready, wave.total);
        [name, format!("{glyph} {word}"), done, some(wave.failed), soak, self.wave_info(spec, wave)]
    }

    fn wave_state(&self, spec: &Wave, wave: &WaveStatus) -> (char, &'static str) {
        let going = if is_held(self.rollout, self.status) { PAUSED } else { GOING };
        if self.has_reverted() {
            return match (wave.started_at, wave.updated) {
                (None, 0) => (IDLE, "Not reached"),
                (_, 0) => (BAD, "Reverted"),
                _ => (GOING, "Reverting"),
            };
        }
        if wave.passed_at.is_some() {
            return (DONE, "Passed");
        }
        if self.awaits(spec, wave) {
            return (PAUSED, "Awaiting approval");
        }
        match (wave.started_at, wave.completed_at) {
            (None, _) => (IDLE, "Waiting"),
            (Some(_), None) => (going, "Updating"),
            (Some(_), Some(_)) if wave.warm_at.is_none() => (going, "Warming up"),
            (Some(_), Some(_)) => (going, "Soaking"),
        }
    }

    fn wave_info(&self, spec: &Wave, wave: &WaveStatus) -> String {
        let mut parts = Vec::new();
        let coming = wave.updated.saturating_sub(wave.ready).saturating_sub(wave.failed);
        if self.has_reverted() {
            return if wave.updated == 0 { String::new() } else { format!("{} not back yet", wave.updated) };
        }
        if let Some(at) = wave.passed_at {
            parts.push(format!("passed {} ago", text::age(at, self.now)));
        } else if wave.started_at.is_none() {
            parts.push(needs(spec));
        } else {
            parts.extend((coming > 0).then(|| format!("{coming} becoming ready")));
            parts.extend(
                (wave.completed_at.is_none()).then(|| format!("at most {} at once", spec.max_concurrent)),
            );
            let soaked = wave.warm_at.is_some() && soak_left(spec, wave, self.status.lane).as_seconds() == 0;
            parts.extend(soaked.then(|| compared::insufficient(self.rollout, self.status)).flatten());
            parts.extend((spec.approval == Some(Approval::After)).then(|| needs(spec)));
        }
        let words = [&wave.approved_before, &wave.approved_after].into_iter().flatten();
        parts.extend(words.map(|word| format!("approved by {}", word.by)));
        parts.extend(wave.promoted.as_ref().map(|word| format!("soak ended by {}", word.by)));
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    fn has_reverted(&self) -> bool {
        let status = self.status;
        status.phase.is_reverting() || matches!(status.phase, Phase::Reverted | Phase::RevertedPartly)
    }

    /// True for the one wave that an Approve would move.
    fn awaits(&self, spec: &Wave, wave: &WaveStatus) -> bool {
        let is_next =
            self.status.waves.iter().find(|w| w.passed_at.is_none()).is_some_and(|w| w.name == wave.name);
        match self.status.phase {
            Phase::AwaitingApproval => is_next && spec.approval.is_some(),
            Phase::Adopting => is_next,
            _ => false,
        }
    }

    fn slos(&self) -> String {
        if self.status.slos.is_empty() {
            return String::new();
        }
        let rows = self.status.slos.iter().map(|slo| self.slo_row(slo));
        text::table(["SLO", "VERDICT", "VALUE", "BASELINE", "LIMIT", "WINDOW", "JUDGED", "MESSAGE"], rows)
    }

    fn slo_row(&self, slo: &SloStatus) -> [String; 8] {
        let is_share =
            !self.rollout.spec.slos.iter().any(|spec| spec.name == slo.name && spec.query.is_some());
        let show = |value: Option<f64>| {
            text::or_dash(
                value.map(|v| if is_share { text::percent(v) } else { text::number(v) }).unwrap_or_default(),
            )
        };
        let verdict = slo.verdict.as_ref().map_or("none yet", Word::as_str);
        let glyph = match slo.verdict.as_ref().map(Word::known) {
            None => IDLE,
            Some(Some(Verdict::Healthy)) => DONE,
            Some(Some(Verdict::Deviating)) => BAD,
            Some(Some(Verdict::Inconclusive)) => GOING,
            Some(Some(Verdict::NoData | Verdict::Uncalibrated) | None) => WARN,
        };
        [
            slo.name.clone(),
            format!("{glyph} {verdict}"),
            show(slo.value),
            show(slo.baseline),
            show(slo.limit),
            text::or_dash(slo.window.map(Span::rounded).unwrap_or_default()),
            text::or_dash(text::ago(slo.evaluated_until, self.now)),
            compared::said(slo),
        ]
    }

    fn brakes(&self) -> String {
        let git = self.rollout.spec.paused.then(|| {
            let name = format!("{PAUSED} spec.paused");
            [name, "Hold".into(), "the spec".into(), "-".into(), "when Git says so".into(), String::new()]
        });
        let asked = self.status.brakes.iter().map(|brake| {
            [
                format!("{PAUSED} {}", brake.name),
                brake.kind.to_string(),
                brake.requested_by.clone(),
                text::ago(Some(brake.since), self.now),
                brake.until.map_or_else(
                    || "when lifted".to_owned(),
                    |until| {
                        format!("in {}", Span::seconds(until.duration_since(self.now).as_secs()).rounded())
                    },
                ),
                brake.reason.clone(),
            ]
        });
        let rows: Vec<_> = git.into_iter().chain(asked).collect();
        if rows.is_empty() {
            return String::new();
        }
        text::table(["HELD BY", "KIND", "WHO", "SINCE", "ENDS", "WHY"], rows)
    }

    fn events(&self) -> String {
        let history = &self.status.history;
        if history.is_empty() {
            return String::new();
        }
        let shown = &history[history.len().saturating_sub(EVENTS_SHOWN)..];
        let rows = shown.iter().map(|event| {
            let glyph = if event.warning { WARN } else { ' ' };
            let reason = format!("{glyph} {}", event.reason);
            [text::age(event.at, self.now), reason, event.message.clone()]
        });
        text::table(["AGE", "  EVENT", "MESSAGE"], rows)
    }
}

/// The label for the first of several lines, and none for the others.
fn first(label: &'static str) -> impl Iterator<Item = &'static str> {
    std::iter::once(label).chain(std::iter::repeat(""))
}

/// A condition that somebody should read: all but those that say that things go as planned.
fn matters(condition: &Condition) -> bool {
    match condition.type_.known() {
        Some(
            ConditionType::Stalled | ConditionType::Deviating | ConditionType::Held | ConditionType::Blind,
        ) => condition.status == ConditionStatus::True,
        Some(ConditionType::Accepted) => condition.status == ConditionStatus::False,
        Some(ConditionType::Ready | ConditionType::Reconciling | ConditionType::Progressing) | None => false,
    }
}

fn telling(condition: &Condition, now: Timestamp) -> String {
    let Condition { type_, reason, message, last_transition_time, .. } = condition;
    let (glyph, not) = match type_.known() {
        Some(ConditionType::Held) => (PAUSED, ""),
        Some(ConditionType::Deviating) => (BAD, ""),
        Some(ConditionType::Accepted) => (BAD, "Not"),
        Some(
            ConditionType::Ready
            | ConditionType::Reconciling
            | ConditionType::Stalled
            | ConditionType::Progressing
            | ConditionType::Blind,
        )
        | None => (WARN, ""),
    };
    format!("{glyph} {not}{type_} ({reason}) for {}: {message}", text::age(*last_transition_time, now))
}

fn needs(wave: &Wave) -> String {
    match wave.approval {
        Some(Approval::Before) => "needs approval to start".into(),
        Some(Approval::After) => "needs approval to end".into(),
        None => String::new(),
    }
}

fn some(count: u32) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

/// `310 live, 17 updated, 16 ready, 1 failed, 3 dormant`: zeros are left out but for the first three.
fn tenants(counts: &Counts) -> String {
    let Counts { live, updated, ready, .. } = counts;
    let rare = [
        (counts.failed, "failed"),
        (counts.to_revert, "to revert"),
        (counts.spared, "spared"),
        (counts.dormant, "dormant"),
        (counts.ahead, "ahead"),
        (counts.claimed, "claimed by another Rollout"),
        (counts.contested, "contested"),
        (counts.not_released, "owned by a manager not in takeFrom"),
        (counts.unconsented, "in namespaces without consent"),
        (counts.unreadable, "unreadable"),
        (counts.unmatched, "in no wave"),
        (counts.uninstrumented, "without telemetry"),
    ];
    let rare =
        rare.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let all = [format!("{live} live"), format!("{updated} updated"), format!("{ready} ready")];
    all.into_iter().chain(rare).collect::<Vec<_>>().join(", ")
}

/// What an adoption found, as fields.
fn found(adoption: &Adoption) -> Vec<(&'static str, String)> {
    let versions = adoption.versions.iter().map(|found| format!("{} on {}", found.tenants, found.version));
    let owners = adoption.owners.iter().map(|owner| {
        let held = if owner.released { "" } else { " (not in takeFrom)" };
        format!("{} by {}{held}", owner.tenants, owner.manager)
    });
    let telemetry = adoption.telemetry.iter().map(|count| {
        let why = if count.message.is_empty() { String::new() } else { format!(" ({})", count.message) };
        format!("{} by {}{why}", count.measured, count.slo)
    });
    let join = |parts: Vec<String>| parts.join(", ");
    vec![
        ("Found", join(versions.collect())),
        ("Owned", join(owners.collect())),
        ("Measured", join(telemetry.collect())),
    ]
}

fn tenant_rows(troubled: &[&TroubledTenant], stem: &str) -> Vec<[String; 6]> {
    let row = |(index, tenant): (usize, &&TroubledTenant)| {
        let branch = if index + 1 == troubled.len() { "└──" } else { "├──" };
        // The version was taken from it alone: that is done, and no more trouble.
        let glyph = if tenant.reason == Trouble::Reverted { IDLE } else { BAD };
        let name = format!("{stem}{branch}{glyph} {}/{}", tenant.namespace, tenant.name);
        [name, tenant.reason.to_string(), String::new(), String::new(), String::new(), tenant.message.clone()]
    };
    troubled.iter().enumerate().map(row).collect()
}

#[cfg(test)]
pub(crate) mod tests;
