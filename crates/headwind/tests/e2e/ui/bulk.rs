//! Several updates at once, one of which somebody else has decided about: by mouse, only by keyboard, and without
//! script.

use anyhow::{Result, ensure};

use super::visit::{DIALOG, ENTER, NO_DIALOG, Visit};

const SUMMARY: &str = "1 approved, 1 not";

pub(crate) async fn bulk() -> Result<()> {
    let names = ["a-mouse", "b-mouse", "c-keys", "d-keys", "e-plain", "f-plain", "g-late"];
    let Some(visit) = Visit::new("ui-bulk", &names).await? else { return Ok(()) };
    let browser = &visit.browser;
    let shown = async || {
        Ok::<_, anyhow::Error>(
            browser.run("return document.querySelector('#confirm').innerText").await?.as_str().unwrap_or_default().to_owned(),
        )
    };

    visit.live("/?sort=name").await?;
    for name in ["a-mouse", "b-mouse"] {
        browser.click(&format!("input[aria-label='Select {name} 1.1.0']")).await?;
    }
    visit.dialog(".bulk .btn-primary").await?;
    visit.rejected_elsewhere("b-mouse").await?;
    visit.row_is_decided("b-mouse").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the results are shown", "document.querySelector('dialog[open] [aria-label=Results]')").await?;
    let text = shown().await?;
    ensure!(text.contains(SUMMARY) && text.contains("already Rejected"), "{text}");
    browser.check("dialog-partial-desktop-light").await?;
    visit.row_is_decided("a-mouse").await?;
    visit.reaches("a-mouse", "Completed").await?;
    visit.reaches("b-mouse", "Rejected").await?;

    // Only by keyboard: the first two rows are decided, the next two are selected.
    visit.live("/?sort=name").await?;
    browser.keys("jxjx").await?;
    browser.tab_to("Approve…").await?;
    browser.keys(ENTER).await?;
    visit.opened().await?;
    visit.rejected_elsewhere("d-keys").await?;
    visit.row_is_decided("d-keys").await?;
    browser.keys(ENTER).await?;
    browser.until("the results are shown", "document.querySelector('dialog[open] [aria-label=Results]')").await?;
    let text = shown().await?;
    ensure!(text.contains(SUMMARY), "{text}");
    browser.keys(ENTER).await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    visit.reaches("c-keys", "Completed").await?;

    browser.scripts(false).await?;
    visit.open("/").await?;
    for name in ["e-plain", "f-plain"] {
        browser.click(&format!("input[aria-label='Select {name} 1.1.0']")).await?;
    }
    browser.click(".bulk .btn-primary").await?;
    browser.until("both are listed", "document.querySelector('#confirm')?.innerText.includes('f-plain')").await?;
    visit.rejected_elsewhere("f-plain").await?;
    browser.click("#confirm .btn-primary").await?;
    browser.until("the results are shown", "document.querySelector('#confirm [aria-label=Results]')").await?;
    let text = shown().await?;
    ensure!(text.contains(SUMMARY) && text.contains("already Rejected"), "{text}");
    visit.reaches("e-plain", "Completed").await?;

    // One update that somebody else decided first.
    visit.open("/").await?;
    browser.click("button[aria-label='Approve g-late 1.1.0']").await?;
    browser.until("the page asks", "document.querySelector('#confirm')").await?;
    visit.rejected_elsewhere("g-late").await?;
    browser.click("#confirm .btn-primary").await?;
    browser.until("the answer is shown", "document.querySelector('#confirm .note')").await?;
    let text = shown().await?;
    ensure!(text.contains(" rejected it") && text.contains("Your action had no effect"), "{text}");
    browser.scripts(true).await?;
    ensure!(browser.run(&format!("return !({DIALOG})")).await? == serde_json::json!(true));
    visit.browser.end().await
}
