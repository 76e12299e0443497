//! Every page, in both themes and three widths.

use anyhow::Result;

use super::visit::Visit;

/// Every page is accessible, quiet, and not too wide. Each is loaded once: width and theme change in place.
pub(crate) async fn pages() -> Result<()> {
    let names = ["checkout-api", "cart", "a-service-with-a-very-long-name-indeed"];
    let Some(visit) = Visit::new("ui-pages", &names).await? else { return Ok(()) };
    let (browser, world) = (&visit.browser, &visit.world);
    if !browser.has_axe() {
        headwind_testbed::skip::skipped("the accessibility checks of ui_pages", "axe-core is not installed: run `make ui`");
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
        ("reject", format!("{cart}/reject")),
        ("workloads", "/workloads".to_owned()),
        ("explain", format!("/workloads/{namespace}/Deployment/cart")),
        ("observability", "/observability".to_owned()),
        ("settings", "/settings".to_owned()),
        ("nothing-found", "/updates?q=nothing".to_owned()),
    ];
    browser.messages().await?;
    for (name, path) in &pages {
        visit.open(path).await?;
        browser.check_everywhere(name).await?;
    }
    visit.browser.end().await
}
