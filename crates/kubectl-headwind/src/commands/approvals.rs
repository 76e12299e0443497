//! The approvals of an update that several people must approve.

use headwind_core::request::{Phase, Request, quorum};

/// The approvals of an open update that several people must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approvals {
    /// The people whose approval counts.
    by: Vec<String>,
    /// The number of people who must approve.
    needed: u32,
}

impl Approvals {
    /// Returns the approvals of an open update; `None` if one person is enough.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Self::out_of(request, quorum::needed_on_record(request))
    }

    /// Returns the approvals of an open update that `needed` people must approve; `None` if one person is enough.
    pub(super) fn out_of(request: &Request, needed: u32) -> Option<Self> {
        let open = matches!(request.status.phase, Phase::Pending | Phase::Approved) && request.needs_approval();
        let by = || request.approvers(needed).into_iter().map(str::to_owned).collect();
        (open && needed > 1).then(|| Self { by: by(), needed })
    }

    /// Returns the numbers for a column, such as `1/2`.
    pub(super) fn short(&self) -> String {
        format!("{}/{}", self.by.len(), self.needed)
    }

    /// Returns the numbers and the people, such as `1 of 2 (ann); one more person must approve`.
    pub(super) fn described(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" ({})", self.by.join(", ")) };
        let missing = quorum::missing(self.by.len(), self.needed).map(|words| format!("; {words}")).unwrap_or_default();
        format!("{} of {}{by}{missing}", self.by.len(), self.needed)
    }

    /// Returns what an approval has not achieved, such as `1 of 2 approvals; one more person must approve`; `None` if
    /// nobody is missing.
    pub(super) fn outstanding(&self) -> Option<String> {
        let missing = quorum::missing(self.by.len(), self.needed)?;
        Some(format!("{}; {missing}", quorum::progress(self.by.len(), self.needed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let of = |by: &[&str], needed| Approvals { by: by.iter().map(|name| (*name).to_owned()).collect(), needed };
        assert_eq!(of(&[], 2).described(), "0 of 2; 2 people must approve");
        assert_eq!(of(&["ann"], 2).described(), "1 of 2 (ann); one more person must approve");
        assert_eq!(of(&["ann", "bob"], 2).described(), "2 of 2 (ann, bob)");
        assert_eq!(of(&["ann"], 3).outstanding().as_deref(), Some("1 of 3 approvals; 2 more people must approve"));
        assert_eq!((of(&["ann", "bob"], 2).outstanding(), of(&["ann"], 2).short()), (None, "1/2".to_owned()));
    }
}
