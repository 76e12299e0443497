//! Lists the tracked workloads and explains their versions.
//!
//! The list uses only data in memory. Only `explain`, which people request, queries the registry, at most once a minute
//! for the same repository. The verdicts come from `headwind_core::explain`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::explain::{self, Explained};
use headwind_core::gate::Limits;
use headwind_core::policy::Candidate;
use headwind_core::reason::{Reason, Reasoned};
use headwind_core::request::Request;
use headwind_core::workload::owner::Owner;
use headwind_core::workload::placement::Node;
use headwind_core::workload::{Container, Kind, Workload, WorkloadKey};
use jiff::Timestamp;

use crate::api::handle::Handle;
use crate::clock::now;
use crate::observe::index::Resolved;
use crate::observe::requests::Held;
use crate::observe::visible::Visible;
use crate::propose::{RecordingFailure, prior_of};
use crate::registries::secrets::PullPlace;

/// Timeout of an explanation, including its time in the queue.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum number of verdicts in an explanation.
const VERDICTS: usize = 300;

/// Selects workloads. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadFilter {
    /// The namespaces that the caller may list.
    pub visible: Visible,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Text that its name, a container or an image must contain, case-insensitively.
    pub text: Option<String>,
}

/// A workload for people.
#[derive(Debug, Clone)]
pub struct WorkloadView {
    /// Kind, namespace and name.
    pub key: WorkloadKey,
    /// The owner of the object that changes are written to.
    pub owner: Option<Owner>,
    /// Every tracked container, and those that are only untracked because of a fault.
    pub containers: Vec<Explained>,
    /// The stored requests, newest first; finished ones without their messages.
    pub requests: Vec<Request>,
    /// The containers whose latest update could not be recorded, with the reason.
    pub unrecorded: BTreeMap<String, RecordingFailure>,
    /// The error of each registry that Headwind could not query, by repository. The candidates are then those of the
    /// stored requests.
    pub registry_errors: BTreeMap<String, String>,
}

/// A page of the matching workloads.
#[derive(Debug, Clone)]
pub struct WorkloadPage {
    /// The workloads, sorted by namespace, kind and name.
    pub items: Vec<WorkloadView>,
    /// The last workload of the page, if there are more pages.
    pub more_after: Option<WorkloadKey>,
    /// The number of workloads after this page.
    pub remaining: usize,
}

/// The sort key of a list.
fn order(key: &WorkloadKey) -> (&str, Kind, &str) {
    (&key.namespace, key.kind, &key.name)
}

impl WorkloadFilter {
    fn takes(&self, workload: &Workload) -> bool {
        let Self { visible, namespace, kind, text } = self;
        visible.includes(&workload.key.namespace)
            && namespace.as_ref().is_none_or(|namespace| workload.key.namespace == *namespace)
            && kind.is_none_or(|kind| workload.key.kind == kind)
            && text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                let names = workload.containers.iter().flat_map(|container| [&container.name, &container.image]);
                names.chain([&workload.key.name]).any(|name| name.to_lowercase().contains(&text))
            })
    }
}

impl Handle {
    /// Returns the matching tracked workloads, at most `limit` of them, after the given one.
    pub fn workloads(&self, filter: &WorkloadFilter, after: Option<&WorkloadKey>, limit: usize) -> WorkloadPage {
        let mut all: Vec<Resolved> = {
            let index = self.state.index.read();
            index.all().filter(|one| one.tracked().next().is_some()).collect()
        };
        all.retain(|one| after.is_none_or(|after| order(&one.workload.key) > order(after)) && filter.takes(&one.workload));
        all.sort_by(|a, b| order(&a.workload.key).cmp(&order(&b.workload.key)));
        let remaining = all.len().saturating_sub(limit);
        all.truncate(limit);
        let present = self.present();
        let items: Vec<WorkloadView> = all.iter().map(|one| self.summary(one, &present)).collect();
        let more_after = items.last().filter(|_| remaining > 0).map(|last| last.key.clone());
        WorkloadPage { items, more_after, remaining }
    }

    /// Returns a workload with the verdicts on the versions in its registries; `None` if it is not known.
    ///
    /// No registry is queried for a container that takes no part in updates, or a release that is not updated.
    pub async fn explain(&self, key: &WorkloadKey) -> Option<WorkloadView> {
        let resolved = self.state.index.read().resolved(key)?;
        let mut known = BTreeMap::new();
        let mut registry_errors = BTreeMap::new();
        let answered = tokio::time::timeout(PATIENCE, async {
            let permit = Arc::clone(&self.explainer.permits).acquire_owned().await.ok();
            let place = PullPlace::of(&resolved.workload);
            for container in resolved.taking_part() {
                let (Ok(artifact), Some(origin)) = (container.artifact(), container.origin()) else { continue };
                match Box::pin(self.explainer.candidates(&origin, &artifact, &place)).await {
                    Ok(candidates) => drop(known.insert(container.name.clone(), candidates)),
                    Err(error) => drop(registry_errors.insert(origin.to_string(), error)),
                }
            }
            permit
        });
        let permit = if let Ok(permit) = answered.await {
            permit
        } else {
            let origins = resolved.taking_part().filter(|container| !known.contains_key(&container.name)).filter_map(Container::origin);
            let late = || format!("no response within {} s", PATIENCE.as_secs());
            for origin in origins {
                registry_errors.entry(origin.to_string()).or_insert_with(late);
            }
            None
        };
        let (handle, workload) = (self.clone(), Arc::clone(&resolved.workload));
        // A long list is judged outside of the async threads.
        let judged = tokio::task::spawn_blocking(move || {
            let view = handle.view(&resolved, &known, &handle.present());
            drop(permit);
            view
        });
        match judged.await {
            Ok(view) => Some(with_errors(view, &workload, registry_errors)),
            Err(error) => {
                tracing::error!(%error, "failed to explain a workload because of a bug in Headwind");
                None
            }
        }
    }

    /// Returns the data in memory, without a query to a registry: the requests and the results of the last scans.
    pub(super) fn summary(&self, resolved: &Resolved, present: &Present) -> WorkloadView {
        let Resolved { workload, defaults, .. } = resolved;
        let mut view = self.view(resolved, &BTreeMap::new(), present);
        let scans = self.explainer.last_scans.read();
        for explained in &mut view.containers {
            let unknown = matches!(explained.because.reason, Reason::NotQueried | Reason::UpToDate);
            let container = workload.container(&explained.container).filter(|_| unknown);
            if let Some(verdict) = container.and_then(|container| scans.verdict(workload, defaults, container)) {
                explained.because = verdict;
            }
        }
        let origins = workload.containers.iter().filter_map(Container::origin);
        let errors = origins.filter_map(|origin| scans.error(&origin).map(|error| (origin.to_string(), error.to_owned()))).collect();
        with_errors(view, workload, errors)
    }

    /// Returns the state that is now the same for every workload. One answer reads it once: the queue of updates may be
    /// long.
    pub(super) fn present(&self) -> Present {
        let now = now();
        Present { now, limits: self.state.current_limits(now), nodes: self.state.nodes.all() }
    }

    fn view(&self, resolved: &Resolved, known: &BTreeMap<String, Vec<Candidate>>, present: &Present) -> WorkloadView {
        let Resolved { workload, defaults, .. } = resolved;
        let mut requests: Vec<Request> = self.state.requests.read().of(&workload.key).map(Held::read).collect();
        requests.retain(|request| request.target_uid == workload.uid);
        requests.sort_by_key(|request| std::cmp::Reverse(request.created));
        let prior = prior_of(&requests);
        let of_workload: Vec<&Request> = requests.iter().collect();
        let moment = present.moment();
        let explained = |container: &Container| {
            let on_record;
            let candidates = if let Some(candidates) = known.get(&container.name) {
                candidates
            } else {
                on_record = self::on_record(&requests, container);
                &on_record
            };
            let mut explained = explain::explain(workload, defaults, container, candidates, &of_workload, &prior, moment);
            explained.keep_best(VERDICTS);
            explained
        };
        let failure = |container: &Container| {
            let failure = self.intake.inbox.failure(&workload.key, &workload.uid, &container.name)?;
            Some((container.name.clone(), failure))
        };
        WorkloadView {
            key: workload.key.clone(),
            owner: workload.owner.as_deref().cloned(),
            containers: resolved.tracked().map(explained).collect(),
            unrecorded: resolved.tracked().filter_map(failure).collect(),
            requests,
            registry_errors: BTreeMap::new(),
        }
    }
}

/// The state at one time that is the same for every workload.
pub(super) struct Present {
    now: Timestamp,
    limits: Limits,
    nodes: Option<Arc<Vec<Node>>>,
}

impl Present {
    fn moment(&self) -> explain::Moment<'_> {
        explain::Moment { now: self.now, limits: &self.limits, nodes: self.nodes.as_deref().map(Vec::as_slice) }
    }
}

/// Returns the view with the errors of its registries. If an error affects a verdict, the error replaces the verdict.
fn with_errors(mut view: WorkloadView, workload: &Workload, errors: BTreeMap<String, String>) -> WorkloadView {
    for explained in view.containers.iter_mut().filter(|explained| explained.because.reason == Reason::NotQueried) {
        let origin = workload.container(&explained.container).and_then(Container::origin);
        if let Some(error) = origin.and_then(|origin| errors.get(&origin.to_string())) {
            explained.because = Reasoned::new(Reason::RegistryError, format!("Headwind could not query the registry: {error}"));
        }
    }
    WorkloadView { registry_errors: errors, ..view }
}

/// Returns the versions of a container's requests.
fn on_record(requests: &[Request], container: &Container) -> Vec<Candidate> {
    let mut tags: Vec<String> = requests
        .iter()
        .filter(|request| request.spec.container.as_ref() == Some(&container.name))
        .filter_map(|request| request.artifact(&request.spec.new_image)?.version().map(str::to_owned))
        .collect();
    tags.sort();
    tags.dedup();
    tags.into_iter().map(|tag| Candidate::new(tag, None)).collect()
}
