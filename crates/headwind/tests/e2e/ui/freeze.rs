//! Freeze all updates and end the freeze: by mouse, only by keyboard, and without script.

use anyhow::Result;

use super::visit::{ENTER, NO_DIALOG, NO_TOAST, SPACE, Visit};

const FROZEN: &str = "document.querySelector('#banner').innerText.includes('Updates are frozen')";
const THAWED: &str = "!document.querySelector('#banner').innerText.includes('Updates are frozen')";

/// A freeze is shown at once, in the card of the settings page and in the banner. Ends every freeze that it starts.
pub(super) async fn freeze(visit: &Visit) -> Result<()> {
    let browser = &visit.browser;
    visit.live("/settings").await?;
    browser.until("nothing is frozen", THAWED).await?;
    visit.dialog("#limits a[href^='/freeze']").await?;
    browser.write("dialog input[name=reason]", "holidays").await?;
    browser.check("dialog-freeze-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    browser.until("the banner says so", &format!("{FROZEN} && document.querySelector('#banner').innerText.includes('holidays')")).await?;
    browser.until("the card says so", "document.querySelector('#limits').innerText.includes('Frozen')").await?;
    browser.until("the toast has gone", NO_TOAST).await?;
    browser.check("settings-frozen-desktop-light").await?;
    visit.dialog("#limits a[href^='/unfreeze']").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the freeze has ended", THAWED).await?;

    browser.scripts(false).await?;
    visit.open("/freeze").await?;
    browser.click("#confirm .btn-primary").await?;
    browser.until("the banner says so", FROZEN).await?;
    browser.click("#banner a").await?;
    browser.click("#confirm .btn-primary").await?;
    browser.until("the freeze has ended", THAWED).await?;
    browser.scripts(true).await?;

    visit.live("/settings").await?;
    browser.tab_to("Freeze updates…").await?;
    browser.keys(SPACE).await?;
    visit.opened().await?;
    browser.keys(ENTER).await?;
    browser.until("the banner says so", FROZEN).await?;
    visit.live("/").await?;
    browser.until("the banner of another page says so", FROZEN).await?;
    browser.tab_to("End the freeze…").await?;
    browser.keys(ENTER).await?;
    visit.opened().await?;
    browser.keys(ENTER).await?;
    browser.until("the freeze has ended", THAWED).await.map(drop)
}
