//! Authorization of callers that are authenticated by something other than a mode of the ports, such as a signature.

use std::sync::Arc;

use headwind_operator::Caller;

use super::access::AccessReviews;
use super::action::Action;
use super::refused::Refused;
use super::reviews::Reviews;
use super::{audit_denied, needed};

/// Asks the API server about each action, in every mode of authentication.
#[derive(Clone)]
pub(crate) struct Reviewed(Arc<AccessReviews>);

impl Reviewed {
    pub(crate) fn new(reviews: Arc<dyn Reviews>) -> Self {
        Self(Arc::new(AccessReviews::new(reviews)))
    }

    /// Checks that the caller may perform the action. Writes a line to the audit log if it is denied.
    pub(crate) async fn authorize(&self, caller: &Caller, action: &Action) -> Result<(), Refused> {
        let allowed = self.decide(caller, action).await;
        audit_denied(caller, action, &allowed);
        allowed
    }

    async fn decide(&self, caller: &Caller, action: &Action) -> Result<(), Refused> {
        for permission in needed(caller, action) {
            if !self.0.ask(caller, &permission).await? {
                return Err(Refused::Missing { user: caller.name.clone(), permission: Box::new(permission) });
            }
        }
        Ok(())
    }
}
