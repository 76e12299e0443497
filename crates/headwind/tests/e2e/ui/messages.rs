//! The pictures of messages in the docs: of what an operator sent to each channel about an update that waits.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use headwind_testbed::{Mailpit, OperatorOptions, Receivers, WorkloadKind, eventually};
use serde_json::{Value, json};

use super::pictures::{FOLDER, renamed};
use super::visit::Visit;
use crate::world::{SOON, World, image};

/// Draws the payload of a channel, and returns the height of the picture.
const PAGE: &str = concat!("file://", env!("CARGO_MANIFEST_DIR"), "/tests/e2e/ui/messages.html");
/// Width of the pictures, in CSS pixels.
const WIDTH: u32 = 560;

pub(crate) async fn pictures() -> Result<()> {
    let folder = PathBuf::from(std::env::var_os(FOLDER).context("no folder")?);
    let (receivers, mailpit) = (Receivers::start().await?, Mailpit::start().await?);
    let server = mailpit.smtp();
    let mail = [
        ("MAIL_ENABLED", "true"),
        ("MAIL_SERVER", &server),
        ("MAIL_TLS", "none"),
        ("MAIL_FROM", "headwind@example.com"),
        ("MAIL_TO", "ops@example.com"),
        ("HEADWIND_UI_URL", "https://headwind.example.com"),
        ("SLACK_SIGNING_SECRET", "of-the-pictures"),
        ("SLACK_USERS", "U1=ann"),
    ];
    let options = |options: OperatorOptions| options.envs(receivers.environment()).envs(mail);
    let Some(visit) = Visit::with("pictures_of_messages", &[], options).await? else { return Ok(()) };
    let (world, browser) = (&visit.world, &visit.browser);
    world.create(&World::asking(WorkloadKind::Deployment, "cart", &image("shop/cart", "1.4.2"))).await?;
    world.push("shop/cart", "1.5.0").await?;

    browser.go(PAGE).await?;
    let draw = async |name: &str, payload: Value| {
        browser.width(WIDTH, 400).await?;
        let height = browser.client.execute("return draw(arguments[0], arguments[1])", vec![json!(name), payload]).await?;
        browser.run(&renamed(&world.namespace)).await?;
        browser.width(WIDTH, u32::try_from(height.as_u64().context("a height")?)?).await?;
        browser.picture(&folder.join(format!("message-{name}.webp"))).await
    };
    for (name, receiver) in receivers.all().into_iter().filter(|(name, _)| *name != "webhook") {
        let first = || async { receiver.accepted().pop().ok_or_else(|| "no message".to_owned()) };
        draw(name, eventually("the message is there", SOON, first).await?).await?;
    }
    let first = || async { mailpit.mails().await.map_err(|error| error.to_string())?.pop().ok_or_else(|| "no mail".to_owned()) };
    draw("mail", eventually("the mail is there", SOON, first).await?).await?;
    visit.browser.end().await
}
