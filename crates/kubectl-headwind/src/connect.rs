//! The connection to the API server, as the user of the kubeconfig.

use std::io::ErrorKind;
use std::path::PathBuf;

use http::HeaderValue;
use http::header::{AUTHORIZATION, DATE};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use tower::{BoxError, Layer as _, ServiceExt as _};

use crate::cli::{Global, HEADWIND_NAMESPACE};
use crate::failure::Failure;

/// A connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    config: Config,
    global: Global,
}

impl Connection {
    /// Reads the kubeconfig, or the service account of the pod. Connects with the first call.
    pub(crate) async fn new(global: &Global) -> Result<Self, Failure> {
        let options = KubeConfigOptions { context: global.context.clone(), cluster: global.cluster.clone(), user: global.user.clone() };
        let unusable = |error: &dyn std::fmt::Display| Failure::Usage(format!("the kubeconfig cannot be used: {error}"));
        let mut config = match kubeconfig(global).map_err(|error| unusable(&error))? {
            Some(read) => Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unusable(&error))?,
            None if [&global.context, &global.cluster, &global.user].into_iter().any(Option::is_some) => {
                return Err(unusable(&"no such file exists"));
            }
            None => Config::incluster()
                .map_err(|error| unusable(&format!("no such file exists, and there is no service account of a pod: {error}")))?,
        };
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
        Ok(self.chosen())
    }

    /// Returns the namespace for lists; `None` for all.
    pub(crate) fn listed(&self) -> Option<&str> {
        if self.global.all_namespaces { None } else { Some(self.chosen()) }
    }

    /// Returns the namespace of the option, else that of the context.
    fn chosen(&self) -> &str {
        first_set(&[self.global.namespace.as_deref().unwrap_or_default(), self.config.default_namespace.as_str()]).unwrap_or("default")
    }

    /// Returns the namespace of Headwind.
    pub(crate) fn headwind_namespace(&self) -> &str {
        first_set(&[self.global.headwind_namespace.as_str()]).unwrap_or(HEADWIND_NAMESPACE)
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

/// Returns the first value that is not empty. An empty namespace in a path of the API means all namespaces, but a user who
/// writes `-n "$NS"` does not mean that.
fn first_set<'a>(values: &[&'a str]) -> Option<&'a str> {
    values.iter().copied().find(|value| !value.is_empty())
}

/// Returns the kubeconfig of the option, of `$KUBECONFIG`, or else of the home directory; `None` if no such file exists. A
/// file of the option must exist.
fn kubeconfig(global: &Global) -> Result<Option<Kubeconfig>, KubeconfigError> {
    if let Some(path) = &global.kubeconfig {
        return Kubeconfig::read_from(path).map(Some);
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        paths.extend(std::env::home_dir().map(|home| home.join(".kube").join("config")));
    }
    merged(&paths)
}

/// Returns the merged content of the files that exist; `None` if none exists.
fn merged(paths: &[PathBuf]) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        match Kubeconfig::read_from(path) {
            Ok(read) => merged = Some(merged.unwrap_or_default().merge(read)?),
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_namespace_is_not_set() {
        assert_eq!(first_set(&["shop", "other"]), Some("shop"));
        assert_eq!(first_set(&["", "other"]), Some("other"));
        assert_eq!(first_set(&["", ""]), None);
    }

    #[test]
    fn missing_files_of_the_list_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, real] = ["missing", "real"].map(|name| folder.path().join(name));
        std::fs::write(&real, "current-context: c").unwrap();
        let context = |paths: &[PathBuf]| merged(paths).unwrap().map(|config| config.current_context);
        assert_eq!(context(&[missing.clone(), real]), Some(Some("c".to_owned())));
        assert_eq!(context(&[missing]), None);
        assert!(merged(&[folder.path().to_owned()]).is_err(), "a folder is no file");
    }
}
