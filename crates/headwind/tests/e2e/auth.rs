//! Authentication and authorization with the RBAC of a real API server: the same results as with kubectl.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Bed, Query, WorkloadKind, eventually};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::account::{Account, bind, can_i, granted};
use crate::world::{SOON, World, image};

/// Sends a request with a bearer token and additional headers.
async fn send(
    world: &World,
    method: &str,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<(u16, Value)> {
    let mut request = world.http.request(method.parse()?, format!("{}{path}", world.operator.api_url()));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if method != "GET" {
        request = request.json(body.unwrap_or(&json!({})));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
}

async fn get(world: &World, path: &str, account: &Account) -> Result<(u16, Value)> {
    send(world, "GET", path, &account.token, &[], None).await
}

async fn post(world: &World, path: &str, account: &Account, body: &Value) -> Result<(u16, Value)> {
    send(world, "POST", path, &account.token, &[], Some(body)).await
}

/// Loads a page of the UI, or sends a form of one. Returns status and page.
async fn ui(world: &World, method: &str, path: &str, account: &Account) -> Result<(u16, String)> {
    let mut request = world.http.request(method.parse()?, format!("{}{path}", world.operator.ui_url())).bearer_auth(&account.token);
    if method == "POST" {
        request = request.header("sec-fetch-site", "same-origin").form(&[("reason", "tested")]);
    }
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Every page and every form of the UI, for one account and one update: the same answers as with kubectl.
async fn ui_answers(world: &World, account: &Account, workload: (&str, &str), request: &str, may: May) -> Result<()> {
    let (namespace, name) = workload;
    let (update, workload) = (format!("/updates/{namespace}/{request}"), format!("/workloads/{namespace}/Deployment/{name}"));
    for (path, may) in [
        (update.clone(), may.get),
        (format!("{update}/rollout"), may.get),
        (workload.clone(), may.list),
        (format!("{workload}?query=1"), may.explain),
        (format!("{update}/approve"), may.approve),
        (format!("{update}/reject"), may.approve),
    ] {
        let (status, page) = ui(world, "GET", &path, account).await?;
        ensure!(status == if may { 200 } else { 403 }, "{} {path}: {status}, but kubectl says {may}: {page}", account.user);
    }
    // A row of a list, and lists: only what the caller may list.
    let (row, _) = ui(world, "GET", &format!("{update}/row?view=inbox"), account).await?;
    ensure!(row == if may.list { 200 } else { 404 }, "{} {update}: {row}", account.user);
    for list in ["/", "/updates"] {
        let (status, page) = ui(world, "GET", list, account).await?;
        ensure!(status == 200 && page.contains(&update) == may.list, "{} {list}: {status} {page}", account.user);
    }
    if may.approve {
        return Ok(());
    }
    let missing = format!("{} may not approve updaterequests.headwind.sh", account.user);
    for path in [format!("{update}/approve"), format!("{update}/reject"), format!("{update}/reopen"), format!("{workload}/rollback")] {
        let (status, page) = ui(world, "POST", &path, account).await?;
        ensure!(status == 403 && page.contains(&missing), "{} {path}: {status} {page}", account.user);
    }
    Ok(())
}

/// What an account may do with an update, as kubectl says.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one for each permission")]
struct May {
    list: bool,
    get: bool,
    explain: bool,
    approve: bool,
}

/// Creates a workload with a request that waits for approval. Returns the request's name.
async fn waits(world: &World, namespace: &str, name: &str) -> Result<String> {
    World::asking(WorkloadKind::Deployment, name, &image(&format!("a/{name}"), "1.0.0")).create(&world.client, namespace).await?;
    let requests = kube::Api::<headwind_k8s::update_request::UpdateRequest>::namespaced(world.client.clone(), namespace);
    let new = image(&format!("a/{name}"), "1.1.0");
    // Repeats the push until the operator knows the workload.
    eventually("a request", SOON, || async {
        world.push(&format!("a/{name}"), "1.1.0").await.map_err(|error| error.to_string())?;
        let all = requests.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?;
        all.items.iter().find(|one| one.spec.new_image == new).map(kube::ResourceExt::name_any).ok_or_else(|| format!("{new}: none"))
    })
    .await
}

/// Three service accounts and two namespaces: one may approve in one namespace, one may read there, one has no
/// permissions. For every query and every action, the result is the same as with kubectl.
#[expect(clippy::too_many_lines, reason = "one account after the other, each by every way in")]
pub(crate) async fn same_answers() -> Result<()> {
    let other = Bed::start().await?.namespace("auth-other").await?;
    let began = Timestamp::now();
    let world = World::with("auth", |mut options| {
        options.namespaces.push(other.clone());
        options.env("HEADWIND_UI_AUTH_MODE", "token")
    })
    .await?;
    let shop = world.namespace.clone();
    let (ann, eve, sam) = (Account::new(&world, "ann").await?, Account::new(&world, "eve").await?, Account::new(&world, "sam").await?);
    bind(&world, &shop, "headwind-approver", &format!("--serviceaccount={shop}:ann")).await?;
    bind(&world, &shop, "view", &format!("--serviceaccount={shop}:ann")).await?;
    bind(&world, &shop, "headwind-viewer", &format!("--serviceaccount={shop}:eve")).await?;
    let mut names = Vec::new();
    for (namespace, name) in [(&shop, "web"), (&shop, "api"), (&shop, "job"), (&shop, "till"), (&other, "pay")] {
        names.push(waits(&world, namespace, name).await?);
    }
    let [web, api, job, till, pay] = names.try_into().map_err(|names| anyhow::anyhow!("{names:?}"))?;
    granted(&world, &ann.user, &shop, &["patch", "updaterequests.headwind.sh", "--subresource=status"]).await?;
    granted(&world, &ann.user, &shop, &["get", "deployments.apps"]).await?;
    granted(&world, &eve.user, &shop, &["list", "updaterequests.headwind.sh"]).await?;
    eventually("the API knows every request", SOON, || async {
        let (_, body) = get(&world, &format!("/api/v1/updates?namespace={shop}"), &ann).await.map_err(|error| error.to_string())?;
        if body["items"].as_array().is_some_and(|items| items.len() == 4) { Ok(()) } else { Err(body.to_string()) }
    })
    .await?;

    for account in [&ann, &eve, &sam] {
        for (namespace, name, workload) in [(&shop, &web, "web"), (&other, &pay, "pay")] {
            let as_kubectl = async |question: &[&str]| can_i(&world, &account.user, namespace, question).await;
            let (lists, gets) = (
                as_kubectl(&["list", "updaterequests.headwind.sh"]).await?,
                as_kubectl(&["get", &format!("updaterequests.headwind.sh/{name}")]).await?,
            );
            let explains = lists && as_kubectl(&["get", &format!("deployments.apps/{workload}")]).await?;
            for (path, may) in [
                (format!("updates?namespace={namespace}"), lists),
                (format!("workloads?namespace={namespace}"), lists),
                (format!("rollback/{namespace}/Deployment/{workload}"), lists),
                (format!("rollback/{namespace}/{workload}"), lists),
                (format!("updates/{namespace}/{name}"), gets),
                (format!("updates/{namespace}/{name}/timeline"), gets),
                (format!("workloads/{namespace}/Deployment/{workload}/explain"), explains),
            ] {
                let (status, body) = get(&world, &format!("/api/v1/{path}"), account).await?;
                ensure!(status == if may { 200 } else { 403 }, "{} {path}: {status} {body}, but kubectl says {may}", account.user);
            }
            // What kubectl may write, as a dry run.
            let approval = json!({"status": {"phase": "Approved", "approvedBy": account.user}}).to_string();
            let rejection = json!({"status": {"phase": "Rejected", "rejectedBy": account.user}}).to_string();
            let dry = async |decision: &str| {
                let patch = ["patch", "ur", name, "--subresource=status", "--type=merge", "--dry-run=server", "-p", decision];
                let done = world.bed.kubectl(&[&["--as", &account.user, "-n", namespace][..], &patch].concat()).await?;
                anyhow::Ok(done.status.success())
            };
            let may = dry(&approval).await?;
            ensure!(may == (account.user == ann.user && *namespace == shop), "{} {namespace}: {may}", account.user);
            ensure!(may == dry(&rejection).await?, "{} {namespace}", account.user);
            ui_answers(
                &world,
                account,
                (namespace.as_str(), workload),
                name,
                May { list: lists, get: gets, explain: explains, approve: may },
            )
            .await?;
            if !may {
                for path in [
                    format!("updates/{namespace}/{name}/approve"),
                    format!("updates/{namespace}/{name}/reject"),
                    format!("updates/{namespace}/{name}/reopen"),
                    format!("rollback/{namespace}/Deployment/{workload}"),
                    format!("rollback/{namespace}/{workload}"),
                ] {
                    let (status, body) = post(&world, &format!("/api/v1/{path}"), account, &json!({})).await?;
                    let says_which = body["detail"].as_str().is_some_and(|detail| {
                        detail.contains("approve updaterequests.headwind.sh") && detail.contains(&format!("in namespace {namespace}"))
                    });
                    ensure!(status == 403 && says_which, "{} {path}: {status} {body}", account.user);
                }
            }
        }
        // Lists of all namespaces contain only what the caller may list.
        let (_, body) = get(&world, "/api/v1/updates", account).await?;
        let seen = body["items"].as_array().context("items")?;
        ensure!(seen.len() == if account.user == sam.user { 0 } else { 4 }, "{}: {body}", account.user);
        ensure!(seen.iter().all(|one| one["metadata"]["namespace"] == *shop), "{}: {body}", account.user);
        let (_, body) = get(&world, "/api/v1/workloads", account).await?;
        ensure!(!body.to_string().contains(&other), "{}: {body}", account.user);
        // The limits concern everybody, the totals of all namespaces do not.
        let (status, body) = get(&world, "/api/v1/limits", account).await?;
        ensure!(status == if account.user == sam.user { 403 } else { 200 }, "{}: {status} {body}", account.user);
        ensure!(body.get("rollouts").is_none() && body.get("waiting").is_none(), "{}: {body}", account.user);
    }

    // One item of a bulk action is denied, the other one succeeds. Headwind's record and the cluster's audit log name
    // the person.
    let both = json!({"updates": [{"namespace": shop, "name": web}, {"namespace": other, "name": pay}], "reason": "tested"});
    let (status, body) = post(&world, "/api/v1/updates/bulk/approve", &ann, &both).await?;
    ensure!(status == 200 && body["results"][0]["status"] == 200 && body["results"][1]["status"] == 403, "{body}");
    let done = world.request(&image("a/web", "1.1.0"), "Completed").await?;
    ensure!(done.status.unwrap_or_default().approved_by.as_deref() == Some(&*ann.user));
    let (status, body) =
        post(&world, &format!("/api/v1/updates/{shop}/{api}/reject"), &ann, &json!({"reason": "breaks the login"})).await?;
    ensure!(status == 200 && body["status"]["rejectedBy"] == *ann.user, "{body}");
    world.request(&image("a/api", "1.1.0"), "Rejected").await?;
    let (status, body) = post(&world, &format!("/api/v1/updates/{shop}/{api}/reopen"), &ann, &json!({})).await?;
    ensure!(status == 200 && body["status"]["phase"] == "Pending", "{body}");
    let (status, body) = post(&world, &format!("/api/v1/rollback/{shop}/Deployment/web"), &ann, &json!({})).await?;
    ensure!(status == 200 && body["status"]["approvedBy"] == *ann.user, "{body}");
    ensure!(post(&world, &format!("/api/v1/updates/{shop}/{job}/approve"), &ann, &json!({})).await?.0 == 200);
    // The same actions by the forms of the UI.
    for (form, phase) in [("reject", "Rejected"), ("reopen", "Pending"), ("approve", "Completed")] {
        let (status, page) = ui(&world, "POST", &format!("/updates/{shop}/{till}/{form}"), &ann).await?;
        ensure!(status == 200 && page.contains("till"), "{form}: {status} {page}");
        world.request(&image("a/till", "1.1.0"), phase).await?;
    }
    let (status, page) = ui(&world, "POST", &format!("/workloads/{shop}/Deployment/till/rollback"), &ann).await?;
    ensure!(status == 200, "{status} {page}");
    let back = world.request(&image("a/till", "1.0.0"), "Completed").await?;
    ensure!(back.status.unwrap_or_default().approved_by.as_deref() == Some(&*ann.user));
    let mut log = world.audit().context("this test needs the audit log of the test bed's own control plane")?;
    log.catch_up(&world.client).await?;
    let written = log.entries(&Query::new().user(&ann.user).verb("patch").since(began).successful())?;
    let by_headwind = written.iter().filter(|entry| entry.user_agent.contains("kube") || !entry.user_agent.contains("kubectl")).count();
    ensure!(by_headwind >= 9, "approve, reject, reopen, rollback, approve, and the same by the UI: {written:#?}");
    let lines = world.operator.log_lines()?;
    let audited = |result: &str, user: &str| {
        lines.iter().any(|line| {
            line["target"] == "headwind::audit"
                && line["username"] == *user
                && line["method"] == "token"
                && line["result"].as_str().is_some_and(|one| one.starts_with(result))
        })
    };
    ensure!(audited("success", &ann.user) && audited("denied: 403", &ann.user) && audited("denied: 403", &sam.user), "the audit log");
    for secret in [&ann.token, &eve.token, &sam.token] {
        ensure!(!world.operator.log_contains(secret)?, "a token is in the log");
    }
    Ok(())
}

/// Requests that do not prove the caller's identity: no token, an invalid token, a revoked token. Ten thousand invalid
/// tokens do not reach the API server.
pub(crate) async fn bad_proofs() -> Result<()> {
    let world = World::with("auth-proofs", |options| options.env("HEADWIND_UI_AUTH_MODE", "token")).await?;
    let shop = world.namespace.clone();
    let account = Account::new(&world, "ann").await?;
    bind(&world, &shop, "headwind-approver", &format!("--serviceaccount={shop}:ann")).await?;
    granted(&world, &account.user, &shop, &["list", "updaterequests.headwind.sh"]).await?;
    let request = waits(&world, &shop, "web").await?;
    let (list, approve) = (format!("/api/v1/updates?namespace={shop}"), format!("/api/v1/updates/{shop}/{request}/approve"));
    ensure!(get(&world, &list, &account).await?.0 == 200);
    for (path, token) in [(list.as_str(), ""), (&list, "junk"), ("/openapi.json", ""), ("/api/v2", "")] {
        ensure!(send(&world, "GET", path, token, &[], None).await?.0 == 401, "{path} {token}");
    }
    let rebound = [("host", "rebind.evil.example:8081"), ("origin", "http://rebind.evil.example:8081"), ("sec-fetch-site", "same-origin")];
    ensure!(send(&world, "POST", &approve, &account.token, &rebound, None).await?.0 == 421);
    for origin in [&[("origin", "http://evil.example")][..], &[("sec-fetch-site", "cross-site")], &[("origin", "null")]] {
        ensure!(send(&world, "POST", &approve, &account.token, origin, None).await?.0 == 403, "{origin:?}");
    }
    let form = world.http.post(format!("{}{approve}", world.operator.api_url())).bearer_auth(&account.token).form(&[("reason", "x")]);
    ensure!(form.send().await?.status() == 415);
    let twice = [("authorization", "Bearer junk")];
    ensure!(send(&world, "GET", &list, &account.token, &twice, None).await?.0 == 401, "two headers");
    ensure!(world.http.get(format!("{}/health", world.operator.api_url())).send().await?.status() == 200);

    let cookie = session(&world, &account).await?;
    let with_cookie = async |host: &str| send(&world, "GET", &list, "", &[("cookie", &cookie), ("host", host)], None).await;
    ensure!(with_cookie("127.0.0.1:8081").await?.0 == 200, "the session of the UI");
    ensure!(with_cookie("localhost:8081").await?.0 == 401, "a stolen cookie on another host");
    ensure!(with_cookie("evil.example").await?.0 == 421);
    // A form of a page of another site, which the browser sends with the cookie.
    let form = async |headers: &[(&str, &str)]| {
        let mut form = world.http.post(format!("{}/updates/{shop}/{request}/approve", world.operator.ui_url())).header("cookie", &cookie);
        for (name, value) in headers {
            form = form.header(*name, *value);
        }
        anyhow::Ok(form.form(&[("reason", "x")]).send().await?.status().as_u16())
    };
    for origin in [
        &[("origin", "http://evil.example")][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "null")],
    ] {
        ensure!(form(origin).await? == 403, "{origin:?}");
    }
    ensure!(form(&[("host", "rebind.evil.example:8082"), ("sec-fetch-site", "same-origin")]).await? == 421);

    // Ten thousand invalid tokens.
    let began = Timestamp::now();
    let mut limited = 0;
    for n in 0..10_000 {
        let status = send(&world, "GET", &list, &format!("junk-{n}"), &[], None).await?.0;
        ensure!(status == 401 || status == 429, "{status}");
        limited += u32::from(status == 429);
    }
    let took = Timestamp::now().duration_since(began).as_secs();
    ensure!(get(&world, &list, &account).await?.0 == 200, "who was known before the flood is let in");
    let mut log = world.audit().context("this test needs the audit log of the test bed's own control plane")?;
    log.catch_up(&world.client).await?;
    let reviews = log.count(&world.operator.requests().resource("tokenreviews").since(began))?;
    ensure!(reviews <= usize::try_from(25 + took)? && limited > 9_000, "{reviews} reviews in {took} s, {limited} limited");

    // The token becomes invalid when its account is deleted.
    world.bed.kubectl_ok(&["-n", &shop, "delete", "serviceaccount", "ann"]).await?;
    let revoked = std::time::Instant::now();
    eventually("a revoked token is refused", Duration::from_mins(1), || async {
        match get(&world, &list, &account).await.map_err(|error| error.to_string())?.0 {
            401 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await?;
    ensure!(revoked.elapsed() < Duration::from_mins(1), "{:?}", revoked.elapsed());
    ensure!(send(&world, "POST", &approve, &account.token, &[], None).await?.0 == 401);
    ensure!(with_cookie("127.0.0.1:8081").await?.0 == 401, "the session ends with the token");
    world.request(&image("a/web", "1.1.0"), "Pending").await.map(drop)
}

/// Logs in as a browser does, and returns the cookie.
async fn session(world: &World, account: &Account) -> Result<String> {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(SOON).build()?;
    let log_in = async |token: &str, origin: &str| {
        let form = browser.post(format!("{}/login", world.operator.ui_url())).form(&[("token", token), ("next", "/updates")]);
        form.header("origin", origin).send().await
    };
    let own = world.operator.ui_url();
    ensure!(log_in("junk", &own).await?.status() == 401);
    ensure!(log_in(&account.token, "http://evil.example").await?.status() == 403, "a login by another site's page");
    let answer = log_in(&account.token, &own).await?;
    ensure!(answer.status() == 303, "{answer:?}");
    let set = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).context("no cookie")?;
    ensure!(set.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=") && !set.contains(&account.token), "{set}");
    let secret = ["-n", &world.namespace, "get", "secret", "headwind-session", "-o", "name"];
    world.bed.kubectl_ok(&secret).await?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

/// Only the proxy may set the header.
pub(crate) async fn proxy() -> Result<()> {
    let world = World::with("auth-proxy", |options| {
        options
            .env("HEADWIND_UI_AUTH_MODE", "proxy")
            .env("HEADWIND_UI_PROXY_CIDRS", "127.0.0.2")
            .env("HEADWIND_UI_PROXY_GROUPS_HEADER", "X-Forwarded-Groups")
    })
    .await?;
    let shop = world.namespace.clone();
    bind(&world, &shop, "headwind-viewer", "--user=ann@example.com").await?;
    bind(&world, &shop, "headwind-approver", "--group=shop-leads").await?;
    granted(&world, "ann@example.com", &shop, &["list", "updaterequests.headwind.sh"]).await?;
    granted(&world, "ann@example.com", &shop, &["approve", "updaterequests.headwind.sh", "--as-group=shop-leads"]).await?;
    let request = waits(&world, &shop, "web").await?;
    let from = |last: u8| reqwest::Client::builder().local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).timeout(SOON).build();
    let (proxy, stranger) = (from(2)?, from(1)?);
    let ask = async |client: &reqwest::Client, method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = client.request(method.parse()?, format!("{}/api/v1/updates{path}", world.operator.api_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == "POST" {
            request = request.json(&json!({}));
        }
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    let (list, approve) = (format!("?namespace={shop}"), format!("/{shop}/{request}/approve"));
    let ann = ("x-forwarded-user", "ann@example.com");
    ensure!(ask(&proxy, "GET", &list, &[ann]).await? == 200);
    for headers in [&[ann][..], &[ann, ("x-forwarded-for", "127.0.0.2")], &[ann, ("forwarded", "for=127.0.0.2")]] {
        ensure!(ask(&stranger, "GET", &list, headers).await? == 401, "{headers:?}");
    }
    for headers in [
        &[][..],
        &[ann, ann],
        &[("x-forwarded-user", "system:admin")],
        &[ann, ("x-forwarded-groups", "system:masters")],
        &[ann, ("x-forwarded-groups", "a"), ("x-forwarded-groups", "shop-leads")],
    ] {
        ensure!(ask(&proxy, "GET", &list, headers).await? == 401, "{headers:?}");
    }
    ensure!(ask(&proxy, "GET", &list, &[("x-forwarded-user", "bob@example.com")]).await? == 403);
    ensure!(ask(&proxy, "POST", &approve, &[ann]).await? == 403);
    ensure!(ask(&proxy, "POST", &approve, &[ann, ("x-forwarded-groups", "dev, shop-leads")]).await? == 200);
    let done = world.request(&image("a/web", "1.1.0"), "Completed").await?;
    ensure!(done.status.as_ref().and_then(|status| status.approved_by.as_deref()) == Some("ann@example.com"), "{}", done.name_any());
    Ok(())
}
