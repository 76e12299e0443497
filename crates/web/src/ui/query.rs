//! The parameters of a list, and the addresses that they make.
//!
//! An address contains only what differs from the default. Unknown parameters and values are errors.

use std::str::FromStr;

use headwind_core::policy::Policy;
use headwind_core::request::Phase;
use headwind_core::workload::Kind;
use headwind_operator::{Order, SortBy, UpdateQuery, Visible, WorkloadState};
use jiff::{SignedDuration, Timestamp};

/// The number of entries of a page.
pub(super) const PAGE: usize = 20;
/// Maximum length of a text to search for, in characters.
const TEXT: usize = 200;
/// Maximum number of a page.
const PAGES: usize = 100_000;

/// A list with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// The updates that wait for a person.
    Inbox,
    /// All updates.
    Updates,
    /// The workloads.
    Workloads,
}

/// The period that a list covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// 24 hours.
    Day,
    /// 7 days.
    Week,
}

/// The parameters of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListQuery {
    list: List,
    pub(super) text: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) policy: Option<Policy>,
    pub(super) phases: Vec<Phase>,
    pub(super) state: Option<WorkloadState>,
    /// True for the updates that wait for a person. Pending updates that the policy approved do not.
    pub(super) waiting: bool,
    pub(super) since: Option<Since>,
    sort: Option<Order>,
    pub(super) page: usize,
}

/// A parameter with a value that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Invalid(String);

const SORTS: &[(&str, SortBy)] = &[
    ("expires", SortBy::Expires),
    ("namespace", SortBy::Namespace),
    ("name", SortBy::Name),
    ("changed", SortBy::Changed),
    ("created", SortBy::Created),
];

/// The state of updates that wait for a person.
const WAITING: &str = "waiting";
const STATES: &[(&str, WorkloadState)] = &[
    ("update", WorkloadState::UpdateAvailable),
    ("held", WorkloadState::HeldBack),
    ("current", WorkloadState::UpToDate),
    ("skipped", WorkloadState::Skipped),
    ("invalid", WorkloadState::InvalidAnnotation),
    ("unchecked", WorkloadState::NotChecked),
];

/// The order of the list if the address has none.
fn default_order(list: List) -> Order {
    match list {
        List::Inbox => Order { by: SortBy::Expires, descending: false },
        List::Updates => Order { by: SortBy::Changed, descending: true },
        List::Workloads => Order { by: SortBy::Namespace, descending: false },
    }
}

fn word<T: FromStr<Err: ToString>>(value: &str) -> Result<T, Invalid> {
    value.parse().map_err(|error: T::Err| Invalid(error.to_string()))
}

/// Reads pairs of names and values.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(text.as_bytes()).into_owned()
}

impl ListQuery {
    /// Creates the query for the first page of a list, without filters and in the default order.
    pub(super) fn new(list: List) -> Self {
        Self {
            list,
            text: None,
            namespace: None,
            kind: None,
            policy: None,
            phases: Vec::new(),
            state: None,
            waiting: false,
            since: None,
            sort: None,
            page: 1,
        }
    }

    /// Reads the query of an address.
    ///
    /// # Errors
    /// A parameter or a value that does not exist.
    pub(super) fn read(list: List, query: &str) -> Result<Self, Invalid> {
        let mut read = Self::new(list);
        for (name, value) in pairs(query).filter(|(_, value)| !value.is_empty()) {
            match (name.as_str(), list) {
                ("q", _) if value.chars().count() > TEXT => return Err(Invalid(format!("q must have at most {TEXT} characters"))),
                ("q", _) => read.text = Some(value.trim().to_owned()).filter(|text| !text.is_empty()),
                ("namespace", _) => read.namespace = Some(namespace(&value)?),
                ("kind", _) => read.kind = Some(word(&value)?),
                ("policy", _) => read.policy = Some(word(&value)?),
                ("phase", List::Updates) => read.phases.push(word(&value)?),
                ("state", List::Workloads) => read.state = Some(state(&value)?),
                ("state", List::Updates) if value == WAITING => read.waiting = true,
                ("since", List::Updates) => read.since = Some(since(&value)?),
                ("sort", _) => read.sort = Some(sort(&value)?),
                ("page", _) => read.page = page(&value)?,
                (name, _) => return Err(Invalid(format!("this list has no parameter {:?}", name.chars().take(64).collect::<String>()))),
            }
        }
        read.phases.sort_unstable();
        read.phases.dedup();
        Ok(read)
    }

    /// Returns true if the list is filtered.
    pub(super) fn is_filtered(&self) -> bool {
        let Self { text, namespace, kind, policy, phases, state, waiting, since, .. } = self;
        text.is_some()
            || namespace.is_some()
            || kind.is_some()
            || policy.is_some()
            || !phases.is_empty()
            || state.is_some()
            || *waiting
            || since.is_some()
    }

    /// Returns the order of the list.
    pub(super) fn order(&self) -> Order {
        self.sort.unwrap_or_else(|| default_order(self.list))
    }

    /// Returns the value of the parameter `sort`. Empty for the default.
    pub(super) fn sort_text(&self) -> String {
        let Some(Order { by, descending }) = self.sort.filter(|order| *order != default_order(self.list)) else { return String::new() };
        let name = SORTS.iter().find(|(_, one)| *one == by).map_or("", |(name, _)| *name);
        format!("{}{name}", if descending { "-" } else { "" })
    }

    /// Returns true if the form of the list has a control for the order.
    pub(super) fn has_sort_control(&self) -> bool {
        matches!(self.list, List::Inbox | List::Updates)
    }

    /// Returns the number of entries before the page.
    pub(super) fn skip(&self) -> usize {
        (self.page - 1) * PAGE
    }

    /// Returns the question to the operator.
    pub(super) fn updates(&self, visible: &Visible, now: Timestamp) -> UpdateQuery {
        let span = self.since.map(|since| match since {
            Since::Day => SignedDuration::from_hours(24),
            Since::Week => SignedDuration::from_hours(7 * 24),
        });
        UpdateQuery {
            visible: visible.clone(),
            namespace: self.namespace.clone(),
            kind: self.kind,
            policy: self.policy,
            phases: self.phases.clone(),
            text: self.text.clone(),
            since: span.map(|span| now.checked_sub(span).unwrap_or(Timestamp::MIN)),
            waiting: self.waiting || self.list == List::Inbox,
            expires_before: None,
        }
    }

    fn path(&self) -> &'static str {
        match self.list {
            List::Inbox => "/",
            List::Updates => "/updates",
            List::Workloads => "/workloads",
        }
    }

    /// Returns the parameters, without those that have their default.
    pub(super) fn parameters(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let optional = [("q", self.text.as_deref()), ("namespace", self.namespace.as_deref())];
        let words = [("kind", self.kind.map(Kind::as_str)), ("policy", self.policy.map(Policy::as_str))];
        for (name, value) in optional.into_iter().chain(words) {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        for (name, value) in self.hidden() {
            text.append_pair(name, value);
        }
        let sort = self.sort_text();
        if !sort.is_empty() {
            text.append_pair("sort", &sort);
        }
        if self.page > 1 {
            text.append_pair("page", &self.page.to_string());
        }
        text.finish()
    }

    /// Returns the parameters that no control of the form has.
    pub(super) fn hidden(&self) -> Vec<(&'static str, &'static str)> {
        let mut all: Vec<_> = self.phases.iter().map(|phase| ("phase", phase.as_str())).collect();
        all.extend(self.state.and_then(|state| Some(("state", STATES.iter().find(|(_, one)| *one == state)?.0))));
        all.extend(self.waiting.then_some(("state", WAITING)));
        all.extend(self.since.map(|since| ("since", if since == Since::Day { "24h" } else { "7d" })));
        all
    }

    /// Returns the address of the list.
    pub(super) fn address(&self) -> String {
        let parameters = self.parameters();
        if parameters.is_empty() { self.path().to_owned() } else { format!("{}?{parameters}", self.path()) }
    }

    /// The same list from another page.
    pub(super) fn at_page(&self, page: usize) -> String {
        Self { page, ..self.clone() }.address()
    }

    /// The first page in another order.
    pub(super) fn sorted(&self, order: Order) -> String {
        Self { sort: Some(order), page: 1, ..self.clone() }.address()
    }

    /// The first page of other phases.
    #[must_use]
    pub(super) fn in_phases(&self, phases: &[Phase]) -> Self {
        let mut phases = phases.to_vec();
        phases.sort_unstable();
        Self { phases, waiting: false, since: None, page: 1, ..self.clone() }
    }

    /// The first page of the updates that wait for a person.
    #[must_use]
    pub(super) fn in_waiting(&self) -> Self {
        Self { waiting: true, ..self.in_phases(&[]) }
    }

    /// The first page of another state.
    pub(super) fn in_state(&self, state: Option<WorkloadState>) -> String {
        Self { state, page: 1, ..self.clone() }.address()
    }
}

/// A text that can be the name of a namespace. Whether it exists does not matter.
fn namespace(value: &str) -> Result<String, Invalid> {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if value.len() > 63 || !value.chars().all(fits) {
        return Err(Invalid("namespace must be the name of a namespace".to_owned()));
    }
    Ok(value.to_owned())
}

fn state(value: &str) -> Result<WorkloadState, Invalid> {
    let names: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
    let found = STATES.iter().find(|(name, _)| *name == value).map(|(_, state)| *state);
    found.ok_or_else(|| Invalid(format!("state must be one of {}", names.join(", "))))
}

fn since(value: &str) -> Result<Since, Invalid> {
    match value {
        "24h" => Ok(Since::Day),
        "7d" => Ok(Since::Week),
        _ => Err(Invalid("since must be 24h or 7d".to_owned())),
    }
}

fn sort(value: &str) -> Result<Order, Invalid> {
    let (name, descending) = value.strip_prefix('-').map_or((value, false), |name| (name, true));
    let names: Vec<&str> = SORTS.iter().map(|(name, _)| *name).collect();
    let found = SORTS.iter().find(|(one, _)| *one == name).map(|(_, by)| Order { by: *by, descending });
    found.ok_or_else(|| Invalid(format!("sort must be one of {}; a leading - reverses the order", names.join(", "))))
}

fn page(value: &str) -> Result<usize, Invalid> {
    value.parse().ok().filter(|page| (1..=PAGES).contains(page)).ok_or_else(|| Invalid(format!("page must be a number from 1 to {PAGES}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(List::Inbox, "", "/")]
    #[case(List::Inbox, "q=web&namespace=&sort=expires", "/?q=web")]
    #[case(List::Updates, "phase=RolledBack&phase=Failed&since=7d&page=2", "/updates?phase=Failed&phase=RolledBack&since=7d&page=2")]
    #[case(List::Updates, "sort=-changed&page=1", "/updates")]
    #[case(List::Updates, "q=a%26b%20c", "/updates?q=a%26b+c")]
    #[case(List::Workloads, "state=held&kind=deployment", "/workloads?kind=Deployment&state=held")]
    fn an_address_is_read_and_written(#[case] list: List, #[case] query: &str, #[case] expected: &str) {
        let read = ListQuery::read(list, query).unwrap();
        assert_eq!(read.address(), expected);
        assert_eq!(ListQuery::read(list, expected.split_once('?').map_or("", |(_, query)| query)).unwrap().address(), expected);
    }

    #[rstest::rstest]
    #[case(List::Inbox, "phase=Failed")]
    #[case(List::Updates, "phase=Lost")]
    #[case(List::Updates, "kind=Pod")]
    #[case(List::Updates, "policy=most")]
    #[case(List::Updates, "sort=colour")]
    #[case(List::Updates, "page=0")]
    #[case(List::Updates, "page=x")]
    #[case(List::Updates, "since=1y")]
    #[case(List::Updates, "namespace=A%20b")]
    #[case(List::Updates, "colour=red")]
    #[case(List::Workloads, "state=lost")]
    fn what_does_not_exist_is_an_error(#[case] list: List, #[case] query: &str) {
        assert!(ListQuery::read(list, query).is_err());
    }
}
