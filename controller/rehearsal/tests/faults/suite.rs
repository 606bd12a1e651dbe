//! Cases, and how a set of them is played: spread over the processors, with one line that sums up.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use breakwater_crds::marker::stable_hash;
use breakwater_rehearsal::{
    apiserver::Verb,
    fleet::{Lie, chance},
};

use super::{
    harm::{ANSWERS, Harm},
    oracle,
    play::{Ran, play},
    script::{self, Script},
};

/// Longest run without harm, in virtual seconds.
const BOUND: i64 = 4 * 3600;

/// Lies that say nothing, or nonsense: the truth cannot be told from them, and they must not be believed.
pub const LIES: [Lie; 23] = [
    Lie::Away,
    Lie::Slow,
    Lie::ServerError,
    Lie::Unavailable,
    Lie::TooManySamples,
    Lie::Unauthorized,
    Lie::NotJson,
    Lie::Truncated,
    Lie::TooLarge,
    Lie::Partial,
    Lie::Empty,
    Lie::Nan,
    Lie::Infinite,
    Lie::Negative,
    Lie::HalfTheTenants,
    Lie::NoTotals,
    Lie::MoreBadThanTotal,
    Lie::Duplicates,
    Lie::Strangers,
    Lie::OtherLabels,
    Lie::Stale,
    Lie::Future,
    Lie::MixedTimes,
];

/// Every script's run without harm, played once for all classes.
static PLAINS: LazyLock<Vec<Plain>> =
    LazyLock::new(|| script::all().iter().map(|script| Plain::of(script.name)).collect());

/// A script's run without harm.
pub fn plain(name: &str) -> &'static Plain {
    PLAINS.iter().find(|plain| plain.script.name == name).expect("a script of this name")
}

/// A script and what is done to it.
pub struct Case {
    pub script: String,
    pub harms: Vec<Harm>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.script)?;
        self.harms.iter().try_for_each(|harm| write!(f, " {harm}"))
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let script = words.next().ok_or("no script")?.to_owned();
        let harms = words.map(str::parse).collect::<Result<_, String>>()?;
        Ok(Self { script, harms })
    }
}

/// A script, and its run without harm.
pub struct Plain {
    pub script: Script,
    pub ran: Ran,
}

impl Plain {
    pub fn of(name: &str) -> Self {
        let script =
            script::all().into_iter().find(|script| script.name == name).expect("a script of this name");
        let ran = play(&script, &[], BOUND);
        let wrong = oracle::check(&script, &ran, &ran, &[], BOUND);
        assert!(wrong.is_empty(), "{name} without any harm:\n    {}", wrong.join("\n    "));
        Self { script, ran }
    }

    /// Calls of the run without harm.
    pub fn calls(&self) -> u64 {
        self.ran.calls.len() as u64
    }

    /// Moments all over the run, so many seconds apart.
    pub fn moments(&self, apart: usize) -> impl Iterator<Item = i64> + use<> {
        (1..self.ran.seconds).step_by(apart)
    }

    /// The calls that write one object.
    pub fn writing_calls(&self) -> Vec<u64> {
        let writes = |verb| matches!(verb, Verb::Update | Verb::Patch);
        let calls = self.ran.calls.iter().zip(0..);
        calls.filter(|(call, _)| writes(call.verb) && call.kind != "Lease").map(|(_, index)| index).collect()
    }

    /// Of each kind of call the first, one in the middle, and the last.
    pub fn sites(&self) -> Vec<u64> {
        let mut sites: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (call, index) in self.ran.calls.iter().zip(0..) {
            sites.entry((call.verb, call.kind.clone(), call.subresource)).or_default().push(index);
        }
        let few = |calls: Vec<u64>| {
            let mut few = vec![calls[0], calls[calls.len() / 2], calls[calls.len() - 1]];
            few.dedup();
            few
        };
        sites.into_values().flat_map(few).collect()
    }

    /// Three harms of any kind.
    pub fn mix(&self, seed: u64) -> Vec<Harm> {
        let (calls, seconds) = (self.ran.calls.len(), usize::try_from(self.ran.seconds).unwrap_or(0));
        let one = |turn: u64| {
            let draw = |what, below| draw(seed, &[turn, what], below);
            let (call, at) = (draw(1, calls) as u64, signed(draw(2, seconds)));
            let pick = |below| draw(3, below);
            match draw(0, 7) {
                0 => Harm::Crash { call, after: pick(2) == 0 },
                1 => Harm::Answer { call, with: ANSWERS[pick(ANSWERS.len())].into() },
                2 => Harm::Away { at, seconds: signed(pick(120)) + 1 },
                3 => Harm::Compact { at },
                4 => Harm::Stale { at, seconds: signed(pick(400)) + 1, restart: false },
                5 => Harm::Lie { lie: LIES[pick(LIES.len())], at, seconds: 300 },
                // Three together stay below the lag of a reading; see `clocks` in docs/faults.md.
                _ => Harm::Clock { at, by: signed(pick(19)) - 9 },
            }
        };
        (0..3).map(one).collect()
    }

    /// Plays with harms; what is wrong.
    pub fn play(&self, harms: &[Harm]) -> Vec<String> {
        let bound = self.ran.seconds + harms.iter().map(Harm::delay).sum::<i64>();
        let ran = play(&self.script, harms, bound);
        oracle::check(&self.script, &self.ran, &ran, harms, bound)
    }
}

/// A number below `below`, decided by the seed and what it is for.
pub fn draw(seed: u64, what: &[u64], below: usize) -> usize {
    let drawn = chance::mix(seed, what) % (below.max(1) as u64);
    usize::try_from(drawn).unwrap_or(0)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Plays the cases that `cases` makes of each script: `few` of them, or all where the environment asks for it.
pub fn run(class: &str, few: usize, cases: impl Fn(&Plain) -> Vec<Vec<Harm>>) {
    let plains = &*PLAINS;
    let mut all: Vec<(usize, Vec<Harm>)> = Vec::new();
    for (index, plain) in plains.iter().enumerate() {
        all.extend(cases(plain).into_iter().map(|harms| (index, harms)));
    }
    let total = all.len();
    if !std::env::var("BREAKWATER_FAULTS").is_ok_and(|which| which == "all") {
        // The same part every time, and no pattern in it.
        all.sort_by_cached_key(|(script, harms)| stable_hash(&[&script.to_string(), &format!("{harms:?}")]));
        all.truncate(few);
    }
    let failed = each(plains, &all);
    println!("{class}: {} of {total} cases, {} failed", all.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn each(plains: &[Plain], cases: &[(usize, Vec<Harm>)]) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((script, harms)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = plains[*script].play(harms);
                    if !wrong.is_empty() {
                        failed.lock().expect("no panic").push(tell(
                            plains[*script].script.name,
                            harms,
                            &wrong,
                        ));
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no panic")
}

fn tell(script: &str, harms: &[Harm], wrong: &[String]) -> String {
    let case = Case { script: script.into(), harms: harms.to_vec() };
    format!(
        "{case}:\n    {}\n    again: BREAKWATER_FAULT='{case}' cargo test -p breakwater-rehearsal --test faults replay",
        wrong.join("\n    ")
    )
}
