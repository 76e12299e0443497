//! Approvals by several people, and what an approval is bound to.

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{FakeRegistry, Fault, WorkloadKind, eventually, payload};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::account::{Account, bind, denied, granted};
use crate::approval::people;
use crate::world::{SOON, World, image};

const APPROVE: &[&str] = &["approve", "updaterequests.headwind.sh"];
const KIND: WorkloadKind = WorkloadKind::Deployment;

impl World {
    async fn approves(&self, request: &str, account: &Account) -> Result<(u16, Value)> {
        let path = format!("{}/api/v1/updates/{}/{request}/approve", self.operator.api_url(), self.namespace);
        let answer = self.http.post(path).bearer_auth(&account.token).json(&json!({})).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
    }

    /// Waits until these people are listed as approvers.
    async fn counted_approvals(&self, name: &str, phase: &str, people: &[&str]) -> Result<UpdateRequest> {
        eventually(&format!("{name} is {phase} with approvals of {people:?}"), SOON, || async {
            let request = self.requests_api().get(name).await.map_err(|error| error.to_string())?;
            let status = request.status.clone().unwrap_or_default();
            let by: Vec<&str> = status.approvals.iter().map(|approval| approval.by.as_str()).collect();
            if by == people && request.phase().as_str() == phase { Ok(request) } else { Err(format!("{} {status:?}", request.phase())) }
        })
        .await
    }
}

/// Two people must approve: by the API with their own tokens, and by kubectl. The same person twice counts once, a
/// person without the permission is refused, and the approval of a person who rejected the update before does not
/// count.
pub(crate) async fn two_people() -> Result<()> {
    let world = World::with("quorum", |options| options.env("HEADWIND_UI_AUTH_MODE", "token")).await?;
    let old = image("shop/web", "1.0.0");
    let live = world.create(&World::asking(KIND, "web", &old).headwind("approvals", "2")).await?;
    people(&world).await?;
    let (eve, sam) = (Account::with(&world, "eve", "headwind-approver", APPROVE).await?, Account::new(&world, "sam").await?);
    let binding = bind(&world, &world.namespace, "headwind-approver", &format!("--serviceaccount={}:sam", world.namespace)).await?;
    granted(&world, &sam.user, &world.namespace, APPROVE).await?;
    let kubectl = async |user: &str, name: &str, status: Value| {
        let body = json!({"status": status}).to_string();
        let args = ["--as", user, "-n", &world.namespace, "patch", "ur", name, "--subresource=status", "--type=merge", "-p", &body];
        let output = world.bed.kubectl(&args).await?;
        Ok::<_, anyhow::Error>((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };

    world.push("shop/web", "1.1.0").await?;
    let new = image("shop/web", "1.1.0");
    let pending = world.request(&new, "Pending").await?;
    ensure!(pending.spec.approvals == Some(2), "{:?}", pending.spec);
    let name = pending.name_any();
    let (status, body) = world.approves(&name, &eve).await?;
    ensure!(status == 200 && body["status"]["phase"] == "Pending", "{status} {body}");
    ensure!(body["status"]["approvals"][0]["by"] == *eve.user && body["status"].get("approvedBy").is_none(), "{body}");
    ensure!(body["status"]["message"].as_str().is_some_and(|message| message.contains("1 of 2 approvals")), "{body}");
    // Approvals of the same person count once, by any way.
    let (status, body) = world.approves(&name, &eve).await?;
    ensure!(status == 409 && body["detail"].as_str().is_some_and(|detail| detail.contains("another person")), "{status} {body}");
    let (done, error) = kubectl(&eve.user, &name, json!({"phase": "Approved", "approvedBy": eve.user})).await?;
    ensure!(!done && error.contains("another person must approve"), "{error}");
    // Only Headwind may write the list of approvals.
    let (done, error) = kubectl("ann", &name, json!({"approvals": [{"by": "ann"}, {"by": "bob"}]})).await?;
    ensure!(!done && error.contains("only Headwind"), "{error}");
    let (done, error) = kubectl("ann", &name, json!({"phase": "Approved", "approvedBy": "ann", "approvals": [{"by": "bob"}]})).await?;
    ensure!(!done, "{error}");
    // The approval of a person who lost the permission does not count.
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "rolebinding", &binding]).await?;
    denied(&world, &sam.user, &world.namespace, APPROVE).await?;
    ensure!(world.approves(&name, &sam).await?.0 == 403);
    ensure!(live.image_of("web").await? == old && world.patches(&live).await? == 0);
    world.counted("headwind_updates_approved_total", 0.0).await?;
    let (done, error) = kubectl("ann", &name, json!({"phase": "Approved", "approvedBy": "ann"})).await?;
    ensure!(done, "{error}");
    live.has_image("web", &new, SOON).await?;
    world.counted_approvals(&name, "Completed", &[&eve.user, "ann"]).await?;
    world.counted("headwind_updates_approved_total", 1.0).await?;
    let history = live.annotations().await?.get("headwind.sh/update-history").cloned().unwrap_or_default();
    ensure!(history.contains(&format!("{}, ann", eve.user)), "{history}");

    // Rejected by ann, reopened by bob: the approval of ann does not count.
    world.push("shop/web", "1.2.0").await?;
    let name = world.request(&image("shop/web", "1.2.0"), "Pending").await?.name_any();
    for (user, status) in [
        ("ann", json!({"phase": "Rejected", "rejectedBy": "ann"})),
        ("bob", json!({"phase": "Pending"})),
        ("bob", json!({"phase": "Approved", "approvedBy": "bob"})),
    ] {
        eventually(&format!("{user} does it"), SOON, || async {
            match kubectl(user, &name, status.clone()).await {
                Ok((true, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        // Headwind completes what kubectl wrote.
        world.quiet().await?;
        eventually("the record is complete", SOON, || async {
            let status = world.requests_api().get(&name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let phase = status.phase.map(|phase| phase.0.as_str()).unwrap_or_default().to_owned();
            if (phase == "Rejected" && status.finished_at.is_some()) || (phase == "Pending" && status.finished_at.is_none()) {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await?;
    }
    let request = world.counted_approvals(&name, "Pending", &["bob"]).await?;
    ensure!(request.status.unwrap_or_default().previously_rejected_by == ["ann"]);
    let (done, error) = kubectl("ann", &name, json!({"phase": "Approved", "approvedBy": "ann"})).await?;
    ensure!(!done && error.contains("rejected this UpdateRequest before"), "{error}");
    ensure!(live.image_of("web").await? == new);
    let (status, body) = world.approves(&name, &eve).await?;
    ensure!(status == 200 && body["status"]["phase"] == "Approved", "{status} {body}");
    live.has_image("web", &image("shop/web", "1.2.0"), SOON).await?;
    world.counted_approvals(&name, "Completed", &["bob", &eve.user]).await.map(drop)
}

/// Two people in the web UI and the API without tokens: the page says who is missing.
pub(crate) async fn in_the_ui() -> Result<()> {
    let world = World::with("quorum-ui", |options| options.env("HEADWIND_UI_AUTH_MODE", "simple")).await?;
    let live = world.create(&World::asking(KIND, "web", &image("shop/web", "1.0.0")).headwind("approvals", "2")).await?;
    world.push("shop/web", "1.1.0").await?;
    let name = world.request(&image("shop/web", "1.1.0"), "Pending").await?.name_any();
    let page = format!("{}/updates/{}/{name}", world.operator.ui_url(), world.namespace);
    let shown = async |user: &str| {
        Ok::<_, anyhow::Error>(world.http.get(&page).header("X-User", user).send().await?.error_for_status()?.text().await?)
    };
    let approves = async |user: &str| {
        let form = world.http.post(format!("{page}/approve")).header("X-User", user).header("hx-request", "true");
        let answer = form.header("content-type", "application/x-www-form-urlencoded").body("reason=").send().await?;
        Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.text().await?))
    };
    let first = shown("ann").await?;
    ensure!(first.contains("0 of 2 approvals") && first.contains("2 people must approve"), "{first}");
    let (status, said) = approves("ann").await?;
    ensure!(status == 200 && said.contains("has 1 of 2 approvals"), "{status} {said}");
    let own = shown("ann").await?;
    ensure!(own.contains("You have approved") && own.contains("One more person must approve"), "{own}");
    let (status, said) = approves("ann").await?;
    ensure!(status == 409 && said.contains("another person"), "{status} {said}");
    let other = shown("bob").await?;
    ensure!(other.contains("Approved by simple:ann") && !other.contains("You have approved"), "{other}");
    let (status, said) = approves("bob").await?;
    ensure!(status == 200 && said.contains("approved"), "{status} {said}");
    live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    world.counted_approvals(&name, "Completed", &["simple:ann", "simple:bob"]).await?;
    ensure!(world.patches(&live).await? == 1);
    Ok(())
}

/// Headwind applies exactly what was approved, because it confirms the digest before. A tag that moved needs approval
/// again, and a registry that is down delays only this update.
pub(crate) async fn digest() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    let world = World::with("bound", |options| options.env("HEADWIND_APPROVAL_CONFIRM", "true")).await?;
    let host = registry.host();
    let at = |repository: &str, tag: &str| format!("{host}/{repository}:{tag}");
    let (web, direct) = (
        world.create(&World::asking(KIND, "web", &at("web", "1.0.0"))).await?,
        world.create(&World::direct(KIND, "direct", &at("direct", "1.0.0"))).await?,
    );
    let push = async |repository: &str, tag: &str, content: &str| {
        let digest = registry.push(repository, tag, content);
        let (status, body) = world.post(&payload::distribution(&host, repository, tag, &digest)).await?;
        ensure!(status == 202, "{status} {body}");
        Ok::<_, anyhow::Error>(digest)
    };
    let seen = push("web", "1.1.0", "approved").await?;
    let request = world.request(&at("web", "1.1.0"), "Pending").await?;
    ensure!(request.spec.new_digest.as_ref() == Some(&seen), "{:?}", request.spec);
    // The tag moves between the approval and the patch.
    let moved = registry.push("web", "1.1.0", "moved");
    world.does(&request, "approve").await?;
    let again = eventually("the new digest asks again", SOON, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let found = all.iter().find(|one| one.spec.new_digest.as_ref() == Some(&moved) && one.phase().as_str() == "Pending");
        found.cloned().ok_or_else(|| format!("{:?}", all.iter().map(|one| (&one.spec.new_digest, &one.status)).collect::<Vec<_>>()))
    })
    .await?;
    ensure!(again.metadata.uid != request.metadata.uid && web.image_of("web").await? == at("web", "1.0.0"));
    world.has_event(&again.name_any(), "DigestChanged").await?;

    // The registry is down when the update is due: it waits, and another repository is updated meanwhile.
    registry.misbehave(|_| Some(Fault::Answer(503, Vec::new(), String::new())));
    world.does(&again, "approve").await?;
    eventually("it waits for the registry", SOON, || async {
        let status = world.requests_api().get(&again.name_any()).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let waiting = status.conditions.iter().find(|one| one.type_ == "Waiting" && one.status == "True");
        if waiting.is_some_and(|one| one.reason == "DigestNotConfirmed") { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    registry.take_lines();
    push("direct", "1.1.0", "direct").await?;
    direct.has_image("web", &at("direct", "1.1.0"), SOON).await?;
    let asked: Vec<_> = registry.take_lines().into_iter().filter(|line| line.contains("direct")).collect();
    ensure!(asked.is_empty(), "an update that the policy approves asks the registry nothing: {asked:?}");
    ensure!(web.image_of("web").await? == at("web", "1.0.0"));
    registry.behave();
    web.has_image("web", &at("web", "1.1.0"), SOON).await?;
    let done = world.request(&at("web", "1.1.0"), "Completed").await?;
    ensure!(done.spec.new_digest.as_ref() == Some(&moved), "{:?}", done.spec);

    // Without a digest in the webhook, the one that is shown is looked up before the update is proposed, also if the
    // registry is down at first.
    let looked_up = registry.push("web", "1.2.0", "looked up");
    let mut body = payload::distribution(&host, "web", "1.2.0", &looked_up);
    body["events"][0]["target"].as_object_mut().context("target")?.remove("digest");
    registry.misbehave(|_| Some(Fault::Answer(503, Vec::new(), String::new())));
    ensure!(world.post(&body).await?.0 == 202);
    eventually("Headwind queries the registry", SOON, || async {
        if registry.take_lines().iter().any(|line| line.contains("1.2.0")) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    registry.behave();
    let request = world.request(&at("web", "1.2.0"), "Pending").await?;
    ensure!(request.spec.new_digest.as_ref() == Some(&looked_up), "{:?}", request.spec);
    world.does(&request, "approve").await?;
    web.has_image("web", &at("web", "1.2.0"), SOON).await?;
    world.request(&at("web", "1.2.0"), "Completed").await.map(drop)
}
