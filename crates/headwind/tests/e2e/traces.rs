//! One trace for each update, from the push to its end, over two replicas.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Operator, OperatorOptions, Receiver, WorkloadKind, eventually, payload};
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

fn sent(collector: &Receiver) -> Vec<Sent> {
    let all = collector.accepted();
    let of = all.iter().flat_map(|body| body["resourceSpans"].as_array().into_iter().flatten());
    of.flat_map(|of| {
        let replica = attribute(&of["resource"]["attributes"], "service.instance.id").unwrap_or_default().to_owned();
        let spans = of["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default();
        spans.into_iter().map(move |span| Sent { replica: replica.clone(), span })
    })
    .collect()
}

pub(crate) async fn one_for_each_update() -> Result<()> {
    let (collector, channel) = (Receiver::start(200, "{}").await?, Receiver::start(204, "").await?);
    let options = |options: OperatorOptions| {
        options
            .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.url())
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary-of-the-collector")
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("WEBHOOK_ENABLED", "true")
            .env("WEBHOOK_URL", &channel.url())
    };
    let world = World::with("traces", options).await?;
    let second = Operator::run(world.bed, options(OperatorOptions::new(&world.namespace)).replica("headwind-1")).await?;
    let operators = [&world.operator, &second];
    let standby = operators[1 - leader(&operators).await?];
    world.create(&World::direct(WorkloadKind::Deployment, "web", &image("t/web", "1.0.0")).replicas(1)).await?;
    let push = payload::distribution(HOST, "t/web", "1.1.0", &digest('a'));
    ensure!(world.http.post(standby.notifications()?).json(&push).send().await?.status() == 202);
    world.request(&image("t/web", "1.1.0"), "Completed").await?;

    let wanted = ["apply", "decide", "notify", "notify", "record", "rollout", "update"];
    let spans = eventually("the whole trace", SOON, || async {
        let mut spans = sent(&collector);
        spans.sort_by_key(|sent| (sent.text("name").to_owned(), sent.text("spanId").to_owned()));
        let names: Vec<&str> = spans.iter().map(|sent| sent.text("name")).collect();
        if names == wanted { Ok(spans) } else { Err(format!("{names:?}")) }
    })
    .await?;
    let root = spans.iter().find(|sent| sent.text("name") == "update").context("the root")?;
    for sent in &spans {
        ensure!(sent.text("traceId") == root.text("traceId") && sent.text("traceId").len() == 32, "{sent:?}");
        let parent = if sent.text("name") == "update" { "" } else { root.text("spanId") };
        ensure!(sent.text("parentSpanId") == parent, "{sent:?}");
        ensure!(sent.attribute("headwind.image.new") == Some(&image("t/web", "1.1.0")), "{sent:?}");
        let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"].map(|field| sent.text(field).parse::<u64>());
        ensure!(start? <= end? && sent.span["status"].is_null(), "{sent:?}");
    }
    let by: BTreeMap<&str, &str> = spans.iter().map(|sent| (sent.text("name"), sent.replica.as_str())).collect();
    ensure!(by["decide"] == by["record"] && by["decide"] != by["update"], "one trace of two replicas: {by:?}");
    ensure!(["apply", "rollout", "notify"].iter().all(|name| by[name] == by["update"]), "{by:?}");
    let log = world.operator.logs()? + &second.logs()?;
    ensure!(log.contains(&format!("\"trace_id\":\"{}\"", root.text("traceId"))), "the log has the trace");
    ensure!(!log.contains("canary-of-the-collector"), "a secret is in the log");
    ensure!(collector.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer canary-of-the-collector"));
    Ok(())
}
