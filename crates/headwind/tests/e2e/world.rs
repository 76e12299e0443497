//! The common parts of every scenario: a namespace, an operator limited to it, and functions to observe it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use headwind_core::reason::Reason;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::chart::Chart;
use headwind_testbed::workload::Live;
use headwind_testbed::{Audit, Bed, Fixture, Operator, OperatorOptions, Registry, RegistryOptions, WorkloadKind, eventually, payload};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::Value;

/// Timeout on a busy machine; a normal run takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(90);
/// The registry in direct webhooks.
pub(crate) const HOST: &str = "registry.test:5000";

/// Returns a digest made of one letter.
pub(crate) fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

pub(crate) struct World {
    pub(crate) bed: &'static Bed,
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    pub(crate) operator: Operator,
    pub(crate) http: reqwest::Client,
    /// The kind that the scenario runs for.
    pub(crate) kind: WorkloadKind,
    /// The registry in direct webhooks: for pods a registry that is never queried, for releases a real one, because
    /// Flux fetches the charts.
    host: String,
    charts: Option<Registry>,
    /// The position in the audit log at the start.
    began: u64,
}

impl World {
    /// Creates a namespace and starts an operator.
    pub(crate) async fn new(hint: &str) -> Result<Self> {
        Self::with(hint, |options| options).await
    }

    /// The same for a kind: the start of scenarios that run for every kind.
    pub(crate) async fn of(kind: WorkloadKind, hint: &str) -> Result<Self> {
        match kind {
            WorkloadKind::HelmRelease => Self::of_releases(hint, &[]).await,
            WorkloadKind::Rollout => Self::of_rollouts(hint).await,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::CronJob => Self::new(hint).await,
        }
    }

    /// The same for Rollouts, with the controller of Argo Rollouts.
    pub(crate) async fn of_rollouts(hint: &str) -> Result<Self> {
        Bed::start().await?.argo_rollouts().await?;
        Ok(Self { kind: WorkloadKind::Rollout, ..Self::new(hint).await? })
    }

    /// The same for releases, with an operator that watches these namespaces as well.
    pub(crate) async fn of_releases(hint: &str, also: &[&str]) -> Result<Self> {
        Bed::start().await?.flux().await?;
        let charts = Registry::start(&[], RegistryOptions::default()).await?;
        // Automatic look-ups would come before pushes. They have their own scenarios.
        let options = |mut options: OperatorOptions| {
            options.namespaces.extend(also.iter().map(|namespace| (*namespace).to_owned()));
            options.env("HEADWIND_HELM_AUTO_DISCOVERY", "false")
        };
        let world = Self::with(hint, options).await?;
        Ok(Self { kind: WorkloadKind::HelmRelease, host: charts.addr().to_owned(), charts: Some(charts), ..world })
    }

    pub(crate) async fn with(hint: &str, options: impl FnOnce(OperatorOptions) -> OperatorOptions) -> Result<Self> {
        let world = Self::prepared(hint, &[], options).await?;
        world.operator.start().await?;
        world.operator.ready().await?;
        Ok(world)
    }

    /// The same, not started, in a namespace with annotations.
    pub(crate) async fn prepared(
        hint: &str,
        annotations: &[(&str, &str)],
        options: impl FnOnce(OperatorOptions) -> OperatorOptions,
    ) -> Result<Self> {
        let bed = Bed::start().await?;
        let began = bed.audit_length();
        let namespace = bed.namespace_with(hint, annotations).await?;
        let operator = Operator::new(bed, options(OperatorOptions::new(&namespace))).await?;
        // The operator closes an idle connection after 10 s: it must not be reused at that moment.
        let http = reqwest::Client::builder().timeout(SOON).pool_idle_timeout(Duration::from_secs(5)).build()?;
        let (kind, host) = (WorkloadKind::Deployment, HOST.to_owned());
        Ok(Self { bed, client: bed.client().await?, namespace, operator, http, kind, host, charts: None, began })
    }

    /// Starts a registry that calls this operator.
    pub(crate) async fn registry(&self) -> Result<Registry> {
        Registry::start(&[self.operator.notifications()?], RegistryOptions::default()).await
    }

    /// Returns the image for a fixture. For a release, the chart is published, so that Flux finds it.
    pub(crate) async fn source(&self, repository: &str, tag: &str) -> Result<String> {
        self.publish(repository, tag).await?;
        Ok(format!("{}/{repository}:{tag}", self.host))
    }

    /// Returns the image in Headwind's format.
    pub(crate) fn image(&self, repository: &str, tag: &str) -> String {
        self.kind.image(&self.host, repository, tag)
    }

    async fn publish(&self, repository: &str, tag: &str) -> Result<()> {
        let Some(charts) = &self.charts else { return Ok(()) };
        let (path, name) = repository.rsplit_once('/').unwrap_or(("", repository));
        let pods = tag.find('-').and_then(|at| tag.get(at..)).unwrap_or_default();
        charts.put_chart(path, &Chart::new(name, tag).pods(pods)).await.map(drop)
    }

    /// Returns a workload that is updated at once, without approval and interval.
    pub(crate) fn direct(kind: WorkloadKind, name: &str, image: &str) -> Fixture {
        Self::asking(kind, name, image).headwind("require-approval", "false")
    }

    /// Returns a workload that requires approval, without an interval.
    pub(crate) fn asking(kind: WorkloadKind, name: &str, image: &str) -> Fixture {
        Fixture::new(kind, name)
            .container("web", image)
            .headwind("policy", "minor")
            .headwind("min-update-interval", "0")
            .headwind("settle-time", "0")
    }

    /// Creates the workload, and waits until the operator knows it.
    pub(crate) async fn create(&self, fixture: &Fixture) -> Result<Live> {
        let live = fixture.create(&self.client, &self.namespace).await?;
        let mut expected: u32 = 0;
        for kind in WorkloadKind::ALL {
            let there = match kind.api(&self.client, &self.namespace).list_metadata(&ListParams::default()).await {
                Ok(list) => list.items.len(),
                // Flux or Argo Rollouts is missing.
                Err(kube::Error::Api(status)) if status.code == 404 => 0,
                Err(error) => return Err(error.into()),
            };
            expected += u32::try_from(there)?;
        }
        eventually("the operator knows the workload", SOON, || async {
            let mut known = 0.0;
            for kind in WorkloadKind::ALL {
                known += self.operator.metric(kind.watched_metric(), &[]).await.map_err(|error| error.to_string())?;
            }
            if known >= f64::from(expected) { Ok(()) } else { Err(format!("{known} of {expected} known")) }
        })
        .await?;
        Ok(live)
    }

    /// Sends a body to the webhook port; returns status and body.
    pub(crate) async fn post(&self, body: &Value) -> Result<(u16, Value)> {
        let answer = self.http.post(self.operator.notifications()?).json(body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    /// Sends a push in the format of a distribution registry; fails if it is not accepted.
    pub(crate) async fn push(&self, repository: &str, tag: &str) -> Result<()> {
        self.push_digest(repository, tag, &digest('a')).await
    }

    /// Pushes a tag that is refused for that reason, and waits until the refusal is counted: concurrent pushes of one
    /// tag become one claim.
    pub(crate) async fn push_refused(&self, repository: &str, tag: &str, digest: &str, reason: Reason) -> Result<()> {
        // There is no such series before the first refusal.
        let refused =
            async || self.operator.metric("headwind_updates_refused_total", &[("reason", reason.code())]).await.unwrap_or_default();
        let before = refused().await;
        self.push_digest(repository, tag, digest).await?;
        eventually("the push is refused", SOON, || async {
            let now = refused().await;
            if now > before { Ok(()) } else { Err(format!("{now} refused")) }
        })
        .await
    }

    pub(crate) async fn push_digest(&self, repository: &str, tag: &str, digest: &str) -> Result<()> {
        self.publish(repository, tag).await?;
        let (status, body) = self.post(&payload::distribution(&self.host, repository, tag, digest)).await?;
        if status == 202 { Ok(()) } else { bail!("push of {repository}:{tag} answered {status}: {body}") }
    }

    /// The same with a version whose suffix determines its chart: `-broken` cannot be rendered, `-gone` is missing.
    pub(crate) async fn push_bad(&self, repository: &str, tag: &str) -> Result<()> {
        let charts = self.charts.as_ref().context("a world of charts")?;
        let (path, name) = repository.rsplit_once('/').unwrap_or(("", repository));
        let chart = Chart::new(name, tag);
        if tag.ends_with("-broken") {
            charts.put_chart(path, &chart.broken()).await?;
        } else if !tag.ends_with("-gone") {
            self.publish(repository, tag).await?;
        }
        let (status, body) = self.post(&payload::distribution(&self.host, repository, tag, &digest('a'))).await?;
        if status == 202 { Ok(()) } else { bail!("push of {repository}:{tag} answered {status}: {body}") }
    }

    pub(crate) fn requests_api(&self) -> Api<UpdateRequest> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn requests(&self) -> Result<Vec<UpdateRequest>> {
        Ok(self.requests_api().list(&ListParams::default()).await?.items)
    }

    /// Waits until there is a request for that image in that phase.
    pub(crate) async fn request(&self, new_image: &str, phase: &str) -> Result<UpdateRequest> {
        eventually(&format!("a request for {new_image} is {phase}"), SOON, || async {
            let all = self.requests().await.map_err(|error| error.to_string())?;
            all.iter()
                .find(|request| request.spec.new_image == new_image && request.phase().as_str() == phase)
                .cloned()
                .ok_or_else(|| self.shown(&all))
        })
        .await
    }

    fn shown(&self, all: &[UpdateRequest]) -> String {
        let lines = all.iter().map(|request| {
            format!(
                "{} {} {}: {:?}",
                request.name_any(),
                request.spec.new_image,
                request.phase(),
                request.status.as_ref().and_then(|status| status.message.clone())
            )
        });
        let log: Vec<String> = self.operator.logs().unwrap_or_default().lines().rev().take(8).map(str::to_owned).collect();
        format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), log.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    /// Waits until the operator has processed every event.
    pub(crate) async fn quiet(&self) -> Result<()> {
        eventually("every event is handled", SOON, || async {
            let metric = async |name: &str| self.operator.metric(name, &[]).await.map_err(|error| error.to_string());
            let (came, done) = (metric("headwind_webhook_events_total").await?, metric("headwind_webhook_events_processed").await?);
            if came <= done { Ok(()) } else { Err(format!("{done} of {came}")) }
        })
        .await
    }

    /// Waits until the object has an Event with that reason.
    pub(crate) async fn has_event(&self, object: &str, reason: &str) -> Result<Event> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        eventually(&format!("an Event {reason} on {object}"), SOON, || async {
            let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let ours: Vec<&Event> =
                all.iter().filter(|event| event.reporting_controller.as_deref() == Some("headwind.sh/headwind")).collect();
            let about = |event: &Event| event.regarding.as_ref().and_then(|regarding| regarding.name.clone()).unwrap_or_default();
            ours.iter()
                .find(|event| about(event) == object && event.reason.as_deref() == Some(reason))
                .map(|event| (*event).clone())
                .ok_or_else(|| {
                    ours.iter().map(|event| format!("{} {:?}: {:?}", about(event), event.reason, event.note)).collect::<Vec<_>>().join("\n")
                })
        })
        .await
    }

    /// Waits until the metric has the value.
    pub(crate) async fn counted(&self, metric: &str, value: f64) -> Result<()> {
        eventually(&format!("{metric} is {value}"), SOON, || async {
            let now = self.operator.metric(metric, &[]).await.map_err(|error| error.to_string())?;
            if (now - value).abs() < f64::EPSILON { Ok(()) } else { Err(now.to_string()) }
        })
        .await
    }

    /// The same for one of the series of a metric.
    pub(crate) async fn counted_with(&self, metric: &str, labels: &[(&str, &str)], value: f64) -> Result<()> {
        eventually(&format!("{metric} {labels:?} is {value}"), SOON, || async {
            let now = self.operator.metric(metric, labels).await.map_err(|error| error.to_string())?;
            if (now - value).abs() < f64::EPSILON { Ok(()) } else { Err(now.to_string()) }
        })
        .await
    }

    /// Calls the API; returns status and body.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = self.http.request(method.parse()?, format!("{}{path}", self.operator.api_url()));
        match body {
            Some(body) => request = request.json(body),
            None if method != "GET" => request = request.header("content-type", "application/json"),
            None => {}
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    /// Approves, rejects or reopens; returns status and body.
    pub(crate) async fn act(&self, request: &UpdateRequest, action: &str) -> Result<(u16, Value)> {
        self.api("POST", &format!("/api/v1/updates/{}/{}/{action}", self.namespace, request.name_any()), None).await
    }

    /// The same, and requires success.
    pub(crate) async fn does(&self, request: &UpdateRequest, action: &str) -> Result<Value> {
        let (status, body) = self.act(request, action).await?;
        if status == 200 { Ok(body) } else { bail!("{action} of {}: {status} {body}", request.name_any()) }
    }

    /// Returns this operator's calls to the API server since then, without periodic ones: the lease, the renewals of
    /// watches, and the checks of the namespace and of Flux's APIs (which have no resource).
    pub(crate) async fn calls(&self, audit: &mut Audit, since: Timestamp) -> Result<Vec<String>> {
        audit.catch_up(&self.client).await?;
        let all = audit.entries(&self.operator.requests().since(since))?;
        // Rollouts are listed when another test installs Argo Rollouts, at any time.
        let goes_on = |resource: &str| matches!(resource, "" | "leases" | "namespaces" | "rollouts");
        // The dry run that checks for the admission policy after startup writes nothing.
        let caused = all.into_iter().filter(|entry| !goes_on(&entry.resource) && entry.verb != "watch" && !entry.uri.contains("dryRun="));
        Ok(caused.map(|entry| format!("{} {}/{}", entry.verb, entry.resource, entry.subresource)).collect())
    }

    /// Returns the audit log since this world began, if the test bed has one.
    pub(crate) fn audit(&self) -> Option<Audit> {
        self.bed.audit_from(self.began)
    }

    /// Returns how many successful patches of the workload by this operator are in the audit log.
    pub(crate) async fn patches(&self, live: &Live) -> Result<usize> {
        let mut audit = self.audit().context("this test needs the audit log of the test bed's own control plane")?;
        audit.catch_up(&self.client).await?;
        audit.count(&self.operator.requests().verb("patch").resource(live.kind().plural()).name(live.name()).successful())
    }
}

/// Returns the image of that repository in direct webhooks.
pub(crate) fn image(repository: &str, tag: &str) -> String {
    format!("{HOST}/{repository}:{tag}")
}
