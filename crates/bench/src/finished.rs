//! Creates many finished requests, as in a cluster after some years.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::LONG;
use crate::load::{HOST, name};

/// The place of the probe among the requests of a Deployment.
const PROBE: usize = 27;
/// Number of concurrent creates.
const CLIENTS: usize = 16;
const CRD: &str = "updaterequests.headwind.sh";

/// Creates `each` finished requests for each of these Deployments. The operator must not run.
///
/// The CRD has no status subresource meanwhile, so that a request and its status are one write.
pub(crate) async fn create(client: &Client, namespace: &str, deployments: usize, each: usize) -> Result<usize> {
    let uids = uids(client, namespace).await?;
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), namespace);
    let requests = &requests;
    subresources(client, json!([{"op": "remove", "path": "/spec/versions/0/subresources"}])).await?;
    probe(requests, true).await?;
    let all = (0..deployments).flat_map(|n| (0..each).map(move |nth| (n, nth)));
    let made = stream::iter(all)
        .map(|(n, nth)| {
            let uid = uids.get(n);
            async move {
                let request = request(n, nth, uid.context("a Deployment without a uid")?)?;
                requests.create(&PostParams::default(), &request).await.map(drop).context("a finished request")
            }
        })
        .buffer_unordered(CLIENTS)
        .try_fold(0, |made, ()| async move { Ok(made + 1) })
        .await?;
    subresources(client, json!([{"op": "add", "path": "/spec/versions/0/subresources", "value": {"status": {}}}])).await?;
    probe(requests, false).await?;
    Ok(made)
}

/// Waits until the control plane has processed so many new objects: until ten consecutive pages of the list arrive
/// within half a second each.
pub(crate) async fn settled(client: &Client, namespace: &str) -> Result<()> {
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), namespace);
    eventually("the API server lists requests quickly again", LONG, || async {
        for _ in 0..10 {
            let begun = Instant::now();
            requests.list_metadata(&ListParams::default().limit(500)).await.map_err(|error| error.to_string())?;
            if begun.elapsed() > Duration::from_millis(500) {
                return Err(format!("a page took {:?}", begun.elapsed()));
            }
        }
        Ok(())
    })
    .await
}

async fn uids(client: &Client, namespace: &str) -> Result<Vec<String>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut all: Vec<(String, String)> = api
        .list_metadata(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter_map(|object| Some((object.name_any(), object.metadata.uid?)))
        .collect();
    all.sort();
    Ok(all.into_iter().map(|(_, uid)| uid).collect())
}

async fn subresources(client: &Client, patch: Value) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let patch: json_patch::Patch = serde_json::from_value(patch)?;
    crds.patch(CRD, &PatchParams::default(), &Patch::Json::<()>(patch)).await.map(drop).context("the CRD's subresources")
}

/// Waits until the API server treats the status of a new object as wanted: keeps or drops it.
async fn probe(requests: &Api<UpdateRequest>, kept: bool) -> Result<()> {
    eventually("the API server uses the changed CRD", LONG, || async {
        let look = async {
            let made = requests.create(&PostParams::default(), &request(0, PROBE, "probe")?).await?;
            requests.delete(&made.name_any(), &DeleteParams::default()).await?;
            anyhow::Ok(serde_json::to_value(&made)?["status"]["phase"] == "Completed")
        };
        match look.await {
            Ok(found) if found == kept => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Returns a successful update to a version below the current one.
fn request(n: usize, nth: usize, uid: &str) -> Result<UpdateRequest> {
    let image = |nth: usize| format!("{HOST}/bench/{}:0.{nth}.0", name(n));
    let at = format!("2026-01-{:02}T08:00:00Z", nth + 1);
    let object = json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": ObjectMeta {
            name: Some(format!("{}-{:020x}", name(n), n * 100 + nth)),
            owner_references: Some(vec![serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name(n), "uid": uid,
            }))?]),
            ..ObjectMeta::default()
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name(n), "uid": uid},
            "updateType": "image", "containerName": "web", "currentImage": image(nth), "newImage": image(nth + 1),
            "policy": "minor", "reason": "0.2.0 is higher than 0.1.0 and within policy minor", "requireApproval": false,
            "trigger": "webhook",
        },
        "status": {
            "phase": "Completed", "reason": "RolloutComplete", "message": format!("{} is in place, every pod is available", image(nth + 1)),
            "lastUpdated": at, "finishedAt": at, "appliedAt": at, "timesApplied": 1,
        },
    });
    Ok(serde_json::from_value(object)?)
}
