//! Claims that cannot be recorded or confirmed do not affect others.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{Bed, Operator, OperatorOptions, WorkloadKind, eventually, payload};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::world::{HOST, SOON, World, digest, image};

/// A quota refuses every request of one namespace. Its workload reports the reason, Headwind makes only a few calls,
/// and the push for another namespace is applied.
pub(crate) async fn quota() -> Result<()> {
    // It has its own control plane, because its 403s must not be in the audit log that is checked after all tests.
    let bed = Bed::own().await?;
    let client = bed.client().await?;
    let (full, free) = (bed.namespace("full").await?, bed.namespace("free").await?);
    let operator = Operator::new(&bed, OperatorOptions::new(&full).watch(&[&full, &free])).await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": full},
        "spec": {"hard": {"count/updaterequests.headwind.sh": "0"}},
    });
    bed.apply_yaml(&quota.to_string()).await?;
    World::asking(WorkloadKind::Deployment, "web", &image("q/full", "1.0.0")).create(&client, &full).await?;
    let live = World::direct(WorkloadKind::Deployment, "web", &image("q/free", "1.0.0")).create(&client, &free).await?;
    operator.start().await?;
    operator.ready().await?;
    let http = reqwest::Client::builder().timeout(SOON).build()?;
    let push = async |body: &Value| anyhow::Ok(http.post(operator.notifications()?).json(body).send().await?.status().as_u16());
    let event = |tag: usize| payload::distribution_event("push", HOST, "q/full", &format!("1.{tag}.0"), &digest('a'));
    for call in 0..20 {
        let events: Vec<Value> = (call * 500 + 1..=call * 500 + 500).map(event).collect();
        let status = push(&payload::distribution_events(&events)).await?;
        ensure!([202, 503].contains(&status), "{status}");
    }
    let began = Instant::now();
    ensure!(push(&payload::distribution(HOST, "q/free", "1.1.0", &digest('a'))).await? == 202, "the other namespace has its places");
    live.has_image("web", &image("q/free", "1.1.0"), SOON).await?;
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    let events: Api<Event> = Api::namespaced(client.clone(), &full);
    eventually("the workload says why", SOON, || async {
        let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let notes: Vec<String> =
            all.into_iter().filter(|event| event.reason.as_deref() == Some("NotRecorded")).filter_map(|event| event.note).collect();
        if notes.len() == 1 && notes.iter().all(|note| note.contains("quota")) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await?;
    let listed: Value = http.get(format!("{}/api/v1/workloads?namespace={full}", operator.api_url())).send().await?.json().await?;
    let failure = &listed["items"][0]["containers"][0]["recordingFailure"];
    ensure!(failure["message"].as_str().is_some_and(|message| message.contains("quota")) && failure["retryAt"].is_string(), "{listed}");
    ensure!(Api::<UpdateRequest>::namespaced(client, &full).list(&ListParams::default()).await?.items.is_empty());
    let refused = operator.metric("headwind_update_recording_failures_total", &[("class", "forbidden")]).await?;
    ensure!((1.0..10.0).contains(&refused), "{refused} refused calls");
    Ok(())
}
