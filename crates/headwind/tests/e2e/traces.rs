//! One trace for each update, from the push to its end, over two replicas, in a real OpenTelemetry Collector. If
//! `HEADWIND_TRACE` names a file, the trial writes the trace there, for the docs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Collector, Operator, OperatorOptions, Receiver, WorkloadKind, eventually, payload};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::kill::leader;
use crate::world::{HOST, SOON, World, digest, image};

/// A span, and the replica that sent it.
#[derive(Debug, Clone)]
struct Sent {
    replica: String,
    span: Value,
}

impl Sent {
    fn text(&self, field: &str) -> &str {
        self.span[field].as_str().unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.span["attributes"], name)
    }
}

fn attribute<'a>(all: &'a Value, name: &str) -> Option<&'a str> {
    all.as_array()?.iter().find(|one| one["key"] == name)?["value"]["stringValue"].as_str()
}

fn sent(collector: &Collector) -> Result<Vec<Sent>, String> {
    let all = collector.accepted().map_err(|error| error.to_string())?;
    let of = all.iter().flat_map(|body| body["resourceSpans"].as_array().into_iter().flatten());
    let spans = of.flat_map(|of| {
        let replica = attribute(&of["resource"]["attributes"], "service.instance.id").unwrap_or_default().to_owned();
        let spans = of["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default();
        spans.into_iter().map(move |span| Sent { replica: replica.clone(), span })
    });
    Ok(spans.collect())
}

/// Waits until the Collector has spans with exactly these names. Returns them by name.
async fn whole(collector: &Collector, wanted: &[&str]) -> Result<Vec<Sent>> {
    eventually("the whole trace", SOON, || async {
        let mut spans = sent(collector)?;
        spans.sort_by_key(|sent| (sent.text("name").to_owned(), sent.text("startTimeUnixNano").to_owned()));
        let names: Vec<&str> = spans.iter().map(|sent| sent.text("name")).collect();
        if names == wanted { Ok(spans) } else { Err(format!("{names:?}")) }
    })
    .await
}

pub(crate) async fn one_for_each_update() -> Result<()> {
    let (collector, channel) = (Collector::start("traces_two_replicas").await?, Receiver::start(204, "").await?);
    let options = |options: OperatorOptions| {
        options
            .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.url())
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary-of-the-collector")
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("OTEL_TRACES_SAMPLER", "parentbased_always_on")
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("HEADWIND_UI_AUTH_MODE", "simple")
            .env("WEBHOOK_ENABLED", "true")
            .env("WEBHOOK_URL", &channel.url())
    };
    let world = World::with("traces", options).await?;
    let second = Operator::run(world.bed, options(OperatorOptions::new(&world.namespace)).replica("headwind-1")).await?;
    let operators = [&world.operator, &second];
    let standby = operators[1 - leader(&operators).await?];
    world.create(&World::asking(WorkloadKind::Deployment, "web", &image("t/web", "1.0.0")).replicas(1)).await?;
    let push = payload::distribution(HOST, "t/web", "1.1.0", &digest('a'));
    ensure!(world.http.post(standby.notifications()?).json(&push).send().await?.status() == 202);
    let request = world.request(&image("t/web", "1.1.0"), "Pending").await?;
    let approve = async || {
        let path = format!("/api/v1/updates/{}/{}/approve", world.namespace, request.name_any());
        let call = world.http.post(format!("{}{path}", standby.api_url())).header("content-type", "application/json");
        anyhow::Ok(call.header("x-user", "ann").send().await?.status().as_u16())
    };
    ensure!(approve().await? == 200);
    world.request(&image("t/web", "1.1.0"), "Completed").await?;

    let mut wanted = vec!["action", "apply", "approval", "decide", "notify", "notify", "notify", "record", "rollout", "update"];
    let spans = whole(&collector, &wanted).await?;
    let root = spans.iter().find(|sent| sent.text("name") == "update").context("the root")?;
    for sent in &spans {
        ensure!(sent.text("traceId") == root.text("traceId") && sent.text("traceId").len() == 32, "{sent:?}");
        let parent = if sent.text("name") == "update" { "" } else { root.text("spanId") };
        ensure!(sent.text("parentSpanId") == parent, "{sent:?}");
        ensure!(sent.attribute("headwind.image.new") == Some(&image("t/web", "1.1.0")), "{sent:?}");
        let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"].map(|field| sent.text(field).parse::<u64>());
        ensure!(start? <= end? && sent.span["status"]["code"].is_null(), "{sent:?}");
    }
    let by: BTreeMap<&str, &str> = spans.iter().map(|sent| (sent.text("name"), sent.replica.as_str())).collect();
    ensure!(by["decide"] == by["record"] && by["decide"] != by["update"], "one trace of two replicas: {by:?}");
    ensure!(["approval", "apply", "rollout", "notify"].iter().all(|name| by[name] == by["update"]), "{by:?}");
    // The click is in the trace too, from the replica that was called, whatever came of it.
    ensure!(by["action"] == by["decide"], "{by:?}");
    ensure!(approve().await? == 409, "it is finished");
    wanted.insert(0, "action");
    let spans = whole(&collector, &wanted).await?;
    let [done, refused] = [0, 1].map(|n| &spans[n]);
    for (action, result) in [(done, "success"), (refused, "failure")] {
        ensure!(action.text("traceId") == root.text("traceId") && action.text("parentSpanId") == root.text("spanId"), "{action:?}");
        let of = ["headwind.action", "headwind.action.user", "headwind.action.result"].map(|name| action.attribute(name));
        ensure!(of == [Some("approve"), Some("simple:ann"), Some(result)], "{action:?}");
    }
    ensure!(done.span["status"]["code"].is_null() && refused.span["status"]["code"] == 2, "{refused:?}");
    if let Some(path) = std::env::var_os("HEADWIND_TRACE") {
        std::fs::write(path, serde_json::to_string_pretty(&collector.accepted()?)?)?;
    }
    let log = world.operator.logs()? + &second.logs()?;
    ensure!(log.contains(&format!("\"trace_id\":\"{}\"", root.text("traceId"))), "the log has the trace");
    ensure!(!log.contains("canary-of-the-collector"), "a secret is in the log");
    ensure!(log.matches("OTEL_EXPORTER_OTLP_COMPRESSION: ").count() == 2, "one warning of each replica");
    ensure!(collector.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer canary-of-the-collector"));
    Ok(())
}
