//! The HTTP API.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use headwind_testbed::{WorkloadKind, eventually};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::world::{SOON, World, image};

fn names(body: &Value) -> Vec<String> {
    body["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// Lists, filters, pages, and gets a single request.
pub(crate) async fn lists() -> Result<()> {
    let world = World::new("lists").await?;
    for n in 0..7 {
        let kind = WorkloadKind::PODS[n % 3];
        world.create(&World::asking(kind, &format!("app-{n}"), &image(&format!("a/app-{n}"), "1.0.0"))).await?;
        world.push(&format!("a/app-{n}"), "1.1.0").await?;
        world.request(&image(&format!("a/app-{n}"), "1.1.0"), "Pending").await?;
    }
    let get = async |query: &str| {
        let (status, body) = world.api("GET", &format!("/api/v1/updates{query}"), None).await?;
        ensure!(status == 200, "{query}: {status} {body}");
        Ok(body)
    };
    // A replica observes a request a moment after the API server has it.
    eventually("the API lists every request", SOON, || async {
        let listed = names(&get("").await.map_err(|error| error.to_string())?);
        if listed.len() == 7 { Ok(()) } else { Err(format!("{listed:?}")) }
    })
    .await?;
    ensure!(names(&get("?kind=statefulset").await?).len() == 2);
    ensure!(names(&get("?phase=Pending&policy=minor").await?).len() == 7 && names(&get("?phase=Completed").await?).is_empty());
    ensure!(names(&get("?q=APP-3").await?).len() == 1 && names(&get("?namespace=elsewhere").await?).is_empty());
    let (mut seen, mut token, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let body = get(&format!("?limit=3&continue={token}")).await?;
        let page = names(&body);
        ensure!(page.len() <= 3 && page.iter().all(|name| seen.insert(name.clone())), "each once");
        pages += 1;
        body["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
        ensure!(body["metadata"]["remainingItemCount"] == 7 - seen.len());
    }
    ensure!(seen.len() == 7 && pages == 3);
    let one = world.requests().await?.remove(0);
    let (status, body) = world.api("GET", &format!("/api/v1/updates/{}/{}", world.namespace, one.name_any()), None).await?;
    ensure!(status == 200 && body["kind"] == "UpdateRequest" && body["status"]["phase"] == "Pending", "{body}");
    let (status, document) = world.api("GET", "/openapi.json", None).await?;
    ensure!(status == 200 && document["paths"]["/api/v1/updates/{namespace}/{name}/approve"]["post"].is_object(), "{document}");
    ensure!(document["components"]["schemas"]["UpdateRequest"]["properties"]["spec"].is_object(), "{}", document["components"]["schemas"]);
    ensure!(world.http.get(format!("{}/health", world.operator.api_url())).send().await?.status() == 200);
    Ok(())
}

/// Bulk actions have a result for each request; every error is a problem document.
pub(crate) async fn bulk_and_errors() -> Result<()> {
    let world = World::with("bulk", |options| options.env("HEADWIND_UI_AUTH_MODE", "simple").env("RUST_LOG", "off")).await?;
    let mut updates = Vec::new();
    for n in 0..3 {
        world.create(&World::asking(WorkloadKind::Deployment, &format!("app-{n}"), &image(&format!("b/app-{n}"), "1.0.0"))).await?;
        world.push(&format!("b/app-{n}"), "1.1.0").await?;
        let request = world.request(&image(&format!("b/app-{n}"), "1.1.0"), "Pending").await?;
        updates.push(json!({"namespace": world.namespace, "name": request.name_any()}));
    }
    let send = async |method: &str, path: &str, user: Option<&str>, headers: &[(&str, &str)], body: String| {
        let mut request = world.http.request(method.parse()?, format!("{}{path}", world.operator.api_url())).body(body);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let (status, kind) = (
            answer.status().as_u16(),
            answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
        );
        let body: Value = answer.json().await.unwrap_or_default();
        if status >= 400 {
            ensure!(kind == "application/problem+json" && body["status"] == status && body["detail"].is_string(), "{path}: {kind} {body}");
        }
        anyhow::Ok((status, body))
    };
    let approve = format!("/api/v1/updates/{}/{}/approve", world.namespace, updates[0]["name"].as_str().unwrap_or_default());
    ensure!(send("POST", &approve, None, &[], String::new()).await?.0 == 401, "simple mode wants a name");
    ensure!(send("POST", &approve, Some("ann"), &[("origin", "http://evil.example")], String::new()).await?.0 == 403, "another origin");
    ensure!(
        send("POST", &approve, Some("ann"), &[("content-type", "text/plain")], String::new()).await?.0 == 415,
        "a form of another site"
    );
    let rebound = [("host", "rebind.evil.example:8081"), ("origin", "http://rebind.evil.example:8081"), ("sec-fetch-site", "same-origin")];
    ensure!(send("POST", &approve, Some("ann"), &rebound, String::new()).await?.0 == 421, "a name that is not Headwind's");
    ensure!(send("POST", &approve, Some("ann"), &[], "{".to_owned()).await?.0 == 400);
    ensure!(send("POST", &approve, Some("ann"), &[], json!({"reason": 7}).to_string()).await?.0 == 422);
    ensure!(
        send("POST", &approve, Some("ann"), &[], json!({"approvedBy": "bob"}).to_string()).await?.0 == 422,
        "a field that is not there"
    );
    ensure!(send("POST", "/api/v1/updates/elsewhere/x/approve", Some("ann"), &[], String::new()).await?.0 == 404);
    ensure!(send("GET", "/api/v1/updates/nowhere/x", None, &[], String::new()).await?.0 == 404);
    for query in ["?phase=Lost", "?kind=Pod", "?policy=most", "?limit=0", "?limit=x", "?continue=x", "?colour=red"] {
        let (status, body) = send("GET", &format!("/api/v1/updates{query}"), None, &[], String::new()).await?;
        ensure!(status == 422, "{query}: {status} {body}");
    }
    ensure!(send("GET", "/api/v2", None, &[], String::new()).await?.0 == 404);
    ensure!(send("DELETE", "/api/v1/updates", Some("ann"), &[], String::new()).await?.0 == 405);

    updates.push(json!({"namespace": world.namespace, "name": "missing"}));
    let body = json!({"updates": updates, "reason": "release day"}).to_string();
    let (status, answer) = send("POST", "/api/v1/updates/bulk/approve", Some("ann"), &[], body.clone()).await?;
    let statuses: Vec<u64> = answer["results"].as_array().into_iter().flatten().filter_map(|one| one["status"].as_u64()).collect();
    ensure!(status == 200 && statuses == [200, 200, 200, 404], "{answer}");
    for n in 0..3 {
        let done = world.request(&image(&format!("b/app-{n}"), "1.1.0"), "Completed").await?;
        ensure!(done.status.unwrap_or_default().approved_by.as_deref() == Some("simple:ann"));
    }
    let (_, again) = send("POST", "/api/v1/updates/bulk/reject", Some("ann"), &[], body).await?;
    ensure!(again["results"][0]["status"] == 409 && again["results"][0]["phase"] == "Completed", "{again}");
    audited(&world)
}

/// The audit log contains performed and denied actions, whatever `RUST_LOG` is set to.
fn audited(world: &World) -> Result<()> {
    let lines = world.operator.log_lines()?;
    ensure!(lines.iter().all(|line| line["target"] == "headwind::audit"), "RUST_LOG=off: {lines:?}");
    let with =
        |result: &str| lines.iter().filter(|line| line["result"].as_str().is_some_and(|one| one.starts_with(result))).collect::<Vec<_>>();
    let done = with("success");
    ensure!(done.len() == 3 && done.iter().all(|line| line["uid"].as_str().is_some_and(|uid| !uid.is_empty())), "{done:?}");
    let first = done[0];
    ensure!(
        first["username"] == "simple:ann"
            && first["action"] == "approve"
            && first["method"] == "simple"
            && first["peer"] == "127.0.0.1"
            && first["image"] == image("b/app-0", "1.1.0")
            && first["reason"] == "release day",
        "{first}"
    );
    for status in [401, 403, 415, 421] {
        ensure!(!with(&format!("denied: {status}")).is_empty(), "{status}: {lines:?}");
    }
    Ok(())
}
