//! What is tracked, and why it is where it is: the doors' view of the workloads.
//!
//! The list is made of what this process knows; only `explain`, which a person asks for, asks the
//! registry, and not again for the same repository within a minute. No rule is here: the verdicts
//! are `headwind_core::explain`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::explain::{self, Explained};
use headwind_core::policy::Candidate;
use headwind_core::reason::Reason;
use headwind_core::request::Request;
use headwind_core::settings::Annotations;
use headwind_core::target::{Container, Kind, Target, TargetKey};
use headwind_registry::Keyring;
use moka::future::Cache;

use crate::asking::{Asking, chart_of};
use crate::handle::Handle;
use crate::propose::{Known, RecordingFailure};
use crate::reconcile::now;
use crate::requests::Held;
use crate::secrets::Place;

/// How long a list of tags is good enough for the next who asks.
const KEPT: Duration = Duration::from_mins(1);
/// How long the registry may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tags of repositories that somebody asked about lately.
#[derive(Clone)]
pub(crate) struct KnownTags {
    asking: Arc<Asking>,
    lists: Cache<(Origin, Option<String>, Place), Arc<Vec<Candidate>>>,
}

impl KnownTags {
    pub(crate) fn new(asking: Arc<Asking>) -> Self {
        Self { asking, lists: Cache::builder().max_capacity(1000).time_to_live(KEPT).build() }
    }

    async fn of(&self, origin: &Origin, artifact: &Artifact, place: &Place) -> Result<Arc<Vec<Candidate>>, String> {
        let chart = chart_of(artifact);
        let ask = async {
            let keyring: Keyring = self.asking.secrets.keyring(place).await.map_err(|failure| failure.to_string())?;
            let charts = chart.iter().cloned().collect();
            let listed = self.asking.list(origin, &charts, chart.is_some(), &keyring, None).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(Arc::new(listed.candidates(artifact, origin)))
        };
        let asked = self.lists.try_get_with((origin.clone(), chart.clone(), place.clone()), ask);
        match tokio::time::timeout(PATIENCE, Box::pin(asked)).await {
            Ok(candidates) => candidates.map_err(|error| (*error).clone()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// Which workloads of all. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadFilter {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Text that its name, a container or an image contains, whatever its case.
    pub text: Option<String>,
}

/// A workload as people see it.
#[derive(Debug, Clone)]
pub struct WorkloadView {
    /// Which.
    pub key: TargetKey,
    /// Every container that is tracked, or would be but for a fault.
    pub containers: Vec<Explained>,
    /// The requests on record, the youngest first; finished ones without their messages.
    pub requests: Vec<Request>,
    /// The containers whose latest update could not be recorded, and why.
    pub unrecorded: BTreeMap<String, RecordingFailure>,
    /// The error of each registry that Headwind could not query, by repository; the candidates are then
    /// those of the requests on record.
    pub registry_errors: BTreeMap<String, String>,
}

/// Some of the workloads that a filter takes.
#[derive(Debug, Clone)]
pub struct WorkloadPage {
    /// In the order of namespace, kind and name.
    pub items: Vec<WorkloadView>,
    /// The last one, where there are more behind it.
    pub more_after: Option<TargetKey>,
    /// How many more there are.
    pub remaining: usize,
}

/// What a list is in the order of.
fn order(key: &TargetKey) -> (&str, Kind, &str) {
    (&key.namespace, key.kind, &key.name)
}

impl WorkloadFilter {
    fn takes(&self, target: &Target) -> bool {
        let Self { namespace, kind, text } = self;
        namespace.as_ref().is_none_or(|namespace| target.key.namespace == *namespace)
            && kind.is_none_or(|kind| target.key.kind == kind)
            && text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                let names = target.containers.iter().flat_map(|container| [&container.name, &container.image]);
                names.chain([&target.key.name]).any(|name| name.to_lowercase().contains(&text))
            })
    }
}

/// Whether the container is one that people look for among those that are kept up to date.
fn is_tracked(defaults: &Annotations, target: &Target, container: &Container) -> bool {
    !matches!(explain::out(defaults, target, container), Some((Reason::PolicyNone | Reason::NotTracked, _)))
}

impl Handle {
    /// The tracked workloads that the filter takes, `limit` of them after that one.
    pub fn workloads(&self, filter: &WorkloadFilter, after: Option<&TargetKey>, limit: usize) -> WorkloadPage {
        let mut all: Vec<(Arc<Target>, Arc<Annotations>)> = {
            let index = self.state.index.read();
            let takes = |(target, defaults): &(&Arc<Target>, Arc<Annotations>)| {
                after.is_none_or(|after| order(&target.key) > order(after))
                    && filter.takes(target)
                    && target.containers.iter().any(|container| is_tracked(defaults, target, container))
            };
            index.all().filter(takes).map(|(target, defaults)| (Arc::clone(target), defaults)).collect()
        };
        all.sort_by(|(a, _), (b, _)| order(&a.key).cmp(&order(&b.key)));
        let remaining = all.len().saturating_sub(limit);
        all.truncate(limit);
        let items: Vec<WorkloadView> = all.iter().map(|(target, defaults)| self.summary(target, defaults)).collect();
        let more_after = items.last().filter(|_| remaining > 0).map(|last| last.key.clone());
        WorkloadPage { items, more_after, remaining }
    }

    /// One workload with every candidate that its registries tell; `None` when it is not known.
    pub async fn explain(&self, key: &TargetKey) -> Option<WorkloadView> {
        let (target, defaults) = {
            let index = self.state.index.read();
            (index.target(key)?, index.defaults(&key.namespace))
        };
        let place = Place::of(&target);
        let mut known = BTreeMap::new();
        let mut registry_errors = BTreeMap::new();
        for container in target.containers.iter().filter(|container| is_tracked(&defaults, &target, container)) {
            let (Ok(artifact), Some(origin)) = (container.artifact(), container.origin()) else { continue };
            match Box::pin(self.tags.of(&origin, &artifact, &place)).await {
                Ok(candidates) => drop(known.insert(container.name.clone(), candidates)),
                Err(error) => drop(registry_errors.insert(origin.to_string(), error)),
            }
        }
        let view = self.view(&target, &defaults, &known);
        Some(with_errors(view, &target, registry_errors))
    }

    /// What this process knows without asking a registry: the requests, and what the last scans said.
    fn summary(&self, target: &Target, defaults: &Annotations) -> WorkloadView {
        let mut view = self.view(target, defaults, &BTreeMap::new());
        let scans = self.state.last_scans.read();
        for explained in &mut view.containers {
            let unknown = matches!(explained.because.0, Reason::NotQueried | Reason::UpToDate);
            let container = target.container(&explained.container).filter(|_| unknown);
            if let Some(verdict) = container.and_then(|container| scans.verdict(target, defaults, container)) {
                explained.because = verdict;
            }
        }
        let origins = target.containers.iter().filter_map(Container::origin);
        let errors = origins.filter_map(|origin| scans.error(&origin).map(|error| (origin.to_string(), error.to_owned()))).collect();
        with_errors(view, target, errors)
    }

    fn view(&self, target: &Target, defaults: &Annotations, known: &BTreeMap<String, Arc<Vec<Candidate>>>) -> WorkloadView {
        let mut requests: Vec<Request> = self.state.requests.read().of(&target.key).map(Held::read).collect();
        requests.retain(|request| request.target_uid == target.uid);
        requests.sort_by_key(|request| std::cmp::Reverse(request.created));
        let record = Known { state: &self.state, target };
        let explained = |container: &Container| {
            let candidates = match known.get(&container.name) {
                Some(candidates) => candidates.to_vec(),
                None => on_record(&requests, container),
            };
            explain::explain(target, defaults, container, &candidates, &record, now())
        };
        let tracked = || target.containers.iter().filter(|container| is_tracked(defaults, target, container));
        let failure = |container: &Container| {
            let failure = self.intake.inbox.failure(&target.key, &target.uid, &container.name)?;
            Some((container.name.clone(), failure))
        };
        WorkloadView {
            key: target.key.clone(),
            containers: tracked().map(explained).collect(),
            unrecorded: tracked().filter_map(failure).collect(),
            requests,
            registry_errors: BTreeMap::new(),
        }
    }
}

/// The view with the errors of its registries: what is not known because of one says so.
fn with_errors(mut view: WorkloadView, target: &Target, errors: BTreeMap<String, String>) -> WorkloadView {
    for explained in view.containers.iter_mut().filter(|explained| explained.because.0 == Reason::NotQueried) {
        let origin = target.container(&explained.container).and_then(Container::origin);
        if let Some(error) = origin.and_then(|origin| errors.get(&origin.to_string())) {
            explained.because = (Reason::RegistryError, format!("the registry could not be queried: {error}"));
        }
    }
    WorkloadView { registry_errors: errors, ..view }
}

/// The versions that the requests of a container are about.
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
