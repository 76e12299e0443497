//! The service account of a peer, and its kubeconfig.

use std::path::Path;

use anyhow::{Context as _, Result};
use headwind_testbed::{Bed, eventually};
use serde_json::{Value, json};

use crate::LONG;

/// Creates a service account with these permissions in the whole cluster, and writes a kubeconfig with its token.
/// Returns when the API server grants the permissions.
pub(crate) async fn kubeconfig(bed: &Bed, namespace: &str, name: &str, rules: &Value, path: &Path) -> Result<()> {
    let own = format!("{name}-{namespace}");
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    bed.apply_yaml(
        &json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
            {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": own}, "rules": rules},
            {
                "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": own},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": own},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        ]})
        .to_string(),
    )
    .await?;
    let user = format!("--as=system:serviceaccount:{namespace}:{name}");
    eventually("the peer's permissions are in effect", LONG, || async {
        let answer = bed.kubectl(&["auth", "can-i", "list", "deployments.apps", "--namespace", namespace, &user]).await;
        match answer.map_err(|error| error.to_string())? {
            output if output.status.success() => Ok(()),
            output => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    })
    .await?;
    let token = bed.kubectl_ok(&["create", "token", name, "--namespace", namespace, "--duration=24h"]).await?;
    // The test bed writes its kubeconfigs as JSON.
    let mut config: Value = serde_json::from_slice(&std::fs::read(bed.kubeconfig())?).context("the kubeconfig of the test bed")?;
    *config.pointer_mut("/users/0/user").context("a kubeconfig without users")? = json!({"token": token.trim()});
    Ok(std::fs::write(path, config.to_string())?)
}
