//! Windows and freezes (rule R8): when updates may start. Watching and reverting never ask. Pure.

use std::str::FromStr;

use breakwater_crds::rollout::{Freeze, Schedule as Spec};
use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::spec::FieldError;

/// A parsed schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    zone: TimeZone,
    windows: Vec<Window>,
    freezes: Vec<Freeze>,
}

#[derive(Debug, Clone)]
struct Window {
    opens: Cron,
    text: String,
    lasts: SignedDuration,
    off_hours: bool,
}

/// Which windows count for a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// Every one.
    All,
    /// Those that are marked `offHours`: its migrations want them (R8).
    OffHours,
    /// None: it may start outside of them (R35).
    None,
}

/// Whether updates may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// They may; until this instant at least, if it is known.
    Open {
        /// The next instant at which that may change.
        until: Option<Timestamp>,
    },
    /// They may not.
    Closed {
        /// Why, for people.
        reason: String,
        /// When to look again.
        until: Option<Timestamp>,
    },
}

/// Longest step to the next look where nothing says when a gate changes.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(24);

impl Schedule {
    /// Parses `spec.schedule`, or names every field that is wrong.
    pub fn parse(spec: &Spec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let zone = TimeZone::get(&spec.time_zone).unwrap_or_else(|_| {
            errors.push(FieldError::new(
                "spec.schedule.timeZone",
                format!("{:?} is not an IANA time zone such as Europe/Athens", spec.time_zone),
            ));
            TimeZone::UTC
        });
        let mut windows = Vec::new();
        for (i, window) in spec.allow.iter().enumerate() {
            let at = |field: &str| format!("spec.schedule.allow[{i}].{field}");
            if window.duration.is_zero() {
                errors
                    .push(FieldError::new(at("duration"), "0 is a window that never opens: give 1m or more"));
            }
            match Cron::from_str(&window.cron) {
                Ok(opens) if window.cron.split_whitespace().count() == 5 => windows.push(Window {
                    opens,
                    text: window.cron.clone(),
                    lasts: window.duration.as_duration(),
                    off_hours: window.off_hours,
                }),
                Ok(_) => errors
                    .push(FieldError::new(at("cron"), format!("{:?} must have five fields", window.cron))),
                Err(error) => errors.push(FieldError::new(
                    at("cron"),
                    format!(
                        "{:?} is not a cron expression such as \"0 9 * * MON-THU\": {error}",
                        window.cron
                    ),
                )),
            }
        }
        for (i, freeze) in spec.deny.iter().enumerate() {
            if freeze.from >= freeze.to {
                errors.push(FieldError::new(
                    format!("spec.schedule.deny[{i}].to"),
                    format!("{} is not after from ({})", freeze.to, freeze.from),
                ));
            }
        }
        if errors.is_empty() { Ok(Self { zone, windows, freezes: spec.deny.clone() }) } else { Err(errors) }
    }

    /// Whether updates may start at `now` by the windows that count. A freeze beats a window.
    pub fn gate(&self, now: Timestamp, count: Windows) -> Gate {
        if let Some(freeze) = self.freezes.iter().find(|f| f.from <= now && now < f.to) {
            let why = if freeze.reason.is_empty() { "no reason given" } else { &freeze.reason };
            return Gate::Closed {
                reason: format!("frozen until {}: {why}", freeze.to),
                until: Some(freeze.to),
            };
        }
        let freeze_starts = self.freezes.iter().map(|f| f.from).filter(|from| *from > now).min();
        if self.windows.is_empty() || count == Windows::None {
            return Gate::Open { until: freeze_starts };
        }
        let off_hours = count == Windows::OffHours;
        let windows = || self.windows.iter().filter(|window| window.off_hours || !off_hours);
        if let Some(closes) = windows().filter_map(|w| w.open_until(now, &self.zone)).max() {
            return Gate::Open { until: Some(freeze_starts.map_or(closes, |f| f.min(closes))) };
        }
        let opens = windows().filter_map(|w| w.next_opening(now, &self.zone)).min();
        let which = if off_hours {
            "outside every off-hours window, which its migrations need"
        } else {
            "outside every window"
        };
        let reason = opens.map_or_else(
            || format!("{which}, and none opens again"),
            |at| format!("{which}; the next opens at {}", at.to_zoned(self.zone.clone())),
        );
        Gate::Closed { reason, until: Some(opens.unwrap_or(now + LOOK_AGAIN)) }
    }
}

impl Window {
    /// When the window that is open at `now` closes. The length is absolute: a clock change does not stretch it.
    fn open_until(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let opened = self.opens.find_previous_occurrence(&now.to_zoned(zone.clone()), true).ok()?.timestamp();
        let closes = opened.checked_add(self.lasts).ok()?;
        (now < closes).then_some(closes)
    }

    fn next_opening(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.opens.find_next_occurrence(&now.to_zoned(zone.clone()), false).ok().map(|at| at.timestamp())
    }
}

/// Two schedules are the same when their texts are.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.lasts, self.off_hours) == (&other.text, other.lasts, other.off_hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(json: serde_json::Value) -> Schedule {
        Schedule::parse(&serde_json::from_value(json).unwrap()).unwrap()
    }

    fn is_open(schedule: &Schedule, at: &str) -> bool {
        matches!(schedule.gate(at.parse().unwrap(), Windows::All), Gate::Open { .. })
    }

    #[test]
    fn r8_windows_open_and_close_in_their_own_time_zone_across_daylight_saving() {
        let athens = schedule(serde_json::json!({
            "timeZone": "Europe/Athens",
            "allow": [{"cron": "0 9 * * MON-THU", "duration": "6h"}],
        }));
        for (at, open) in [
            ("2026-11-23T06:59:59Z", false), // Monday 08:59:59 in winter (UTC+2)
            ("2026-11-23T07:00:00Z", true),
            ("2026-11-23T12:59:59Z", true),
            ("2026-11-23T13:00:00Z", false),
            ("2026-11-27T08:00:00Z", false), // Friday
            ("2026-07-06T06:00:00Z", true),  // Monday 09:00 in summer (UTC+3)
            ("2026-07-06T05:59:59Z", false),
        ] {
            assert_eq!(is_open(&athens, at), open, "{at}");
        }
    }

    #[test]
    fn r8_a_window_that_spans_a_clock_change_keeps_its_length() {
        // Athens leaves summer time on 2026-10-25 at 04:00 local (01:00 UTC).
        let night = schedule(serde_json::json!({
            "timeZone": "Europe/Athens", "allow": [{"cron": "0 1 * * *", "duration": "4h"}],
        }));
        let Gate::Open { until } = night.gate("2026-10-24T23:30:00Z".parse().unwrap(), Windows::All) else {
            panic!("open")
        };
        assert_eq!(until, Some("2026-10-25T02:00:00Z".parse().unwrap())); // opened 22:00 UTC, 4 h later
    }

    #[test]
    fn r8_a_freeze_beats_a_window_and_says_why() {
        let frozen = schedule(serde_json::json!({
            "deny": [{"from": "2026-12-20T00:00:00Z", "to": "2027-01-04T00:00:00Z", "reason": "year end"}],
        }));
        assert!(is_open(&frozen, "2026-12-19T23:59:59Z"));
        let Gate::Closed { reason, until } =
            frozen.gate("2026-12-25T00:00:00Z".parse().unwrap(), Windows::All)
        else {
            panic!("closed")
        };
        assert_eq!(reason, "frozen until 2027-01-04T00:00:00Z: year end");
        assert_eq!(until, Some("2027-01-04T00:00:00Z".parse().unwrap()));
        assert!(is_open(&frozen, "2027-01-04T00:00:00Z"));
    }

    #[test]
    fn a_wrong_schedule_is_refused_by_field_and_value() {
        let spec: Spec = serde_json::from_value(serde_json::json!({
            "timeZone": "Mars/Olympus",
            "allow": [{"cron": "61 9 * * *", "duration": "6h"}, {"cron": "0 0 9 * * *", "duration": "1h"},
                      {"cron": "0 9 * * *", "duration": "0"}],
        }))
        .unwrap();
        let errors = Schedule::parse(&spec).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "spec.schedule.timeZone",
                "spec.schedule.allow[0].cron",
                "spec.schedule.allow[1].cron",
                "spec.schedule.allow[2].duration"
            ]
        );
        assert!(errors[0].to_string().contains("Mars/Olympus"));
    }
}
