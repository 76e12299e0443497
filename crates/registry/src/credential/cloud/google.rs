//! Google: Container Registry and Artifact Registry, by the metadata server of the node or of GKE
//! workload identity ("Authenticate to Google Cloud APIs from GKE workloads"; "Access token" in
//! Artifact Registry's "Set up authentication").
//!
//! Nothing in a GKE pod shows that it runs on GKE, so this is active only if `GCE_METADATA_HOST` is set or
//! `HEADWIND_GOOGLE_WORKLOAD_IDENTITY` is true.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Exchange, ExchangeError, Http, Login, LoginFuture, answer, read};

/// The host of the metadata server, in every node and pod on Google Cloud.
const METADATA: &str = "metadata.google.internal";
/// The token of the workload's own service account.
const PATH: &str = "computeMetadata/v1/instance/service-accounts/default/token";
/// The header of a request and of a genuine response.
const FLAVOR: &str = "Metadata-Flavor";
/// The user name for an access token.
const USER: &str = "oauth2accesstoken";

/// Logins from Google's metadata server.
#[derive(Debug)]
pub struct Google {
    http: Http,
    endpoint: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
    expires_in: u64,
}

impl Google {
    /// Creates an exchange that queries the metadata server at `host`.
    pub fn new(http: Http, host: &str) -> Self {
        Self { http, endpoint: format!("http://{host}/{PATH}") }
    }

    /// Reads the variables; `None` if they do not enable it.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>, http: Http) -> Option<Self> {
        match variable("GCE_METADATA_HOST") {
            Some(host) => Some(Self::new(http, &host)),
            None => variable("HEADWIND_GOOGLE_WORKLOAD_IDENTITY").filter(|on| on == "true").map(|_| Self::new(http, METADATA)),
        }
    }
}

impl Exchange for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn serves(&self, host: &str) -> bool {
        host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with("-docker.pkg.dev")
    }

    fn login<'a>(&'a self, _: &'a str) -> LoginFuture<'a> {
        Box::pin(async move {
            let request = self.http.node.get(&self.endpoint).header(FLAVOR, "Google");
            let read = read(&self.endpoint, request).await?;
            // Only a metadata server sends this header (Google, "Verify the response").
            if read.headers.get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
                return Err(ExchangeError::Broken { endpoint: self.endpoint.clone(), reason: "it is not a metadata server".to_owned() });
            }
            let Token { access_token, expires_in } = answer(&self.endpoint, &read.body)?;
            Ok(Login { username: USER.to_owned(), password: access_token, lasts: Duration::from_secs(expires_in) })
        })
    }
}
