//! Reopen, roll back, freeze: by mouse, only by keyboard, and without script.

use anyhow::{Context as _, Result, ensure};

use super::freeze::freeze;
use super::visit::{ENTER, NO_DIALOG, NO_TOAST, SPACE, Visit};
use crate::world::image;

const REOPEN: &str = "a[href$='/reopen']";

pub(crate) async fn undo() -> Result<()> {
    let names = ["mouse", "keys", "plain"];
    let Some(visit) = Visit::new("ui-undo", &names).await? else { return Ok(()) };
    let (browser, world) = (&visit.browser, &visit.world);
    let mut pages = Vec::new();
    for name in names {
        let request = visit.pending(name).await?;
        world.does(&request, "reject").await?;
        pages.push(visit.page_of(&request));
    }
    let [mouse, keys, plain] = pages.try_into().ok().context("three pages")?;

    visit.live(&mouse).await?;
    visit.dialog(REOPEN).await?;
    browser.check("dialog-reopen-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    browser.until("the page shows that it waits", "document.querySelector('#detail h1').innerText.includes('Waiting')").await?;
    visit.pending("mouse").await?;

    visit.live(&keys).await?;
    browser.tab_to("Reopen…").await?;
    browser.keys(SPACE).await?;
    visit.opened().await?;
    browser.keys(ENTER).await?;
    visit.pending("keys").await?;

    browser.scripts(false).await?;
    visit.open(&plain).await?;
    browser.click(REOPEN).await?;
    browser.click("#confirm .btn-primary").await?;
    visit.pending("plain").await?;
    ensure!(browser.path().await? == plain, "the page of the update");
    browser.scripts(true).await?;

    for name in names {
        world.does(&visit.pending(name).await?, "approve").await?;
    }
    for name in names {
        visit.reaches(name, "Completed").await?;
    }
    let rolled_back = async |name: &str| {
        let request = world.request(&image(&format!("ui/{name}"), "1.0.0"), "Completed").await?;
        let status = request.status.clone().unwrap_or_default();
        ensure!(status.approved_by.as_deref() == Some("web-ui-user"), "{status:?}");
        // The browser follows to the page of the new request.
        browser.until("the page of the rollback", &format!("location.pathname === '{}'", visit.page_of(&request))).await.map(drop)
    };

    visit.live(&mouse).await?;
    browser.until("the toast has gone", NO_TOAST).await?;
    visit.dialog("a[aria-label='Roll back to mouse:1.0.0']").await?;
    browser.check("dialog-rollback-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    rolled_back("mouse").await?;

    visit.live(&keys).await?;
    browser.tab_to("Roll back to keys:1.0.0").await?;
    browser.keys(ENTER).await?;
    visit.opened().await?;
    browser.keys(ENTER).await?;
    rolled_back("keys").await?;

    browser.scripts(false).await?;
    visit.open(&plain).await?;
    browser.click("a[aria-label='Roll back to plain:1.0.0']").await?;
    browser.click("#confirm .btn-primary").await?;
    rolled_back("plain").await?;
    browser.scripts(true).await?;

    freeze(&visit).await?;
    visit.browser.end().await
}
