//! `headwind check` against a real registry with a password, and against repositories of charts.

use anyhow::{Result, ensure};
use base64::Engine as _;
use headwind_testbed::chart::Chart;
use headwind_testbed::chart_repository::ChartRepository;
use headwind_testbed::registry::LOGIN;
use headwind_testbed::{Registry, RegistryOptions};
use serde_json::{Value, json};

async fn run(arguments: &[&str]) -> Result<(bool, String, String)> {
    let binary = tokio::task::spawn_blocking(headwind_testbed::binaries::headwind).await??;
    let output = tokio::process::Command::new(binary).arg("check").args(arguments).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

pub(crate) async fn private() -> Result<()> {
    let registry = Registry::start(&[], RegistryOptions { locked: true, ..RegistryOptions::default() }).await?;
    let digest = registry.push("shop/web", "1.0.0", "one").await?;
    for tag in ["1.0.1", "1.1.0", "2.0.0", "1.2.0-alpine", "latest"] {
        registry.push("shop/web", tag, tag).await?;
    }
    let newest = registry.push("shop/web", "1.1.0", "1.1.0").await?;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), json!({"auths": {registry.addr(): {"auth": auth}}}).to_string())?;
    let config = file.path().to_string_lossy().into_owned();
    let image = registry.image("shop/web", "1.0.0");
    let private = ["--plain-http", "--docker-config", &config];

    let (done, text, error) = run(&[&[image.as_str()][..], &private].concat()).await?;
    ensure!(done, "{error}");
    let rest = text.split_once("\n\n").map(|(_, rest)| rest).unwrap_or_default();
    ensure!(text.contains(&format!("digest      {digest}\n")) && text.contains("tags        6\n"), "{text}");
    ensure!(
        rest == "\
none    nothing  6 PolicyNone
patch   1.0.1    1.0.1 is higher than 1.0.0 and within policy patch
minor   1.1.0    1.1.0 is higher than 1.0.0 and within policy minor
major   2.0.0    2.0.0 is higher than 1.0.0 and within policy major
all     2.0.0    2.0.0 is higher than 1.0.0 and within policy all
glob    nothing  6 PatternMissing
force   1.0.0    follows the digest of this tag when polling, and accepts every tag that an event names
",
        "{rest}"
    );

    // Pinned: tag and digest move together.
    let pinned = format!("{image}@{digest}");
    let (done, text, error) = run(&[&[pinned.as_str(), "--policy", "minor", "-o", "json"][..], &private].concat()).await?;
    ensure!(done, "{error}");
    let report: Value = serde_json::from_str(&text)?;
    ensure!(report["policies"][0]["image"] == format!("{}@{newest}", registry.image("shop/web", "1.1.0")), "{report}");
    ensure!(report["policies"][0]["candidates"].as_array().is_some_and(|all| all.len() == 6), "{report}");

    let (done, _, error) = run(&[&image, "--plain-http"]).await?;
    ensure!(!done && error.contains("requires a credential") && !error.contains(LOGIN.1), "{error}");
    // Loopback needs no setting.
    let (done, text, error) = run(&["--docker-config", &config, &image]).await?;
    ensure!(done && text.contains(&digest), "{error}");
    Ok(())
}

/// A chart in a registry, and one in a Helm repository with a password.
pub(crate) async fn charts() -> Result<()> {
    let registry = Registry::start(&[], RegistryOptions::default()).await?;
    let repository = ChartRepository::start().await?;
    for version in ["1.0.0", "1.1.0", "2.0.0-rc.1"] {
        registry.put_chart("charts", &Chart::new("web", version)).await?;
        repository.add(&Chart::new("web", version))?;
    }
    repository.add(&Chart::new("web", "1.2.0").deprecated())?;
    repository.lock(Some(LOGIN));
    let password = tempfile::NamedTempFile::new()?;
    std::fs::write(password.path(), format!("{}\n", LOGIN.1))?;
    let file = password.path().to_string_lossy().into_owned();
    let (url, oci) = (repository.url(), format!("oci://{}/charts/web", registry.addr()));
    let login = ["--repo", &url, "--username", LOGIN.0, "--password-file", &file];

    let (done, text, error) = run(&[&["web:1.0.0"][..], &login].concat()).await?;
    ensure!(done, "{error}");
    ensure!(text.starts_with("chart       web:1.0.0\n") && text.contains("versions    4\nnewest      1.1.0\n"), "{text}");
    ensure!(text.contains("minor   1.1.0       1.1.0 is higher than 1.0.0 and within policy minor\n"), "{text}");
    ensure!(text.contains("all     2.0.0-rc.1  2.0.0-rc.1 is higher"), "{text}");
    let (done, text, error) = run(&[&["web:1.0.0", "--policy", "minor", "-o", "json"][..], &login].concat()).await?;
    ensure!(done, "{error}");
    let report: Value = serde_json::from_str(&text)?;
    let candidates = report["policies"][0]["candidates"].as_array().cloned().unwrap_or_default();
    ensure!(candidates.iter().any(|one| one["tag"] == "1.2.0" && one["reason"] == "Deprecated"), "{report}");
    ensure!(report["policies"][0]["image"] == "web:1.1.0" && report["newest"] == "1.1.0", "{report}");

    let (done, text, error) = run(&[&oci, "--plain-http"]).await?;
    ensure!(
        done && text.contains("newest      1.1.0\n") && !text.contains("minor"),
        "without a version there is nothing to judge: {text} {error}"
    );
    let (done, text, error) = run(&[&format!("{oci}:1.0.0"), "--plain-http", "--policy", "major", "-o", "json"]).await?;
    ensure!(done && serde_json::from_str::<Value>(&text)?["policies"][0]["chosen"] == "1.1.0", "{text} {error}");

    let (done, _, error) = run(&["web:1.0.0", "--repo", &url]).await?;
    ensure!(!done && error.contains(&repository.host()) && !error.contains(LOGIN.1), "{error}");
    let (done, _, error) = run(&[&["nothing:1.0.0"][..], &login].concat()).await?;
    ensure!(!done && error.contains("no version of the chart nothing"), "{error}");
    Ok(())
}
