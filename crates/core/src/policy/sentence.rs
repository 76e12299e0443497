//! The verdicts as sentences.

use super::{Candidate, Current, Family, Rule};
use crate::artifact::ArtifactKind;
use crate::artifact::version::Version;
use crate::reason::Reason;

/// Added to the verdict on a candidate of a pinned image whose digest is not known yet.
pub(crate) const DIGEST_LOOKED_UP: &str = "Headwind looks up its digest when it applies the update";

/// Returns the verdict `reason` on a candidate as a message; without a candidate, it is about the current tag.
pub fn sentence(rule: &Rule, kind: ArtifactKind, current: &Current, candidate: Option<&Candidate>, reason: Reason) -> String {
    let mine = current.tag.as_deref().unwrap_or_default();
    let tag = candidate.map_or(mine, |candidate| candidate.tag.as_str());
    let pattern = || rule.pattern.as_ref().map(ToString::to_string).unwrap_or_default();
    match reason {
        Reason::HigherVersion => format!("{tag} is higher than {mine} and within policy {}", rule.policy),
        Reason::HighestMatch => format!("{tag} is the highest match of {}", pattern()),
        Reason::Forced => format!("policy force accepts {tag}"),
        Reason::NewDigest => match candidate.and_then(|candidate| candidate.digest.as_ref()) {
            Some(digest) => format!("{tag} has a new digest, {digest}"),
            None => format!("{tag} was pushed again"),
        },
        Reason::UpToDate => up_to_date(rule, mine),
        Reason::PolicyNone => "policy none accepts no version; set the annotation headwind.sh/policy".to_owned(),
        Reason::PatternMissing => "policy glob needs the annotation headwind.sh/pattern".to_owned(),
        Reason::DigestOnly => "the image has a digest and no tag; only policy force changes it".to_owned(),
        Reason::InvalidTag => format!("{tag:?} is not a valid tag"),
        Reason::NotAnImage => format!("{tag} is a signature, attestation or bill of materials, not an image"),
        Reason::VersionRange => format!("the version {mine:?} is a range, which Flux resolves by itself"),
        Reason::SameTag => same_tag(rule, kind, tag),
        Reason::SameDigest => format!("{tag} runs with this digest already"),
        Reason::NotFollowed => format!("while polling, policy force follows the digest of {mine} only"),
        Reason::Deprecated => format!("{tag} is deprecated by its author"),
        Reason::PartialVersion => format!("{tag} has fewer than three numbers, so Flux would read it as a range"),
        Reason::PatternMismatch if candidate.is_none() => format!("no tag matches the pattern {}", pattern()),
        Reason::PatternMismatch => format!("{tag} does not match the pattern {}", pattern()),
        Reason::NotAVersion if kind == ArtifactKind::Chart => format!("{tag} is not a version that Helm accepts"),
        Reason::NotAVersion => format!("{tag} is not a version"),
        Reason::CurrentNotAVersion => {
            let advice = match kind {
                ArtifactKind::Image => "set policy force to follow its digest, or glob with a pattern",
                ArtifactKind::Chart => "name a version of the chart",
            };
            format!("the current tag {mine:?} is not a version, so nothing is higher; {advice}")
        }
        Reason::SchemeDiffers => format!("{tag} has another numbering scheme than {mine}"),
        Reason::VariantDiffers => {
            let named = |text: &str| match kind.read(text) {
                Some(Version { variant, .. }) if !variant.is_empty() => format!("variant {variant}"),
                _ => "the plain image".to_owned(),
            };
            format!("{tag} is {}, but {mine} is {}", named(tag), named(mine))
        }
        Reason::RevisionDiffers => format!("only one of {tag} and {mine} has a revision"),
        Reason::PreRelease if rule.policy.needs_pattern() => format!("{tag} is a pre-release; a pattern that names it accepts it"),
        Reason::PreRelease => format!("{tag} is a pre-release; policy all accepts it, or a pattern that names it"),
        Reason::SameVersion => format!("{tag} is the same version as {mine}, written differently"),
        Reason::LowerVersion => format!("{tag} is lower than {mine}"),
        Reason::LowerMatch => lower_match(rule, current, tag),
        Reason::MajorDiffers => format!("{tag} has another major version; policy major would accept it"),
        Reason::MinorDiffers => format!("{tag} has another minor version; policy minor would accept it"),
        other => other.sentence().to_owned(),
    }
}

fn up_to_date(rule: &Rule, mine: &str) -> String {
    match (rule.policy.family(), &rule.pattern) {
        (Family::Digests, _) => format!("{mine} runs with the digest that the registry has"),
        (Family::Matches, Some(pattern)) => format!("no match of {pattern} is higher than {mine}"),
        (Family::Nothing | Family::Versions | Family::Matches, _) => format!("no version is higher than {mine}"),
    }
}

fn same_tag(rule: &Rule, kind: ArtifactKind, tag: &str) -> String {
    match kind {
        ArtifactKind::Chart => format!("{tag} is the current version; a chart's version is published once"),
        ArtifactKind::Image if rule.policy.follows_digest() => format!("{tag} is the current tag; policy force follows its digest"),
        ArtifactKind::Image => format!("{tag} is the current tag; set policy force to follow new digests behind it"),
    }
}

fn lower_match(rule: &Rule, current: &Current, tag: &str) -> String {
    let mine = current.tag.as_deref().unwrap_or_default();
    if rule.pattern.as_ref().is_some_and(|pattern| pattern.matches(mine)) {
        format!("{tag} is lower than {mine}, which matches the pattern too")
    } else {
        format!("{tag} is lower than a match that Headwind applied or proposed before")
    }
}
