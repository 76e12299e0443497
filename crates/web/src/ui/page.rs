//! The frame of every page: head, top bar, navigation, dialog, toasts.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets::{FAVICON, HTMX, SCRIPT, SSE, STYLES};
use super::parts::icon::{icon, logo};
use super::parts::time::stamp;
use super::preferences::Theme;
use super::visitor::Visitor;

/// The configuration of htmx: it evaluates no code, keeps no history of pages, and shows errors that have a page.
const HTMX_CONFIG: &str = r#"{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyCacheSize":0,"refreshOnHistoryMiss":true,"scrollIntoViewOnBoost":false,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"4(03|04|09|22)","swap":true,"error":false},{"code":"503","swap":true,"error":false},{"code":"...","swap":false,"error":true}]}"#;

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Dashboard,
    Updates,
    Workloads,
    Observability,
    Settings,
}

const PLACES: &[(Place, &str, &str, &str)] = &[
    (Place::Dashboard, "/", "Dashboard", "inbox"),
    (Place::Updates, "/updates", "Updates", "git-pull-request-arrow"),
    (Place::Workloads, "/workloads", "Workloads", "boxes"),
    (Place::Observability, "/observability", "Observability", "chart-line"),
    (Place::Settings, "/settings", "Settings", "settings"),
];

/// A page.
pub(super) struct Page<'a> {
    /// The title, without the name of the product.
    pub(super) title: &'a str,
    /// The place in the navigation.
    pub(super) place: Option<Place>,
    /// True if the page follows the stream of events.
    pub(super) live: bool,
    /// The banner about problems that affect every page.
    pub(super) banner: Option<Markup>,
    /// The content.
    pub(super) body: Markup,
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            title { (title) " · Headwind" }
            link rel="icon" href=(FAVICON.address) type="image/svg+xml";
            link rel="stylesheet" href=(STYLES.address);
            meta name="htmx-config" content=(HTMX_CONFIG);
            script src=(HTMX.address) defer {}
            script src=(SSE.address) defer {}
            script src=(SCRIPT.address) defer {}
        }
    }
}

/// The number of waiting updates in the navigation. It is also sent with the event `counts`.
pub(super) fn badges(waiting: usize, out_of_band: bool) -> (Markup, Markup) {
    let swap = out_of_band.then_some("true");
    let hidden = waiting == 0;
    (
        html! { span class="count" id="nav-waiting" hidden[hidden] hx-swap-oob=[swap] { (waiting) span class="sr-only" { " waiting" } } },
        html! { span class="count" id="dock-waiting" hidden[hidden] hx-swap-oob=[swap] { (waiting) } },
    )
}

fn theme(visitor: &Visitor) -> Markup {
    let themes = [(Theme::System, "monitor", "System"), (Theme::Light, "sun", "Light"), (Theme::Dark, "moon", "Dark")];
    html! {
        fieldset class="theme" {
            legend class="sr-only" { "Theme" }
            @for (theme, sign, word) in themes {
                label { input type="radio" class="sr-only" name="theme" value=(theme.as_str()) checked[theme == visitor.preferences.theme]; (icon(sign)) (word) }
            }
        }
    }
}

fn menu(visitor: &Visitor) -> Markup {
    let method = visitor.caller.method;
    html! {
        details class="dropdown dropdown-end" id="me" {
            summary class="btn btn-quiet btn-sm" {
                (icon("user")) span class="who" { (visitor.caller.name) } (icon("chevron-down")) span class="sr-only" { "Menu" }
            }
            div class="dropdown-content menu-box" {
                p class="px-2 pt-1 text-sm break-words sm:hidden" { (visitor.caller.name) }
                p class="px-2 pt-1 text-xs text-muted" { (method.sentence()) }
                (theme(visitor))
                button type="button" class="menu-line" data-help="" { (icon("keyboard")) "Keyboard shortcuts" kbd class="kbd kbd-xs ml-auto" { "?" } }
                @if method.can_sign_out() {
                    form method="post" action="/logout" { button class="menu-line" { (icon("log-out")) "Sign out" } }
                }
            }
        }
    }
}

fn help() -> Markup {
    let in_a_list =
        [("j k", "next, previous row"), ("x", "select the row (Shift: a range)"), ("Enter", "open"), ("a", "approve"), ("r", "reject")];
    let everywhere = [
        ("/", "search"),
        ("g d", "Dashboard"),
        ("g u", "Updates"),
        ("g w", "Workloads"),
        ("g o", "Observability"),
        ("g s", "Settings"),
        ("?", "this list"),
        ("Esc", "close"),
    ];
    html! {
        div class="modal-box" {
            h1 id="dialog-title" { "Keyboard shortcuts" }
            div class="grid sm:grid-cols-2 gap-x-8" {
                @for (title, keys) in [("In a list", &in_a_list[..]), ("Everywhere", &everywhere[..])] {
                    div {
                        h2 class="mt-4 mb-1 text-xs! text-muted" { (title) }
                        dl class="keys" {
                            @for (keys, what) in keys {
                                div { dt { @for key in keys.split(' ') { kbd class="kbd kbd-sm" { (key) } } } dd { (what) } }
                            }
                        }
                    }
                }
            }
            label class="mt-5 flex items-center gap-3" { input type="checkbox" class="toggle toggle-sm" id="keys-on" checked; "Single-key shortcuts" }
            form method="dialog" class="modal-action" { button class="btn btn-sm" { "Close" } }
        }
    }
}

/// Returns what the top bar says in place of "Live" on the pages whose content does not follow the stream.
fn as_of(place: Option<Place>, now: Timestamp) -> Option<String> {
    match place {
        Some(Place::Dashboard | Place::Updates) => None,
        Some(Place::Workloads | Place::Observability | Place::Settings) | None => Some(now.strftime("As of %H:%M UTC").to_string()),
    }
}

/// The banner for a visitor whose session has ended. The script adds the address of the page to the link.
fn signed_out() -> Markup {
    html! {
        div class="banner tone-warn" role="alert" {
            (icon("log-out"))
            p { b { "Your session has ended." } " Sign in again." }
            a class="btn btn-sm" href="/login" { "Sign in" }
        }
    }
}

/// The whole page.
pub(super) fn page(visitor: &Visitor, page: Page<'_>) -> Markup {
    let Page { title, place, live, banner, body } = page;
    let waiting = visitor.counts.awaiting_approval;
    let (badge, dock_badge) = badges(waiting, false);
    let titled = if place == Some(Place::Dashboard) && waiting > 0 { format!("({waiting}) {title}") } else { title.to_owned() };
    let preferences = visitor.preferences;
    let theme = (preferences.theme != Theme::System).then(|| preferences.theme.as_str());
    let events = live.then(|| format!("/events?v={}", visitor.version));
    let as_of = as_of(place, visitor.now);
    html! {
        (DOCTYPE)
        html lang="en" data-now=(stamp(visitor.now)) data-theme=[theme] data-density=[preferences.compact.then_some("compact")] {
            (head(&titled))
            body hx-ext=[live.then_some("sse")] sse-connect=[events] {
                a class="skip" href="#main" { "Skip to the content" }
                header class="top" {
                    a class="brand" href="/" { (logo()) span { "Headwind" } }
                    nav class="tabs-top" aria-label="Main" {
                        @for (one, href, word, sign) in PLACES {
                            a href=(href) aria-current=[(place == Some(*one)).then_some("page")] {
                                (icon(sign)) span { (word) }
                                @if *one == Place::Dashboard { (badge) }
                            }
                        }
                    }
                    @if live {
                        span class="live" id="live" role="status" data-state="away" data-open=[as_of.as_deref()] {
                            span class="status" aria-hidden="true" {}
                            span id="live-word" { (as_of.as_deref().unwrap_or("Connecting")) }
                        }
                    } @else {
                        span class="live" {}
                    }
                    (menu(visitor))
                }
                div id="banner" sse-swap=[live.then_some("banner")] { @if let Some(banner) = banner { (banner) } }
                // The event has only parts that replace those of the navigation.
                @if live { div hidden sse-swap="counts" {} }
                main id="main" tabindex="-1" { (body) }
                nav class="dock" aria-label="Main, at the bottom" {
                    @for (one, href, word, sign) in PLACES {
                        @let here = place == Some(*one);
                        a href=(href) aria-current=[here.then_some("page")] class=[here.then_some("dock-active")] {
                            (icon(sign))
                            @if *one == Place::Dashboard { (dock_badge) }
                            span class="dock-label" { (word) }
                        }
                    }
                }
                dialog id="dialog" class="modal" aria-labelledby="dialog-title" {}
                div id="toasts" class="toast" role="status" aria-live="polite" {}
                p id="found" class="sr-only" role="status" {}
                template id="help" { (help()) }
                template id="ended" { (signed_out()) }
            }
        }
    }
}

/// A page without navigation, for those who are not signed in, and for errors before that.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body class="login" { main class="login-box" id="main" { div class="brand flex text-lg justify-center mb-6" { (logo()) span { "Headwind" } } (body) } }
        }
    }
}
