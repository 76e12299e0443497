//! The form of a section: what can change is a field, everything else is a line.

use std::collections::BTreeMap;
use std::time::Duration;

use headwind_core::config::Store;
use headwind_operator::notify::Channel;
use headwind_operator::{ObjectVersion, StoredSettings};
use maud::{Markup, html};

use super::{Input, Origin, Section, Setting};
use crate::ui::parts::copy::copyable;
use crate::ui::parts::icon::icon;
use crate::ui::parts::note::{Tone, note};
use crate::ui::parts::text;
use crate::ui::query::pairs;
use crate::ui::visitor::Visitor;
use crate::ui::{Ui, permissions};

/// Prefix of the check box that removes a secret.
pub(super) const REMOVE: &str = "remove:";
/// The version of an object that does not exist.
const NONE: &str = "none";

/// The permission to change the settings of each object, or why it is missing.
pub(super) struct Access {
    config_map: Denied,
    secret: Denied,
}

/// Why something is denied, with a command that asks about it; `None` if it is allowed.
type Denied = Option<(String, Option<String>)>;

impl Access {
    pub(super) async fn of(ui: &Ui, visitor: &Visitor, stored: &StoredSettings) -> Self {
        let denied = |store: Store| permissions::no_change(ui, &visitor.caller, store, stored.version(store).is_none());
        Self { config_map: denied(Store::ConfigMap).await, secret: denied(Store::Secret).await }
    }

    /// Returns true if the caller may change the settings of that object.
    pub(super) fn allows(&self, store: Store) -> bool {
        match store {
            Store::ConfigMap => self.config_map.is_none(),
            Store::Secret => self.secret.is_none(),
        }
    }

    /// Says what is read-only, and which permission is missing.
    pub(super) fn note(&self) -> Markup {
        let all = [(&self.config_map, "You cannot change settings"), (&self.secret, "You cannot change secret settings")];
        html! {
            @for (denied, title) in all {
                @if let Some((why, command)) = denied {
                    div class="mb-4" {
                        (note(Tone::Warn, "lock", &html! { (title) }, Some(html! { (why) })))
                        @if let Some(command) = command { (copyable(command, "Command to check the permission")) }
                    }
                }
            }
        }
    }
}

/// The result of a form.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The changes that were saved.
    Saved(Vec<String>),
    /// Nothing differed from what is stored.
    Unchanged,
    /// The fields with a fault.
    Invalid(BTreeMap<String, String>),
    /// The change was not saved, or only a part of it.
    Failed {
        /// The message.
        title: &'static str,
        /// The details.
        text: String,
    },
    /// The answer to a test message or why there is none, and how long it took.
    Tested(Result<String, String>, Duration),
}

/// The fault of a field.
#[derive(Debug, Clone, Copy)]
struct Fault<'a> {
    text: &'a str,
    /// True if no field of the form before it has one.
    is_first: bool,
}

/// The label of the button that sends a test message.
const TEST: &str = "Send test message";

/// Returns where the button leads. Without a fragment: with one, browsers ignore `autofocus`, which scrolls to the result.
fn test_path(channel: Channel) -> String {
    format!("/settings/notifications/{channel}/test")
}

/// The fields that a person filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    /// The anchor of the section.
    pub(super) section: String,
    versions: BTreeMap<&'static str, String>,
    fields: BTreeMap<String, String>,
}

/// The name of the hidden field with the version of an object.
fn version_field(store: Store) -> &'static str {
    match store {
        Store::ConfigMap => "config-map",
        Store::Secret => "secret",
    }
}

impl Typed {
    pub(super) fn read(body: &str) -> Self {
        let mut typed = Self::default();
        for (name, value) in pairs(body) {
            match name.as_str() {
                "section" => typed.section = value,
                "config-map" => drop(typed.versions.insert("config-map", value)),
                "secret" => drop(typed.versions.insert("secret", value)),
                _ => drop(typed.fields.insert(name, value)),
            }
        }
        typed
    }

    /// Returns what was typed, for a section that the form does not name.
    pub(super) fn in_section(self, section: &str) -> Self {
        Self { section: section.to_owned(), ..self }
    }

    /// Returns the version of the object that the person saw.
    pub(super) fn version(&self, store: Store) -> ObjectVersion {
        self.versions.get(version_field(store)).filter(|version| *version != NONE).cloned()
    }

    /// Returns the text of a field, if the form had it.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.trim())
    }

    pub(super) fn removes(&self, name: &str) -> bool {
        self.fields.contains_key(&format!("{REMOVE}{name}"))
    }
}

/// The card of a section. `tested` is its notification channel, if that is enabled.
pub(super) fn card(
    section: Section,
    settings: &[&Setting],
    stored: &StoredSettings,
    access: &Access,
    tested: Option<Channel>,
    sent: Option<(&Typed, &Outcome)>,
) -> Markup {
    let Section { title, anchor, .. } = section;
    let is_field = |setting: &Setting| setting.store.is_some_and(|store| access.allows(store)) && !setting.is_fixed();
    let (typed, outcome) = sent.map_or((None, None), |(typed, outcome)| (Some(typed), Some(outcome)));
    // What was saved is the value now.
    let typed = typed.filter(|_| !matches!(outcome, Some(Outcome::Saved(_) | Outcome::Unchanged)));
    let none = BTreeMap::new();
    let faults = match outcome {
        Some(Outcome::Invalid(faults)) => faults,
        _ => &none,
    };
    let first =
        settings.iter().find(|setting| is_field(setting) && faults.contains_key(&setting.variable)).map(|setting| &setting.variable);
    let fault = |setting: &Setting| {
        let text = faults.get(&setting.variable)?;
        Some(Fault { text: text.as_str(), is_first: first == Some(&setting.variable) })
    };
    let rows = html! {
        dl class="values" {
            @for setting in settings {
                @if is_field(setting) { (field(setting, stored, typed, fault(setting))) } @else { (line(setting)) }
            }
        }
    };
    let result = if let Some(Outcome::Tested(result, took)) = outcome {
        test_result(result, *took)
    } else {
        html! {}
    };
    let heading = html! { h2 id={ "h-" (anchor) } { (title) } };
    let tested = tested.filter(|_| access.allows(Store::ConfigMap));
    if !settings.iter().any(|setting| is_field(setting)) {
        return html! {
            section class="card" id=(anchor) aria-labelledby={ "h-" (anchor) } {
                (heading)
                @if let Some(outcome) = outcome { (outcome_note(outcome)) }
                (rows)
                @if let Some(channel) = tested {
                    form method="post" action=(test_path(channel)) class="mt-4" { button class="btn btn-sm" { (TEST) } }
                }
                (result)
            }
        };
    }
    html! {
        // Without a fragment, as above.
        form method="post" action="/settings" class="card" id=(anchor) aria-labelledby={ "h-" (anchor) } {
            (heading)
            @if let Some(outcome) = outcome { (outcome_note(outcome)) }
            input type="hidden" name="section" value=(anchor);
            @for store in [Store::ConfigMap, Store::Secret] {
                input type="hidden" name=(version_field(store)) value=(stored.version(store).as_deref().unwrap_or(NONE));
            }
            (rows)
            div class="mt-4 flex flex-wrap items-center gap-2" {
                button class="btn btn-primary btn-sm" { "Save" }
                @if let Some(channel) = tested {
                    button class="btn btn-sm" formaction=(test_path(channel)) { (TEST) }
                    (result)
                    span class="hint" { "The test uses the settings that are in effect. Save changes first." }
                } @else {
                    (result)
                }
            }
        }
    }
}

fn outcome_note(outcome: &Outcome) -> Markup {
    let (tone, sign, title, text) = match outcome {
        Outcome::Saved(changes) => (Tone::Go, "circle-check", "Saved", changes.join(", ")),
        Outcome::Unchanged => (Tone::Go, "info", "Nothing was changed", "The form shows the stored values.".to_owned()),
        Outcome::Invalid(_) => (Tone::Bad, "octagon-x", "Not saved", "Correct the fields below.".to_owned()),
        Outcome::Tested(..) => return html! {},
        Outcome::Failed { title, text } => (Tone::Bad, "octagon-x", *title, text.clone()),
    };
    // If fields are wrong, the first of them gets the focus.
    let focus = !matches!(outcome, Outcome::Invalid(_));
    html! { div class="mb-4" tabindex="-1" autofocus[focus] { (note(tone, sign, &html! { (title) }, Some(html! { (text) }))) } }
}

/// The result of a test, beside the button.
fn test_result(result: &Result<String, String>, took: Duration) -> Markup {
    let (classes, sign, text) = match result {
        Ok(answer) => (
            "hint tone-good text-tone",
            "circle-check",
            format!("Delivered in {:.1} s. The receiver answered: {answer}", took.as_secs_f64()),
        ),
        Err(error) => ("hint tone-bad text-tone", "octagon-x", format!("Not delivered: {error}")),
    };
    html! { p class=(classes) role="status" tabindex="-1" autofocus { (icon(sign)) span class="min-w-0 break-words" { (text) } } }
}

/// A setting that cannot be changed here.
fn line(setting: &Setting) -> Markup {
    let Setting { variable, value, help, .. } = setting;
    html! {
        div {
            dt { span class="label-text" { (text::variable(variable)) } span class="hint-text" { (text::with_code(help)) } }
            dd {
                @match value { Some(value) => code { (value) }, None => span class="text-muted" { "not set" } }
                (origin(setting))
            }
        }
    }
}

fn origin(setting: &Setting) -> Markup {
    html! {
        span class="hint" {
            @match setting.origin {
                Origin::Flag => { (icon("lock")) "set by " (setting.flag) },
                Origin::Variable => { (icon("lock")) "set by " (setting.variable) },
                Origin::Stored(store) => { "from the " (store.kind()) },
                Origin::Default => "default",
            }
        }
        @if let Some(problem) = &setting.problem { span class="hint tone-bad text-tone" { (icon("triangle-alert")) (problem) } }
    }
}

/// A setting with a field. An empty field means the default; an empty field of a secret keeps it.
fn field(setting: &Setting, stored: &StoredSettings, typed: Option<&Typed>, fault: Option<Fault<'_>>) -> Markup {
    let Setting { variable, help, default, input, store, .. } = setting;
    let is_secret = *store == Some(Store::Secret);
    let entry = store.and_then(|store| stored.stored.of(store).get(variable));
    let typed_value = typed.and_then(|typed| typed.field(variable));
    // A secret is never sent back, not even the one that was just typed.
    let value = if is_secret { "" } else { typed_value.unwrap_or_else(|| entry.map_or("", |entry| entry.trim())) };
    let (id, hint, error) = (format!("f-{variable}"), format!("d-{variable}"), format!("e-{variable}"));
    let described = if fault.is_some() { format!("{hint} {error}") } else { hint.clone() };
    let (invalid, focus) = (fault.as_ref().map(|_| "true"), fault.as_ref().is_some_and(|fault| fault.is_first));
    let fallback = default.as_deref().unwrap_or("not set");
    html! {
        div {
            dt { label class="label-text" for=(id) { (text::variable(variable)) } span class="hint-text" id=(hint) { (text::with_code(help)) } }
            dd {
                @if *input == Input::Switch {
                    @let words = [("", format!("Default ({fallback})")), ("true", "true".to_owned()), ("false", "false".to_owned())];
                    select class="select w-full" id=(id) name=(variable) aria-describedby=(described) aria-invalid=[invalid] autofocus[focus] {
                        @for (word, text) in &words { option value=(word) selected[*word == value] { (text) } }
                        @if !words.iter().any(|(word, _)| *word == value) { option value=(value) selected { (value) } }
                    }
                } @else if is_secret {
                    @let shown = if entry.is_some() { super::STORED } else { "not set" };
                    // Not a password of the person: browsers would offer to store it, and expect one form for each.
                    input class="input masked w-full" type="text" autocomplete="off" spellcheck="false" id=(id) name=(variable) placeholder=(shown)
                        aria-describedby=(described) aria-invalid=[invalid] autofocus[focus];
                    @if entry.is_some() {
                        label class="flag" { input type="checkbox" class="checkbox checkbox-sm" name={ (REMOVE) (variable) } value="on"; "Remove" }
                    }
                } @else {
                    input class="input w-full" type="text" autocomplete="off" inputmode=[(*input == Input::Number).then_some("numeric")] id=(id) name=(variable)
                        value=(value) placeholder=(fallback) aria-describedby=(described) aria-invalid=[invalid] autofocus[focus];
                }
                @if let Some(Fault { text, .. }) = fault { span class="hint tone-bad text-tone" id=(error) role="alert" { (icon("triangle-alert")) (text) } }
                @if let Some(typed) = typed_value.filter(|typed| !is_secret && *typed != entry.map_or("", |entry| entry.trim())) {
                    @if !typed.is_empty() || entry.is_some() { span class="hint" { "Stored: " (entry.map_or("nothing", |entry| entry.trim())) } }
                }
                (origin(setting))
            }
        }
    }
}
