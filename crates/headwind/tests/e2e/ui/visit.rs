//! A visit: a world with waiting updates, and a browser that looks at it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{OperatorOptions, WorkloadKind};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::browser::{Browser, programs};
use crate::world::{World, image};

/// The stream of the page is open.
pub(super) const LIVE_NOW: &str = "document.querySelector('#live').dataset.state === 'live'";
/// The dialog is visible, and no part of it still moves or fades: axe measures its colours.
pub(super) const AT_REST: &str = "(dialog => dialog.open && [dialog, dialog.querySelector('.modal-box')].every(one => !one || getComputedStyle(one).opacity === '1') \
     && dialog.getAnimations({ subtree: true }).every(one => one.playState !== 'running'))(document.querySelector('dialog'))";
/// The toast of a success has disappeared by itself: it covers what lies below it for 3 s.
pub(super) const NO_TOAST: &str = "!document.querySelector('.toast-one.tone-good')";
pub(super) const DIALOG: &str = "document.querySelector('dialog[open] #confirm')";
pub(super) const NO_DIALOG: &str = "!document.querySelector('dialog[open]')";

/// The time for a page to load, also on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

pub(super) const ENTER: &str = "\u{e007}";
/// Opens what has the focus, as a button does: the links that open a dialog say that they are buttons.
pub(super) const SPACE: &str = " ";
pub(super) const ESCAPE: &str = "\u{e00c}";

/// A world with waiting updates, and a browser.
pub(super) struct Visit {
    pub(super) world: World,
    pub(super) browser: Browser,
}

impl Visit {
    /// Returns `None`, and says so, if there is no browser. Each name is a workload with an update to 1.1.0.
    pub(super) async fn new(hint: &str, names: &[&str]) -> Result<Option<Self>> {
        Self::with(hint, names, |options| options).await
    }

    /// The same with further settings.
    pub(super) async fn with(hint: &str, names: &[&str], options: impl FnOnce(OperatorOptions) -> OperatorOptions) -> Result<Option<Self>> {
        if programs().is_none() {
            headwind_testbed::skip::skipped(hint, "chromium and chromedriver are not installed (apt-get install chromium chromium-driver)");
            return Ok(None);
        }
        let visit = Self { world: World::with(hint, options).await?, browser: Browser::start().await? };
        for name in names {
            visit.update_waits(name).await?;
        }
        visit.browser.width(1280, 800).await?;
        Ok(Some(visit))
    }

    /// Creates a workload with an update to 1.1.0.
    pub(super) async fn update_waits(&self, name: &str) -> Result<()> {
        let world = &self.world;
        world.create(&World::asking(WorkloadKind::Deployment, name, &image(&format!("ui/{name}"), "1.0.0"))).await?;
        world.push(&format!("ui/{name}"), "1.1.0").await?;
        self.pending(name).await.map(drop)
    }

    /// Returns the address of a page.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.world.operator.ui_url())
    }

    pub(super) async fn open(&self, path: &str) -> Result<()> {
        self.browser.go(&self.address(path)).await
    }

    /// Opens a page and waits until its stream is open.
    pub(super) async fn live(&self, path: &str) -> Result<()> {
        self.open(path).await?;
        self.browser.until("the stream is open", LIVE_NOW).await?;
        Ok(())
    }

    pub(super) async fn pending(&self, name: &str) -> Result<UpdateRequest> {
        self.reaches(name, "Pending").await
    }

    pub(super) async fn reaches(&self, name: &str, phase: &str) -> Result<UpdateRequest> {
        self.world.request(&image(&format!("ui/{name}"), "1.1.0"), phase).await
    }

    /// Returns the path of the page of an update.
    pub(super) fn page_of(&self, request: &UpdateRequest) -> String {
        format!("/updates/{}/{}", self.world.namespace, request.name_any())
    }

    /// Rejects an update as `kubectl` does.
    pub(super) async fn rejected_elsewhere(&self, name: &str) -> Result<()> {
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

    /// Presses the control, and waits until the dialog is open.
    pub(super) async fn dialog(&self, selector: &str) -> Result<()> {
        self.browser.until("the toast has gone", NO_TOAST).await?;
        self.browser.click(selector).await?;
        self.opened().await
    }

    /// Waits until the dialog is open and at rest.
    pub(super) async fn opened(&self) -> Result<()> {
        self.browser.until("the dialog opens", DIALOG).await?;
        self.browser.until("the dialog is at rest", AT_REST).await?;
        Ok(())
    }

    /// Goes to the row of a workload with the keys `j` and `k`.
    pub(super) async fn to_row(&self, name: &str) -> Result<()> {
        let key = format!(
            "const names = [...document.querySelectorAll('#list .name')], to = names.findIndex((one) => one.textContent === '{name}'); \
             const at = names.indexOf(document.activeElement.closest('[id^=u-], tr')?.querySelector('.name')); \
             return document.activeElement === names[to] ? '' : to > at ? 'j' : 'k'"
        );
        for _ in 0..50 {
            match self.browser.run(&key).await?.as_str().context("a key")? {
                "" => return Ok(()),
                key => self.browser.keys(key).await?,
            }
        }
        bail!("j and k do not lead to {name}")
    }

    /// Waits until the row of a workload is decided.
    pub(super) async fn row_is_decided(&self, name: &str) -> Result<()> {
        let decided = format!("[...document.querySelectorAll('.row-done .name')].some((one) => one.textContent === '{name}')");
        self.browser.until("the row changed", &decided).await?;
        Ok(())
    }
}
