//! The nodes that the pods of a workload may be scheduled on, as far as their labels and taints decide it:
//! `nodeSelector`, the required node affinity and the tolerations.

use std::collections::BTreeMap;

use crate::artifact::platform::Platform;

/// The label of a node with its operating system, set by the kubelet.
const OS: &str = "kubernetes.io/os";
/// The label of a node with its architecture, set by the kubelet.
const ARCH: &str = "kubernetes.io/arch";

/// Prefixes of the taints that Kubernetes sets for some time, such as on a node that is cordoned or not ready.
const TEMPORARY: [&str; 2] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];

/// Maximum number of labels of the selector.
const LABELS: usize = 64;
/// Maximum number of terms, and of requirements in all terms.
const REQUIREMENTS: usize = 64;
/// Maximum number of tolerations.
const TOLERATIONS: usize = 64;
/// Maximum number of values in all requirements.
const VALUES: usize = 256;
/// Maximum length of the key of a label in bytes: a prefix of 253, a slash and a name of 63.
const KEY_LENGTH: usize = 317;
/// Maximum length of the value of a label in bytes.
const VALUE_LENGTH: usize = 63;

/// The labels of a node.
pub type NodeLabels = BTreeMap<String, String>;

/// A node, as far as it decides which pods may be scheduled on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its labels.
    pub labels: NodeLabels,
    /// Its taints.
    pub taints: Vec<Taint>,
}

/// A taint of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A toleration of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The key of the taint; empty for every taint.
    pub key: String,
    /// `Equal` (or empty) or `Exists`.
    pub operator: String,
    /// The value of the taint, for `Equal`.
    pub value: String,
    /// The effect of the taint; empty for every effect.
    pub effect: String,
}

/// The nodes that pods may be scheduled on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// `nodeSelector`: every label must be set.
    pub selector: BTreeMap<String, String>,
    /// `nodeSelectorTerms` of the required node affinity: one of them must match. Without terms, every node matches.
    pub terms: Vec<Vec<Requirement>>,
    /// `tolerations`: every lasting taint of the node must be tolerated.
    pub tolerations: Vec<Toleration>,
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
    /// together. In place of too many tolerations, everything is tolerated.
    #[must_use]
    pub fn bounded(self) -> Self {
        let Self { selector, terms, tolerations } = self;
        let is_label = |(key, value): &(String, String)| key.len() <= KEY_LENGTH && value.len() <= VALUE_LENGTH;
        let selector = selector.into_iter().filter(is_label).take(LABELS).collect();
        let fits = terms.len() <= REQUIREMENTS
            && terms.iter().map(Vec::len).sum::<usize>() <= REQUIREMENTS
            && terms.iter().flatten().map(|requirement| requirement.values.len()).sum::<usize>() <= VALUES
            && terms.iter().flatten().all(Requirement::is_short);
        let tolerable = tolerations.len() <= TOLERATIONS && tolerations.iter().all(Toleration::is_short);
        let everything = || vec![Toleration { operator: "Exists".to_owned(), ..Toleration::default() }];
        Self { selector, terms: if fits { terms } else { Vec::new() }, tolerations: if tolerable { tolerations } else { everything() } }
    }

    /// Returns true if pods may be scheduled on the node.
    pub fn allows(&self, node: &Node) -> bool {
        let labels = &node.labels;
        let selected = self.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        // A term without requirements matches no node.
        let matches = |term: &Vec<Requirement>| !term.is_empty() && term.iter().all(|requirement| requirement.is_met(labels));
        let tolerated = |taint: &Taint| !taint.excludes() || self.tolerations.iter().any(|toleration| toleration.covers(taint));
        selected && (self.terms.is_empty() || self.terms.iter().any(matches)) && node.taints.iter().all(tolerated)
    }
}

impl Taint {
    /// Returns true if it lasts, and pods without a toleration are not scheduled on the node.
    pub fn excludes(&self) -> bool {
        matches!(self.effect.as_str(), "NoSchedule" | "NoExecute") && !TEMPORARY.iter().any(|prefix| self.key.starts_with(prefix))
    }
}

impl Toleration {
    fn is_short(&self) -> bool {
        let Self { key, operator, value, effect } = self;
        key.len() <= KEY_LENGTH && [operator, value, effect].iter().all(|text| text.len() <= VALUE_LENGTH)
    }

    fn covers(&self, taint: &Taint) -> bool {
        let Self { key, operator, value, effect } = self;
        (effect.is_empty() || *effect == taint.effect)
            && (key.is_empty() || *key == taint.key)
            && match operator.as_str() {
                "" | "Equal" => !key.is_empty() && *value == taint.value,
                // `Exists`, or an operator of a newer Kubernetes: the pods may be scheduled.
                _ => true,
            }
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
pub fn platforms<'a>(placement: Option<&Placement>, nodes: impl IntoIterator<Item = &'a Node>) -> Vec<Platform> {
    let anywhere = Placement::default();
    let placement = placement.unwrap_or(&anywhere);
    let allowed = nodes.into_iter().filter(|node| placement.allows(node));
    let platform =
        |Node { labels, .. }: &Node| Some(Platform { os: labels.get(OS)?.clone(), arch: labels.get(ARCH)?.clone(), variant: None });
    let mut all: Vec<Platform> = allowed.filter_map(platform).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn node(arch: &str, more: &[(&str, &str)]) -> Node {
        let own = [(OS, "linux"), (ARCH, arch)];
        let labels = own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Node { labels, taints: Vec::new() }
    }

    fn cluster() -> Vec<Node> {
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
            ..Placement::default()
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

    fn toleration(text: &str) -> Toleration {
        let mut parts = text.split(' ').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Toleration { key: next(), operator: next(), value: next(), effect: next() }
    }

    /// The arm64 node has the taint `arch=arm64`, and one that lasts until the node is ready.
    #[rstest]
    #[case::none("", "NoSchedule", false)]
    #[case::only_preferred("", "PreferNoSchedule", true)]
    #[case::by_default_equal("arch  arm64", "NoSchedule", true)]
    #[case::equal("arch Equal arm64 NoSchedule", "NoSchedule", true)]
    #[case::another_value("arch Equal s390x", "NoSchedule", false)]
    #[case::another_effect("arch Exists  NoSchedule", "NoExecute", false)]
    #[case::exists("arch Exists", "NoExecute", true)]
    #[case::another_key("gpu Exists", "NoSchedule", false)]
    #[case::everything(" Exists", "NoSchedule", true)]
    #[case::no_key_and_equal("  arm64", "NoSchedule", false)]
    fn taints(#[case] tolerated: &str, #[case] effect: &str, #[case] expected: bool) {
        let taint =
            |key: &str, value: &str, effect: &str| Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() };
        let mut nodes = [node("amd64", &[]), node("arm64", &[])];
        nodes[1].taints = vec![taint("arch", "arm64", effect), taint("node.kubernetes.io/not-ready", "", "NoExecute")];
        let tolerations = tolerated.split('|').filter(|text| !text.is_empty()).map(toleration).collect();
        let placement = Placement { tolerations, ..Placement::default() };
        assert_eq!(platforms(Some(&placement), &nodes).len() == 2, expected);
        assert_eq!(platforms(None, &nodes).len() == 2, effect == "PreferNoSchedule");
    }

    #[test]
    fn tolerations_beyond_the_limits_tolerate_everything() {
        let mut tainted = node("arm64", &[]);
        tainted.taints = vec![Taint { key: "arch".to_owned(), value: "arm64".to_owned(), effect: "NoSchedule".to_owned() }];
        for (tolerations, expected) in [(vec![toleration("gpu Exists"); 64], 0), (vec![toleration("gpu Exists"); 65], 1)] {
            let placement = Placement { tolerations, ..Placement::default() }.bounded();
            assert_eq!(platforms(Some(&placement), [&tainted]).len(), expected);
        }
    }

    #[test]
    fn a_node_without_the_labels_has_no_platform() {
        assert!(platforms(None, &[Node::default()]).is_empty());
    }
}
