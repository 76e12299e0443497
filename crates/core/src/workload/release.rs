//! A release (Flux's HelmRelease): its chart, the chart's origin, and the reasons why Headwind does not update it.
//!
//! A release references its source, another object. `headwind_k8s` reads both separately. The operator's index combines
//! them with [`resolve`], again each time one of the two changes. Pure. The result is a [`Workload`] with one
//! container, named [`CHART`], like any other.
//!
//! ```text
//! HelmRelease ──> Release ─┐
//!                          ├─> resolve ─> Workload { containers: [chart], pull, destination }
//! HelmRepository ─> Source ┘
//! OCIRepository
//! ```

use std::fmt;
use std::time::Duration;

use crate::artifact::Origin;
use crate::artifact::chart::{ChartReference, ChartRepository, version_of};
use crate::artifact::reference::{ReferenceError, RepositoryKey};
use crate::artifact::version::is_constraint;
use crate::reason::{Reason, Reasoned};
use crate::rollout::{View, flux};
use crate::settings::{Settings, key};
use crate::workload::source::{ChartAccess, ChartSourceRef, OciRef, Release, ResolvedChart, Source, SourceKey};
use crate::workload::{Container, Destination, PullSource, Workload};

/// The name of a release's only container in histories, requests and annotations.
pub const CHART: &str = "chart";

/// Returns true if the state is temporary: approved updates wait for it to end.
pub fn passes(reason: Reason) -> bool {
    matches!(reason, Reason::Suspended | Reason::SourceMissing | Reason::SourceShared | Reason::SourceNotAccepted)
}

/// Resolves a release against its source. `shared_by` is the number of releases that name the source in `chartRef`.
#[must_use]
pub fn resolve(release: &Workload, source: Option<&Source>, shared_by: usize) -> Workload {
    let mut workload = release.clone();
    let Some(named) = release.release.as_deref() else { return workload };
    let mut chart = named.chart.clone().unwrap_or_else(|| unseen(named));
    let out_of_reach = out_of_reach(named, &release.key.namespace, source);
    // A source that may not be used is neither queried nor written, so the workload gets no data of it.
    let source = source.filter(|_| out_of_reach.is_none());
    let (origin, unsupported) = match out_of_reach.map_or_else(|| locate(named, source, &mut chart), Err) {
        Ok((origin, skip)) => (Some(origin), skip),
        Err(skip) => (None, Some(skip)),
    };
    let range = || {
        let range = named.chart.is_some() && is_constraint(&chart.1);
        range.then(|| Reasoned::new(Reason::VersionRange, format!("the version {:?} is a range, which Flux resolves by itself", chart.1)))
    };
    let suspended = match (named.suspended, source) {
        (true, _) => Some("the release is suspended".to_owned()),
        (false, Some(source)) if source.suspended => Some(format!("{} is suspended", source.key)),
        (false, _) => None,
    };
    let pause = || suspended.clone().map(|message| Reasoned::new(Reason::Suspended, message));
    let skip_reason = unsupported.or_else(range).or_else(pause);
    let tag = source.filter(|_| named.chart.is_none());
    // For a chart from an OCIRepository, Flux replaces the build metadata with a part of the digest.
    let plain = |version: &str| version.split('+').next().filter(|_| tag.is_some()).unwrap_or(version).to_owned();
    let asked = plain(&chart.1);
    let running = named.running.as_deref().map(plain).filter(|running| !flux::same_version(&asked, running));
    let (shared_by, shareable) = tag.map_or((1, false), |source| (shared_by, Settings::consents_to_share(&source.annotations)));
    let site = ResolvedChart { origin: origin.clone(), skip_reason, shared_by, shareable, running };
    // An illegal name is shown as written, and readers skip it.
    let image = ChartReference::new(&chart.0, &chart.1).map_or_else(|_| format!("{}:{}", chart.0, chart.1), |chart| chart.to_string());
    workload.containers = vec![Container { chart: Some(Box::new(site)), ..Container::new(CHART, &image) }];
    if let Some(source) = source {
        let host = origin.as_ref().map(|origin| origin.host().to_owned()).unwrap_or_default();
        workload.pull = PullSource::Chart(Box::new(ChartAccess { host, ..source.access.clone() }));
    }
    if let View::HelmRelease(view) = &mut workload.rollout {
        view.suspended |= suspended.is_some();
        // Flux does not know a new version of a classic repository before it has read the index again.
        view.source_interval =
            source.filter(|_| matches!(origin, Some(Origin::Charts(_)))).map_or(Duration::ZERO, |source| source.interval);
        if let Some(Source { pull: Some(OciRef::Tag(tag)), seen, .. }) = tag {
            view.wanted.clone_from(tag);
            view.source = Some(seen.clone());
        }
    }
    if let Some(source) = tag {
        carry(&mut workload, source);
    }
    workload
}

/// Returns why the release may not use its source; `None` if it may.
///
/// A version in an `OCIRepository` is changed there, and a release never causes a change in another namespace. A
/// `HelmRepository` is only read: Flux's own rules decide about one in another namespace. A query with secrets of that
/// namespace waits until Flux has accepted the source for this release.
fn out_of_reach(release: &Release, namespace: &str, source: Option<&Source>) -> Option<Reasoned> {
    let ChartSourceRef::Source(key) = &release.source else { return None };
    let elsewhere = key.namespace != namespace;
    if elsewhere && release.chart.is_none() {
        return Some(in_other_namespace(key));
    }
    if let Some(denied) = &release.denied {
        return Some(Reasoned::new(Reason::AccessDenied, denied.clone()));
    }
    let accepted = release.accepted.as_ref() == Some(&key.namespace);
    let unaccepted = elsewhere && !accepted && source.is_some_and(|source| source.access.has_credentials());
    unaccepted.then(|| Reasoned::new(Reason::SourceNotAccepted, format!("Flux has not yet accepted {key} for this release")))
}

fn in_other_namespace(key: &SourceKey) -> Reasoned {
    Reasoned::new(Reason::SourceInOtherNamespace, format!("its source, {key}, is in another namespace"))
}

/// Removes the source of a resolved release if it is in another namespace, whatever Flux allows
/// (`HEADWIND_NO_CROSS_NAMESPACE_REFS`).
#[must_use]
pub fn confine(mut workload: Workload) -> Workload {
    let Some(ChartSourceRef::Source(key)) = workload.release.as_deref().map(|release| &release.source) else { return workload };
    if key.namespace == workload.key.namespace {
        return workload;
    }
    let left = in_other_namespace(key);
    workload.pull = PullSource::default();
    for site in workload.containers.iter_mut().filter_map(|container| container.chart.as_mut()) {
        site.origin = None;
        site.skip_reason = Some(left.clone());
    }
    workload
}

/// Returns the origin of the versions, and the source's reason not to update the chart. A chart that is not updated may
/// have an origin as well.
fn locate(named: &Release, source: Option<&Source>, chart: &mut (String, String)) -> Result<(Origin, Option<Reasoned>), Reasoned> {
    let key = match &named.source {
        ChartSourceRef::Source(key) => key,
        ChartSourceRef::Other(kind) => {
            return Err(Reasoned::new(
                Reason::SourceUnsupported,
                format!("its chart comes from a {kind}, which has no versions to choose from"),
            ));
        }
        ChartSourceRef::Nothing => return Err(Reasoned::new(Reason::SourceMissing, "it names neither a chart nor a source".to_owned())),
    };
    let missing =
        || Reasoned::new(Reason::SourceMissing, format!("{key} does not exist, or is in a namespace that Headwind does not watch"));
    let source = source.ok_or_else(missing)?;
    let illegal =
        |problem: &dyn fmt::Display| Reasoned::new(Reason::SourceUnsupported, format!("the address of {key}, {:?}: {problem}", source.url));
    let Some(pull) = &source.pull else {
        let origin = match source.url.strip_prefix("oci://") {
            Some(address) => repository(&format!("{}/{}", address.trim_end_matches('/'), chart.0)).map(Origin::Registry),
            None => return ChartRepository::parse(&source.url).map(|found| (Origin::Charts(found), None)).map_err(|error| illegal(&error)),
        };
        return origin.map(|origin| (origin, None)).map_err(|error| illegal(&error));
    };
    let address = source.url.strip_prefix("oci://").unwrap_or(&source.url);
    let repository = repository(address.trim_end_matches('/')).map_err(|error| illegal(&error))?;
    repository.path().rsplit('/').next().unwrap_or_default().clone_into(&mut chart.0);
    let left = match pull {
        OciRef::Tag(tag) => {
            chart.1 = version_of(tag);
            None
        }
        OciRef::Latest => {
            "latest".clone_into(&mut chart.1);
            Some(Reasoned::new(Reason::SourceUnsupported, format!("{key} has no tag in spec.ref, so its current version is not known")))
        }
        OciRef::Semver(range) => {
            chart.1.clone_from(range);
            Some(Reasoned::new(Reason::VersionRange, format!("{key} follows the range {range:?}, which Flux resolves by itself")))
        }
        OciRef::Digest(digest) => {
            chart.1.clone_from(digest);
            Some(Reasoned::new(Reason::SourcePinned, format!("{key} is pinned to {digest}")))
        }
    };
    Ok((Origin::Registry(repository), left))
}

/// Returns the repository at an address without its scheme. Its first part is always the host.
fn repository(address: &str) -> Result<RepositoryKey, ReferenceError> {
    let (host, path) = address.split_once('/').ok_or(ReferenceError::Host)?;
    RepositoryKey::from_parts(host, path)
}

/// Returns the running chart, shown for a `chartRef` whose source is not known.
fn unseen(release: &Release) -> (String, String) {
    let name = match &release.source {
        ChartSourceRef::Source(key) => key.name.clone(),
        ChartSourceRef::Other(_) | ChartSourceRef::Nothing => CHART.to_owned(),
    };
    (name, release.running.clone().unwrap_or_default())
}

/// Sets the destination: the chart's version is the tag of another object, so changes and Headwind's annotations are
/// written there, in one patch.
fn carry(workload: &mut Workload, source: &Source) {
    workload.destination = Some(Destination {
        namespace: source.key.namespace.clone(),
        name: source.key.name.clone(),
        uid: source.uid.clone(),
        resource_version: source.resource_version.clone(),
        has_annotations: source.has_annotations,
        url: source.url.clone(),
    });
    workload.owner.clone_from(&source.owner);
    workload.annotations.retain(|name, _| !key::MANAGED.contains(&name.as_str()));
    let managed = source.annotations.iter().filter(|(name, _)| key::MANAGED.contains(&name.as_str()));
    workload.annotations.extend(managed.map(|(name, value)| (name.clone(), value.clone())));
    // Increases with a change of either of the two.
    workload.generation = workload.generation.saturating_add(source.generation);
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
