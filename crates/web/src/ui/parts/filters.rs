//! The search field and the filters of a list.

use headwind_core::policy::Policy;
use headwind_core::workload::Kind;
use maud::{Markup, html};

use super::icon::{icon, icon_with};
use crate::ui::query::ListQuery;

/// The orders of a list that people can choose from: value and text.
pub(in crate::ui) type Orders = &'static [(&'static str, &'static str)];

/// The form. Every control is drawn from the address, and is a parameter of it.
pub(in crate::ui) fn filters(action: &'static str, query: &ListQuery, namespaces: &[String], orders: Orders) -> Markup {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let policies: Vec<&str> = Policy::ALL.iter().filter(|policy| !policy.is_off()).map(|policy| policy.as_str()).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let text = query.text.as_deref().unwrap_or_default();
    html! {
        form class="toolbar" id="filters" role="search" action=(action) hx-get=(action) hx-target="#list" hx-select="#list" hx-swap="outerHTML"
            hx-select-oob="#segments" hx-push-url="true" hx-trigger="change, submit" hx-sync="this:replace" hx-indicator="#busy" {
            label class="search" {
                (icon("search"))
                span class="sr-only" { "Search by name or image" }
                input type="search" name="q" id="q" class="grow" placeholder="Search by name or image" value=(text) autocomplete="off"
                    spellcheck="false" maxlength="200" hx-get=(action) hx-include="closest form" hx-push-url="unset" hx-replace-url="true"
                    hx-trigger="input changed delay:250ms";
                span id="busy" class="htmx-indicator" { (icon_with("loader-circle", "i spin")) }
                kbd class="kbd kbd-xs" aria-hidden="true" { "/" }
            }
            div class="picks" {
                (pick("namespace", "Namespace", &namespaces, query.namespace.as_deref()))
                (pick("kind", "Kind", &kinds, query.kind.map(Kind::as_str)))
                (pick("policy", "Policy", &policies, query.policy.map(Policy::as_str)))
                @if !orders.is_empty() {
                    label class="pick" {
                        span class="sr-only" { "Sort" }
                        select class="select select-sm" name="sort" {
                            @for (value, text) in orders { option value=(value) selected[*value == query.sort_text()] { (text) } }
                        }
                    }
                }
            }
            noscript { button class="btn btn-sm" { "Filter" } }
        }
    }
}

/// The parameters of the list that no control of the form has. They are inside the list, so that they are replaced
/// together with it, and belong to the form.
pub(in crate::ui) fn kept(query: &ListQuery) -> Markup {
    let sort = query.sort_text();
    html! {
        @for (name, value) in query.hidden() { input type="hidden" form="filters" name=(name) value=(value); }
        @if !query.has_sort_control() && !sort.is_empty() { input type="hidden" form="filters" name="sort" value=(sort); }
    }
}

fn pick(name: &str, label: &str, options: &[&str], chosen: Option<&str>) -> Markup {
    let unlisted = chosen.filter(|chosen| !options.contains(chosen));
    html! {
        label class="pick" {
            span class="sr-only" { (label) }
            select class="select select-sm" name=(name) {
                option value="" { (label) ": all" }
                @for option in options { option selected[Some(*option) == chosen] { (option) } }
                @if let Some(chosen) = unlisted { option selected { (chosen) } }
            }
        }
    }
}
