//! Hostile calls, and their cost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{WorkloadKind, eventually, payload};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{HOST, SOON, World, digest, image};

/// Each kind of bad call gets its documented status.
pub(crate) async fn answers() -> Result<()> {
    let world = World::new("hostile").await?;
    let url = world.operator.notifications()?;
    let send = async |kind: Option<&str>, body: Vec<u8>| {
        let mut request = world.http.post(url.clone()).body(body);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    let json = Some("application/json");
    let good = payload::distribution(HOST, "h/web", "1.0.0", &digest('a')).to_string().into_bytes();
    ensure!(send(json, b"{\"events\":[".to_vec()).await? == 400);
    ensure!(send(json, vec![0xff; 64]).await? == 400);
    ensure!(send(json, "[".repeat(100_000).into_bytes()).await? == 400, "nested too deep");
    ensure!(send(json, b"{\"hello\":\"world\"}".to_vec()).await? == 422);
    ensure!(send(json, vec![b' '; 1024 * 1024 + 1]).await? == 413);
    ensure!(send(Some("text/html"), good.clone()).await? == 415);
    ensure!(send(Some("application/vnd.docker.distribution.events.v2+json"), good.clone()).await? == 200);
    ensure!(send(None, good.clone()).await? == 200, "who says nothing is believed to mean JSON");
    ensure!(world.http.get(url.clone()).send().await?.status() == 405);
    ensure!(world.http.get(format!("{}/health", world.operator.webhook_url())).send().await?.status() == 200);
    for action in ["pull", "delete", "mount"] {
        let body = payload::distribution_events(&[payload::distribution_event(action, HOST, "h/web", "1.0.0", &digest('a'))]);
        let (status, answer) = world.post(&body).await?;
        ensure!(status == 200 && answer == json!({"accepted": 0, "unused": 0, "ignored": 1}), "{status} {answer}");
    }
    Ok(())
}

/// Incomplete bodies and ten thousand invalid events neither block nor lose a valid one, and use no memory afterwards.
pub(crate) async fn junk() -> Result<()> {
    let world = World::new("junk").await?;
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("j/web", "1.0.0"))).await?;
    let address = world.operator.webhook_url().trim_start_matches("http://").to_owned();
    let before = resident(&world)?;
    let mut hanging = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(b"POST /webhook/registry HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n{\"events\":[").await?;
        hanging.push(stream);
    }
    let junk: Vec<serde_json::Value> =
        (0..100).map(|n| payload::distribution_event("push", HOST, &format!("junk/app-{n}"), "1.0.0", &digest('a'))).collect();
    let junk = payload::distribution_events(&junk);
    for round in 0..100 {
        if round == 50 {
            world.push("j/web", "1.1.0").await?;
        }
        let (status, answer) = world.post(&junk).await?;
        ensure!(status == 200 && answer["unused"] == 100, "{status} {answer}");
    }
    live.has_image("web", &image("j/web", "1.1.0"), SOON).await?;
    let after = resident(&world)?;
    ensure!(after < before + 32 * 1024, "{before} KiB before, {after} KiB after");
    ensure!(world.operator.metric("headwind_webhook_events_processed", &[]).await? >= 10_000.0);
    // The server ends incomplete bodies after a timeout.
    let mut one = hanging.swap_remove(0);
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(25), one.read_to_string(&mut answer)).await.context("a half body was never answered")??;
    ensure!(answer.contains("408"), "{answer}");
    Ok(())
}

/// Returns the operator's resident memory, in KiB.
fn resident(world: &World) -> Result<u64> {
    let process = world.operator.process().context("the operator runs")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("VmRSS")?.parse()?)
}

/// With a secret, a call without proof has no effect; a registry with the secret has.
pub(crate) async fn proof() -> Result<()> {
    let secret = "canary-s3cret-of-the-webhook";
    let world = World::with("proof", |options| options.env("HEADWIND_WEBHOOK_SECRET", secret)).await?;
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("s/web", "1.0.0"))).await?;
    let body = payload::distribution(HOST, "s/web", "1.1.0", &digest('a'));
    ensure!(world.post(&body).await?.0 == 401);
    let url = world.operator.notifications()?;
    let wrong = world.http.post(url.clone()).bearer_auth("wrong").json(&body).send().await?;
    ensure!(wrong.status() == 401);
    ensure!(world.http.post(format!("{url}?token=wrong")).json(&body).send().await?.status() == 401);
    ensure!(live.image_of("web").await? == image("s/web", "1.0.0"));
    ensure!(world.http.post(format!("{url}?token={secret}")).json(&body).send().await?.status() == 202);
    live.has_image("web", &image("s/web", "1.1.0"), SOON).await?;
    let registry = headwind_testbed::Registry::start(
        &[url],
        headwind_testbed::RegistryOptions { headers: vec![("Authorization".to_owned(), format!("Bearer {secret}"))], ..Default::default() },
    )
    .await?;
    let second = world.create(&World::direct(WorkloadKind::Deployment, "real", &registry.image("s/real", "1.0.0"))).await?;
    registry.push("s/real", "1.1.0", "x").await?;
    second.has_image("web", &registry.image("s/real", "1.1.0"), SOON).await?;

    // A burst of pushes of one tag without a known digest is one restart.
    let fixture = World::direct(WorkloadKind::Deployment, "burst", &image("s/burst", "main")).headwind("policy", "force");
    let burst = world.create(&fixture.pull_policy("Always")).await?;
    for _ in 0..26 {
        let push = world.http.post(world.operator.notifications()?).bearer_auth(secret).json(&json!({"image": image("s/burst", "main")}));
        ensure!(push.send().await?.status() == 202);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.quiet().await?;
    world.request(&image("s/burst", "main"), "Completed").await?;
    ensure!(world.patches(&burst).await? == 1);
    ensure!(!world.operator.log_contains(secret)?, "the secret is in the log");
    Ok(())
}

/// An event for an unused repository costs no call; one for a used repository costs the writes that it needs and no
/// list.
pub(crate) async fn costs() -> Result<()> {
    let world = World::new("costs").await?;
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("k/web", "1.0.0"))).await?;
    world.quiet().await?;
    let Some(mut audit) = world.audit() else {
        headwind_testbed::skip::skipped("unused_repository_costs_nothing", "no audit log");
        return Ok(());
    };
    let start = Timestamp::now();
    for n in 0..1000 {
        let (status, answer) = world.post(&payload::distribution(HOST, &format!("nobody/app-{n}"), "1.0.0", &digest('a'))).await?;
        ensure!(status == 200 && answer["unused"] == 1, "{status} {answer}");
    }
    let cost = world.calls(&mut audit, start).await?;
    ensure!(cost.is_empty(), "{cost:?}");

    let start = Timestamp::now();
    world.push("k/web", "1.1.0").await?;
    live.has_image("web", &image("k/web", "1.1.0"), SOON).await?;
    world.request(&image("k/web", "1.1.0"), "Completed").await?;
    let mut cost = eventually("the Events are written", SOON, || async {
        let mut audit = world.audit().ok_or("no audit log")?;
        let cost = world.calls(&mut audit, start).await.map_err(|error| error.to_string())?;
        // Proposed and applied on the workload, rolling out and completed on the request.
        if cost.iter().filter(|call| call.contains(" events/")).count() == 4 { Ok(cost) } else { Err(format!("{cost:?}")) }
    })
    .await?;
    // If a rollout makes no progress for some seconds, as on a busy machine, Headwind checks its pods.
    let looks = ["get deployments/", "list pods/", "list replicasets/"];
    let looked = cost.iter().any(|call| looks.contains(&call.as_str()));
    cost.retain(|call| !call.contains(" events/") && !looks.contains(&call.as_str()));
    cost.sort();
    // Applied, and completed. The status also contains the result of a check.
    let statuses = cost.iter().filter(|call| *call == "update updaterequests/status").count();
    ensure!(statuses == 2 || (statuses > 2 && looked), "{cost:?}");
    cost.truncate(cost.len() - statuses);
    ensure!(cost == ["create updaterequests/", "patch deployments/"], "{cost:?}");
    // A recorded update costs nothing.
    let start = Timestamp::now();
    for _ in 0..20 {
        world.push("k/web", "1.1.0").await?;
    }
    world.quiet().await?;
    let cost = world.calls(&mut audit, start).await?;
    ensure!(cost.is_empty(), "{cost:?}");
    Ok(())
}
