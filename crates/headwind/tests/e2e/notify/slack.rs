//! Buttons in Slack: people decide with them as they do with kubectl, and the message is updated in place, wherever the
//! decision is made.

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{Operator, OperatorOptions, Receiver, WorkloadKind, eventually};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use crate::account::{bind, granted};
use crate::world::{SOON, World, image};

const SECRET: &str = "signing-secret-of-the-app";
const APPROVE: &[&str] = &["approve", "updaterequests.headwind.sh"];

/// A fake Slack for a bot. It answers every call with the same place of a message.
struct Slack(Receiver);

impl Slack {
    fn calls(&self, method: &str) -> Vec<Value> {
        let of = self.0.seen().into_iter().filter(|seen| seen.path.ends_with(method));
        of.map(|seen| serde_json::from_str(&seen.body).unwrap_or_default()).collect()
    }

    /// Waits for a message with buttons about the request. Returns the value of its buttons.
    async fn buttons(&self, request: &str) -> Result<String> {
        eventually(&format!("the buttons of {request}"), SOON, || async {
            let posted = self.calls("/chat.postMessage");
            let values = posted.iter().flat_map(|payload| payload["blocks"].as_array().into_iter().flatten());
            let values = values.filter_map(|block| block["elements"][0]["value"].as_str());
            values.map(str::to_owned).find(|value| value.split('/').nth(1) == Some(request)).ok_or_else(|| format!("{posted:?}"))
        })
        .await
    }

    /// Waits until the message is updated to that title.
    async fn shows(&self, title: &str) -> Result<Value> {
        eventually(&format!("a message is updated to {title:?}"), SOON, || async {
            let updates = self.calls("/chat.update");
            let fits = |update: &&Value| update["blocks"][0]["text"]["text"] == title;
            updates.iter().find(fits).cloned().ok_or_else(|| updates.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
        .await
    }

    /// Waits for a reply that only the person sees.
    async fn whispers(&self, text: &str) -> Result<()> {
        eventually(&format!("a reply with {text:?}"), SOON, || async {
            let replies = self.calls("/reply");
            let is = replies
                .iter()
                .any(|reply| reply["response_type"] == "ephemeral" && reply["text"].as_str().is_some_and(|said| said.contains(text)));
            if is { Ok(()) } else { Err(format!("{replies:?}")) }
        })
        .await
    }

    fn body(&self, user: &str, action: &str, value: &str) -> Result<String> {
        let url = reqwest::Url::parse(&self.0.url())?.join("/reply")?;
        let payload = json!({
            "type": "block_actions", "user": {"id": user, "team_id": "T1"}, "team": {"id": "T1"}, "response_url": url.as_str(),
            "actions": [{"type": "button", "action_id": action, "value": value}],
        });
        Ok(reqwest::Url::parse_with_params("http://localhost/", [("payload", payload.to_string())])?.query().context("a form")?.to_owned())
    }
}

/// Sends a call as Slack does. Returns the status.
async fn send(world: &World, operator: &Operator, secret: &str, at: i64, body: &str) -> Result<u16> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), format!("v0:{at}:{body}").as_bytes());
    let hex = tag.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let url = operator.notifications()?.join("/webhook/slack/actions")?;
    let call = world.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
    let call = call.header("x-slack-request-timestamp", at.to_string()).header("x-slack-signature", format!("v0={hex}"));
    Ok(call.send().await?.status().as_u16())
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

async fn waits(world: &World, name: &str) -> Result<UpdateRequest> {
    world.create(&World::asking(WorkloadKind::Deployment, name, &image(&format!("s/{name}"), "1.0.0")).replicas(0)).await?;
    world.push(&format!("s/{name}"), "1.1.0").await?;
    world.request(&image(&format!("s/{name}"), "1.1.0"), "Pending").await
}

/// Ann may approve, Bob may not, and nobody knows Carl.
pub(crate) async fn buttons() -> Result<()> {
    let slack = Slack(Receiver::start(200, r#"{"ok":true,"channel":"C1","ts":"1503435956.000247"}"#).await?);
    let url = reqwest::Url::parse(&slack.0.url())?;
    let options = |options: OperatorOptions| {
        options
            .env("SLACK_ENABLED", "true")
            .env("SLACK_BOT_TOKEN", "xoxb-canary-of-the-bot")
            .env("SLACK_API_URL", &format!("{}/api", url.origin().ascii_serialization()))
            .env("SLACK_CHANNEL", "C1")
            .env("SLACK_SIGNING_SECRET", SECRET)
            .env("SLACK_USERS", "U1=slack-ann;U2=slack-bob")
    };
    let world = World::with("notifyslack", options).await?;
    let second = Operator::run(world.bed, options(OperatorOptions::new(&world.namespace)).replica("headwind-1")).await?;
    bind(&world, &world.namespace, "headwind-approver", "--user=slack-ann").await?;
    granted(&world, "slack-ann", &world.namespace, APPROVE).await?;
    let phase = async |request: &UpdateRequest| -> Result<String> {
        let all = world.requests().await?;
        Ok(all.iter().find(|one| one.metadata.uid == request.metadata.uid).context("the request")?.phase().as_str().to_owned())
    };

    // People who may not decide.
    let web = waits(&world, "web").await?;
    let value = slack.buttons(&web.metadata.name.clone().unwrap_or_default()).await?;
    let approve = slack.body("U1", "headwind_approve", &value)?;
    let at = now();
    ensure!(send(&world, &second, "another", at, &approve).await? == 401, "a wrong signature");
    ensure!(send(&world, &second, SECRET, at - 301, &approve).await? == 401, "an old time stamp");
    ensure!(send(&world, &second, SECRET, at, &slack.body("U3", "headwind_approve", &value)?).await? == 200);
    slack.whispers("no Kubernetes user for the Slack user U3").await?;
    ensure!(send(&world, &second, SECRET, at, &slack.body("U2", "headwind_approve", &value)?).await? == 200);
    slack.whispers("slack-bob may not approve").await?;
    ensure!(phase(&web).await? == "Pending", "nobody has decided");

    // Ann approves, by the replica that does not lead or by the one that does. Each replica accepts the call once.
    ensure!(send(&world, &second, SECRET, at, &approve).await? == 200);
    let approved = world.request(&image("s/web", "1.1.0"), "Completed").await?;
    ensure!(approved.status.and_then(|status| status.approved_by).as_deref() == Some("slack-ann"));
    ensure!(send(&world, &second, SECRET, at, &approve).await? == 401, "a replay");
    ensure!(send(&world, &world.operator, SECRET, at, &approve).await? == 200, "the other replica sees it for the first time");
    slack.whispers("cannot approve a request that is Completed").await?;
    let shown = slack.shows(&format!("Update completed: Deployment {}/web", world.namespace)).await?;
    ensure!(shown["channel"] == "C1" && shown["ts"] == "1503435956.000247", "{shown}");
    ensure!(shown.to_string().contains("slack-ann") && !shown.to_string().contains("headwind_approve"), "{shown}");

    // Ann rejects.
    let api = waits(&world, "api").await?;
    let value = slack.buttons(&api.metadata.name.clone().unwrap_or_default()).await?;
    ensure!(send(&world, &second, SECRET, now(), &slack.body("U1", "headwind_reject", &value)?).await? == 200);
    let rejected = world.request(&image("s/api", "1.1.0"), "Rejected").await?;
    ensure!(rejected.status.and_then(|status| status.message).is_some_and(|message| message.starts_with("rejected by slack-ann")));
    slack.shows(&format!("Update rejected: Deployment {}/api", world.namespace)).await?;

    // Somebody decides elsewhere, while another replica takes over.
    let job = waits(&world, "job").await?;
    let value = slack.buttons(&job.metadata.name.clone().unwrap_or_default()).await?;
    let operators = [&world.operator, &second];
    let victim = crate::kill::leader(&operators).await?;
    ensure!(operators[victim].terminate().await? == Some(0), "a clean end");
    let other = operators[1 - victim];
    let path = format!("/api/v1/updates/{}/{}/reject", world.namespace, job.metadata.name.clone().unwrap_or_default());
    let answer = world.http.post(format!("{}{path}", other.api_url())).header("content-type", "application/json").send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    slack.shows(&format!("Update rejected: Deployment {}/job", world.namespace)).await?;
    // The buttons of the first message have no effect on the reopened request.
    let path = path.replace("/reject", "/reopen");
    let answer = world.http.post(format!("{}{path}", other.api_url())).header("content-type", "application/json").send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    ensure!(send(&world, other, SECRET, now(), &slack.body("U1", "headwind_approve", &value)?).await? == 200);
    slack.whispers("the message is older than the request").await?;
    ensure!(phase(&job).await? == "Pending");

    let log = world.operator.logs()? + &second.logs()?;
    ensure!(!log.contains(SECRET) && !log.contains("canary-of-the-bot"), "a secret is in the log");
    let audited = |parts: &[&str]| log.lines().any(|line| line.contains("headwind::audit") && parts.iter().all(|part| line.contains(part)));
    ensure!(audited(&["\"username\":\"slack-ann\"", "\"method\":\"slack\"", "\"result\":\"success\""]), "the decision is in the audit log");
    ensure!(audited(&["\"username\":\"slack-bob\"", "denied: 403"]) && audited(&["\"username\":\"slack:U3\"", "denied: 403"]));
    Ok(())
}
