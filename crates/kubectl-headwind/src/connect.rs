//! The connection to the API server, as the user of the kubeconfig.

use http::HeaderValue;
use http::header::{AUTHORIZATION, DATE};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tower::{BoxError, Layer as _, ServiceExt as _};

use crate::cli::Global;
use crate::failure::Failure;

/// A connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    config: Config,
    global: Global,
}

impl Connection {
    /// Reads the kubeconfig. Connects with the first call.
    pub(crate) async fn new(global: &Global) -> Result<Self, Failure> {
        let options = KubeConfigOptions { context: global.context.clone(), cluster: global.cluster.clone(), user: global.user.clone() };
        let unusable = |error: &dyn std::fmt::Display| Failure::Usage(format!("the kubeconfig cannot be used: {error}"));
        let read = match &global.kubeconfig {
            Some(path) => Kubeconfig::read_from(path).map_err(|error| unusable(&error))?,
            None => Kubeconfig::read().map_err(|error| unusable(&error))?,
        };
        let mut config = Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unusable(&error))?;
        if let Some(token) = &global.token {
            config.auth_info = kube::config::AuthInfo { token: Some(token.clone().into()), ..kube::config::AuthInfo::default() };
        }
        if let Some(user) = &global.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !global.impersonate_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(global.impersonate_groups.clone());
        }
        // A person waits for the answer.
        config.default_retry = false;
        let client = Client::try_from(config.clone()).map_err(|error| unusable(&error))?;
        Ok(Self { client, config, global: global.clone() })
    }

    /// Returns the namespace for one object.
    pub(crate) fn namespace(&self) -> Result<&str, Failure> {
        if self.global.all_namespaces {
            return Err(Failure::Usage("the command works on one object; set its namespace with -n instead of -A".to_owned()));
        }
        Ok(self.global.namespace.as_deref().unwrap_or(&self.config.default_namespace))
    }

    /// Returns the namespace for lists; `None` for all.
    pub(crate) fn listed(&self) -> Option<&str> {
        if self.global.all_namespaces { None } else { Some(self.global.namespace.as_deref().unwrap_or(&self.config.default_namespace)) }
    }

    /// Returns the options of every command.
    pub(crate) fn global(&self) -> &Global {
        &self.global
    }

    /// Returns the name of the user, as the API server knows it.
    pub(crate) async fn user(&self) -> Result<String, Failure> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
        name.ok_or_else(|| Failure::Other("the API server did not return your user name".to_owned()))
    }

    /// Returns the time by the clock of the API server; by this computer's if the API server does not say it.
    pub(crate) async fn time(&self) -> Result<Timestamp, Failure> {
        let request = http::Request::get("/version").body(Body::empty()).map_err(|error| Failure::Other(error.to_string()))?;
        let response = self.client.send(request).await?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let parsed = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(parsed.map_or_else(Timestamp::now, |zoned| zoned.timestamp()))
    }

    /// Returns the bearer token of the user, whether it is in the kubeconfig, in a file or from a credential plugin.
    /// `None` if the user has a client certificate or a password.
    pub(crate) async fn token(&self) -> Result<Option<HeaderValue>, Failure> {
        let Some(layer) = self.config.auth_layer()? else { return Ok(None) };
        // The layer adds the header to a request that is never sent.
        let capture = tower::service_fn(|request: http::Request<Body>| {
            let header = request.headers().get(AUTHORIZATION).cloned();
            std::future::ready(Ok::<_, BoxError>(http::Response::new(header)))
        });
        let header = layer.layer(capture).oneshot(http::Request::new(Body::empty())).await;
        let header = header.map_err(|error| Failure::Forbidden(format!("the credentials of the kubeconfig cannot be used: {error}")))?;
        Ok(header.into_body().filter(|value| value.as_bytes().starts_with(b"Bearer ")))
    }
}
