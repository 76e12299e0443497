//! After all tests: checks the API server's audit log for every account.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use headwind_k8s::access::{self, Reach};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::flux::Flux;
use headwind_testbed::registry::canaries;
use headwind_testbed::{Bed, Query, argo_rollouts, skip};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};

/// The registries' credential is in no operator's log, no Event and no request of the whole run.
async fn no_credential(client: &kube::Client) -> Result<()> {
    let leaks = headwind_testbed::operator::leaks();
    ensure!(leaks.is_empty(), "a credential is in the log of the operators of {leaks:?}");
    let all = ListParams::default();
    let events = serde_json::to_string(&Api::<Event>::all(client.clone()).list(&all).await?.items)?;
    let requests = serde_json::to_string(&Api::<UpdateRequest>::all(client.clone()).list(&all).await?.items)?;
    for (place, text) in [("an Event", events), ("a request", requests)] {
        ensure!(text.len() > 2, "{place}: nothing to look at");
        ensure!(!canaries().iter().any(|canary| text.contains(canary)), "a credential is in {place}");
    }
    Ok(())
}

/// No 403, and no permission for listed namespaces that was never used. (The test that watches all namespaces checks
/// the permissions for that.)
pub(crate) async fn audit() -> Result<()> {
    let bed = Bed::start().await?;
    let Some(mut audit) = bed.audit() else {
        skip::skipped("closing audit", "no audit log on a cluster that is not the test bed's own");
        return Ok(());
    };
    audit.catch_up(&bed.client().await?).await?;
    let ours = |user: &str| user.starts_with("system:serviceaccount:") && user.ends_with(":headwind");
    let forbidden: Vec<_> = audit.forbidden(&Query::new())?.into_iter().filter(|entry| ours(&entry.user)).collect();
    ensure!(forbidden.is_empty(), "403: {forbidden:#?}");
    let users: BTreeSet<String> = audit.entries(&Query::new())?.into_iter().map(|entry| entry.user).filter(|user| ours(user)).collect();
    let mut used = BTreeSet::new();
    for user in &users {
        used.extend(audit.used_rules(&Query::new().user(user))?);
    }
    let mut unused = Vec::new();
    let without_flux = Flux::lacks("closing audit: the rights for releases").await?;
    let without_argo = argo_rollouts::lacks("closing audit: the rights for Rollouts").await?;
    let absent = |group: &str| (without_flux && group.ends_with("fluxcd.io")) || (without_argo && group == "argoproj.io");
    let asked_of = |right: &access::Right| right.reach != Reach::Cluster && !absent(right.group);
    for right in access::rights().into_iter().filter(asked_of) {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        for verb in right.verbs {
            let hit = used.iter().any(|rule| {
                rule.group == right.group && rule.resource == resource && rule.subresource == subresource && rule.verb == *verb
            });
            if !hit {
                unused.push(format!("{verb} {}.{}", right.resource, right.group));
            }
        }
    }
    ensure!(unused.is_empty(), "rights that were never used: {unused:?}");
    no_credential(&bed.client().await?).await?;
    eprintln!("audit: {} accounts, no 403, every right used", users.len());
    Ok(())
}
