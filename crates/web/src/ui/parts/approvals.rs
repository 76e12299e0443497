//! Updates that several people must approve: who has approved, and who is missing.

use headwind_core::request::{Phase, Request, quorum};
use headwind_operator::SettingValue;

/// The approvals of an update that several people must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct Approvals {
    /// The people whose approval counts.
    pub(in crate::ui) by: Vec<String>,
    /// The number of people who must approve.
    pub(in crate::ui) needed: u32,
}

impl Approvals {
    /// Returns the approvals of an open update; `None` if one person is enough.
    pub(in crate::ui) fn of(request: &Request, settings: &[SettingValue]) -> Option<Self> {
        let set = settings.iter().find(|setting| setting.name == "approvals").and_then(|setting| setting.value.trim().parse().ok());
        let needed: u32 = set.unwrap_or(request.spec.approvals);
        let open = matches!(request.status.phase, Phase::Pending | Phase::Approved) && request.needs_approval();
        let by = || request.approvers(needed).into_iter().map(str::to_owned).collect();
        (open && needed > 1).then(|| Self { by: by(), needed })
    }

    /// Returns true if this person has approved.
    pub(in crate::ui) fn includes(&self, person: &str) -> bool {
        self.by.iter().any(|one| one == person)
    }

    /// Returns how many of how many, such as `1 of 2 approvals`.
    pub(in crate::ui) fn count(&self) -> String {
        quorum::progress(self.by.len(), self.needed)
    }

    /// Returns who has approved and how many people are missing.
    pub(in crate::ui) fn missing(&self) -> String {
        let have = (!self.by.is_empty()).then(|| format!("Approved by {}.", self.by.join(", ")));
        let missing = quorum::missing(self.by.len(), self.needed).map(|words| sentence(&words));
        have.into_iter().chain(missing).collect::<Vec<_>>().join(" ")
    }
}

/// Returns the words with a capital letter and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing() {
        let of = |by: &[&str], needed| Approvals { by: by.iter().map(|name| (*name).to_owned()).collect(), needed };
        assert_eq!(of(&[], 2).missing(), "2 people must approve.");
        assert_eq!(of(&["ann"], 2).missing(), "Approved by ann. One more person must approve.");
        assert_eq!(of(&["ann"], 3).missing(), "Approved by ann. 2 more people must approve.");
        assert_eq!(of(&["ann", "bob"], 2).missing(), "Approved by ann, bob.");
        assert_eq!(of(&["ann"], 3).count(), "1 of 3 approvals");
        assert!(of(&["ann"], 2).includes("ann") && !of(&["ann"], 2).includes("bob"));
    }
}
