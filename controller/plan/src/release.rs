//! What is known of versions: Releases as the controller assessed them, and what lies between two versions' schemas (R21). Pure.

use breakwater_crds::{
    release::Lane,
    report::DownStep,
    scalars::Span,
    words::{Impact, LoadTestVerdict, RevertSafety},
};
use jiff::Timestamp;

/// A Release with its evidence worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The version it speaks of.
    pub version: String,
    /// How fast it may travel.
    pub lane: Lane,
    /// Why the version is never to be rolled out.
    pub withdrawn: Option<String>,
    /// `DeviationReports` that it answers.
    pub fixes: Vec<String>,
    /// Since when the builds that another Rollout soaks have held all of it.
    pub includes_since: Option<Timestamp>,
    /// Its migrations; or why nobody knows what they do.
    pub migrations: Result<Migrations, String>,
    /// Its load tests.
    pub load_tests: Vec<LoadTest>,
}

/// The migrations of a version that were reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Those after this one ...
    pub from: u32,
    /// ... up to this one, the version's last.
    pub to: u32,
    /// In order of their numbers.
    pub files: Vec<Migration>,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When it may run.
    pub impact: Impact,
    /// What a revert over it needs.
    pub revert: RevertSafety,
    /// The longest it may take, in seconds, where rows are known.
    pub longest_seconds: Option<u64>,
    /// Why, in a sentence.
    pub reason: String,
    /// Its way down.
    pub down: DownStep,
}

/// A load test against the last stable version.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadTest {
    /// The configuration's name.
    pub name: String,
    /// What came of it.
    pub verdict: LoadTestVerdict,
    /// Why, in a sentence.
    pub message: String,
}

/// What lies between the schemas of two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// When the migrations may run.
    pub impact: Impact,
    /// What going back over them needs.
    pub revert: RevertSafety,
    /// The longest that they may take together, where it is known of each.
    pub longest: Option<Span>,
    /// The reason of the worst impact.
    pub why_impact: String,
    /// The reason of the worst revert.
    pub why_revert: String,
    /// The ways down, the last migration first.
    pub down: Vec<DownStep>,
}

impl Crossing {
    /// No migration lies between.
    fn none() -> Self {
        Self {
            impact: Impact::Quiet,
            revert: RevertSafety::RevertSafe,
            longest: Some(Span::seconds(0)),
            why_impact: String::new(),
            why_revert: String::new(),
            down: Vec::new(),
        }
    }

    /// A Release speaks of it, and nobody knows what it says: so the way down is not known either.
    fn unread(why: &str) -> Self {
        let step = DownStep { number: 0, file: "not known".into(), sql: format!("-- {why}") };
        Self { down: vec![step], ..Self::unknown(why) }
    }

    /// Unknown is never safe.
    pub(crate) fn unknown(why: &str) -> Self {
        Self {
            impact: Impact::Unknown,
            revert: RevertSafety::Unknown,
            longest: None,
            why_impact: why.to_owned(),
            why_revert: why.to_owned(),
            down: Vec::new(),
        }
    }

    fn add(&mut self, release: &str, migration: &Migration) {
        let why = format!(
            "migration {} {} of Release {release}: {}",
            migration.number, migration.name, migration.reason
        );
        if migration.impact > self.impact {
            (self.impact, self.why_impact) = (migration.impact, why.clone());
        }
        if migration.revert > self.revert {
            (self.revert, self.why_revert) = (migration.revert, why);
        }
        let longest = self.longest.zip(migration.longest_seconds);
        self.longest = longest.map(|(sum, seconds)| {
            Span::seconds(sum.as_seconds().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)))
        });
        self.down.insert(0, migration.down.clone());
    }

    /// The worse of two accounts of the same way.
    fn or_worse(mut self, other: Self) -> Self {
        if other.impact > self.impact {
            (self.impact, self.why_impact) = (other.impact, other.why_impact);
        }
        if other.revert > self.revert {
            (self.revert, self.why_revert, self.down) = (other.revert, other.why_revert, other.down);
        }
        self.longest = self.longest.zip(other.longest).map(|(a, b)| a.max(b));
        self
    }
}

/// What lies between the schemas of `older` and `newer`; `None` where no Release speaks of the newer one: nobody asks (R21).
/// Where several do, the worst counts.
pub fn crossing(releases: &[Release], older: &str, newer: &str) -> Option<Crossing> {
    // The running version's own word on its last migration, where it has one: the least of several.
    let own = releases.iter().filter(|release| release.version == older);
    let applied = own.filter_map(|release| Some(release.migrations.as_ref().ok()?.to)).min();
    let speaking = releases.iter().filter(|release| release.version == newer);
    speaking.map(|release| one(release, applied)).reduce(Crossing::or_worse)
}

fn one(release: &Release, applied: Option<u32>) -> Crossing {
    let migrations = match &release.migrations {
        Ok(migrations) => migrations,
        Err(why) => return Crossing::unread(&format!("Release {}: {why}", release.name)),
    };
    let from = applied.unwrap_or(migrations.from);
    if from < migrations.from.min(migrations.to) {
        return Crossing::unread(&format!(
            "Release {} reviews what comes after migration {}, and the running version has {from}: lower its spec.migrations.from",
            release.name, migrations.from
        ));
    }
    let mut crossing = Crossing::none();
    for migration in migrations.files.iter().filter(|migration| migration.number > from) {
        crossing.add(&release.name, migration);
    }
    crossing
}

/// How long another Rollout has soaked, and whether something went wrong there (`gates.soak`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soaked {
    /// Seconds in which it was Healthy, by day since 1970-01-01.
    pub days: Vec<(i64, i64)>,
    /// Names and times of its deviations that nobody has answered.
    pub open: Vec<(String, Timestamp)>,
}

impl Soaked {
    /// Healthy seconds of the days from `since` on; of the day of `since` itself only what its rest can hold.
    pub fn seconds_since(&self, since: Timestamp) -> i64 {
        const DAY: i64 = 86_400;
        let (day, into) = (since.as_second().div_euclid(DAY), since.as_second().rem_euclid(DAY));
        let of = |(of, seconds): &(i64, i64)| match of.cmp(&day) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => (*seconds).min(DAY - into),
            std::cmp::Ordering::Greater => *seconds,
        };
        self.days.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(
        number: u32,
        impact: Impact,
        revert: RevertSafety,
        longest_seconds: Option<u64>,
    ) -> Migration {
        let down =
            DownStep { number, file: format!("{number:06}_m.down.sql"), sql: format!("down {number}") };
        Migration {
            number,
            name: "m".into(),
            impact,
            revert,
            longest_seconds,
            reason: format!("{impact} {revert}"),
            down,
        }
    }

    fn release(version: &str, migrations: Result<Migrations, String>) -> Release {
        Release {
            name: format!("app-{version}"),
            version: version.into(),
            lane: Lane::Normal,
            withdrawn: None,
            fixes: Vec::new(),
            includes_since: None,
            migrations,
            load_tests: Vec::new(),
        }
    }

    fn two() -> Release {
        let files = vec![
            migration(5, Impact::Quiet, RevertSafety::RevertSafe, Some(1)),
            migration(6, Impact::OffHours, RevertSafety::RevertSafe, Some(100)),
            migration(7, Impact::Quiet, RevertSafety::RevertNeedsDown, Some(2)),
        ];
        release("2", Ok(Migrations { from: 4, to: 7, files }))
    }

    #[test]
    fn r21_the_worst_of_what_lies_between_counts_and_the_way_down_is_backwards() {
        let crossing = crossing(&[two()], "1", "2").unwrap();
        assert_eq!((crossing.impact, crossing.revert), (Impact::OffHours, RevertSafety::RevertNeedsDown));
        assert_eq!(crossing.longest, Some(Span::seconds(103)));
        assert_eq!(crossing.down.iter().map(|step| step.number).collect::<Vec<_>>(), [7, 6, 5]);
        assert!(
            crossing.why_impact.starts_with("migration 6 m of Release app-2: "),
            "{}",
            crossing.why_impact
        );
    }

    #[test]
    fn r21_the_running_versions_own_word_on_its_schema_stands_before_the_new_ones_guess() {
        let running = |to| release("1", Ok(Migrations { from: 0, to, files: Vec::new() }));
        let at = |to| crossing(&[two(), running(to)], "1", "2").unwrap();
        assert_eq!((at(6).impact, at(6).revert), (Impact::Quiet, RevertSafety::RevertNeedsDown));
        assert_eq!((at(7).impact, at(7).revert), (Impact::Quiet, RevertSafety::RevertSafe));
        assert_eq!((at(9).impact, at(9).revert), (Impact::Quiet, RevertSafety::RevertSafe));
        assert_eq!(
            (at(3).impact, at(3).revert),
            (Impact::Unknown, RevertSafety::Unknown),
            "3..4 nobody looked at"
        );
    }

    #[test]
    fn r21_without_a_release_nobody_asks_and_one_that_could_not_be_read_is_unknown() {
        assert_eq!(crossing(&[two()], "2", "3"), None);
        let unread = release("2", Err("ConfigMap m is not there".into()));
        let worst = crossing(&[two(), unread], "1", "2").unwrap();
        assert_eq!(
            (worst.impact, worst.revert, worst.longest),
            (Impact::Unknown, RevertSafety::Unknown, None)
        );
        assert_eq!(worst.why_revert, "Release app-2: ConfigMap m is not there");
    }

    #[test]
    fn soak_counts_from_the_moment_on() {
        let soaked = Soaked { days: vec![(0, 86_400), (1, 80_000), (2, 100)], open: Vec::new() };
        let at = |second| soaked.seconds_since(Timestamp::from_second(second).unwrap());
        assert_eq!([at(0), at(86_400), at(86_400 + 80_000), at(3 * 86_400)], [166_500, 80_100, 6_500, 0]);
    }
}
