//! The dashboard as long as nothing is tracked: how to begin.

use headwind_operator::Overview;
use maud::{Markup, html};

use super::page::{self, Page, Place};
use super::parts::copy::copyable;
use super::parts::icon::{icon, logo};
use super::visitor::Visitor;
use super::{Ui, permissions};

/// Says that nothing is tracked, where the visitor may look.
pub(super) fn nothing_tracked(ui: &Ui, visitor: &Visitor) -> &'static str {
    if permissions::sees_everything(ui, &visitor.visible) {
        "Nothing is tracked yet"
    } else {
        "Nothing is tracked in the namespaces that you may list"
    }
}

/// The page.
pub(super) async fn page(ui: &Ui, visitor: &Visitor, overview: Overview) -> Markup {
    let Overview { workloads, namespaces, .. } = overview;
    let webhook = format!("http://headwind-webhook.{}:8080/webhook/registry", ui.settings.namespace);
    let body = html! {
        // The first update ends the first run.
        div class="first" hx-get="/" hx-select="#main" hx-target="#main" hx-swap="outerHTML" hx-trigger="sse:news, sse:resync" {
            div class="first-art" { (logo()) }
            h1 { (nothing_tracked(ui, visitor)) }
            p class="text-muted text-base" {
                "Headwind sees " b { (workloads) @if workloads == 1 { " workload" } @else { " workloads" } } " in " (namespaces)
                @if namespaces == 1 { " namespace" } @else { " namespaces" } ". It does not change any of them until an annotation says so."
            }
            ol class="steps-list" {
                li {
                    h2 { "Set the policy of a workload" }
                    (copyable("kubectl -n NAMESPACE annotate deployment/NAME headwind.sh/policy=minor", "Command to annotate"))
                    p class="text-muted" { "An annotation of a namespace is the default for everything in it. Each update then waits here for your approval." }
                }
                li {
                    h2 { "Send the webhooks of your registry to Headwind" }
                    (copyable(&webhook, "Webhook address"))
                    p class="text-muted" {
                        "Or let Headwind poll the registry: turn polling on in the " a href="/settings#polling" { "settings" } " and annotate " code { "headwind.sh/event-source=polling" } "."
                    }
                }
                li { h2 { "Push a tag" } p class="text-muted" { "The update appears here without reloading the page." } }
            }
            ul class="health" {
                @if ui.settings.authenticates_webhooks { (line(true, "Webhooks are authenticated")) }
                @else { (line(false, "Webhooks are not authenticated: set HEADWIND_WEBHOOK_SECRET")) }
                @if ui.settings.polls() { (line(true, "Polling is on")) } @else { (line(false, "Polling is off")) }
            }
        }
    };
    page::page(visitor, Page { title: "Dashboard", place: Some(Place::Dashboard), live: true, banner: ui.banner(visitor).await, body })
}

fn line(good: bool, text: &str) -> Markup {
    let (classes, sign) = if good { ("tone-good", "circle-check") } else { ("tone-warn", "triangle-alert") };
    html! { li class=(classes) { span class="text-tone" { (icon(sign)) } (text) } }
}
