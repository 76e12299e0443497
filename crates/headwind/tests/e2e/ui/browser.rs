//! Chromium, driven by chromedriver: pages, keys, console messages, accessibility, pictures.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::http::Method;
use base64::Engine as _;
use fantoccini::wd::{TimeoutConfiguration, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);
const TAB: &str = "\u{e004}";
/// Names, widths and heights of the views, in CSS pixels.
const WIDTHS: &[(&str, u32, u32)] = &[("desktop", 1280, 800), ("phone", 390, 844), ("narrow", 320, 640)];
/// Accessibility rules that pages must pass: WCAG 2.2 AA.
const RULES: &str = r#"["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]"#;

/// Returns the programs, if both are installed.
pub(crate) fn programs() -> Option<(PathBuf, PathBuf)> {
    let find = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    Some((find("chromium")?, find("chromedriver")?))
}

/// A browser. Ends with the value.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _driver: Child,
    _cleaner: Child,
    _profile: tempfile::TempDir,
    /// The folder for pictures.
    shots: PathBuf,
    axe: Option<String>,
}

/// The command of chromedriver for the messages of the console.
#[derive(Debug)]
struct Log;

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

/// Starts a process that ends browser and driver as soon as the standard input of this process is closed, however it
/// ends.
fn cleaner(profile: &Path, driver: u32) -> Result<Child> {
    const SCRIPT: &str = r#"cat >/dev/null; kill -KILL "$2"; pkill -KILL -f -- "--user-data-dir=$1"; sleep 1; rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "cleaner"]).arg(profile).arg(driver.to_string());
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?)
}

impl Browser {
    /// Starts chromedriver and a browser.
    pub(crate) async fn start() -> Result<Self> {
        let (chromium, chromedriver) = programs().context("chromium and chromedriver")?;
        let profile = tempfile::tempdir()?;
        let mut driver =
            Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(driver.stdout.take().context("standard output")?).lines();
        let port = loop {
            let line = tokio::time::timeout(SOON, lines.next_line()).await??.context("chromedriver ended")?;
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Reads its later lines, so that it can write them.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let cleaner = cleaner(profile.path(), driver.id().context("chromedriver ended")?)?;
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &folder,
        ];
        let options = json!({"binary": chromium, "args": arguments});
        let capabilities = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let Value::Object(capabilities) = capabilities else { bail!("not an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("no session")?;
        // Cargo runs a test in the folder of its package.
        let root = Path::new("../..");
        let axe = std::fs::read_to_string(root.join("ui/node_modules/axe-core/axe.min.js")).ok();
        let shots = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("ui-shots");
        std::fs::create_dir_all(&shots)?;
        Ok(Self { client, _driver: driver, _cleaner: cleaner, _profile: profile, shots, axe })
    }

    /// Returns whether axe is there: `make ui` installs it.
    pub(crate) fn has_axe(&self) -> bool {
        self.axe.is_some()
    }

    pub(crate) async fn go(&self, address: &str) -> Result<()> {
        Ok(self.client.goto(address).await?)
    }

    /// Sets the width of the page in CSS pixels, also below the minimum width of a window.
    pub(crate) async fn width(&self, width: u32, height: u32) -> Result<()> {
        self.cdp("Emulation.setDeviceMetricsOverride", &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}))
            .await
    }

    /// Sets the theme that the system prefers, and waits until the colors have changed.
    pub(crate) async fn theme(&self, theme: &str) -> Result<()> {
        let features = json!([
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.cdp("Emulation.setEmulatedMedia", &json!({"features": features})).await?;
        let changed = format!(
            "matchMedia('(prefers-color-scheme: {theme})').matches \
             && document.getAnimations().every(one => !(one instanceof CSSTransition) || one.playState !== 'running')"
        );
        self.until("the theme has changed", &changed).await.map(drop)
    }

    /// Turns the scripts of pages on or off.
    pub(crate) async fn scripts(&self, on: bool) -> Result<()> {
        self.cdp("Emulation.setScriptExecutionDisabled", &json!({"value": !on})).await
    }

    async fn cdp(&self, command: &str, parameters: &Value) -> Result<()> {
        self.asked(command, parameters).await.map(drop)
    }

    /// Sends a command of the `DevTools` protocol, and returns its answer.
    async fn asked(&self, command: &str, parameters: &Value) -> Result<Value> {
        Ok(self.client.issue_cmd(Cdp { command: command.to_owned(), parameters: parameters.clone() }).await?)
    }

    /// Runs a script, which returns a value.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Waits until a script returns true.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            if self.run(&format!("return !!({script})")).await? == json!(true) {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > SOON {
                let text = self.run("return document.body.innerText").await?;
                bail!("timed out waiting until {what}: {}\n{}", self.client.current_url().await?, text.as_str().unwrap_or_default());
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Clicks the first element. Scrolls to it first, as a person does: a part of the page that is fixed may cover it.
    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        loop {
            self.run(&format!("document.querySelector({selector:?})?.scrollIntoView({{block: 'nearest'}})")).await?;
            let element = self.client.find(Locator::Css(selector)).await.with_context(|| selector.to_owned())?;
            match element.click().await {
                // A live update has replaced the element in between. Nothing was clicked.
                Err(error) if error.is_stale_element_reference() => {}
                clicked => return clicked.with_context(|| selector.to_owned()),
            }
        }
    }

    /// Types into the first element.
    pub(crate) async fn write(&self, selector: &str, text: &str) -> Result<()> {
        loop {
            let element = self.client.find(Locator::Css(selector)).await.with_context(|| selector.to_owned())?;
            match element.send_keys(text).await {
                Err(error) if error.is_stale_element_reference() => {}
                written => return written.with_context(|| selector.to_owned()),
            }
        }
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) -> Result<()> {
        loop {
            match self.client.active_element().await?.send_keys(keys).await {
                // A live update has replaced the row with the focus. Nothing was typed.
                Err(error) if error.is_stale_element_reference() => {}
                sent => return Ok(sent?),
            }
        }
    }

    /// Presses Tab until the control with this name has the focus.
    pub(crate) async fn tab_to(&self, name: &str) -> Result<()> {
        let focused = "const one = document.activeElement; return (one.getAttribute('aria-label') ?? one.innerText ?? '').trim()";
        let mut passed = Vec::new();
        while passed.len() < 200 {
            self.keys(TAB).await?;
            let reached = self.run(focused).await?;
            if reached == *name {
                return Ok(());
            }
            passed.push(reached.to_string());
        }
        bail!("Tab does not lead to {name:?}, but to {passed:?}")
    }

    /// Returns the path of the page.
    pub(crate) async fn path(&self) -> Result<String> {
        Ok(self.client.current_url().await?.path().to_owned())
    }

    /// Returns the tab that commands go to.
    pub(crate) async fn tab(&self) -> Result<WindowHandle> {
        Ok(self.client.window().await?)
    }

    /// Opens a tab and goes to it.
    pub(crate) async fn new_tab(&self) -> Result<()> {
        let opened = self.client.new_window(true).await?;
        self.switch(opened.handle).await?;
        self.width(1280, 800).await
    }

    /// Goes to a tab.
    pub(crate) async fn switch(&self, tab: WindowHandle) -> Result<()> {
        Ok(self.client.switch_to_window(tab).await?)
    }

    /// Fails soon if a page does not load.
    pub(crate) async fn patience(&self, time: Duration) -> Result<()> {
        Ok(self.client.update_timeouts(TimeoutConfiguration::new(None, Some(time), None)).await?)
    }

    /// Opens a page in a tab that is not shown, as a click with the middle button does. Returns the tab.
    pub(crate) async fn in_background(&self, address: &str) -> Result<WindowHandle> {
        let before = self.client.windows().await?;
        self.cdp("Target.createTarget", &json!({"url": address, "background": true})).await?;
        let opened = self.client.windows().await?.into_iter().find(|tab| !before.contains(tab));
        opened.context("no new tab")
    }

    /// Returns the messages of the console since the last call.
    pub(crate) async fn messages(&self) -> Result<Vec<String>> {
        let log = self.client.issue_cmd(Log).await?;
        let entry = |one: &Value| format!("{}: {}", one["level"].as_str().unwrap_or_default(), one["message"].as_str().unwrap_or_default());
        Ok(log.as_array().into_iter().flatten().map(entry).collect())
    }

    /// Takes a picture of what is visible of the page.
    pub(crate) async fn shoot(&self, name: &str) -> Result<()> {
        std::fs::write(self.shots.join(format!("{name}.png")), self.client.screenshot().await?)?;
        Ok(())
    }

    /// Takes a small picture of what is visible of the page, for the docs.
    pub(crate) async fn picture(&self, file: &Path) -> Result<()> {
        let answer = self.asked("Page.captureScreenshot", &json!({"format": "webp", "quality": 80})).await?;
        let data = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().context("no picture")?)?;
        Ok(std::fs::write(file, data)?)
    }

    /// Returns what axe finds on the page.
    pub(crate) async fn axe(&self) -> Result<Vec<String>> {
        let Some(axe) = &self.axe else { return Ok(Vec::new()) };
        // The driver's scripts are not subject to the policy of the page.
        if self.run("return typeof axe === 'undefined'").await? == json!(true) {
            self.client.execute(axe, Vec::new()).await?;
        }
        let script = format!(
            "const done = arguments[0]; axe.run(document, {{runOnly: {RULES}}}).then((found) => done(found.violations.map((one) => \
             one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.target.join(' ') + ' ' + ((node.any[0] || node.all[0] || node.none[0] || {{}}).message || '')).join(' | '))), \
             (error) => done([String(error)]))"
        );
        let found = self.client.execute_async(&script, Vec::new()).await?;
        Ok(found.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect())
    }

    /// Checks the rules for every page on the current page.
    pub(crate) async fn check(&self, name: &str) -> Result<()> {
        let found = self.axe().await?;
        self.quiet(name).await?;
        ensure!(found.is_empty(), "{name}: axe finds {found:#?}");
        Ok(())
    }

    /// Checks the page in both themes at three widths, without loading it again.
    pub(crate) async fn check_everywhere(&self, name: &str) -> Result<()> {
        for theme in ["light", "dark"] {
            self.theme(theme).await?;
            for (view, width, height) in WIDTHS {
                self.width(*width, *height).await?;
                self.check(&format!("{name}-{view}-{theme}")).await?;
            }
        }
        self.theme("light").await?;
        self.width(1280, 800).await
    }

    /// Takes a picture of the page, and checks its width and the console.
    async fn quiet(&self, name: &str) -> Result<()> {
        let wide = self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        let mut said = self.messages().await?;
        // The browser itself reports every response that is an error.
        said.retain(|message| !message.contains("the server responded with a status of 4"));
        self.shoot(name).await?;
        ensure!(wide.as_i64().is_some_and(|wide| wide <= 0), "{name} is {wide} px too wide");
        ensure!(said.is_empty(), "{name}: the console says {said:#?}");
        Ok(())
    }

    pub(crate) async fn end(self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}

/// A command of the `DevTools` protocol.
#[derive(Debug)]
struct Cdp {
    command: String,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}
