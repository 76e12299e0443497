//! One container of a workload, or the chart of a release.

use super::source::ResolvedChart;
use crate::artifact::reference::Digest;
use crate::artifact::{Artifact, ArtifactError, ArtifactKind, Origin};
use crate::reason::Reasoned;
use crate::settings::Settings;

/// Maximum number of containers of a workload that Headwind reads, with init containers and image volumes.
pub const MAX_CONTAINERS: usize = 64;
/// Maximum length of an invalid image in a message, in characters.
const SHOWN: usize = 200;

/// The list of a pod template that contains an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// `containers`; the chart of a release counts as one.
    Container,
    /// `initContainers`.
    InitContainer,
    /// `volumes`: a mounted OCI image.
    ImageVolume,
}

impl Slot {
    /// Returns true if an image here is tracked only when `headwind.sh/images` names it.
    pub fn is_tracked_only_by_name(self) -> bool {
        matches!(self, Slot::InitContainer | Slot::ImageVolume)
    }
}

/// One container or image volume of a pod template, or the chart of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: String,
    /// The image exactly as the user wrote it; it may be an invalid reference.
    pub image: String,
    /// The list of the pod template that it is in.
    pub slot: Slot,
    /// Its index in that list.
    pub index: usize,
    /// True if its `imagePullPolicy` is `Always`.
    pub pulls_always: bool,
    /// The value that Headwind wrote into the pod template for it (`digest-update: restart`): `<image>@<digest>`.
    pub restarted_for: Option<String>,
    /// The digest that a scan first saw for the current image. A later one is new.
    pub first_seen: Option<String>,
    /// Why Headwind cannot update it: the field is in another object.
    pub out_of_reach: Option<Box<Reasoned>>,
    /// For a release's chart: the data of its source.
    pub chart: Option<Box<ResolvedChart>>,
}

impl Container {
    /// Creates a container with that name and image, and defaults for everything else.
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            slot: Slot::Container,
            index: 0,
            pulls_always: false,
            restarted_for: None,
            first_seen: None,
            out_of_reach: None,
            chart: None,
        }
    }

    /// Returns the kind of its artifact.
    pub fn kind(&self) -> ArtifactKind {
        if self.chart.is_some() { ArtifactKind::Chart } else { ArtifactKind::Image }
    }

    /// Parses its artifact.
    ///
    /// # Errors
    /// If the text is neither an image nor a chart.
    pub fn artifact(&self) -> Result<Artifact, ArtifactError> {
        Artifact::parse(self.kind(), &self.image)
    }

    /// Returns the start of its image, for a message about an invalid one.
    pub fn shown_image(&self) -> String {
        match self.image.char_indices().nth(SHOWN).and_then(|(end, _)| self.image.get(..end)) {
            Some(start) => format!("{start}…"),
            None => self.image.clone(),
        }
    }

    /// Returns the origin of its versions; `None` if it is unknown.
    pub fn origin(&self) -> Option<Origin> {
        match &self.chart {
            Some(site) => site.origin.clone(),
            None => match self.artifact().ok()? {
                Artifact::Image(image) => Some(Origin::Registry(image.repository().clone())),
                Artifact::Chart(_) => None,
            },
        }
    }

    /// Returns why it gets no updates although its policy wants them, such as what a release's source says.
    pub fn skip_reason(&self, settings: &Settings) -> Option<Reasoned> {
        if settings.policy.is_off() {
            return None;
        }
        self.out_of_reach.as_deref().cloned().or_else(|| self.chart.as_ref()?.skip_reason())
    }

    /// Returns the digest that Headwind restarted it for, if that was a digest of the current image.
    pub fn restarted_digest(&self) -> Option<&str> {
        noted_digest(&self.image, self.restarted_for.as_deref())
    }

    /// Returns the running digest, if known: the one in the reference, else the one it was restarted for, else the one
    /// that was first seen for its tag.
    pub fn known_digest(&self, reference: &Artifact) -> Option<Digest> {
        let notes = [self.restarted_digest(), self.first_seen.as_deref()];
        reference.digest().cloned().or_else(|| notes.into_iter().flatten().find_map(|text| Digest::parse(text).ok()))
    }
}

/// Returns the digest in a note of the form `<image>@<digest>`; `None` if the note is about another image.
pub fn noted_digest<'a>(image: &str, note: Option<&'a str>) -> Option<&'a str> {
    note?.strip_prefix(image)?.strip_prefix('@')
}
