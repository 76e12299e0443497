//! Kinds that a cluster may have, may not have, or has in an older version: Flux's.
//!
//! A Kubernetes type has one version at compile time; here it is a parameter, so that one slim view
//! serves every version of an API whose fields the rules read are the same in all of them. Which one
//! is used is decided by what the API server offers ([`Served::versions`]).

use std::fmt::Debug;

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
        impl<V: $crate::served::Version> kube::Resource for $name<V> {
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

/// One of the kinds that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// HelmRelease.
    HelmRelease,
    /// HelmRepository.
    HelmRepository,
    /// OCIRepository.
    OciRepository,
}

impl Served {
    /// Every one, sources first: a release is read with its source.
    pub const ALL: &'static [Served] = &[Served::HelmRepository, Served::OciRepository, Served::HelmRelease];

    /// API group and plural.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Served::HelmRelease => (RELEASES, "helmreleases"),
            Served::HelmRepository => (SOURCES, "helmrepositories"),
            Served::OciRepository => (SOURCES, "ocirepositories"),
        }
    }

    /// The versions that are understood, the best first.
    pub fn versions(self) -> [&'static str; 2] {
        match self {
            Served::HelmRelease => [V2::NAME, V2Beta2::NAME],
            Served::HelmRepository | Served::OciRepository => [V1::NAME, V1Beta2::NAME],
        }
    }
}

/// The API group of helm-controller.
pub const RELEASES: &str = "helm.toolkit.fluxcd.io";
/// The API group of source-controller.
pub const SOURCES: &str = "source.toolkit.fluxcd.io";

#[cfg(test)]
mod tests {
    use kube::Resource;
    use rstest::rstest;

    use super::*;
    use crate::helm::{SlimHelmRepository, SlimOciRepository};
    use crate::kind::SlimHelmRelease;

    fn of<K: Resource<DynamicType = ()>>() -> [String; 4] {
        let text = |text: std::borrow::Cow<'_, str>| text.into_owned();
        [text(K::group(&())), text(K::version(&())), text(K::kind(&())), text(K::plural(&()))]
    }

    /// Each type is asked for in its own version, the best of a kind first.
    #[rstest]
    #[case(Served::HelmRelease, "HelmRelease", [of::<SlimHelmRelease<V2>>(), of::<SlimHelmRelease<V2Beta2>>()])]
    #[case(Served::HelmRepository, "HelmRepository", [of::<SlimHelmRepository<V1>>(), of::<SlimHelmRepository<V1Beta2>>()])]
    #[case(Served::OciRepository, "OCIRepository", [of::<SlimOciRepository<V1>>(), of::<SlimOciRepository<V1Beta2>>()])]
    fn every_version_is_asked_for_by_its_name(#[case] served: Served, #[case] kind: &str, #[case] types: [[String; 4]; 2]) {
        let (group, plural) = served.resource();
        let expected = served.versions().map(|version| [group, version, kind, plural].map(str::to_owned));
        assert_eq!(types, expected);
    }

    #[test]
    fn sources_come_before_the_releases_that_are_read_with_them() {
        assert_eq!(Served::ALL.last(), Some(&Served::HelmRelease));
        assert_eq!(Served::ALL.len(), 3);
    }
}
