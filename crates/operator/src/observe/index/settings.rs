//! The settings of workloads, resolved once: when the object changes, or when the defaults of its namespace change.
//!
//! Readers hold the index's lock only for a look-up; they parse no annotation.

use std::collections::VecDeque;
use std::sync::Arc;

use headwind_core::explain;
use headwind_core::reason::Reason;
use headwind_core::settings::{Annotations, Platforms, Settings};
use headwind_core::workload::owner::Handling;
use headwind_core::workload::{Container, Workload, has_unknown};

/// A workload with the settings of each of its containers.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) workload: Arc<Workload>,
    pub(crate) defaults: Arc<Annotations>,
    pub(crate) meaning: Arc<Meaning>,
}

impl Resolved {
    /// Returns the containers, each with its settings; without settings if an annotation is invalid.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&Container, Option<&Settings>)> {
        self.workload.containers.iter().zip(&*self.meaning.slots).map(|(container, slot)| (container, slot.settings.as_ref()))
    }

    /// Returns the containers that people expect in the list of updated ones.
    pub(crate) fn tracked(&self) -> impl Iterator<Item = &Container> {
        self.select(|slot| slot.tracked)
    }

    /// Returns the containers that take part in updates.
    pub(crate) fn taking_part(&self) -> impl Iterator<Item = &Container> {
        self.select(|slot| slot.takes_part)
    }

    fn select(&self, takes: fn(&Slot) -> bool) -> impl Iterator<Item = &Container> {
        self.workload.containers.iter().zip(&*self.meaning.slots).filter(move |(_, slot)| takes(slot)).map(|(container, _)| container)
    }
}

/// Number of different settings that are remembered for workloads that have the same.
const REMEMBERED: usize = 64;

/// The settings of the last workloads. Most workloads have one of a few settings, and share them.
#[derive(Debug, Default)]
pub(super) struct Shared(VecDeque<Arc<Meaning>>);

impl Shared {
    /// Returns the settings of the workload, shared with others if they have the same.
    pub(super) fn of(&mut self, workload: &Workload, defaults: &Annotations) -> Arc<Meaning> {
        let meaning = Meaning::of(workload, defaults);
        if let Some(same) = self.0.iter().find(|known| ***known == meaning) {
            return Arc::clone(same);
        }
        let meaning = Arc::new(meaning);
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Arc::clone(&meaning));
        meaning
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The settings of a workload from its annotations and those of its namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// One for each container, in their order.
    slots: Box<[Slot]>,
    /// True if an annotation has an invalid value.
    pub(super) faulty: bool,
    /// True if the platforms of the nodes matter to it.
    pub(super) wants_nodes: bool,
    /// True if there is something to report about the workload.
    pub(super) needs_attention: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Slot {
    /// None if an annotation is invalid.
    settings: Option<Settings>,
    /// True if people expect it in the list of updated ones.
    tracked: bool,
    /// True if it takes part in updates.
    takes_part: bool,
}

impl Meaning {
    fn of(workload: &Workload, defaults: &Annotations) -> Self {
        let slot = |container: &Container| {
            let resolved = Settings::resolve(defaults, &workload.annotations, &container.name);
            let out = explain::out_of(resolved.as_ref().map_err(Vec::as_slice), workload, container).map(|out| out.reason);
            let tracked = !matches!(out, Some(Reason::PolicyNone | Reason::NotTracked));
            Slot { tracked, takes_part: out.is_none(), settings: resolved.ok() }
        };
        let slots: Box<[Slot]> = workload.containers.iter().map(slot).collect();
        let lacks_channel = |container: &Container| Settings::notify_fault(defaults, &workload.annotations, &container.name).is_some();
        let faulty = slots.iter().any(|slot| slot.settings.is_none()) || workload.containers.iter().any(lacks_channel);
        let apart = |container: &Container| container.chart.as_ref().is_some_and(|site| site.skip_reason.is_some() || site.shared_by > 1);
        let refused = |slot: &Slot| slot.settings.as_ref().is_some_and(|settings| workload.handling(settings) == Handling::Refuse);
        let refused = slots.iter().any(|slot| slot.tracked && refused(slot));
        let needs_attention = faulty || refused || workload.containers.iter().any(apart) || has_unknown(&workload.annotations, workload);
        let by_nodes = |slot: &Slot| slot.settings.as_ref().is_some_and(|settings| settings.platforms == Platforms::Cluster);
        let wants_nodes = slots.iter().any(|slot| slot.takes_part && by_nodes(slot));
        Self { slots, faulty, wants_nodes, needs_attention }
    }

    /// Returns true if two versions of a workload have the same settings in the same namespace.
    pub(super) fn is_the_same(a: &Workload, b: &Workload) -> bool {
        a.annotations == b.annotations && a.containers == b.containers && a.left_out == b.left_out && a.owner == b.owner
    }
}
