//! Calls for authentication and authorization of callers, and the Secret that seals session cookies.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};

use super::{ClusterClient, Failure, MANAGER};

/// Timeout of these calls: a person waits for the response.
const PATIENCE: Duration = Duration::from_secs(10);

async fn in_time<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::busy(&format!("no response within {} s", PATIENCE.as_secs()), None)),
    }
}

impl ClusterClient {
    /// Reviews a token for these audiences; for the API server's own audience if there are none.
    pub(crate) async fn review_token(&self, token: &str, audiences: &[String]) -> Result<TokenReviewStatus, Failure> {
        let spec =
            TokenReviewSpec { token: token.to_owned(), audiences: Some(audiences.to_vec()).filter(|audiences| !audiences.is_empty()) };
        let review = TokenReview { metadata: ObjectMeta::default(), spec, status: None };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        Ok(in_time(api.create(&PostParams::default(), &review)).await?.status.unwrap_or_default())
    }

    /// Reviews whether a user may do something.
    pub(crate) async fn review_access(&self, spec: SubjectAccessReviewSpec) -> Result<bool, Failure> {
        let review = SubjectAccessReview { metadata: ObjectMeta::default(), spec, status: None };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = in_time(api.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
        Ok(status.allowed && !status.denied.unwrap_or_default())
    }

    /// Creates the secret.
    pub(crate) async fn create_secret(&self, namespace: &str, secret: &Secret) -> Result<Secret, Failure> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        in_time(api.create(&params, secret)).await
    }
}
