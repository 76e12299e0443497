//! The pictures in the docs: `make pictures` takes them of a shop with updates in several phases.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use headwind_testbed::WorkloadKind;

use super::visit::Visit;
use crate::rollout::watched;
use crate::world::{World, image};

/// Names the folder for the pictures. Without it, there is no such trial.
pub(crate) const FOLDER: &str = "HEADWIND_PICTURES";

/// Gives the namespace the same name in each run.
pub(super) fn renamed(namespace: &str) -> String {
    format!(
        "const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); \
         while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll('{namespace}', 'shop')"
    )
}

pub(crate) async fn pictures() -> Result<()> {
    let folder = PathBuf::from(std::env::var_os(FOLDER).context("no folder")?);
    let Some(visit) = Visit::new("pictures", &[]).await? else { return Ok(()) };
    let (world, browser) = (&visit.world, &visit.browser);
    for (kind, name) in [
        (WorkloadKind::Deployment, "checkout-api"),
        (WorkloadKind::Deployment, "cart"),
        (WorkloadKind::StatefulSet, "orders-db"),
        (WorkloadKind::CronJob, "daily-report"),
    ] {
        let repository = format!("shop/{name}");
        world.create(&World::asking(kind, name, &image(&repository, "1.4.2")).headwind("auto-rollback", "true")).await?;
        world.push(&repository, "1.5.0").await?;
        world.request(&image(&repository, "1.5.0"), "Pending").await?;
    }
    for name in ["mailer", "search"] {
        let fixture = watched(WorkloadKind::Deployment, name, &image(&format!("shop/{name}"), "2.0.0"));
        world.create(&fixture.replicas(2).headwind("rollback-timeout", "600")).await?;
    }
    world.push("shop/mailer", "2.1.0-crash").await?;
    let failed = world.request(&image("shop/mailer", "2.1.0-crash"), "RolledBack").await?;
    world.push("shop/search", "2.1.0-unready").await?;
    world.request(&image("shop/search", "2.1.0-unready"), "RollingOut").await?;

    let take = async |name: &str, theme: &str| {
        browser.theme(theme).await?;
        browser.run(&renamed(&world.namespace)).await?;
        browser.picture(&folder.join(format!("{name}.webp"))).await
    };
    visit.live("/?sort=name").await?;
    take("dashboard", "light").await?;
    visit.live("/?sort=name").await?;
    visit.dialog("button[aria-label='Approve cart 1.5.0']").await?;
    take("approve", "light").await?;
    visit.live(&visit.page_of(&failed)).await?;
    take("rolled-back", "light").await?;
    visit.open(&format!("/workloads/{}/Deployment/cart", world.namespace)).await?;
    take("explain", "dark").await?;
    visit.open("/settings#slack").await?;
    take("notifications", "light").await?;
    browser.width(390, 700).await?;
    visit.live("/?sort=name").await?;
    take("phone", "dark").await?;
    visit.browser.end().await
}
