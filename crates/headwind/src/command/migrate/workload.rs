//! The parts of a manifest that the translation reads and writes.

use headwind_core::keel::{Manifest, NamedImage};
use headwind_core::settings::Annotations;

use super::document::{Content, Node};

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

/// Returns the key of the first place that shares a setting of Keel with another one: by an anchor, an alias or a merge
/// key.
pub(super) fn shared(object: &Node) -> Option<String> {
    [Some(object), template(object)].into_iter().flatten().find_map(|node| {
        let metadata = node.at(&["metadata"])?;
        if is_hiding(metadata) {
            return Some("metadata".to_owned());
        }
        ["labels", "annotations"].into_iter().find_map(|name| {
            let part = metadata.at(&[name])?;
            if is_hiding(part) {
                return Some(name.to_owned());
            }
            let (key, _) = part.pairs().iter().find(|(key, value)| key.mentions_keel() && (key.is_shared || value.is_shared))?;
            Some(key.text().unwrap_or(name).to_owned())
        })
    })
}

/// Returns true if the node has keys of Keel that are written in another place.
fn is_hiding(node: &Node) -> bool {
    matches!(node.content, Content::Alias(true)) || node.pair("<<").is_some_and(|(_, merged)| merged.mentions_keel())
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
        containers: containers(pods("containers")),
        init_containers: containers(pods("initContainers")),
        volumes: volumes(pods("volumes")),
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

fn containers(list: Option<&Node>) -> Vec<NamedImage> {
    list.into_iter().flat_map(Node::items).map(|one| named(one, &["image"])).collect()
}

fn volumes(list: Option<&Node>) -> Vec<NamedImage> {
    let images = list.into_iter().flat_map(Node::items).filter(|one| one.pair("image").is_some());
    images.map(|one| named(one, &["image", "reference"])).collect()
}

/// Returns a name with its image. A missing text or an alias becomes an empty text, so that the translation can tell.
fn named(one: &Node, image: &[&str]) -> NamedImage {
    let text = |path: &[&str]| one.at(path).and_then(Node::text).unwrap_or_default().to_owned();
    NamedImage { name: text(&["name"]), image: text(image) }
}
