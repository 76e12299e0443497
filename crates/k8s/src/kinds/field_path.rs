//! The field of an object that holds a container's version.

use headwind_core::artifact::chart::{ChartReference, tag_of};
use headwind_core::workload::{Container, Kind, Slot, Workload};

use super::facts;

/// The field that holds the version of a container or chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// The JSON pointer of the field that changes.
    pub pointer: String,
    /// The neighbouring fields that must be unchanged for it to be the right one: JSON pointers and values.
    pub guards: Vec<(String, String)>,
    form: Form,
}

/// The form of a version in its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Image,
    Version,
    Tag,
}

impl FieldPath {
    /// Returns the field of the container's version: in the workload, or in the object that provides its version.
    pub fn of(workload: &Workload, container: &Container) -> Self {
        let (form, pointer, guard, guarded) = match (&container.chart, &workload.destination) {
            (None, _) => {
                let (list, field) = match container.slot {
                    Slot::Container => ("containers", "image"),
                    Slot::InitContainer => ("initContainers", "image"),
                    Slot::ImageVolume => ("volumes", "image/reference"),
                };
                let at = format!("{}/spec/{list}/{}", pod_template(workload.key.kind), container.index);
                (Form::Image, format!("{at}/{field}"), format!("{at}/name"), container.name.clone())
            }
            (Some(_), None) => {
                let chart = ChartReference::parse(&container.image).map(|chart| chart.name().to_owned()).unwrap_or_default();
                (Form::Version, "/spec/chart/spec/version".to_owned(), "/spec/chart/spec/chart".to_owned(), chart)
            }
            (Some(_), Some(destination)) => (Form::Tag, "/spec/ref/tag".to_owned(), "/spec/url".to_owned(), destination.url.clone()),
        };
        Self { pointer, guards: vec![(guard, guarded)], form }
    }

    /// Returns the value of the field for `image`; `None` if `image` has no version.
    pub fn written(&self, image: &str) -> Option<String> {
        let version = || ChartReference::parse(image).ok().map(|chart| chart.version().to_owned());
        match self.form {
            Form::Image => Some(image.to_owned()),
            Form::Version => version(),
            Form::Tag => version().map(|version| tag_of(&version)),
        }
    }
}

/// Returns the JSON pointer of the annotations of a kind's pod template.
pub(crate) fn template_annotations(kind: Kind) -> String {
    format!("{}/metadata/annotations", pod_template(kind))
}

/// Returns the JSON pointer of a kind's pod template; the root for a kind without one, which has no images.
fn pod_template(kind: Kind) -> &'static str {
    facts(kind).pod_template.unwrap_or_default()
}
