//! Versions of APIs as types.
//!
//! A Kubernetes type has one version at compile time. Here the version is a parameter, so that one slim view serves
//! every version of an API whose fields are the same in all of them.

use std::fmt::Debug;

/// The API group of source-controller.
pub const SOURCES: &str = "source.toolkit.fluxcd.io";

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
        impl<V: $crate::api_version::Version> kube::Resource for $name<V> {
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
