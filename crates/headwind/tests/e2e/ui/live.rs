//! Live updates: a change elsewhere, a server that stops, and the stream for programs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::WorkloadKind;
use serde_json::json;

use super::visit::{LIVE_NOW, Visit};
use crate::world::{World, image};

/// A change must be visible within this time on a quiet machine.
const LIVE: Duration = Duration::from_secs(1);
/// The same on a busy machine.
const LOADED: Duration = Duration::from_secs(5);

/// A change elsewhere shows in its row; a lost connection is shown, and then the page fetches what it missed.
pub(crate) async fn live() -> Result<()> {
    let Some(visit) = Visit::new("ui-live", &["first", "second", "third"]).await? else { return Ok(()) };
    let browser = &visit.browser;
    visit.live("/?sort=name").await?;
    let order = "[...document.querySelectorAll('#list .name')].map((one) => one.textContent).join()";
    let before = browser.run(&format!("return {order}")).await?;
    browser.click("input[aria-label='Select second 1.1.0']").await?;
    browser.run("document.querySelector(\"button[aria-label='Approve second 1.1.0']\").focus()").await?;
    visit.rejected_elsewhere("first").await?;
    let took = browser.until("the row changed", "document.querySelector('.row-done')").await?;
    ensure!(took < LOADED, "after {took:?}");
    if took > LIVE {
        eprintln!("ui_live: a change was visible after {took:?}");
    }
    ensure!(browser.run(&format!("return {order}")).await? == before, "the order is kept");
    ensure!(
        browser.run("return document.querySelector(\"input[aria-label='Select second 1.1.0']\").checked").await? == json!(true),
        "the check is kept"
    );
    ensure!(
        browser.run("return document.activeElement.getAttribute('aria-label')").await? == json!("Approve second 1.1.0"),
        "the focus is kept"
    );
    browser.until("the title follows", "document.title.startsWith('(2)')").await?;
    browser.until("the heading follows", "document.querySelector('h1').innerText === '2 updates waiting for you'").await?;

    // The page announces a new update in a line to click, and does not move its rows.
    visit.world.create(&World::asking(WorkloadKind::Deployment, "fourth", &image("ui/fourth", "1.0.0"))).await?;
    visit.world.push("ui/fourth", "1.1.0").await?;
    browser.until("the new update is shown", "document.querySelector('a.news')").await?;
    ensure!(browser.run(&format!("return {order}")).await? == before, "nothing is inserted");
    browser.click("a.news").await?;
    browser.until("the list is read again", &format!("{order} === 'fourth,second,third'")).await?;

    // The server stops and starts again.
    visit.world.operator.kill9().await?;
    browser.until("the lost connection is shown", "document.querySelector('#live').innerText.trim() === 'Reconnecting'").await?;
    browser.shoot("reconnecting-desktop-light").await?;
    visit.rejected_elsewhere("second").await?;
    visit.world.operator.start().await?;
    visit.world.operator.ready().await?;
    browser.until("the stream is open again", LIVE_NOW).await?;
    browser.until("what was missed is caught up", "document.querySelector('.row-done')").await?;

    // Programs have a stream of their own.
    let mut stream = visit.world.http.get(format!("{}/api/v1/events/updates", visit.world.operator.api_url())).send().await?;
    visit.rejected_elsewhere("third").await?;
    let mut events = String::new();
    while !events.contains("\"phase\":\"Rejected\"") {
        events.push_str(&String::from_utf8_lossy(&stream.chunk().await?.context("the stream ended")?));
    }
    ensure!(events.contains("event: update") && events.contains("\"workload\":\"third\""), "{events}");
    visit.browser.end().await
}
