//! Every page, in both themes and three widths.

use anyhow::{Context as _, Result, ensure};

use super::browser::Browser;
use super::visit::Visit;

/// The bytes of a first visit: the page, the style sheet, the scripts and the icons, as they are sent.
const FIRST_VISIT: u64 = 60_000;

/// Every page is accessible, quiet, and not too wide. Each is loaded once: width and theme change in place.
pub(crate) async fn pages() -> Result<()> {
    let names = ["checkout-api", "cart", "a-service-with-a-very-long-name-indeed"];
    let Some(visit) = Visit::new("ui-pages", &[]).await? else { return Ok(()) };
    let (browser, world) = (&visit.browser, &visit.world);
    if !browser.has_axe() {
        headwind_testbed::skip::skipped("the accessibility checks of ui_pages", "axe-core is not installed: run `make ui`");
    }
    browser.messages().await?;
    visit.live("/").await?;
    let loaded = loaded_bytes(browser).await?;
    ensure!((20_000..=FIRST_VISIT).contains(&loaded), "a first visit loads {loaded} bytes");
    ensure!(browser.run("return document.querySelector('h1').innerText").await? == "Nothing is tracked yet");
    browser.check_everywhere("first-run").await?;

    for name in names {
        visit.update_waits(name).await?;
    }
    let cart = visit.page_of(&visit.pending("cart").await?);
    world.does(&visit.pending("checkout-api").await?, "approve").await?;
    let done = visit.page_of(&visit.reaches("checkout-api", "Completed").await?);
    let namespace = &world.namespace;
    let pages = [
        ("dashboard", "/".to_owned()),
        ("updates", "/updates".to_owned()),
        ("update", cart.clone()),
        ("update-completed", done),
        ("approve", format!("{cart}/approve")),
        ("bulk", format!("/updates/bulk/approve?u={}", cart.trim_start_matches("/updates/"))),
        ("rollback", format!("/workloads/{namespace}/Deployment/checkout-api/rollback?index=1")),
        ("freeze", "/freeze".to_owned()),
        ("reject", format!("{cart}/reject")),
        ("workloads", "/workloads".to_owned()),
        ("explain", format!("/workloads/{namespace}/Deployment/cart")),
        ("observability", "/observability".to_owned()),
        ("settings", "/settings".to_owned()),
        ("nothing-found", "/updates?q=nothing".to_owned()),
    ];
    for (name, path) in &pages {
        visit.open(path).await?;
        browser.check_everywhere(name).await?;
    }
    visit.browser.end().await
}

/// Returns the number of bytes that the browser loaded for the page and everything that it needs.
async fn loaded_bytes(browser: &Browser) -> Result<u64> {
    let sizes = "return ['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type)).reduce((sum, one) => sum + one.transferSize, 0)";
    browser.run(sizes).await?.as_u64().context("a number of bytes")
}
