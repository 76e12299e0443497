//! Accounts of people, and what the API server lets them do.

use anyhow::Result;
use headwind_testbed::eventually;

use crate::world::{SOON, World};

/// A service account that calls Headwind.
pub(crate) struct Account {
    /// The user name, as the API server knows it.
    pub(crate) user: String,
    pub(crate) token: String,
}

impl Account {
    pub(crate) async fn new(world: &World, name: &str) -> Result<Self> {
        let namespace = &world.namespace;
        world.bed.kubectl_ok(&["-n", namespace, "create", "serviceaccount", name]).await?;
        let token = world.bed.kubectl_ok(&["-n", namespace, "create", "token", name]).await?;
        Ok(Self { user: format!("system:serviceaccount:{namespace}:{name}"), token: token.trim().to_owned() })
    }

    /// The same with a ClusterRole that ships, in effect in the namespace of the world.
    pub(crate) async fn with(world: &World, name: &str, role: &str, question: &[&str]) -> Result<Self> {
        let account = Self::new(world, name).await?;
        bind(world, &world.namespace, role, &format!("--serviceaccount={}:{name}", world.namespace)).await?;
        granted(world, &account.user, &world.namespace, question).await?;
        Ok(account)
    }
}

/// Binds a ClusterRole that ships to a subject in a namespace, for example `--user=ann`. Returns the binding's name.
pub(crate) async fn bind(world: &World, namespace: &str, role: &str, subject: &str) -> Result<String> {
    let name = format!("{role}-{}", subject.trim_start_matches('-').replace([':', '=', '@', '.'], "-"));
    let (role, namespace) = (format!("--clusterrole={role}"), format!("--namespace={namespace}"));
    world.bed.kubectl_ok(&["create", "rolebinding", &name, &role, subject, &namespace]).await?;
    Ok(name)
}

/// Waits until the API server grants the user that.
pub(crate) async fn granted(world: &World, user: &str, namespace: &str, question: &[&str]) -> Result<()> {
    eventually("the role is in effect", SOON, || async {
        if can_i(world, user, namespace, question).await.map_err(|error| error.to_string())? { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
}

/// Waits until the API server denies the user that.
pub(crate) async fn denied(world: &World, user: &str, namespace: &str, question: &[&str]) -> Result<()> {
    eventually("the role is gone", SOON, || async {
        if can_i(world, user, namespace, question).await.map_err(|error| error.to_string())? { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await
}

/// Returns what `kubectl auth can-i` says of the user.
pub(crate) async fn can_i(world: &World, user: &str, namespace: &str, question: &[&str]) -> Result<bool> {
    let arguments = [&["auth", "can-i", "--as", user, "-n", namespace], question].concat();
    Ok(world.bed.kubectl(&arguments).await?.status.success())
}
