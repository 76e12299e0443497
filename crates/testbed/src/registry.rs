//! A real image registry (CNCF distribution) on loopback, one for each caller, with configurable notifications.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use reqwest::{Client, Method, Response, StatusCode, Url, header};
use serde_json::{Value, json};

use crate::folder;
use crate::guard::Guard;
use crate::port;
use crate::protocol::{Order, ProcessId, Report, Signal};
use crate::tools::Tools;
use crate::wait::eventually;

mod chart;
mod image;

use image::{Blob, Image};

const START: Duration = Duration::from_secs(30);

/// The registry's configuration.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// True to send no `pull` notifications.
    pub ignore_pulls: bool,
    /// Headers of every notification, for example a secret.
    pub headers: Vec<(String, String)>,
    /// An address of this machine; `None` for `127.0.0.1`.
    pub host: Option<Ipv4Addr>,
    /// The port; `None` for a free one.
    pub port: Option<u16>,
    /// True if it requires [`LOGIN`] with Basic authentication.
    pub locked: bool,
}

/// The user and password of a locked registry.
pub const LOGIN: (&str, &str) = ("puller", "canary-pull-7f3a");
/// Returns the texts in which [`LOGIN`] could leak: its password, and the Basic credential.
pub fn canaries() -> [String; 2] {
    let (user, password) = LOGIN;
    [password.to_owned(), base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))]
}

/// The same in the format of an `htpasswd` file: bcrypt with cost 5.
const HTPASSWD: &str = "puller:$2y$05$abcdefghijklmnopqrstuukEO56vHmmKC/LLvLMAKm8kvfB.i5AKe\n";

/// A running registry; it ends when the value is dropped.
#[derive(Debug)]
pub struct Registry {
    address: String,
    log: PathBuf,
    locked: bool,
    http: Client,
    guard: Guard,
}

impl Registry {
    /// Starts a registry that notifies these URLs.
    pub async fn start(notify: &[Url], options: RegistryOptions) -> Result<Self> {
        let tools = Tools::ready().await?;
        let folder = folder::create("registry")?;
        let host = options.host.unwrap_or(Ipv4Addr::LOCALHOST);
        let address = format!("{host}:{}", options.port.map_or_else(port::free, Ok)?);
        let config = write_config(&folder, &address, notify, &options)?;
        let log = folder.join("registry.log");
        let guard = Guard::spawn([
            "guard".as_ref(),
            "--wait".as_ref(),
            "--folder".as_ref(),
            folder.as_os_str(),
            "--log".as_ref(),
            log.as_os_str(),
            "--".as_ref(),
            tools.path("registry").as_os_str(),
            "serve".as_ref(),
            config.as_os_str(),
        ])?;
        crate::provide_tls();
        // Connections are not reused: they would belong to the runtime of one test.
        let mut http = Client::builder().pool_max_idle_per_host(0).no_proxy();
        if options.locked {
            let [_, login] = canaries();
            http = http.default_headers([(header::AUTHORIZATION, format!("Basic {login}").parse()?)].into_iter().collect());
        }
        let http = http.build()?;
        let registry = Self { address, log, locked: options.locked, http, guard };
        registry.restart().await?;
        Ok(registry)
    }

    /// Returns its `HOST:PORT`, as in image references.
    pub fn addr(&self) -> &str {
        &self.address
    }

    /// Returns a full reference: `127.0.0.1:PORT/repo:tag`.
    pub fn image(&self, repo: &str, tag: &str) -> String {
        format!("{}/{repo}:{tag}", self.address)
    }

    /// Pushes a tiny OCI image and returns its digest. The same seed has the same digest.
    pub async fn push(&self, repo: &str, tag: &str, seed: &str) -> Result<String> {
        let image = self.upload_image(repo, seed).await?;
        self.put_manifest(repo, tag, &image.manifest).await
    }

    /// Pushes an image with a program that really runs, with one argument. Returns its digest.
    pub async fn push_program(&self, repo: &str, tag: &str, program: &[u8], argument: &str) -> Result<String> {
        let image = self.upload(repo, image::program(program, argument)?).await?;
        self.put_manifest(repo, tag, &image.manifest).await
    }

    /// Pushes an OCI index of two images (amd64 and arm64). Returns the index's digest.
    pub async fn push_index(&self, repo: &str, tag: &str, seed: &str) -> Result<String> {
        let mut members = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let image = self.upload_image(repo, &format!("{seed}-{architecture}")).await?;
            self.put_manifest(repo, &image.manifest.digest, &image.manifest).await?;
            members.push((architecture, image.manifest));
        }
        self.put_manifest(repo, tag, &image::index(&members)?).await
    }

    /// Deletes a manifest by digest, or a tag.
    pub async fn delete(&self, repo: &str, reference: &str) -> Result<()> {
        let answer = self.http.delete(self.url(repo, &format!("manifests/{reference}"))).send().await?;
        expect(answer, StatusCode::ACCEPTED).await.map(drop)
    }

    /// Returns the current digest of a tag, if there is one.
    pub async fn digest(&self, repo: &str, tag: &str) -> Result<Option<String>> {
        let answer = self.http.head(self.url(repo, &format!("manifests/{tag}"))).header(header::ACCEPT, image::ACCEPTED).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = expect(answer, StatusCode::OK).await?;
        Ok(Some(header_of(&answer, "docker-content-digest")?))
    }

    /// Kills the process. Its storage is kept.
    pub async fn stop(&self) -> Result<()> {
        let since = self.guard.reports();
        self.guard.order(&Order::Signal { signal: Signal::Kill })?;
        self.guard.report("the registry has ended", since, START, |report| matches!(report, Report::Ended { .. }).then_some(())).await
    }

    /// Starts it, or restarts it, at the same address with the same storage.
    pub async fn restart(&self) -> Result<()> {
        let since = self.guard.reports();
        self.guard.order(&Order::Start { env: std::collections::BTreeMap::new() })?;
        let url = format!("http://{}/v2/", self.address);
        eventually("the registry answers", START, || async {
            let reports = self.guard.heard(since);
            let ended = reports.iter().any(|report| matches!(report, Report::Ended { .. } | Report::Failed { .. }));
            // The registry may answer before its guard has said which process it is.
            let started = reports.iter().any(|report| matches!(report, Report::Started { .. }));
            match self.http.get(&url).send().await {
                Ok(answer) if answer.status() == StatusCode::OK && started => Ok(Ok(())),
                _ if ended => Ok(Err(anyhow!("the registry ended\n{}", folder::tail(&self.log, 30)))),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?
    }

    /// Returns its latest process.
    pub fn process(&self) -> Option<ProcessId> {
        self.guard.heard(0).into_iter().rev().find_map(|report| match report {
            Report::Started { process } => Some(process),
            _ => None,
        })
    }

    async fn upload_image(&self, repo: &str, seed: &str) -> Result<Image> {
        self.upload(repo, image::image(seed)?).await
    }

    async fn upload(&self, repo: &str, image: Image) -> Result<Image> {
        for blob in [&image.layer, &image.config] {
            self.put_blob(repo, blob).await?;
        }
        Ok(image)
    }

    async fn put_blob(&self, repo: &str, blob: &Blob) -> Result<()> {
        let answer = expect(self.http.post(self.url(repo, "blobs/uploads/")).send().await?, StatusCode::ACCEPTED).await?;
        let mut place = Url::parse(&format!("http://{}", self.address))?.join(&header_of(&answer, "location")?)?;
        place.query_pairs_mut().append_pair("digest", &blob.digest);
        let request = self.http.put(place).header(header::CONTENT_TYPE, "application/octet-stream");
        expect(request.body(blob.bytes.clone()).send().await?, StatusCode::CREATED).await.map(drop)
    }

    async fn put_manifest(&self, repo: &str, reference: &str, manifest: &Blob) -> Result<String> {
        let request = self
            .http
            .request(Method::PUT, self.url(repo, &format!("manifests/{reference}")))
            .header(header::CONTENT_TYPE, manifest.media_type);
        let answer = expect(request.body(manifest.bytes.clone()).send().await?, StatusCode::CREATED).await?;
        let digest = header_of(&answer, "docker-content-digest")?;
        if digest != manifest.digest {
            bail!("the registry stored {repo}:{reference} as {digest}, expected {}", manifest.digest);
        }
        Ok(digest)
    }

    fn url(&self, repo: &str, rest: &str) -> String {
        format!("http://{}/v2/{repo}/{rest}", self.address)
    }
}

async fn expect(answer: Response, status: StatusCode) -> Result<Response> {
    if answer.status() == status {
        return Ok(answer);
    }
    let (got, url) = (answer.status(), answer.url().clone());
    bail!("{url}: {got} and not {status}: {}", answer.text().await.unwrap_or_default())
}

fn header_of(answer: &Response, name: &str) -> Result<String> {
    let value = answer.headers().get(name).with_context(|| format!("{}: no header {name}", answer.url()))?;
    Ok(value.to_str()?.to_owned())
}

/// Writes the registry's configuration (JSON, which is valid YAML) and returns its path.
pub(crate) fn write_config(folder: &Path, address: &str, notify: &[Url], options: &RegistryOptions) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let headers: serde_json::Map<String, Value> = options.headers.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let ignored = if options.ignore_pulls { json!({"actions": ["pull"]}) } else { json!({}) };
    let endpoints: Vec<Value> = notify
        .iter()
        .enumerate()
        .map(|(index, url)| {
            json!({
                "name": format!("listener-{index}"), "url": url.as_str(), "headers": headers, "ignore": ignored,
                "timeout": "1s", "threshold": 10, "backoff": "200ms",
            })
        })
        .collect();
    let mut config = json!({
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": folder.join("storage")},
            "delete": {"enabled": true},
            "maintenance": {"uploadpurging": {"enabled": false}},
        },
        "http": {"addr": address, "secret": "not a secret: one registry, on loopback"},
        "notifications": {"endpoints": endpoints},
    });
    if options.locked {
        let file = folder.join("htpasswd");
        fs::write(&file, HTPASSWD)?;
        config["auth"] = json!({"htpasswd": {"realm": "test bed", "path": file}});
    }
    let path = folder.join("config.yaml");
    fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(path)
}
