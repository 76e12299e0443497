//! The web UI for people without all permissions: mode `token`, with service accounts of the cluster.

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use serde_json::json;

use super::visit::{DIALOG, ENTER, NO_DIALOG, Visit};
use crate::account::{Account, bind, denied, granted};
use crate::world::World;

const APPROVE: &[&str] = &["approve", "updaterequests.headwind.sh"];
const BUTTONS: &str = "[...document.querySelectorAll('button, a[role=button]')].filter((one) => one.checkVisibility() && /^(Approve|Reject|Roll back)/.test(one.innerText)).length";

pub(crate) async fn permissions() -> Result<()> {
    let Some(visit) = Visit::with("ui-permissions", &["web", "api"], |options| options.env("HEADWIND_UI_AUTH_MODE", "token")).await? else {
        return Ok(());
    };
    let (browser, world) = (&visit.browser, &visit.world);
    let shop = &world.namespace;
    let viewer = Account::with(world, "eve", "headwind-viewer", &["list", "updaterequests.headwind.sh"]).await?;
    let stranger = Account::new(world, "sam").await?;
    let approver = Account::new(world, "ann").await?;
    let binding = bind(world, shop, "headwind-approver", &format!("--serviceaccount={shop}:ann")).await?;
    granted(world, &approver.user, shop, APPROVE).await?;
    let web = visit.page_of(&visit.pending("web").await?);
    let text =
        async || Ok::<_, anyhow::Error>(browser.run("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned());

    // A visitor without a session gets the login form, and after the login the requested page.
    visit.open(&web).await?;
    browser.check_everywhere("login").await?;
    ensure!(browser.path().await? == web, "the login form stands at the address of the page");
    sign_in(&visit, "junk").await?;
    ensure!(text().await?.contains("Kubernetes did not accept the token"), "{}", text().await?);
    sign_in(&visit, &viewer.token).await?;
    ensure!(browser.path().await? == web, "{}", browser.path().await?);

    // A viewer sees everything and no button. The address of a button that is not there says which permission is missing.
    let named = format!("{} may not approve updaterequests.headwind.sh", viewer.user);
    for page in ["/", &web] {
        visit.open(page).await?;
        ensure!(browser.run(&format!("return {BUTTONS}")).await? == json!(0), "{page} has buttons");
        ensure!(text().await?.contains(&format!("You cannot approve updates in {shop}")), "{page}: {}", text().await?);
    }
    visit.open("/settings").await?;
    ensure!(browser.run("return document.querySelectorAll('#limits a').length").await? == json!(0), "{}", text().await?);
    visit.open("/freeze").await?;
    ensure!(text().await?.contains(&format!("{} may not create configmaps", viewer.user)), "{}", text().await?);
    visit.open(&format!("{web}/approve")).await?;
    let said = text().await?;
    ensure!(said.contains(&named) && said.contains("kubectl auth can-i approve updaterequests.headwind.sh"), "{said}");
    browser.check_everywhere("forbidden").await?;
    sign_out(&visit).await?;

    // For a caller who may list nothing, the page names the missing permission.
    visit.open("/").await?;
    sign_in(&visit, &stranger.token).await?;
    let said = text().await?;
    ensure!(said.contains("kubectl auth can-i list updaterequests.headwind.sh"), "{said}");
    ensure!(browser.run("return document.querySelectorAll('.name').length").await? == json!(0), "{said}");
    browser.check_everywhere("nothing-allowed").await?;
    for page in ["/updates", "/workloads"] {
        visit.open(page).await?;
        let said = text().await?;
        ensure!(said.contains("kubectl auth can-i list updaterequests.headwind.sh"), "{page}: {said}");
    }
    visit.open("/observability").await?;
    let said = text().await?;
    ensure!(said.contains("totals of all namespaces") && !said.contains("Duration of a reconcile pass"), "{said}");
    visit.open(&web).await?;
    ensure!(text().await?.contains("may not get updaterequests.headwind.sh"), "{}", text().await?);
    sign_out(&visit).await?;

    // An approver whose role is taken away while the page is open: the dialog says what is missing.
    visit.open("/").await?;
    sign_in(&visit, &approver.token).await?;
    // Without script: both updates are selected.
    let with_script = browser.tab().await?;
    browser.new_tab().await?;
    browser.scripts(false).await?;
    visit.open("/").await?;
    for name in ["web", "api"] {
        browser.click(&format!("input[aria-label='Select {name} 1.1.0']")).await?;
    }
    browser.click(".bulk .btn-primary").await?;
    browser.until("both are listed", "document.querySelectorAll('#confirm input[name=u]').length === 2").await?;
    let without_script = browser.tab().await?;
    browser.switch(with_script).await?;
    visit.live("/").await?;
    visit.dialog("button[aria-label='Approve web 1.1.0']").await?;
    let api = visit.pending("api").await?.name_any();
    world.bed.kubectl_ok(&["-n", shop, "delete", "rolebinding", &binding]).await?;
    one_update(world, &api).await?;
    bind(world, shop, "headwind-viewer", &format!("--serviceaccount={shop}:ann")).await?;
    denied(world, &approver.user, shop, APPROVE).await?;
    granted(world, &approver.user, shop, &["get", "updaterequests.headwind.sh"]).await?;
    // A dialog that is still opening has no visible text.
    let missing = &format!("document.querySelector('dialog[open]')?.innerText.includes('{} may not approve')", approver.user);
    browser.click("dialog .btn-primary").await?;
    browser.until("the dialog says what is missing", missing).await?;
    browser.until("the dialog is there", DIALOG).await?;
    browser.check("dialog-forbidden-desktop-light").await?;
    // By keys alone.
    browser.keys(ENTER).await?;
    browser.until("the dialog is closed", NO_DIALOG).await?;
    visit.to_row("web").await?;
    browser.keys("r").await?;
    browser.until("the dialog says what is missing", missing).await?;

    // Without script, one of two is forbidden.
    browser.switch(without_script).await?;
    browser.click("#confirm .btn-primary").await?;
    browser.until("the results are shown", "document.querySelector('#confirm [aria-label=Results]')").await?;
    let said = text().await?;
    let named = format!("{} may not approve updaterequests.headwind.sh", approver.user);
    ensure!(said.contains("1 approved, 1 not") && said.contains(&named), "{said}");
    visit.open(&format!("{web}/approve")).await?;
    ensure!(text().await?.contains(&named), "{}", text().await?);
    let done = visit.reaches("api", "Completed").await?.status.unwrap_or_default();
    ensure!(done.approved_by.as_deref() == Some(&*approver.user), "{done:?}");
    visit.pending("web").await?;
    visit.browser.end().await
}

/// Lets the service account `ann` approve one update.
async fn one_update(world: &World, name: &str) -> Result<()> {
    let (shop, account, only) = (&world.namespace, format!("--serviceaccount={}:ann", world.namespace), format!("--resource-name={name}"));
    let resources = "--resource=updaterequests.headwind.sh,updaterequests.headwind.sh/status";
    world.bed.kubectl_ok(&["-n", shop, "create", "role", "one-update", "--verb=approve,get,patch,update", resources, &only]).await?;
    world.bed.kubectl_ok(&["-n", shop, "create", "rolebinding", "one-update", "--role=one-update", &account]).await?;
    granted(world, &format!("system:serviceaccount:{shop}:ann"), shop, &["approve", &format!("updaterequests.headwind.sh/{name}")]).await
}

async fn sign_in(visit: &Visit, token: &str) -> Result<()> {
    visit.browser.write("input[name=token]", token).await?;
    visit.browser.click("form .btn-primary").await
}

async fn sign_out(visit: &Visit) -> Result<()> {
    visit.browser.click("#me summary").await?;
    visit.browser.click("#me form[action='/logout'] button").await?;
    visit.browser.until("the login page", "document.querySelector('input[name=token]')").await.map(drop)
}
