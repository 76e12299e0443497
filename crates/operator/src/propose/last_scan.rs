//! The results of the last scans: the verdict on each container, and the error of each repository that was not listed.
//!
//! Filled by the poller, read by the list of workloads. A verdict is valid for the image and the policy at that time.
//! Only the polling replica has any.

use std::collections::HashMap;

use headwind_core::artifact::Origin;
use headwind_core::policy::Rule;
use headwind_core::reason::Reasoned;
use headwind_core::settings::{Annotations, Settings};
use headwind_core::workload::{Container, Workload, WorkloadKey};

use crate::observe::index::Index;

/// Number of stored verdicts at which those of deleted workloads are first removed.
const PRUNE_FROM: usize = 1024;

/// The results of the last scans.
#[derive(Debug, Default)]
pub(crate) struct LastScans {
    verdicts: HashMap<(WorkloadKey, String), Verdict>,
    prune_at: usize,
    errors: HashMap<Origin, String>,
}

#[derive(Debug)]
struct Verdict {
    image: String,
    rule: Rule,
    refusal: Reasoned,
}

impl LastScans {
    /// Records why no update of the container is proposed.
    pub(crate) fn refused(
        &mut self,
        index: &Index,
        (workload, defaults): (&Workload, &Annotations),
        container: &Container,
        refusal: Reasoned,
    ) {
        let Some(rule) = rule(workload, defaults, container) else { return };
        if self.verdicts.len() >= self.prune_at.max(PRUNE_FROM) {
            self.verdicts.retain(|(key, _), _| index.workload(key).is_some());
            self.prune_at = self.verdicts.len() * 2;
        }
        let verdict = Verdict { image: container.image.clone(), rule, refusal };
        self.verdicts.insert((workload.key.clone(), container.name.clone()), verdict);
    }

    /// Drops the verdict on a container, because an update is proposed.
    pub(crate) fn proposed(&mut self, workload: &Workload, container: &Container) {
        self.verdicts.remove(&(workload.key.clone(), container.name.clone()));
    }

    /// Records the result of listing the repository.
    pub(crate) fn asked(&mut self, index: &Index, origin: &Origin, error: Option<String>) {
        self.errors.retain(|origin, _| index.is_used(origin));
        match error {
            Some(error) => drop(self.errors.insert(origin.clone(), error)),
            None => drop(self.errors.remove(origin)),
        }
    }

    /// Returns the verdict of the last scan on the container as it is now.
    pub(crate) fn verdict(&self, workload: &Workload, defaults: &Annotations, container: &Container) -> Option<Reasoned> {
        let verdict = self.verdicts.get(&(workload.key.clone(), container.name.clone()))?;
        let same = verdict.image == container.image && rule(workload, defaults, container).as_ref() == Some(&verdict.rule);
        same.then(|| verdict.refusal.clone())
    }

    /// Returns the error of the last scan of the repository.
    pub(crate) fn error(&self, origin: &Origin) -> Option<&str> {
        self.errors.get(origin).map(String::as_str)
    }
}

fn rule(workload: &Workload, defaults: &Annotations, container: &Container) -> Option<Rule> {
    Settings::resolve(defaults, &workload.annotations, &container.name).ok().map(|settings| settings.rule())
}

#[cfg(test)]
mod tests {
    use headwind_core::artifact::reference::RepositoryKey;
    use headwind_core::reason::Reason;

    use super::*;
    use crate::observe::index::tests::workload;

    #[test]
    fn a_verdict_counts_for_its_image_and_policy_alone() {
        let mut index = Index::default();
        let mut live = workload("web", "app:1.0.0", "1");
        live.annotations.insert("headwind.sh/policy".to_owned(), "minor".to_owned());
        index.apply(live.clone());
        let (mut scans, none) = (LastScans::default(), Annotations::new());
        let container = live.containers[0].clone();
        scans.refused(&index, (&live, &none), &container, Reasoned::new(Reason::MajorDiffers, "2.0.0 has another major version"));
        let reason =
            |scans: &LastScans, workload: &Workload| scans.verdict(workload, &none, &workload.containers[0]).map(|refusal| refusal.reason);
        assert_eq!(reason(&scans, &live), Some(Reason::MajorDiffers));
        let mut moved = live.clone();
        moved.containers[0].image = "app:1.1.0".to_owned();
        assert_eq!(reason(&scans, &moved), None);
        let mut wider = live.clone();
        wider.annotations.insert("headwind.sh/policy".to_owned(), "major".to_owned());
        assert_eq!(reason(&scans, &wider), None);
        scans.proposed(&live, &container);
        assert_eq!(reason(&scans, &live), None);
    }

    #[test]
    fn an_error_is_forgotten_with_its_repository() {
        let mut index = Index::default();
        index.apply(workload("web", "app:1.0.0", "1"));
        let origin = |path: &str| Origin::Registry(RepositoryKey::parse(path).unwrap());
        let mut scans = LastScans::default();
        scans.asked(&index, &origin("app"), Some("no answer".to_owned()));
        assert_eq!(scans.error(&origin("app")), Some("no answer"));
        scans.asked(&index, &origin("app"), None);
        assert_eq!(scans.error(&origin("app")), None);
        scans.asked(&index, &origin("gone"), Some("no answer".to_owned()));
        scans.asked(&index, &origin("app"), None);
        assert_eq!(scans.error(&origin("gone")), None, "unused");
    }
}
