//! Notifications: each transition is one message on each channel, with the right content, and text from outside stays text.

mod hostile;
mod kills;
mod slack;

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::receiver::SECRET_PATH;
use headwind_testbed::{Mailpit, OperatorOptions, Receiver, Receivers, Registry, RegistryOptions, WorkloadKind, eventually};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::poll::name_hosts;
use crate::rollout::{VERDICT, ends, watched};
use crate::world::{SOON, World, image};

pub(crate) use hostile::receivers as hostile_receivers;
pub(crate) use kills::kills_and_hand_overs;
pub(crate) use slack::buttons as slack_buttons;

const KEY: &str = "key-of-the-webhook";
/// A reason as somebody may write it.
const MARKUP: &str =
    "<!channel> <@U1> @everyone [here](https://evil.example) <https://evil.example|here> *b* \u{202e}x\r\nBcc: x@y.example";

/// Makes the operator send to the receivers.
fn send_to(receivers: &Receivers, options: OperatorOptions) -> OperatorOptions {
    options
        .envs(receivers.environment())
        .env("WEBHOOK_SECRET", KEY)
        .env("HEADWIND_UI_URL", "https://headwind.example")
        .env("HEADWIND_API_URL", "https://api.headwind.example")
}

/// The events that the webhook received, by the workload that they are about, in order.
fn events_by_workload(webhook: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for body in webhook.accepted() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.entry(text(&body["deployment"]["name"])).or_default().push(text(&body["event"]));
    }
    all
}

/// Waits until the webhook received these events about the workload.
async fn hears(webhook: &Receiver, workload: &str, events: &[&str]) -> Result<()> {
    eventually(&format!("the webhook hears of {workload}: {events:?}"), SOON, || async {
        let heard = events_by_workload(webhook).remove(workload).unwrap_or_default();
        if heard == events { Ok(()) } else { Err(format!("{heard:?}")) }
    })
    .await
}

/// Each of the nine events is one message on six channels. The same pushes again send nothing.
pub(crate) async fn events() -> Result<()> {
    if Mailpit::lacks("notify_events").await? {
        return Ok(());
    }
    let (receivers, mailpit) = (Receivers::start().await?, Mailpit::start().await?);
    let world = World::with("notify", |options| {
        let mail = [
            ("MAIL_ENABLED", "true"),
            ("MAIL_SERVER", &mailpit.smtp()),
            ("MAIL_TLS", "none"),
            ("MAIL_FROM", "headwind@example.com"),
            ("MAIL_TO", "ops@example.com, team@example.com"),
        ];
        send_to(&receivers, options).envs(mail)
    })
    .await?;
    let webhook = &receivers.webhook;
    let kind = WorkloadKind::Deployment;

    world.create(&World::direct(kind, "direct", &image("n/direct", "1.0.0"))).await?;
    world.push("n/direct", "1.1.0").await?;
    hears(webhook, "direct", &["update_detected", "update_completed"]).await?;

    world.create(&World::asking(kind, "asks", &image("n/asks", "1.0.0"))).await?;
    world.push("n/asks", "1.1.0").await?;
    let request = world.request(&image("n/asks", "1.1.0"), "Pending").await?;
    hears(webhook, "asks", &["update_request_created"]).await?;
    world.does(&request, "approve").await?;
    hears(webhook, "asks", &["update_request_created", "update_approved", "update_completed"]).await?;

    world.create(&World::asking(kind, "no", &image("n/no", "1.0.0"))).await?;
    world.push("n/no", "1.1.0").await?;
    let request = world.request(&image("n/no", "1.1.0"), "Pending").await?;
    let path = format!("/api/v1/updates/{}/{}/reject", world.namespace, request.name_any());
    let (code, body) = world.api("POST", &path, Some(&json!({"reason": MARKUP}))).await?;
    ensure!(code == 200, "{code} {body}");
    hears(webhook, "no", &["update_request_created", "update_rejected"]).await?;

    let fixture = watched(kind, "fails", &image("n/fails", "1.0.0")).headwind("auto-rollback", "false").replicas(1);
    world.create(&fixture).await?.rolled_out(VERDICT).await?;
    world.push("n/fails", "1.1.0-crash").await?;
    ends(&world, &image("n/fails", "1.1.0-crash"), &["Failed"], VERDICT).await?;
    hears(webhook, "fails", &["update_detected", "update_failed"]).await?;

    world.create(&watched(kind, "back", &image("n/back", "1.0.0")).replicas(1)).await?.rolled_out(VERDICT).await?;
    world.push("n/back", "1.1.0-crash").await?;
    ends(&world, &image("n/back", "1.1.0-crash"), &["RolledBack"], VERDICT).await?;
    hears(webhook, "back", &["update_detected", "rollback_triggered", "rollback_completed"]).await?;

    // A rollback that fails: the previous version does not run either.
    let bad = watched(kind, "lost", &image("n/lost", "1.0.0-crash")).replicas(1);
    world.create(&bad).await?;
    world.push("n/lost", "1.1.0-crash").await?;
    ends(&world, &image("n/lost", "1.1.0-crash"), &["RolledBack", "Failed"], VERDICT * 2).await?;
    let lost = eventually("the webhook hears how the rollback ends", SOON, || async {
        let heard = events_by_workload(webhook).remove("lost").unwrap_or_default();
        if heard.len() == 3 { Ok(heard) } else { Err(format!("{heard:?}")) }
    })
    .await?;
    ensure!(lost == ["update_detected", "rollback_triggered", "rollback_failed"], "{lost:?}");

    // A person rolls an update back.
    let path = format!("/api/v1/rollback/{}/Deployment/direct", world.namespace);
    let (code, body) = world.api("POST", &path, None).await?;
    ensure!(code == 200, "{code} {body}");
    hears(webhook, "direct", &["update_detected", "update_completed", "rollback_triggered", "rollback_completed"]).await?;

    let count = webhook.accepted().len();
    let mut names: Vec<String> = events_by_workload(webhook).into_values().flatten().collect();
    names.sort();
    names.dedup();
    ensure!(names.len() == 9, "{names:?}");
    for _ in 0..50 {
        for (repository, tag) in [("n/direct", "1.1.0"), ("n/asks", "1.1.0"), ("n/no", "1.1.0"), ("n/back", "1.1.0-crash")] {
            world.push(repository, tag).await?;
        }
    }
    world.quiet().await?;
    each_channel_has(&receivers, count).await?;
    contents(&receivers)?;
    verified_by_openssl(webhook).await?;
    mails(&mailpit, count).await?;
    metrics(&world, count).await?;
    ensure!(!world.operator.logs()?.contains(SECRET_PATH) && !world.operator.logs()?.contains(KEY), "a secret is in the log");
    Ok(())
}

async fn each_channel_has(receivers: &Receivers, count: usize) -> Result<()> {
    eventually("each channel has the same messages", SOON, || async {
        let counts = receivers.all().map(|(name, receiver)| (name, receiver.accepted().len()));
        if counts.iter().all(|(_, got)| *got == count) { Ok(()) } else { Err(format!("{counts:?}, not {count}")) }
    })
    .await
}

fn contents(receivers: &Receivers) -> Result<()> {
    let body = receivers.webhook.accepted().into_iter().find(|body| body["event"] == "update_request_created").context("a created one")?;
    ensure!(body["requiresApproval"] == true && body["policy"] == "minor" && body["deployment"]["resourceKind"] == "Deployment", "{body}");
    ensure!(body["deployment"]["currentImage"] == image("n/asks", "1.0.0") && body["deployment"]["newImage"] == image("n/asks", "1.1.0"));
    let name = body["updateRequestName"].as_str().context("a name")?;
    let namespace = body["deployment"]["namespace"].as_str().context("a namespace")?;
    ensure!(body["uiUrl"] == format!("https://headwind.example/updates/{namespace}/{name}"), "{body}");
    ensure!(body["approvalUrl"] == format!("https://api.headwind.example/api/v1/updates/{namespace}/{name}/approve"), "{body}");
    let rejected = receivers.webhook.accepted().into_iter().find(|body| body["event"] == "update_rejected").context("a rejected one")?;
    ensure!(rejected["rejectedBy"] == "web-ui-user", "{rejected}");
    let reason = rejected["rejectionReason"].as_str().context("a reason")?;
    ensure!(reason.starts_with("<!channel>") && !reason.contains(['\r', '\n', '\u{202e}']), "{reason:?}");
    let failed = receivers.webhook.accepted().into_iter().find(|body| body["event"] == "update_failed").context("a failed one")?;
    ensure!(failed["errorMessage"].as_str().is_some_and(|error| error.contains("pod fails-")), "{failed}");

    let with_markup = |receiver: &Receiver| receiver.seen().into_iter().map(|seen| seen.body).find(|body| body.contains("evil.example"));
    for (name, receiver) in receivers.all() {
        let body = with_markup(receiver).with_context(|| format!("{name}: no message has the reason"))?;
        let bad: &[&str] = match name {
            "slack" => &["<!channel>", "<@U1>", "<https://evil"],
            "discord" => &["<@U1>", "](https", "https://evil"],
            "mattermost" => &["@everyone", "](https", "https://evil"],
            "teams" => &["\"TextBlock\"", "\"FactSet\"", "entities"],
            _ => &[],
        };
        ensure!(bad.iter().all(|bad| !body.contains(bad)) && !body.contains('\u{202e}'), "{name}: {body}");
    }
    for payload in receivers.slack.accepted() {
        ensure!(payload["blocks"][0]["type"] == "header" && payload["mrkdwn"] == false, "{payload}");
        ensure!(payload.to_string().contains("<https://headwind.example/updates/"), "no link: {payload}");
    }
    for payload in receivers.teams.accepted() {
        let card = &payload["attachments"][0];
        ensure!(payload["type"] == "message" && card["contentType"] == "application/vnd.microsoft.card.adaptive", "{payload}");
        ensure!(card["content"]["actions"][0]["type"] == "Action.OpenUrl", "{payload}");
    }
    Ok(())
}

/// The signature of each body is what openssl computes.
async fn verified_by_openssl(webhook: &Receiver) -> Result<()> {
    for seen in webhook.seen().iter().take(5) {
        let mut openssl = tokio::process::Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", KEY, "-r"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("running openssl")?;
        openssl.stdin.take().context("its input")?.write_all(seen.body.as_bytes()).await?;
        let output = openssl.wait_with_output().await?;
        let digest = String::from_utf8(output.stdout)?;
        let expected = format!("sha256={}", digest.split_whitespace().next().unwrap_or_default());
        let signature = seen.headers.get("x-headwind-signature").context("a signature")?.to_str()?;
        ensure!(output.status.success() && signature == expected, "{signature}, not {expected}");
    }
    Ok(())
}

async fn mails(mailpit: &Mailpit, count: usize) -> Result<()> {
    let mails = eventually("the mails are there", SOON, || async {
        let mails = mailpit.mails().await.map_err(|error| error.to_string())?;
        if mails.len() == count { Ok(mails) } else { Err(format!("{} mails, not {count}", mails.len())) }
    })
    .await?;
    let text = |mail: &Value| mail["Text"].as_str().unwrap_or_default().to_owned();
    let rejected = mails.iter().find(|mail| text(mail).contains("evil.example")).context("the rejection")?;
    ensure!(rejected["To"].as_array().is_some_and(|to| to.len() == 2), "{rejected}");
    ensure!(rejected["Bcc"].as_array().is_none_or(Vec::is_empty) && rejected["Cc"].as_array().is_none_or(Vec::is_empty), "{rejected}");
    ensure!(rejected["Subject"].as_str().is_some_and(|subject| subject.starts_with("[Headwind] Update rejected")), "{rejected}");
    ensure!(text(rejected).contains("https://headwind.example/updates/"), "{rejected}");
    Ok(())
}

async fn metrics(world: &World, count: usize) -> Result<()> {
    let count = f64::from(u32::try_from(count)?);
    world.counted("headwind_notifications_sent_total", 6.0 * count).await?;
    for channel in ["slack", "teams", "webhook"] {
        world.counted(&format!("headwind_notifications_{channel}_sent_total"), count).await?;
    }
    world.counted("headwind_notifications_failed_total", 0.0).await?;
    world.counted("headwind_notifications_dropped_total", 0.0).await
}

/// Fifty polls of the same version send one message. Filters, the annotation and a digest choose what is sent where.
pub(crate) async fn polls_and_filters() -> Result<()> {
    let receivers = Receivers::start().await?;
    let registry = Registry::start(&[], RegistryOptions::default()).await?;
    let file = tempfile::NamedTempFile::new()?;
    name_hosts(&[registry.addr()], &file)?;
    let world = World::with("notifypolls", |options| {
        let options = options
            .env("HEADWIND_POLLING_ENABLED", "true")
            .env("HEADWIND_POLLING_INTERVAL", "1")
            .env("HEADWIND_REGISTRY_CONFIG", &file.path().to_string_lossy())
            .env("TEAMS_EVENTS", "update_rejected, update_failed")
            .env("DISCORD_NAMESPACES", "elsewhere")
            .env("MATTERMOST_DIGEST_INTERVAL", "5s");
        send_to(&receivers, options)
    })
    .await?;
    registry.push("p/web", "1.0.0", "0").await?;
    registry.push("p/web", "1.1.0", "1").await?;
    let asks =
        |name: &str| World::asking(WorkloadKind::Deployment, name, &registry.image("p/web", "1.0.0")).headwind("event-source", "both");
    world.create(&asks("web")).await?;
    // An unknown channel is reported, and silences no other channel.
    world.create(&asks("quiet").headwind("notify", "slack,pager")).await?;
    eventually("fifty polls", SOON * 4, || async {
        let cycles = world.operator.metric("headwind_polling_cycles_total", &[]).await.map_err(|error| error.to_string())?;
        if cycles >= 50.0 { Ok(()) } else { Err(cycles.to_string()) }
    })
    .await?;
    ensure!(events_by_workload(&receivers.webhook) == BTreeMap::from([("web".to_owned(), vec!["update_request_created".to_owned()])]));
    ensure!(receivers.slack.accepted().len() == 2 && receivers.teams.seen().is_empty() && receivers.discord.seen().is_empty());
    ensure!(receivers.mattermost.accepted().len() == 1, "one digest");
    let event = world.has_event("quiet", "InvalidAnnotation").await?;
    ensure!(event.type_.as_deref() == Some("Warning") && event.note.as_deref().is_some_and(|note| note.contains("\"pager\"")), "{event:?}");
    world.counted("headwind_invalid_annotations", 1.0).await?;

    // The digest has everything of its interval in one message.
    for request in world.requests().await?.iter().filter(|request| request.spec.target_ref.name == "web") {
        world.does(request, "reject").await?;
        world.does(request, "reopen").await?;
        world.does(request, "reject").await?;
    }
    eventually("a digest and two rejections", SOON, || async {
        let (digests, teams) = (receivers.mattermost.accepted(), receivers.teams.accepted());
        let whole = digests.last().is_some_and(|last| last.to_string().contains("3 notifications"));
        if digests.len() == 2 && whole && teams.len() == 2 { Ok(()) } else { Err(format!("{digests:?} {teams:?}")) }
    })
    .await
}
