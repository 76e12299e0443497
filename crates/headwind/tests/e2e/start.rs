//! Starts with missing or invalid configuration.

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Bed, Operator, OperatorOptions, WorkloadKind, eventually};
use serde_json::json;

use crate::world::{SOON, image};

async fn says(operator: &Operator, text: &str) -> Result<()> {
    eventually(&format!("the log says {text:?}"), SOON, || async {
        if operator.log_contains(text).unwrap_or_default() {
            Ok(())
        } else {
            Err(operator.logs().unwrap_or_default().lines().rev().take(5).collect::<Vec<_>>().join("\n"))
        }
    })
    .await
}

/// A missing CRD is reported in one clear line, and Headwind waits for it. (In its own control plane: the other tests
/// need the CRD.)
pub(crate) async fn crd_missing() -> Result<()> {
    let bed = Bed::own().await?;
    let namespace = bed.namespace("no-crd").await?;
    let operator = Operator::new(&bed, OperatorOptions::new(&namespace)).await?;
    bed.kubectl_ok(&["delete", "crd", "updaterequests.headwind.sh"]).await?;
    operator.start().await?;
    says(&operator, "is not installed; apply the output of `headwind crds`").await?;
    let client = reqwest::Client::new();
    let answer = client.get(format!("{}/ready", operator.metrics_url())).send().await?;
    ensure!(answer.status() == 503 && answer.text().await?.contains("updaterequests"), "not ready, and says what is missing");
    ensure!(
        operator.is_running() && client.get(format!("{}/health", operator.metrics_url())).send().await?.status() == 200,
        "no crash loop"
    );
    let crds = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwind")).arg("crds").output().await?;
    bed.apply_yaml(&String::from_utf8(crds.stdout)?).await?;
    operator.ready().await?;
    ensure!(operator.logs()?.matches("is not installed").count() == 1, "reported once");
    Ok(())
}

/// A missing permission is reported in one clear line, and Headwind waits for it.
pub(crate) async fn permission_missing() -> Result<()> {
    // The permissions of its own account are removed. It has its own control plane, because its 403s must not be in the
    // audit log that is checked after all tests.
    let bed = Bed::own().await?;
    let namespace = bed.namespace("no-right").await?;
    let operator = Operator::new(&bed, OperatorOptions::new(&namespace)).await?;
    let client = reqwest::Client::builder().timeout(SOON).build()?;
    let roles = bed.kubectl_ok(&["get", "roles", "-n", &namespace, "-o", "json"]).await?;
    bed.kubectl_ok(&["delete", "roles", "-n", &namespace, "--all"]).await?;
    operator.start().await?;
    says(&operator, "not allowed to list and watch deployments.apps in namespace").await?;
    says(&operator, "failed to acquire the lease").await?;
    // Settings are optional: they are not waited for.
    says(&operator, "not allowed to list and watch configmaps headwind").await?;
    ensure!(operator.is_running());
    let mut roles: serde_json::Value = serde_json::from_str(&roles)?;
    for role in roles["items"].as_array_mut().into_iter().flatten() {
        role["metadata"] = json!({"name": role["metadata"]["name"], "namespace": namespace});
    }
    // The ConfigMap may contain a freeze, so everything is frozen until it is read.
    let mut without_config_map = roles.clone();
    for role in without_config_map["items"].as_array_mut().into_iter().flatten() {
        let permissions = role["rules"].as_array_mut().context("rules")?;
        permissions.retain(|rule| !rule["resources"].as_array().is_some_and(|all| all.contains(&json!("configmaps"))));
    }
    bed.apply_yaml(&without_config_map.to_string()).await?;
    operator.ready().await?;
    let freeze = || async {
        let limits = client.get(format!("{}/api/v1/limits", operator.api_url())).send().await?;
        anyhow::Ok(limits.json::<serde_json::Value>().await?["freeze"].clone())
    };
    let frozen = freeze().await?;
    ensure!(
        frozen["reason"].as_str().is_some_and(|reason| reason.contains("has not been able to read the ConfigMap headwind")),
        "{frozen}"
    );
    bed.apply_yaml(&roles.to_string()).await?;
    eventually("the freeze ends", SOON, || async {
        let freeze = freeze().await.map_err(|error| error.to_string())?;
        if freeze.is_null() { Ok(()) } else { Err(freeze.to_string()) }
    })
    .await?;
    for resource in ["deployments.apps", "configmaps headwind"] {
        ensure!(operator.logs()?.matches(&format!("not allowed to list and watch {resource}")).count() == 1, "{resource}: reported once");
    }
    // With the permission, settings take effect.
    let interval = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "headwind", "namespace": namespace},
        "data": {"HEADWIND_POLLING_ENABLED": "true", "HEADWIND_POLLING_INTERVAL": "77"}});
    bed.apply_yaml(&interval.to_string()).await?;
    eventually("the setting is in effect", SOON, || async {
        let now = operator.metric("headwind_polling_interval_seconds", &[]).await.map_err(|error| error.to_string())?;
        if (now - 77.0).abs() < f64::EPSILON { Ok(()) } else { Err(now.to_string()) }
    })
    .await?;
    Ok(())
}

/// An invalid setting, or a port in use, ends the start with one clear line.
pub(crate) async fn bad_settings() -> Result<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    for (variables, expected) in [
        (vec![("HEADWIND_WEBHOOK_ADDR", address.as_str())], "cannot listen on"),
        (vec![("HEADWIND_API_ADDR", "nowhere")], "--api-addr"),
        (vec![("HEADWIND_UI_AUTH_MODE", "magic")], "magic"),
        (vec![("HEADWIND_UI_AUTH_MODE", "proxy")], "--ui-proxy-cidrs"),
        (vec![("HEADWIND_UI_PROXY_CIDRS", "0.0.0.0/0")], "0.0.0.0/0 is too large"),
        (vec![("HEADWIND_TLS_CERT_FILE", "/does/not/exist.pem")], "--tls-key-file"),
        (vec![("HEADWIND_WATCH_NAMESPACES", "Bad_Name")], "Bad_Name"),
        (vec![("HEADWIND_WATCH_NAMESPACES", ",")], "names no namespace"),
        (vec![("HEADWIND_ALLOWED_HOSTS", "*.example.com")], "name each host"),
        (vec![("HEADWIND_HISTORY_LIMIT", "0")], "--history-limit"),
        (vec![("HEADWIND_WEBHOOK_SECRET", "")], "secret"),
        (vec![("HEADWIND_REGISTRY_CONFIG", "/does/not/exist.yaml")], "/does/not/exist.yaml"),
        (vec![("HEADWIND_WEBHOOK_GOOGLE_AUDIENCE", "x")], "--webhook-google-email"),
        (
            vec![
                ("HEADWIND_API_ADDR", "nowhere"),
                ("HEADWIND_HISTORY_LIMIT", "0"),
                ("HEADWIND_POLLING_INTERVAL", "soon"),
                ("HEADWIND_UI_AUTH_MODE", "magic"),
            ],
            "soon",
        ),
        (vec![("RUST_LOG", "headwind=loudest")], "RUST_LOG"),
        (vec![("KUBECONFIG", "/does/not/exist")], "kubeconfig"),
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwind"));
        command.arg("run").env_clear().kill_on_drop(true);
        command
            .envs([
                ("HEADWIND_WEBHOOK_ADDR", "127.0.0.1:0"),
                ("HEADWIND_API_ADDR", "127.0.0.1:0"),
                ("HEADWIND_UI_ADDR", "127.0.0.1:0"),
                ("HEADWIND_METRICS_ADDR", "127.0.0.1:0"),
                ("HOME", "/does/not/exist"),
            ])
            .envs(variables.clone());
        let output = tokio::time::timeout(SOON, command.output()).await??;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "{variables:?} started");
        for (name, _) in &variables {
            // One start reports every fault.
            let flag = format!("--{}", name.trim_start_matches("HEADWIND_").to_lowercase().replace('_', "-"));
            ensure!(variables.len() == 1 || error.contains(&flag), "{variables:?}: {flag} is not in the error: {error}");
        }
        ensure!(error.contains(expected) || error.to_lowercase().contains(&expected.to_lowercase()), "{variables:?}: {error}");
    }
    Ok(())
}

/// Without a limit, every namespace is watched with the shipped ClusterRole, and a change of a namespace's annotations
/// takes effect at once. (In its own control plane: it would act on the workloads of other tests.)
/// With `platforms: cluster`, the nodes that the pods may be scheduled on say which platforms a version needs.
async fn of_the_nodes(bed: &Bed, operator: &Operator, namespace: &str) -> Result<()> {
    let registry = headwind_testbed::FakeRegistry::start().await?;
    let image = |tag: &str| format!("{}/web:{tag}", registry.host());
    let fixture = headwind_testbed::Fixture::new(WorkloadKind::Deployment, "platforms").container("web", &image("1.0.0"));
    let live = fixture.headwind("platforms", "cluster").create(&bed.client().await?, namespace).await?;
    let push = async |tag: &str, platforms: &[(&str, &str)]| {
        let digest = registry.push("web", tag, &crate::platforms::index(tag, platforms));
        let body = headwind_testbed::payload::distribution(&registry.host(), "web", tag, &digest);
        let answer = reqwest::Client::new().post(operator.notifications()?).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok::<_, anyhow::Error>(())
    };
    // The nodes of the test bed are linux/amd64. They are read once the workload is known.
    eventually("the version for the nodes is applied", SOON, || async {
        push("1.2.0", &[("linux", "arm64")]).await.map_err(|error| error.to_string())?;
        push("1.1.0", &[("linux", "amd64")]).await.map_err(|error| error.to_string())?;
        let now = live.image_of("web").await.map_err(|error| error.to_string())?;
        if now == image("1.1.0") { Ok(()) } else { Err(now) }
    })
    .await?;
    let missing = operator.metric("headwind_updates_refused_total", &[("reason", "PlatformMissing")]).await?;
    ensure!(missing >= 1.0, "{missing}");
    Ok(())
}

pub(crate) async fn all_namespaces() -> Result<()> {
    let bed = Bed::own().await?;
    let own = bed.namespace("own").await?;
    let options = OperatorOptions { admission_policy: false, ..OperatorOptions::new(&own).watch(&[]) };
    let operator = Operator::run(&bed, options).await?;
    let shop = bed.namespace("shop").await?;
    let client = bed.client().await?;
    let live = headwind_testbed::Fixture::new(WorkloadKind::StatefulSet, "web")
        .container("web", &image("n/web", "1.0.0"))
        .create(&client, &shop)
        .await?;
    bed.kubectl_ok(&["annotate", "namespace", &shop, "headwind.sh/policy=minor", "headwind.sh/require-approval=false"]).await?;
    let http = reqwest::Client::new();
    let body = headwind_testbed::payload::distribution(crate::world::HOST, "n/web", "1.1.0", &crate::world::digest('a'));
    // Repeats the push until the operator knows both workloads: it ignores pushes without a matching workload.
    eventually("the push is taken and applied", SOON, || async {
        http.post(operator.notifications().map_err(|error| error.to_string())?)
            .json(&body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let now = live.image_of("web").await.map_err(|error| error.to_string())?;
        if now == image("n/web", "1.1.0") { Ok(()) } else { Err(now) }
    })
    .await?;
    says(&operator, "updaterequests.headwind.sh is not in effect").await?;
    of_the_nodes(&bed, &operator, &shop).await?;
    let mut audit = anyhow::Context::context(bed.audit(), "own control plane")?;
    audit.catch_up(&client).await?;
    let forbidden = audit.forbidden(&operator.requests())?;
    ensure!(forbidden.is_empty(), "{forbidden:?}");
    let used = audit.used_rules(&operator.requests())?;
    for (resource, verb) in [("namespaces", "list"), ("namespaces", "watch"), ("nodes", "list")] {
        ensure!(used.iter().any(|rule| rule.resource == resource && rule.verb == verb), "{verb} {resource} was not used");
    }
    ensure!(operator.terminate().await? == Some(0));
    Ok(())
}
