//! Every sender's recorded payload, from its webhook to a patched workload, and the proofs that only some senders
//! support.

use anyhow::{Context as _, Result, ensure};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwind_testbed::WorkloadKind;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::world::{SOON, World};

/// Payload, query, repository, the tag before and after.
const SENDERS: &[(&str, &str, &str, &str, &str)] = &[
    ("distribution/push", "", "registry.example:5000/library/test", "1.2.2", "1.2.3"),
    ("harbor/push", "", "hub.harbor.com/test-webhook/debian", "1.3.0", "1.4.0"),
    ("harbor/cloudevent", "", "harbor.dev/library/alpine", "3.16", "3.17"),
    ("quay/push", "", "quay.io/mynamespace/repository", "1.1.0", "1.2.0"),
    ("github/registry_package", "", "ghcr.io/octo-org/hello-world", "1.1.0", "1.2.0"),
    ("gitlab/registry", "", "registry.gitlab.example/group/project/web", "1.3.0", "1.4.0"),
    ("azure/push", "", "myregistry.azurecr.io/hello-world", "1.1.0", "1.2.0"),
    ("google/insert", "", "us-east1-docker.pkg.dev/my-project/my-repo/hello-world", "1.0", "1.1"),
    ("google/gcr", "", "gcr.io/my-project/hello-world", "1.0", "1.1"),
    ("ecr/push", "", "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name", "1.1.0", "1.2.0"),
    ("jfrog/push", "", "example.jfrog.io/docker-local/library/ubuntu", "1.1.0", "1.2.0"),
    ("nexus/component", "?registry=nexus.example", "nexus.example/acme/web", "1.1.0", "1.2.0"),
    ("aliyun/push", "", "registry.cn-hangzhou.aliyuncs.com/namespace/repotest", "1.1.0", "1.2.0"),
    ("docker_hub/push", "", "svendowideit/testhook", "1.3.0", "1.4.0"),
    ("cloudevents/distribution", "", "registry.example/a/web", "1.1.0", "1.2.0"),
    ("native/image", "", "registry.example:5000/shop/web", "1.1.0", "1.2.0"),
];

fn payload(name: &str) -> Result<String> {
    let path = format!("../webhook/tests/payloads/{name}.json");
    std::fs::read_to_string(&path).context(path)
}

pub(crate) async fn all() -> Result<()> {
    let world = World::new("senders").await?;
    let mut live = Vec::new();
    for (index, (_, _, repository, before, _)) in SENDERS.iter().enumerate() {
        let fixture = World::direct(WorkloadKind::Deployment, &format!("w{index}"), &format!("{repository}:{before}")).replicas(0);
        live.push(world.create(&fixture).await?);
    }
    for ((name, query, repository, _, after), live) in SENDERS.iter().zip(&live) {
        let url = format!("{}{query}", world.operator.notifications()?);
        let answer = world.http.post(url).header("content-type", "application/json").body(payload(name)?).send().await?;
        let (status, body) = (answer.status().as_u16(), answer.text().await?);
        ensure!(status == 202, "{name}: {status} {body}");
        live.has_image("web", &format!("{repository}:{after}"), SOON).await.with_context(|| (*name).to_owned())?;
    }
    // SNS sends its JSON as plain text, and its subscription is confirmed only if configured.
    let sns = |name: &'static str| {
        let (url, http) = (world.operator.notifications(), &world.http);
        async move {
            let request = http.post(url?).header("content-type", "text/plain; charset=UTF-8").header("x-amz-sns-message-type", "x");
            anyhow::Ok(request.body(payload(name)?).send().await?.status().as_u16())
        }
    };
    ensure!(sns("ecr/sns").await? == 202);
    ensure!(sns("ecr/sns_confirmation").await? == 403);
    ensure!(world.operator.metric("headwind_webhook_ignored_total", &[]).await? >= 1.0);
    Ok(())
}

/// The secret in the path, for senders that can only configure a URL; Google's token.
pub(crate) async fn proofs() -> Result<()> {
    let secret = "canary-s3cret-in-the-path";
    let (keys_url, _keys) = serve_keys().await?;
    let world = World::with("proofs", |options| {
        options
            .env("HEADWIND_WEBHOOK_SECRET", secret)
            .env("HEADWIND_WEBHOOK_GOOGLE_AUDIENCE", "https://headwind.example")
            .env("HEADWIND_WEBHOOK_GOOGLE_EMAIL", "push@p.iam.gserviceaccount.com")
            .env("HEADWIND_WEBHOOK_GOOGLE_KEYS", &keys_url)
    })
    .await?;
    let url = world.operator.notifications()?;
    let post = |url: String, bearer: Option<String>, name: &'static str| {
        let http = &world.http;
        async move {
            let request = http.post(url).header("content-type", "application/json").body(payload(name)?);
            let request = bearer.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            anyhow::Ok(request.send().await?.status().as_u16())
        }
    };
    ensure!(post(url.to_string(), None, "quay/push").await? == 401);
    ensure!(post(format!("{url}/wrong"), None, "quay/push").await? == 401);
    ensure!(post(format!("{url}/{secret}"), None, "quay/push").await? == 200);
    let hub = url.as_str().replace("/registry", "/dockerhub");
    ensure!(post(format!("{hub}/{secret}"), None, "docker_hub/push").await? == 200);
    ensure!(post(format!("{hub}/wrong"), None, "docker_hub/push").await? == 401);

    let now = jiff_now();
    let token = |audience: &str, exp: i64| {
        sign(
            &json!({"iss": "https://accounts.google.com", "aud": audience, "iat": now - 5, "exp": exp, "email": "push@p.iam.gserviceaccount.com", "email_verified": true}),
        )
    };
    let right = token("https://headwind.example", now + 600)?;
    ensure!(post(url.to_string(), Some(right.clone()), "google/insert").await? == 200);
    ensure!(post(url.to_string(), Some(token("https://other.example", now + 600)?), "google/insert").await? == 401);
    ensure!(post(url.to_string(), Some(token("https://headwind.example", now - 600)?), "google/insert").await? == 401);
    let mut changed = right.clone();
    changed.pop();
    ensure!(post(url.to_string(), Some(changed), "google/insert").await? == 401);
    ensure!(!world.operator.log_contains(secret)? && !world.operator.log_contains(&right)?, "a proof is in the log");
    Ok(())
}

fn jiff_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn key() -> Result<RsaKeyPair> {
    let der = include_bytes!("../../../webhook/tests/google_test_key.der");
    RsaKeyPair::from_pkcs8(der).map_err(|error| anyhow::anyhow!("{error}"))
}

fn sign(claims: &Value) -> Result<String> {
    let header = json!({"alg": "RS256", "kid": "one"});
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let pair = key()?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| anyhow::anyhow!("signing"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Serves the key as Google serves its own.
async fn serve_keys() -> Result<(String, tokio::task::JoinHandle<()>)> {
    use ring::signature::KeyPair as _;
    let pair = key()?;
    let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let set = json!({"keys": [{"kty": "RSA", "kid": "one", "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e)}]});
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/certs", listener.local_addr()?);
    let app = axum::Router::new().route("/certs", get(move || async move { axum::Json(set) }));
    Ok((
        url,
        tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        }),
    ))
}
