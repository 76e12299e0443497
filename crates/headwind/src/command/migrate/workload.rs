//! The parts of a manifest that the translation reads and writes.

use headwind_core::keel::{Manifest, NamedImage};
use headwind_core::settings::Annotations;

use super::document::Node;

/// The kinds that Keel updates, with the path to their pod template.
const KINDS: [(&str, &[&str]); 4] = [
    ("Deployment", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// Returns the name of an object in messages, without control characters.
pub(super) fn title(object: &Node) -> String {
    let text = |path: &[&str]| object.at(path).and_then(Node::text).filter(|text| !text.is_empty());
    let kind = text(&["kind"]).unwrap_or("document");
    let name = match (text(&["metadata", "namespace"]), text(&["metadata", "name"])) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind.to_owned(),
    };
    name.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

/// Returns the pod template of an object, whatever its kind.
pub(super) fn template(object: &Node) -> Option<&Node> {
    KINDS.iter().find_map(|(_, path)| object.at(path))
}

/// Returns every mapping that may have keys of Keel.
pub(super) fn places(object: &Node) -> Vec<&Node> {
    [Some(object), template(object)]
        .into_iter()
        .flatten()
        .flat_map(|node| [node.at(&["metadata", "labels"]), node.at(&["metadata", "annotations"])])
        .flatten()
        .collect()
}

/// Returns true for chart values with a section for Keel: those of a HelmRelease, and a values file.
pub(super) fn has_values_of_keel(object: &Node) -> bool {
    object.at(&["spec", "values", "keel", "policy"]).is_some()
        || (object.at(&["kind"]).is_none() && object.at(&["keel", "policy"]).is_some())
}

/// Reads an object of a kind that Keel updates.
pub(super) fn read(object: &Node) -> Option<Manifest> {
    let kind = object.at(&["kind"])?.text()?;
    let (_, path) = KINDS.iter().find(|(known, _)| *known == kind)?;
    let meta = |node: Option<&Node>, name: &str| map(node.and_then(|node| node.at(&["metadata", name])));
    let template = object.at(path);
    let pods = |name: &str| template.and_then(|template| template.at(&["spec", name]));
    let mut labels = meta(template, "labels");
    labels.extend(meta(template, "annotations"));
    Some(Manifest {
        labels: meta(Some(object), "labels"),
        annotations: meta(Some(object), "annotations"),
        template: labels,
        containers: images(pods("containers"), &["image"]),
        init_containers: images(pods("initContainers"), &["image"]),
        volumes: images(pods("volumes"), &["image", "reference"]),
        pull_secrets: pods("imagePullSecrets")
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|secret| secret.at(&["name"])?.text().map(str::to_owned))
            .collect(),
    })
}

fn map(node: Option<&Node>) -> Annotations {
    let pair = |(key, value): &(Node, Node)| Some((key.text()?.to_owned(), value.text()?.to_owned()));
    node.into_iter().flat_map(Node::pairs).filter_map(pair).collect()
}

fn images(list: Option<&Node>, path: &[&str]) -> Vec<NamedImage> {
    let image = |one: &Node| Some(NamedImage { name: one.at(&["name"])?.text()?.to_owned(), image: one.at(path)?.text()?.to_owned() });
    list.into_iter().flat_map(Node::items).filter_map(image).collect()
}
