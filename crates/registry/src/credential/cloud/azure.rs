//! Azure Container Registry, by workload identity federation (Microsoft identity platform, "OAuth
//! 2.0 client credentials flow: federated credential"; Azure Container Registry, "AAD OAuth").
//!
//! Headwind exchanges the pod's projected token for an access token of the directory, and that one at the registry for
//! a refresh token. The refresh token is the password of a nil user.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Exchange, ExchangeError, Http, Login, LoginFuture, answer, read, token_file};

/// The public cloud's directory.
const AUTHORITY: &str = "https://login.microsoftonline.com/";
/// The scope of the access token.
const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// The type of assertion of a projected token (RFC 7523).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The user name for a refresh token.
const USER: &str = "00000000-0000-0000-0000-000000000000";
/// Lifetime of a refresh token that states none (documented: three hours).
const LASTS: Duration = Duration::from_hours(2);
/// The hosts of the public cloud and the national clouds.
const SUFFIXES: [&str; 3] = [".azurecr.io", ".azurecr.cn", ".azurecr.us"];

/// Logins by workload identity.
#[derive(Debug)]
pub struct Azure {
    http: Http,
    client: String,
    tenant: String,
    authority: String,
    token_file: PathBuf,
    /// The address of the registry in tests; otherwise its own name over HTTPS.
    registry: Option<String>,
}

#[derive(Deserialize)]
struct Access {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: SecretString,
}

#[derive(Deserialize)]
struct Expiry {
    exp: i64,
}

impl Azure {
    /// Reads the variables that the workload identity webhook injects; `None` if any of them is missing.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>, http: Http) -> Option<Self> {
        Some(Self {
            http,
            client: variable("AZURE_CLIENT_ID")?,
            tenant: variable("AZURE_TENANT_ID")?,
            authority: variable("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned()),
            token_file: variable("AZURE_FEDERATED_TOKEN_FILE")?.into(),
            registry: None,
        })
    }

    /// Sends the queries for every registry to this address, for tests.
    #[must_use]
    pub fn with_registry_at(mut self, url: &str) -> Self {
        self.registry = Some(url.to_owned());
        self
    }
}

impl Exchange for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn serves(&self, host: &str) -> bool {
        SUFFIXES.iter().any(|suffix| host.strip_suffix(suffix).is_some_and(|name| !name.is_empty() && !name.contains(['.', ':', '/'])))
    }

    fn login<'a>(&'a self, host: &'a str) -> LoginFuture<'a> {
        Box::pin(async move {
            let endpoint = format!("{}/{}/oauth2/v2.0/token", self.authority.trim_end_matches('/'), self.tenant);
            let assertion = token_file(&self.token_file).await?;
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", &self.client),
                ("client_assertion_type", ASSERTION),
                ("client_assertion", assertion.expose_secret()),
                ("scope", SCOPE),
            ];
            let read_access = read(&endpoint, self.http.public.post(&endpoint).form(&form)).await?;
            let Access { access_token } = answer(&endpoint, &read_access.body)?;

            let base = self.registry.clone().unwrap_or_else(|| format!("https://{host}"));
            let endpoint = format!("{base}/oauth2/exchange");
            let form = [
                ("grant_type", "access_token"),
                ("service", host),
                ("tenant", &self.tenant),
                ("access_token", access_token.expose_secret()),
            ];
            let read_refresh = read(&endpoint, self.http.public.post(&endpoint).form(&form)).await?;
            let Refresh { refresh_token } = answer(&endpoint, &read_refresh.body)?;
            let lasts = expiry(&refresh_token).unwrap_or(LASTS);
            if refresh_token.expose_secret().is_empty() {
                return Err(ExchangeError::Broken { endpoint, reason: "the refresh token is empty".to_owned() });
            }
            Ok(Login { username: USER.to_owned(), password: refresh_token, lasts })
        })
    }
}

/// Returns the remaining lifetime of a token, from its own claims.
fn expiry(token: &SecretString) -> Option<Duration> {
    let claims = token.expose_secret().split('.').nth(1)?;
    let Expiry { exp } = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let left = exp.checked_sub(jiff::Timestamp::now().as_second())?;
    u64::try_from(left).ok().map(Duration::from_secs)
}
