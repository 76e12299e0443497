//! Approve and reject: by mouse, only by keyboard, and without script.

use anyhow::{Result, ensure};
use serde_json::json;

use super::visit::{AT_REST, DIALOG, ENTER, ESCAPE, NO_DIALOG, NO_TOAST, Visit};

/// The dialog says who was faster, and that the action had no effect.
const CONFLICT: &str = "(text => text?.includes(' rejected it') && text.includes('Your action had no effect'))(document.querySelector('dialog[open]')?.innerText)";

/// Approve, reject and several at once: by mouse, only by keyboard, and without script.
pub(crate) async fn decisions() -> Result<()> {
    let names = ["mouse", "keys", "plain", "late", "late-keys", "many-a", "many-b", "no", "no-keys", "no-plain"];
    let Some(visit) = Visit::new("ui-decisions", &names).await? else { return Ok(()) };
    let browser = &visit.browser;
    visit.live("/?sort=name").await?;

    // By mouse: the dialog opens, the row changes in its place, the focus stays in it.
    browser.click("button[aria-label='Approve mouse 1.1.0']").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.until("the dialog is at rest", AT_REST).await?;
    browser.check("dialog-approve-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the toast is there", "document.querySelector('.toast-one')").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    // The row is replaced, and gets the focus back after that.
    browser.until("the focus is in the row", "document.activeElement.closest('.row')").await?;
    ensure!(visit.reaches("mouse", "Completed").await?.status.unwrap_or_default().approved_by.as_deref() == Some("web-ui-user"));

    // Only by keyboard.
    visit.to_row("keys").await?;
    browser.keys("a").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.keys(ENTER).await?;
    visit.reaches("keys", "Completed").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;

    visit.to_row("no-keys").await?;
    browser.keys("r").await?;
    visit.opened().await?;
    browser.keys("not yet").await?;
    browser.tab_to("Reject").await?;
    browser.keys(ENTER).await?;
    visit.reaches("no-keys", "Rejected").await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;

    // Somebody was faster: the dialog says so, and the keys lead on from there.
    visit.to_row("late-keys").await?;
    browser.keys("r").await?;
    visit.opened().await?;
    visit.rejected_elsewhere("late-keys").await?;
    visit.row_is_decided("late-keys").await?;
    browser.keys("too late").await?;
    browser.tab_to("Reject").await?;
    browser.keys(ENTER).await?;
    browser.until("the conflict is shown", CONFLICT).await?;
    browser.keys(ENTER).await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;

    // Somebody else decides while a dialog with typed text is open.
    browser.until("the toast has gone", NO_TOAST).await?;
    browser.click("button[aria-label='Reject late 1.1.0']").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.write("dialog textarea", "needs the new schema").await?;
    visit.rejected_elsewhere("late").await?;
    browser.until("the row changed", "[...document.querySelectorAll('.row-done .name')].some((one) => one.textContent === 'late')").await?;
    ensure!(
        browser.run("return document.querySelector('dialog textarea').value").await? == json!("needs the new schema"),
        "the text is kept"
    );
    browser.click("dialog .btn-error").await?;
    browser.until("the conflict is shown", CONFLICT).await?;
    browser.shoot("dialog-conflict-desktop-light").await?;
    browser.keys(ESCAPE).await?;
    // The row was replaced below the open dialog.
    browser
        .until("the focus is in the row", "document.activeElement.closest('.row')?.querySelector('.name').textContent === 'late'")
        .await?;

    // Reject with a reason.
    browser.until("the toast has gone", NO_TOAST).await?;
    browser.click("button[aria-label='Reject no 1.1.0']").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.write("dialog textarea", "not this one").await?;
    browser.click("dialog .btn-error").await?;
    let rejected = visit.reaches("no", "Rejected").await?.status.unwrap_or_default();
    ensure!(rejected.message.as_deref() == Some("rejected by web-ui-user: not this one"), "{:?}", rejected.message);
    browser.until("the dialog is closed", NO_DIALOG).await?;

    // Several at once.
    browser.until("the toast has gone", NO_TOAST).await?;
    for name in ["many-a", "many-b"] {
        browser.click(&format!("input[aria-label='Select {name} 1.1.0']")).await?;
    }
    ensure!(browser.run("return document.querySelector('#picked').value").await? == json!("2 selected"));
    browser.click(".bulk .btn-primary").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.until("the dialog is at rest", AT_REST).await?;
    browser.check("dialog-bulk-desktop-light").await?;
    browser.click("dialog .btn-primary").await?;
    for name in ["many-a", "many-b"] {
        visit.reaches(name, "Completed").await?;
    }

    // Without script: pages and forms.
    browser.scripts(false).await?;
    visit.open("/").await?;
    browser.click("button[aria-label='Approve plain 1.1.0']").await?;
    browser.click("#confirm .btn-primary").await?;
    visit.reaches("plain", "Completed").await?;
    visit.open("/").await?;
    browser.click("button[aria-label='Reject no-plain 1.1.0']").await?;
    browser.write("#confirm textarea", "not yet").await?;
    browser.click("#confirm .btn-error").await?;
    visit.reaches("no-plain", "Rejected").await?;
    browser.scripts(true).await?;
    visit.browser.end().await
}
