//! Queries about workloads: one row for each container, and the origin of its settings.

use std::collections::BTreeSet;

use headwind_core::explain::Explained;
use headwind_core::policy::Policy;
use headwind_core::reason::Reason;
use headwind_core::settings::{Annotations, EventSource, Settings, key};
use headwind_core::workload::WorkloadKey;

use super::explain::WorkloadView;
use super::handle::Handle;
use crate::observe::index::Resolved;
use crate::observe::visible::Visible;

/// The state of a container, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadState {
    /// Headwind proposes, or has proposed, a newer version.
    UpdateAvailable,
    /// A newer version is known, and something prevents its update.
    HeldBack,
    /// It runs the best version.
    UpToDate,
    /// Headwind does not update it.
    Skipped,
    /// An annotation has an invalid value.
    InvalidAnnotation,
    /// Headwind has not queried the registry yet, or the query failed.
    NotChecked,
}

impl WorkloadState {
    /// Every state, in display order.
    pub const ALL: &'static [WorkloadState] = &[
        WorkloadState::UpdateAvailable,
        WorkloadState::HeldBack,
        WorkloadState::UpToDate,
        WorkloadState::Skipped,
        WorkloadState::InvalidAnnotation,
        WorkloadState::NotChecked,
    ];

    /// Returns the state of a container.
    pub fn of(explained: &Explained) -> Self {
        if explained.settings.is_err() {
            return WorkloadState::InvalidAnnotation;
        }
        if explained.out.is_some() {
            return WorkloadState::Skipped;
        }
        match explained.because.reason {
            Reason::AlreadyRequested => WorkloadState::UpdateAvailable,
            _ if explained.would_take.is_some() => WorkloadState::UpdateAvailable,
            Reason::UpToDate => WorkloadState::UpToDate,
            Reason::NotQueried | Reason::RegistryError => WorkloadState::NotChecked,
            _ => WorkloadState::HeldBack,
        }
    }
}

/// A container of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRow {
    /// The workload.
    pub workload: WorkloadKey,
    /// The container.
    pub container: String,
    /// The image or chart in the object.
    pub image: String,
    /// For a release: the running version, if it differs.
    pub running: Option<String>,
    /// The newest known version, whether the policy accepts it or not.
    pub newest: Option<String>,
    /// The state.
    pub state: WorkloadState,
    /// The reason for the state, as a sentence.
    pub message: String,
    /// The policy, if the settings are valid.
    pub policy: Option<Policy>,
    /// The enabled triggers, if the settings are valid.
    pub source: Option<EventSource>,
}

/// The origin of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingOrigin {
    /// An annotation of the workload.
    Workload,
    /// An annotation of its namespace.
    Namespace,
    /// The default.
    Default,
}

/// A setting of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingValue {
    /// The name of the annotation, without the prefix.
    pub name: &'static str,
    /// The value.
    pub value: String,
    /// The origin of the value.
    pub origin: SettingOrigin,
}

/// The number of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overview {
    /// The workloads in the served namespaces.
    pub workloads: usize,
    /// The tracked workloads among them.
    pub tracked: usize,
    /// The namespaces with tracked workloads.
    pub namespaces: usize,
}

/// The default of each setting, as an annotation would have it; empty if there is none.
const DEFAULTS: &[(&str, &str)] = &[
    (key::POLICY, "none"),
    (key::PATTERN, ""),
    (key::REQUIRE_APPROVAL, "true"),
    (key::APPROVALS, "1"),
    (key::MIN_UPDATE_INTERVAL, "5m"),
    (key::IMAGES, ""),
    (key::EVENT_SOURCE, "webhook"),
    (key::POLLING_INTERVAL, ""),
    (key::AUTO_ROLLBACK, "false"),
    (key::ROLLBACK_TIMEOUT, "5m"),
    (key::HEALTH_CHECK_RETRIES, "3"),
    (key::SETTLE_TIME, "30s"),
    (key::DIGEST_UPDATE, "auto"),
    (key::COOL_DOWN, "0"),
    (key::UPDATE_WINDOW, ""),
    (key::UPDATE_WINDOW_DENY, ""),
    (key::FREEZE, "false"),
    (key::GITOPS, "auto"),
    (key::PLATFORMS, "any"),
    (key::NOTIFY, ""),
];

/// Returns the settings of a container with their origins. A setting without value and default is left out.
fn settings(namespace: &Annotations, workload: &Annotations, container: &str) -> Vec<SettingValue> {
    let places = [(workload, SettingOrigin::Workload), (namespace, SettingOrigin::Namespace)];
    let find = |key: &str| {
        let own = format!("{key}.{container}");
        let get = |annotations: &Annotations| annotations.get(&own).or_else(|| annotations.get(key)).cloned();
        places.into_iter().find_map(|(annotations, origin)| Some((get(annotations)?, origin)))
    };
    let setting = |(key, default): &(&'static str, &'static str)| {
        let (value, origin) = find(key).unwrap_or_else(|| ((*default).to_owned(), SettingOrigin::Default));
        let name = key.strip_prefix(key::PREFIX).unwrap_or(key);
        (!value.is_empty()).then_some(SettingValue { name, value, origin })
    };
    DEFAULTS.iter().filter_map(setting).collect()
}

fn rows(view: &WorkloadView) -> impl Iterator<Item = WorkloadRow> + '_ {
    view.containers.iter().map(|explained| WorkloadRow {
        workload: view.key.clone(),
        container: explained.container.clone(),
        image: explained.image.clone(),
        running: explained.running.clone(),
        newest: explained.newest.clone(),
        state: WorkloadState::of(explained),
        message: explained.because.message.clone(),
        policy: explained.settings.as_ref().ok().map(|settings| settings.policy),
        source: explained.settings.as_ref().ok().map(|settings| settings.event_source),
    })
}

impl Handle {
    /// Returns a row for each tracked container in the namespaces that the caller may list, sorted by namespace and name.
    /// Queries no registry.
    pub fn workload_rows(&self, visible: &Visible) -> Vec<WorkloadRow> {
        let tracked: Vec<Resolved> = {
            let index = self.state.index.read();
            index.all().filter(|one| visible.includes(&one.workload.key.namespace) && one.tracked().next().is_some()).collect()
        };
        let present = self.present();
        let mut all: Vec<WorkloadRow> = tracked.iter().flat_map(|one| rows(&self.summary(one, &present)).collect::<Vec<_>>()).collect();
        let order =
            |row: &WorkloadRow| (row.workload.namespace.clone(), row.workload.name.clone(), row.workload.kind, row.container.clone());
        all.sort_by_cached_key(order);
        all
    }

    /// Returns the data in memory about a workload, without a query to a registry.
    pub fn known(&self, key: &WorkloadKey) -> Option<WorkloadView> {
        let workload = self.state.index.read().resolved(key)?;
        Some(self.summary(&workload, &self.present()))
    }

    /// Returns the settings of a container of the workload, with their origins.
    pub fn settings_of(&self, key: &WorkloadKey, container: &str) -> Vec<SettingValue> {
        let Some(resolved) = self.state.index.read().resolved(key) else { return Vec::new() };
        settings(&resolved.defaults, &resolved.workload.annotations, container)
    }

    /// Returns the invalid value of `headwind.sh/notify` that applies to a container of the workload. It stops no update.
    pub fn notify_fault_of(&self, key: &WorkloadKey, container: &str) -> Option<String> {
        let resolved = self.state.index.read().resolved(key)?;
        Settings::notify_fault(&resolved.defaults, &resolved.workload.annotations, container).map(|fault| fault.to_string())
    }

    /// Counts the workloads in the namespaces that the caller may list.
    pub fn overview(&self, visible: &Visible) -> Overview {
        let index = self.state.index.read();
        let mut namespaces: BTreeSet<String> = BTreeSet::new();
        let mut overview = Overview::default();
        for one in index.all().filter(|one| visible.includes(&one.workload.key.namespace)) {
            overview.workloads += 1;
            overview.tracked += usize::from(one.tracked().next().is_some());
            if !namespaces.contains(&one.workload.key.namespace) {
                namespaces.insert(one.workload.key.namespace.clone());
            }
        }
        overview.namespaces = namespaces.len();
        overview
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::testing::annotations;

    use super::*;

    /// The displayed defaults are those of the rules.
    #[test]
    fn the_defaults_are_those_of_the_rules() {
        let all: Annotations =
            DEFAULTS.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(Settings::resolve(&Annotations::new(), &all, "web").unwrap(), Settings::default());
        let known: Vec<&str> = DEFAULTS.iter().map(|(key, _)| *key).collect();
        let missing: Vec<_> = key::SET_BY_USERS.iter().filter(|key| !known.contains(key) && **key != key::SHARED_SOURCE).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_nearest_annotation_counts() {
        let namespace = annotations(&[("policy", "minor"), ("settle-time", "1m"), ("auto-rollback.web", "true")]);
        let workload = annotations(&[("policy", "patch"), ("policy.web", "major")]);
        let all = settings(&namespace, &workload, "web");
        let of = |name: &str| all.iter().find(|one| one.name == name).map(|one| (one.value.as_str(), one.origin));
        assert_eq!(of("policy"), Some(("major", SettingOrigin::Workload)));
        assert_eq!(of("settle-time"), Some(("1m", SettingOrigin::Namespace)));
        assert_eq!(of("auto-rollback"), Some(("true", SettingOrigin::Namespace)));
        assert_eq!((of("digest-update"), of("pattern")), (Some(("auto", SettingOrigin::Default)), None));
    }
}
