//! Amazon ECR ("Private registry authentication": `GetAuthorizationToken`), with the identity of the pod: IAM roles for
//! service accounts (`AssumeRoleWithWebIdentity` of STS), EKS Pod Identity, or keys in variables.
//!
//! The region is that of the registry's host, not that of the pod.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::sigv4::{self, Keys};
use super::{Exchange, ExchangeError, Http, Login, LoginFuture, answer, read, token_file};

/// The operation's name in AWS's JSON protocol.
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const CONTENT: &str = "application/x-amz-json-1.1";
/// Lifetime of a login if the response states none (documented: twelve hours).
const LASTS: Duration = Duration::from_hours(11);
/// Keys are not used in the last seconds of their lifetime.
const MARGIN: i64 = 300;
/// The addresses of the EKS Pod Identity agent on every node, and loopback (AWS SDKs, "Container credential provider").
const AGENTS: [&str; 5] = ["169.254.170.23", "[fd00:ec2::23]", "169.254.170.2", "127.0.0.1", "localhost"];

/// Logins for ECR.
#[derive(Debug)]
pub struct Ecr {
    http: Http,
    identity: Identity,
    /// The endpoint in tests; otherwise the regional endpoint of ECR.
    endpoint: Option<String>,
    keys: Mutex<Option<(Keys, Timestamp)>>,
}

/// The identity of the process.
#[derive(Debug)]
enum Identity {
    Web { role: String, session: String, token_file: PathBuf, endpoint: String },
    Agent { url: Url, token_file: Option<PathBuf> },
    Keys(Keys),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    assume_role_with_web_identity_response: AssumedResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedResponse {
    assume_role_with_web_identity_result: AssumedResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedResult {
    credentials: StsKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsKeys {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: SecretString,
    /// Seconds since 1970, a number in the JSON of STS.
    expiration: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentKeys {
    access_key_id: String,
    secret_access_key: SecretString,
    token: SecretString,
    expiration: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_data: Vec<AuthorizationData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationData {
    authorization_token: SecretString,
    #[serde(default)]
    expires_at: Option<f64>,
}

impl Ecr {
    /// Reads the variables in the order of AWS's SDKs; `None` if they set no identity.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>, http: Http) -> Option<Self> {
        let keys = || {
            let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
            Some(Identity::Keys(Keys { id, secret: secret.into(), session: variable("AWS_SESSION_TOKEN").map(Into::into) }))
        };
        let web = || {
            let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
            let endpoint = variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| match &region {
                Some(region) => format!("https://sts.{region}.{}", top(region)),
                None => "https://sts.amazonaws.com".to_owned(),
            });
            Some(Identity::Web {
                role: variable("AWS_ROLE_ARN")?,
                session: variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "headwind".to_owned()),
                token_file: variable("AWS_WEB_IDENTITY_TOKEN_FILE")?.into(),
                endpoint,
            })
        };
        let agent = || {
            let url = Url::parse(&variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")?).ok()?;
            let known = url.scheme() == "https" || url.host_str().is_some_and(|host| AGENTS.contains(&host));
            known.then(|| Identity::Agent { url, token_file: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(Into::into) })
        };
        let identity = keys().or_else(web).or_else(agent)?;
        Some(Self { http, identity, endpoint: variable("AWS_ENDPOINT_URL_ECR"), keys: Mutex::default() })
    }

    /// Returns the keys of the identity, cached until shortly before they expire.
    async fn keys(&self) -> Result<Keys, ExchangeError> {
        let mut held = self.keys.lock().await;
        if let Some((keys, until)) = &*held
            && *until > Timestamp::now()
        {
            return Ok(keys.clone());
        }
        let (keys, expires) = match &self.identity {
            Identity::Keys(keys) => return Ok(keys.clone()),
            Identity::Web { role, session, token_file: file, endpoint } => {
                let token = token_file(file).await?;
                let form = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", session),
                    ("WebIdentityToken", token.expose_secret()),
                ];
                let request = self.http.public.post(endpoint).header("accept", "application/json").form(&form);
                let Assumed { assume_role_with_web_identity_response: response } = answer(endpoint, &read(endpoint, request).await?.body)?;
                let StsKeys { access_key_id: id, secret_access_key: secret, session_token, expiration } =
                    response.assume_role_with_web_identity_result.credentials;
                (Keys { id, secret, session: Some(session_token) }, seconds(expiration))
            }
            Identity::Agent { url, token_file: file } => {
                let endpoint = url.origin().ascii_serialization();
                let is_on_the_node = url.host_str().is_some_and(|host| AGENTS.contains(&host));
                let http = if is_on_the_node { &self.http.node } else { &self.http.public };
                let mut request = http.get(url.clone());
                if let Some(file) = file {
                    request = request.header("authorization", token_file(file).await?.expose_secret());
                }
                let AgentKeys { access_key_id: id, secret_access_key: secret, token, expiration } =
                    answer(&endpoint, &read(&endpoint, request).await?.body)?;
                (Keys { id, secret, session: Some(token) }, Some(expiration))
            }
        };
        if let Some(until) = expires.and_then(|expires| expires.checked_sub(jiff::SignedDuration::from_secs(MARGIN)).ok()) {
            *held = Some((keys.clone(), until));
        }
        Ok(keys)
    }
}

impl Exchange for Ecr {
    fn name(&self) -> &'static str {
        "ecr"
    }

    fn serves(&self, host: &str) -> bool {
        region(host).is_some()
    }

    fn login<'a>(&'a self, host: &'a str) -> LoginFuture<'a> {
        Box::pin(async move {
            let Some(region) = region(host) else { return Err(ExchangeError::NotSetUp(format!("{host} is not an ECR registry"))) };
            let keys = self.keys().await?;
            let endpoint = self.endpoint.clone().unwrap_or_else(|| format!("https://api.ecr.{region}.{}", top(region)));
            let authority = Url::parse(&endpoint).ok().and_then(|url| crate::rules::authority(&url));
            let authority =
                authority.ok_or_else(|| ExchangeError::NotSetUp(format!("{endpoint:?} (AWS_ENDPOINT_URL_ECR) is not a valid URL")))?;
            let (date, body) = (sigv4::date(Timestamp::now()), "{}");
            let mut headers = vec![("content-type", CONTENT), ("host", authority.as_str()), ("x-amz-date", date.as_str())];
            if let Some(session) = &keys.session {
                headers.push(("x-amz-security-token", session.expose_secret()));
            }
            headers.push(("x-amz-target", TARGET));
            let signed =
                sigv4::Request { region, service: "ecr", method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
            let authorization = sigv4::authorization(&keys, &signed, &date);
            let mut request =
                self.http.public.post(format!("{}/", endpoint.trim_end_matches('/'))).body(body).header("authorization", authorization);
            for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
                request = request.header(*name, *value);
            }
            let broken = |reason: &str| ExchangeError::Broken { endpoint: endpoint.clone(), reason: reason.to_owned() };
            let Authorization { authorization_data } = answer(&endpoint, &read(&endpoint, request).await?.body)?;
            let first = authorization_data.into_iter().next().ok_or_else(|| broken("no authorization data"))?;
            let decoded = STANDARD.decode(first.authorization_token.expose_secret()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let (username, password) =
                decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(|| broken("the token is not user:password"))?;
            let left = first.expires_at.and_then(seconds).and_then(|at| Duration::try_from(at.duration_since(Timestamp::now())).ok());
            Ok(Login { username: username.to_owned(), password: password.to_owned().into(), lasts: left.unwrap_or(LASTS) })
        })
    }
}

/// Returns the region in `<account>.dkr.ecr[-fips].<region>.amazonaws.com[.cn]`.
fn region(host: &str) -> Option<&str> {
    let rest = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let (account, rest) = rest.split_once(".dkr.")?;
    let region = rest.strip_prefix("ecr.").or_else(|| rest.strip_prefix("ecr-fips."))?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (is_account && is_region).then_some(region)
}

/// Returns the AWS domain of a region's partition.
fn top(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[expect(clippy::cast_possible_truncation, reason = "a float is saturated")]
fn seconds(time: f64) -> Option<Timestamp> {
    Timestamp::from_second(time as i64).ok()
}
