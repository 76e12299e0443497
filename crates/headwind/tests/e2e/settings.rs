//! Settings that change while Headwind runs: by the web UI, by kubectl and by a bad edit, on two replicas.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Operator, OperatorOptions, WorkloadKind, eventually};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::world::{SOON, World, image};

/// A change must be in effect on every replica within this time.
const IN_EFFECT: Duration = Duration::from_secs(5);

const INTERVAL: &str = "HEADWIND_POLLING_INTERVAL";
const ENABLED: &str = "HEADWIND_POLLING_ENABLED";

/// Two replicas, and a namespace.
struct Pair {
    world: World,
    second: Operator,
}

impl Pair {
    async fn new(hint: &str, env: &[(&str, &str)]) -> Result<Self> {
        let with = |options: OperatorOptions| options.envs(env.iter().copied());
        let world = World::with(hint, with).await?;
        let second = with(OperatorOptions::new(&world.namespace)).replica("headwind-1");
        let second = Operator::run(world.bed, second).await?;
        Ok(Self { world, second })
    }

    fn both(&self) -> [&Operator; 2] {
        [&self.world.operator, &self.second]
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.world.client.clone(), &self.world.namespace)
    }

    /// Waits until a metric has the value on both replicas. Returns how long that took.
    async fn both_show(&self, metric: &str, value: f64) -> Result<Duration> {
        let since = std::time::Instant::now();
        for operator in self.both() {
            eventually(&format!("{metric} is {value}"), SOON, || async {
                let now = operator.metric(metric, &[]).await.map_err(|error| error.to_string())?;
                if (now - value).abs() < f64::EPSILON { Ok(()) } else { Err(now.to_string()) }
            })
            .await?;
        }
        Ok(since.elapsed())
    }

    /// Waits until both replicas poll at the interval, and checks that it did not take too long.
    async fn polls_every(&self, seconds: f64) -> Result<()> {
        let took = self.both_show("headwind_polling_interval_seconds", seconds).await?;
        ensure!(took < IN_EFFECT, "in effect after {took:?}");
        Ok(())
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        let all = [&["-n", self.world.namespace.as_str()], arguments].concat();
        self.world.bed.kubectl_ok(&all).await.map(drop)
    }
}

/// The value of a hidden field in the form of a section.
fn hidden(page: &str, section: &str, name: &str) -> Result<String> {
    let form = page.split(&format!("id=\"{section}\"")).nth(1).context("the form")?.split("</form>").next().unwrap_or_default();
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).with_context(|| format!("the field {name}"))?;
    Ok(field.split('"').next().unwrap_or_default().to_owned())
}

/// Loads the page, and sends the form of a section with these fields. Returns status and page.
async fn save(http: &reqwest::Client, ui: &str, token: Option<&str>, section: &str, fields: &[(&str, &str)]) -> Result<(u16, String)> {
    let bearer = |request: reqwest::RequestBuilder| match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let page = bearer(http.get(format!("{ui}/settings"))).send().await?.error_for_status()?.text().await?;
    let (config_map, secret) = (hidden(&page, section, "config-map")?, hidden(&page, section, "secret")?);
    let mut form = vec![("section", section), ("config-map", &config_map), ("secret", &secret)];
    form.extend(fields);
    let answer = bearer(http.post(format!("{ui}/settings"))).header("sec-fetch-site", "same-origin").form(&form).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// By the UI, by kubectl and by a bad edit: in effect on both replicas within 5 s, without a restart, and nothing lost.
pub(crate) async fn change() -> Result<()> {
    let pair = Pair::new("settings", &[]).await?;
    let Pair { world, second } = &pair;
    let processes = || pair.both().map(|operator| operator.process().map(|process| process.pid));
    let before = processes();
    // Work in progress: a request that waits for a person.
    world.create(&World::asking(WorkloadKind::Deployment, "web", &image("s/web", "1.0.0"))).await?;
    world.push("s/web", "1.1.0").await?;
    let waiting = world.request(&image("s/web", "1.1.0"), "Pending").await?;

    // By the UI of one replica. The ConfigMap does not exist yet.
    let (status, page) = save(&world.http, &second.ui_url(), None, "polling", &[(ENABLED, "true"), (INTERVAL, "60")]).await?;
    ensure!(status == 200 && page.contains("HEADWIND_POLLING_INTERVAL: 300 → 60"), "{status} {page}");
    pair.polls_every(60.0).await?;
    let page = world.http.get(format!("{}/settings", world.operator.ui_url())).send().await?.text().await?;
    ensure!(page.contains("from the ConfigMap"), "the other replica shows where the value comes from");

    // By kubectl.
    pair.kubectl(&["patch", "configmap", "headwind", "--type=merge", "-p", &json!({"data": {INTERVAL: "7"}}).to_string()]).await?;
    pair.polls_every(7.0).await?;

    // A bad edit: the last valid value stays, and everything else that was written takes effect.
    let bad = json!({"data": {INTERVAL: "soon", "HEADWIND_POLLING_MIN_INTERVAL": "5", "noSuchSetting": "1"}});
    pair.kubectl(&["patch", "configmap", "headwind", "--type=merge", "-p", &bad.to_string()]).await?;
    let took = pair.both_show("headwind_settings_invalid", 2.0).await?;
    ensure!(took < IN_EFFECT, "said after {took:?}");
    pair.polls_every(7.0).await?;
    let event = world.has_event("headwind", "InvalidSetting").await?;
    ensure!(event.regarding.and_then(|about| about.kind).as_deref() == Some("ConfigMap"), "the Event is on the ConfigMap");
    for operator in pair.both() {
        ensure!(operator.log_contains("key HEADWIND_POLLING_INTERVAL")?, "the log says so");
        let page = world.http.get(format!("{}/settings", operator.ui_url())).send().await?.text().await?;
        ensure!(page.contains("the last valid value stays in effect") && page.contains("noSuchSetting"), "the page says so: {page}");
    }
    let good = json!({"data": {INTERVAL: "9", "noSuchSetting": null}});
    pair.config_maps().patch("headwind", &PatchParams::default(), &Patch::Merge(&good)).await?;
    pair.both_show("headwind_settings_invalid", 0.0).await?;
    pair.polls_every(9.0).await?;

    // A secret is stored in the Secret, and no page shows it.
    let url = "http://127.0.0.1:9/not-to-be-shown";
    let (status, page) = save(&world.http, &world.operator.ui_url(), None, "webhook", &[("WEBHOOK_URL", url)]).await?;
    ensure!(status == 200 && !page.contains("not-to-be-shown"), "{status} {page}");
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let data = secrets.get("headwind").await?.data.unwrap_or_default();
    ensure!(data.get("WEBHOOK_URL").is_some_and(|stored| stored.0 == url.as_bytes()), "{:?}", data.keys());
    pair.both_show("headwind_settings_invalid", 0.0).await?;
    // And one more time: the Secret exists now.
    let (status, _) = save(&world.http, &second.ui_url(), None, "webhook", &[("WEBHOOK_URL", url), ("WEBHOOK_TIMEOUT", "3")]).await?;
    ensure!(status == 200, "{status}");
    let again = [("WEBHOOK_URL", "http://127.0.0.1:9/another")];
    eventually("the other replica knows the Secret", SOON, || async {
        let saved = save(&world.http, &world.operator.ui_url(), None, "webhook", &again).await.map_err(|error| error.to_string())?;
        if saved.0 == 200 { Ok(()) } else { Err(saved.0.to_string()) }
    })
    .await?;

    // Without the ConfigMap, the defaults are in effect.
    pair.config_maps().delete("headwind", &DeleteParams::default()).await?;
    pair.polls_every(0.0).await?;

    ensure!(processes() == before, "no replica was restarted");
    let now = world.request(&image("s/web", "1.1.0"), "Pending").await?;
    ensure!(now.metadata.uid == waiting.metadata.uid, "the waiting request is the same");
    world.does(&now, "approve").await?;
    world.request(&image("s/web", "1.1.0"), "Completed").await?;
    for operator in pair.both() {
        ensure!(!operator.log_contains("not-to-be-shown")?, "a secret is in the log");
    }
    Ok(())
}

/// Two people save at the same time; and a person without the permission sees a page without fields.
pub(crate) async fn access() -> Result<()> {
    let began = Timestamp::now();
    let pair = Pair::new("settings-access", &[("HEADWIND_UI_AUTH_MODE", "token"), (ENABLED, "true")]).await?;
    let Pair { world, second } = &pair;
    let namespace = &world.namespace;
    for name in ["ann", "eve"] {
        pair.kubectl(&["create", "serviceaccount", name]).await?;
    }
    pair.kubectl(&["create", "role", "settings", "--verb=update", "--resource=configmaps", "--resource-name=headwind"]).await?;
    pair.kubectl(&["create", "role", "settings-new", "--verb=create", "--resource=configmaps"]).await?;
    let ann = format!("{namespace}:ann");
    for role in ["settings", "settings-new"] {
        let (role_flag, subject) = (format!("--role={role}"), format!("--serviceaccount={ann}"));
        pair.kubectl(&["create", "rolebinding", role, &role_flag, &subject]).await?;
    }
    let token = async |name: &str| -> Result<String> {
        Ok(world.bed.kubectl_ok(&["-n", namespace, "create", "token", name]).await?.trim().to_owned())
    };
    let (ann, eve) = (token("ann").await?, token("eve").await?);
    let page = async |token: &str| -> Result<String> {
        Ok(world
            .http
            .get(format!("{}/settings", world.operator.ui_url()))
            .bearer_auth(token)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?)
    };
    eventually("ann may change settings", SOON, || async {
        let page = page(&ann).await.map_err(|error| error.to_string())?;
        if page.contains(&format!("name=\"{INTERVAL}\"")) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;

    let hers = page(&ann).await?;
    ensure!(!hers.contains(&format!("name=\"{ENABLED}\"")) && hers.contains(&format!("set by {ENABLED}")), "a variable fixes it");
    ensure!(!hers.contains("name=\"SLACK_WEBHOOK_URL\""), "she may not write the Secret");
    let his = page(&eve).await?;
    ensure!(!his.contains(&format!("name=\"{INTERVAL}\"")) && his.contains("create configmaps in namespace"), "{his}");
    let forced = [("section", "polling"), ("config-map", "none"), ("secret", "none"), (INTERVAL, "60")];
    let url = format!("{}/settings", world.operator.ui_url());
    let post = |token: &str| world.http.post(&url).bearer_auth(token).header("sec-fetch-site", "same-origin").form(&forced).send();
    ensure!(post(&eve).await?.status() == 403, "eve may not");

    // The first of two forms that were opened at the same time is saved, by her own account.
    let (status, _) = save(&world.http, &world.operator.ui_url(), Some(&ann), "polling", &[(INTERVAL, "60")]).await?;
    ensure!(status == 200, "{status}");
    let late = post(&ann).await?;
    let (status, text) = (late.status().as_u16(), late.text().await?);
    ensure!(status == 200 && text.contains("Nothing was changed"), "the same value is no change: {status} {text}");
    let late = [("section", "polling"), ("config-map", "none"), ("secret", "none"), (INTERVAL, "90")];
    let late = world.http.post(&url).bearer_auth(&ann).header("sec-fetch-site", "same-origin").form(&late).send().await?;
    // With a version that no longer exists.
    let (status, text) = (late.status().as_u16(), late.text().await?);
    ensure!(status == 409 && text.contains("value=\"90\"") && text.contains("Stored: 60"), "{status} {text}");
    pair.polls_every(60.0).await?;
    eventually("the other replica shows it", SOON, || async {
        let (status, _) =
            save(&world.http, &second.ui_url(), Some(&ann), "polling", &[(INTERVAL, "30")]).await.map_err(|error| error.to_string())?;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await?;
    pair.polls_every(30.0).await?;

    let mut audit = world.audit().context("the audit log")?;
    audit.catch_up(&world.client).await?;
    let hers = headwind_testbed::Query::new().account(namespace, "ann").writes().resource("configmaps").since(began).successful();
    ensure!(audit.count(&hers)? == 2, "the API server saw ann write: {:?}", audit.entries(&hers)?);
    Ok(())
}
