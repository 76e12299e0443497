//! Builders for tests: a test states only what matters to it.

use jiff::Timestamp;

use crate::artifact::reference::Digest;
use crate::artifact::{Artifact, ArtifactKind};
use crate::decide::{Identity, PriorRequest, PriorRequests};
use crate::evidence::{Evidence, Trust};
use crate::policy::{Candidate, Policy};
use crate::request::{Request, Spec, Status};
use crate::settings::{Annotations, PREFIX};
use crate::trigger::Trigger;
use crate::workload::{Container, Kind, Workload, WorkloadKey};

/// Returns annotations with Headwind's prefix before each name.
pub fn annotations(all: &[(&str, &str)]) -> Annotations {
    all.iter().map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned())).collect()
}

/// Returns a key in the namespace `n`.
pub fn key(kind: Kind, name: &str) -> WorkloadKey {
    WorkloadKey { kind, namespace: "n".to_owned(), name: name.to_owned() }
}

/// Returns the Deployment `n/t` with these annotations (without their prefix), whose container `web` runs the image.
pub fn deployment(image: &str, all: &[(&str, &str)]) -> Workload {
    Workload {
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        generation: 1,
        annotations: annotations(all),
        has_annotations: true,
        ..Workload::new(key(Kind::Deployment, "t"), vec![Container::new("web", image)])
    }
}

/// Returns a digest made of one digit.
///
/// # Panics
/// If it is not a hexadecimal digit.
pub fn digest(letter: char) -> Digest {
    let text = format!("sha256:{}", letter.to_string().repeat(64));
    Digest::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns one candidate for each word.
pub fn candidates(tags: &str) -> Vec<Candidate> {
    tags.split_whitespace().map(|tag| Candidate::new(tag, None)).collect()
}

/// Returns a pending request with that name, created by Headwind from a webhook at that time for the container `web` of
/// [`deployment`], under policy `minor` and without approval.
pub fn request(name: &str, from: &str, to: &str, at: Timestamp) -> Request {
    Request {
        name: name.to_owned(),
        target_uid: "u".to_owned(),
        fault: None,
        created: at,
        siblings: Vec::new(),
        proposed: at,
        spec: Spec {
            kind: ArtifactKind::Image,
            container: Some("web".to_owned()),
            current_image: from.to_owned(),
            new_image: to.to_owned(),
            current_digest: None,
            new_digest: None,
            policy: Policy::Minor,
            require_approval: false,
            approvals: 1,
            expires_at: None,
            trigger: Trigger::Webhook,
        },
        status: Status::default(),
    }
}

/// Returns the identity of writing the image into the container under a policy that does not follow digests.
///
/// # Panics
/// If the image is not a valid reference.
pub fn identity(container: &str, image: &str) -> Identity {
    let artifact = Artifact::parse(ArtifactKind::Image, image).unwrap_or_else(|error| panic!("{image}: {error}"));
    Identity::new(container, &artifact, Policy::Minor, None)
}

/// Returns a prior request for the image that blocks nothing.
///
/// # Panics
/// If the image is not a valid reference.
pub fn prior(container: &str, image: &str) -> PriorRequest {
    let identity = identity(container, image);
    PriorRequest {
        name: identity.as_str().to_owned(),
        container: container.to_owned(),
        identity: Some(identity),
        new_image: image.to_owned(),
        ..PriorRequest::default()
    }
}

/// Returns prior requests that are named after their identity.
pub fn prior_requests(requests: impl IntoIterator<Item = PriorRequest>) -> PriorRequests {
    PriorRequests::new(|_, _, identity| identity.as_str().to_owned(), requests.into_iter().collect())
}

/// Returns the prior requests of these requests, whatever their names are.
pub fn prior_of(requests: &[Request]) -> PriorRequests {
    let named = |request: &Request| {
        let prior = request.prior();
        let name = prior.identity.as_ref().map(|identity| identity.as_str().to_owned()).unwrap_or_default();
        PriorRequest { name, ..prior }
    };
    prior_requests(requests.iter().map(named))
}

/// Returns evidence about data that Headwind read from the registry itself, without answers.
pub fn trusted() -> Evidence {
    Evidence::new(Trust::REGISTRY)
}
