//! `/updates/{namespace}/{name}`: one update.
//!
//! The file is long because the page has six parts, each with its markup, which are sent alone when they change.

mod timeline;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use headwind_core::request::{Phase, Request};
use headwind_core::rollout::pod::PodView;
use headwind_core::workload::release::CHART;
use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::{Past, SettingValue, UpdateSummary};
use jiff::Timestamp;
use maud::{Markup, html};

use super::fault::{Fault, NOT_RESPONDING};
use super::hub::id;
use super::page::{Page, Place, page};
use super::parts::approvals::Approvals;
use super::parts::change::{ChangeView, bump};
use super::parts::copy::copyable;
use super::parts::facts::facts;
use super::parts::icon::icon;
use super::parts::note::{Tone, note};
use super::parts::phase::phase;
use super::parts::reference::{reference, short, version};
use super::parts::time::{span, time};
use super::parts::workload::{self, kind_icon, place, trigger};
use super::permissions::{self, Rights};
use super::query::pairs;
use super::request::read;
use super::rows::{path, progress};
use super::visitor::Visitor;
use super::{Ui, evidence};

/// Maximum number of pods that are shown.
const PODS: usize = 50;
/// Maximum number of characters of a version in a button.
const LABEL: usize = 20;

/// The content of the page.
struct Shown {
    object: UpdateRequest,
    summary: UpdateSummary,
    may: bool,
    may_roll_back: bool,
    history: Vec<Past>,
    settings: Vec<SettingValue>,
    pods: Option<Markup>,
    /// True if Kubernetes does not respond: the page cannot say what the visitor may do, and nothing can be changed.
    down: bool,
}

/// A part of the page that may change while the page is open. All parts are always in the page.
struct Part {
    id: &'static str,
    /// A hash of the content without the current time. The page sends the marks of its parts, and gets only those that
    /// have changed: text that a person selects and the focus stay where they are.
    mark: String,
    content: Markup,
}

impl Part {
    fn new(id: &'static str, content: Markup, timeless: &Markup) -> Self {
        let mut hasher = DefaultHasher::new();
        (id, &timeless.0).hash(&mut hasher);
        Self { id, mark: format!("{:016x}", hasher.finish()), content }
    }

    /// `swap` is set in a response that replaces parts of an open page.
    fn render(&self, swap: bool) -> Markup {
        let class = (self.id == "head").then_some("page-head");
        html! {
            div id=(self.id) class=[class] hidden[self.content.0.is_empty()] hx-swap-oob=[swap.then_some("true")] {
                input type="hidden" name="part" value=(self.mark);
                (self.content)
            }
        }
    }
}

async fn load(ui: &Ui, visitor: &Visitor, namespace: &str, name: &str) -> Result<Shown, Fault> {
    let (object, summary) = read(ui, visitor, namespace, name).await?;
    let rights = Rights::of(ui, &visitor.caller, vec![(namespace.to_owned(), name.to_owned())]).await;
    let container = summary.request.spec.container.as_deref().unwrap_or_default();
    let history = ui.handle.history(&summary.workload).unwrap_or_default();
    Ok(Shown {
        may: rights.allows(namespace, name),
        may_roll_back: permissions::may_roll_back(ui, &visitor.caller, &summary.workload).await,
        history: history.into_iter().filter(|past| past.entry.container == container).collect(),
        settings: ui.handle.settings_of(&summary.workload, container),
        pods: pods(ui, &summary).await,
        down: ui.kubernetes_down(visitor) || rights.are_unknown(),
        object,
        summary,
    })
}

/// `GET /updates/{namespace}/{name}`
pub(super) async fn update(State(ui): State<Arc<Ui>>, visitor: Visitor, Path((namespace, name)): Path<(String, String)>) -> Response {
    match load(&ui, &visitor, &namespace, &name).await {
        Ok(shown) => {
            let change = ChangeView::of(&shown.summary.request);
            let title = format!("{} {}", shown.summary.workload.name, change.to);
            let body = html! { (crumbs(&shown.summary)) (shown.detail(&visitor)) };
            page(&visitor, Page { title: &title, place: Some(Place::Updates), live: true, banner: ui.banner(&visitor).await, body })
                .into_response()
        }
        Err(fault) => fault.answer(&visitor, None),
    }
}

/// The parts of the page after an action.
pub(super) async fn swapped(ui: &Ui, visitor: &Visitor, namespace: &str, name: &str) -> Markup {
    load(ui, visitor, namespace, name).await.map(|shown| shown.changed(visitor, &[])).unwrap_or_default()
}

/// `GET /updates/{namespace}/{name}/rollout?part=`: the parts of the page that differ from those that the browser has.
pub(super) async fn rollout(State(ui): State<Arc<Ui>>, visitor: Visitor, Path((namespace, name)): Path<(String, String)>) -> Response {
    let known: Vec<String> = pairs(&visitor.query).filter(|(name, _)| name == "part").map(|(_, mark)| mark).collect();
    match load(&ui, &visitor, &namespace, &name).await {
        Ok(shown) => shown.changed(&visitor, &known).into_response(),
        Err(fault) => fault.answer(&visitor, None),
    }
}

fn crumbs(summary: &UpdateSummary) -> Markup {
    let namespace = &summary.workload.namespace;
    html! {
        nav class="breadcrumbs text-sm p-0" aria-label="Breadcrumb" {
            ol {
                li { a href="/updates" { "Updates" } }
                li { a href={ "/updates?namespace=" (namespace) } { (namespace) } }
                li aria-current="page" { (summary.workload.name) }
            }
        }
    }
}

/// The pods of a rollout, while it is in progress or after it failed.
async fn pods(ui: &Ui, summary: &UpdateSummary) -> Option<Markup> {
    if !matches!(summary.request.status.phase, Phase::RollingOut | Phase::Failed) {
        return None;
    }
    let pods = match ui.handle.pods(&summary.workload).await {
        Ok(pods) if pods.is_empty() => return None,
        Ok(pods) => pods,
        Err(error) => return Some(html! { p class="text-muted mt-3" { "Headwind cannot list the pods: " (error) } }),
    };
    Some(html! {
        ul class="pods" {
            @for pod in pods.iter().take(PODS) { (self::pod(pod)) }
            @if pods.len() > PODS { li class="text-muted" { "and " (pods.len() - PODS) " more" } }
        }
    })
}

fn pod(pod: &PodView) -> Markup {
    let failed = pod.failure().is_some();
    let (classes, sign, word) = match (pod.new, failed, pod.is_ready()) {
        (false, _, _) => ("tone-calm", "circle-minus", "Old"),
        (true, true, _) => ("tone-bad", "octagon-x", "Failing"),
        (true, false, true) => ("tone-good", "circle-check", "Available"),
        (true, false, false) => ("tone-go", "circle-dashed", "Starting"),
    };
    let restarts: u32 = pod.containers.iter().map(|container| container.restarts).sum();
    let words = if pod.deleting {
        "is being deleted".to_owned()
    } else if pod.is_ready() && !failed {
        String::new()
    } else {
        pod.state()
    };
    html! {
        li class=(classes) {
            span class="phase" { (icon(sign)) (word) }
            code class="pod" { (pod.name) }
            span class="text-muted break-words min-w-0" { (words) @match restarts { 0 => {}, 1 => " · 1 restart", n => { " · " (n) " restarts" } } }
        }
    }
}

impl Shown {
    fn request(&self) -> &Request {
        &self.summary.request
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.trim())
    }

    fn detail(&self, visitor: &Visitor) -> Markup {
        let (namespace, name) = (&self.summary.workload.namespace, &self.request().name);
        let identity = id(namespace, name);
        let [head, note, rollout, timeline, facts, history] = self.parts(visitor).map(|part| part.render(false));
        html! {
            div id="detail" {
                // It stays in the page, so that no event is lost while it waits for an answer.
                div hidden hx-get={ (path(&self.summary)) "/rollout" } hx-include="#detail [name=part]" hx-swap="none"
                    hx-trigger={ "sse:u-" (identity) ", sse:resync" } {}
                (head)
                (note)
                div class="two" {
                    div class="space-y-4" {
                        (self.change())
                        (rollout)
                        (timeline)
                    }
                    div class="space-y-4" {
                        (facts)
                        (history)
                        details class="card more" {
                            summary { "Do the same with kubectl" }
                            (copyable(&format!("kubectl -n {namespace} get updaterequest {name} -o yaml"), "kubectl command"))
                        }
                    }
                }
            }
        }
    }

    fn parts(&self, visitor: &Visitor) -> [Part; 6] {
        let at = |now: Timestamp| {
            [
                ("head", self.head(visitor)),
                ("note", self.remark()),
                ("rollout", self.progress_or_failure(visitor, now)),
                ("timeline", timeline::section(self.request(), &self.object.spec.reason, now)),
                ("facts", self.facts(now)),
                ("history", self.history(now)),
            ]
        };
        let mut timeless = at(Timestamp::UNIX_EPOCH).into_iter();
        at(visitor.now).map(|(id, content)| {
            let (_, timeless) = timeless.next().unwrap_or_default();
            Part::new(id, content, &timeless)
        })
    }

    /// Returns the parts that the browser does not have, in place of the old ones.
    fn changed(&self, visitor: &Visitor, known: &[String]) -> Markup {
        let parts = self.parts(visitor);
        html! { @for part in parts.iter().filter(|part| !known.contains(&part.mark)) { (part.render(true)) } }
    }

    /// Name, phase and actions. If the control with the focus is gone, the heading gets the focus.
    fn head(&self, visitor: &Visitor) -> Markup {
        html! {
            div {
                h1 id="title" tabindex="-1" class="flex flex-wrap items-center gap-x-3 gap-y-1" { (self.summary.workload.name) (phase(&self.summary)) }
                p { (place(&self.summary.workload, self.request().spec.container.as_deref())) }
            }
            (self.actions(visitor))
        }
    }

    fn actions(&self, visitor: &Visitor) -> Markup {
        let (path, phase) = (path(&self.summary), self.request().status.phase);
        let waits = phase == Phase::Pending && !self.summary.by_policy;
        let reopen = self.request().status.can_reopen();
        let approved = Approvals::of(self.request(), &self.settings).is_some_and(|approvals| approvals.includes(&visitor.caller.name));
        let decides = self.may || self.down;
        let open = |action: &str, class: &str, content: &Markup| self.opener(action, class, &format!("{path}/{action}"), content);
        html! {
            // A disabled button ignores the pointer, so the group has the title as well.
            div class="acts" title=[self.down.then_some(NOT_RESPONDING)] hx-target="#dialog" hx-select="#confirm" hx-swap="innerHTML ignoreTitle:true" {
                a class="btn btn-sm" id="explain" href=(workload::path(&self.summary.workload)) { (icon("info")) "Explain" }
                @if waits && decides {
                    @if approved {
                        p class="text-muted text-xs inline-flex items-center gap-1" { (icon("check")) "You have approved" }
                    } @else {
                        (open("approve", "btn btn-primary btn-sm", &html! { "Approve" }))
                    }
                    (open("reject", "btn btn-quiet btn-sm", &html! { "Reject" }))
                }
                @if let Some(before) = self.before() {
                    @if self.rolls_back() { (self.roll_back("back", "btn btn-sm", before)) } @else { (self.no_rollback()) }
                }
                @if reopen && decides { (open("reopen", "btn btn-sm", &html! { (icon("refresh-cw")) "Reopen…" })) }
                @if (waits || reopen) && !decides { (locked(&html! { "You cannot approve updates in " (self.summary.workload.namespace) })) }
            }
        }
    }

    /// Returns the entry of the history before this update, if this update is in place.
    fn before(&self) -> Option<&Past> {
        let is_this = |past: &Past| past.index == 0 && past.entry.update_request_name.as_deref() == Some(self.request().name.as_str());
        self.history.iter().find(|past| past.index == 1).filter(|_| self.history.iter().any(is_this))
    }

    /// Returns true if the page has buttons that roll back.
    fn rolls_back(&self) -> bool {
        self.may_roll_back || self.down
    }

    fn no_rollback(&self) -> Markup {
        locked(&html! { "You cannot roll back workloads in " (self.summary.workload.namespace) })
    }

    /// The button that rolls back to an entry of the history.
    fn roll_back(&self, id: &str, class: &str, past: &Past) -> Markup {
        let Past { index, entry } = past;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("container", &entry.container)
            .append_pair("index", &index.to_string())
            .finish();
        let address = format!("{}/rollback?{query}", workload::path(&self.summary.workload));
        self.opener(id, class, &address, &html! { (icon("undo-2")) "Roll back to " (label(&entry.image)) })
    }

    /// A link that opens a dialog, in the form of a button. While Kubernetes does not respond, it is disabled.
    fn opener(&self, id: &str, class: &str, address: &str, content: &Markup) -> Markup {
        html! {
            @if self.down {
                button type="button" class=(class) id=(id) disabled title=(NOT_RESPONDING) { (content) }
            } @else {
                a class=(class) id=(id) role="button" href=(address) hx-get=(address) { (content) }
            }
        }
    }

    /// Returns the note at the top of the page.
    fn remark(&self) -> Markup {
        let change = ChangeView::of(self.request());
        let (tone, sign, text) = match self.request().status.phase {
            Phase::RolledBack => (
                Tone::Back,
                "undo-2",
                format!(
                    "{} runs again. Headwind does not propose {} until someone reopens this update. It still proposes newer versions.",
                    change.from, change.to
                ),
            ),
            Phase::Rejected => (
                Tone::Warn,
                "ban",
                format!("Headwind does not propose {} until someone reopens this update. It still proposes newer versions.", change.to),
            ),
            Phase::Expired => {
                (Tone::Warn, "timer-off", "Nobody approved or rejected the update in time. Reopen it to try again.".to_owned())
            }
            _ => match (&self.request().status.waiting, Approvals::of(self.request(), &self.settings)) {
                (None, Some(approvals)) => (Tone::Go, "info", format!("{}. {}", approvals.count(), approvals.missing())),
                (Some(waiting), _) => (Tone::Go, "clock", format!("The update waits: {}.", waiting.message)),
                (None, None) => return html! {},
            },
        };
        html! { div class="mb-4" { (note(tone, sign, &html! { (text) }, None)) } }
    }

    fn change(&self) -> Markup {
        let (spec, change) = (&self.request().spec, ChangeView::of(self.request()));
        let side = |word: &str, version: &str, image: &str, digest: Option<&String>| {
            html! {
                div class="min-w-0" {
                    p class="eyebrow" { (word) }
                    p class="ver" { (version) }
                    (reference(image))
                    @if let Some(digest) = digest { p class="dig" { (icon("fingerprint")) (reference(digest)) } }
                }
            }
        };
        html! {
            section class="card" aria-labelledby="h-change" {
                h2 id="h-change" class="sr-only" { "Change" }
                div class="from-to" {
                    (side("Before", &change.from, &spec.current_image, change.from_digest.as_ref()))
                    span class="from-to-arrow" { (icon("arrow-right")) (bump(&change)) }
                    (side("New", &change.to, &spec.new_image, change.to_digest.as_ref()))
                }
            }
        }
    }

    fn progress_or_failure(&self, visitor: &Visitor, now: Timestamp) -> Markup {
        match self.request().status.phase {
            Phase::RollingOut => self.rollout(visitor, now),
            Phase::Failed | Phase::RolledBack => self.why_it_failed(),
            _ => html! {},
        }
    }

    fn rollout(&self, visitor: &Visitor, now: Timestamp) -> Markup {
        let request = self.request();
        let watch = request.status.rollout.as_ref();
        let timeout = self.setting("rollback-timeout").and_then(|text| headwind_core::settings::duration(text).ok());
        let gives_up = watch.zip(timeout).and_then(|(watch, timeout)| watch.progressed_at.checked_add(timeout).ok());
        let retries = self.setting("health-check-retries").unwrap_or("3");
        let rolls_back = self.setting("auto-rollback") == Some("true");
        html! {
            section class="card" aria-labelledby="h-roll" {
                div class="flex flex-wrap items-baseline gap-x-3" { h2 id="h-roll" { "Rollout" } p class="text-muted" { (progress(request, visitor.now)) } }
                @if let Some(watch) = watch.filter(|watch| watch.wanted > 0) {
                    progress class="progress progress-primary w-full h-2.5 mt-3" value=(watch.new_available) max=(watch.wanted) aria-label="New pods available" {
                        (watch.new_available) " of " (watch.wanted)
                    }
                }
                @if let Some(pods) = &self.pods { (pods) }
                dl class="checks" {
                    div { dt { "Failed checks in a row" } dd { (watch.map_or(0, |watch| watch.failed_checks)) " of " (retries) } }
                    @if let Some(settle) = self.setting("settle-time") { div { dt { "Must stay available for" } dd { (seconds(settle)) } } }
                    @if let Some(at) = gives_up { div { dt { "Times out without progress" } dd { (time(at, now)) } } }
                    div {
                        dt { "If it fails" }
                        dd class="inline-flex items-center gap-1" {
                            @if rolls_back { (icon("shield-check")) "Headwind rolls back" } @else { (icon("shield-off")) "Headwind does not roll back" }
                        }
                    }
                }
            }
        }
    }

    fn why_it_failed(&self) -> Markup {
        let status = &self.request().status;
        let watch = status.rollout.as_ref();
        let failure = watch.and_then(|watch| watch.cause.as_ref().or(watch.failure.as_ref()));
        let code = failure.map(|failure| failure.reason).or(status.reason).map(headwind_core::reason::Reason::code);
        html! {
            section class="card" aria-labelledby="h-why" {
                h2 id="h-why" { "Why it failed" }
                p class="evidence evidence-big" { @if let Some(code) = code { b { (code) } " " } (evidence::text(self.request())) }
                @if let Some(pods) = &self.pods { (pods) }
            }
        }
    }

    fn facts(&self, now: Timestamp) -> Markup {
        let (request, key) = (self.request(), &self.summary.workload);
        let mut rows = vec![
            ("Workload", html! { a class="link" id="workload" href=(workload::path(key)) { (key.namespace) "/" (key.name) } }),
            ("Kind", html! { span class="inline-flex items-center gap-1.5" { (kind_icon(key.kind)) (key.kind) } }),
        ];
        rows.extend(request.spec.container.iter().filter(|name| *name != CHART).map(|name| ("Container", html! { (name) })));
        rows.push(("Policy", html! { (request.spec.policy) }));
        rows.push((
            "Found",
            html! { span class="inline-flex items-center gap-1.5" { (trigger(request.spec.trigger)) " " (time(request.created, now)) } },
        ));
        let status = &request.status;
        let people = request.approvers(request.spec.approvals);
        if !people.is_empty() {
            rows.push(("Approved by", html! { (people.join(", ")) }));
        } else if !request.needs_approval() {
            rows.push(("Approved by", html! { "policy" }));
        }
        rows.extend(status.rejected_by.iter().map(|who| ("Rejected by", html! { (who) })));
        if status.phase == Phase::Pending && request.needs_approval() {
            rows.push(("Expires", time(request.expires_at(), now)));
        }
        rows.extend(self.setting("auto-rollback").map(|value| ("Auto-rollback", html! { (if value == "true" { "on" } else { "off" }) })));
        rows.push(("Request", reference(&request.name)));
        html! { section class="card" aria-labelledby="h-facts" { h2 id="h-facts" { "Facts" } (facts(&rows)) } }
    }

    fn history(&self, now: Timestamp) -> Markup {
        let may = self.rolls_back();
        html! {
            section class="card" aria-labelledby="h-hist" {
                h2 id="h-hist" { "History" }
                @if self.history.is_empty() { p class="text-muted mt-2" { "Headwind has not updated this container yet." } }
                @if !may && self.history.iter().any(|past| past.index > 0) { (self.no_rollback()) }
                ul class="hist" title=[self.down.then_some(NOT_RESPONDING)] hx-target="#dialog" hx-select="#confirm" hx-swap="innerHTML ignoreTitle:true" {
                    @for past in &self.history {
                        @let Past { index, entry } = past;
                        @let version = entry.image.rsplit_once('/').map_or(&*entry.image, |(_, last)| last);
                        li class="flex-wrap" {
                            div class="min-w-0" {
                                p class="ver-sm" title=(entry.image) { (version) }
                                p class="text-muted text-xs" {
                                    @match (&entry.update_request_name, &entry.approved_by) {
                                        (None, _) => "before Headwind",
                                        (Some(_), Some(who)) => { "approved by " (who) },
                                        (Some(_), None) => "by policy",
                                    }
                                    " · " (time(entry.timestamp, now))
                                }
                            }
                            @if *index == 0 {
                                span class="phase tone-good ml-auto" { (icon("check")) "in place" }
                            } @else if may {
                                (self.roll_back(&format!("back-{index}"), "btn btn-sm ml-auto", past))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Says why there is no button.
fn locked(why: &Markup) -> Markup {
    html! { p class="text-muted text-xs inline-flex items-center gap-1" { (icon("lock")) (why) } }
}

/// The version of an image with the beginning of its digest, short enough for a button.
fn label(image: &str) -> String {
    let digest = image.split_once('@').map(|(_, digest)| format!(" {}", short(digest))).unwrap_or_default();
    let version = version(image);
    if version.chars().count() <= LABEL {
        return format!("{version}{digest}");
    }
    format!("{}…{digest}", version.chars().take(LABEL).collect::<String>())
}

fn seconds(text: &str) -> String {
    headwind_core::settings::duration(text).map_or_else(|_| text.to_owned(), |time| span(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)))
}
