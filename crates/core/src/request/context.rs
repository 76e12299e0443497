//! An existing workload with all its requests, and the values derived from it once per decision.

use std::cell::OnceCell;

use jiff::Timestamp;

use super::admission::{is_same_version, rewritten};
use super::applied_marker::marks;
use super::{Observed, Phase, Request};
use crate::settings::{Settings, key};
use crate::workload::history::History;
use crate::workload::{Container, Workload};

/// An existing workload, with the values derived from it.
pub(super) struct Context<'a> {
    pub(super) workload: &'a Workload,
    pub(super) observed: &'a Observed<'a>,
    pub(super) history: History,
    /// The place in the queue for a rollout, once it is known ([`Context::first_turn`]).
    pub(super) first_turn: OnceCell<Option<Timestamp>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(workload: &'a Workload, observed: &'a Observed<'a>) -> Self {
        let history = history_of(workload, observed.requests);
        Self { workload, observed, history, first_turn: OnceCell::new() }
    }

    pub(super) fn settings(&self, container: &str) -> Result<Settings, String> {
        Settings::resolve(self.observed.defaults, &self.workload.annotations, container)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    /// Returns the settings with the default in the place of each invalid value.
    pub(super) fn valid_settings(&self, container: &str) -> Settings {
        Settings::valid(self.observed.defaults, &self.workload.annotations, container)
    }

    pub(super) fn container_of(&self, request: &Request) -> Option<&'a Container> {
        request.spec.container.as_deref().and_then(|name| self.workload.container(name))
    }
}

/// Returns the workload's history, repaired and corrected from its requests.
pub fn history_of(workload: &Workload, requests: &[&Request]) -> History {
    let (mut history, whole) = History::parse(workload.annotations.get(key::UPDATE_HISTORY).map(String::as_str));
    if !whole {
        repair(&mut history, workload, requests);
    }
    for request in requests.iter().filter(|request| request.target_uid == workload.uid) {
        correct(&mut history, workload, request);
    }
    history
}

/// Replaces an image in the history by the one that an admission webhook wrote in its place. The history is part of the
/// patch, so it was written before the webhook changed the image.
fn correct(history: &mut History, workload: &Workload, request: &Request) {
    let Some(container) = request.spec.container.as_deref().and_then(|name| workload.container(name)) else { return };
    let unsettled = || marks(workload).any(|mark| request.is_behind(mark)).then(|| rewritten(request, container)).flatten();
    if let Some(placed) = request.status.applied_image.clone().or_else(unsettled) {
        history.replaced_on_admission(&container.name, &request.name, &request.spec.new_image, &placed);
    }
    let returned = request.status.rollout.as_ref().and_then(|watch| watch.returned_to.as_ref());
    let newest = history.of(&container.name).next().map(|entry| entry.image.clone());
    if let (Some(returned), Some(newest)) = (returned, newest)
        && *returned == container.image
        && is_same_version(request.spec.kind, &newest, returned)
    {
        history.replaced_on_admission(&container.name, &request.name, &newest, returned);
    }
}

/// Rebuilds an invalid history from the requests.
fn repair(history: &mut History, workload: &Workload, requests: &[&Request]) {
    let stands = |request: &&Request| {
        request.target_uid == workload.uid
            && request.status.times_applied > 0
            && request.status.phase != Phase::RolledBack
            && request.status.rolled_back_from.is_none()
            && !history.names(&request.name)
    };
    let mut applied: Vec<&Request> = requests.iter().copied().filter(stands).collect();
    applied.sort_by_key(|request| (request.status.applied_at, request.created));
    for request in applied {
        let Request { name, spec, status, .. } = request;
        let Some(container) = spec.container.as_deref() else { continue };
        let at = status.applied_at.unwrap_or(request.created);
        history.record(container, &spec.current_image, request.placed_image(), at, name, request.approved_by_all().as_deref());
    }
}
