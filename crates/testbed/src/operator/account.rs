//! The operator's service account, created and bound exactly as in the manifests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::OperatorOptions;
use crate::bed::{Bed, printed};
use crate::pki::write_kubeconfig;
use crate::wait::eventually;

/// Longer than any test run.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
const SHORT: Duration = Duration::from_secs(30);

/// Creates the account with the permissions that `headwind rbac` prints, and a kubeconfig with its token. Returns when
/// the API server grants them, so that no early request is denied.
pub(super) async fn kubeconfig(bed: &Bed, binary: &Path, options: &OperatorOptions, name: &str, path: &Path) -> Result<PathBuf> {
    let namespace = &options.own_namespace;
    let account = format!("{namespace}:{name}");
    let watched = options.namespaces.join(",");
    let mut args = vec!["rbac", "--service-account", &account];
    if !watched.is_empty() {
        args.extend(["--namespaces", &watched]);
    }
    if !options.admission_policy {
        args.push("--account-only");
    }
    let mut manifests: Vec<Value> = serde_saphyr::from_multiple(&printed(binary, &args).await?).context("the output of `headwind rbac`")?;
    make_own(&mut manifests, options);
    if !manifests.iter().any(|manifest| manifest.get("kind").and_then(Value::as_str) == Some("ServiceAccount")) {
        manifests.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}));
    }
    bed.apply_yaml(&json!({"apiVersion": "v1", "kind": "List", "items": manifests}).to_string()).await?;
    let client = bed.client().await?;
    granted(&client, &manifests, &format!("system:serviceaccount:{account}")).await?;
    let token = token(&client, namespace, name).await?;
    write_kubeconfig(path, &cluster(bed.kubeconfig())?, &json!({"token": token}))?;
    Ok(path.to_owned())
}

/// Renames the objects of this operator, and binds the admission policy to its namespaces: several operators in one
/// cluster with the same names would remove each other's permissions. Rules and expressions are unchanged.
fn make_own(manifests: &mut [Value], options: &OperatorOptions) {
    let own = &options.own_namespace;
    let bound: Vec<Value> = manifests.iter().filter_map(|manifest| manifest.pointer("/roleRef/name").cloned()).collect();
    for manifest in manifests {
        let kind = manifest.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let names: &[&str] = match kind.as_str() {
            "Role" | "ClusterRole" if manifest.pointer("/metadata/name").is_some_and(|name| bound.contains(name)) => &["/metadata/name"],
            "RoleBinding" | "ClusterRoleBinding" => &["/metadata/name", "/roleRef/name"],
            "ValidatingAdmissionPolicy" => &["/metadata/name"],
            "ValidatingAdmissionPolicyBinding" => &["/metadata/name", "/spec/policyName"],
            _ => &[],
        };
        for pointer in names {
            if let Some(value) = manifest.pointer_mut(pointer)
                && let Some(name) = value.as_str()
            {
                *value = json!(format!("{name}-{own}"));
            }
        }
        if kind == "ValidatingAdmissionPolicyBinding"
            && !options.namespaces.is_empty()
            && let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut)
        {
            let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": options.namespaces});
            spec.insert("matchResources".to_owned(), json!({"namespaceSelector": {"matchExpressions": [here]}}));
        }
    }
}

/// Waits until every role is in effect: the API server observes roles and bindings one by one.
async fn granted(client: &Client, manifests: &[Value], user: &str) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let bound: Vec<&Value> = manifests.iter().filter_map(|manifest| manifest.pointer("/roleRef/name")).collect();
    let roles = manifests.iter().filter(|manifest| matches!(manifest.get("kind").and_then(Value::as_str), Some("Role" | "ClusterRole")));
    for role in roles.filter(|role| role.pointer("/metadata/name").is_some_and(|name| bound.contains(&name))) {
        let Some(rule) = role.pointer("/rules").and_then(Value::as_array).and_then(|rules| rules.last()) else { continue };
        let first = |field: &str| rule.pointer(&format!("/{field}/0")).and_then(Value::as_str).unwrap_or_default();
        let (resource, subresource) = first("resources").split_once('/').unwrap_or((first("resources"), ""));
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": user,
            "resourceAttributes": {
                "namespace": role.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default(),
                "group": first("apiGroups"), "resource": resource, "subresource": subresource, "verb": first("verbs"), "name": first("resourceNames"),
            },
        }}))?;
        eventually("the operator's rights are in effect", SHORT, || async {
            match reviews.create(&PostParams::default(), &review).await {
                Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => Ok(()),
                Ok(_) => Err(format!("not yet: {rule}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
    }
    Ok(())
}

async fn token(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { audiences: None, expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.context("requesting a token")?;
    answer.status.and_then(|status| status.token).with_context(|| format!("the API server returned no token for {namespace}:{name}"))
}

/// Returns the cluster of the administrator's kubeconfig: its address and its CA.
fn cluster(kubeconfig: &Path) -> Result<Value> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let current = config.current_context.as_deref().context("a kubeconfig without a current context")?;
    let context = config
        .contexts
        .iter()
        .find(|one| one.name == current)
        .and_then(|one| one.context.as_ref())
        .with_context(|| format!("no context {current}"))?;
    let cluster = config
        .clusters
        .iter()
        .find(|one| one.name == context.cluster)
        .and_then(|one| one.cluster.as_ref())
        .with_context(|| format!("no cluster {}", context.cluster))?;
    Ok(serde_json::to_value(cluster)?)
}
