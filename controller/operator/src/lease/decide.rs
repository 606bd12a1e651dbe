//! What to do about the Lease, given what was read of it and when it last changed. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// Longest lease duration, own or read: a forged record cannot keep everyone out for years.
pub const DURATION_MAX: Duration = Duration::from_mins(5);

/// The times of a lease. See [`Config::check`] for how they must be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a record must stand unchanged before another candidate may take it. Whole seconds.
    pub duration: Duration,
    /// How long after sending a renewal that succeeded its holder may act on it.
    pub renew_deadline: Duration,
    /// Pause between two renewals, and between two looks at another's record.
    pub retry: Duration,
    /// Longest time-out of any write that is sent under this lease (R26).
    pub write_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            write_timeout: Duration::from_secs(5),
        }
    }
}

/// Why the times of a lease cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The Lease object stores whole seconds, at least one.
    #[error("lease duration {0:?} is not a whole number of seconds between 1 s and 300 s")]
    Duration(Duration),
    /// A holder would act on a record that others may take.
    #[error("lease renew deadline {renew_deadline:?} is not below the lease duration {duration:?}")]
    RenewDeadline {
        /// As configured.
        renew_deadline: Duration,
        /// As configured.
        duration: Duration,
    },
    /// No write could be sent between two renewals.
    #[error(
        "lease retry period {retry:?}, a renewal's time-out and write time-out {write_timeout:?} do not fit \
         into the renew deadline {renew_deadline:?}"
    )]
    Retry {
        /// As configured.
        retry: Duration,
        /// As configured.
        write_timeout: Duration,
        /// As configured.
        renew_deadline: Duration,
    },
}

impl Config {
    /// Checks `retry + request time-out + write_timeout <= renew_deadline < duration`.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { duration, renew_deadline, retry, write_timeout } = *self;
        if duration.subsec_nanos() != 0 || duration.is_zero() || duration > DURATION_MAX {
            return Err(ConfigError::Duration(duration));
        }
        if renew_deadline >= duration {
            return Err(ConfigError::RenewDeadline { renew_deadline, duration });
        }
        if retry.is_zero() || retry + self.request_timeout() + write_timeout > renew_deadline {
            return Err(ConfigError::Retry { retry, write_timeout, renew_deadline });
        }
        Ok(())
    }

    /// Longest wait for an answer about the Lease: three tries and their pauses fit into the renew deadline.
    pub fn request_timeout(&self) -> Duration {
        self.renew_deadline / 4
    }
}

/// What a Lease says, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `holderIdentity`; empty: nobody.
    pub holder: String,
    /// `leaseTransitions`.
    pub transitions: i32,
    /// `leaseDurationSeconds`, if it is of any use.
    pub duration: Option<Duration>,
    /// `acquireTime`; absent after a clean release.
    pub acquired: Option<Timestamp>,
    /// `renewTime`. Only ever compared for equality: clocks may step.
    pub renewed: Option<Timestamp>,
}

impl Record {
    /// Reads a Lease; whatever is absent or nonsense is as if it had never been written.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            duration: seconds.filter(|&seconds| seconds > 0).map(Duration::from_secs),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
        }
    }

    /// Given back by its holder, who has closed its guard and seen its writes answered. A holder that somebody else
    /// blanked by hand still has an `acquireTime`: it may be writing, so its time must run out.
    pub fn released(&self) -> bool {
        self.holder.is_empty() && self.acquired.is_none()
    }
}

/// One term of office: the record that this process wrote when it took the lease. Told apart from a namesake's, and
/// from one of before a restart, by both values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// `leaseTransitions` as written.
    pub transitions: i32,
    /// `acquireTime` as written.
    pub acquired: Timestamp,
}

/// The one that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Me<'a> {
    /// `holderIdentity` to write.
    pub identity: &'a str,
    /// The term that was claimed, whether the claim was answered or not.
    pub term: Option<Term>,
}

impl Me<'_> {
    /// Whether `record` is what this process wrote.
    pub fn holds(&self, record: &Record) -> bool {
        let wrote =
            |term: Term| term.transitions == record.transitions && Some(term.acquired) == record.acquired;
        record.holder == self.identity && self.term.is_some_and(wrote)
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: create it, transitions at zero.
    Create {
        /// Before this nothing may be written under it.
        opens_at: Instant,
    },
    /// It is free or has run out: take it.
    Take {
        /// `leaseTransitions` to write.
        transitions: i32,
        /// Before this nothing may be written under it.
        opens_at: Instant,
    },
    /// It is ours: renew it.
    Renew,
    /// It is another's: look again, at the latest when it runs out.
    Follow {
        /// When it runs out if it does not change.
        until: Instant,
    },
}

/// Decides. `last_change` is when this process, by its own monotonic clock, last saw the record change (or the Lease
/// come or go); no time inside the record is believed.
///
/// Why no two ever write: a holder sends writes only until `renew_deadline` after *sending* its last renewal, and
/// each ends by then. That renewal was committed after it was sent and seen after it was committed, so everyone else's
/// `last_change` is later; they take the record at `last_change + duration` at the earliest, and write nothing before
/// `write_timeout` more has passed, for a write that a slow network still carries. A missing Lease is treated the
/// same: somebody may have deleted it under a living holder.
pub fn decide(
    record: Option<&Record>,
    last_change: Instant,
    now: Instant,
    me: Me<'_>,
    config: &Config,
) -> Step {
    let Some(record) = record else {
        return Step::Create { opens_at: last_change + config.duration + config.write_timeout };
    };
    if me.holds(record) {
        return Step::Renew;
    }
    // Epochs rise anyway, by the status (R26): wrapping a forged maximum only keeps the API server content.
    let transitions = record.transitions.checked_add(1).filter(|next| *next > 0).unwrap_or(1);
    if record.released() {
        return Step::Take { transitions, opens_at: now };
    }
    let until = last_change + record.duration.unwrap_or(config.duration).min(DURATION_MAX);
    if now < until {
        return Step::Follow { until };
    }
    Step::Take { transitions, opens_at: until + config.write_timeout }
}

/// The epoch of a new term: above every epoch that a status remembers and above the Lease's own count, so that it rises
/// even when the Lease was deleted or etcd restored (R26). Kept for the whole term.
pub fn next_epoch(highest_in_status: i64, transitions: i32) -> i64 {
    highest_in_status.max(i64::from(transitions)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "pod-a";

    fn stamp(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn record(holder: &str, transitions: i32) -> Record {
        Record {
            holder: holder.into(),
            transitions,
            duration: Some(Duration::from_secs(15)),
            acquired: Some(stamp(100)),
            renewed: Some(stamp(100)),
        }
    }

    fn step(record: Option<&Record>, age_seconds: u64, term: Option<Term>) -> (Step, Instant) {
        let changed = Instant::now();
        let now = changed + Duration::from_secs(age_seconds);
        (decide(record, changed, now, Me { identity: ME, term }, &Config::default()), changed)
    }

    #[tokio::test(start_paused = true)]
    async fn r26_a_strangers_record_is_taken_only_after_its_duration_without_change() {
        let seconds = Duration::from_secs;
        for (age, taken) in [(0, false), (14, false), (15, true), (600, true)] {
            let (step, changed) = step(Some(&record("pod-b", 3)), age, None);
            let expected = if taken {
                Step::Take { transitions: 4, opens_at: changed + seconds(20) }
            } else {
                Step::Follow { until: changed + seconds(15) }
            };
            assert_eq!(step, expected, "at {age} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r26_a_released_lease_is_taken_and_opened_at_once() {
        let free = Record { acquired: None, ..record("", 3) };
        let (step, changed) = step(Some(&free), 1, None);
        assert_eq!(step, Step::Take { transitions: 4, opens_at: changed + Duration::from_secs(1) });
    }

    #[tokio::test(start_paused = true)]
    async fn r26_a_holder_blanked_by_hand_is_waited_for() {
        assert!(matches!(step(Some(&record("", 3)), 1, None).0, Step::Follow { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn r26_a_missing_lease_is_created_but_not_written_under_at_once() {
        let (step, changed) = step(None, 0, None);
        assert_eq!(step, Step::Create { opens_at: changed + Duration::from_secs(20) });
    }

    #[tokio::test(start_paused = true)]
    async fn r26_only_the_very_record_that_this_process_wrote_is_renewed() {
        let mine = Term { transitions: 3, acquired: stamp(100) };
        assert_eq!(step(Some(&record(ME, 3)), 1, Some(mine)).0, Step::Renew);
        assert_eq!(step(Some(&record(ME, 3)), 600, Some(mine)).0, Step::Renew, "late, but nobody took it");
        for term in [None, Some(Term { transitions: 2, ..mine }), Some(Term { acquired: stamp(99), ..mine })]
        {
            assert!(matches!(step(Some(&record(ME, 3)), 1, term).0, Step::Follow { .. }), "{term:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f12_nonsense_in_the_record_neither_panics_nor_locks_everyone_out() {
        let forged = Record { duration: Some(Duration::from_secs(u64::MAX >> 33)), ..record("x", i32::MAX) };
        assert!(matches!(step(Some(&forged), 299, None).0, Step::Follow { .. }));
        assert!(matches!(step(Some(&forged), 300, None).0, Step::Take { transitions: 1, .. }));
        let negative = Record { transitions: -7, duration: None, ..record("x", 0) };
        assert!(matches!(step(Some(&negative), 15, None).0, Step::Take { transitions: 1, .. }));
        assert_eq!(Record::of(&Lease::default()).duration, None);
    }

    #[test]
    fn r26_epochs_rise_whatever_the_lease_or_the_status_forgot() {
        assert_eq!(next_epoch(0, 0), 1);
        assert_eq!(next_epoch(7, 2), 8);
        assert_eq!(next_epoch(2, 7), 8);
        assert_eq!(next_epoch(i64::MAX, 7), i64::MAX);
    }

    #[test]
    fn times_that_would_let_two_write_are_refused() {
        let good = Config::default();
        assert_eq!(good.check(), Ok(()));
        let seconds = Duration::from_secs;
        for bad in [
            Config { duration: Duration::from_millis(15_500), ..good.clone() },
            Config { duration: seconds(0), ..good.clone() },
            Config { duration: seconds(301), ..good.clone() },
            Config { renew_deadline: seconds(15), ..good.clone() },
            Config { write_timeout: seconds(6), ..good.clone() },
            Config { retry: Duration::ZERO, ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
