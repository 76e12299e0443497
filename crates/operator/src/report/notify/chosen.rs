//! The channels that the annotation `headwind.sh/notify` of a workload or its namespace chooses.

use std::collections::BTreeSet;

use headwind_core::settings::{Annotations, key};

use crate::report::channel::Channel;

/// The value that chooses no channel.
const NONE: &str = "none";

/// Returns the chosen channels; `None` for all. The annotation of the workload takes precedence over that of the
/// namespace, and one for the container over both. Unknown names are ignored: a typo must not silence the other
/// channels.
pub(super) fn chosen(workload: Option<&Annotations>, namespace: &Annotations, container: Option<&str>) -> Option<BTreeSet<Channel>> {
    let own = container.map(|container| format!("{}.{container}", key::NOTIFY));
    let names = own.iter().map(String::as_str).chain([key::NOTIFY]).collect::<Vec<_>>();
    let value = workload.into_iter().chain([namespace]).find_map(|all| names.iter().find_map(|name| all.get(*name)))?;
    let words: Vec<&str> = value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let known: BTreeSet<Channel> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if known.is_empty() && !words.contains(&NONE) { None } else { Some(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(value: &str) -> Annotations {
        [(key::NOTIFY.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn the_nearest_annotation_counts() {
        let (none, slack, both) = (Annotations::new(), annotations("slack"), annotations(" teams , mail"));
        assert_eq!(chosen(Some(&none), &none, None), None);
        assert_eq!(chosen(None, &slack, None), Some([Channel::Slack].into()));
        assert_eq!(chosen(Some(&both), &slack, Some("web")), Some([Channel::Teams, Channel::Mail].into()));
        let mut own = both.clone();
        own.insert(format!("{}.web", key::NOTIFY), "webhook".to_owned());
        assert_eq!(chosen(Some(&own), &slack, Some("web")), Some([Channel::Webhook].into()));
        assert_eq!(chosen(Some(&own), &slack, Some("db")), Some([Channel::Teams, Channel::Mail].into()));
    }

    #[test]
    fn none_chooses_no_channel_and_a_typo_chooses_all() {
        let none = Annotations::new();
        assert_eq!(chosen(Some(&annotations("none")), &none, None), Some(BTreeSet::new()));
        assert_eq!(chosen(Some(&annotations("slakc")), &none, None), None);
        assert_eq!(chosen(Some(&annotations("slakc,mail")), &none, None), Some([Channel::Mail].into()));
    }
}
