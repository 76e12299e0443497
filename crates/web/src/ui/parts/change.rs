//! From one version to another, with the part that changes in bold.

use headwind_core::artifact::{Artifact, ArtifactKind};
use headwind_core::policy::{Family, Policy};
use headwind_core::request::Request;
use maud::{Markup, html};

use super::icon::icon_with;
use super::reference::short;

/// The change of a request, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct ChangeView {
    /// The version before.
    pub(in crate::ui) from: String,
    /// The new version.
    pub(in crate::ui) to: String,
    /// The repository, or the chart.
    pub(in crate::ui) repository: String,
    /// The digest before.
    pub(in crate::ui) from_digest: Option<String>,
    /// The new digest.
    pub(in crate::ui) to_digest: Option<String>,
    /// The size of the step.
    pub(in crate::ui) size: Option<&'static str>,
}

/// The version of an artifact, and its name without the version. A text that is no artifact is its own version.
fn parts(kind: ArtifactKind, text: &str) -> (String, String, Option<String>) {
    let (base, digest) = match text.split_once('@') {
        Some((base, digest)) => (base, Some(digest.to_owned())),
        None => (text, None),
    };
    let version = Artifact::parse(kind, text).ok().and_then(|artifact| artifact.version().map(str::to_owned));
    match version {
        Some(version) => {
            let name = base.strip_suffix(version.as_str()).map_or(base, |name| name.trim_end_matches([':', '@', ' ']));
            (name.to_owned(), version, digest)
        }
        None => (base.to_owned(), digest.as_deref().map_or_else(|| text.to_owned(), short), digest),
    }
}

/// The three leading numbers of a version.
fn numbers(version: &str) -> Option<[&str; 3]> {
    let mut parts = version.trim_start_matches('v').splitn(3, '.');
    let first = |part: &'_ str| part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
    let (major, minor, rest) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let patch = rest.get(..first(rest))?;
    let minor = minor.get(..first(minor))?;
    [major, minor, patch]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some([major, minor, patch])
}

fn size(from: &str, to: &str, policy: Policy) -> Option<&'static str> {
    if from == to {
        return Some("digest");
    }
    let (Some(a), Some(b)) = (numbers(from), numbers(to)) else { return (policy.family() == Family::Matches).then_some("tag") };
    Some(match () {
        () if a[0] != b[0] => "major",
        () if a[1] != b[1] => "minor",
        () if a[2] != b[2] => "patch",
        () => "release",
    })
}

impl ChangeView {
    /// Reads the change of a request.
    pub(in crate::ui) fn of(request: &Request) -> Self {
        let spec = &request.spec;
        let (_, from, written_from) = parts(spec.kind, &spec.current_image);
        let (repository, to, written_to) = parts(spec.kind, &spec.new_image);
        Self {
            size: size(&from, &to, spec.policy),
            from,
            to,
            repository,
            from_digest: spec.current_digest.clone().or(written_from),
            to_digest: spec.new_digest.clone().or(written_to),
        }
    }
}

/// Splits two versions into the equal beginning, what differs, and the equal end.
fn split<'a>(a: &'a str, b: &'a str) -> ([&'a str; 3], [&'a str; 3]) {
    // Numbers are compared as a whole: 1.9 and 1.19 differ in "9" and "19".
    let pieces = |text: &'a str| -> Vec<&'a str> {
        let mut all = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let digit = first.is_ascii_digit();
            let end = rest.find(|letter: char| letter.is_ascii_digit() != digit).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            all.push(piece);
            rest = after;
        }
        all
    };
    let (left, right) = (pieces(a), pieces(b));
    let same = |one: &(&&str, &&str)| one.0 == one.1;
    let start: usize = left.iter().zip(&right).take_while(same).map(|(piece, _)| piece.len()).sum();
    let shortest = a.len().min(b.len()) - start;
    let mut end = 0;
    for (piece, _) in left.iter().rev().zip(right.iter().rev()).take_while(same) {
        if end + piece.len() > shortest {
            break;
        }
        end += piece.len();
    }
    let part = |text: &'a str| [&text[..start], &text[start..text.len() - end], &text[text.len() - end..]];
    (part(a), part(b))
}

/// From one version to the other. For a new digest behind the same tag, the digests.
pub(in crate::ui) fn diff(change: &ChangeView) -> Markup {
    diff_with(change, "diff")
}

/// The same with other classes.
pub(in crate::ui) fn diff_with(change: &ChangeView, classes: &'static str) -> Markup {
    let same = change.from == change.to;
    let digest = |digest: &Option<String>| digest.as_deref().map_or_else(|| "unknown digest".to_owned(), short);
    let (from, to) = if same { (digest(&change.from_digest), digest(&change.to_digest)) } else { (change.from.clone(), change.to.clone()) };
    let (a, b) = if same { (["", &*from, ""], ["", &*to, ""]) } else { split(&from, &to) };
    html! {
        span class=(classes) {
            @if same { span { (change.to) } }
            span class="sr-only" { "from " }
            span class="diff-from" { (a[0]) b { (a[1]) } (a[2]) }
            (icon_with("arrow-right", "i opacity-60"))
            span class="sr-only" { " to " }
            span class="diff-to" { (b[0]) b { (b[1]) } (b[2]) }
        }
    }
}

/// The size of the step as a tag.
pub(in crate::ui) fn bump(change: &ChangeView) -> Markup {
    html! {
        @if let Some(size) = change.size {
            span class=(if size == "major" { "bump tone-warn" } else { "bump" }) { (size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::testing;
    use jiff::Timestamp;

    use super::*;

    fn view(from: &str, to: &str) -> ChangeView {
        ChangeView::of(&testing::request("r", from, to, Timestamp::UNIX_EPOCH))
    }

    #[rstest::rstest]
    #[case("r.io/a/web:1.2.3", "r.io/a/web:1.3.0", "1.2.3", "1.3.0", Some("minor"))]
    #[case("web:v1.2.3-alpine", "web:v2.0.0-alpine", "v1.2.3-alpine", "v2.0.0-alpine", Some("major"))]
    #[case("web:1.2.3", "web:1.2.4", "1.2.3", "1.2.4", Some("patch"))]
    #[case("web:1.2.3-1", "web:1.2.3-2", "1.2.3-1", "1.2.3-2", Some("release"))]
    #[case("web:latest", "web:latest", "latest", "latest", Some("digest"))]
    #[case("web:main-a", "web:main-b", "main-a", "main-b", None)]
    fn changes(#[case] from: &str, #[case] to: &str, #[case] before: &str, #[case] after: &str, #[case] size: Option<&str>) {
        let view = view(from, to);
        assert_eq!((&*view.from, &*view.to, view.size), (before, after, size));
        assert!(view.repository.ends_with("web"), "{}", view.repository);
    }

    #[rstest::rstest]
    #[case("1.2.3", "1.3.3", ["1.", "2", ".3"], ["1.", "3", ".3"])]
    #[case("1.9", "1.19", ["1.", "9", ""], ["1.", "19", ""])]
    #[case("1.1", "1.1.1", ["1.1", "", ""], ["1.1", ".1", ""])]
    #[case("", "é", ["", "", ""], ["", "é", ""])]
    fn the_changed_part(#[case] a: &str, #[case] b: &str, #[case] left: [&str; 3], #[case] right: [&str; 3]) {
        assert_eq!(split(a, b), (left, right));
    }

    #[test]
    fn a_digest_is_shown_short() {
        let text = diff(&view("web:main", &format!("web:main@sha256:{}", "ab".repeat(32)))).into_string();
        assert!(text.contains("@abababab") && text.contains("unknown digest"), "{text}");
    }
}
