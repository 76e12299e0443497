//! Two replicas behind one address, and more tabs than a browser has connections.

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Operator, OperatorOptions};
use serde_json::json;

use super::balancer::Balancer;
use super::visit::{LIVE_NOW, NO_DIALOG, Visit};
use crate::account::Account;

/// One session on both replicas. Whichever of them dies, the page reconnects to the other one and catches up.
pub(crate) async fn replicas() -> Result<()> {
    let mode = |options: OperatorOptions| options.env("HEADWIND_UI_AUTH_MODE", "token");
    let names = ["one", "two", "three", "four", "by-first", "by-second"];
    let Some(visit) = Visit::with("ui-replicas", &names, mode).await? else { return Ok(()) };
    let (browser, world) = (&visit.browser, &visit.world);
    let second = Operator::run(world.bed, mode(OperatorOptions::new(&world.namespace).replica("headwind-1"))).await?;
    let replicas = [&world.operator, &second];
    let host = |one: &&Operator| one.ui_url().trim_start_matches("http://").to_owned();
    let balancer = Balancer::start(replicas.iter().map(host).collect()).await?;
    let question = ["patch", "updaterequests.headwind.sh", "--subresource=status"];
    let ann = Account::with(world, "ann", "headwind-approver", &question).await?;

    browser.go(&format!("{}/?sort=name", balancer.url())).await?;
    browser.write("input[name=token]", &ann.token).await?;
    browser.click("form .btn-primary").await?;
    browser.until("the stream is open", LIVE_NOW).await?;
    // Each replica acts once, so one of the two actions is not on the replica that serves the stream.
    for (acts, name) in replicas.iter().zip(["by-first", "by-second"]) {
        let path = format!("/api/v1{}/approve", visit.page_of(&visit.pending(name).await?));
        let approval = world.http.post(format!("{}{path}", acts.api_url())).bearer_auth(&ann.token).json(&json!({}));
        approval.send().await?.error_for_status()?;
        visit.row_is_decided(name).await?;
    }
    // The one that serves the stream dies in one of the two rounds.
    for (dies, (changes, approved)) in replicas.iter().zip([("one", "two"), ("three", "four")]) {
        dies.kill9().await?;
        visit.rejected_elsewhere(changes).await?;
        visit.row_is_decided(changes).await?;
        browser.until("the stream is open again", LIVE_NOW).await?;
        visit.dialog(&format!("button[aria-label='Approve {approved} 1.1.0']")).await?;
        browser.click("dialog .btn-primary").await?;
        browser.until("the dialog is closed", NO_DIALOG).await?;
        visit.row_is_decided(approved).await?;
        dies.start().await?;
        dies.ready().await?;
        let done = visit.reaches(approved, "Completed").await?.status.context("a status")?;
        ensure!(done.approved_by.as_deref() == Some(&*ann.user), "{done:?}");
    }
    ensure!(balancer.served().iter().all(|served| *served > 0), "{:?}", balancer.served());
    visit.browser.end().await
}

/// A browser has six connections for an address. Hidden pages give theirs back, and pages that open in the background
/// have none, so the seventh tab loads and acts. A page that is shown again reconnects and catches up.
pub(crate) async fn tabs() -> Result<()> {
    let Some(visit) = Visit::new("ui-tabs", &["shown", "behind", "elsewhere"]).await? else { return Ok(()) };
    let browser = &visit.browser;
    browser.patience(super::visit::PATIENCE).await?;
    let approve = async |name: &str| {
        visit.dialog(&format!("button[aria-label='Approve {name} 1.1.0']")).await?;
        browser.click("dialog .btn-primary").await?;
        visit.row_is_decided(name).await
    };
    let first = browser.tab().await?;
    for tab in 0..7 {
        if tab > 0 {
            browser.new_tab().await?;
        }
        visit.live("/").await.with_context(|| format!("tab {tab}"))?;
    }
    approve("shown").await?;

    let mut last = browser.tab().await?;
    for _ in 0..7 {
        last = browser.in_background(&visit.address("/")).await?;
    }
    browser.switch(last).await?;
    browser.width(1280, 800).await?;
    browser.until("the page that opened in the background is live", LIVE_NOW).await?;
    approve("behind").await?;

    browser.switch(first).await?;
    browser.until("the page is live again", LIVE_NOW).await?;
    visit.row_is_decided("shown").await?;
    visit.row_is_decided("behind").await?;
    visit.rejected_elsewhere("elsewhere").await?;
    visit.row_is_decided("elsewhere").await?;
    ensure!(browser.run("return document.hidden").await? == json!(false));
    visit.browser.end().await
}
