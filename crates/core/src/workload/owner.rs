//! The owner of a workload: a controller or a tool that may revert Headwind's change.
//!
//! An owner is found by the marks that it leaves on its objects. For a release with `chartRef`, the object that Headwind
//! would change is the OCIRepository, so its owner counts. `headwind.sh/gitops` says what Headwind does about an owner.

use std::collections::BTreeMap;
use std::fmt;

use super::Workload;
use crate::reason::{Reason, Reasoned};
use crate::settings::{GitOps, Settings, key};

/// Labels or annotations of an object.
type Marks = BTreeMap<String, String>;

/// A tool or controller that manages objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manager {
    /// Flux: a Kustomization or a HelmRelease.
    Flux,
    /// Argo CD.
    ArgoCd,
    /// Helm, run by a person or a pipeline.
    Helm,
    /// A controller, by an owner reference.
    Controller,
}

impl Manager {
    /// Returns the reason why a workload with this owner is not updated.
    pub fn reason(self) -> Reason {
        match self {
            Manager::Flux => Reason::OwnedByFlux,
            Manager::ArgoCd => Reason::OwnedByArgoCD,
            Manager::Helm => Reason::OwnedByHelm,
            Manager::Controller => Reason::OwnedByController,
        }
    }

    /// Returns the manager's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Manager::Flux => "Flux",
            Manager::ArgoCd => "Argo CD",
            Manager::Helm => "Helm",
            Manager::Controller => "controller",
        }
    }
}

/// The owner of an object. Displays as `Flux Kustomization flux-system/apps`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tool or controller.
    pub manager: Manager,
    /// Its object, such as `Kustomization flux-system/apps`.
    pub name: Box<str>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manager {
            Manager::Controller => f.write_str(&self.name),
            manager => write!(f, "{} {}", manager.as_str(), self.name),
        }
    }
}

/// The identity of an object, as its owner's marks may name it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl Owner {
    /// Returns the owner of the object with these labels and annotations. `controller` is kind and name of the owner
    /// reference with `controller: true`.
    ///
    /// If several tools left their marks, the one that reverts changes takes precedence: what Flux installs with Helm
    /// has the marks of both. The label `app.kubernetes.io/instance` proves nothing.
    pub fn of(object: Named<'_>, labels: &Marks, annotations: &Marks, controller: Option<(&str, &str)>) -> Option<Box<Self>> {
        let owner = |manager, name: String| Box::new(Self { manager, name: shortened(name) });
        if let Some(name) = flux("Kustomization", "kustomize.toolkit.fluxcd.io", labels) {
            return Some(owner(Manager::Flux, name));
        }
        if let Some(name) = flux("HelmRelease", "helm.toolkit.fluxcd.io", labels) {
            return Some(owner(Manager::Flux, name));
        }
        if let Some(name) = argo_cd(object, labels, annotations) {
            return Some(owner(Manager::ArgoCd, format!("Application {name}")));
        }
        if let Some((kind, name)) = controller {
            return Some(owner(Manager::Controller, format!("{kind} {name}")));
        }
        let release = set(annotations, "meta.helm.sh/release-name")?;
        let namespace = set(annotations, "meta.helm.sh/release-namespace").unwrap_or(object.namespace);
        Some(owner(Manager::Helm, format!("release {namespace}/{release}")))
    }
}

/// Maximum length of an owner's name in memory, in bytes.
const NAME: usize = 300;

fn shortened(mut name: String) -> Box<str> {
    name.truncate(name.floor_char_boundary(NAME));
    name.into_boxed_str()
}

fn set<'a>(marks: &'a Marks, key: &str) -> Option<&'a str> {
    marks.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

fn flux(kind: &str, group: &str, labels: &Marks) -> Option<String> {
    let name = set(labels, &format!("{group}/name"))?;
    Some(match set(labels, &format!("{group}/namespace")) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

/// Returns the name of the Argo CD application.
///
/// A tracking ID is `APPLICATION:GROUP/KIND:NAMESPACE/NAME`. Argo CD ignores one that names another object: controllers
/// copy annotations to the objects that they create.
fn argo_cd<'a>(object: Named<'_>, labels: &'a Marks, annotations: &'a Marks) -> Option<&'a str> {
    let tracked = set(annotations, "argocd.argoproj.io/tracking-id").and_then(|id| {
        let mut parts = id.splitn(3, ':');
        let application = parts.next()?;
        let names = |(kind, name): (&str, &str)| {
            kind.rsplit('/').next() == Some(object.kind)
                && name
                    .split_once('/')
                    .is_some_and(|(namespace, name)| name == object.name && (namespace.is_empty() || namespace == object.namespace))
        };
        parts.next().zip(parts.next()).is_none_or(names).then_some(application)
    });
    tracked.or_else(|| set(labels, "argocd.argoproj.io/instance"))
}

/// The treatment of updates of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// It proposes and applies them.
    Patch,
    /// It proposes them, and the owner applies them.
    Propose,
    /// It proposes nothing.
    Refuse,
}

impl GitOps {
    /// Returns what Headwind does with updates of a workload that this manager owns.
    pub fn handling(self, manager: Manager) -> Handling {
        match (self, manager) {
            (GitOps::Patch, _) | (GitOps::Auto, Manager::Helm) => Handling::Patch,
            (GitOps::Propose, _) => Handling::Propose,
            (GitOps::Refuse, _) | (GitOps::Auto, Manager::Flux | Manager::ArgoCd | Manager::Controller) => Handling::Refuse,
        }
    }
}

impl Workload {
    /// Returns what Headwind does with its updates.
    pub fn handling(&self, settings: &Settings) -> Handling {
        self.owner.as_deref().map_or(Handling::Patch, |owner| settings.gitops.handling(owner.manager))
    }

    /// Returns the reason if Headwind proposes nothing because of the workload's owner.
    pub fn refused_for_owner(&self, settings: &Settings) -> Option<Reasoned> {
        let owner = self.owner.as_deref().filter(|_| self.handling(settings) == Handling::Refuse)?;
        let message = format!(
            "{owner} owns it and may revert a change; set the annotation {}: propose to get requests and change the version at its source, or {}: patch to let Headwind change it",
            key::GITOPS,
            key::GITOPS,
        );
        Some(Reasoned::new(owner.manager.reason(), message))
    }

    /// Returns how to apply an update, if its owner applies it: as a sentence without a capital letter and a full stop.
    pub fn instruction(&self, settings: &Settings, container: &str, from: &str, to: &str) -> Option<String> {
        let owner = self.owner.as_deref().filter(|_| self.handling(settings) == Handling::Propose)?;
        let field = if self.release.is_some() { "the chart".to_owned() } else { format!("the image of container {container}") };
        Some(format!("{owner} owns it: change {field} from {from} to {to} at its source"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::testing;

    const OBJECT: Named<'static> = Named { kind: "Deployment", namespace: "shop", name: "web" };

    fn marks(all: &[(&str, &str)]) -> Marks {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    const FLUX: (&str, &str) = ("kustomize.toolkit.fluxcd.io/name", "apps");
    const FLUX_NAMESPACE: (&str, &str) = ("kustomize.toolkit.fluxcd.io/namespace", "flux-system");
    const FLUX_HELM: (&str, &str) = ("helm.toolkit.fluxcd.io/name", "web");
    const HELM: (&str, &str) = ("meta.helm.sh/release-name", "web");
    const HELM_NAMESPACE: (&str, &str) = ("meta.helm.sh/release-namespace", "shop");
    const INSTANCE: (&str, &str) = ("argocd.argoproj.io/instance", "store");
    const TRACKING: &str = "argocd.argoproj.io/tracking-id";

    #[rstest]
    #[case::nobody(&[], &[], None, None)]
    #[case::common_labels(&[("app.kubernetes.io/instance", "web"), ("app.kubernetes.io/managed-by", "Helm")], &[], None, None)]
    #[case::kustomization(&[FLUX, FLUX_NAMESPACE], &[], None, Some("Flux Kustomization flux-system/apps"))]
    #[case::without_namespace(&[FLUX], &[], None, Some("Flux Kustomization apps"))]
    #[case::empty(&[("kustomize.toolkit.fluxcd.io/name", "")], &[], None, None)]
    #[case::of_a_flux_release(&[FLUX_HELM, ("helm.toolkit.fluxcd.io/namespace", "shop")], &[HELM], None, Some("Flux HelmRelease shop/web"))]
    #[case::argo_cd_label(&[INSTANCE], &[], None, Some("Argo CD Application store"))]
    #[case::argo_cd(&[], &[(TRACKING, "store:apps/Deployment:shop/web")], None, Some("Argo CD Application store"))]
    #[case::argo_cd_without_namespace(&[], &[(TRACKING, "store:apps/Deployment:/web")], None, Some("Argo CD Application store"))]
    #[case::in_a_namespace(&[], &[(TRACKING, "team_store:apps/Deployment:shop/web")], None, Some("Argo CD Application team_store"))]
    #[case::id_of_another_name(&[], &[(TRACKING, "store:apps/Deployment:shop/api")], None, None)]
    #[case::id_of_another_kind(&[], &[(TRACKING, "store:argoproj.io/Rollout:shop/web")], None, None)]
    #[case::id_of_another_namespace(&[], &[(TRACKING, "store:apps/Deployment:test/web")], None, None)]
    #[case::id_in_another_form(&[], &[(TRACKING, "store")], None, Some("Argo CD Application store"))]
    #[case::helm(&[], &[HELM, HELM_NAMESPACE], None, Some("Helm release shop/web"))]
    #[case::controller(&[], &[], Some(("Postgres", "db")), Some("Postgres db"))]
    #[case::controller_by_helm(&[], &[HELM], Some(("Postgres", "db")), Some("Postgres db"))]
    #[case::argo_cd_by_helm(&[INSTANCE], &[HELM], None, Some("Argo CD Application store"))]
    fn detection(
        #[case] labels: &[(&str, &str)],
        #[case] annotations: &[(&str, &str)],
        #[case] controller: Option<(&str, &str)>,
        #[case] expected: Option<&str>,
    ) {
        let owner = Owner::of(OBJECT, &marks(labels), &marks(annotations), controller);
        assert_eq!(owner.map(|owner| owner.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_name_is_bounded() {
        let owner = Owner::of(OBJECT, &marks(&[("argocd.argoproj.io/instance", &"ä".repeat(100_000))]), &Marks::new(), None).unwrap();
        assert!(owner.name.len() <= NAME, "{}", owner.name.len());
    }

    #[rstest]
    #[case::unset(&[], [Handling::Refuse, Handling::Refuse, Handling::Patch, Handling::Refuse])]
    #[case::auto(&[("gitops", "auto")], [Handling::Refuse, Handling::Refuse, Handling::Patch, Handling::Refuse])]
    #[case::refuse(&[("gitops", "refuse")], [Handling::Refuse; 4])]
    #[case::propose(&[("gitops", "propose")], [Handling::Propose; 4])]
    #[case::patch(&[("gitops", "patch")], [Handling::Patch; 4])]
    fn handling(#[case] annotations: &[(&str, &str)], #[case] expected: [Handling; 4]) {
        let mut workload = testing::deployment("a:1.0.0", annotations);
        let settings = Settings::resolve(&BTreeMap::new(), &workload.annotations, "web").unwrap();
        assert_eq!(workload.handling(&settings), Handling::Patch, "not owned");
        for (manager, expected) in [Manager::Flux, Manager::ArgoCd, Manager::Helm, Manager::Controller].into_iter().zip(expected) {
            workload.owner = Some(Box::new(Owner { manager, name: "it".into() }));
            assert_eq!(workload.handling(&settings), expected, "{manager:?}");
            let refused = workload.refused_for_owner(&settings).map(|refused| refused.reason);
            assert_eq!(refused, (expected == Handling::Refuse).then(|| manager.reason()), "{manager:?}");
            let instruction = workload.instruction(&settings, "web", "a:1.0.0", "a:1.1.0");
            assert_eq!(instruction.is_some(), expected == Handling::Propose, "{manager:?}");
        }
    }

    #[test]
    fn instructions_name_the_field() {
        let mut workload = testing::deployment("a:1.0.0", &[("gitops", "propose")]);
        workload.owner = Owner::of(OBJECT, &marks(&[FLUX, FLUX_NAMESPACE]), &Marks::new(), None);
        let settings = Settings::resolve(&BTreeMap::new(), &workload.annotations, "web").unwrap();
        assert_eq!(
            workload.instruction(&settings, "web", "a:1.0.0", "a:1.1.0").as_deref(),
            Some("Flux Kustomization flux-system/apps owns it: change the image of container web from a:1.0.0 to a:1.1.0 at its source")
        );
    }
}
