//! APIs that a cluster may have, may lack, or may serve in an older version.
//!
//! A Kubernetes type has one version at compile time. Here the version is a parameter, so that one slim view serves
//! every version of an API whose fields are the same in all of them. The API server decides which one is used
//! ([`OptionalApi::versions`]).

use std::fmt::Debug;

use headwind_core::workload::Kind;
use headwind_core::workload::source::SourceKind;

use crate::kinds::facts;

/// A version of an API, as a type.
pub trait Version: Clone + Copy + Debug + Default + Send + Sync + 'static {
    /// The version (`v2`).
    const NAME: &'static str;
}

macro_rules! versions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $name;

        impl Version for $name {
            const NAME: &'static str = $text;
        })+
    };
}

versions! {
    /// `v1`.
    V1 = "v1",
    /// `v1alpha1`.
    V1Alpha1 = "v1alpha1",
    /// `v1beta2`.
    V1Beta2 = "v1beta2",
    /// `v2`.
    V2 = "v2",
    /// `v2beta2`.
    V2Beta2 = "v2beta2",
}

/// Implements `kube::Resource` for a slim view that has its version as a parameter.
macro_rules! resource {
    ($name:ident, $group:expr, $kind:literal, $plural:literal) => {
        impl<V: $crate::optional_api::Version> kube::Resource for $name<V> {
            type DynamicType = ();
            type Scope = k8s_openapi::NamespaceResourceScope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                V::NAME.into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use resource;

/// An API that a cluster may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionalApi {
    /// A kind of workload.
    Workload(Kind),
    /// A kind of chart source.
    ChartSource(SourceKind),
}

impl OptionalApi {
    /// The chart sources.
    pub const CHART_SOURCES: &'static [OptionalApi] =
        &[OptionalApi::ChartSource(SourceKind::HelmRepository), OptionalApi::ChartSource(SourceKind::OciRepository)];

    /// Returns every optional API. Those that others are read with come first.
    pub fn all() -> impl Iterator<Item = OptionalApi> {
        let workloads = Kind::ALL.iter().filter(|kind| facts(**kind).optional).map(|kind| OptionalApi::Workload(*kind));
        Self::CHART_SOURCES.iter().copied().chain(workloads)
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

    /// Returns the APIs whose objects are read together with this one's.
    pub fn read_after(self) -> &'static [OptionalApi] {
        match self {
            OptionalApi::Workload(kind) => facts(kind).read_after,
            OptionalApi::ChartSource(_) => &[],
        }
    }
}

/// The API group of source-controller.
pub const SOURCES: &str = "source.toolkit.fluxcd.io";

#[cfg(test)]
mod tests {
    use kube::Resource;
    use rstest::rstest;

    use super::*;
    use crate::helm::{SlimHelmRepository, SlimOciRepository};
    use crate::kinds::SlimHelmRelease;

    fn of<K: Resource<DynamicType = ()>>() -> [String; 4] {
        let text = |text: std::borrow::Cow<'_, str>| text.into_owned();
        [text(K::group(&())), text(K::version(&())), text(K::kind(&())), text(K::plural(&()))]
    }

    /// Each type is asked for in its own version, the best of a kind first.
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
            assert!(api.read_after().iter().all(|needed| all[..place].contains(needed)), "{api:?}");
        }
        assert!(all.contains(&OptionalApi::Workload(Kind::HelmRelease)));
    }
}
