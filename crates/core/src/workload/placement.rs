//! The nodes that the pods of a workload may be scheduled on, as far as their labels decide it: `nodeSelector` and the
//! required node affinity.

use std::collections::BTreeMap;

use crate::artifact::platform::Platform;

/// The label of a node with its operating system, set by the kubelet.
const OS: &str = "kubernetes.io/os";
/// The label of a node with its architecture, set by the kubelet.
const ARCH: &str = "kubernetes.io/arch";

/// Maximum number of labels of the selector.
const LABELS: usize = 64;
/// Maximum number of terms, and of requirements in all terms.
const REQUIREMENTS: usize = 64;
/// Maximum number of values in all requirements.
const VALUES: usize = 256;
/// Maximum length of the key of a label in bytes: a prefix of 253, a slash and a name of 63.
const KEY_LENGTH: usize = 317;
/// Maximum length of the value of a label in bytes.
const VALUE_LENGTH: usize = 63;

/// The labels of a node.
pub type NodeLabels = BTreeMap<String, String>;

/// The nodes that pods may be scheduled on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// `nodeSelector`: every label must be set.
    pub selector: BTreeMap<String, String>,
    /// `nodeSelectorTerms` of the required node affinity: one of them must match. Without terms, every node matches.
    pub terms: Vec<Vec<Requirement>>,
}

/// A requirement on a label of a node (`matchExpressions`), or on its name (`matchFields`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    pub operator: String,
    /// The values.
    pub values: Vec<String>,
}

impl Placement {
    /// Returns the placement within limits.
    ///
    /// What exceeds a limit does not restrict the nodes: with more nodes, a version needs more platforms, and Headwind
    /// never proposes a version that cannot run. A term or a value less would exclude nodes, so all terms are dropped
    /// together.
    #[must_use]
    pub fn bounded(self) -> Self {
        let Self { selector, terms } = self;
        let is_label = |(key, value): &(String, String)| key.len() <= KEY_LENGTH && value.len() <= VALUE_LENGTH;
        let selector = selector.into_iter().filter(is_label).take(LABELS).collect();
        let fits = terms.len() <= REQUIREMENTS
            && terms.iter().map(Vec::len).sum::<usize>() <= REQUIREMENTS
            && terms.iter().flatten().map(|requirement| requirement.values.len()).sum::<usize>() <= VALUES
            && terms.iter().flatten().all(Requirement::is_short);
        Self { selector, terms: if fits { terms } else { Vec::new() } }
    }

    /// Returns true if pods may be scheduled on a node with these labels.
    pub fn allows(&self, node: &NodeLabels) -> bool {
        let selected = self.selector.iter().all(|(key, value)| node.get(key) == Some(value));
        // A term without requirements matches no node.
        let matches = |term: &Vec<Requirement>| !term.is_empty() && term.iter().all(|requirement| requirement.is_met(node));
        selected && (self.terms.is_empty() || self.terms.iter().any(matches))
    }
}

impl Requirement {
    fn is_short(&self) -> bool {
        let Self { key, operator, values } = self;
        key.len() <= KEY_LENGTH && operator.len() <= VALUE_LENGTH && values.iter().all(|value| value.len() <= VALUE_LENGTH)
    }

    fn is_met(&self, node: &NodeLabels) -> bool {
        let label = node.get(&self.key);
        let number = |text: &String| text.parse::<i64>().ok();
        let compared = |holds: fn(i64, i64) -> bool| {
            label.and_then(number).zip(self.values.first().and_then(number)).is_some_and(|(label, bound)| holds(label, bound))
        };
        match self.operator.as_str() {
            "In" => label.is_some_and(|label| self.values.contains(label)),
            "NotIn" => label.is_none_or(|label| !self.values.contains(label)),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            "Gt" => compared(|label, bound| label > bound),
            "Lt" => compared(|label, bound| label < bound),
            // An operator of a newer Kubernetes: the node may match.
            _ => true,
        }
    }
}

/// Returns the platforms of the nodes that the pods may be scheduled on.
pub fn platforms<'a>(placement: Option<&Placement>, nodes: impl IntoIterator<Item = &'a NodeLabels>) -> Vec<Platform> {
    let allowed = nodes.into_iter().filter(|node| placement.is_none_or(|placement| placement.allows(node)));
    let platform = |node: &NodeLabels| Some(Platform { os: node.get(OS)?.clone(), arch: node.get(ARCH)?.clone(), variant: None });
    let mut all: Vec<Platform> = allowed.filter_map(platform).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn node(arch: &str, more: &[(&str, &str)]) -> NodeLabels {
        let own = [(OS, "linux"), (ARCH, arch)];
        own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn cluster() -> Vec<NodeLabels> {
        vec![node("amd64", &[("pool", "a"), ("size", "4")]), node("arm64", &[("pool", "b"), ("size", "8")]), node("amd64", &[("gpu", "x")])]
    }

    fn requirement(text: &str) -> Requirement {
        let mut parts = text.split(' ').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Requirement { key: next(), operator: next(), values: parts.collect() }
    }

    /// Reads a term: requirements, separated by commas. A term that is a dot has no requirements.
    fn term(text: &str) -> Vec<Requirement> {
        text.split(',').map(str::trim).filter(|text| *text != ".").map(requirement).collect()
    }

    #[rstest]
    #[case::anywhere(&[], "", "linux/amd64 linux/arm64")]
    #[case::selector(&[("pool", "b")], "", "linux/arm64")]
    #[case::selector_by_arch(&[(ARCH, "amd64")], "", "linux/amd64")]
    #[case::nowhere(&[("pool", "c")], "", "")]
    #[case::in_one(&[], "pool In a b", "linux/amd64 linux/arm64")]
    #[case::not_in(&[], "pool NotIn b", "linux/amd64")]
    #[case::exists(&[], "gpu Exists", "linux/amd64")]
    #[case::does_not_exist(&[], "gpu DoesNotExist", "linux/amd64 linux/arm64")]
    #[case::greater(&[], "size Gt 4", "linux/arm64")]
    #[case::less(&[], "size Lt 5", "linux/amd64")]
    #[case::both_of_a_term(&[], "pool Exists, size Gt 4", "linux/arm64")]
    #[case::one_of_the_terms(&[], "size Gt 4 | gpu Exists", "linux/amd64 linux/arm64")]
    #[case::selector_and_terms(&[("pool", "a")], "size Gt 4", "")]
    #[case::an_empty_term(&[], ".", "")]
    fn where_pods_may_run(#[case] selector: &[(&str, &str)], #[case] terms: &str, #[case] expected: &str) {
        let placement = Placement {
            selector: selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            terms: terms.split('|').filter(|term| !term.is_empty()).map(term).collect(),
        };
        let found = platforms(Some(&placement), &cluster()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn an_affinity_beyond_the_limits_restricts_nothing() {
        let (read, ignored) = ("linux/arm64", "linux/amd64 linux/arm64");
        let cases = [
            (vec!["pool In b"; 64].join(","), read),
            (vec!["pool In b"; 65].join(","), ignored),
            (vec!["pool In b"; 64].join("|"), read),
            (vec!["pool In b"; 65].join("|"), ignored),
            (format!("pool In{}", " b".repeat(256)), read),
            (format!("pool In{}", " b".repeat(257)), ignored),
            (format!("pool In b {}", "x".repeat(64)), ignored),
            (format!("pool In b,{} DoesNotExist", "x".repeat(318)), ignored),
        ];
        for (terms, expected) in cases {
            let placement = Placement { terms: terms.split('|').map(term).collect(), ..Placement::default() }.bounded();
            let found = platforms(Some(&placement), &cluster()).iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(found.join(" "), expected, "{terms}");
        }
    }

    #[test]
    fn labels_beyond_the_limit_restrict_nothing() {
        let short = (0..100).map(|number| (format!("k{number:02}"), "v".to_owned()));
        let selector = short.chain([("a".to_owned(), "x".repeat(64)), ("b".repeat(318), "v".to_owned())]).collect();
        let bounded = Placement { selector, ..Placement::default() }.bounded();
        assert_eq!(bounded.selector.len(), 64);
        assert_eq!(bounded.selector.last_key_value(), Some((&"k63".to_owned(), &"v".to_owned())));
    }

    #[test]
    fn a_node_without_the_labels_has_no_platform() {
        assert!(platforms(None, &[NodeLabels::new()]).is_empty());
    }
}
