//! Rollbacks by people: an ordinary request, created and approved in one step.
//!
//! The request's name depends on the workload's generation that the person saw. So a repeated rollback is the same
//! request, and a request that was created and not approved is found again. A finished request stays as a record, and
//! the next one gets another name.

use headwind_core::artifact::Artifact;
use headwind_core::decide::{Identity, Proposal};
use headwind_core::reason::Reason;
use headwind_core::request::action::Action;
use headwind_core::request::{Request, history_of, may_return_to};
use headwind_core::settings::Settings;
use headwind_core::trigger::Trigger;
use headwind_core::workload::history::{Entry, History};
use headwind_core::workload::{Container, Workload, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::audit;
use crate::api::caller::Caller;
use crate::api::commands::{ActError, to_the_end};
use crate::api::handle::Handle;
use crate::cluster::Class;
use crate::observe::requests::Held;
use crate::propose;

/// Maximum number of identical rollbacks of a workload between two other changes.
const TIMES: u32 = 20;

/// An image in a workload's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Number of steps back; 0 for the current image.
    pub index: usize,
    /// The entry.
    pub entry: Entry,
}

/// A rollback that failed.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such workload in the served namespaces.
    #[error("{0} not found")]
    NotFound(WorkloadKey),
    /// The container is ambiguous or does not exist.
    #[error("{0}")]
    Unclear(String),
    /// The history does not have that many steps.
    #[error("container {container} of {workload}: the history has nothing older{known}")]
    NothingOlder {
        /// The workload.
        workload: WorkloadKey,
        /// The container.
        container: String,
        /// The number of steps that it has.
        known: String,
    },
    /// The request could not be created or approved.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// Returns the images of a container, newest first.
fn past(history: &History, container: &Container) -> Vec<Past> {
    let now = history.of(&container.name).take_while(|entry| entry.image == container.image).map(|entry| (0, entry));
    let before = history.before(&container.name, &container.image).zip(1..).map(|(entry, index)| (index, entry));
    now.chain(before).map(|(index, entry)| Past { index, entry: entry.clone() }).collect()
}

impl Handle {
    fn history_of(&self, workload: &Workload) -> History {
        let requests: Vec<Request> = self.state.requests.read().of(&workload.key).map(Held::read).collect();
        history_of(workload, &requests.iter().collect::<Vec<_>>())
    }

    /// Returns the images of the workload's containers, each with its number of steps back.
    ///
    /// # Errors
    /// [`RollbackError::NotFound`].
    pub fn history(&self, key: &WorkloadKey) -> Result<Vec<Past>, RollbackError> {
        let workload = self.state.index.read().workload(key).ok_or_else(|| RollbackError::NotFound(key.clone()))?;
        let history = self.history_of(&workload);
        Ok(workload.containers.iter().flat_map(|container| past(&history, container)).collect())
    }

    /// Rolls a container back by that many steps and returns the approved request. Writes the audit line. Runs to its
    /// end even if the caller does not wait for it.
    ///
    /// # Errors
    /// See [`RollbackError`].
    pub async fn roll_back(
        &self,
        caller: Caller,
        key: WorkloadKey,
        container: Option<String>,
        index: usize,
        note: Option<String>,
    ) -> Result<UpdateRequest, RollbackError> {
        let (handle, arrived) = (self.clone(), Timestamp::now());
        to_the_end(async move {
            let done = Box::pin(handle.roll_back_as(&key, container.as_deref(), index, &caller, note.as_deref())).await;
            audit::Action::on_workload("rollback", &key).done(&caller, done.as_ref(), note.as_deref().unwrap_or_default());
            // A failed rollback may have no request.
            if let Ok(request) = &done {
                handle.trace::<RollbackError>("rollback", &key.namespace, &request.name_any(), &caller, arrived, Ok(request));
            }
            done
        })
        .await
        .unwrap_or_else(|failure| Err(ActError::Unavailable(failure).into()))
    }

    async fn roll_back_as(
        &self,
        key: &WorkloadKey,
        container: Option<&str>,
        index: usize,
        caller: &Caller,
        note: Option<&str>,
    ) -> Result<UpdateRequest, RollbackError> {
        let workload = self.state.index.read().workload(key).ok_or_else(|| RollbackError::NotFound(key.clone()))?;
        let history = self.history_of(&workload);
        let container = chosen(&workload, &history, container)?;
        if let Some(refused) = workload.refused_for_owner(&self.resolved_settings(&workload, container)) {
            return Err(RollbackError::Unclear(refused.message));
        }
        let steps = past(&history, container);
        let Some(to) = steps.iter().find(|past| past.index == index && index > 0) else {
            let known = match steps.iter().map(|past| past.index).max() {
                Some(most) if most > 0 => format!(" than {most} steps"),
                _ => format!(" than {}", container.image),
            };
            return Err(RollbackError::NothingOlder { workload: key.clone(), container: container.name.clone(), known });
        };
        let artifact = Artifact::parse(container.kind(), &to.entry.image)
            .map_err(|error| RollbackError::Unclear(format!("the history names {:?}: {error}", to.entry.image)))?;
        if !self.may_return_to(&workload, container, &to.entry.image) {
            let image = &to.entry.image;
            return Err(RollbackError::Unclear(format!(
                "the history names {image:?}, but no stored UpdateRequest applied it to container {}, and {} is in another repository",
                container.name, container.image
            )));
        }
        let mut refused = None;
        for time in 0..TIMES {
            let request = self.asked(&workload, container, &artifact, &caller.name, time);
            let name = request.name_any();
            let finished = self.state.requests.read().get(&key.namespace, &name).is_some_and(|known| !known.phase().is_open());
            if finished && time + 1 < TIMES {
                continue;
            }
            self.make(&workload, request).await?;
            match self.act_as(&key.namespace, &name, Action::Approve, caller, note, false).await {
                Err(ActError::NotNow(ended)) if !ended.phase.is_open() => refused = Some(ended),
                done => return Ok(done?),
            }
        }
        Err(refused.map_or_else(|| ActError::Unavailable("failed to create a request".to_owned()), ActError::NotNow).into())
    }

    /// Returns the settings of the container; the defaults if an annotation has an invalid value.
    fn resolved_settings(&self, workload: &Workload, container: &Container) -> Settings {
        let defaults = self.state.index.read().defaults(&workload.key.namespace);
        Settings::resolve(&defaults, &workload.annotations, &container.name).unwrap_or_default()
    }

    /// Returns true if something other than the annotation confirms an image of the history.
    fn may_return_to(&self, workload: &Workload, container: &Container, image: &str) -> bool {
        let requests: Vec<_> = self.state.requests.read().of(&workload.key).map(Held::read).collect();
        may_return_to(container, &workload.uid, image, &requests)
    }

    /// Returns the request for a rollback that was requested, and finished, that many times before.
    fn asked(&self, workload: &Workload, container: &Container, to: &Artifact, person: &str, times: u32) -> UpdateRequest {
        let policy = self.resolved_settings(workload, container).policy;
        let known = container.artifact().ok().and_then(|artifact| container.known_digest(&artifact));
        let proposal = Proposal {
            container: container.name.clone(),
            current_image: container.image.clone(),
            new_image: to.to_string(),
            current_digest: known.map(|digest| digest.to_string()),
            new_digest: None,
            policy,
            reason: Reason::RollingBack,
            message: format!("{person} requested a rollback to it"),
            require_approval: true,
            approvals: 1,
            trigger: Trigger::Manual,
            identity: Identity::new(&container.name, to, policy, None).asked_for(workload.generation, times),
        };
        propose::request(workload, &proposal, Timestamp::now())
    }

    /// Creates the request. If a request for the same rollback exists, that one is used.
    async fn make(&self, workload: &Workload, request: UpdateRequest) -> Result<(), ActError> {
        match self.cluster.create_request(&request).await {
            Ok(made) => {
                self.state.record(made);
                Ok(())
            }
            Err(failure) if failure.class == Class::Conflict => {
                let name = request.name_any();
                let existing = self.cluster.request(&workload.key.namespace, &name).await?;
                let asks = |existing: &UpdateRequest| {
                    request.read().spec.identity().is_some_and(|identity| existing.asks_for(&workload.key, &workload.uid, &identity))
                };
                if existing.as_ref().is_none_or(asks) { Ok(()) } else { Err(ActError::NameTaken(name)) }
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Returns the named container, or the only one with a history.
fn chosen<'a>(workload: &'a Workload, history: &History, name: Option<&str>) -> Result<&'a Container, RollbackError> {
    if let Some(name) = name {
        return workload.container(name).ok_or_else(|| RollbackError::Unclear(format!("{} has no container {name:?}", workload.key)));
    }
    let with_past: Vec<&Container> = workload.containers.iter().filter(|container| history.of(&container.name).next().is_some()).collect();
    match (with_past.as_slice(), workload.containers.as_slice()) {
        ([one], _) => Ok(one),
        ([], [one]) => Ok(one),
        ([], _) => Err(RollbackError::Unclear(format!("Headwind has not updated {} yet", workload.key))),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|container| container.name.as_str()).collect();
            Err(RollbackError::Unclear(format!("several containers have a history; specify one of {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::request::Phase;
    use headwind_core::settings::key;
    use headwind_core::testing;

    use super::*;
    use crate::testing::Site;

    /// The end of a rollback does not block the next one, even if nothing else changed the workload in between.
    #[tokio::test]
    async fn a_superseded_rollback_can_be_requested_again() {
        let site = Site::internal();
        let mut workload = testing::deployment("r.example/web:1.1.0", &[("policy", "minor")]);
        let mut history = History::default();
        history.record("web", "r.example/web:1.0.0", "r.example/web:1.1.0", Timestamp::UNIX_EPOCH, "r", None);
        workload.annotations.insert(key::UPDATE_HISTORY.to_owned(), history.to_annotation());
        site.workload(workload.clone());
        let caller = Caller { name: "mia".to_owned(), ..Caller::default() };
        let roll_back = || site.handle.roll_back(caller.clone(), workload.key.clone(), None, 1, None);
        let first = roll_back().await.unwrap();
        assert_eq!((first.phase(), first.spec.new_image.as_str()), (Phase::Approved, "r.example/web:1.0.0"));
        let mut ended = first.read().status;
        ended.phase = Phase::Superseded;
        let mut ended = first.with_status(&ended, Timestamp::now());
        ended.metadata.resource_version = Some("9".to_owned());
        site.request(ended);
        let second = roll_back().await.unwrap();
        assert_eq!((second.phase(), second.spec.new_image.as_str()), (Phase::Approved, "r.example/web:1.0.0"));
        assert_ne!(second.name_any(), first.name_any());
    }
}
