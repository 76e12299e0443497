//! Charts and their repositories: the real Helm reads the charts of the test bed, and pushes the same charts; the HTTP
//! repository behaves like a good server, and misbehaves if configured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Chart, ChartRepository, Fault, Helm, Registry, RegistryOptions, WorkloadKind};
use reqwest::header::{self, HeaderMap};
use serde_json::{Value, json};

use crate::said;

#[tokio::test]
async fn what_we_pack_and_push_is_what_helm_packs_and_pushes() -> Result<()> {
    let Some(helm) = Helm::for_test("what_we_pack_and_push_is_what_helm_packs_and_pushes").await? else { return Ok(()) };
    let registry = Registry::start(&[], RegistryOptions::default()).await?;
    let chart = Chart::new("web", "1.2.0+build.5").pods("-slow").deprecated();
    let started = Instant::now();
    registry.push_chart("theirs", &chart).await?;
    said("chart packed and pushed by helm", started);
    let started = Instant::now();
    let digest = registry.put_chart("ours", &chart).await?;
    said("the same by us", started);
    ensure!(digest == registry.put_chart("again", &chart).await?, "the same chart has the same digest");

    let (ours, theirs) = (manifest(&registry, "ours/web", &chart).await?, manifest(&registry, "theirs/web", &chart).await?);
    ensure!(ours == theirs, "ours {ours}, Helm's {theirs}");
    let version = ["--version", chart.version(), "--plain-http"];
    let mut shown = Vec::new();
    for path in ["ours", "theirs"] {
        let place = format!("oci://{}/{path}/web", registry.addr());
        shown.push(helm.ok(&[&["show", "all", &place][..], &version].concat()).await?);
        std::fs::create_dir(helm.folder().join(path))?;
        helm.ok(&[&["pull", &place, "--destination", path][..], &version].concat()).await?;
        let file = helm.folder().join(path).join(chart.file_name());
        let rendered = helm.ok(&["template", "shop", &file.to_string_lossy()]).await?;
        ensure!(rendered.contains("name: shop\n") && rendered.contains(&chart.image()), "{rendered}");
        shown.push(rendered);
    }
    ensure!(shown[0].contains("version: 1.2.0+build.5") && shown[0].contains("deprecated: true"), "{shown:?}");
    ensure!(shown[..2] == shown[2..], "{shown:?}");
    ensure!(std::fs::read(helm.folder().join("ours").join(chart.file_name()))? == chart.archive()?);

    registry.push_chart("theirs", &Chart::new("web", "2.0.0").broken()).await?;
    let place = format!("oci://{}/theirs/web", registry.addr());
    let output = helm.run(&["template", "shop", &place, "--version", "2.0.0", "--plain-http"]).await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("broken on purpose"), "{output:?}");

    let locked = Registry::start(&[], RegistryOptions { locked: true, ..RegistryOptions::default() }).await?;
    let digest = locked.publish(WorkloadKind::HelmRelease, "shop/web", "1.0.0", "seed").await?;
    ensure!(locked.digest("shop/web", "1.0.0").await? == Some(digest));
    Ok(())
}

/// Returns a manifest without the parts that differ between two pushes: the times of packing and pushing, and the order
/// of the metadata's fields.
async fn manifest(registry: &Registry, repository: &str, chart: &Chart) -> Result<Value> {
    const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    let url = format!("http://{}/v2/{repository}/manifests/{}", registry.addr(), chart.tag());
    let answer = reqwest::Client::new().get(url).header(header::ACCEPT, MEDIA_TYPE).send().await?.error_for_status()?;
    let mut manifest: Value = answer.json().await?;
    manifest["annotations"].as_object_mut().context("no annotations")?.remove("org.opencontainers.image.created");
    for descriptor in ["/config", "/layers/0"] {
        let descriptor = manifest.pointer_mut(descriptor).and_then(Value::as_object_mut).context("no descriptor")?;
        descriptor.retain(|field, _| field != "digest" && field != "size");
    }
    Ok(manifest)
}

#[tokio::test]
async fn helm_reads_our_repository() -> Result<()> {
    let Some(helm) = Helm::for_test("helm_reads_our_repository").await? else { return Ok(()) };
    let repository = ChartRepository::start().await?;
    repository.lock(Some(("reader", "canary-chart-1b")));
    repository.add(&Chart::new("web", "1.0.0"))?;
    repository.add(&Chart::new("web", "1.10.0"))?;
    repository.add(&Chart::new("web", "1.9.0").deprecated())?;
    repository.fill(2_000_000, 20, 50);
    let url = repository.url();
    let login = ["--repo", &url, "--username", "reader", "--password", "canary-chart-1b"];
    let shown = helm.ok(&[&["show", "chart", "web"][..], &login].concat()).await?;
    ensure!(shown.contains("version: 1.10.0"), "{shown}");
    helm.ok(&[&["pull", "web", "--version", "1.9.0"][..], &login].concat()).await?;
    ensure!(std::fs::read(helm.folder().join("web-1.9.0.tgz"))? == Chart::new("web", "1.9.0").deprecated().archive()?);
    ensure!(repository.saw("reader:canary-chart-1b") && repository.take_log().iter().any(|seen| seen.agent().starts_with("Helm/")));
    // It is also the index that Helm writes over the same file, except for times.
    std::fs::create_dir(helm.folder().join("charts"))?;
    std::fs::write(helm.folder().join("charts/web-1.0.0.tgz"), Chart::new("web", "1.0.0").archive()?)?;
    helm.ok(&["repo", "index", "charts"]).await?;
    let theirs: Value = serde_saphyr::from_str(&std::fs::read_to_string(helm.folder().join("charts/index.yaml"))?)?;
    let single = ChartRepository::start().await?;
    single.add(&Chart::new("web", "1.0.0"))?;
    let ours: Value = serde_saphyr::from_str(&reqwest::get(format!("{}/index.yaml", single.url())).await?.text().await?)?;
    let item = |index: &Value| {
        let mut item = index["entries"]["web"][0].clone();
        item["created"] = Value::Null;
        item
    };
    ensure!(item(&ours) == item(&theirs) && ours["apiVersion"] == theirs["apiVersion"], "ours {ours}, Helm's {theirs}");
    Ok(())
}

/// Returns a response without decompression.
async fn get(repository: &ChartRepository, path: &str, headers: &[(&str, &str)]) -> Result<(u16, HeaderMap, Vec<u8>)> {
    let client = reqwest::Client::builder().no_gzip().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut request = client.get(format!("{}/{path}", repository.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Ok((status, headers, answer.bytes().await?.to_vec()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn a_repository_answers_conditionally_and_packed() -> Result<()> {
    let repository = ChartRepository::start().await?;
    repository.add(&Chart::new("web", "1.0.0"))?;
    let (status, headers, index) = get(&repository, "index.yaml", &[]).await?;
    ensure!(status == 200 && index.starts_with(b"apiVersion: v1\nentries:\n  web:\n  - apiVersion: v2\n"));
    let (tag, date) = (text(&headers, "etag").to_owned(), text(&headers, "last-modified").to_owned());
    for known in [("if-none-match", tag.as_str()), ("if-modified-since", date.as_str())] {
        let (status, _, body) = get(&repository, "index.yaml", &[known]).await?;
        ensure!(status == 304 && body.is_empty(), "{known:?}: {status}");
    }
    // The tag decides first; the date is still that of the first index.
    let (status, ..) = get(&repository, "index.yaml", &[("if-none-match", "\"other\""), ("if-modified-since", &date)]).await?;
    ensure!(status == 200);
    let log = repository.take_log();
    ensure!(log.iter().map(headwind_testbed::Seen::bytes).eq([index.len() as u64, 0, 0, index.len() as u64]), "{log:?}");

    let (_, headers, packed) = get(&repository, "index.yaml", &[("accept-encoding", "br, gzip;q=0.5")]).await?;
    ensure!(text(&headers, "content-encoding") == "gzip" && packed.starts_with(&[0x1f, 0x8b]) && text(&headers, "etag") == tag);
    let unpacked = reqwest::get(format!("{}/index.yaml", repository.url())).await?.bytes().await?;
    ensure!(unpacked == index, "gzip or not, it is the same");
    repository.gzip(false);
    ensure!(get(&repository, "index.yaml", &[("accept-encoding", "gzip")]).await?.2 == index);

    repository.add(&Chart::new("web", "1.1.0"))?;
    for known in [("if-none-match", tag.as_str()), ("if-modified-since", date.as_str())] {
        let (status, _, body) = get(&repository, "index.yaml", &[known]).await?;
        ensure!(status == 200 && body.len() > index.len(), "{known:?}: a change is seen at once");
    }
    repository.remove("web", "1.1.0");
    ensure!(get(&repository, "index.yaml", &[]).await?.2 == index && get(&repository, "web-1.1.0.tgz", &[]).await?.0 == 404);
    repository.conditional(false);
    let (status, headers, _) = get(&repository, "index.yaml", &[("if-none-match", "*")]).await?;
    ensure!(status == 200 && text(&headers, "etag").is_empty());
    ensure!(get(&repository, "web-1.0.0.tgz", &[]).await?.2 == Chart::new("web", "1.0.0").archive()?);
    repository.raw_index(Some("<html>"));
    ensure!(get(&repository, "index.yaml", &[]).await?.2 == b"<html>");
    Ok(())
}

#[tokio::test]
async fn a_repository_misbehaves_if_configured() -> Result<()> {
    let (repository, elsewhere) = (ChartRepository::start().await?, ChartRepository::start().await?);
    repository.add(&Chart::new("web", "1.0.0"))?;
    let started = Instant::now();
    repository.fill(50_000_000, 500, 100);
    let (_, _, index) = get(&repository, "index.yaml", &[]).await?;
    said("an index of 50 MB made and got", started);
    ensure!(index.len().abs_diff(50_000_000) < 500_000, "{}", index.len());
    let started = Instant::now();
    let (_, _, packed) = get(&repository, "index.yaml", &[("accept-encoding", "gzip")]).await?;
    said("and packed", started);
    ensure!(packed.len() < index.len() / 10);

    repository.fill(100_000, 10, 10);
    let size = get(&repository, "index.yaml", &[]).await?.2.len();
    repository.take_log();
    repository.misbehave(|_| Some(Fault::Cut));
    ensure!(get(&repository, "index.yaml", &[]).await.is_err(), "the connection breaks");
    ensure!(repository.take_log()[0].bytes() == size as u64 / 2);
    repository.misbehave(|_| Some(Fault::Slow(200_000)));
    let started = Instant::now();
    let (_, headers, body) = get(&repository, "index.yaml", &[]).await?;
    ensure!(body.len() == size && started.elapsed() > Duration::from_millis(400), "{:?}", started.elapsed());
    ensure!(text(&headers, "content-length") == size.to_string());
    repository.misbehave(|_| Some(Fault::throttle(7)));
    let (status, headers, _) = get(&repository, "index.yaml", &[]).await?;
    ensure!(status == 429 && text(&headers, "retry-after") == "7");
    let other = format!("{}/index.yaml", elsewhere.url());
    repository.misbehave(move |_| Some(Fault::redirect(other.clone())));
    let (status, headers, _) = get(&repository, "index.yaml", &[]).await?;
    ensure!(status == 302 && text(&headers, "location").starts_with(&elsewhere.url()));
    repository.misbehave(|seen| seen.path.contains("web-1.0.0").then_some(Fault::Hang));
    let hangs = tokio::time::timeout(Duration::from_millis(200), get(&repository, "web-1.0.0.tgz", &[])).await;
    ensure!(hangs.is_err() && get(&repository, "index.yaml", &[]).await?.0 == 200);
    repository.behave();
    repository.lock(Some(("a", "b")));
    let (status, headers, _) = get(&repository, "index.yaml", &[]).await?;
    ensure!(status == 401 && text(&headers, "www-authenticate").starts_with("Basic "));
    ensure!(get(&repository, "index.yaml", &[("authorization", "Basic YTpi")]).await?.0 == 200);
    let lines = repository.take_lines();
    ensure!(lines.last().map(String::as_str) == Some("GET /index.yaml basic 200"), "{lines:?}");

    // An item may have its archive on another server, and any other field.
    repository.lock(None);
    repository.add_at(&Chart::new("far", "1.0.0"), &[&format!("{}/far-1.0.0.tgz", elsewhere.url())])?;
    repository.add_item("odd", "name: odd\nversion: not a version\n");
    let index: Value = serde_saphyr::from_str(&String::from_utf8(get(&repository, "index.yaml", &[]).await?.2)?)?;
    ensure!(index["entries"]["far"][0]["urls"] == json!([format!("{}/far-1.0.0.tgz", elsewhere.url())]), "{index}");
    ensure!(index["entries"]["odd"][0]["version"] == "not a version");
    Ok(())
}
