//! Approvals by several people (`headwind.sh/approvals`).
//!
//! Every person approves in the same way, by UI, API or `kubectl`: phase `Approved`, with the own name in `approvedBy`.
//! Headwind counts: it moves the name into the list `approvals`, and if people are missing, the phase returns to
//! `Pending`. Only Headwind writes the list. Several approvals of one person count as one. If several people must
//! approve, the approval of a person who rejected the update before does not count.

use jiff::Timestamp;

use super::context::Context;
use super::rollout::is_rollback;
use super::{Observed, Phase, Presence, Request, Status, StatusWrite, Step};
use crate::gate::Limits;
use crate::reason::Reason;
use crate::settings::{Annotations, Settings};
use crate::trigger::Trigger;
use crate::workload::Workload;

/// An approval that Headwind has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The person.
    pub by: String,
    /// When the person approved, if known.
    pub at: Option<Timestamp>,
}

impl Request {
    /// Returns the people whose approvals count if `needed` people must approve, each once.
    pub fn approvers(&self, needed: u32) -> Vec<&str> {
        let Status { approvals, approved_by, dissenters, .. } = &self.status;
        let mut all: Vec<&str> = Vec::new();
        for person in approvals.iter().map(|approval| &approval.by).chain(approved_by) {
            let counts = needed <= 1 || !dissenters.contains(person);
            if counts && !all.contains(&person.as_str()) {
                all.push(person);
            }
        }
        all
    }

    /// Returns true if enough people have approved.
    pub fn has_quorum(&self, needed: u32) -> bool {
        needed <= 1 || self.approvers(needed).len() >= needed as usize
    }

    /// Returns true if Headwind has counted the approval, or need not count: it is approved by as many people as it was
    /// created for, and that number was not raised since.
    pub(crate) fn is_counted(&self) -> bool {
        let Status { phase, approvals, approved_by, .. } = &self.status;
        let listed = approvals.iter().any(|approval| Some(&approval.by) == approved_by.as_ref());
        let is_enough = !self.is_being_counted() && self.has_quorum(self.spec.approvals);
        *phase == Phase::Approved && !self.is_reopening() && (listed || is_enough)
    }

    /// Returns true if Headwind has recorded that approvals are missing. A decision by `kubectl` does not change the reason.
    fn is_being_counted(&self) -> bool {
        self.status.reason == Some(Reason::AwaitingApproval)
    }

    /// Returns all approvers as one text; `None` if nobody approved.
    pub(super) fn approved_by_all(&self) -> Option<String> {
        let names = self.approvers(self.spec.approvals);
        (!names.is_empty()).then(|| names.join(", ")).or_else(|| self.status.approved_by.clone())
    }
}

/// Returns how many of the needed people have approved, such as `1 of 2 approvals`.
pub fn progress(have: usize, needed: u32) -> String {
    format!("{have} of {needed} approvals")
}

/// Returns how many people are missing, such as `one more person must approve`; `None` if nobody is missing.
pub fn missing(have: usize, needed: u32) -> Option<String> {
    let more = if have == 0 { "" } else { "more " };
    match (needed as usize).saturating_sub(have) {
        0 => None,
        1 => Some(format!("one {more}person must approve")),
        missing => Some(format!("{missing} {more}people must approve")),
    }
}

/// Returns the number of people who must approve the request, as far as the request itself shows: the number that
/// Headwind recorded last, else the one of the spec. The annotation of the workload may have changed since.
pub fn needed_on_record(request: &Request) -> u32 {
    let needed = recorded(request).unwrap_or(request.spec.approvals);
    // Headwind found the approvals to be enough, whatever the spec says.
    if request.is_counted() { u32::try_from(request.approvers(needed).len()).unwrap_or(needed) } else { needed }
}

/// Returns the number in the message of [`progress`], if approvals are missing. Outside of `Pending`, a person may have
/// written the message.
fn recorded(request: &Request) -> Option<u32> {
    let is_own = request.status.phase == Phase::Pending && request.is_being_counted();
    let message = request.status.message.as_deref().filter(|_| is_own)?;
    message.strip_suffix(" approvals")?.rsplit_once(" of ")?.1.parse().ok()
}

/// Returns why an approval by this person would not count, if it would not.
pub fn objection(request: &Request, person: &str, needed: u32) -> Option<String> {
    if needed <= 1 || request.status.phase != Phase::Pending {
        return None;
    }
    if request.status.dissenters.iter().any(|one| one == person) {
        return Some(format!("{person} rejected it before, so other people must approve it"));
    }
    let counted = request.status.approvals.iter().any(|approval| approval.by == person);
    counted.then(|| format!("{person} has already approved it; another person must approve"))
}

/// Returns the status after the approvals are counted; `None` if it is unchanged.
pub fn count(request: &Request, needed: u32, now: Timestamp) -> Option<Status> {
    let before = &request.status;
    let listed = |person: &str| before.approvals.iter().any(|approval| approval.by == person);
    let refused = |person: &str| needed > 1 && before.dissenters.iter().any(|one| one == person);
    match before.phase {
        Phase::Approved if !request.has_quorum(needed) => {
            let person = before.approved_by.as_deref().unwrap_or("somebody");
            let mut status = with_last(request, now);
            let (mut what, counts) = match (refused(person), listed(person)) {
                (true, _) => (format!("{person} rejected it before, so other people must approve it"), false),
                // A repeated approval leaves the reason `AwaitingApproval`. With another reason, it is the counted one,
                // and more people must approve than before.
                (false, true) => (format!("{person} has already approved it"), !request.is_being_counted()),
                (false, false) => {
                    let own = before.message.clone().filter(|own| own.starts_with("approved by"));
                    (own.unwrap_or(format!("approved by {person}")), before.approved_by.is_some())
                }
            };
            if refused(person) {
                status.approvals.retain(|approval| approval.by != person);
            }
            // The status does not tell whose approval skips the cool-down. If it may be this one, nobody skips it until
            // another person does.
            if !counts && std::mem::take(&mut status.skip_cool_down) {
                what.push_str("; the cool-down is not skipped");
            }
            let have = request.approvers(needed).len();
            status.message = Some(format!("{what}; {}", progress(have, needed)));
            status.phase = Phase::Pending;
            status.reason = Some(Reason::AwaitingApproval);
            (status.approved_by, status.approved_at, status.waiting) = (None, None, None);
            Some(status)
        }
        Phase::Approved => {
            let several = needed > 1 || request.spec.approvals > 1 || request.is_being_counted();
            let uncounted = before.approved_by.as_deref().is_some_and(|person| !listed(person));
            // The others are enough, so an approval that does not count must not skip the cool-down for them.
            let is_refused = before.approved_by.as_deref().is_some_and(refused);
            let skip_cool_down = before.skip_cool_down && !is_refused;
            (several && uncounted).then(|| Status { reason: Some(Reason::ApprovedByPerson), skip_cool_down, ..with_last(request, now) })
        }
        // Fewer people must approve than before.
        Phase::Pending if request.needs_approval() && request.approvers(needed).len() >= needed.max(1) as usize => {
            let last = before.approvals.last()?;
            Some(Status {
                phase: Phase::Approved,
                reason: Some(Reason::ApprovedByPerson),
                message: Some(format!("approved by {}", request.approvers(needed).join(", "))),
                approved_by: Some(last.by.clone()),
                approved_at: last.at.or(Some(now)),
                ..before.clone()
            })
        }
        // More people must approve than before. Until that is recorded, one approval would be reported as enough.
        Phase::Pending if request.needs_approval() && needed > request.spec.approvals.max(1) && !request.is_being_counted() => {
            let message = Some(progress(request.approvers(needed).len(), needed));
            Some(Status { reason: Some(Reason::AwaitingApproval), message, ..before.clone() })
        }
        _ => None,
    }
}

/// Returns the status with the last approval in the list.
fn with_last(request: &Request, now: Timestamp) -> Status {
    let mut status = request.status.clone();
    let last = status.approved_by.clone().filter(|person| status.approvals.iter().all(|approval| approval.by != *person));
    status.approvals.extend(last.map(|by| Approval { by, at: request.status.approved_at.or(Some(now)) }));
    status
}

/// Returns the number of people who must approve the request with the current settings of its workload.
pub fn approvals_needed(workload: &Workload, defaults: &Annotations, requests: &[&Request], request: &Request) -> u32 {
    let limits = Limits::default();
    let observed = Observed {
        limits: &limits,
        presence: Presence::Present { workload, live: false },
        defaults,
        requests,
        now: Timestamp::UNIX_EPOCH,
        history_limit: 0,
        snapshot: None,
        seen_since: Timestamp::UNIX_EPOCH,
        clock_stepped: None,
        confirmations: None,
    };
    Context::new(workload, &observed).approvals_needed(request)
}

impl Context<'_> {
    /// Returns the number of people who must approve the request. A rollback needs one: it must not wait.
    pub(super) fn approvals_needed(&self, request: &Request) -> u32 {
        if request.spec.trigger == Trigger::Manual && is_rollback(self, request) {
            return 1;
        }
        let name = request.spec.container.as_deref().unwrap_or_default();
        self.settings(name).as_ref().map_or(request.spec.approvals, |settings: &Settings| settings.approvals)
    }

    /// Counts the approvals of a request.
    pub(super) fn count_approvals(&self, request: &Request) -> Option<Step> {
        let status = count(request, self.approvals_needed(request), self.observed.now)?;
        Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::action::{Action, act};
    use crate::testing;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(needed: u32) -> Request {
        let mut request = testing::request("r", "a:1.0.0", "a:1.1.0", at(1000));
        request.spec.require_approval = true;
        request.spec.approvals = needed;
        request
    }

    /// Approves like kubectl: the phase and the own name, and nothing else.
    fn by_kubectl(request: &mut Request, person: &str, needed: u32) {
        request.status.phase = Phase::Approved;
        request.status.approved_by = Some(person.to_owned());
        while let Some(status) = count(request, needed, at(1100)) {
            assert!(request.status.phase.may_become(status.phase) || request.status.phase == status.phase);
            request.status = status;
        }
    }

    fn names(request: &Request) -> Vec<&str> {
        request.status.approvals.iter().map(|approval| approval.by.as_str()).collect()
    }

    #[rstest::rstest]
    #[case::one(1, "ann", Phase::Approved, "")]
    #[case::half(2, "ann", Phase::Pending, "ann")]
    #[case::twice_the_same(2, "ann ann", Phase::Pending, "ann")]
    #[case::two(2, "ann bob", Phase::Approved, "ann bob")]
    #[case::in_between(2, "ann ann bob", Phase::Approved, "ann bob")]
    #[case::two_of_three(3, "ann bob", Phase::Pending, "ann bob")]
    #[case::three(3, "ann bob eve", Phase::Approved, "ann bob eve")]
    fn distinct_people(#[case] needed: u32, #[case] people: &str, #[case] phase: Phase, #[case] listed: &str) {
        let mut asked = request(needed);
        for person in people.split_whitespace() {
            by_kubectl(&mut asked, person, needed);
        }
        assert_eq!((asked.status.phase, names(&asked).join(" ").as_str()), (phase, listed));
        assert_eq!(asked.status.approved_by.is_some(), phase == Phase::Approved, "half an approval is none");
        assert_eq!(asked.is_counted(), phase == Phase::Approved);
    }

    #[test]
    fn the_same_person_is_told() {
        let mut asked = request(2);
        assert_eq!(objection(&asked, "ann", 2), None);
        by_kubectl(&mut asked, "ann", 2);
        assert!(objection(&asked, "ann", 2).unwrap().contains("another person"));
        assert_eq!((objection(&asked, "bob", 2), objection(&asked, "ann", 1)), (None, None));
        by_kubectl(&mut asked, "ann", 2);
        assert_eq!(asked.status.message.as_deref(), Some("ann has already approved it; 1 of 2 approvals"));
    }

    #[test]
    fn who_rejected_it_does_not_count_among_several() {
        for needed in [1, 2] {
            let mut asked = request(needed);
            asked.status = act(&asked, Action::Reject, "ann", None, at(1010)).unwrap();
            asked.status = act(&asked, Action::Reopen, "bob", None, at(1020)).unwrap();
            assert_eq!(asked.status.dissenters, ["ann"]);
            asked.status = act(&asked, Action::Reject, "eve", None, at(1030)).unwrap();
            asked.status = act(&asked, Action::Reopen, "bob", None, at(1040)).unwrap();
            assert_eq!(asked.status.dissenters, ["ann", "eve"]);
            by_kubectl(&mut asked, "ann", needed);
            if needed == 1 {
                assert_eq!(asked.status.phase, Phase::Approved, "one person may change their mind");
                continue;
            }
            assert_eq!((asked.status.phase, names(&asked).len()), (Phase::Pending, 0));
            assert!(objection(&asked, "ann", 2).unwrap().contains("rejected it before"));
            by_kubectl(&mut asked, "bob", 2);
            by_kubectl(&mut asked, "eve", 2);
            assert_eq!((asked.status.phase, names(&asked)), (Phase::Pending, vec!["bob"]));
            by_kubectl(&mut asked, "dan", 2);
            assert_eq!((asked.status.phase, names(&asked)), (Phase::Approved, vec!["bob", "dan"]));
        }
    }

    /// Approves like kubectl, and skips the cool-down.
    fn skipping(request: &mut Request, person: &str, needed: u32) {
        request.status.skip_cool_down = true;
        by_kubectl(request, person, needed);
    }

    #[test]
    fn only_an_approval_that_counts_skips_the_cool_down() {
        let mut asked = request(2);
        skipping(&mut asked, "ann", 2);
        assert!(asked.status.skip_cool_down, "one of two, and it counts");
        by_kubectl(&mut asked, "bob", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Approved, true));

        let mut asked = request(2);
        by_kubectl(&mut asked, "ann", 2);
        skipping(&mut asked, "ann", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Pending, false), "ann again");
        let expected = "ann has already approved it; the cool-down is not skipped; 1 of 2 approvals";
        assert_eq!(asked.status.message.as_deref(), Some(expected));
        by_kubectl(&mut asked, "bob", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Approved, false));

        let mut asked = request(2);
        asked.status.dissenters = vec!["eve".to_owned()];
        skipping(&mut asked, "eve", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Pending, false), "eve rejected it");
        by_kubectl(&mut asked, "ann", 2);
        skipping(&mut asked, "bob", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Approved, true));
    }

    /// The number changes between two approvals, or after the last one.
    #[test]
    fn a_changed_number_does_not_change_who_skips_the_cool_down() {
        let mut asked = request(3);
        asked.status.dissenters = vec!["eve".to_owned()];
        for person in ["ann", "bob"] {
            by_kubectl(&mut asked, person, 3);
        }
        skipping(&mut asked, "eve", 2);
        assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Approved, false), "lowered: the others are enough");

        for needed in [1, 2] {
            let mut asked = request(needed);
            for person in ["ann", "bob"].into_iter().take(needed as usize) {
                skipping(&mut asked, person, needed);
            }
            assert_eq!(asked.status.phase, Phase::Approved);
            asked.status = count(&asked, 3, at(1200)).unwrap();
            assert_eq!((asked.status.phase, asked.status.skip_cool_down), (Phase::Pending, true), "raised: {needed} of them count");
        }
    }

    #[test]
    fn a_changed_number_counts_at_once() {
        let mut asked = request(2);
        by_kubectl(&mut asked, "ann", 2);
        let lowered = count(&asked, 1, at(1200)).unwrap();
        assert_eq!((lowered.phase, lowered.approved_by.as_deref()), (Phase::Approved, Some("ann")));
        asked.status = lowered;
        assert!(asked.is_counted());
        let raised = count(&asked, 2, at(1200)).unwrap();
        assert_eq!((raised.phase, raised.approved_by), (Phase::Pending, None));
        let mut alone = request(1);
        by_kubectl(&mut alone, "ann", 1);
        assert!(alone.status.approvals.is_empty(), "one approval costs no further write");
    }

    /// The number was raised after the request was created: the first approval is not reported as enough, the second one is.
    #[test]
    fn a_raised_number_is_reported_at_the_last_approval() {
        let mut asked = request(1);
        asked.status = count(&asked, 2, at(1050)).unwrap();
        assert_eq!((asked.status.phase, asked.status.reason), (Phase::Pending, Some(Reason::AwaitingApproval)));
        assert_eq!(asked.status.message.as_deref(), Some("0 of 2 approvals"));
        assert_eq!(count(&asked, 2, at(1051)), None, "written once");
        for (person, is_last) in [("ann", false), ("bob", true)] {
            asked.status.phase = Phase::Approved;
            asked.status.approved_by = Some(person.to_owned());
            assert!(!asked.is_counted(), "{person}: Headwind has not counted it");
            by_kubectl(&mut asked, person, 2);
            assert_eq!((asked.status.phase == Phase::Approved, asked.is_counted()), (is_last, is_last), "{person}");
        }
        // And lowered again.
        let mut asked = request(1);
        asked.status = count(&asked, 2, at(1050)).unwrap();
        by_kubectl(&mut asked, "ann", 1);
        assert!(asked.is_counted());
    }

    #[test]
    fn the_number_on_record() {
        let mut asked = request(1);
        assert_eq!(needed_on_record(&asked), 1);
        asked.status = count(&asked, 3, at(1050)).unwrap();
        assert_eq!(needed_on_record(&asked), 3, "raised after the request was created");
        by_kubectl(&mut asked, "ann", 3);
        assert_eq!((needed_on_record(&asked), missing(1, 3).unwrap().as_str()), (3, "2 more people must approve"));
        asked.status = count(&asked, 1, at(1200)).unwrap();
        assert_eq!((asked.status.phase, needed_on_record(&asked)), (Phase::Approved, 1), "lowered");
        let mut asked = request(2);
        asked.status = act(&asked, Action::Approve, "ann", None, at(1010)).unwrap();
        assert_eq!(needed_on_record(&asked), 2, "approved by one of two, and not counted");
        for person in ["ann", "bob"] {
            by_kubectl(&mut asked, person, 2);
        }
        assert_eq!((asked.status.phase, needed_on_record(&asked)), (Phase::Approved, 2));
        let mut asked = request(3);
        asked.status = act(&asked, Action::Approve, "ann", Some("1 of 9 approvals"), at(1010)).unwrap();
        // A decision by kubectl does not change the reason.
        asked.status.reason = Some(Reason::AwaitingApproval);
        assert_eq!(needed_on_record(&asked), 3, "a note of a person is not a record");
    }

    #[rstest::rstest]
    #[case::nobody(0, 2, Some("2 people must approve"))]
    #[case::the_only_one(0, 1, Some("one person must approve"))]
    #[case::one_more(1, 2, Some("one more person must approve"))]
    #[case::several_more(1, 3, Some("2 more people must approve"))]
    #[case::enough(2, 2, None)]
    #[case::more_than_enough(3, 2, None)]
    fn missing_people(#[case] have: usize, #[case] needed: u32, #[case] expected: Option<&str>) {
        assert_eq!(missing(have, needed).as_deref(), expected);
    }

    #[test]
    fn a_note_is_kept() {
        let mut asked = request(2);
        asked.status = act(&asked, Action::Approve, "ann", Some("tested"), at(1010)).unwrap();
        let counted = count(&asked, 2, at(1020)).unwrap();
        assert_eq!(counted.message.as_deref(), Some("approved by ann: tested; 1 of 2 approvals"));
        assert_eq!(counted.approvals, [Approval { by: "ann".to_owned(), at: Some(at(1010)) }]);
    }

    /// A person who may create requests must not replace two approvers.
    #[test]
    fn a_rollback_needs_one_person_and_any_other_manual_request_all() {
        let workload = testing::deployment("a:1.1.0", &[("policy", "minor"), ("approvals", "2")]);
        let none = Annotations::new();
        let mut asked = request(2);
        assert_eq!(approvals_needed(&workload, &none, &[], &asked), 2);
        asked.spec.trigger = Trigger::Manual;
        for (to, needed) in [("a:1.0.0", 1), ("a:1.2.0", 2), ("a:latest", 2)] {
            asked.spec.new_image = to.to_owned();
            assert_eq!(approvals_needed(&workload, &none, &[], &asked), needed, "{to}");
        }
    }
}
