//! `index.yaml`, in the format of `helm repo index`: charts by name, in block style, the fields of each item in
//! alphabetical order.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::{Value, json};

/// The prefix of the names of charts that only fill the index.
pub(super) const FILLER: &str = "filler-";

/// The index at one point in time.
pub(super) struct Index {
    pub(super) text: Bytes,
    pub(super) etag: String,
    pub(super) modified: String,
    changed: Timestamp,
    packed: OnceLock<Bytes>,
}

impl Index {
    pub(super) fn new(text: Bytes, etag: String, modified: String, changed: Timestamp) -> Self {
        Self { text, etag, modified, changed, packed: OnceLock::new() }
    }

    /// Returns the gzip-compressed index, compressed once.
    pub(super) fn packed(&self) -> Bytes {
        let pack = || {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(&self.text).and_then(|()| packer.finish()).map(Bytes::from).unwrap_or_default()
        };
        self.packed.get_or_init(pack).clone()
    }

    /// Returns true if a conditional request has this version of the index. A date is used only without an `ETag` (RFC
    /// 9110, 13.2.2).
    pub(super) fn known(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        if let Some(tags) = text(header::IF_NONE_MATCH) {
            return tags.split(',').any(|tag| tag.trim() == "*" || bare(tag) == bare(&self.etag));
        }
        let since = text(header::IF_MODIFIED_SINCE).and_then(|date| rfc2822::parse(date).ok());
        since.is_some_and(|since| self.changed.as_second() <= since.timestamp().as_second())
    }
}

/// Returns the whole index. The items are already written.
pub(super) fn text<'a, I: Iterator<Item = &'a str>>(charts: impl Iterator<Item = (&'a str, I)>) -> String {
    let mut text = "apiVersion: v1\nentries:".to_owned();
    let before = text.len();
    for (name, items) in charts {
        text.push_str(if text.len() == before { "\n" } else { "" });
        let _ = writeln!(text, "  {}:", scalar(&json!(name)));
        items.for_each(|item| text.push_str(item));
    }
    text.push_str(if text.len() == before { " {}\n" } else { "" });
    text.push_str("generated: \"2026-01-01T00:00:00Z\"\n");
    text
}

/// Returns one item of a chart: flat except for its lists.
pub(super) fn item(fields: &Value) -> String {
    let mut lines = String::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(list) => {
                let _ = writeln!(lines, "{name}:");
                for value in list {
                    let _ = writeln!(lines, "- {}", scalar(value));
                }
            }
            None => {
                let _ = writeln!(lines, "{name}: {}", scalar(value));
            }
        }
    }
    listed(&lines)
}

/// Returns lines as an item of a chart's list.
pub(super) fn listed(yaml: &str) -> String {
    let mut text = String::new();
    for (number, line) in yaml.lines().enumerate() {
        let _ = writeln!(text, "{} {line}", if number == 0 { "  -" } else { "   " });
    }
    text
}

/// Returns charts that fill an index up to a size, each with its items.
pub(super) fn filler(size: usize, charts: usize, versions: usize) -> Vec<(String, String)> {
    let write = |chart: usize, version: usize, filling: usize| {
        format!(
            "  - apiVersion: v2\n    appVersion: {version}.0.0\n    created: \"2026-01-01T00:00:00Z\"\n    description: {}\n    \
             digest: {chart:032x}{version:032x}\n    name: {FILLER}{chart}\n    type: application\n    urls:\n    - \
             {FILLER}{chart}-0.{version}.0.tgz\n    version: 0.{version}.0\n",
            "x".repeat(filling)
        )
    };
    let wanted = size / (charts * versions).max(1);
    let filling = wanted.saturating_sub(write(charts, versions, 0).len());
    (0..charts)
        .map(|chart| (format!("{FILLER}{chart}"), (0..versions).rev().map(|version| write(chart, version, filling)).collect()))
        .collect()
}

/// Returns a value in one line: plain if YAML reads it as the same text, else in quotes.
fn scalar(value: &Value) -> String {
    match value.as_str() {
        Some(text) if plain(text) => text.to_owned(),
        _ => value.to_string(),
    }
}

fn plain(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._+/-: ".contains(c);
    let (first, last) = (text.chars().next(), text.chars().last());
    // A text that looks like a number, a date or a YAML keyword is quoted.
    let word = matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    let number = text.chars().all(|c| c.is_ascii_digit() || "._+-:eExX".contains(c)) && text.matches('.').count() < 2;
    let date = text.parse::<Timestamp>().is_ok();
    first.is_some_and(|c| c.is_ascii_alphanumeric())
        && last.is_some_and(|c| c.is_ascii_alphanumeric())
        && text.chars().all(legal)
        && !text.contains(": ")
        && !(word || number || date)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::version("1.0.0", "1.0.0")]
    #[case::two_parts("1.10", "\"1.10\"")]
    #[case::exponent("1e5", "\"1e5\"")]
    #[case::truth("yes", "\"yes\"")]
    #[case::date("2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\"")]
    #[case::url("http://127.0.0.1:1/web-1.0.0.tgz", "http://127.0.0.1:1/web-1.0.0.tgz")]
    #[case::colon("a: b", "\"a: b\"")]
    #[case::empty("", "\"\"")]
    fn scalars_are_read_as_they_were_written(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(scalar(&json!(text)), expected);
        let read: Value = serde_saphyr::from_str(&format!("a: {}\n", scalar(&json!(text)))).unwrap();
        assert_eq!(read["a"], json!(text));
    }

    #[test]
    fn an_index_is_what_helm_writes() {
        let item = item(&json!({"name": "web", "urls": ["web-1.0.0.tgz"], "version": "1.0.0"}));
        assert_eq!(
            text([("web", [item.as_str()].into_iter())].into_iter()),
            "apiVersion: v1\nentries:\n  web:\n  - name: web\n    urls:\n    - web-1.0.0.tgz\n    version: 1.0.0\ngenerated: \"2026-01-01T00:00:00Z\"\n"
        );
        assert_eq!(
            text(std::iter::empty::<(&str, std::iter::Empty<&str>)>()),
            "apiVersion: v1\nentries: {}\ngenerated: \"2026-01-01T00:00:00Z\"\n"
        );
    }

    #[rstest]
    #[case(1_000_000, 10, 20)]
    #[case(50_000_000, 500, 100)]
    fn the_filler_is_as_big_as_asked_for(#[case] size: usize, #[case] charts: usize, #[case] versions: usize) {
        let all = filler(size, charts, versions);
        let text = text(all.iter().map(|(name, items)| (name.as_str(), [items.as_str()].into_iter())));
        assert!(text.len().abs_diff(size) < size / 100, "{}", text.len());
        assert_eq!(text.matches("\n  - apiVersion: v2\n").count(), charts * versions);
    }
}
