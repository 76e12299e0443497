//! From an event to UpdateRequests: decides for every container that uses the repository, and
//! puts what is proposed on record.
//!
//! Runs on every replica. The name of a request follows from the verdict, so two replicas, or the
//! same event twice, make one object; what is on record already costs no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_core::artifact::Origin;
use headwind_core::decide::{self, Decision, Proposal, Refusal, Site};
use headwind_core::event::{Event, Trigger};
use headwind_core::policy::{Candidate, Kind as VersionKind, Occasion, Policy};
use headwind_core::reason::Reason;
use headwind_core::reference::Digest;
use headwind_core::request::{DEFAULT_EXPIRY, Identity, Phase};
use headwind_core::settings::Annotations;
use headwind_core::target::{Container, Target, TargetKey};
use headwind_k8s::name;
use headwind_k8s::update_request::{
    KindName, PROPOSED_AT, PolicyName, SIBLINGS, TargetRef, TriggerName, UpdateRequest, UpdateRequestSpec, UpdateType,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt as _;

use crate::confirm::Confirm;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::shared::State;
use crate::tell::Tell;
use crate::verbs::{Class, Failure, Verbs};

/// Workloads of one event that are served side by side.
const AT_ONCE: usize = 16;

/// The recorder, with what it needs.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) state: Arc<State>,
    pub(crate) verbs: Verbs,
    pub(crate) tell: Tell,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue,
    pub(crate) confirm: Confirm,
}

/// What a decision is about, apart from the container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) candidates: &'a [Candidate],
    pub(crate) occasion: Occasion,
    pub(crate) trigger: Trigger,
}

impl Recording {
    /// Handles one event to its end. An error means that it is to be handled again as a whole.
    pub(crate) async fn event(&self, event: &Event) -> Result<(), Failure> {
        let users = self.state.index.read().users(&event.origin);
        let users = self.confirm.confirmed(self, event, users).await?;
        stream::iter(users)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |(target, defaults, digest)| async move {
                self.workload(event, digest.as_ref(), &target, &defaults).await
            })
            .await
    }

    async fn workload(&self, event: &Event, digest: Option<&Digest>, target: &Target, defaults: &Annotations) -> Result<(), Failure> {
        let proposals: Vec<Proposal> = target
            .containers
            .iter()
            .filter(|container| event.is_about(container))
            .filter_map(|container| {
                let artifact = container.artifact().ok()?;
                let tag = event.tag.as_deref().or_else(|| artifact.version())?;
                let candidates = [Candidate::new(event.origin.version(&artifact, tag), digest.cloned())];
                let look = Look { origin: &event.origin, candidates: &candidates, occasion: Occasion::Event, trigger: event.trigger };
                self.decide(&look, target, defaults, container)
            })
            .collect();
        self.propose_all(target, proposals).await.map(|_| ())
    }

    /// Puts on record what is proposed for one workload. Answers how many requests were made.
    pub(crate) async fn propose_all(&self, target: &Target, proposals: Vec<Proposal>) -> Result<u64, Failure> {
        let now = Timestamp::now();
        let mut requests: Vec<UpdateRequest> = proposals.iter().map(|proposal| request(target, proposal, now)).collect();
        name_siblings(&mut requests);
        let made = AtomicU64::new(0);
        let count = &made;
        stream::iter(proposals.into_iter().zip(requests))
            .map(Ok::<_, Failure>)
            .try_for_each_concurrent(AT_ONCE, |(proposal, request)| async move {
                count.fetch_add(u64::from(self.propose(target, &proposal, &request).await?), Ordering::Relaxed);
                Ok(())
            })
            .await?;
        Ok(made.into_inner())
    }

    /// Decides about one container; tells a refusal where somebody should know it.
    pub(crate) fn decide(&self, look: &Look<'_>, target: &Target, defaults: &Annotations, container: &Container) -> Option<Proposal> {
        let Look { candidates, occasion, trigger, .. } = *look;
        let record = Known { state: &self.state, target };
        let site = Site { target, defaults, container, candidates, occasion, trigger };
        match decide::decide(&site, &record) {
            Decision::Propose(proposal) => {
                if occasion == Occasion::Scan {
                    self.state.last_scans.write().proposed(target, container);
                }
                Some(*proposal)
            }
            Decision::Refuse(refusal) => {
                if occasion == Occasion::Scan {
                    let index = self.state.index.read();
                    let verdict = (refusal.reason, refusal.message.as_str());
                    self.state.last_scans.write().refused(&index, (target, defaults), container, verdict);
                }
                self.refused(look, target, container, &refusal);
                None
            }
        }
    }

    pub(crate) fn refused(&self, look: &Look<'_>, target: &Target, container: &Container, refusal: &Refusal) {
        let Refusal { reason, message } = refusal;
        // A scan looks at the same again and again; that is nobody's event.
        let tag = match look.occasion {
            Occasion::Event => {
                self.metrics.refused(*reason);
                look.candidates.first().map(|candidate| candidate.tag.as_str()).unwrap_or_default()
            }
            Occasion::Scan => "",
        };
        if calls_for_a_person(*reason) {
            self.tell.warn_target(
                target,
                *reason,
                &format!("{} {tag}", container.name),
                &format!("container {}: {message}", container.name),
            );
        } else {
            tracing::debug!(
                workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
                container = container.name, image.repository = %look.origin, image.tag = tag, reason = reason.code(), "no update: {message}"
            );
        }
    }

    /// Answers whether a request was made.
    async fn propose(&self, target: &Target, proposal: &Proposal, request: &UpdateRequest) -> Result<bool, Failure> {
        let made = match self.verbs.create_request(request).await {
            Ok(made) => made,
            Err(failure) if failure.class == Class::Conflict => match self.replace_superseded(target, proposal, request).await? {
                Some(made) => made,
                None => return Ok(false),
            },
            Err(failure) if matches!(failure.class, Class::Invalid) => {
                // The same again would be refused again.
                self.tell.warn_target(
                    target,
                    Reason::InvalidRequest,
                    &request.name_any(),
                    &format!("the request for {} was refused: {failure}", proposal.new_image),
                );
                return Ok(false);
            }
            Err(failure) if failure.class == Class::NotFound && self.state.index.read().target(&target.key).is_none() => return Ok(false),
            Err(failure) => return Err(failure),
        };
        tracing::info!(
            workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
            request.name = made.name_any(), container = proposal.container, image.current = proposal.current_image, image.new = proposal.new_image,
            policy = %proposal.policy, approval = proposal.require_approval, "update proposed"
        );
        let artifacts = made.spec.update_type.artifacts();
        if artifacts == VersionKind::Chart {
            self.metrics.helm.updates_found.inc();
        }
        if !proposal.require_approval {
            self.metrics.approved(artifacts);
        }
        let approval = if proposal.require_approval { "waits for approval" } else { "approved by policy" };
        let note = format!(
            "container {}: {} to {}: {}; {approval}",
            proposal.container, proposal.current_image, proposal.new_image, proposal.message
        );
        self.tell.target(target, Reason::Proposed, &note, Some(&made));
        self.state.requests.write().apply(made);
        self.queue.now(target.key.clone());
        Ok(true)
    }

    /// Replaces the superseded request that has the name. A request in any other phase stays.
    async fn replace_superseded(
        &self,
        target: &Target,
        proposal: &Proposal,
        request: &UpdateRequest,
    ) -> Result<Option<UpdateRequest>, Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let Some(standing) = self.verbs.request(&namespace, &request.name_any()).await? else {
            return Err(gone_meanwhile());
        };
        if !standing.asks_for(&target.key, &target.uid, &proposal.identity) {
            self.name_taken(target, proposal, &standing);
            self.state.requests.write().apply(standing);
            return Ok(None);
        }
        if standing.read().status.makes_room() {
            self.verbs.delete_request(&standing).await?;
            return Ok(Some(self.verbs.create_request(request).await?));
        }
        self.state.requests.write().apply(standing);
        self.queue.now(request.target());
        Ok(None)
    }

    /// Reports that a request which asks for something else has the name of this one.
    fn name_taken(&self, target: &Target, proposal: &Proposal, standing: &UpdateRequest) {
        self.metrics.request_names_taken.inc();
        let name = standing.name_any();
        let note = format!(
            "container {}: {} cannot be proposed: UpdateRequest {name} asks for {} and has the name; delete it",
            proposal.container, proposal.new_image, standing.spec.new_image
        );
        self.tell.warn_target(target, Reason::NameTaken, &name, &note);
    }
}

/// Writes into each request which others the same event makes.
///
/// The leader waits for them, so that one push to several containers is one rollout on whichever replica
/// it arrives.
fn name_siblings(requests: &mut [UpdateRequest]) {
    if requests.len() < 2 {
        return;
    }
    let names: Vec<String> = requests.iter().map(ResourceExt::name_any).collect();
    for request in requests {
        let own = request.name_any();
        let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != own).collect();
        request.annotations_mut().insert(SIBLINGS.to_owned(), others.join(","));
    }
}

fn gone_meanwhile() -> Failure {
    Failure::conflict("the request was deleted at this moment")
}

/// Whether a refusal is something that a person has to mend or ought to know.
fn calls_for_a_person(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidAnnotation
            | Reason::InvalidImage
            | Reason::CurrentNotAVersion
            | Reason::PatternMissing
            | Reason::DigestOnly
            | Reason::DigestUnknown
            | Reason::NotInRegistry
            | Reason::NotConfirmed
            | Reason::RevertedExternally
    )
}

/// What is on record for a target, as this process knows it.
pub(crate) struct Known<'a> {
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target,
}

impl decide::Record for Known<'_> {
    fn obstacle(&self, container: &str, identity: &Identity) -> Option<Reason> {
        let Target { key, uid, .. } = self.target;
        let name = name::request(&key.name, uid, container, identity);
        let request = self.state.requests.read().get(&key.namespace, &name)?;
        // One that only has the name does not stand for the version; the API server then refuses to create ours.
        request.asks_for(key, uid, identity).then(|| request.read().status.obstacle())?
    }

    fn left(&self, container: &str, identity: &Identity, policy: Policy) -> bool {
        let requests = self.state.requests.read().of(&self.target.key);
        let ours = requests.iter().filter(|request| request.spec.target_ref.uid == self.target.uid);
        ours.into_iter().any(|request| request.read().quarantines(container, identity, policy))
    }

    fn open_for(&self, container: &str) -> Vec<String> {
        let requests = self.state.requests.read().of(&self.target.key);
        requests
            .iter()
            .filter(|request| {
                matches!(request.phase(), Phase::Pending | Phase::Approved | Phase::Applying)
                    && request.container() == Some(container)
                    && request.spec.target_ref.uid == self.target.uid
            })
            .map(|request| request.spec.new_image.clone())
            .collect()
    }
}

/// The object for a proposal.
pub(crate) fn request(target: &Target, proposal: &Proposal, now: Timestamp) -> UpdateRequest {
    let TargetKey { kind: target_kind, namespace, name: target_name } = target.key.clone();
    let name = name::request(&target_name, &target.uid, &proposal.container, &proposal.identity);
    let update_type = UpdateType::of(if target.release.is_some() { VersionKind::Chart } else { VersionKind::Image });
    let mut request = UpdateRequest::new(
        &name,
        UpdateRequestSpec {
            target_ref: TargetRef {
                api_version: target.api_version.to_owned(),
                kind: KindName(target_kind),
                name: target_name.clone(),
                uid: target.uid.clone(),
                namespace: Some(namespace.clone()),
            },
            update_type,
            container_name: (update_type == UpdateType::Image).then(|| proposal.container.clone()),
            current_image: proposal.current_image.clone(),
            new_image: proposal.new_image.clone(),
            current_digest: proposal.current_digest.clone(),
            new_digest: proposal.new_digest.clone(),
            policy: PolicyName(proposal.policy),
            reason: proposal.message.chars().take(1024).collect(),
            require_approval: proposal.require_approval,
            expires_at: Some(Time(now.checked_add(DEFAULT_EXPIRY).unwrap_or(Timestamp::MAX))),
            trigger: TriggerName(proposal.trigger),
        },
    );
    request.metadata.namespace = Some(namespace);
    request.annotations_mut().insert(PROPOSED_AT.to_owned(), format!("{now:.3}"));
    request.metadata.owner_references = Some(vec![OwnerReference {
        api_version: target.api_version.to_owned(),
        kind: target_kind.as_str().to_owned(),
        name: target_name,
        uid: target.uid.clone(),
        controller: None,
        block_owner_deletion: None,
    }]);
    request
}
