//! Commands about requests: approve, reject and reopen.
//!
//! An action updates the request's status with optimistic locking. The leader sees the change by its watch. Each action
//! writes a line with its result to the audit log.

use std::fmt::Display;

use headwind_core::request::Request;
use headwind_core::request::action::{Action, NotNow, act};
use headwind_core::request::quorum::{self, approvals_needed};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;

use super::audit;
use super::caller::Caller;
use super::handle::Handle;
use crate::clock::now;
use crate::cluster::as_caller::NotWritten;
use crate::cluster::object::is_object_name;
use crate::cluster::{Class, Failure};
use crate::report::trace::Acted;

/// Maximum number of times that an action is decided again because another writer was faster.
const TRIES: usize = 8;

/// The name of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An action that failed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such request in the served namespaces.
    #[error("there is no UpdateRequest {namespace}/{name}")]
    NotFound {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// The action is not possible in the request's phase.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// Another request has the name.
    #[error("UpdateRequest {0} has the name of the new request and is for another change; delete it")]
    NameTaken(String),
    /// The API server rejects the caller's token.
    #[error("the API server rejected the token: {0}")]
    Unauthenticated(String),
    /// The caller, or Headwind's account, has no permission.
    #[error("the API server denied permission: {0}")]
    Forbidden(String),
    /// The API server is unavailable.
    #[error("the API server is unavailable: {0}")]
    Unavailable(String),
}

impl From<Failure> for ActError {
    fn from(failure: Failure) -> Self {
        match failure.class {
            Class::Forbidden | Class::Invalid => ActError::Forbidden(failure.to_string()),
            Class::NotFound | Class::Conflict | Class::Busy | Class::NoAnswer => ActError::Unavailable(failure.to_string()),
        }
    }
}

impl Handle {
    /// Approves, rejects or reopens a request and returns the updated request. Writes the audit line. Runs to its end
    /// even if the caller does not wait for it. `skip_cool_down` has an effect only for an approval.
    ///
    /// # Errors
    /// See [`ActError`]. If several people act at the same time, exactly one succeeds.
    pub async fn act(
        &self,
        caller: Caller,
        name: RequestName,
        action: Action,
        note: Option<String>,
        skip_cool_down: bool,
    ) -> Result<UpdateRequest, ActError> {
        let (handle, arrived) = (self.clone(), Timestamp::now());
        to_the_end(async move {
            let RequestName { namespace, name } = &name;
            let done = Box::pin(handle.act_as(namespace, name, action, &caller, note.as_deref(), skip_cool_down)).await;
            audit::Action::on_request(action.as_str(), namespace, name).done(&caller, done.as_ref(), note.as_deref().unwrap_or_default());
            handle.trace(action.as_str(), namespace, name, &caller, arrived, done.as_ref());
            done
        })
        .await
        .unwrap_or_else(|failure| Err(ActError::Unavailable(failure)))
    }

    /// Adds the span of an action to the trace of its request. An action on an unknown request has no trace.
    pub(super) fn trace<E: Display>(
        &self,
        action: &str,
        namespace: &str,
        name: &str,
        caller: &Caller,
        arrived: Timestamp,
        done: Result<&UpdateRequest, &E>,
    ) {
        if !self.traces.is_on() {
            return;
        }
        let error = done.err().map(ToString::to_string);
        let acted = Acted { action, user: &caller.name, method: caller.method.as_str(), arrived, error: error.as_deref() };
        if let Ok(request) = done {
            let uid = request.metadata.uid.as_deref().unwrap_or_default();
            self.traces.acted(uid, &request.workload_key(), &request.read(), &acted);
        } else if let Some((workload, held)) = self.state.requests.read().find(namespace, name) {
            self.traces.acted(&held.version().uid, workload, &held.read(), &acted);
        }
    }

    /// Performs the action for the caller without writing an audit line.
    pub(super) async fn act_as(
        &self,
        namespace: &str,
        name: &str,
        action: Action,
        caller: &Caller,
        note: Option<&str>,
        skip_cool_down: bool,
    ) -> Result<UpdateRequest, ActError> {
        let not_found = || ActError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
        if !self.serves(namespace) || !is_object_name(namespace) || !is_object_name(name) {
            return Err(not_found());
        }
        let mut known = self.state.requests.read().open(namespace, name);
        for _ in 0..TRIES {
            let copy = known.take();
            let is_copy = copy.is_some();
            let request = match copy {
                Some(request) => (*request).clone(),
                None => self.cluster.request(namespace, name).await?.ok_or_else(not_found)?,
            };
            let at = now();
            let read = request.read();
            let needed = self.approvals_needed(&request, &read);
            let decided = match quorum::objection(&read, &caller.name, needed).filter(|_| action == Action::Approve) {
                Some(why) => Err(NotNow { action, phase: read.status.phase, why: Some(why) }),
                None => act(&read, action, &caller.name, note, at),
            };
            let status = match decided {
                Ok(status) if skip_cool_down && action == Action::Approve => status.skipping_cool_down(),
                Ok(status) => status,
                // A cached copy may be stale: only the API server's copy is a reason to refuse.
                Err(_) if is_copy => continue,
                Err(refused) => {
                    self.state.record(request);
                    return Err(refused.into());
                }
            };
            // The caller's own token approves like kubectl. Headwind counts the approval afterwards.
            let counted = quorum::count(&Request { status: status.clone(), ..read }, needed, at).filter(|_| caller.token.is_none());
            match self.write(caller, action, &request, &request.with_status(&counted.unwrap_or(status), at)).await {
                Ok(written) => {
                    let mut written = Box::pin(self.count(written, needed)).await;
                    // Every command returns this object, a rollback and a click in Slack as well.
                    written.metadata.managed_fields = None;
                    self.state.record(written.clone());
                    self.queue.now(written.workload_key());
                    return Ok(written);
                }
                Err(NotDone::Failed(failure)) if failure.class == Class::Conflict => {}
                Err(NotDone::Failed(failure)) if failure.class == Class::NotFound => return Err(not_found()),
                Err(NotDone::Failed(failure)) => return Err(failure.into()),
                Err(NotDone::Refused(error)) => return Err(error),
            }
        }
        Err(ActError::Unavailable("the request keeps changing; try again".to_owned()))
    }

    /// Returns the number of people who must approve the request. The reconciler decides; this number is only for the
    /// response.
    fn approvals_needed(&self, object: &UpdateRequest, request: &Request) -> u32 {
        let key = object.workload_key();
        let (workload, defaults) = {
            let index = self.state.index.read();
            (index.workload(&key), index.defaults(&key.namespace))
        };
        workload.map_or(request.spec.approvals, |workload| approvals_needed(&workload, &defaults, &[], request))
    }

    /// Counts the approvals of a request that was just written. If this fails, the reconciler does it.
    async fn count(&self, written: UpdateRequest, needed: u32) -> UpdateRequest {
        let at = now();
        match quorum::count(&written.read(), needed, at) {
            Some(status) => match self.cluster.replace_status(&written.with_status(&status, at)).await {
                Ok(counted) => counted,
                // The reconciler was faster.
                Err(_) => self.counted_by_reconciler(written).await,
            },
            None => written,
        }
    }

    /// Returns the request as the API server has it now, or the given one if it cannot be read.
    async fn counted_by_reconciler(&self, written: UpdateRequest) -> UpdateRequest {
        let Some((namespace, name)) = written.metadata.namespace.as_deref().zip(written.metadata.name.as_deref()) else { return written };
        match self.cluster.request(namespace, name).await {
            Ok(Some(now)) => now,
            Ok(None) | Err(_) => written,
        }
    }

    /// Writes a decision: with the caller's own token if the API server accepts it, else as Headwind.
    async fn write(
        &self,
        caller: &Caller,
        action: Action,
        read: &UpdateRequest,
        decided: &UpdateRequest,
    ) -> Result<UpdateRequest, NotDone> {
        let Some(token) = &caller.token else {
            return self.cluster.replace_status(decided).await.map_err(NotDone::Failed);
        };
        if read.phase() == decided.phase() {
            // The request is past its expiry, and `Expired` is not written yet: Headwind must write that first.
            return Err(NotDone::Refused(NotNow { action, phase: read.phase(), why: None }.into()));
        }
        self.as_caller.decide(token.expose(), decided).await.map_err(|error| match error {
            NotWritten::Unauthenticated(message) => NotDone::Refused(ActError::Unauthenticated(message)),
            NotWritten::Failed(failure) => NotDone::Failed(failure),
        })
    }
}

/// The reason why a decision was not written.
enum NotDone {
    Failed(Failure),
    Refused(ActError),
}

/// Runs the work to its end, even if the caller disconnects.
pub(super) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
    tokio::spawn(work).await.map_err(|error| format!("the action did not finish: {error}"))
}

#[cfg(test)]
mod tests {
    use headwind_core::request::Phase;

    use super::*;
    use crate::observe::requests::tests::request;
    use crate::testing::Site;

    /// Somebody rejected the request, and the watch has not delivered it yet.
    #[tokio::test]
    async fn a_stale_copy_is_no_reason_to_refuse() {
        let site = Site::internal();
        site.request(request("r", "5", "Pending"));
        site.unseen(&request("r", "6", "Rejected"));
        let caller = Caller { name: "mia".to_owned(), ..Caller::default() };
        let reopened = site.handle.act_as("n", "r", Action::Reopen, &caller, None, false).await.unwrap();
        assert_eq!(reopened.phase(), Phase::Pending);
        assert!(reopened.metadata.managed_fields.is_none(), "the API server's copy has them, the answer does not");
        // The API server's own copy is a reason.
        let again = site.handle.act_as("n", "r", Action::Reopen, &caller, None, false).await;
        assert!(again.is_err(), "{again:?}");
    }
}
