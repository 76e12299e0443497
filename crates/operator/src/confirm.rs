//! Asking the registry about what a webhook claims, before anything follows from it.
//!
//! Where confirmation is on (`HEADWIND_WEBHOOK_CONFIRM`), the tag of every webhook is asked for by
//! HEAD with the credentials of the workloads that use it: what the registry says counts, not what
//! the call said. Where it is off, the digest is asked only when the sender told none and
//! somebody needs it: a pinned reference, or policy force for the tag that already stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwind_core::artifact::Artifact;
use headwind_core::decide::Refusal;
use headwind_core::event::{Event, Trigger};
use headwind_core::policy::{Occasion, Policy};
use headwind_core::reason::Reason;
use headwind_core::reference::Digest;
use headwind_core::settings::{Annotations, Settings};
use headwind_core::target::Target;

use crate::asking::{AskError, Asking, Claim};
use crate::record::{Look, Recording};
use crate::secrets::Place;
use crate::verbs::Failure;

/// Whether and whom to ask.
#[derive(Clone)]
pub(crate) enum Confirm {
    /// Nobody: Headwind was not told to talk to registries.
    Never,
    /// For digests that somebody needs and the sender does not tell.
    Digests(Arc<Asking>),
    /// For everything.
    Always(Arc<Asking>),
}

/// A workload with the defaults of its namespace.
type User = (Arc<Target>, Arc<Annotations>);
/// The same with the digest that counts for it.
type Confirmed = (Arc<Target>, Arc<Annotations>, Option<Digest>);

impl Confirm {
    /// The workloads that the event may lead to something for, each with the digest that counts.
    /// An error means that it is to be asked again.
    pub(crate) async fn confirmed(&self, recording: &Recording, event: &Event, users: Vec<User>) -> Result<Vec<Confirmed>, Failure> {
        let told = |users: Vec<User>| users.into_iter().map(|(target, defaults)| (target, defaults, event.digest.clone())).collect();
        let (asking, all) = match self {
            Confirm::Always(asking) if event.trigger == Trigger::Webhook => (asking, true),
            Confirm::Digests(asking) if event.trigger == Trigger::Webhook && event.digest.is_none() => (asking, false),
            Confirm::Never | Confirm::Always(_) | Confirm::Digests(_) => return Ok(told(users)),
        };
        let Some(tag) = event.tag.as_deref() else { return Ok(told(users)) };
        let (asked, mut confirmed): (Vec<User>, Vec<Confirmed>) = {
            let (asked, rest): (Vec<User>, Vec<User>) =
                users.into_iter().partition(|(target, defaults)| concerns(event, tag, target, defaults, all));
            (asked, told(rest))
        };
        // Those who pull with the same credentials get the same answer.
        let mut groups: BTreeMap<[u8; 32], (BTreeSet<Place>, Vec<User>)> = BTreeMap::new();
        for (target, defaults) in asked {
            let place = Place::of(&target);
            let access = asking.access(&event.origin, &asking.secrets.keyring(&place).await?);
            let (places, users) = groups.entry(access).or_default();
            places.insert(place);
            users.push((target, defaults));
        }
        for (places, users) in groups.into_values() {
            match asking.confirm(&event.origin, event.chart.as_deref(), tag, &places).await {
                Ok(Claim::There(digest)) => {
                    confirmed.extend(users.into_iter().map(|(target, defaults)| (target, defaults, digest.clone())));
                }
                // Without confirmation the claim stands as it was made.
                Ok(Claim::NotThere) | Err(AskError::Registry(_)) if !all => confirmed.extend(told(users)),
                Ok(Claim::NotThere) => refuse(recording, event, tag, &users, Reason::NotInRegistry, None),
                Err(AskError::Secrets(failure)) => return Err(failure),
                Err(AskError::Registry(error)) if error.class.is_of_the_host() => {
                    return Err(Failure::busy(&error.to_string(), error.wait));
                }
                Err(AskError::Registry(error)) => refuse(recording, event, tag, &users, Reason::NotConfirmed, Some(error.to_string())),
            }
        }
        Ok(confirmed)
    }
}

/// Whether the registry is to be asked for this workload.
fn concerns(event: &Event, tag: &str, target: &Target, defaults: &Annotations, all: bool) -> bool {
    target.containers.iter().any(|container| {
        let Ok(artifact) = container.artifact() else { return false };
        let Ok(settings) = Settings::resolve(defaults, &target.annotations, &container.name) else { return false };
        let digest = match &artifact {
            Artifact::Image(image) => image.digest().is_some() || settings.policy == Policy::Force && image.effective_tag() == Some(tag),
            Artifact::Chart(_) => false,
        };
        event.is_about(container)
            && headwind_core::decide::admits(&settings, container, &artifact, event.trigger).is_ok()
            && (all || digest)
    })
}

fn refuse(recording: &Recording, event: &Event, tag: &str, users: &[User], reason: Reason, told: Option<String>) {
    let message = told.map_or_else(|| reason.sentence().to_owned(), |told| format!("{}: {told}", reason.sentence()));
    let refusal = Refusal { reason, message };
    let candidates = [headwind_core::policy::Candidate::new(tag.to_owned(), None)];
    let look = Look { origin: &event.origin, candidates: &candidates, occasion: Occasion::Event, trigger: event.trigger };
    for (target, _) in users {
        for container in target.containers.iter().filter(|container| event.is_about(container)) {
            recording.refused(&look, target, container, &refusal);
        }
    }
}
