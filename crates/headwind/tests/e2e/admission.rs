//! Admission rules of the cluster that deny an update, or replace its image.

use anyhow::{Result, ensure};
use headwind_testbed::{Fixture, WorkloadKind, eventually};
use serde_json::{Value, json};

use crate::world::{SOON, World, digest, image};

/// Returns a policy of that kind and its binding, for Deployments of one namespace.
fn policy(kind: &str, namespace: &str, rule: Value) -> [Value; 2] {
    let name = format!("{namespace}-{}", kind.to_lowercase());
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]},
        ]},
    });
    if let (Some(spec), Value::Object(rule)) = (spec.as_object_mut(), rule) {
        spec.extend(rule);
    }
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}});
    let mut binding = json!({"policyName": name, "matchResources": here});
    if kind == "ValidatingAdmissionPolicy" {
        binding["validationActions"] = json!(["Deny"]);
    }
    let object = |kind: String, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    [object(kind.to_owned(), spec), object(format!("{kind}Binding"), binding)]
}

/// A denied update records the denial and is retried, and the other container is updated in the meantime. If admission
/// pins an image in the patch, Headwind watches the pinned image.
pub(crate) async fn denies_and_replaces() -> Result<()> {
    let world = World::new("admission").await?;
    let fixture = Fixture::new(WorkloadKind::Deployment, "web")
        .container("web", &image("shop/web", "1.0.0"))
        .container("side", &image("shop/side", "1.0.0"));
    let live = world
        .create(
            &fixture
                .headwind("policy", "minor")
                .headwind("require-approval", "false")
                .headwind("min-update-interval", "0")
                .headwind("settle-time", "0"),
        )
        .await?;
    let unsigned = json!({"validations": [{
        "expression": "object.spec.template.spec.containers.all(one, !one.image.endsWith('web:1.1.0'))",
        "message": "web:1.1.0 is not signed",
    }]});
    let pinned = format!("{}@{}", image("shop/side", "1.2.0"), digest('d'));
    let pins = json!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": format!(
        "Object{{spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{containers: \
         object.spec.template.spec.containers.filter(one, one.image.endsWith('side:1.2.0')).map(one, \
         Object.spec.template.spec.containers{{name: one.name, image: '{pinned}'}})}}}}}}}}"
    )}}]});
    let items: Vec<Value> =
        [policy("ValidatingAdmissionPolicy", &world.namespace, unsigned), policy("MutatingAdmissionPolicy", &world.namespace, pins)]
            .concat();
    let all = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    world.bed.apply_yaml(&all).await?;
    // Both take effect some moments after their creation.
    let tries = async |container: &str, new: &str| {
        let set = format!("{container}={new}");
        let arguments = ["-n", &world.namespace, "set", "image", "deployment/web", &set, "--dry-run=server", "-o", "yaml"];
        let output = world.bed.kubectl(&arguments).await.map_err(|error| error.to_string())?;
        Ok::<String, String>(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    eventually("both policies are in effect", SOON, || async {
        let (denied, replaced) = (tries("web", &image("shop/web", "1.1.0")).await?, tries("side", &image("shop/side", "1.2.0")).await?);
        if denied.contains("is not signed") && replaced.contains(&pinned) { Ok(()) } else { Err(format!("{denied}\n{replaced}")) }
    })
    .await?;

    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&image("shop/web", "1.1.0"), "Pending").await?;
    let name = request.metadata.name.clone().unwrap_or_default();
    let event = world.has_event(&name, "ApplyDenied").await?;
    ensure!(
        event.type_.as_deref() == Some("Warning") && event.note.as_deref().is_some_and(|note| note.contains("is not signed")),
        "{event:?}"
    );
    let status = world.requests_api().get(&name).await?.status.unwrap_or_default();
    let waiting = status.conditions.iter().find(|condition| condition.type_ == "Waiting" && condition.reason == "ApplyDenied");
    ensure!(waiting.is_some_and(|waiting| waiting.message.contains("is not signed")), "{status:?}");

    world.push("shop/side", "1.2.0").await?;
    live.has_image("side", &pinned, SOON).await?;
    let done = world.request(&image("shop/side", "1.2.0"), "Completed").await?;
    ensure!(done.status.unwrap_or_default().applied_image == Some(pinned), "the current image is recorded");
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"));

    // The denied update is allowed now: it is applied without a person.
    world
        .bed
        .kubectl_ok(&["delete", "validatingadmissionpolicybinding", &format!("{}-validatingadmissionpolicy", world.namespace)])
        .await?;
    live.has_image("web", &image("shop/web", "1.1.0"), SOON * 3).await?;
    let done = world.request(&image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(done.status.unwrap_or_default().times_denied.is_none(), "nothing is denied any more");
    Ok(())
}
