//! Phases: icon, word and colour, always all three.

use headwind_core::request::Phase;
use headwind_operator::UpdateSummary;
use maud::{Markup, html};

use super::icon::icon;

/// The display of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) struct Look {
    /// The word.
    pub(in crate::ui) word: &'static str,
    /// The icon.
    pub(in crate::ui) icon: &'static str,
    /// The classes, with the colour.
    pub(in crate::ui) classes: &'static str,
}

const WARN: &str = "phase tone-warn";
const GO: &str = "phase tone-go";
const GOOD: &str = "phase tone-good";
const BAD: &str = "phase tone-bad";
const BACK: &str = "phase tone-back";
const CALM: &str = "phase tone-calm";

/// The look of a request. A pending one that the policy approved only waits for its turn.
pub(in crate::ui) fn look(summary: &UpdateSummary) -> Look {
    let request = &summary.request;
    let returned = request.status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
    let (word, icon, classes) = match request.status.phase {
        Phase::Pending if !summary.by_policy => ("Waiting", "hand", WARN),
        Phase::Pending | Phase::Approved => ("Approved", "thumbs-up", GO),
        Phase::RollingOut if returned => ("Rolling back", "undo-2", BACK),
        Phase::RollingOut => ("Rolling out", "refresh-cw", GO),
        Phase::Completed => ("Completed", "circle-check", GOOD),
        Phase::Failed => ("Failed", "octagon-x", BAD),
        Phase::RolledBack => ("Rolled back", "undo-2", BACK),
        Phase::Rejected => ("Rejected", "ban", CALM),
        Phase::Expired => ("Expired", "timer-off", CALM),
        Phase::Superseded => ("Superseded", "chevrons-right", CALM),
    };
    Look { word, icon, classes }
}

/// The phase of a request.
pub(in crate::ui) fn phase(summary: &UpdateSummary) -> Markup {
    let Look { word, icon: name, classes } = look(summary);
    html! { span class=(classes) { (icon(name)) (word) } }
}

#[cfg(test)]
mod tests {
    use headwind_core::testing;
    use headwind_core::workload::Kind;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_waits_for_a_person_differs_from_what_waits_for_its_turn() {
        let request = testing::request("r", "a:1", "a:2", Timestamp::UNIX_EPOCH);
        let summary = UpdateSummary { workload: testing::key(Kind::Deployment, "t"), request, version: String::new(), by_policy: true };
        assert_eq!(look(&summary).word, "Approved");
        assert_eq!(look(&UpdateSummary { by_policy: false, ..summary }).word, "Waiting");
    }
}
