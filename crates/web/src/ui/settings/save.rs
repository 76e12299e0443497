//! `POST /settings`: saves one section.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use headwind_core::config::{Store, Stored};
use headwind_operator::{SaveError, SettingsChange};

use super::form::{Outcome, Typed};
use super::{STORED, Setting, content, sections};
use crate::ui::fault::Fault;
use crate::ui::visitor::Visitor;
use crate::ui::{Ui, permissions};

/// A setting whose field differs from what is stored.
struct Change<'a> {
    setting: &'a Setting,
    store: Store,
    /// The new entry; `None` removes it.
    value: Option<String>,
}

impl Change<'_> {
    /// Says what changes. Secrets are not shown.
    fn words(&self) -> String {
        let name = &self.setting.variable;
        let new = self.value.as_deref().or(self.setting.default.as_deref()).unwrap_or("not set");
        match (self.store, &self.value) {
            (Store::Secret, Some(_)) => format!("{name}: {STORED}"),
            (Store::Secret, None) => format!("{name}: removed"),
            (Store::ConfigMap, _) => format!("{name}: {} → {new}", self.setting.value.as_deref().unwrap_or("not set")),
        }
    }
}

/// Returns the changes that the form makes.
fn changes<'a>(settings: &[&'a Setting], stored: &Stored, typed: &Typed) -> Vec<Change<'a>> {
    let change = |setting: &'a Setting| {
        let store = setting.store.filter(|_| !setting.is_fixed())?;
        let (name, before) = (&setting.variable, stored.of(store).get(&setting.variable));
        let text = typed.field(name)?;
        let value = match store {
            Store::Secret if typed.removes(name) => None,
            Store::Secret if text.is_empty() => return None,
            Store::Secret | Store::ConfigMap => Some(text.to_owned()).filter(|text| !text.is_empty()),
        };
        (before.map(|before| before.trim()) != value.as_deref()).then_some(Change { setting, store, value })
    };
    settings.iter().filter_map(|setting| change(setting)).collect()
}

/// Returns what would be stored.
fn after(stored: &Stored, changes: &[Change<'_>]) -> Stored {
    let mut stored = stored.clone();
    for Change { setting, store, value } in changes {
        let values = match store {
            Store::ConfigMap => &mut stored.config_map,
            Store::Secret => &mut stored.secret,
        };
        match value {
            Some(value) => drop(values.insert(setting.variable.clone(), value.clone())),
            None => drop(values.remove(&setting.variable)),
        }
    }
    stored
}

/// `POST /settings`
pub(in crate::ui) async fn save(State(ui): State<Arc<Ui>>, visitor: Visitor, body: String) -> Response {
    let typed = Typed::read(&body);
    let all = Arc::clone(&ui.settings.all.borrow());
    let Some((_, settings)) = sections(&all).into_iter().find(|(section, _)| section.anchor == typed.section) else {
        return Fault::form("there is no such section").answer(&visitor, None);
    };
    let (status, outcome) = match saved(&ui, &visitor, &settings, &typed).await {
        Ok(ended) => ended,
        Err(fault) => return fault.answer(&visitor, None),
    };
    (status, content(&ui, &visitor, Some((&typed, &outcome))).await).into_response()
}

async fn saved(ui: &Ui, visitor: &Visitor, settings: &[&Setting], typed: &Typed) -> Result<(StatusCode, Outcome), Fault> {
    let known = ui.handle.settings();
    let changes = changes(settings, &known.stored, typed);
    if changes.is_empty() {
        return Ok((StatusCode::OK, Outcome::Unchanged));
    }
    let stores = [Store::ConfigMap, Store::Secret].into_iter().filter(|store| changes.iter().any(|change| change.store == *store));
    let stores: Vec<Store> = stores.collect();
    for store in &stores {
        permissions::check(ui, &visitor.caller, &permissions::changes(ui, *store, typed.version(*store).is_none())).await?;
    }
    let own = |name: &str| settings.iter().any(|setting| setting.variable == name);
    let faults: BTreeMap<String, String> = (ui.settings.check)(&after(&known.stored, &changes))
        .into_iter()
        .filter(|problem| own(&problem.name))
        .map(|problem| (problem.name, problem.why))
        .collect();
    if !faults.is_empty() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Outcome::Invalid(faults)));
    }
    let mut done: Vec<String> = Vec::new();
    for store in stores {
        let of_store = || changes.iter().filter(|change| change.store == store);
        let values = of_store().map(|change| (change.setting.variable.clone(), change.value.clone())).collect();
        let change = SettingsChange { store, version: typed.version(store), values };
        if let Err(error) = ui.handle.save_settings(visitor.caller.clone(), change).await {
            return failed(&error, &done);
        }
        done.extend(of_store().map(Change::words));
    }
    Ok((StatusCode::OK, Outcome::Saved(done)))
}

/// Says what was not saved, and what was saved before that.
fn failed(error: &SaveError, done: &[String]) -> Result<(StatusCode, Outcome), Fault> {
    let before = if done.is_empty() { String::new() } else { format!(" This was saved: {}.", done.join(", ")) };
    let not_saved = |status, title, text: &str| Ok((status, Outcome::Failed { title, text: format!("{text}{before}") }));
    match error {
        SaveError::Conflict(store) => not_saved(
            StatusCode::CONFLICT,
            "Not saved",
            &format!(
                "Somebody else changed the {} since you opened this page. Compare the values below with what you typed, and save again.",
                store.kind()
            ),
        ),
        SaveError::Unavailable(_) => not_saved(StatusCode::SERVICE_UNAVAILABLE, "Not saved", &error.to_string()),
        SaveError::Unauthenticated(_) | SaveError::Forbidden(_) => Err(error.into()),
    }
}
