//! A real Prometheus that scrapes operators of the test bed, as a plain process under a guard, and `promtool`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guard::Guard;
use crate::operator::Operator;
use crate::protocol::{Order, Report, Signal};
use crate::tools::Tools;
use crate::wait::eventually;
use crate::{folder, port};

/// Maximum time of a start on a busy machine.
const START: Duration = Duration::from_secs(90);

/// The program that checks rules.
const PROMTOOL: &str = "promtool";

/// Prometheus; killed when the value is dropped.
#[derive(Debug)]
pub struct Prometheus {
    guard: Guard,
    port: u16,
    http: reqwest::Client,
}

/// Returns true if Prometheus is missing. If so, reports why, and counts the test as skipped.
pub async fn lacks(test: &str) -> Result<bool> {
    let tools = Tools::ready().await?;
    let missing = ["prometheus", PROMTOOL].into_iter().find(|name| !tools.has(name));
    if let Some(name) = missing {
        crate::skip::skipped(test, &format!("testbed/tools.sh could not build {name}"));
    }
    Ok(missing.is_some())
}

/// Runs `promtool`.
pub fn promtool(tools: &Tools, arguments: &[&str], folder: &Path) -> Result<Output> {
    Command::new(tools.path(PROMTOOL)).args(arguments).current_dir(folder).output().context("running promtool")
}

impl Prometheus {
    /// Starts one that scrapes these operators every second, with the rules of a file.
    pub async fn start(operators: &[&Operator], rules: &Path) -> Result<Self> {
        let tools = Tools::ready().await?;
        let (folder, port) = (folder::create("prometheus")?, port::free()?);
        let targets: Vec<String> = operators.iter().map(|one| one.metrics_url().trim_start_matches("http://").to_owned()).collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules.canonicalize()?],
            "scrape_configs": [{"job_name": "headwind", "static_configs": [{"targets": targets}]}],
        });
        // JSON is YAML.
        std::fs::write(folder.join("prometheus.yml"), config.to_string())?;
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let words = [
            "guard".to_owned(),
            "--wait".to_owned(),
            "--folder".to_owned(),
            path(&folder),
            "--log".to_owned(),
            path(&folder.join("log")),
            "--".to_owned(),
            path(&tools.path("prometheus")),
            format!("--config.file={}", path(&folder.join("prometheus.yml"))),
            format!("--storage.tsdb.path={}", path(&folder.join("data"))),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--scrape.discovery-reload-interval=100ms".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        crate::provide_tls();
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(10)).build()?;
        let prometheus = Self { guard: Guard::spawn(words)?, port, http };
        prometheus.run(&folder.join("log")).await?;
        Ok(prometheus)
    }

    async fn run(&self, log: &Path) -> Result<()> {
        let since = self.guard.reports();
        self.guard.order(&Order::Start { env: BTreeMap::new() })?;
        eventually("Prometheus is ready", START, || async {
            let ended = self.guard.heard(since).iter().any(|report| matches!(report, Report::Ended { .. } | Report::Failed { .. }));
            match self.http.get(format!("{}/-/ready", self.url())).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(Ok(())),
                _ if ended => Ok(Err(anyhow!("Prometheus ended\n{}", folder::tail(log, 30)))),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks an instant query. Returns the series, each with its labels and value.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url()), [("query", expression)])?;
        let answer = self.http.get(url).send().await?;
        let body: Value = answer.json().await?;
        if body["status"] != "success" {
            bail!("{expression}: {body}");
        }
        Ok(body["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Kills it.
    pub async fn kill(&self) -> Result<()> {
        let since = self.guard.reports();
        self.guard.order(&Order::Signal { signal: Signal::Kill })?;
        let ended = |report: &Report| matches!(report, Report::Ended { .. }).then_some(());
        self.guard.report("Prometheus has ended", since, START, ended).await
    }
}
