//! Releases and sources for tests: one of each. A test changes only what it is about.
//!
//! The release is `n/shop`, its source `n/charts`, its chart `podinfo`. Used by the tests of every module that decides
//! about releases.

use super::*;
use crate::rollout::HelmReleaseView;
use crate::settings::Annotations;
use crate::testing;
use crate::workload::Kind;
use crate::workload::source::{SourceKey, SourceKind};

/// The release's generation, and its source's.
pub(crate) const GENERATIONS: (i64, i64) = (3, 5);

/// The source's key.
pub(crate) fn key(kind: SourceKind) -> SourceKey {
    SourceKey { kind, namespace: "n".to_owned(), name: "charts".to_owned() }
}

/// A `HelmRepository` at that address.
pub(crate) fn helm(url: &str) -> Source {
    Source {
        key: key(SourceKind::HelmRepository),
        uid: "source-uid".to_owned(),
        resource_version: "70".to_owned(),
        generation: GENERATIONS.1,
        annotations: Annotations::new(),
        has_annotations: false,
        owner: None,
        url: url.to_owned(),
        pull: None,
        suspended: false,
        access: ChartAccess { namespace: "n".to_owned(), secret: Some("login".to_owned()), ..ChartAccess::default() },
        interval: Duration::from_mins(1),
        seen: flux::Source::default(),
    }
}

/// An `OCIRepository` of `podinfo` with that reference.
pub(crate) fn oci(pull: OciRef) -> Source {
    Source {
        key: key(SourceKind::OciRepository),
        pull: Some(pull),
        seen: flux::Source { generation: GENERATIONS.1, revision: Some("1.2.0@sha256:abc".to_owned()), ready: None },
        ..helm("oci://registry.example/team/podinfo")
    }
}

/// A release with its chart in `spec.chart`.
pub(crate) fn templated(chart: &str, version: &str) -> Release {
    Release {
        source: ChartSourceRef::Source(key(SourceKind::HelmRepository)),
        chart: Some((chart.to_owned(), version.to_owned())),
        suspended: false,
        denied: None,
        accepted: None,
        running: None,
    }
}

/// A release with the chart of an `OCIRepository`.
pub(crate) fn referring() -> Release {
    Release { source: ChartSourceRef::Source(key(SourceKind::OciRepository)), chart: None, ..templated("", "") }
}

/// A release as read from its own object. The annotations' keys have no prefix.
pub(crate) fn alone(release: Release, annotations: &[(&str, &str)]) -> Workload {
    let wanted = release.chart.as_ref().map(|(_, version)| version.clone()).unwrap_or_default();
    let view = HelmReleaseView { generation: GENERATIONS.0, wanted, suspended: release.suspended, ..HelmReleaseView::default() };
    Workload {
        api_version: "helm.toolkit.fluxcd.io/v2",
        uid: "uid".to_owned(),
        resource_version: "7".to_owned(),
        generation: GENERATIONS.0,
        annotations: testing::annotations(annotations),
        has_annotations: true,
        release: Some(std::sync::Arc::new(release)),
        rollout: View::HelmRelease(Box::new(view)),
        ..Workload::new(testing::key(Kind::HelmRelease, "shop"), Vec::new())
    }
}

/// A release of `podinfo` at that version, from an existing `HelmRepository`.
pub(crate) fn at_version(version: &str, annotations: &[(&str, &str)]) -> Workload {
    resolve(&alone(templated("podinfo", version), annotations), Some(&helm("https://charts.example")), 1)
}
