//! `kubectl headwind` with the real API server: an approver, a viewer, and the administrator.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::skip::skipped;
use headwind_testbed::{WorkloadKind, binaries, eventually};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use crate::account::{Account, bind, granted};
use crate::world::{SOON, World, image};

const NOT_PERMITTED: i32 = 4;
const NOT_POSSIBLE: i32 = 5;

/// The result of a command.
struct Said {
    code: i32,
    out: String,
    error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), error: text(output.stderr) }
    }
}

impl Said {
    fn ok(self) -> Result<String> {
        ensure!(self.code == 0, "exit code {}: {}", self.code, self.error);
        Ok(self.out)
    }

    fn fails(&self, code: i32, words: &str) -> Result<()> {
        ensure!(self.code == code && self.error.contains(words), "exit code {}: {}\n{}", self.code, self.error, self.out);
        Ok(())
    }
}

/// Runs the plugin in the namespace of the world, with the token of an account, or as the administrator. `freeze` and `resume`
/// take no namespace.
async fn plugin(world: &World, account: Option<&Account>, args: &[&str]) -> Result<Said> {
    let binary = tokio::task::spawn_blocking(binaries::plugin).await??;
    let mut command = Command::new(binary);
    command.env("KUBECONFIG", world.bed.kubeconfig()).env("HEADWIND_NAMESPACE", &world.namespace).env_remove("NO_COLOR");
    if args.first().is_none_or(|command| !["freeze", "resume"].contains(command)) {
        command.args(["-n", &world.namespace]);
    }
    command.args(account.map(|account| ["--token", &account.token]).into_iter().flatten()).args(args);
    Ok(command.output().await?.into())
}

/// Starts `watch`, and returns its lines. It ends with the test.
async fn watch(world: &World, account: &Account) -> Result<tokio::io::Lines<BufReader<ChildStdout>>> {
    let binary = tokio::task::spawn_blocking(binaries::plugin).await??;
    let mut command = Command::new(binary);
    command.env("KUBECONFIG", world.bed.kubeconfig()).args(["-n", &world.namespace, "--token", &account.token, "watch"]);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let header = tokio::time::timeout(SOON, lines.next_line()).await??.unwrap_or_default();
    ensure!(header.starts_with("NAME"), "{header}");
    tokio::spawn(async move { child.wait().await });
    Ok(lines)
}

async fn approver(world: &World) -> Result<Account> {
    let ann = Account::with(world, "ann", "headwind-approver", &["patch", "updaterequests.headwind.sh", "--subresource=status"]).await?;
    bind(world, &world.namespace, "view", &format!("--serviceaccount={}:ann", world.namespace)).await?;
    granted(world, &ann.user, &world.namespace, &["get", "deployments.apps"]).await?;
    Ok(ann)
}

/// Lists, shows, approves, rejects and reopens. The API server checks the permissions, also without Headwind.
pub(crate) async fn decides() -> Result<()> {
    let world = World::new("plugin").await?;
    let ann = approver(&world).await?;
    let eve = Account::with(&world, "eve", "headwind-viewer", &["list", "updaterequests.headwind.sh"]).await?;
    let sam = Account::new(&world, "sam").await?;
    let mut names = Vec::new();
    for name in ["api", "job", "web"] {
        let repository = format!("shop/{name}");
        world.create(&World::asking(WorkloadKind::Deployment, name, &image(&repository, "1.0.0"))).await?;
        world.push(&repository, "1.1.0").await?;
        names.push(world.request(&image(&repository, "1.1.0"), "Pending").await?.name_any());
    }
    let [api, job, web] = names.try_into().map_err(|names| anyhow::anyhow!("{names:?}"))?;

    for account in [None, Some(&ann), Some(&eve)] {
        let listed = plugin(&world, account, &["list"]).await?.ok()?;
        ensure!(listed.lines().count() == 4 && listed.contains(&web) && listed.contains("deployment/web"), "{listed}");
        ensure!(!listed.contains('\u{1b}'), "colors without a terminal: {listed:?}");
    }
    plugin(&world, Some(&sam), &["list"]).await?.fails(NOT_PERMITTED, "cannot list")?;
    let wide = plugin(&world, Some(&eve), &["-o", "wide", "list", "--phase", "pending"]).await?.ok()?;
    ensure!(wide.contains("webhook") && wide.contains("minor"), "{wide}");
    let list: Value = serde_json::from_str(&plugin(&world, Some(&eve), &["list", "-o", "json"]).await?.ok()?)?;
    ensure!(list["items"][2]["metadata"]["name"] == web.as_str() && list["items"][0]["kind"] == "UpdateRequest", "{list}");
    let by_name = plugin(&world, Some(&eve), &["list", "-o", "name"]).await?.ok()?;
    ensure!(by_name.lines().last() == Some(&format!("updaterequest.headwind.sh/{web}")), "{by_name}");
    let shown = plugin(&world, Some(&eve), &["get", &web]).await?.ok()?;
    ensure!(shown.contains("Phase:      Pending") && shown.contains("created"), "{shown}");
    let differs = plugin(&world, Some(&ann), &["diff", "deploy/web"]).await?.ok()?;
    ensure!(differs.contains(&format!("+ image: {}", image("shop/web", "1.1.0"))), "{differs}");
    let differs = plugin(&world, Some(&eve), &["diff"]).await?.ok()?;
    ensure!(differs.matches("+ image:").count() == 3 && differs.contains("you may not read the workload"), "{differs}");

    plugin(&world, Some(&eve), &["approve", &web]).await?.fails(NOT_PERMITTED, "cannot patch resource \"updaterequests/status\"")?;
    let dry = plugin(&world, Some(&ann), &["approve", "--all", "--dry-run"]).await?.ok()?;
    ensure!(dry.lines().count() == 3 && dry.lines().all(|line| line.contains("approved (dry run)")), "{dry}");
    ensure!(world.requests().await?.iter().all(|request| request.phase().as_str() == "Pending"), "the dry run changed something");
    plugin(&world, Some(&ann), &["approve", "deployment/web", "--reason", "tested"]).await?.ok()?;
    let done = world.request(&image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(done.status.unwrap_or_default().approved_by == Some(ann.user.clone()), "the API server saw the user");
    let again = plugin(&world, Some(&ann), &["approve", &web]).await?;
    again.fails(NOT_POSSIBLE, "cannot approve a request that is Completed")?;

    let mut changes = watch(&world, &eve).await?;
    plugin(&world, Some(&ann), &["reject", &job, "--reason", "breaks the login"]).await?.ok()?;
    let shown = tokio::time::timeout(SOON, async {
        while let Some(line) = changes.next_line().await? {
            if line.contains(&job) && line.contains("Rejected") {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    });
    shown.await.context("watch shows the rejection")??;
    let rejected = world.request(&image("shop/job", "1.1.0"), "Rejected").await?;
    let status = rejected.status.unwrap_or_default();
    ensure!(status.message.as_deref().is_some_and(|message| message.contains("breaks the login")), "{status:?}");
    plugin(&world, Some(&ann), &["reopen", &format!("ur/{job}")]).await?.ok()?;
    world.request(&image("shop/job", "1.1.0"), "Pending").await?;
    // As the administrator, by impersonation, and one failure beside a success.
    let both = plugin(&world, None, &["--as", &ann.user, "approve", &api, "no-such-request"]).await?;
    both.fails(3, "there is no UpdateRequest no-such-request")?;
    ensure!(both.out.contains(&api), "{}", both.out);
    let both = plugin(&world, None, &["approve", &web, &job, "-o", "json"]).await?;
    both.fails(NOT_POSSIBLE, "1 UpdateRequest not approved")?;
    let list: Value = serde_json::from_str(&both.out)?;
    ensure!(list["items"][0]["metadata"]["name"] == job.as_str() && list["items"][1].is_null(), "{list}");
    world.request(&image("shop/job", "1.1.0"), "Completed").await?;
    world.request(&image("shop/api", "1.1.0"), "Completed").await.map(drop)
}

/// Returns an address of this machine that is not loopback: a Service may not lead to loopback.
fn own_address() -> Option<Ipv4Addr> {
    // Nothing is sent.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// Commands that need data from Headwind call it through the proxy of the API server, with the token of the user.
pub(crate) async fn asks_headwind() -> Result<()> {
    let Some(address) = own_address() else {
        skipped("plugin_asks_headwind", "this machine has no address but loopback");
        return Ok(());
    };
    let port = TcpListener::bind((address, 0))?.local_addr()?.port();
    let world = World::with("plugin", |options| {
        options.env("HEADWIND_UI_AUTH_MODE", "token").env("HEADWIND_API_ADDR", &format!("{address}:{port}"))
    })
    .await?;
    let ports = json!([{"name": "api", "port": port}]);
    let namespace = &world.namespace;
    // The API server forwards to addresses of pods only. This pod is never scheduled: it stands for the operator.
    let objects = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headwind", "namespace": namespace}, "spec": {"ports": ports}}),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "headwind", "namespace": namespace},
            "spec": {"schedulerName": "none", "containers": [{"name": "headwind", "image": "headwind"}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports,
            "metadata": {"name": "headwind", "namespace": namespace, "labels": {"kubernetes.io/service-name": "headwind"}},
            "endpoints": [{
                "addresses": [address.to_string()], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": "headwind", "namespace": namespace},
            }],
        }),
    ];
    world.bed.apply_yaml(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).await?;
    let status = json!({"status": {"phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}]}}).to_string();
    world.bed.kubectl_ok(&["-n", namespace, "patch", "pod", "headwind", "--subresource=status", "--type=merge", "-p", &status]).await?;
    let ann = approver(&world).await?;
    let eve = Account::with(&world, "eve", "headwind-viewer", &["list", "updaterequests.headwind.sh"]).await?;
    for name in ["ann", "eve"] {
        bind(&world, &world.namespace, "headwind-plugin", &format!("--serviceaccount={}:{name}", world.namespace)).await?;
    }
    for account in [&ann, &eve] {
        granted(&world, &account.user, &world.namespace, &["create", "services/headwind:api", "--subresource=proxy"]).await?;
    }
    let sam = Account::with(&world, "sam", "headwind-viewer", &["list", "updaterequests.headwind.sh"]).await?;
    let live = world.create(&World::asking(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0"))).await?;

    let version = eventually("Headwind answers through the proxy", SOON, || async {
        let said = plugin(&world, Some(&eve), &["version"]).await.map_err(|error| error.to_string())?;
        said.ok().map_err(|error| error.to_string())
    })
    .await?;
    ensure!(version.lines().count() == 2 && version.contains("headwind "), "{version}");
    let all = plugin(&world, Some(&eve), &["workloads", "-q", "web"]).await?.ok()?;
    ensure!(all.contains("deployment/web") && all.contains(&image("shop/web", "1.0.0")), "{all}");
    plugin(&world, Some(&sam), &["workloads"]).await?.fails(NOT_PERMITTED, "headwind-plugin")?;
    plugin(&world, Some(&eve), &["workloads", "-A"]).await?.ok()?;
    let elsewhere = plugin(&world, Some(&eve), &["workloads", "-n", "kube-system"]).await?;
    elsewhere.fails(NOT_PERMITTED, "updaterequests")?;

    world.push("shop/web", "1.1.0").await?;
    world.request(&image("shop/web", "1.1.0"), "Pending").await?;
    plugin(&world, Some(&ann), &["approve", "deploy/web"]).await?.ok()?;
    world.request(&image("shop/web", "1.1.0"), "Completed").await?;
    let explained = plugin(&world, Some(&ann), &["explain", "deployment", "web"]).await?.ok()?;
    ensure!(explained.contains("Policy:    minor"), "{explained}");
    plugin(&world, Some(&eve), &["explain", "deployment/web"]).await?.fails(NOT_PERMITTED, "deployments")?;
    plugin(&world, Some(&ann), &["explain", "deploy/none"]).await?.fails(3, "not found")?;
    let history = plugin(&world, Some(&eve), &["history", "deploy/web"]).await?.ok()?;
    ensure!(history.contains("current") && history.contains(&image("shop/web", "1.0.0")), "{history}");
    plugin(&world, Some(&eve), &["rollback", "deploy/web"]).await?.fails(NOT_PERMITTED, "approve")?;
    let back = plugin(&world, Some(&ann), &["rollback", "deploy/web", "--reason", "too slow"]).await?.ok()?;
    ensure!(back.contains("rolls back from"), "{back}");
    live.has_image("web", &image("shop/web", "1.0.0"), SOON).await?;
    plugin(&world, Some(&ann), &["rollback", "deploy/web", "--index", "9"]).await?.fails(NOT_POSSIBLE, "nothing older")?;
    // The administrator has a client certificate, and so no token for Headwind.
    plugin(&world, None, &["workloads"]).await?.fails(NOT_PERMITTED, "use --token")?;
    plugin(&world, Some(&ann), &["--as", "bob", "workloads"]).await?.fails(2, "--as has no effect")?;
    plugin(&world, Some(&ann), &["--headwind-namespace", "default", "workloads"]).await?.fails(NOT_PERMITTED, "default")
}

/// A freeze is a key of the ConfigMap, which only administrators may write.
pub(crate) async fn freezes() -> Result<()> {
    let world = World::prepared("plugin-freeze", &[], |options| options).await?;
    let eve = Account::new(&world, "eve").await?;
    let value = async || -> Result<Option<String>> {
        let get = ["-n", &world.namespace, "get", "configmap", "headwind", "-o", "json", "--ignore-not-found"];
        let text = world.bed.kubectl_ok(&get).await?;
        let map: Value = if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        Ok(map["data"]["freeze"].as_str().map(str::to_owned))
    };
    plugin(&world, None, &["freeze", "-n", &world.namespace]).await?.fails(2, "annotation headwind.sh/freeze")?;
    plugin(&world, Some(&eve), &["freeze"]).await?.fails(NOT_PERMITTED, "configmaps")?;
    ensure!(plugin(&world, None, &["resume"]).await?.ok()?.contains("not frozen"));
    // The ConfigMap does not exist yet, and then it does.
    for reason in ["holidays", "audit"] {
        let said = plugin(&world, None, &["freeze", "--for", "2h", "--reason", reason]).await?.ok()?;
        ensure!(said.contains("frozen until 20"), "{said}");
        let frozen = value().await?.context("no freeze")?;
        let (until, rest) = frozen.split_once('\n').context("two lines")?;
        let until: jiff::Timestamp = until.strip_prefix("until: ").context("an end")?.parse()?;
        let left = until.duration_since(jiff::Timestamp::now()).as_secs();
        ensure!(rest == format!("reason: {reason}") && (7000..=7200).contains(&left), "{frozen}");
    }
    ensure!(plugin(&world, None, &["resume"]).await?.ok()?.contains("reason: audit"));
    ensure!(value().await?.is_none(), "the key is gone");
    plugin(&world, None, &["freeze", "--until", "2020-01-01T00:00:00Z"]).await?.fails(2, "in the past")?;
    // A person resumes after failures too.
    let pauses = r#"{"data":{"pauseAfterFailures":"3"}}"#;
    world.bed.kubectl_ok(&["-n", &world.namespace, "patch", "configmap", "headwind", "--type=merge", "-p", pauses]).await?;
    ensure!(plugin(&world, None, &["resume"]).await?.ok()?.starts_with("resumed"));
    let map = world.bed.kubectl_ok(&["-n", &world.namespace, "get", "configmap", "headwind", "-o", "jsonpath={.data.resumedAt}"]).await?;
    ensure!(map.parse::<jiff::Timestamp>().is_ok(), "{map}");
    Ok(())
}
