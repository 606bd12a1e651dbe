//! The controller itself: election, executor, alerts, and leading while the lease is held; on whatever ground it is
//! given. I/O.

use std::{sync::Arc, time::Duration};

use axum::Router;
use breakwater_crds::Rollout;
use kube::{Api, Client, api::ListParams};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    alerts::{self, Alerts},
    execute::{self, Executor},
    ground::Ground,
    http::{self, HttpState},
    lease::{self, Candidate, Election, GiveBack, Lease, Standing},
    metrics::Metrics,
    rollouts::{self, Handles, Office, Options as RolloutOptions, Targets},
    stop,
    tasks::{Lost, Tasks},
    telemetry::{Reach, Secret},
};

/// Longest wait for writes in flight at the end.
const DRAIN: Duration = Duration::from_secs(12);
/// Slots that advances leave free for a revert (R18).
pub(crate) const REVERT_RESERVE: usize = 4;

/// Everything about the controller that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the Lease, the stop `ConfigMap` and the webhook's token.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Who this process is; unique.
    pub identity: String,
    /// The Lease's times.
    pub lease: lease::Config,
    /// Which Prometheus may be asked.
    pub reach: Arc<Reach>,
    /// Secret with the webhook's bearer token under `token`; without one the webhook stays shut.
    pub webhook_token_secret: Option<String>,
    /// Most tenant writes in flight.
    pub max_in_flight_writes: usize,
    /// Time limit of one tenant write.
    pub write_timeout: Duration,
    /// Shortest time between two status writes that are no transitions, while advancing or reverting (R27).
    pub status_interval: Duration,
}

/// Where and as whom a process runs, as the API server tells it.
#[derive(Debug, Clone)]
pub struct WhoAmI {
    /// Who the API server takes it for.
    pub user: String,
    /// The hub that it runs in: names its Rollouts' markers (R48).
    pub hub: String,
}

/// One process's controller, ready to run.
pub struct Program {
    handles: Handles,
    election: Election,
    office: watch::Sender<Option<Office>>,
    alerts: Arc<Alerts>,
    http: HttpState,
    /// Tasks that live as long as the program.
    tasks: Tasks,
}

impl Program {
    /// Puts the parts together and begins to watch the stop; `whoami` is what the API server told of this process.
    /// Must be called inside a tokio runtime.
    pub fn new(settings: &Settings, ground: Ground, whoami: WhoAmI) -> Result<Self, lease::ConfigError> {
        let WhoAmI { user, hub } = whoami;
        let Settings {
            namespace,
            lease_name,
            identity,
            lease,
            reach,
            webhook_token_secret,
            max_in_flight_writes,
            write_timeout,
            status_interval,
        } = settings;
        let (clients, clock) = (&ground.clients, &ground.clock);
        let metrics = Metrics::new(clock.clone());
        let mut tasks = Tasks::new();
        let (stop, stopping) = stop::watch(clients.watches.clone(), namespace);
        tasks.spawn("watch of the stop", stopping);
        let candidate =
            Candidate { namespace: namespace.clone(), name: lease_name.clone(), identity: identity.clone() };
        let highest = highest_epoch(clients.requests.clone());
        let (election, lease) =
            Election::new(clients.lease.clone(), candidate, lease.clone(), clock.clone(), highest)?;
        let executor = Executor::new(
            execute::Settings {
                max_in_flight: max_in_flight_writes + REVERT_RESERVE,
                revert_reserve: REVERT_RESERVE,
                write_timeout: *write_timeout,
            },
            Arc::new(lease.clone()),
            clock.clone(),
            Arc::new(metrics.clone()),
        );
        let (office, opened) = watch::channel(None::<Office>);
        let targets = Arc::new(Targets { office: opened.clone(), client: clients.requests.clone() });
        let alerts = Arc::new(Alerts::new(targets, user.clone(), alerts::REMEMBERED));
        tasks.spawn("second look at alerts", alerts::redecide_for_ever(alerts.clone(), clock.clone()));
        tasks.spawn("pull of alerts", alerts::pull_for_ever(alerts.clone(), clock.clone()));
        let token = token(clients.requests.clone(), namespace, webhook_token_secret.as_ref(), &mut tasks);
        // A standby is ready as well: it answers health and metrics, and tells Alertmanager to try again. Who holds the lease and
        // does not get to lead is not (S1).
        let (told, ready) = watch::channel(true);
        tasks.spawn("readiness", tell_readiness(lease.clone(), opened.clone(), told));
        let http = HttpState {
            alerts: alerts.clone(),
            token,
            ready,
            metrics: metrics.clone(),
            clock: clock.clone(),
        };
        let options = RolloutOptions {
            reach: reach.clone(),
            status_interval: *status_interval,
            write_timeout: *write_timeout,
            hub,
            user,
        };
        let identity = identity.clone();
        let steps = Arc::default();
        let handles = Handles { ground, lease, executor, stop, metrics, options, steps, identity };
        Ok(Self { handles, election, office, alerts, http, tasks })
    }

    /// What is to be served: alerts, health, metrics.
    pub fn router(&self) -> Router {
        http::router(self.http.clone())
    }

    /// What probes ask, on a listener of their own.
    pub fn probes(&self) -> Router {
        http::probes(self.http.clone())
    }

    /// The alerts, for whoever brings them by another way than HTTP.
    pub fn alerts(&self) -> Arc<Alerts> {
        self.alerts.clone()
    }

    /// Runs until `shutdown`, then gives the lease back once the writes in flight are answered. A task that is lost ends it
    /// sooner, and the lease runs out by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Lost> {
        let Self { handles, election, office, alerts: _, http: _, mut tasks } = self;
        let (give_back, end) = oneshot::channel();
        let elected = tokio::spawn(election.run(async { end.await.unwrap_or(GiveBack::Abandon) }));
        let drained = tokio::select! {
            biased;
            lost = tasks.lost() => return Err(lost),
            drained = lead_while_leading(&handles, &office, &shutdown) => drained?,
        };
        let is_told = give_back.send(if drained { GiveBack::Release } else { GiveBack::Abandon }).is_ok();
        match elected.await {
            Ok(()) if is_told || shutdown.is_cancelled() => Ok(()),
            ended => Err(Lost::of("election", ended)),
        }
    }
}

/// Follows the webhook's token; without a Secret the webhook stays shut.
fn token(
    client: Client,
    namespace: &str,
    secret: Option<&String>,
    tasks: &mut Tasks,
) -> watch::Receiver<Option<Secret>> {
    let (sender, token) = watch::channel(None);
    if let Some(name) = secret {
        let followed = http::follow_token(client, namespace.to_owned(), name.clone(), sender);
        tasks.spawn("webhook's token", followed);
    }
    token
}

/// How long a leader may take to list what it leads.
const OPENS_WITHIN: Duration = Duration::from_mins(1);

/// Tells that this process is not ready while it holds the lease, and for a minute has not led: its watches do not list. The lease
/// is not given up for it; another process would meet the same API server.
async fn tell_readiness(
    mut lease: Lease,
    mut office: watch::Receiver<Option<Office>>,
    ready: watch::Sender<bool>,
) {
    let mut since = None;
    loop {
        let leads = matches!(lease.standing(), Standing::Leading(_));
        let opens = leads && office.borrow_and_update().is_none();
        since = opens.then(|| since.unwrap_or_else(Instant::now)); // each renewal of the lease comes by here
        let late = since.is_some_and(|since| since.elapsed() >= OPENS_WITHIN);
        if late && *ready.borrow() {
            tracing::error!(
                "the lease is held, and nothing is led: what is to be watched was not listed for a minute"
            );
        }
        ready.send_replace(!late);
        let until_late = since.map_or(OPENS_WITHIN, |since| OPENS_WITHIN.saturating_sub(since.elapsed()));
        tokio::select! {
            changed = lease.changed() => if !changed { std::future::pending::<()>().await },
            opened = office.changed() => if opened.is_err() { std::future::pending::<()>().await },
            () = tokio::time::sleep(until_late), if opens && !late => {}
        }
    }
}

/// One term after the other, each with fresh watches and an empty memory, until `shutdown` or the election's end. True when
/// every write was answered at the end.
async fn lead_while_leading(
    handles: &Handles,
    office: &watch::Sender<Option<Office>>,
    shutdown: &CancellationToken,
) -> Result<bool, Lost> {
    let mut lease = handles.lease.clone();
    loop {
        let epoch = tokio::select! {
            biased; // so that a rehearsal plays the same twice
            epoch = leading(&mut lease) => epoch,
            () = shutdown.cancelled() => return Ok(true),
        };
        let Some(epoch) = epoch else { return Ok(true) };
        tracing::info!(epoch, "leading");
        handles.metrics.leader(true);
        let end = shutdown.child_token();
        let term = rollouts::lead(handles.clone(), end.clone(), |known| {
            office.send_replace(Some(known));
        });
        tokio::pin!(term);
        let drained = tokio::select! {
            biased;
            drained = &mut term => Some(drained?),
            () = lost(&mut lease, epoch) => {
                tracing::warn!(epoch, "no longer leading");
                None
            }
            () = shutdown.cancelled() => None,
        };
        end.cancel();
        office.send_replace(None);
        if shutdown.is_cancelled() {
            // Reconciles that run are waited for, so that nothing is written after the lease is given back.
            let waited = async { tokio::time::timeout(DRAIN, &mut term).await.unwrap_or(Ok(false)) };
            return if let Some(drained) = drained { Ok(drained) } else { waited.await };
        }
        handles.metrics.leader(false);
    }
}

/// Waits until this process leads; `None` when the election has ended.
async fn leading(lease: &mut Lease) -> Option<i64> {
    loop {
        if let Standing::Leading(fence) = lease.standing() {
            return Some(fence.epoch);
        }
        if !lease.changed().await {
            return None;
        }
    }
}

/// Waits until this process no longer leads under `epoch`.
async fn lost(lease: &mut Lease, epoch: i64) {
    while matches!(lease.standing(), Standing::Leading(fence) if fence.epoch == epoch) {
        if !lease.changed().await {
            return;
        }
    }
}

/// The highest epoch in any Rollout's status (R26).
fn highest_epoch(client: Client) -> lease::HighestEpoch {
    Arc::new(move || {
        let api: Api<kube::core::DeserializeGuard<Rollout>> = Api::all(client.clone());
        Box::pin(async move {
            let all = api.list(&ListParams::default()).await?;
            let epochs = all
                .items
                .iter()
                .filter_map(|object| object.0.as_ref().ok()?.status.as_ref().map(|s| s.epoch));
            Ok(epochs.max().unwrap_or(0))
        })
    })
}

#[cfg(test)]
mod tests {
    use ::http::{Request, Response};
    use breakwater_crds::rollout::Prometheus;
    use jiff::Timestamp;
    use kube::client::Body;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::{client, telemetry::Counts};

    /// A controller whose API server never answers.
    fn program() -> Program {
        let service =
            service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, BoxError>>());
        let clients = client::over(&service, &client::Settings::default());
        let counts =
            Arc::new(|_: &str, _: Option<&Prometheus>| -> Arc<dyn Counts> { panic!("nothing is read") });
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let settings = Settings {
            namespace: "ops".into(),
            lease_name: "breakwater".into(),
            identity: "a".into(),
            lease: lease::Config::default(),
            reach: Arc::default(),
            webhook_token_secret: None,
            max_in_flight_writes: 4,
            write_timeout: Duration::from_secs(5),
            status_interval: Duration::from_secs(10),
        };
        Program::new(
            &settings,
            Ground { clients, clock, counts },
            WhoAmI { user: "us".into(), hub: "hub".into() },
        )
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_ends_the_run_with_an_error_that_names_it() {
        let mut program = program();
        program.tasks.spawn("brake", async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            panic!("no events");
        });
        let lost = program.run(CancellationToken::new()).await.unwrap_err();
        assert_eq!(lost.to_string(), "task brake panicked: no events");
    }

    #[tokio::test(start_paused = true)]
    async fn s1_a_leader_that_does_not_get_to_lead_is_not_ready() {
        let leading = || {
            let valid_until = Instant::now() + Duration::from_secs(10);
            Standing::Leading(lease::Fence { epoch: 1, valid_until })
        };
        let (standing, lease) = watch::channel(Standing::Following { holder: None });
        let (office, opened) = watch::channel(None::<Office>);
        let (told, ready) = watch::channel(true);
        tokio::spawn(tell_readiness(Lease::of(lease), opened, told));
        let renew_for = async |seconds: u64| {
            for _ in 0..seconds / 2 {
                standing.send_replace(leading());
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        };
        renew_for(58).await;
        assert!(*ready.borrow(), "it may take a minute to list");
        renew_for(4).await;
        assert!(!*ready.borrow(), "renewed all the while");
        office.send_replace(Some(Office::default()));
        renew_for(2).await;
        assert!(*ready.borrow());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_to_end_ends_without_an_error() {
        let shutdown = CancellationToken::new();
        let ran = tokio::spawn(program().run(shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(30)).await;
        shutdown.cancel();
        assert_eq!(ran.await.unwrap(), Ok(()));
    }
}
