//! Which version of Flux's kinds the API server offers: found out by [`crate::observe::flux`], heeded by whoever
//! reads or writes one of their objects.

use std::sync::atomic::{AtomicUsize, Ordering};

use headwind_k8s::served::Served;

/// Which version of each kind the API server offers, as its place in [`Served::versions`].
#[derive(Debug, Default)]
pub(crate) struct Offered {
    releases: Choice,
    helm_repositories: Choice,
    oci_repositories: Choice,
}

/// One more than the place; 0 for none.
#[derive(Debug, Default)]
struct Choice(AtomicUsize);

impl Offered {
    fn choice(&self, served: Served) -> &Choice {
        match served {
            Served::HelmRelease => &self.releases,
            Served::HelmRepository => &self.helm_repositories,
            Served::OciRepository => &self.oci_repositories,
        }
    }

    /// The place of the version; none where the kind is not offered.
    pub(crate) fn get(&self, served: Served) -> Option<usize> {
        self.choice(served).0.load(Ordering::Acquire).checked_sub(1)
    }

    /// Whether it is offered in the older version alone.
    pub(crate) fn is_older(&self, served: Served) -> bool {
        self.get(served) == Some(1)
    }

    pub(crate) fn set(&self, served: Served, place: Option<usize>) {
        self.choice(served).0.store(place.map_or(0, |place| place + 1), Ordering::Release);
    }
}
