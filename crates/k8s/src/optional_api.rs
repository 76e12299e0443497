//! APIs that a cluster may have, may lack, or may serve in an older version.
//!
//! The API server decides which version is used ([`OptionalApi::versions`]).

use headwind_core::workload::Kind;
use headwind_core::workload::source::SourceKind;

use crate::api_version::{SOURCES, V1, V1Beta2, Version as _};
use crate::kinds::facts;

/// An API that a cluster may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionalApi {
    /// A kind of workload.
    Workload(Kind),
    /// A kind of chart source.
    ChartSource(SourceKind),
}

impl OptionalApi {
    /// Returns every optional API. An API comes after those that are read before it.
    pub fn all() -> impl Iterator<Item = OptionalApi> {
        let workloads = Kind::ALL.iter().filter(|kind| facts(**kind).optional).map(|kind| OptionalApi::Workload(*kind));
        SourceKind::ALL.iter().map(|kind| OptionalApi::ChartSource(*kind)).chain(workloads)
    }

    /// Returns the API group and the plural.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            OptionalApi::Workload(kind) => (facts(kind).group, facts(kind).plural),
            OptionalApi::ChartSource(SourceKind::HelmRepository) => (SOURCES, "helmrepositories"),
            OptionalApi::ChartSource(SourceKind::OciRepository) => (SOURCES, "ocirepositories"),
        }
    }

    /// Returns the supported versions, the preferred one first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            OptionalApi::Workload(kind) => facts(kind).versions,
            OptionalApi::ChartSource(_) => &[V1::NAME, V1Beta2::NAME],
        }
    }

    /// Returns the APIs whose objects are needed to read this one's.
    pub fn read_after(self) -> impl Iterator<Item = OptionalApi> {
        let sources = match self {
            OptionalApi::Workload(kind) => facts(kind).read_after,
            OptionalApi::ChartSource(_) => &[],
        };
        sources.iter().map(|kind| OptionalApi::ChartSource(*kind))
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource;
    use rstest::rstest;

    use super::*;
    use crate::api_version::{V2, V2Beta2};
    use crate::helm::{SlimHelmRepository, SlimOciRepository};
    use crate::kinds::SlimHelmRelease;

    fn of<K: Resource<DynamicType = ()>>() -> [String; 4] {
        let text = |text: std::borrow::Cow<'_, str>| text.into_owned();
        [text(K::group(&())), text(K::version(&())), text(K::kind(&())), text(K::plural(&()))]
    }

    /// Each version of a kind has its own type; the preferred version comes first.
    #[rstest]
    #[case(OptionalApi::Workload(Kind::HelmRelease), "HelmRelease", [of::<SlimHelmRelease<V2>>(), of::<SlimHelmRelease<V2Beta2>>()])]
    #[case(OptionalApi::ChartSource(SourceKind::HelmRepository), "HelmRepository", [of::<SlimHelmRepository<V1>>(), of::<SlimHelmRepository<V1Beta2>>()])]
    #[case(OptionalApi::ChartSource(SourceKind::OciRepository), "OCIRepository", [of::<SlimOciRepository<V1>>(), of::<SlimOciRepository<V1Beta2>>()])]
    fn every_version_is_asked_for_by_its_name(#[case] api: OptionalApi, #[case] kind: &str, #[case] types: [[String; 4]; 2]) {
        let (group, plural) = api.resource();
        let expected: Vec<_> = api.versions().iter().map(|version| [group, *version, kind, plural].map(str::to_owned)).collect();
        assert_eq!(types.to_vec(), expected);
    }

    /// A release is read with its source.
    #[test]
    fn apis_come_after_those_that_they_are_read_with() {
        let all: Vec<OptionalApi> = OptionalApi::all().collect();
        for (place, api) in all.iter().enumerate() {
            assert!(api.read_after().all(|needed| all[..place].contains(&needed)), "{api:?}");
        }
        assert!(all.contains(&OptionalApi::Workload(Kind::HelmRelease)));
    }
}
