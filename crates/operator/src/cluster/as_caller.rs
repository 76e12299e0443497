//! The calls that Headwind makes with the token of a caller, so that the admission policy and the cluster's audit log
//! see the person.

use headwind_k8s::decision;
use headwind_k8s::update_request::UpdateRequest;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use kube::api::{Patch, PatchParams, Request};
use kube::config::AuthInfo;
use kube::{Client, Resource as _, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::own_objects::params;
use super::{Failure, MANAGER};

/// A client without credentials of its own.
#[derive(Clone)]
pub(crate) struct CallerClient(Client);

/// The reasons why a decision was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// The API server does not accept the token.
    Unauthenticated(String),
    /// Any other failure.
    Failed(Failure),
}

impl CallerClient {
    /// Creates the client for the server of that configuration. `make` builds a client from a configuration.
    pub(crate) fn new(kube: &kube::Config, make: impl FnOnce(&kube::Config) -> Result<Client, kube::Error>) -> Result<Self, kube::Error> {
        let mut kube = kube.clone();
        kube.auth_info = AuthInfo::default();
        Ok(Self(make(&kube)?))
    }

    /// Writes a decision about a request with the token, if the request is unchanged since it was read. `decided` is
    /// the request as Headwind itself would write it.
    pub(crate) async fn decide(&self, token: &str, decided: &UpdateRequest) -> Result<UpdateRequest, NotWritten> {
        let namespace = decided.namespace().unwrap_or_default();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let build = Request::new(UpdateRequest::url_path(&(), Some(&namespace)));
        let patch = Patch::Merge(decision::patch(decided));
        let failed = |message: String| NotWritten::Failed(Failure::invalid(&message));
        let request = build.patch_subresource("status", &decided.name_any(), &params, &patch).map_err(|error| failed(error.to_string()))?;
        self.send(token, request).await
    }

    /// Creates an object with the token, or writes it if it is unchanged since it was read.
    pub(crate) async fn write<K>(&self, token: &str, object: &K, exists: bool) -> Result<K, NotWritten>
    where
        K: kube::Resource<DynamicType = ()> + Serialize + Clone + DeserializeOwned,
    {
        let build = Request::new(K::url_path(&(), object.namespace().as_deref()));
        let failed = |message: String| NotWritten::Failed(Failure::invalid(&message));
        let body = serde_json::to_vec(object).map_err(|error| failed(error.to_string()))?;
        let request = if exists { build.replace(&object.name_any(), &params(), body) } else { build.create(&params(), body) };
        self.send(token, request.map_err(|error| failed(error.to_string()))?).await
    }

    async fn send<T: DeserializeOwned>(&self, token: &str, mut request: http::Request<Vec<u8>>) -> Result<T, NotWritten> {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|error| NotWritten::Failed(Failure::invalid(&error.to_string())))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        self.0.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 401 => NotWritten::Unauthenticated(status.message),
            error => NotWritten::Failed(error.into()),
        })
    }
}
