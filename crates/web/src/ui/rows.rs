//! The rows of lists: one for each view of an update.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use headwind_core::request::{Phase, Request};
use headwind_operator::UpdateSummary;
use jiff::Timestamp;
use maud::{Markup, html};

use super::Ui;
use super::evidence::Said;
use super::fault::{Fault, NOT_RESPONDING};
use super::hub::id;
use super::parts::change::{ChangeView, bump, diff};
use super::parts::icon::icon;
use super::parts::phase::phase;
use super::parts::reference::reference;
use super::parts::time::{expiry, span, time};
use super::parts::workload::{place, trigger};
use super::permissions::Rights;
use super::query::pairs;
use super::visitor::Visitor;

headwind_core::named! {
    /// The view of an update in a list.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum View("view", str::eq) {
        /// A decision to make.
        Inbox = "inbox",
        /// A row of the table.
        Table = "table",
        /// A rollout.
        Moving = "moving",
        /// A failure.
        Trouble = "trouble",
    }
}

/// An update with what a row says about it.
pub(super) struct Row<'a> {
    pub(super) summary: &'a UpdateSummary,
    /// True if the caller may decide about it, or if that is not known.
    pub(super) may: bool,
    /// True if Kubernetes does not respond. Then nobody can decide.
    pub(super) down: bool,
    /// The number of waiting updates to the same image, this one included.
    pub(super) same_image: usize,
    /// True if a failed rollout is rolled back.
    pub(super) auto_rollback: Option<bool>,
    /// The message about the end of the update.
    pub(super) said: Said,
    pub(super) now: Timestamp,
}

/// The address of an update's page.
pub(super) fn path(summary: &UpdateSummary) -> String {
    format!("/updates/{}/{}", summary.workload.namespace, summary.request.name)
}

impl Row<'_> {
    fn id(&self) -> String {
        id(&self.summary.workload.namespace, &self.summary.request.name)
    }

    fn request(&self) -> &Request {
        &self.summary.request
    }

    fn waits(&self) -> bool {
        self.request().status.phase == Phase::Pending && !self.summary.by_policy
    }

    fn name(&self) -> Markup {
        html! { a class="name" id={ "n-" (self.id()) } href=(path(self.summary)) { (self.summary.workload.name) } }
    }

    fn who(&self) -> Markup {
        html! { (self.name()) (place(&self.summary.workload, self.request().spec.container.as_deref())) }
    }

    fn checkbox(&self, change: &ChangeView) -> Markup {
        let (workload, request) = (&self.summary.workload, self.request());
        html! {
            @if self.may && self.waits() {
                input type="checkbox" class="checkbox checkbox-sm" id={ "c-" (self.id()) } name="u"
                    value={ (workload.namespace) "/" (request.name) } aria-label={ "Select " (workload.name) " " (change.to) } hx-preserve;
            } @else {
                span {}
            }
        }
    }

    /// The buttons. Without script they are plain buttons of the form around them.
    fn buttons(&self, change: &ChangeView, view: View) -> Markup {
        let (id, path, name) = (self.id(), path(self.summary), &self.summary.workload.name);
        if !self.may {
            return html! {
                p class="acts flex-nowrap! text-muted text-xs leading-tight" {
                    (icon("lock")) span { "You cannot approve updates in " (self.summary.workload.namespace) }
                }
            };
        }
        let address = |action: &str| format!("{path}/{action}?view={}", view.as_str());
        let why = self.down.then_some(NOT_RESPONDING);
        html! {
            // A disabled button ignores the pointer, so the group has the title as well.
            div class="acts" title=[why] hx-target="#dialog" hx-select="#confirm" hx-swap="innerHTML ignoreTitle:true" {
                button class="btn btn-primary btn-sm" id={ "a-" (id) } formaction={ (path) "/approve" } hx-get=(address("approve"))
                    aria-label={ "Approve " (name) " " (change.to) } disabled[self.down] title=[why] { "Approve" }
                button class="btn btn-quiet btn-sm" id={ "r-" (id) } formaction={ (path) "/reject" } hx-get=(address("reject"))
                    aria-label={ "Reject " (name) " " (change.to) } disabled[self.down] title=[why] { "Reject" }
            }
        }
    }

    fn changed(&self) -> Timestamp {
        let Request { status, created, .. } = self.request();
        let progressed = status.rollout.as_ref().map(|watch| watch.progressed_at);
        let times = [status.finished_at, progressed, status.applied_at, status.approved_at, status.reopened_at];
        times.into_iter().flatten().max().unwrap_or(*created)
    }

    fn decided_by(&self) -> Option<&str> {
        let status = &self.request().status;
        self.said.rejected_by.as_deref().or(status.rejected_by.as_deref()).or(status.approved_by.as_deref())
    }

    /// Returns why the update ended without success.
    fn cause(&self) -> Option<&str> {
        Some(self.said.text.as_str()).filter(|text| ended_without_success(self.request().status.phase) && !text.is_empty())
    }

    /// The row of a list. `swap` is set in a response that also changes other parts of the page.
    pub(super) fn render(&self, view: View, swap: bool) -> Markup {
        let row = match view {
            View::Inbox if self.waits() => self.waiting(swap),
            View::Inbox => self.decided(swap),
            View::Table => self.table(swap),
            View::Moving => self.moving(swap),
            View::Trouble => self.trouble(swap),
        };
        // A row of a table is HTML only inside a table, or in a template.
        if swap && view == View::Table {
            html! { template { (row) } }
        } else {
            row
        }
    }

    fn fetch(&self, view: View) -> String {
        format!("{}/row?view={}", path(self.summary), view.as_str())
    }

    fn trigger(&self) -> String {
        format!("sse:u-{}, sse:resync", self.id())
    }

    fn waiting(&self, swap: bool) -> Markup {
        let (request, now) = (self.request(), self.now);
        let change = ChangeView::of(request);
        let others = self.same_image.saturating_sub(1);
        let same = format!("/?{}", form_urlencoded::Serializer::new(String::new()).append_pair("q", &request.spec.new_image).finish());
        html! {
            li class="row" id={ "u-" (self.id()) } hx-get=(self.fetch(View::Inbox)) hx-trigger=(self.trigger()) hx-swap-oob=[swap.then_some("true")] {
                (self.checkbox(&change))
                div class="c-who" { (self.who()) }
                div class="c-what" { (what(&change)) }
                div class="c-why" {
                    p {
                        span { "Policy " (request.spec.policy) }
                        @if others > 0 { span aria-hidden="true" { "·" } a class="link" href=(same) { "also in " (others) " more" } }
                        @if self.auto_rollback == Some(false) {
                            span aria-hidden="true" { "·" }
                            span class="inline-flex items-center gap-1 tone-warn text-tone" { (icon("shield-off")) "no auto-rollback" }
                        }
                    }
                    p class="text-muted" { (trigger(request.spec.trigger)) " " (time(request.created, now)) }
                }
                div class="c-till" { (expiry(request.expires_at(), now)) }
                (self.buttons(&change, View::Inbox))
            }
        }
    }

    /// The same row after a decision: it stays in its place until the list is requested again.
    fn decided(&self, swap: bool) -> Markup {
        let change = ChangeView::of(self.request());
        let by = html! { @if let Some(who) = self.decided_by() { "by " (who) } @else if self.summary.by_policy { "by policy" } };
        html! {
            li class="row row-done" id={ "u-" (self.id()) } hx-get=(self.fetch(View::Inbox)) hx-trigger=(self.trigger()) hx-swap-oob=[swap.then_some("true")] {
                span {}
                div class="c-who" { (self.who()) }
                div class="c-what" { (what(&change)) }
                div class="c-why" {
                    @if let Some(cause) = self.cause() {
                        p { (phase(self.summary)) @if self.request().status.phase == Phase::Rejected { span class="text-muted" { (by) } } }
                        p class="evidence" { (cause) }
                    } @else {
                        p { (phase(self.summary)) }
                        p class="text-muted" { (by) }
                    }
                }
                div class="c-till text-muted" { (time(self.changed(), self.now)) }
                div class="acts" {}
            }
        }
    }

    fn table(&self, swap: bool) -> Markup {
        let request = self.request();
        let change = ChangeView::of(request);
        let changed = time(self.changed(), self.now);
        html! {
            tr id={ "u-" (self.id()) } hx-get=(self.fetch(View::Table)) hx-trigger=(self.trigger()) hx-swap-oob=[swap.then_some("true")] {
                td class="max-sm:hidden" { (self.checkbox(&change)) }
                td { (phase(self.summary)) p class="sm:hidden text-muted text-xs mt-1" { (changed) } }
                td { div class="pair" { div { (self.who()) } div { (what(&change)) } } }
                td class="max-md:hidden" { (request.spec.policy) }
                td class="max-lg:hidden text-muted break-words" {
                    @match (self.decided_by(), request.needs_approval()) {
                        (Some(who), _) => (who),
                        (None, false) => "by policy",
                        (None, true) => "–",
                    }
                }
                td class="max-sm:hidden text-muted" { (changed) }
            }
        }
    }

    fn moving(&self, swap: bool) -> Markup {
        let request = self.request();
        let watch = request.status.rollout.as_ref();
        let bar = watch.filter(|watch| watch.wanted > 0);
        html! {
            li class="mini" id={ "u-" (self.id()) } hx-get=(self.fetch(View::Moving)) hx-trigger=(self.trigger()) hx-swap-oob=[swap.then_some("true")] {
                div class="c-who" { (self.who()) }
                div { p class="flex flex-wrap items-center gap-2" { (phase(self.summary)) (diff(&ChangeView::of(request))) } }
                @if let Some(cause) = self.cause() {
                    p class="evidence" { (cause) }
                } @else {
                    div {
                        @if let Some(watch) = bar {
                            progress class="progress progress-primary w-full" value=(watch.new_available) max=(watch.wanted) aria-label="New pods available" {
                                (watch.new_available) " of " (watch.wanted)
                            }
                        }
                        p class="text-muted text-xs" { (progress(request, self.now)) }
                    }
                }
                p class="text-muted text-right" { (time(self.changed(), self.now)) }
            }
        }
    }

    fn trouble(&self, swap: bool) -> Markup {
        html! {
            li class="mini" id={ "u-" (self.id()) } hx-get=(self.fetch(View::Trouble)) hx-trigger=(self.trigger()) hx-swap-oob=[swap.then_some("true")] {
                div class="c-who" { (self.who()) }
                div { p class="flex flex-wrap items-center gap-2" { (phase(self.summary)) (diff(&ChangeView::of(self.request()))) } }
                p class="evidence" { (self.said.text) }
                p class="text-muted text-right" { (time(self.changed(), self.now)) }
            }
        }
    }
}

fn what(change: &ChangeView) -> Markup {
    html! { (diff(change)) p class="under" { (bump(change)) (reference(&change.repository)) } }
}

/// Returns true if the update ended, but did not complete.
fn ended_without_success(phase: Phase) -> bool {
    !phase.is_open() && phase != Phase::Completed
}

/// Namespace and name of the request.
pub(super) fn name(summary: &UpdateSummary) -> (String, String) {
    (summary.workload.namespace.clone(), summary.request.name.clone())
}

/// Describes the progress of an update.
pub(super) fn progress(request: &Request, now: Timestamp) -> String {
    let status = &request.status;
    if let Some(waiting) = &status.waiting {
        let left = waiting.until.map(|until| format!(", {} left", span(until.as_second() - now.as_second()))).unwrap_or_default();
        return format!("waiting{left}: {}", waiting.message);
    }
    match &status.rollout {
        Some(watch) if watch.wanted > 0 => {
            let failed = if watch.failed_checks > 0 { format!(", {} failed checks in a row", watch.failed_checks) } else { String::new() };
            format!("{} of {} new pods available{failed}", watch.new_available, watch.wanted)
        }
        Some(_) => "the rollout has started".to_owned(),
        None if request.status.phase == Phase::RollingOut => "the change is in the workload".to_owned(),
        None => "waits for its turn".to_owned(),
    }
}

/// Makes the rows of a list.
pub(super) async fn rows(ui: &Ui, visitor: &Visitor, items: &[UpdateSummary], view: View) -> Vec<Markup> {
    let mut waiting = Vec::new();
    for one in items {
        if one.request.status.phase == Phase::Pending && matches!(view, View::Inbox | View::Table) {
            waiting.push(name(one));
        }
    }
    let rights = Rights::of(ui, &visitor.caller, waiting).await;
    let images: Vec<&str> = items.iter().map(|one| one.request.spec.new_image.as_str()).collect();
    let same = if view == View::Inbox { ui.handle.waiting_for(&images, &visitor.visible) } else { Vec::new() };
    let down = ui.kubernetes_down(visitor) || rights.are_unknown();
    let mut all = Vec::with_capacity(items.len());
    for (place, summary) in items.iter().enumerate() {
        let container = summary.request.spec.container.as_deref().unwrap_or_default();
        let reads = match view {
            View::Trouble => true,
            View::Table => summary.request.status.phase == Phase::Rejected,
            View::Inbox | View::Moving => ended_without_success(summary.request.status.phase),
        };
        let said = if reads { ui.evidence.of(&ui.handle, summary).await } else { Said::default() };
        let auto_rollback = (view == View::Inbox).then(|| auto_rollback(ui, summary, container)).flatten();
        let row = Row {
            may: rights.are_unknown() || rights.allows(&summary.workload.namespace, &summary.request.name),
            down,
            same_image: same.get(place).copied().unwrap_or_default(),
            auto_rollback,
            said,
            now: visitor.now,
            summary,
        };
        all.push(row.render(view, false));
    }
    all
}

/// Returns true if a failed rollout of the update is rolled back.
pub(super) fn auto_rollback(ui: &Ui, summary: &UpdateSummary, container: &str) -> Option<bool> {
    let settings = ui.handle.settings_of(&summary.workload, container);
    settings.iter().find(|setting| setting.name == "auto-rollback").map(|setting| setting.value.trim() == "true")
}

/// The row of one update after an action, for the page that shows it.
pub(super) async fn swapped(ui: &Ui, visitor: &Visitor, summary: &UpdateSummary, view: View) -> Markup {
    let rights = Rights::of(ui, &visitor.caller, vec![name(summary)]).await;
    let row = Row {
        may: rights.are_unknown() || rights.allows(&summary.workload.namespace, &summary.request.name),
        down: ui.kubernetes_down(visitor) || rights.are_unknown(),
        same_image: 0,
        auto_rollback: None,
        said: ui.evidence.of(&ui.handle, summary).await,
        now: visitor.now,
        summary,
    };
    row.render(view, true)
}

/// `GET /updates/{namespace}/{name}/row?view=`
pub(super) async fn fragment(State(ui): State<Arc<Ui>>, visitor: Visitor, Path((namespace, name)): Path<(String, String)>) -> Response {
    let view = pairs(&visitor.query).find(|(key, _)| key == "view").and_then(|(_, value)| value.parse().ok());
    let Some(view) = view else {
        return Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid view", "view must be inbox, table, moving or trouble")
            .answer(&visitor, None);
    };
    let found = ui.handle.update(&namespace, &name).filter(|_| visitor.visible.includes(&namespace));
    let Some(summary) = found else { return Fault::no_page().answer(&visitor, None) };
    let rows = rows(&ui, &visitor, std::slice::from_ref(&summary), view).await;
    rows.into_iter().next().map_or_else(|| Fault::no_page().answer(&visitor, None), Markup::into_response)
}
