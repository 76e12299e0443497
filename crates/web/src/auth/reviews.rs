//! Authentication's queries to the API server. A trait, so that tests can replace it.

use std::collections::BTreeSet;
use std::pin::Pin;

use headwind_operator::{BearerToken, Caller, Handle, Identity, Permission, Unanswered};

/// A future answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unanswered>> + Send + 'a>>;

/// Queries about callers.
pub trait Reviews: Send + Sync {
    /// Returns the user of a token, or why it is rejected.
    fn token<'a>(&'a self, token: &'a BearerToken, audiences: &'a [String]) -> Answer<'a, Result<Identity, String>>;
    /// Returns true if the caller has the permission.
    fn access<'a>(&'a self, caller: &'a Caller, permission: &'a Permission) -> Answer<'a, bool>;
    /// Returns the key that seals session cookies; `candidate` becomes the key if there is none yet.
    fn session_key(&self, candidate: [u8; 32]) -> Answer<'_, [u8; 32]>;
    /// Returns the namespaces that Headwind knows.
    fn namespaces(&self) -> BTreeSet<String>;
}

impl Reviews for Handle {
    fn token<'a>(&'a self, token: &'a BearerToken, audiences: &'a [String]) -> Answer<'a, Result<Identity, String>> {
        Box::pin(self.review_token(token, audiences))
    }

    fn access<'a>(&'a self, caller: &'a Caller, permission: &'a Permission) -> Answer<'a, bool> {
        Box::pin(self.review_access(caller, permission))
    }

    fn session_key(&self, candidate: [u8; 32]) -> Answer<'_, [u8; 32]> {
        Box::pin(Handle::session_key(self, candidate))
    }

    fn namespaces(&self) -> BTreeSet<String> {
        Handle::namespaces(self)
    }
}
