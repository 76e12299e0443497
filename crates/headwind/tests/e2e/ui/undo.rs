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
    // The button is gone.
    browser.until("the heading has the focus", "document.activeElement.id === 'title'").await?;
    visit.pending("mouse").await?;
    live_parts(&visit, &mouse).await?;

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
    visit.dialog("#head a[href*='/rollback?']").await?;
    browser.check("dialog-rollback-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    rolled_back("mouse").await?;

    visit.live(&keys).await?;
    browser.tab_to("Roll back to 1.0.0").await?;
    browser.keys(ENTER).await?;
    visit.opened().await?;
    browser.keys(ENTER).await?;
    rolled_back("keys").await?;

    browser.scripts(false).await?;
    visit.open(&plain).await?;
    browser.click("#history a[href*='/rollback?']").await?;
    browser.click("#confirm .btn-primary").await?;
    rolled_back("plain").await?;
    browser.scripts(true).await?;

    freeze(&visit).await?;
    visit.browser.end().await
}

/// A change elsewhere replaces only what it changed: selected text, an open part of the page and the focus stay.
async fn live_parts(visit: &Visit, page: &str) -> Result<()> {
    let browser = &visit.browser;
    visit.live(page).await?;
    browser.click("details.more summary").await?;
    browser.run("getSelection().selectAllChildren(document.querySelector('.from-to')); document.querySelector('#explain').focus()").await?;
    let selected = browser.run("return String(getSelection())").await?;
    visit.rejected_elsewhere("mouse").await?;
    browser.until("the page shows the change", "document.querySelector('#detail h1').innerText.includes('Rejected')").await?;
    browser.until("the focus is kept", "document.activeElement.id === 'explain'").await?;
    ensure!(browser.run("return String(getSelection())").await? == selected, "the selected text is kept");
    ensure!(browser.run("return document.querySelector('details.more').open").await? == true, "the open part is kept");
    visit.dialog(REOPEN).await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    visit.pending("mouse").await.map(drop)
}
