//! References of images and charts.

use maud::{Markup, html};

use super::icon::icon;

/// A reference that a click copies. The registry and the path are shortened, the last part never is.
pub(in crate::ui) fn reference(text: &str) -> Markup {
    let cut = text.rfind('/').map_or(0, |place| place + 1);
    let (head, tail) = text.split_at_checked(cut).unwrap_or(("", text));
    html! {
        button type="button" class="ref" data-copy=(text) title={ "Copy " (text) } {
            @if !head.is_empty() { span class="ref-head" { (head) } }
            span class="ref-tail" { (tail) }
            (icon("copy"))
        }
    }
}

/// A digest as a short text, such as `@e84d19aa`.
pub(in crate::ui) fn short(digest: &str) -> String {
    let hex = digest.rsplit(['@', ':']).next().unwrap_or(digest);
    format!("@{}", hex.chars().take(8).collect::<String>())
}

/// The version of an image or a chart, for people.
pub(in crate::ui) fn version(image: &str) -> &str {
    let last = image.rsplit_once('/').map_or(image, |(_, last)| last);
    let last = last.split_once('@').map_or(last, |(name, _)| name);
    last.split_once([':', ' ']).map_or(last, |(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("r.io:5000/a/web:1.2.3", "1.2.3")]
    #[case("web:1.2@sha256:abc", "1.2")]
    #[case("https://charts.example/app 1.2.3", "1.2.3")]
    #[case("web", "web")]
    fn versions(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(version(image), expected);
    }
}
