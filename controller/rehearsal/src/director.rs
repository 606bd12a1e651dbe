//! Plays a scenario: waits for each event's moment and makes it happen.

use breakwater_crds::{
    RolloutStatus, Span,
    action::Verb,
    report::{Investigation, InvestigationState},
    status::Phase,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::{
    approver::Approver,
    bed::{Bed, BedError},
    chronicle::Chronicle,
    fleet::{
        Scenario,
        scenario::{After, Happening},
        traffic::Outage,
    },
};

/// What is left of a scenario.
pub(crate) struct Director {
    events: std::vec::IntoIter<(After, SignedDuration, Happening)>,
    /// The event that is waited for, and its moment once what it waits for has come.
    next: Option<(After, SignedDuration, Happening)>,
    due_at: Option<SignedDuration>,
    /// When the last event happened.
    previous: SignedDuration,
    /// What ends by itself, and when.
    ends: Vec<(SignedDuration, End)>,
    published: Option<String>,
    approver: Approver,
}

/// What ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Lie,
    ApiServerAway,
}

impl Director {
    /// A scenario from its start, and whoever approves in it. Its events were checked when it was read.
    pub(crate) fn new(scenario: &Scenario, approver: Approver) -> Result<Self, BedError> {
        let mut events = Vec::new();
        for event in &scenario.events {
            let happening = event.happening().map_err(BedError::Tenants)?;
            events.push((event.after, event.at.as_duration(), happening));
        }
        let mut events = events.into_iter();
        let next = events.next();
        let (previous, ends) = (SignedDuration::ZERO, Vec::new());
        Ok(Self { events, next, due_at: None, previous, ends, published: None, approver })
    }

    /// The version that was published last.
    pub(crate) fn published(&self) -> Option<&str> {
        self.published.as_deref()
    }

    /// True when everything has happened, and everything that ends by itself has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none() && self.ends.is_empty()
    }

    /// When something is to happen next, as far as that is known.
    pub(crate) fn due_at(&self) -> Option<SignedDuration> {
        let ends = self.ends.iter().map(|(at, _)| *at);
        self.due_at.into_iter().chain(ends).chain(self.approver.due_at()).min()
    }

    /// Makes everything happen that is due.
    pub(crate) async fn play(
        &mut self,
        bed: &mut Bed,
        status: Option<&RolloutStatus>,
        chronicle: &mut Chronicle,
    ) -> Result<(), BedError> {
        let now = bed.time.elapsed();
        self.end_what_is_over(bed, chronicle, now);
        if self.approver.answers(status, now) {
            self.happen(Happening::Act(Verb::Approve, None), bed, status, chronicle, now).await?;
        }
        loop {
            let Some((after, at, _)) = &self.next else { return Ok(()) };
            if self.due_at.is_none() {
                let since = match after {
                    After::Start => Some(SignedDuration::ZERO),
                    After::Previous => Some(self.previous),
                    After::Completed | After::Reverted | After::AwaitingApproval | After::Reverting => {
                        self.has_come(*after, status).then_some(now)
                    }
                };
                self.due_at = since.map(|since| since + *at);
            }
            if self.due_at.is_none_or(|due| due > now) {
                return Ok(());
            }
            let Some((_, _, happening)) = self.next.take() else { return Ok(()) };
            self.next = self.events.next();
            (self.due_at, self.previous) = (None, now);
            self.happen(happening, bed, status, chronicle, now).await?;
        }
    }

    fn has_come(&self, after: After, status: Option<&RolloutStatus>) -> bool {
        let Some(status) = status else { return false };
        let about_published = self.published.is_none()
            || status.stable_version == self.published
            || status.candidate_version == self.published
            || status.revert.as_ref().is_some_and(|revert| Some(&revert.version) == self.published.as_ref());
        about_published
            && match after {
                After::Completed => {
                    status.phase == Phase::Completed && status.stable_version == self.published
                }
                After::Reverted => matches!(status.phase, Phase::Reverted | Phase::RevertedPartly),
                After::AwaitingApproval => {
                    matches!(status.phase, Phase::AwaitingApproval | Phase::Adopting)
                }
                After::Reverting => status.phase == Phase::Reverting,
                After::Start | After::Previous => true,
            }
    }

    fn end_what_is_over(&mut self, bed: &Bed, chronicle: &mut Chronicle, now: SignedDuration) {
        let over: Vec<End> = self.ends.iter().filter(|(at, _)| *at <= now).map(|(_, end)| *end).collect();
        self.ends.retain(|(at, _)| *at > now);
        for end in over {
            match end {
                End::Lie => {
                    bed.metrics.lie(None);
                    chronicle.scenario(bed.time.truth(), "PrometheusBack", "Prometheus answers again".into());
                }
                End::ApiServerAway => {
                    bed.api_away(false);
                    chronicle.scenario(
                        bed.time.truth(),
                        "ApiServerBack",
                        "the API server answers again".into(),
                    );
                }
            }
        }
    }

    async fn happen(
        &mut self,
        happening: Happening,
        bed: &mut Bed,
        status: Option<&RolloutStatus>,
        chronicle: &mut Chronicle,
        now: SignedDuration,
    ) -> Result<(), BedError> {
        let at = bed.time.truth();
        let lasts = |span: Option<Span>| span.map_or_else(String::new, |span| format!(" for {span}"));
        let (reason, message) = match happening {
            Happening::Publish(version) => {
                chronicle.asked(&version, at);
                self.published = Some(version.clone());
                bed.edit(json!({ "version": version })).await.map_err(refused)?;
                let fault = bed.fleet.lock().faults.get(&version).and_then(crate::fleet::Fault::words);
                let fault = fault.map_or_else(String::new, |fault| format!(" ({fault})"));
                ("Publish", format!("spec.version is set to {version}{fault}"))
            }
            Happening::Prometheus(lie, span) => {
                bed.metrics.lie(Some(lie));
                self.ends.extend(span.map(|span| (now + span.as_duration(), End::Lie)));
                ("Prometheus", format!("Prometheus: {lie}{}", lasts(span)))
            }
            Happening::Outage(errors, span) => {
                let (from, to) = (at.as_second(), at.as_second() + span.as_seconds());
                bed.fleet.lock().outages.push(Outage { from, to, errors });
                ("Outage", format!("{errors} more requests fail in every tenant for {span}"))
            }
            Happening::ApiServerAway(span) => {
                bed.api_away(true);
                self.ends.push((now + span.as_duration(), End::ApiServerAway));
                ("ApiServerAway", format!("the API server answers nobody for {span}"))
            }
            Happening::Restart => {
                bed.start_controller()?;
                ("RestartController", "the controller is killed and started anew".into())
            }
            Happening::ClockStep(seconds) => {
                bed.time.step(SignedDuration::from_secs(seconds));
                ("ClockStep", format!("the controller's clock steps by {seconds} s"))
            }
            Happening::Act(verb, wave) => ("Act", self.act(verb, wave, bed, status)?),
            Happening::Close(state, fixed_in) => {
                ("CloseReport", self::close(bed, state, fixed_in).await.map_err(refused)?)
            }
            Happening::Add(count) => {
                bed.add_tenants(count).map_err(|why| BedError::Tenants(why.to_string()))?;
                ("AddTenants", format!("{count} tenants are created"))
            }
            Happening::Remove(count) => {
                bed.remove_tenants(count);
                ("RemoveTenants", format!("{count} tenants are deleted"))
            }
        };
        chronicle.scenario(at, reason, message);
        Ok(())
    }

    /// Asks for something as a human would: about the version and the wave that matter now.
    fn act(
        &self,
        verb: Verb,
        wave: Option<String>,
        bed: &mut Bed,
        status: Option<&RolloutStatus>,
    ) -> Result<String, BedError> {
        let version = status.and_then(|status| status.candidate_version.clone()).or(self.published.clone());
        let subject = match verb {
            Verb::Lift => status.and_then(|status| Some(status.brakes.first()?.name.clone())),
            _ => wave
                .or_else(|| status.and_then(|status| status.wave.clone()))
                .or_else(|| status.and_then(|status| Some(status.waves.first()?.name.clone()))),
        };
        let acted = bed.act(verb, version.as_deref(), subject.as_deref());
        acted.map_err(|why| BedError::Tenants(why.to_string()))?;
        let about = match verb {
            Verb::Hold | Verb::Stop => String::new(),
            Verb::Lift => format!(" {}", subject.unwrap_or_default()),
            Verb::Approve => {
                format!(" wave {} of {}", subject.unwrap_or_default(), version.unwrap_or_default())
            }
            Verb::Promote | Verb::Revert | Verb::Retry => format!(" {}", version.unwrap_or_default()),
            Verb::Acknowledge => {
                format!(" {} of {}", subject.unwrap_or_default(), version.unwrap_or_default())
            }
        };
        Ok(format!("a human asks: {verb}{about}"))
    }
}

/// People have looked into the open reports and say what they found.
async fn close(
    bed: &Bed,
    state: InvestigationState,
    fixed_in: Option<String>,
) -> Result<String, kube::Error> {
    let found = Investigation { state, fixed_in, notes: "rehearsed".into() };
    let names = bed.answer_reports(&found).await?;
    let fixed_in = found.fixed_in.map_or_else(String::new, |version| format!(" in {version}"));
    Ok(match names.as_slice() {
        [] => "no report is open".into(),
        names => format!("{} is closed: {}{fixed_in}", names.join(", "), state.as_str()),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: kube::Error) -> BedError {
    BedError::Refused(error.to_string())
}
