//! Queries the API server about callers: the user of a token, and the user's permissions. Also stores the key that
//! seals session cookies, which all replicas share.

use std::collections::BTreeMap;

use headwind_k8s::access::SESSION;
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::caller::{BearerToken, Caller};
use super::handle::Handle;
use super::permission::Permission;
use crate::cluster::{Class, Failure};

/// The entry of the secret with the key.
const KEY: &str = "key";

/// A user according to the API server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user name.
    pub name: String,
    /// The UID.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Further attributes for authorizers.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The API server did not answer a query about a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        if failure.class == Class::Forbidden {
            tracing::warn!(error = %failure, "Headwind's account lacks a permission that authentication needs; apply the output of `headwind rbac`");
        }
        Self(failure.to_string())
    }
}

impl Handle {
    /// Returns the user of a token, or why the API server rejects it. Without audiences, the token must be for the API
    /// server itself.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn review_token(&self, token: &BearerToken, audiences: &[String]) -> Result<Result<Identity, String>, Unanswered> {
        let status = self.cluster.review_token(token.expose(), audiences).await?;
        if !status.authenticated.unwrap_or_default() {
            return Ok(Err(status.error.filter(|error| !error.is_empty()).unwrap_or_else(|| "the token is not valid".to_owned())));
        }
        // An authenticator that does not know audiences returns none.
        let meant = status.audiences.unwrap_or_default();
        if !audiences.is_empty() && !meant.iter().any(|audience| audiences.contains(audience)) {
            return Ok(Err(format!("the token is not for the audience {}", audiences.join(" or "))));
        }
        let user = status.user.unwrap_or_default();
        let Some(name) = user.username.filter(|name| !name.is_empty()) else { return Ok(Err("the token has no user name".to_owned())) };
        Ok(Ok(Identity { name, uid: user.uid, groups: user.groups.unwrap_or_default(), extra: user.extra.unwrap_or_default() }))
    }

    /// Returns true if the caller has the permission.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn review_access(&self, caller: &Caller, permission: &Permission) -> Result<bool, Unanswered> {
        Ok(self.cluster.review_access(question(caller, permission)).await?)
    }

    /// Returns the key that seals session cookies: 32 bytes, in the Secret `headwind-session`. The first replica that
    /// needs it creates it from `candidate`.
    ///
    /// # Errors
    /// If the Secret can neither be read nor created, or holds something else.
    pub async fn session_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], Unanswered> {
        let secret = match self.cluster.secret(&self.own_namespace, SESSION).await? {
            Some(secret) => secret,
            None => match self.create_session(&candidate).await {
                Ok(created) => created,
                // Another replica was faster.
                Err(failure) if failure.class == Class::Conflict => self
                    .cluster
                    .secret(&self.own_namespace, SESSION)
                    .await?
                    .ok_or_else(|| Unanswered(format!("Secret {SESSION} was deleted")))?,
                Err(failure) => return Err(failure.into()),
            },
        };
        let key = secret.data.and_then(|mut data| data.remove(KEY)).map(|key| key.0);
        key.and_then(|key| key.try_into().ok()).ok_or_else(|| {
            Unanswered(format!("Secret {SESSION} has no entry `{KEY}` of 32 bytes; delete the Secret, and Headwind creates it again"))
        })
    }

    async fn create_session(&self, key: &[u8; 32]) -> Result<Secret, Failure> {
        let owner = self.cluster.own_account(&self.own_namespace).await;
        self.cluster.create_secret(&self.own_namespace, &sealed(key, owner)).await
    }
}

fn sealed(key: &[u8; 32], owner: Option<OwnerReference>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(SESSION.to_owned()),
            labels: Some([("app.kubernetes.io/name".to_owned(), "headwind".to_owned())].into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some([(KEY.to_owned(), ByteString(key.to_vec()))].into()),
        ..Secret::default()
    }
}

fn question(caller: &Caller, permission: &Permission) -> SubjectAccessReviewSpec {
    let Permission { verb, group, resource, subresource, namespace, name } = permission;
    SubjectAccessReviewSpec {
        user: Some(caller.name.clone()),
        uid: caller.uid.clone(),
        groups: Some(caller.groups.clone()),
        extra: Some(caller.extra.clone()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some((*verb).to_owned()),
            group: Some(group.clone()),
            resource: Some(resource.clone()),
            subresource: subresource.map(str::to_owned),
            namespace: namespace.clone(),
            name: name.clone(),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}
