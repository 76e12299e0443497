//! What a workload's annotations mean, resolved once: when the object changes, or the defaults of its namespace.
//!
//! Readers hold the index's lock for a look-up alone; no annotation is parsed on their way.

use std::sync::Arc;

use headwind_core::explain;
use headwind_core::reason::Reason;
use headwind_core::settings::{Annotations, Settings};
use headwind_core::workload::{Container, Workload, has_unknown};

/// A workload with what applies to each of its containers.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) workload: Arc<Workload>,
    pub(crate) defaults: Arc<Annotations>,
    pub(crate) meaning: Arc<Meaning>,
}

impl Resolved {
    /// The containers, each with what applies to it; none where there is a fault.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&Container, Option<&Settings>)> {
        self.workload.containers.iter().zip(&*self.meaning.slots).map(|(container, slot)| (container, slot.settings.as_ref()))
    }

    /// The containers that people look for among those that are kept up to date.
    pub(crate) fn tracked(&self) -> impl Iterator<Item = &Container> {
        self.select(|slot| slot.tracked)
    }

    /// The containers that take part in updates.
    pub(crate) fn taking_part(&self) -> impl Iterator<Item = &Container> {
        self.select(|slot| slot.takes_part)
    }

    fn select(&self, takes: fn(&Slot) -> bool) -> impl Iterator<Item = &Container> {
        self.workload.containers.iter().zip(&*self.meaning.slots).filter(move |(_, slot)| takes(slot)).map(|(container, _)| container)
    }
}

/// What the annotations of a workload and of its namespace mean.
#[derive(Debug)]
pub(crate) struct Meaning {
    /// One for each container, in their order.
    slots: Box<[Slot]>,
    /// Whether an annotation has a bad value.
    pub(super) faulty: bool,
    /// Whether there is something to report about the workload.
    pub(super) needs_attention: bool,
}

#[derive(Debug)]
struct Slot {
    /// None where there is a fault.
    settings: Option<Settings>,
    /// Whether people look for it among those that are kept up to date.
    tracked: bool,
    /// Whether it takes part in updates.
    takes_part: bool,
}

impl Meaning {
    pub(super) fn of(workload: &Workload, defaults: &Annotations) -> Self {
        let slot = |container: &Container| {
            let resolved = Settings::resolve(defaults, &workload.annotations, &container.name);
            let out = explain::out_of(resolved.as_ref().map_err(Vec::as_slice), container);
            let tracked = !matches!(out, Some((Reason::PolicyNone | Reason::NotTracked, _)));
            Slot { tracked, takes_part: out.is_none(), settings: resolved.ok() }
        };
        let slots: Box<[Slot]> = workload.containers.iter().map(slot).collect();
        let faulty = slots.iter().any(|slot| slot.settings.is_none());
        let apart = |container: &Container| container.chart.as_ref().is_some_and(|site| site.skip_reason.is_some() || site.shared_by > 1);
        let needs_attention = faulty || workload.containers.iter().any(apart) || has_unknown(&workload.annotations, workload);
        Self { slots, faulty, needs_attention }
    }

    /// Returns whether two versions of a workload mean the same in the same namespace.
    pub(super) fn is_the_same(a: &Workload, b: &Workload) -> bool {
        a.annotations == b.annotations && a.containers == b.containers
    }
}
