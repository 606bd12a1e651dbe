//! etcd, kube-apiserver, kube-controller-manager and kwok: a cluster whose controllers are real and whose pods are
//! only said to run. Every part can be killed, stopped and started again on its data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use super::process::{Process, Program};
use super::{binaries, ports};

/// How long a part may take to serve; generous, for a machine that is busy compiling.
const READY_WITHIN: Duration = Duration::from_secs(90);

const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,\
    daemonset-controller,job-controller,namespace-controller,garbage-collector-controller,\
    serviceaccount-controller,clusterrole-aggregation-controller,validatingadmissionpolicy-status-controller";

/// The user in `system:masters`.
pub const ADMIN: &str = "admin";

/// Somebody who may log in with a token. What they may do is up to the roles a suite binds.
#[derive(Clone, Debug)]
pub struct User {
    name: String,
    groups: Vec<String>,
}

impl User {
    /// A user of these groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect() }
    }

    fn token(&self) -> String {
        format!("{}-token", self.name)
    }

    fn csv(&self) -> String {
        format!("{},{},uid-{},\"{}\"\n", self.token(), self.name, self.name, self.groups.join(","))
    }
}

/// One running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    kwok: Process,
    controllers: Process,
    api: ApiServer,
    etcd: Process,
    etcd_port: u16,
    folder: PathBuf,
}

impl ControlPlane {
    /// Starts all parts and returns when the API server is ready. `users` are added to the admin.
    pub async fn start(folder: &Path, users: &[User]) -> Result<Self> {
        write_tokens(folder, users)?;
        let etcd_port = ports::free()?;
        let etcd = start_etcd(folder, etcd_port)?;
        let api = ApiServer::start(folder, "kube-apiserver", etcd_port, users)?;
        api.ready().await?;
        let kubeconfig = api.kubeconfig(ADMIN);
        let controllers = start_controllers(folder, &kubeconfig)?;
        let kwok = start_kwok(folder, &kubeconfig)?;
        Ok(Self { kwok, controllers, api, etcd, etcd_port, folder: folder.into() })
    }

    /// The API server everything talks to.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// etcd, to be killed or stopped.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// The URL clients of etcd use.
    pub fn etcd_url(&self) -> String {
        loopback(self.etcd_port)
    }

    /// The controller manager.
    pub fn controllers(&self) -> &Process {
        &self.controllers
    }

    /// The fake kubelet.
    pub fn kwok(&self) -> &Process {
        &self.kwok
    }

    /// Starts one more API server on the same etcd, for the same users; its watch cache goes its own way.
    pub async fn another_api(&self, name: &str) -> Result<ApiServer> {
        let api = ApiServer::start(&self.folder, name, self.etcd_port, &[])?;
        for user in &self.api.users {
            api.write_kubeconfig(user, &user_token(user))?;
        }
        api.ready().await?;
        Ok(api)
    }
}

/// One API server.
#[derive(Debug)]
pub struct ApiServer {
    process: Process,
    name: String,
    folder: PathBuf,
    port: u16,
    users: Vec<String>,
}

impl ApiServer {
    fn start(folder: &Path, name: &str, etcd_port: u16, users: &[User]) -> Result<Self> {
        let port = ports::free()?;
        // The server makes this pair itself where it is missing; its key signs the service accounts' tokens too.
        let key = folder.join("certs/apiserver.key");
        let path = |path: &Path| path.display().to_string();
        let program = Program::new(name, binaries::find("kube-apiserver")?)
            .arg(format!("--etcd-servers={}", loopback(etcd_port)))
            .arg(format!("--secure-port={port}"))
            .args([
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ])
            .arg(format!("--cert-dir={}", path(&folder.join("certs"))))
            .arg(format!("--token-auth-file={}", path(&folder.join("tokens.csv"))))
            .arg(format!("--service-account-key-file={}", path(&key)))
            .arg(format!("--service-account-signing-key-file={}", path(&key)))
            .args(["--service-account-issuer=https://bed.test", "--service-cluster-ip-range=10.0.0.0/24"])
            // Pods never really run, so nothing is to be mounted into them.
            .args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"]);
        let process = Process::start(program, folder)?;
        let users = std::iter::once(ADMIN.into()).chain(users.iter().map(|user| user.name.clone())).collect();
        let server = Self { process, name: name.into(), folder: folder.into(), port, users };
        for user in &server.users {
            server.write_kubeconfig(user, &user_token(user))?;
        }
        Ok(server)
    }

    /// Waits until it serves: at first, and after a restart.
    pub async fn ready(&self) -> Result<()> {
        let look = async || {
            let request = axum::http::Request::get("/readyz").body(Vec::new())?;
            self.client(ADMIN).await?.request_text(request).await.map(drop).context("/readyz")
        };
        self.process.serves(READY_WITHIN, look).await
    }

    /// The process, to be killed, stopped and restarted; see [`Self::ready`].
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The kubeconfig file of a user of the bed.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{}-{user}.kubeconfig", self.name))
    }

    /// A client for a user, bound to the runtime it is made on.
    pub async fn client(&self, user: &str) -> Result<Client> {
        client_of(&self.kubeconfig(user)).await
    }

    /// A kubeconfig file that holds a fresh token (for 12 hours) of a service account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(ADMIN).await?, namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(12 * 3600), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let answer =
            answer.with_context(|| format!("request a token of service account {namespace}/{name}"))?;
        let token = answer.status.context("the answer to a token request has no status")?.token;
        self.write_kubeconfig(&format!("{namespace}-{name}"), &token)
    }

    fn write_kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf> {
        let authority = self.folder.join("certs/apiserver.crt");
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bed",
            "clusters": [{"name": "bed", "cluster": {"server": self.url(), "certificate-authority": authority}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user, "namespace": "default"}}],
        });
        let path = self.kubeconfig(user);
        std::fs::write(&path, config.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// A client for whoever a kubeconfig file speaks of.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    crate::install_crypto();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(Client::try_from(config)?)
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn user_token(name: &str) -> String {
    User::new(name, &[]).token()
}

fn write_tokens(folder: &Path, users: &[User]) -> Result<()> {
    let admin = User::new(ADMIN, &["system:masters"]);
    let lines: String = std::iter::once(&admin).chain(users).map(User::csv).collect();
    std::fs::write(folder.join("tokens.csv"), lines).context("write tokens.csv")
}

fn start_etcd(folder: &Path, port: u16) -> Result<Process> {
    let (client, peer) = (loopback(port), loopback(ports::free()?));
    let program = Program::new("etcd", binaries::find("etcd")?)
        .args(["--unsafe-no-fsync", "--log-level=warn"])
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"));
    Process::start(program, folder)
}

fn start_controllers(folder: &Path, kubeconfig: &Path) -> Result<Process> {
    let program = Program::new("kube-controller-manager", binaries::find("kube-controller-manager")?)
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--controllers={CONTROLLERS}"))
        .args(["--leader-elect=false", "--secure-port=0", "--kube-api-qps=1000", "--kube-api-burst=2000"])
        .args(["--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20"]);
    Process::start(program, folder)
}

fn start_kwok(folder: &Path, kubeconfig: &Path) -> Result<Process> {
    let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("kwok");
    let files = ["configuration", "node", "pod-ready", "pod-trouble"];
    let program = Program::new("kwok", binaries::find("kwok")?)
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .args(["--manage-all-nodes", "--node-ip=127.0.0.1", "--node-lease-duration-seconds=0"])
        .args(files.map(|file| format!("--config={}", stages.join(file).with_extension("yaml").display())));
    Process::start(program, folder)
}
