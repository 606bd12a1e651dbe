//! What is done to a run: harms at a call, and harms at a moment. Each has a word, so that a case is a line of text.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use breakwater_rehearsal::{
    apiserver::{ApiServer, Call, Failure, Fate, Fates},
    fleet::Lie,
};
use tokio::sync::Notify;

/// One harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// The controller dies at its n-th call: before it is sent, or after it took effect; it is started again.
    Crash { call: u64, after: bool },
    /// The n-th call is answered so.
    Answer { call: u64, with: String },
    /// A rival writes the object of the n-th call just before it.
    Rival { call: u64 },
    /// From this second on, for so many seconds, the API server answers nobody.
    Away { at: i64, seconds: i64 },
    /// The watches' past is forgotten, and every watch ends.
    Compact { at: i64 },
    /// The controller's watches stand still for so long; it may be restarted meanwhile.
    Stale { at: i64, seconds: i64, restart: bool },
    /// While no watch is open, a tenant goes to another version and back, or is made anew.
    Unseen { at: i64, anew: bool },
    /// The controller's clock steps, and is set right after [`WRONG`].
    Clock { at: i64, by: i64 },
    /// Prometheus lies for so long.
    Lie { lie: Lie, at: i64, seconds: i64 },
    /// A field of the spec is edited, and set back after [`EDITED`].
    Edit { at: i64, which: usize },
    /// The status is wiped.
    Wipe { at: i64 },
    /// The Rollout is deleted, and created again after [`EDITED`].
    Delete { at: i64 },
    /// A second controller is started.
    Double { at: i64 },
    /// A second controller is started, and every call of the first takes so long from then on: a zombie's late writes.
    Zombie { at: i64, seconds: i64 },
}

/// How long a clock stays wrong, in seconds.
pub const WRONG: i64 = 1200;

/// How long an edit stands, and how long a deleted Rollout is gone, in seconds.
pub const EDITED: i64 = 300;

/// Answers that a call can be given.
pub const ANSWERS: [&str; 17] = [
    "400",
    "401",
    "403",
    "404",
    "409",
    "410",
    "422",
    "429",
    "500",
    "502",
    "503",
    "504",
    "504-after",
    "truncated",
    "reset",
    "reset-after",
    "hang",
];

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { call, after } => {
                write!(f, "crash:{call}:{}", if *after { "after" } else { "before" })
            }
            Self::Answer { call, with } => write!(f, "answer:{call}:{with}"),
            Self::Rival { call } => write!(f, "rival:{call}"),
            Self::Away { at, seconds } => write!(f, "away:{at}:{seconds}"),
            Self::Compact { at } => write!(f, "compact:{at}"),
            Self::Stale { at, seconds, restart } => {
                write!(f, "stale:{at}:{seconds}:{}", if *restart { "restart" } else { "stay" })
            }
            Self::Unseen { at, anew } => write!(f, "unseen:{at}:{}", if *anew { "anew" } else { "back" }),
            Self::Clock { at, by } => write!(f, "clock:{at}:{by}"),
            Self::Lie { lie, at, seconds } => write!(f, "lie:{at}:{seconds}:{lie:?}"),
            Self::Edit { at, which } => write!(f, "edit:{at}:{which}"),
            Self::Wipe { at } => write!(f, "wipe:{at}"),
            Self::Delete { at } => write!(f, "delete:{at}"),
            Self::Double { at } => write!(f, "double:{at}"),
            Self::Zombie { at, seconds } => write!(f, "zombie:{at}:{seconds}"),
        }
    }
}

impl FromStr for Harm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let wrong = || format!("{text:?} is no harm");
        let number = |index: usize| parts.get(index).and_then(|p| p.parse::<i64>().ok()).ok_or_else(wrong);
        let word = |index: usize| parts.get(index).copied().ok_or_else(wrong);
        let call = || number(1).map(i64::unsigned_abs);
        Ok(match parts[0] {
            "crash" => Self::Crash { call: call()?, after: word(2)? == "after" },
            "answer" => Self::Answer { call: call()?, with: word(2)?.to_owned() },
            "rival" => Self::Rival { call: call()? },
            "away" => Self::Away { at: number(1)?, seconds: number(2)? },
            "compact" => Self::Compact { at: number(1)? },
            "stale" => Self::Stale { at: number(1)?, seconds: number(2)?, restart: word(3)? == "restart" },
            "unseen" => Self::Unseen { at: number(1)?, anew: word(2)? == "anew" },
            "clock" => Self::Clock { at: number(1)?, by: number(2)? },
            "lie" => {
                let lie = serde_json::from_value(word(3)?.into()).map_err(|why| why.to_string())?;
                Self::Lie { lie, at: number(1)?, seconds: number(2)? }
            }
            "edit" => Self::Edit { at: number(1)?, which: word(2)?.parse().map_err(|_| wrong())? },
            "wipe" => Self::Wipe { at: number(1)? },
            "delete" => Self::Delete { at: number(1)? },
            "double" => Self::Double { at: number(1)? },
            "zombie" => Self::Zombie { at: number(1)?, seconds: number(2)? },
            _ => return Err(wrong()),
        })
    }
}

impl Harm {
    /// When it happens, if it happens at a moment.
    pub fn at(&self) -> Option<i64> {
        match self {
            Self::Crash { .. } | Self::Answer { .. } | Self::Rival { .. } => None,
            Self::Away { at, .. }
            | Self::Compact { at }
            | Self::Stale { at, .. }
            | Self::Unseen { at, .. }
            | Self::Clock { at, .. }
            | Self::Lie { at, .. }
            | Self::Edit { at, .. }
            | Self::Wipe { at }
            | Self::Delete { at }
            | Self::Double { at }
            | Self::Zombie { at, .. } => Some(*at),
        }
    }

    /// Whether what the status remembers of waves may differ in the end: it was taken away.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Wipe { .. } | Self::Delete { .. })
    }

    /// Whether a verification may end without an answer: to a clock that jumps by more than three times `verifyFor` (ten
    /// minutes in the scripts) the data looks that late.
    pub fn outruns_verification(&self) -> bool {
        matches!(self, Self::Clock { by, .. } if *by > 3 * 600)
    }

    /// For how long a run may take longer because of it, in seconds.
    pub fn delay(&self) -> i64 {
        match self {
            // Another term begins once the lease has expired (five minutes), and the clock of a soak stands meanwhile.
            Self::Crash { .. } | Self::Double { .. } => 900,
            Self::Answer { .. } | Self::Rival { .. } | Self::Compact { .. } | Self::Unseen { .. } => 600,
            Self::Away { seconds, .. }
            | Self::Lie { seconds, .. }
            | Self::Stale { seconds, .. }
            | Self::Zombie { seconds, .. } => seconds * 2 + 1800,
            Self::Edit { .. } | Self::Wipe { .. } | Self::Delete { .. } => 2 * EDITED + 3600,
            Self::Clock { by, .. } => by.abs() * 2 + 2 * WRONG + 1800,
        }
    }
}

/// Does the harms that happen at calls, over all controllers of a run.
pub struct Injector {
    harms: Vec<Harm>,
    api: Mutex<Option<ApiServer>>,
    calls: AtomicU64,
    /// A crash was ordered: nothing passes until the controller is dead.
    dead: AtomicBool,
    /// Seconds that every call takes.
    slow: AtomicU64,
    /// Wakes the one who kills.
    pub struck: Notify,
    /// Every call so far.
    pub log: Mutex<Vec<Call>>,
}

impl Injector {
    pub fn new(harms: &[Harm]) -> Arc<Self> {
        Arc::new(Self {
            harms: harms.iter().filter(|harm| harm.at().is_none()).cloned().collect(),
            api: Mutex::new(None),
            calls: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            slow: AtomicU64::new(0),
            struck: Notify::new(),
            log: Mutex::default(),
        })
    }

    /// Whom rivals write to.
    pub fn serve(&self, api: ApiServer) {
        *self.api.lock().expect("no panic") = Some(api);
    }

    /// The controller is dead; the next one lives.
    pub fn buried(&self) {
        self.dead.store(false, Ordering::Relaxed);
    }

    /// From now on every call takes so long.
    pub fn slow(&self, seconds: u64) {
        self.slow.store(seconds, Ordering::Relaxed);
    }

    fn strike(&self, after: bool) -> Fate {
        self.dead.store(true, Ordering::Relaxed);
        self.struck.notify_one();
        if after { Fate::HangAfter } else { Fate::Hang }
    }

    fn rival(&self, call: &Call) {
        let api = self.api.lock().expect("no panic").clone();
        if let Some(api) = api.filter(|_| !call.name.is_empty()) {
            api.modify("rival", (&call.kind, &call.namespace, &call.name), |object| {
                object["metadata"]["annotations"]["rival.example/was-here"] = call.index.to_string().into();
            });
        }
    }
}

impl Fates for Injector {
    fn fate(&self, call: &Call) -> Fate {
        if self.dead.load(Ordering::Relaxed) {
            return Fate::Hang;
        }
        let index = self.calls.fetch_add(1, Ordering::Relaxed);
        self.log.lock().expect("no panic").push(call.clone());
        for harm in &self.harms {
            match harm {
                Harm::Crash { call, after } if *call == index => return self.strike(*after),
                Harm::Answer { call, with } if *call == index => return answer(with),
                Harm::Rival { call: at } if *at == index => self.rival(call),
                _ => {}
            }
        }
        match self.slow.load(Ordering::Relaxed) {
            0 => Fate::Pass,
            seconds => Fate::Delay(Duration::from_secs(seconds)),
        }
    }
}

/// One of [`ANSWERS`].
fn answer(with: &str) -> Fate {
    let failure = |code: u16, reason| Failure::new(code, reason, "injected");
    match with {
        "400" => Fate::Refuse(failure(400, "BadRequest")),
        "401" => Fate::Refuse(failure(401, "Unauthorized")),
        "403" => Fate::Refuse(failure(403, "Forbidden")),
        "404" => Fate::Refuse(failure(404, "NotFound")),
        "409" => Fate::Refuse(failure(409, "Conflict")),
        "410" => Fate::Refuse(failure(410, "Expired")),
        "422" => Fate::Refuse(failure(422, "Invalid")),
        "429" => Fate::Refuse(Failure { retry_after: 2, ..failure(429, "TooManyRequests") }),
        "500" => Fate::Refuse(failure(500, "InternalError")),
        "502" => Fate::Refuse(failure(502, "")),
        "503" => Fate::Refuse(failure(503, "ServiceUnavailable")),
        "504" => Fate::Refuse(failure(504, "Timeout")),
        "504-after" => Fate::RefuseAfter(failure(504, "Timeout")),
        "truncated" => Fate::Truncate,
        "reset" => Fate::Break,
        "reset-after" => Fate::BreakAfter,
        "hang" => Fate::Hang,
        _ => panic!("{with} is none of {ANSWERS:?}"),
    }
}
