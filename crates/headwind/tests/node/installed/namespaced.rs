//! Rights in namespaces only: the user who runs Helm may write in two namespaces and nowhere else, and an administrator
//! applies the commands that Helm prints.

use anyhow::{Result, ensure};
use headwind_testbed::binaries;
use jiff::Timestamp;
use serde_json::json;
use tokio::process::Command;

use super::World;
use crate::app::App;
use crate::command::{run, text};
use crate::objects::Objects;
use crate::published::CURRENT;
use crate::release::Release;

const NAMESPACE: &str = "team";
const STORE: &str = "store";
const USER: &str = "tom";

pub(super) async fn namespaced(world: &World<'_>) -> Result<()> {
    let bed = world.bed;
    world.restricted(NAMESPACE).await?;
    let app = App::create(bed, &world.published, world.program, STORE, false).await?;
    for namespace in [NAMESPACE, STORE] {
        bed.kubectl_ok(&["-n", namespace, "create", "rolebinding", "admin", "--clusterrole=admin", &format!("--user={USER}")]).await?;
    }
    let before = Objects::read(bed).await?;
    let release =
        Release { bed, published: &world.published, namespace: NAMESPACE, name: "headwind", account: "headwind", user: Some(USER) };
    let values = json!({"clusterScoped": false, "rbac": {"create": false}, "watchNamespaces": [STORE]});
    let notes = release.install(CURRENT, &values, &[]).await?;
    let rbac = ["rbac", "--service-account", "team:headwind", "--namespaces", STORE];
    for command in ["headwind crds | kubectl apply".to_owned(), format!("headwind {} | kubectl apply", rbac.join(" "))] {
        ensure!(notes.contains(&command), "{notes}");
    }
    let mut files = Vec::new();
    for (name, args) in [("crds", &["crds"][..]), ("rbac", &rbac)] {
        let file = world.published.helm.folder().join(format!("{name}.yaml"));
        std::fs::write(&file, run(Command::new(binaries::headwind()?).args(args)).await?)?;
        bed.kubectl_ok(&["apply", "--server-side", "-f", text(&file)?]).await?;
        files.push(file);
    }
    let ready = release.ready(2).await?;
    // Until the administrator had applied the rights, the pods had none.
    let since = Timestamp::now();
    world.webhooks.to(format!("{}:8080", ready[0]).parse()?);
    app.push("1.1.0").await?;
    app.request("1.1.0", "Completed").await?;
    app.runs("1.1.0").await?;
    world.rights_suffice(&release, since).await?;

    release.uninstall().await?;
    bed.kubectl_ok(&["delete", "--ignore-not-found", "-f", text(&files[1])?]).await?;
    before.again_with_crd(bed).await
}
