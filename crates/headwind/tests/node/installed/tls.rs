//! HTTPS with a Secret of one's own, a required secret for webhooks, one replica, and names that Headwind does not know by
//! itself.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use headwind_testbed::{payload, pki};
use jiff::Timestamp;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};

use super::World;
use crate::app::App;
use crate::objects::Objects;
use crate::published::CURRENT;
use crate::release::Release;

const NAMESPACE: &str = "updates";
const BAKERY: &str = "bakery";
/// The names of the Services, of which the certificate is.
const WEBHOOK: &str = "updates-headwind-webhook.updates.svc";
const SERVICE: &str = "updates-headwind.updates.svc";

pub(super) async fn tls(world: &World<'_>) -> Result<()> {
    let bed = world.bed;
    world.restricted(NAMESPACE).await?;
    let app = App::create(bed, &world.published, world.program, BAKERY, false).await?;
    let (certificate, key) = pki::self_signed(&[WEBHOOK, SERVICE])?;
    for (name, kind, data) in [
        ("certificate", "kubernetes.io/tls", json!({"tls.crt": certificate, "tls.key": key})),
        ("hooks", "Opaque", json!({"token": "let-me-in"})),
    ] {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "stringData": data});
        bed.apply_yaml(&secret.to_string()).await?;
    }
    let before = Objects::read(bed).await?;
    let release =
        Release { bed, published: &world.published, namespace: NAMESPACE, name: "updates", account: "updates-headwind", user: None };
    let values = json!({
        "replicas": 1,
        "tls": {"enabled": true, "existingSecret": "certificate"},
        "secretSettings": {"HEADWIND_WEBHOOK_SECRET": {"name": "hooks", "key": "token", "optional": false}},
        "podDisruptionBudget": {"enabled": false},
    });
    // The CRD belongs to the release that was removed.
    let refused = release.install(CURRENT, &values, &[]).await.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("invalid ownership metadata"), "{refused}");
    let since = Timestamp::now();
    release.install(CURRENT, &values, &["--take-ownership", "--wait", "--timeout", "3m"]).await?;
    let address = release.ready(1).await?.remove(0);

    let at = |port: u16| -> Result<SocketAddr> { Ok(format!("{address}:{port}").parse()?) };
    let root = Certificate::from_pem(certificate.as_bytes())?;
    let client = Client::builder().no_proxy().tls_certs_only([root]).resolve(WEBHOOK, at(8080)?).resolve(SERVICE, at(8081)?).build()?;
    let digest = app.push("1.1.0").await?;
    let claim = payload::distribution(world.published.registry.addr(), &format!("{BAKERY}/app"), "1.1.0", &digest);
    let url = format!("https://{WEBHOOK}:8080/webhook/registry");
    let answer = client.post(&url).json(&claim).send().await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    let answer = client.post(&url).bearer_auth("let-me-in").json(&claim).send().await?;
    ensure!(answer.status() == StatusCode::ACCEPTED, "{}", answer.status());
    app.request("1.1.0", "Completed").await?;
    app.runs("1.1.0").await?;

    // The chart adds the names of the Services to the hosts that the API accepts.
    let url = format!("https://{SERVICE}:8081/api/v1/workloads");
    let answer = client.get(&url).send().await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    bed.kubectl_ok(&["-n", BAKERY, "create", "serviceaccount", "ann"]).await?;
    let account = format!("--serviceaccount={BAKERY}:ann");
    bed.kubectl_ok(&["create", "clusterrolebinding", "ann", "--clusterrole=headwind-viewer", &account]).await?;
    let token = bed.kubectl_ok(&["-n", BAKERY, "create", "token", "ann"]).await?;
    let answer = client.get(&url).bearer_auth(token.trim()).send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let found: Value = answer.json().await?;
    ensure!(found.to_string().contains(&app.image("1.1.0")), "{found}");
    world.rights_suffice(&release, since).await?;

    bed.kubectl_ok(&["delete", "clusterrolebinding", "ann"]).await?;
    bed.kubectl_ok(&["-n", BAKERY, "delete", "serviceaccount", "ann"]).await?;
    release.uninstall().await?;
    before.again_with_crd(bed).await
}
