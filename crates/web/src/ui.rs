//! Port 8082: the web UI.
//!
//! Pages are made by the server. htmx replaces parts of them, and everything but live updates, copy buttons, the theme in
//! the menu and keyboard shortcuts works without script.
//!
//! ```text
//! guard (host, caller, origin) ──> page ──> operator::api ──> HTML
//! operator: changes of requests ──> hub ──> /events ──> the page fetches the row again
//! ```
//!
//! | modules | what |
//! |---|---|
//! | `dashboard`, `updates`, `update`, `workloads`, `explain`, `settings`, `observability`, `login`, `first_run` | pages |
//! | `actions`, `bulk`, `rollback`, `limits`, `settings` | what people do: GET asks for confirmation, POST acts |
//! | `page`, `parts`, `rows`, `fault` | the frame and the components |
//! | `hub`, `events` | live updates |
//! | `assets`, `compression` | files, and how pages are sent |
//! | `permissions` | every question about what the caller may do |

mod actions;
mod assets;
mod bulk;
mod compression;
mod dashboard;
mod events;
mod evidence;
mod explain;
mod fault;
mod first_run;
mod hub;
mod limits;
mod login;
mod observability;
mod page;
mod parts;
mod permissions;
mod preferences;
mod query;
mod request;
mod rollback;
mod rows;
pub mod settings;
mod update;
mod updates;
mod visitor;
mod workloads;

use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use headwind_core::gate::Freeze;
use headwind_operator::{Caller, Handle};
use jiff::Timestamp;
use maud::{Markup, html};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::evidence::Evidence;
use self::fault::{Fault, NOT_RESPONDING};
use self::hub::Hub;
use self::observability::ring::Ring;
pub use self::observability::source;
use self::observability::source::Sources;
use self::parts::icon::icon;
use self::parts::time::time;
use self::settings::Settings;
use self::visitor::Visitor;
use self::workloads::Snapshot;
use crate::guard::Guard;
use crate::problem::Problem;

/// Everything comes from this origin, and nothing is inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// Paths that need no caller.
const OPEN: &[&str] = &["/assets/", "/health", "/login", "/logout", "/preferences"];
/// Maximum number of explanations at the same time that query registries.
const EXPLAINS: usize = 2;

/// The state of the pages.
struct Ui {
    handle: Handle,
    guard: Guard,
    hub: Arc<Hub>,
    ring: Arc<Ring>,
    sources: Sources,
    settings: Settings,
    evidence: Evidence,
    snapshot: Snapshot,
    explains: Semaphore,
}

impl Ui {
    /// Returns what affects every page: Kubernetes does not respond, or the copy of the cluster is not complete.
    async fn banner(&self, visitor: &Visitor) -> Option<Markup> {
        self.trouble(visitor.unavailable.as_deref()).banner(self, &visitor.caller, visitor.now).await
    }

    /// Returns the problems of the copy of the cluster, and the reasons why no update is applied. `unavailable` is the
    /// reason why the permissions of the caller are not known.
    fn trouble(&self, unavailable: Option<&str>) -> Trouble {
        let limits = self.handle.limits();
        Trouble {
            unavailable: unavailable.map(str::to_owned),
            is_stale: self.handle.stale_for().is_some(),
            missing: self.handle.missing(),
            freeze: limits.freeze(Timestamp::now()).cloned(),
            paused_since: limits.paused_since,
        }
    }

    /// Returns true if Kubernetes does not respond. Then nobody can approve or reject.
    fn kubernetes_down(&self, visitor: &Visitor) -> bool {
        visitor.unavailable.is_some() || self.handle.stale_for().is_some()
    }

    /// Returns since when the copy of the cluster is not kept up to date.
    fn stale_since(&self, now: Timestamp) -> Option<Timestamp> {
        now.checked_sub(self.handle.stale_for()?).ok()
    }
}

/// A problem of the copy of the cluster, or a reason why no update is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trouble {
    /// Why the permissions of the caller are not known, if they are not.
    unavailable: Option<String>,
    /// Kubernetes does not respond.
    is_stale: bool,
    /// The parts that are not ready yet.
    missing: Vec<String>,
    /// The freeze of all updates.
    freeze: Option<Freeze>,
    /// Since when updates that the policy approved are paused.
    paused_since: Option<Timestamp>,
}

impl Trouble {
    /// The banner about it. It is also sent with the event `banner`.
    async fn banner(&self, ui: &Ui, caller: &Caller, now: Timestamp) -> Option<Markup> {
        if let Some(why) = &self.unavailable {
            return Some(html! {
                div class="banner tone-bad" role="alert" data-down=(NOT_RESPONDING) {
                    (icon("unplug"))
                    p {
                        b { (NOT_RESPONDING) "." }
                        @if let Some(since) = ui.stale_since(now) { " The last update was " (time(since, now)) "." }
                        " Headwind does not know what you may see: " (why)
                    }
                    a class="btn btn-sm" href="" { "Try again" }
                }
            });
        }
        if self.is_stale {
            let since = ui.stale_since(now).unwrap_or(now);
            return Some(html! {
                div class="banner tone-bad" role="alert" data-down=(NOT_RESPONDING) {
                    (icon("unplug"))
                    p { b { (NOT_RESPONDING) "." } " The pages show what Headwind knew " (time(since, now)) ". Nothing can be approved or rejected now." }
                }
            });
        }
        if !self.missing.is_empty() {
            return Some(html! {
                div class="banner tone-warn" role="alert" {
                    (icon("unplug"))
                    p { b { "Headwind is not ready." } " Lists may be incomplete. It waits for: " (self.missing.join(", ")) "." }
                }
            });
        }
        let (text, release) = self.held()?;
        let may = permissions::may_change_limits(ui, caller).await;
        Some(html! {
            div class="banner tone-warn" role="status" { (icon("clock-alert")) (text) @if may { (limits::button(release, false)) } }
        })
    }

    /// Returns the reason why no update is applied, and the command that ends it.
    fn held(&self) -> Option<(Markup, limits::Command)> {
        let freeze = self.freeze.as_ref().map(|freeze| {
            let text = html! {
                p {
                    b { "Updates are frozen" @if let Some(until) = freeze.until { " until " (until.strftime("%Y-%m-%d %H:%M UTC")) } "." }
                    @if let Some(reason) = &freeze.reason { " " (reason) "." }
                    " Headwind applies nothing except rollbacks."
                }
            };
            (text, limits::Command::Unfreeze)
        });
        let paused = self.paused_since.map(|since| {
            let text = html! {
                p { b { "Too many updates failed." } " Since " (since.strftime("%Y-%m-%d %H:%M UTC")) ", updates that the policy approves are paused until a person resumes them." }
            };
            (text, limits::Command::Resume)
        });
        freeze.or(paused)
    }
}

/// Returns the routes of the port. `stop` ends the streams.
pub fn router(handle: Handle, guard: Guard, settings: Settings, stop: CancellationToken) -> Router {
    let (hub, ring) = (Arc::new(Hub::new(stop)), Arc::<Ring>::default());
    // Both end with the process.
    tokio::spawn(Arc::clone(&hub).run(handle.clone()));
    tokio::spawn(Arc::clone(&ring).run(handle.clone(), hub.stop.clone()));
    let refuse = if guard.auth().has_login() { ask_to_sign_in } else { refuse };
    let guard = guard.with_pages(OPEN, refuse);
    let ui = Ui {
        handle: handle.clone(),
        guard: guard.clone(),
        hub,
        ring,
        sources: Sources::new(settings.metrics.clone()),
        settings,
        evidence: Evidence::default(),
        snapshot: Snapshot::default(),
        explains: Semaphore::new(EXPLAINS),
    };
    let router = Router::new()
        .route("/", get(dashboard::dashboard))
        .route("/updates", get(updates::updates))
        .route("/updates/news", get(updates::news))
        .route("/updates/bulk/{action}", get(bulk::confirm).post(bulk::act))
        .route("/updates/{namespace}/{name}", get(update::update))
        .route("/updates/{namespace}/{name}/row", get(rows::fragment))
        .route("/updates/{namespace}/{name}/rollout", get(update::rollout))
        .route("/updates/{namespace}/{name}/{action}", get(actions::confirm).post(actions::act))
        .route("/workloads", get(workloads::workloads))
        .route("/workloads/{namespace}/{kind}/{name}", get(explain::explain))
        .route("/workloads/{namespace}/{kind}/{name}/rollback", get(rollback::confirm).post(rollback::act))
        .route("/freeze", get(limits::confirm).post(limits::act))
        .route("/unfreeze", get(limits::confirm).post(limits::act))
        .route("/resume", get(limits::confirm).post(limits::act))
        .route("/observability", get(observability::observability))
        .route("/settings", get(settings::page).post(settings::save))
        .route("/settings/notifications/{channel}/test", post(settings::test))
        .route("/login", get(login::login).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/preferences", post(preferences::save))
        .route("/events", get(events::events))
        .route("/assets/{name}", get(assets::get))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(Arc::new(ui))
        .merge(Router::new().route("/health", get(crate::probe::health)).with_state(handle));
    guard.protect(router).layer(map_response(with_policy)).layer(compression::layer())
}

/// Puts the policy of the pages on every response, errors too.
async fn with_policy(mut response: Response) -> Response {
    response.headers_mut().insert("content-security-policy", POLICY);
    response
}

/// Answers what the guard does not let pass.
fn refuse(request: &Parts, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::UNAUTHORIZED && request.headers.contains_key("hx-request") {
        // The whole page is loaded again, and says what is missing.
        return (status, [(HeaderName::from_static("hx-refresh"), HeaderValue::from_static("true"))]).into_response();
    }
    Fault::new(status, problem.title, problem.detail).bare(&request.headers)
}

/// The same in a mode with a login page: a visitor who is not signed in gets the login page instead of the page.
fn ask_to_sign_in(request: &Parts, problem: Problem) -> Response {
    if problem.status != StatusCode::UNAUTHORIZED.as_u16() || request.headers.contains_key("hx-request") {
        return refuse(request, problem);
    }
    let wanted = request.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    (StatusCode::UNAUTHORIZED, login::form(wanted, None)).into_response()
}

async fn not_found(visitor: Visitor) -> Response {
    Fault::no_page().page(&visitor)
}

async fn not_allowed(visitor: Visitor) -> Response {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "This address does not accept this method.").page(&visitor)
}

#[cfg(test)]
mod tests;
