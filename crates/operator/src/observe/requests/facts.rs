//! Single fields of a request, read without decoding all of it. Lists of thousands of requests are filtered and sorted
//! by them.

use headwind_core::policy::Policy;
use headwind_core::request::DEFAULT_EXPIRY;
use headwind_core::trigger::Trigger;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;

use super::Held;

impl Held<'_> {
    /// Returns the policy that accepted the version.
    pub(crate) fn policy(self) -> Policy {
        match self {
            Held::Open(request) => request.spec.policy.0,
            Held::Finished(request) => request.policy(),
        }
    }

    /// Returns the creation time.
    pub(crate) fn created(self) -> Timestamp {
        match self {
            Held::Open(request) => created(request),
            Held::Finished(request) => request.created(),
        }
    }

    /// Returns the time of the last change, if known.
    pub(crate) fn changed_at(self) -> Option<Timestamp> {
        match self {
            Held::Open(request) => {
                let status = request.status.as_ref();
                let times = status.map(|status| {
                    let progressed = status.rollout.as_ref().map(|rollout| rollout.progressed_at.0);
                    let written = [&status.applied_at, &status.approved_at, &status.reopened_at];
                    written.into_iter().flatten().map(|time| time.0).chain(progressed).max()
                });
                times.flatten().or_else(|| Some(self.created()))
            }
            Held::Finished(request) => request.finished_at(),
        }
    }

    /// Returns the expiry time, if the request is open and needs an approval.
    pub(crate) fn expires_at(self) -> Option<Timestamp> {
        match self {
            Held::Open(request) if needs_approval(request) => Some(expires_at(request)),
            Held::Open(_) | Held::Finished(_) => None,
        }
    }

    /// Returns true if one of the searchable texts matches: name, container and images.
    pub(crate) fn contains(self, fits: impl Fn(&str) -> bool) -> bool {
        match self {
            Held::Open(request) => {
                let (name, spec) = (request.metadata.name.as_deref(), &request.spec);
                let places = [name, spec.container_name.as_deref(), Some(&spec.current_image), Some(&spec.new_image)];
                places.into_iter().flatten().any(fits)
            }
            Held::Finished(request) => {
                let request = request.read();
                let spec = &request.spec;
                let places = [Some(&request.name), spec.container.as_ref(), Some(&spec.current_image), Some(&spec.new_image)];
                places.into_iter().flatten().any(|place| fits(place))
            }
        }
    }
}

fn created(request: &UpdateRequest) -> Timestamp {
    request.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// The same as `Request::needs_approval`.
fn needs_approval(request: &UpdateRequest) -> bool {
    request.spec.require_approval || request.spec.trigger.0 == Trigger::Manual
}

/// The same as `Request::expires_at`.
fn expires_at(request: &UpdateRequest) -> Timestamp {
    let after = |at: Timestamp| at.checked_add(DEFAULT_EXPIRY).unwrap_or(Timestamp::MAX);
    let born = request.spec.expires_at.as_ref().map_or_else(|| after(created(request)), |time| time.0);
    let reopened = request.status.as_ref().and_then(|status| status.reopened_at.as_ref());
    reopened.map_or(born, |time| born.max(after(time.0)))
}
