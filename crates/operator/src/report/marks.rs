//! Marks of the reported changes of requests, for the next leader.
//!
//! For each watched namespace (or for all, as `*`), the resource version up to which every change was reported. Stored
//! in an annotation of the Lease, as `*=1234` or `shop=1234,team-a=1250`: the leader renews the Lease anyway.

use std::collections::BTreeMap;
use std::fmt;

use crate::observe::state::WatchedNamespace;

/// The annotation of the Lease.
pub(crate) const REPORTED: &str = "headwind.sh/reported";
/// The name that stands for all namespaces.
const ALL: &str = "*";

/// Resource versions by watched namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks(BTreeMap<WatchedNamespace, u128>);

impl Marks {
    /// Reads the annotation. Ignores entries that it cannot read.
    pub(crate) fn parse(text: &str) -> Self {
        let entry = |entry: &str| {
            let (namespace, version) = entry.split_once('=')?;
            Some(((namespace != ALL).then(|| namespace.into()), version.parse().ok()?))
        };
        Self(text.split(',').filter_map(entry).collect())
    }

    /// Records that everything in the namespace up to that version was reported.
    pub(crate) fn advance(&mut self, namespace: WatchedNamespace, version: u128) {
        let mark = self.0.entry(namespace).or_default();
        *mark = version.max(*mark);
    }

    /// Lowers the mark to at most that version.
    pub(crate) fn hold(&mut self, namespace: WatchedNamespace, version: u128) {
        let mark = self.0.entry(namespace).or_insert(version);
        *mark = version.min(*mark);
    }

    /// Returns the watched namespace whose mark applies to this one.
    pub(crate) fn place(&self, namespace: &str) -> WatchedNamespace {
        let own: WatchedNamespace = Some(namespace.into());
        if self.0.contains_key(&own) { own } else { None }
    }

    /// Returns true if a change of that version in the namespace was not reported. If the namespace has no mark,
    /// everything counts as reported: it was not watched before.
    pub(crate) fn lacks(&self, namespace: &str, version: u128) -> bool {
        let mark = self.0.get(&Some(namespace.into())).or_else(|| self.0.get(&None));
        mark.is_some_and(|mark| version > *mark)
    }

    /// Returns all marks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&WatchedNamespace, u128)> {
        self.0.iter().map(|(namespace, version)| (namespace, *version))
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (namespace, version)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}={version}", namespace.as_deref().unwrap_or(ALL))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_the_annotation() {
        let mut marks = Marks::default();
        marks.advance(None, 12);
        marks.advance(Some("shop".into()), 7);
        marks.advance(Some("shop".into()), 5);
        assert_eq!(marks.to_string(), "*=12,shop=7");
        assert_eq!(Marks::parse(&marks.to_string()), marks);
        assert_eq!(Marks::parse("junk,=,a=b,shop=7"), Marks::parse("shop=7"));
    }

    #[test]
    fn a_namespace_that_was_not_watched_has_nothing_to_report() {
        let one = Marks::parse("shop=7");
        assert!(one.lacks("shop", 8) && !one.lacks("shop", 7) && !one.lacks("other", 8));
        assert!(Marks::parse("*=7").lacks("other", 8));
        assert!(!Marks::default().lacks("shop", 8));
    }
}
