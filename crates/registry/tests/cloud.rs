//! The clouds' logins with fakes of their documented endpoints, which check the requests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use headwind_registry::credential::cloud::{Azure, Ecr, Exchange, ExchangeError, Google, Http};
use headwind_registry::{Client, HostSettings, Hosts, Keyring, Rules, Timeouts};
use rstest::rstest;
use secrecy::ExposeSecret as _;
use serde_json::json;

const CANARY: &str = "canary-9b1e";

/// Serves every call with the function; returns the address and counts the calls.
async fn serve(
    answer: impl Fn(&str, &HeaderMap, &str) -> Response + Clone + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
        counted.fetch_add(1, Ordering::Relaxed);
        let response = answer(&uri.to_string(), &headers, &String::from_utf8_lossy(&body));
        async move { response }
    });
    let server = tokio::spawn(async move {
        axum::serve(listener, app).await.ok();
    });
    (address, calls, server)
}

fn http() -> Http {
    rustls::crypto::ring::default_provider().install_default().ok();
    Http::new().unwrap()
}

fn token_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{CANARY}").unwrap();
    file
}

fn variables(all: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let all: HashMap<String, String> = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    move |name| all.get(name).cloned()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn with(body: &serde_json::Value, headers: &[(&'static str, &'static str)]) -> Response {
    let mut response = axum::Json(body.clone()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

#[rstest]
#[case::gcr("gcr.io", "google")]
#[case::gcr_region("eu.gcr.io", "google")]
#[case::artifact_registry("europe-west1-docker.pkg.dev", "google")]
#[case::acr("mine.azurecr.io", "azure")]
#[case::acr_china("mine.azurecr.cn", "azure")]
#[case::ecr("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr")]
#[case::ecr_fips("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr")]
#[case::ecr_china("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr")]
#[case::gcr_suffix("gcr.io.evil.com", "")]
#[case::gcr_prefix("evilgcr.io", "")]
#[case::gcr_port("gcr.io:8443", "")]
#[case::pkg_dev("docker.pkg.dev", "")]
#[case::acr_prefix("evil-azurecr.io", "")]
#[case::acr_bare(".azurecr.io", "")]
#[case::acr_deep("a.b.azurecr.io", "")]
#[case::acr_port("mine.azurecr.io:444", "")]
#[case::ecr_account("12345.dkr.ecr.eu-west-1.amazonaws.com", "")]
#[case::ecr_suffix("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.com", "")]
#[case::ecr_region("123456789012.dkr.ecr.a.b.amazonaws.com", "")]
#[case::ecr_public("public.ecr.aws", "")]
#[case::hub("docker.io", "")]
fn hosts(#[case] host: &str, #[case] cloud: &str) {
    let set = variables(&[
        ("GCE_METADATA_HOST", "x"),
        ("AZURE_CLIENT_ID", "x"),
        ("AZURE_TENANT_ID", "x"),
        ("AZURE_FEDERATED_TOKEN_FILE", "x"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]);
    http();
    let all = headwind_registry::credential::cloud::from_env(&set).unwrap();
    let serving: Vec<&str> = all.iter().filter(|exchange| exchange.serves(host)).map(|exchange| exchange.name()).collect();
    assert_eq!(serving.join(","), cloud);
}

#[test]
fn nothing_is_asked_where_nothing_is_set() {
    http();
    assert!(headwind_registry::credential::cloud::from_env(&variables(&[])).unwrap().is_empty());
    let half = variables(&[("AZURE_CLIENT_ID", "x"), ("AWS_ROLE_ARN", "x"), ("AWS_ACCESS_KEY_ID", " ")]);
    assert!(headwind_registry::credential::cloud::from_env(&half).unwrap().is_empty());
    // An agent URL that is neither HTTPS nor one of the documented addresses is ignored.
    let elsewhere = variables(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/keys")]);
    assert!(headwind_registry::credential::cloud::from_env(&elsewhere).unwrap().is_empty());
}

#[tokio::test]
async fn google_by_the_metadata_server() {
    let (address, _, _server) = serve(|uri, headers, _| {
        assert_eq!(uri, "/computeMetadata/v1/instance/service-accounts/default/token");
        assert_eq!(header(headers, "metadata-flavor"), "Google");
        with(&json!({"access_token": CANARY, "expires_in": 3599, "token_type": "Bearer"}), &[("metadata-flavor", "Google")])
    })
    .await;
    let login = Google::new(http(), &address).login("gcr.io").await.unwrap();
    assert_eq!((login.username.as_str(), login.password.expose_secret(), login.lasts.as_secs()), ("oauth2accesstoken", CANARY, 3599));
    // A server that responds without the header is not a metadata server.
    let (address, _, _server) = serve(|_, _, _| with(&json!({"access_token": CANARY, "expires_in": 1}), &[])).await;
    assert!(matches!(Google::new(http(), &address).login("gcr.io").await, Err(ExchangeError::Broken { .. })));
}

#[tokio::test]
async fn azure_by_workload_identity() {
    let exp = jiff::Timestamp::now().as_second() + 5000;
    let refresh = format!("h.{}.s", URL_SAFE_NO_PAD.encode(json!({"exp": exp}).to_string()));
    let latest = refresh.clone();
    let (address, _, _server) = serve(move |uri, _, body| match uri {
        "/tenant-1/oauth2/v2.0/token" => {
            for part in [
                "grant_type=client_credentials",
                "client_id=client-1",
                "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
                &format!("client_assertion={CANARY}"),
                "scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default",
            ] {
                assert!(body.contains(part), "{body}");
            }
            with(&json!({"access_token": "access", "expires_in": 3600}), &[])
        }
        "/oauth2/exchange" => {
            assert_eq!(body, "grant_type=access_token&service=mine.azurecr.io&tenant=tenant-1&access_token=access");
            with(&json!({"refresh_token": latest}), &[])
        }
        _ => panic!("{uri}"),
    })
    .await;
    let file = token_file();
    let url = format!("http://{address}");
    let set = [
        ("AZURE_CLIENT_ID", "client-1"),
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_AUTHORITY_HOST", &format!("{url}/")),
        ("AZURE_FEDERATED_TOKEN_FILE", file.path().to_str().unwrap()),
    ];
    let azure = Azure::from_env(&variables(&set), http()).unwrap().with_registry_at(&url);
    let login = azure.login("mine.azurecr.io").await.unwrap();
    assert_eq!((login.username.as_str(), login.password.expose_secret()), ("00000000-0000-0000-0000-000000000000", refresh.as_str()));
    assert!((4990..=5000).contains(&login.lasts.as_secs()));

    drop(file);
    let error = azure.login("mine.azurecr.io").await.unwrap_err();
    assert!(matches!(error, ExchangeError::NotSetUp(_)), "{error}");
}

/// STS and ECR in one: computes the signature again from the request.
#[tokio::test]
async fn ecr_by_a_role_for_the_service_account() {
    let expires = jiff::Timestamp::now().as_second() + 3600;
    let (address, calls, _server) = serve(move |uri, headers, body| {
        assert_eq!(uri, "/");
        if body.starts_with("Action=") {
            assert!(
                body.contains("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"),
                "{body}"
            );
            assert!(body.ends_with(&format!("WebIdentityToken={CANARY}")));
            let keys = json!({"AccessKeyId": "AKID", "SecretAccessKey": "secret", "SessionToken": "session", "Expiration": expires});
            return with(&json!({"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials": keys}}}), &[]);
        }
        assert_eq!(header(headers, "x-amz-target"), "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
        assert_eq!(
            (header(headers, "content-type"), header(headers, "x-amz-security-token"), body),
            ("application/x-amz-json-1.1", "session", "{}")
        );
        assert_eq!(header(headers, "authorization"), signature(headers, "AKID", "secret", "eu-west-1", body));
        let token = STANDARD.encode(format!("AWS:{CANARY}"));
        with(&json!({"authorizationData": [{"authorizationToken": token, "expiresAt": expires, "proxyEndpoint": "https://x"}]}), &[])
    })
    .await;
    let (file, url) = (token_file(), format!("http://{address}"));
    let set = [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.path().to_str().unwrap()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("AWS_ENDPOINT_URL_ECR", url.as_str()),
    ];
    let ecr = Ecr::from_env(&variables(&set), http()).unwrap();
    for _ in 0..2 {
        let login = ecr.login("123456789012.dkr.ecr.eu-west-1.amazonaws.com").await.unwrap();
        assert_eq!((login.username.as_str(), login.password.expose_secret()), ("AWS", CANARY));
        assert!((3590..=3601).contains(&login.lasts.as_secs()));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3, "the role is assumed once for two logins");
}

/// A second implementation of AWS's documentation.
fn signature(headers: &HeaderMap, id: &str, secret: &str, region: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::{Digest as _, Sha256};
    let date = header(headers, "x-amz-date");
    let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    let canonical: String = names.split(';').map(|name| name.to_owned() + ":" + header(headers, name) + "\n").collect::<Vec<_>>().concat();
    let canonical = format!("POST\n/\n\n{canonical}\n{names}\n{}", hex::encode(Sha256::digest(body)));
    let scope = format!("{}/{region}/ecr/aws4_request", &date[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&date[..8], region, "ecr", "aws4_request", &text] {
        key = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(part).finalize().into_bytes().to_vec();
    }
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={}", hex::encode(key))
}

#[tokio::test]
async fn ecr_by_the_agent_of_pod_identity() {
    let (address, _, _server) = serve(|uri, headers, _| {
        if uri == "/v1/credentials" {
            assert_eq!(header(headers, "authorization"), CANARY);
            let expiration = jiff::Timestamp::now() + Duration::from_hours(1);
            return with(
                &json!({"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "session", "Expiration": expiration.to_string()}),
                &[],
            );
        }
        with(&json!({"authorizationData": [{"authorizationToken": STANDARD.encode("AWS:p")}]}), &[])
    })
    .await;
    let file = token_file();
    let set = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{address}/v1/credentials")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.path().to_str().unwrap().to_owned()),
        ("AWS_ENDPOINT_URL_ECR", format!("http://{address}")),
    ];
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ecr = Ecr::from_env(&variables(&set), http()).unwrap();
    let login = ecr.login("123456789012.dkr.ecr.eu-west-1.amazonaws.com").await.unwrap();
    assert_eq!((login.password.expose_secret(), login.lasts.as_secs()), ("p", 11 * 3600));
}

/// A refusal, an outage and an invalid response are distinguished. No message repeats the request or the response.
#[rstest]
#[case::refused(400, json!({"error": "invalid_client", "error_description": CANARY}).to_string(), "rejected the request: status 400 invalid_client")]
#[case::forbidden(403, json!({"__type": CANARY.repeat(20)}).to_string(), "rejected the request: status 403")]
#[case::down(500, CANARY.to_owned(), "did not answer: status 500")]
#[case::throttled(429, CANARY.to_owned(), "did not answer: status 429")]
#[case::redirected(302, CANARY.to_owned(), "rejected the request: status 302")]
#[case::truncated(200, format!(r#"{{"access_token":"{CANARY}"#), "not the documented JSON")]
#[case::wrong_type(200, json!({"access_token": [CANARY]}).to_string(), "not the documented JSON")]
#[case::large(200, "x".repeat(1 << 20), "larger than 65536 bytes")]
#[tokio::test]
async fn what_goes_wrong(#[case] status: u16, #[case] body: String, #[case] expected: &str) {
    let (address, _, _server) = serve(move |_, _, _| {
        (axum::http::StatusCode::from_u16(status).unwrap(), [("metadata-flavor", "Google")], body.clone()).into_response()
    })
    .await;
    let error = Google::new(http(), &address).login("gcr.io").await.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
}

/// If no pull secret matches, the client uses the cloud's login, and queries it once in its lifetime.
#[tokio::test]
async fn the_client_uses_it() {
    struct Fixed(Arc<AtomicUsize>);
    impl Exchange for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }
        fn serves(&self, _: &str) -> bool {
            true
        }
        fn login<'a>(&'a self, _: &'a str) -> headwind_registry::credential::cloud::LoginFuture<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                Ok(headwind_registry::credential::cloud::Login {
                    username: "u".to_owned(),
                    password: CANARY.to_owned().into(),
                    lasts: Duration::from_hours(1),
                })
            })
        }
    }
    http();
    let registry = headwind_testbed::FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.demand(headwind_testbed::Demand::Basic("u".to_owned(), CANARY.to_owned()));
    let logins = Arc::new(AtomicUsize::new(0));
    let hosts = Hosts::new(
        vec![HostSettings { plain_http: Some(true), ..HostSettings::of(&registry.host()) }],
        Rules::default(),
        &Timeouts::default(),
    )
    .unwrap();
    let client = Client::new(hosts, vec![Arc::new(Fixed(Arc::clone(&logins)))]);
    let key = headwind_core::artifact::reference::RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    for _ in 0..3 {
        assert!(client.digest(&key, "1", &Keyring::default()).await.unwrap().is_some());
    }
    assert_eq!(logins.load(Ordering::Relaxed), 1);
}
