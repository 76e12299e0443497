//! A real OpenTelemetry Collector, as a plain process under a guard. It writes the spans that it accepts to a file.
//!
//! Operators send to a recorder in front of it, which keeps every request and passes it on. If the Collector is missing,
//! the recorder accepts everything itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::fake_server::{Asked, Seen, Site};
use crate::guard::Guard;
use crate::protocol::Order;
use crate::tools::Tools;
use crate::wait::eventually;
use crate::{folder, port};

const PROGRAM: &str = "otelcol";

/// The Collector. It ends with the value.
pub struct Collector {
    recorder: Site,
    process: Option<Process>,
}

struct Process {
    spans: PathBuf,
    _guard: Guard,
}

impl Collector {
    /// Starts one, ready to take spans. If the Collector is missing, reports why, and counts that part of the test as
    /// skipped.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(test: &str) -> Result<Self> {
        crate::provide_tls();
        let tools = Tools::ready().await?;
        if !tools.has(PROGRAM) {
            crate::skip::skipped(&format!("the real Collector of {test}"), &format!("testbed/tools.sh could not build {PROGRAM}"));
            let recorder = Site::start(|_, _| async { (StatusCode::OK, "{}").into_response() }).await?;
            return Ok(Self { recorder, process: None });
        }
        let (folder, port) = (folder::create(PROGRAM)?, port::free()?);
        let process = Process::start(&tools.path(PROGRAM), &folder, port)?;
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(10)).build()?;
        let url = format!("http://127.0.0.1:{port}/v1/traces");
        eventually("the Collector is ready", Duration::from_mins(1), || async {
            let answer = client.post(&url).header(CONTENT_TYPE, "application/json").body("{}").send().await;
            let status = answer.map_err(|error| error.to_string())?.status();
            if status.is_success() { Ok(()) } else { Err(status.to_string()) }
        })
        .await?;
        let answer = move |_, asked| {
            let (client, url) = (client.clone(), url.clone());
            async move { pass_on(&client, &url, asked).await }
        };
        let recorder = Site::start(answer).await?;
        Ok(Self { recorder, process: Some(process) })
    }

    /// Its URL for traces.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.recorder.host())
    }

    /// Every request of an operator, the oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.recorder.log()
    }

    /// What it accepted: an `ExportTraceServiceRequest` for each call, the oldest first.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn accepted(&self) -> Result<Vec<Value>> {
        let text = match &self.process {
            // Its file exists after the first spans.
            Some(process) if process.spans.exists() => std::fs::read_to_string(&process.spans).context("the spans of the Collector")?,
            Some(_) => String::new(),
            None => self.seen().into_iter().map(|seen| seen.body + "\n").collect(),
        };
        // The last line may be incomplete.
        Ok(text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

impl Process {
    fn start(program: &Path, folder: &Path, port: u16) -> Result<Self> {
        let (config, spans) = (folder.join("config.yaml"), folder.join("spans.jsonl"));
        // JSON is YAML.
        let text = json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": format!("127.0.0.1:{port}")}}}},
            "exporters": {"file": {"path": spans, "flush_interval": "100ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        std::fs::write(&config, text.to_string())?;
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let words = [
            "guard".to_owned(),
            "--wait".to_owned(),
            "--folder".to_owned(),
            path(folder),
            "--log".to_owned(),
            path(&folder.join("log")),
            "--".to_owned(),
            path(program),
            "--config".to_owned(),
            path(&config),
        ];
        let guard = Guard::spawn(words)?;
        guard.order(&Order::Start { env: BTreeMap::new() })?;
        Ok(Self { spans, _guard: guard })
    }
}

/// Sends the same body to the Collector, and returns its response.
async fn pass_on(client: &Client, url: &str, asked: Asked) -> Response {
    let mut request = client.post(url).body(asked.body);
    if let Some(kind) = asked.headers.get(CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, kind);
    }
    match request.send().await {
        Ok(answer) => (answer.status(), answer.text().await.unwrap_or_default()).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
