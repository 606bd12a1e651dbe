//! The look at the past that arms a wave's comparison, in the background: one study at a time, SLO after SLO, chunk after
//! chunk, so that neither Prometheus nor the minutes of the rollout wait for it. I/O.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use breakwater_plan::study::{Look, Studied, Study, Week};
use breakwater_slo::Learned;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    feed::{Held, Wanted, lock},
    ids::TenantIds,
    past::Past,
};

/// How long after a study that came to nothing the next is tried.
const TRIED_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Shortest pause between two looks, so that a Prometheus is not asked without a break.
const PAUSE: Duration = Duration::from_millis(10);

/// The study under way, if one is.
#[derive(Debug, Default)]
pub(super) struct Studying {
    task: Option<JoinHandle<()>>,
    of: Option<(Timestamp, Timestamp)>,
}

impl Studying {
    /// Begins the study that is wanted, unless it is under way, or was tried a moment ago.
    pub(super) fn follow(
        &mut self,
        wanted: &Wanted,
        readers: impl FnOnce() -> Vec<Past>,
        held: &Arc<Vec<Mutex<Held>>>,
        told: &watch::Sender<u64>,
        now: Timestamp,
    ) {
        let Some(study) = &wanted.study else {
            self.stop();
            return;
        };
        let lasts = self.task.as_ref().is_some_and(|task| !task.is_finished());
        if self.of.is_some_and(|(of, since)| {
            of == study.wave_started_at && (lasts || now.duration_since(since) < TRIED_AGAIN)
        }) {
            return;
        }
        // Own ratios come first.
        let weeks: Vec<Option<Week>> =
            held.iter().map(|slot| lock(slot).reading.history.get(&study.week).cloned()).collect();
        if (0..held.len()).any(|slo| study.step_seconds(slo).is_some() && weeks[slo].is_none()) {
            return;
        }
        self.stop();
        self.of = Some((study.wave_started_at, now));
        let (study, ids, readers) = match &wanted.chosen {
            Some(chosen) => {
                let study = Study { arms: chosen.arms.clone(), ..Study::clone(study) };
                let readers = readers().into_iter().map(|past| past.of(&chosen.names)).collect();
                (Arc::new(study), chosen.ids.clone(), readers)
            }
            None => (study.clone(), wanted.ids.clone(), readers()),
        };
        let job = Job { study, weeks, held: held.clone(), ids, told: told.clone() };
        self.task = Some(tokio::spawn(job.run(readers)));
    }

    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.of = None;
    }
}

impl Drop for Studying {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Job {
    study: Arc<Study>,
    weeks: Vec<Option<Week>>,
    held: Arc<Vec<Mutex<Held>>>,
    ids: Arc<TenantIds>,
    told: watch::Sender<u64>,
}

impl Job {
    async fn run(self, mut readers: Vec<Past>) {
        let slos = self.held.iter().zip(&mut readers).zip(&self.weeks).enumerate();
        for (slo, ((slot, reader), week)) in slos {
            let key = self.study.wave_started_at;
            let done = matches!(lock(slot).reading.studies.get(&key), Some(Ok(_)));
            let (Some(step), Some(week), false) = (self.study.step_seconds(slo), week, done) else {
                continue;
            };
            let learned = self.learn(slo, step, reader, week).await;
            let members = self.study.members.clone();
            let studied = learned.map(|learned| Arc::new(Studied { learned, members }));
            let reading = &mut lock(slot).reading;
            reading.study_progress = None;
            reading.studies.insert(key, studied);
            self.told.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    async fn learn(&self, slo: usize, step: i64, reader: &mut Past, week: &Week) -> Result<Learned, String> {
        let looks = self.study.looks(step);
        let all: i64 = looks.iter().map(|look| steps(*look)).sum();
        let (mut done, mut known) = (0, None::<Learned>);
        for look in looks {
            let mut lesson =
                self.study.lesson(slo, look, week).ok_or_else(|| "this SLO is not compared".to_owned())?;
            let mut chunks = reader.chunks(look, &self.ids);
            while chunks.read(reader, &mut |end, counted| lesson.step(end, counted)).await? {
                let share = (done + chunks.done(look)) as f64 / all.max(1) as f64;
                lock(&self.held[slo]).reading.study_progress = Some(share.min(1.0));
                tokio::time::sleep(PAUSE.max(chunks.took())).await;
            }
            done += steps(look);
            let learned = match lesson.finish() {
                Ok(learned) => learned,
                Err(why) => return Err(explained(why, reader, look).await),
            };
            known = Some(match known {
                Some(known) => known.and(learned),
                None => learned,
            });
        }
        known.ok_or_else(|| "there is no past to look at".to_owned())
    }
}

/// With how far back the data reach, where they do not reach back far enough.
async fn explained(why: String, reader: &Past, look: Look) -> String {
    match reader.oldest(look.from_seconds, look.until_seconds).await {
        Ok(Some(oldest)) if oldest > look.from_seconds => match Timestamp::from_second(oldest) {
            Ok(oldest) => format!("{why}: Prometheus's samples reach back to {oldest}"),
            Err(_) => why,
        },
        Ok(None) => format!("{why}: Prometheus has no samples of then"),
        Ok(Some(_)) | Err(_) => why,
    }
}

fn steps(look: Look) -> i64 {
    (look.until_seconds - look.from_seconds) / look.step_seconds.max(1)
}
