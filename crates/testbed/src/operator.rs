//! The real `headwind` binary, run as in a cluster: its own service account with exactly the shipped permissions,
//! settings from environment variables, output to a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use crate::audit::Query;
use crate::bed::Bed;
use crate::guard::Guard;
use crate::protocol::{Order, ProcessId, Report, Signal};
use crate::registry::canaries;
use crate::wait::eventually;
use crate::{binaries, folder, port, skip};

mod account;
mod metrics;

/// Timeout for a start or an end.
const STEP: Duration = Duration::from_mins(1);
const ACCOUNT: &str = "headwind";

/// The options of an operator.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// `HEADWIND_NAMESPACE`, and the namespace of its service account.
    pub own_namespace: String,
    /// `HEADWIND_WATCH_NAMESPACES`; empty for all.
    pub namespaces: Vec<String>,
    /// Additional variables.
    pub env: BTreeMap<String, String>,
    /// Variables of the test bed to leave out.
    pub unset: BTreeSet<String>,
    /// The replica's name. Its identity in the Lease is the name with the number of its start, because every process
    /// has its own identity: `headwind-0-1`, after a restart `headwind-0-2`.
    pub replica: String,
    /// True if the shipped admission policy is installed too, bound to the watched namespaces.
    pub admission_policy: bool,
    /// The binary; the one just built if `None`.
    pub binary: Option<PathBuf>,
}

impl OperatorOptions {
    /// Creates the options of an operator with its own namespace, which is the only one that it watches.
    pub fn new(own_namespace: &str) -> Self {
        Self {
            own_namespace: own_namespace.to_owned(),
            namespaces: vec![own_namespace.to_owned()],
            env: BTreeMap::new(),
            unset: BTreeSet::new(),
            replica: "headwind-0".to_owned(),
            admission_policy: true,
            binary: None,
        }
    }

    /// Watches these namespaces; none means all (use [`Bed::own`] then, because it would act on the workloads of every
    /// test).
    #[must_use]
    pub fn watch(mut self, namespaces: &[&str]) -> Self {
        self.namespaces = namespaces.iter().map(|namespace| (*namespace).to_owned()).collect();
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds variables.
    #[must_use]
    pub fn envs<N: AsRef<str>, V: AsRef<str>>(self, all: impl IntoIterator<Item = (N, V)>) -> Self {
        all.into_iter().fold(self, |options, (name, value)| options.env(name.as_ref(), value.as_ref()))
    }

    /// Leaves a variable at the operator's own default.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.unset.insert(name.to_owned());
        self
    }

    /// Sets the replica's name.
    #[must_use]
    pub fn replica(mut self, replica: &str) -> Self {
        replica.clone_into(&mut self.replica);
        self
    }
}

/// The namespaces of operators with a credential in their logs.
static LEAKS: parking_lot::Mutex<Vec<String>> = parking_lot::Mutex::new(Vec::new());

/// Returns the namespaces of ended operators that had a credential of the test bed's registries in their logs.
pub fn leaks() -> Vec<String> {
    LEAKS.lock().clone()
}

/// An operator; killed when the value is dropped. It keeps its ports over restarts.
#[derive(Debug)]
pub struct Operator {
    options: OperatorOptions,
    env: Mutex<BTreeMap<String, String>>,
    webhook: u16,
    api: u16,
    ui: u16,
    metrics: u16,
    log: PathBuf,
    http: Client,
    guard: Guard,
    /// Index of the first report of the latest start.
    since: AtomicUsize,
    starts: AtomicUsize,
}

impl Operator {
    /// Prepares an operator: CRDs, service account, permissions, kubeconfig. Does not start it.
    pub async fn new(bed: &Bed, options: OperatorOptions) -> Result<Self> {
        let binary = match options.binary.clone() {
            Some(binary) => binary,
            None => tokio::task::spawn_blocking(binaries::headwind).await??,
        };
        bed.install_crds(&binary).await?;
        let folder = folder::create("operator")?;
        let kubeconfig = account::kubeconfig(bed, &binary, &options, ACCOUNT, &folder.join("kubeconfig")).await?;
        let (webhook, api, ui, metrics) = (port::free()?, port::free()?, port::free()?, port::free()?);
        let mut env: BTreeMap<String, String> = [("WEBHOOK", webhook), ("API", api), ("UI", ui), ("METRICS", metrics)]
            .into_iter()
            .map(|(name, port)| (format!("HEADWIND_{name}_ADDR"), format!("127.0.0.1:{port}")))
            .collect();
        for (name, value) in [
            ("KUBECONFIG", kubeconfig.to_string_lossy().into_owned()),
            ("HEADWIND_NAMESPACE", options.own_namespace.clone()),
            ("HEADWIND_WATCH_NAMESPACES", options.namespaces.join(",")),
            ("RUST_LOG", "info,headwind=debug".to_owned()),
            // Most tests send webhooks for images that no registry has.
            ("HEADWIND_WEBHOOK_CONFIRM", "false".to_owned()),
            ("HEADWIND_APPROVAL_CONFIRM", "false".to_owned()),
        ] {
            env.insert(name.to_owned(), value);
        }
        env.extend(options.env.clone());
        env.retain(|name, _| !options.unset.contains(name));
        let log = folder.join("operator.log");
        let guard = Guard::spawn([
            "guard".as_ref(),
            "--wait".as_ref(),
            "--folder".as_ref(),
            folder.as_os_str(),
            "--log".as_ref(),
            log.as_os_str(),
            "--".as_ref(),
            binary.as_os_str(),
            "run".as_ref(),
        ])?;
        let http = Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self {
            options,
            env: Mutex::new(env),
            webhook,
            api,
            ui,
            metrics,
            log,
            http,
            guard,
            since: AtomicUsize::new(0),
            starts: AtomicUsize::new(0),
        })
    }

    /// Like [`Operator::new`], started and ready.
    pub async fn run(bed: &Bed, options: OperatorOptions) -> Result<Self> {
        let operator = Self::new(bed, options).await?;
        operator.start().await?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Starts the process. Use [`Operator::ready`] and [`Operator::exited`] to wait for the result.
    pub async fn start(&self) -> Result<()> {
        let since = self.guard.reports();
        self.since.store(since, Ordering::SeqCst);
        self.starts.fetch_add(1, Ordering::SeqCst);
        let mut env = self.env.lock().unwrap_or_else(PoisonError::into_inner).clone();
        env.entry("HEADWIND_IDENTITY".to_owned()).or_insert_with(|| self.identity());
        self.guard.order(&Order::Start { env })?;
        self.guard
            .report("the operator is started", since, STEP, |report| match report {
                Report::Started { .. } => Some(Ok(())),
                Report::Failed { message } => Some(Err(anyhow!("{message}"))),
                _ => None,
            })
            .await?
    }

    /// Waits until `/ready` returns 200. Fails at once, with the end of the log, if it ends.
    pub async fn ready(&self) -> Result<()> {
        self.ready_within(STEP).await
    }

    /// Waits until it is ready, for a cluster whose lists take longer than usual.
    pub async fn ready_within(&self, patience: Duration) -> Result<()> {
        let url = format!("{}/ready", self.metrics_url());
        eventually("the operator is ready", patience, || async {
            match self.http.get(&url).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(Ok(())),
                _ if !self.is_running() => Ok(Err(anyhow!("the operator ended before it was ready\n{}", folder::tail(&self.log, 30)))),
                Ok(answer) => Err(format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default())),
                Err(error) => Err(format!("{error}\n{}", folder::tail(&self.log, 10))),
            }
        })
        .await?
    }

    /// Kills it, as a failed node would, and waits until it is gone.
    pub async fn kill9(&self) -> Result<()> {
        self.signal(Signal::Kill)?;
        self.exited(STEP).await.map(drop)
    }

    /// Terminates it (SIGTERM) and returns its exit code; `None` if a signal ended it.
    pub async fn terminate(&self) -> Result<Option<i32>> {
        self.signal(Signal::Term)?;
        self.exited(STEP).await
    }

    /// Waits for its end and returns its exit code; `None` if a signal ended it.
    pub async fn exited(&self, deadline: Duration) -> Result<Option<i32>> {
        let ended = self.guard.report("the operator has ended", self.since.load(Ordering::SeqCst), deadline, |report| match report {
            Report::Ended { code, signal: _ } => Some(*code),
            _ => None,
        });
        ended.await.with_context(|| folder::tail(&self.log, 30))
    }

    /// Ends it if it runs, starts it at the same addresses and waits until it is ready. Alternates between SIGTERM,
    /// which releases the lease at once, and SIGKILL, after which the lease must expire.
    pub async fn restart(&self) -> Result<()> {
        if self.is_running() {
            if self.starts.load(Ordering::SeqCst).is_multiple_of(2) {
                self.kill9().await?;
            } else {
                let code = self.terminate().await?;
                anyhow::ensure!(code == Some(0), "after SIGTERM it ended with {code:?}\n{}", folder::tail(&self.log, 30));
            }
        }
        self.start().await?;
        self.ready().await
    }

    /// Suspends it (SIGSTOP): a leader that hangs.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Resumes it (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Returns true if it was started and has not ended.
    pub fn is_running(&self) -> bool {
        let reports = self.guard.heard(self.since.load(Ordering::SeqCst));
        matches!(reports.last(), Some(Report::Started { .. }))
    }

    /// Sets a variable for the next start; `None` removes it.
    pub fn set_env(&self, name: &str, value: Option<&str>) {
        let mut env = self.env.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => env.insert(name.to_owned(), value.to_owned()),
            None => env.remove(name),
        };
    }

    /// Returns its output over all starts.
    pub fn logs(&self) -> Result<String> {
        match fs::read(&self.log) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the JSON lines of its log.
    pub fn log_lines(&self) -> Result<Vec<Value>> {
        Ok(self.logs()?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Returns true if its log contains this text.
    pub fn log_contains(&self, text: &str) -> Result<bool> {
        Ok(self.logs()?.contains(text))
    }

    /// Returns a metric: the sum of all series with this name and these labels. 0 if the family has no such series yet;
    /// an error if there is no such family.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        metrics::sum(&self.scrape().await?, name, labels)
    }

    /// Returns the whole response of `/metrics`.
    pub async fn scrape(&self) -> Result<String> {
        let answer = self.http.get(format!("{}/metrics", self.metrics_url())).send().await?;
        if answer.status() != StatusCode::OK {
            bail!("/metrics answered {}", answer.status());
        }
        Ok(answer.text().await?)
    }

    /// Returns `http://127.0.0.1:PORT` of the webhook port.
    pub fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.webhook)
    }

    /// Returns the URL for the notifications of a distribution registry.
    pub fn notifications(&self) -> Result<Url> {
        Ok(Url::parse(&format!("{}/webhook/registry", self.webhook_url()))?)
    }

    /// Returns `http://127.0.0.1:PORT` of the API.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// Returns `http://127.0.0.1:PORT` of the web UI.
    pub fn ui_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ui)
    }

    /// Returns `http://127.0.0.1:PORT` of metrics and health.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.metrics)
    }

    /// Returns its identity in the Lease since its latest start.
    pub fn identity(&self) -> String {
        format!("{}-{}", self.options.replica, self.starts.load(Ordering::SeqCst))
    }

    /// Selects its requests in the audit log.
    pub fn requests(&self) -> Query {
        Query::new().account(&self.options.own_namespace, ACCOUNT)
    }

    /// Returns its latest process.
    pub fn process(&self) -> Option<ProcessId> {
        self.guard.heard(0).into_iter().rev().find_map(|report| match report {
            Report::Started { process } => Some(process),
            _ => None,
        })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            bail!("the operator is not running\n{}", folder::tail(&self.log, 30));
        }
        self.guard.order(&Order::Signal { signal })
    }
}

impl Drop for Operator {
    /// Records if a credential of the test bed's registries is in the log ([`leaks`]). Prints the end of the log if a
    /// test panics, and keeps the whole log if `HEADWIND_TESTBED_LOGS` names a folder.
    fn drop(&mut self) {
        if self.logs().is_ok_and(|log| canaries().iter().any(|canary| log.contains(canary))) {
            LEAKS.lock().push(self.options.own_namespace.clone());
        }
        if std::thread::panicking() {
            skip::note(&folder::tail(&self.log, 60));
        }
        if let Some(folder) = std::env::var_os("HEADWIND_TESTBED_LOGS").map(PathBuf::from) {
            let _ = fs::create_dir_all(&folder);
            let _ = fs::copy(&self.log, folder.join(format!("{}-{}.log", self.options.own_namespace, self.options.replica)));
        }
    }
}
