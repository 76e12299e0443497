//! The web UI in a real browser: every page, what people do, and live updates.

mod browser;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::WorkloadKind;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use self::browser::{Browser, programs};
use crate::world::{World, image};

/// A change must be visible within this time on a quiet machine.
const LIVE: Duration = Duration::from_secs(1);
/// On a machine that does other work.
const LOADED: Duration = Duration::from_secs(5);

const LIVE_NOW: &str = "document.querySelector('#live').dataset.state === 'live'";
/// The dialog is visible, and no part of it moves or fades any more: axe measures its colours.
const AT_REST: &str = "(dialog => dialog.open && [dialog, dialog.querySelector('.modal-box')].every(one => !one || getComputedStyle(one).opacity === '1') \
     && dialog.getAnimations({ subtree: true }).every(one => one.playState !== 'running'))(document.querySelector('dialog'))";
/// The toast of a success has disappeared by itself: it covers what lies below it for 3 s.
const NO_TOAST: &str = "!document.querySelector('.toast-one.tone-good')";
const DIALOG: &str = "document.querySelector('dialog[open] #confirm')";

/// A world with waiting updates, and a browser.
struct Visit {
    world: World,
    browser: Browser,
}

impl Visit {
    /// Returns `None`, and says so, if there is no browser.
    async fn new(hint: &str, names: &[&str]) -> Result<Option<Self>> {
        if programs().is_none() {
            headwind_testbed::skip::skipped(hint, "chromium and chromedriver are not installed (apt-get install chromium chromium-driver)");
            return Ok(None);
        }
        let world = World::new(hint).await?;
        for name in names {
            world.create(&World::asking(WorkloadKind::Deployment, name, &image(&format!("ui/{name}"), "1.0.0"))).await?;
            world.push(&format!("ui/{name}"), "1.1.0").await?;
            world.request(&image(&format!("ui/{name}"), "1.1.0"), "Pending").await?;
        }
        Ok(Some(Self { world, browser: Browser::start().await? }))
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.world.operator.ui_url())
    }

    async fn open(&self, path: &str) -> Result<()> {
        self.browser.go(&self.address(path)).await
    }

    /// Opens a page and waits until its stream is open.
    async fn live(&self, path: &str) -> Result<()> {
        self.open(path).await?;
        self.browser.until("the stream is open", LIVE_NOW).await?;
        Ok(())
    }

    async fn pending(&self, name: &str) -> Result<UpdateRequest> {
        self.world.request(&image(&format!("ui/{name}"), "1.1.0"), "Pending").await
    }

    async fn reaches(&self, name: &str, phase: &str) -> Result<UpdateRequest> {
        self.world.request(&image(&format!("ui/{name}"), "1.1.0"), phase).await
    }

    /// Rejects an update as `kubectl` does.
    async fn rejected_elsewhere(&self, name: &str) -> Result<()> {
        let request = self.pending(name).await?;
        let api: Api<UpdateRequest> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        // The admission policy accepts only the writer's own name.
        let reviews: Api<SelfSubjectReview> = Api::all(self.world.client.clone());
        let me = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let name = me.status.and_then(|status| status.user_info?.username).context("no user name")?;
        let patch = json!({"status": {"phase": "Rejected", "rejectedBy": name, "message": "by kubectl"}});
        api.patch_status(&request.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }
}

/// Every page, in both themes and three widths: accessible, quiet, and not too wide.
pub(crate) async fn pages() -> Result<()> {
    let Some(visit) = Visit::new("ui-pages", &["checkout-api", "cart", "a-service-with-a-very-long-name-indeed"]).await? else {
        return Ok(());
    };
    let (browser, namespace) = (&visit.browser, &visit.world.namespace);
    if !browser.has_axe() {
        headwind_testbed::skip::skipped("the accessibility checks of ui_pages", "axe-core is not installed: run `make ui`");
    }
    let cart = visit.pending("cart").await?.name_any();
    visit.world.does(&visit.pending("checkout-api").await?, "approve").await?;
    let done = visit.reaches("checkout-api", "Completed").await?.name_any();
    let pages = [
        ("dashboard", "/".to_owned()),
        ("updates", "/updates".to_owned()),
        ("update", format!("/updates/{namespace}/{cart}")),
        ("update-completed", format!("/updates/{namespace}/{done}")),
        ("approve", format!("/updates/{namespace}/{cart}/approve")),
        ("reject", format!("/updates/{namespace}/{cart}/reject")),
        ("workloads", "/workloads".to_owned()),
        ("explain", format!("/workloads/{namespace}/Deployment/cart")),
        ("observability", "/observability".to_owned()),
        ("settings", "/settings".to_owned()),
        ("nothing-found", "/updates?q=nothing".to_owned()),
    ];
    browser.messages().await?;
    for theme in ["light", "dark"] {
        browser.theme(theme).await?;
        for (view, width, height) in [("desktop", 1280, 800), ("phone", 390, 844), ("narrow", 320, 640)] {
            browser.width(width, height).await?;
            for (name, path) in &pages {
                visit.open(path).await?;
                browser.check(&format!("{name}-{view}-{theme}")).await?;
            }
        }
    }
    visit.browser.end().await
}

/// Approve, reject and several at once: by mouse, by keys alone, and without script.
pub(crate) async fn decisions() -> Result<()> {
    let names = ["mouse", "keys", "plain", "late", "many-a", "many-b", "no"];
    let Some(visit) = Visit::new("ui-decisions", &names).await? else { return Ok(()) };
    let browser = &visit.browser;
    browser.width(1280, 800).await?;
    visit.live("/?sort=name").await?;

    // By mouse: the dialog opens, the row changes in its place, the focus stays in it.
    browser.click("button[aria-label='Approve mouse 1.1.0']").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.until("the dialog is at rest", AT_REST).await?;
    browser.check("dialog-approve-desktop-dark").await?;
    browser.click("dialog .btn-primary").await?;
    browser.until("the toast is there", "document.querySelector('.toast-one')").await?;
    browser.until("the dialog is closed", "!document.querySelector('dialog[open]')").await?;
    ensure!(browser.run("return document.activeElement.closest('.row') !== null").await? == json!(true), "the focus stays in the row");
    ensure!(visit.reaches("mouse", "Completed").await?.status.unwrap_or_default().approved_by.as_deref() == Some("web-ui-user"));

    // By keys alone.
    browser.run("[...document.querySelectorAll('#list .name')].find((one) => one.textContent === 'keys').focus()").await?;
    browser.keys("a").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.keys("\u{e007}").await?;
    visit.reaches("keys", "Completed").await?;
    browser.until("the dialog is closed", "!document.querySelector('dialog[open]')").await?;

    // Somebody was faster, behind an open dialog with a text in it.
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
    browser.until("the conflict is shown", "document.querySelector('dialog[open] .note')").await?;
    browser.shoot("dialog-conflict-desktop-dark").await?;
    ensure!(browser.run("return document.querySelector('dialog').innerText").await?.as_str().unwrap_or_default().contains(" rejected it"));
    browser.keys("\u{e00c}").await?;

    // Reject with a reason.
    browser.until("the toast has gone", NO_TOAST).await?;
    browser.click("button[aria-label='Reject no 1.1.0']").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.write("dialog textarea", "not this one").await?;
    browser.click("dialog .btn-error").await?;
    let rejected = visit.reaches("no", "Rejected").await?.status.unwrap_or_default();
    ensure!(rejected.message.as_deref() == Some("rejected by web-ui-user: not this one"), "{:?}", rejected.message);
    browser.until("the dialog is closed", "!document.querySelector('dialog[open]')").await?;

    // Several at once.
    browser.until("the toast has gone", NO_TOAST).await?;
    for name in ["many-a", "many-b"] {
        browser.click(&format!("input[aria-label='Select {name} 1.1.0']")).await?;
    }
    ensure!(browser.run("return document.querySelector('#picked').value").await? == json!("2 selected"));
    browser.click(".bulk .btn-primary").await?;
    browser.until("the dialog opens", DIALOG).await?;
    browser.until("the dialog is at rest", AT_REST).await?;
    browser.check("dialog-bulk-desktop-dark").await?;
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
    browser.scripts(true).await?;
    visit.browser.end().await
}

/// A change elsewhere shows in its row; a lost connection is shown, and what was missed is caught up.
pub(crate) async fn live() -> Result<()> {
    let Some(visit) = Visit::new("ui-live", &["first", "second", "third"]).await? else { return Ok(()) };
    let browser = &visit.browser;
    browser.width(1280, 800).await?;
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

    // A new update is a line to click, not a jump.
    visit.world.create(&World::asking(WorkloadKind::Deployment, "fourth", &image("ui/fourth", "1.0.0"))).await?;
    visit.world.push("ui/fourth", "1.1.0").await?;
    browser.until("the new update is shown", "document.querySelector('a.news')").await?;
    ensure!(browser.run(&format!("return {order}")).await? == before, "nothing is inserted");
    browser.click("a.news").await?;
    browser.until("the list is read again", &format!("{order} === 'fourth,second,third'")).await?;

    // The server goes away and comes back.
    visit.world.operator.kill9().await?;
    browser.until("the lost connection is shown", "document.querySelector('#live').dataset.state === 'lost'").await?;
    browser.shoot("reconnecting-desktop-dark").await?;
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
