//! Rows that pages fetch again, and what streams say.

use super::site::{Pages, update};
use crate::ui::hub::id;

#[tokio::test]
async fn a_row_is_fetched_in_its_view() {
    let pages = Pages::new();
    pages.fill();
    let row = pages.htmx("/updates/shop/cart-1/row?view=inbox", "u-x").await;
    let identity = id("shop", "cart-1");
    assert!(row.body.starts_with(&format!("<li class=\"row\" id=\"u-{identity}\"")) && row.has(&format!("sse:u-{identity}, sse:resync")), "{}", row.body);
    assert!(pages.htmx("/updates/shop/cart-1/row?view=table", "u-x").await.body.starts_with("<tr"));
    assert!(pages.htmx("/updates/shop/web-1/row?view=moving", "u-x").await.has("3 of 6 new pods available"));
    assert!(pages.htmx("/updates/shop/broken-1/row?view=trouble", "u-x").await.has("back-off restarting"));
    pages.site.request(update("cart", "Rejected", 2));
    let decided = pages.htmx("/updates/shop/cart-1/row?view=inbox", "u-x").await;
    assert!(decided.has("row row-done") && decided.has("by ann"), "{}", decided.body);
    let gone = pages.htmx("/updates/shop/missing/row?view=inbox", "u-x").await;
    assert_eq!((gone.status, gone.header("hx-reswap")), (404, "none"));
}

#[tokio::test]
async fn new_updates_are_counted_by_the_filter_of_the_page() {
    let pages = Pages::new();
    pages.fill();
    // The hub has to run before it hears.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let page = pages.get("/").await;
    let version = page.body.split("/events?v=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    for name in ["new-1", "new-2"] {
        pages.site.request(update(name, "Pending", 1));
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(pages.get(&format!("/updates/news?list=inbox&v={version}")).await.has("2 new updates"));
    assert!(pages.get(&format!("/updates/news?list=inbox&v={version}&q=new-2")).await.has("1 new update"));
    assert_eq!(pages.get(&format!("/updates/news?list=inbox&v={version}&q=other")).await.body, "");
    assert!(pages.get("/updates/news?list=inbox&v=1-1").await.has("New updates"));
}
