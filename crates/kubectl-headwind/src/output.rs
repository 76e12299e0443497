//! Output: text without control characters, colors on a terminal, JSON and YAML.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use crate::cli::{Color, Format, Global};
use crate::failure::Failure;

/// Writes an error to standard error.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", clean(message));
}

/// Writes a remark to standard error.
pub(crate) fn remark(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(message));
}

/// Writes a line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Writes text as it is.
pub(crate) fn raw(text: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text)?;
    Ok(out.flush()?)
}

/// Writes a value as JSON or YAML.
pub(crate) fn value(value: &Value, format: Format) -> Result<(), Failure> {
    if format == Format::Yaml {
        return raw(in_yaml(value)?.trim_start_matches("---\n").as_bytes());
    }
    line(&escaped(&format!("{value:#}")))
}

/// Writes a value as a document of a YAML stream.
pub(crate) fn yaml(value: &Value) -> Result<(), Failure> {
    raw(in_yaml(value)?.as_bytes())
}

/// Returns a value as YAML. On a terminal, harmful characters are replaced: not every style of YAML can escape them.
fn in_yaml(value: &Value) -> Result<String, Failure> {
    let yaml = headwind_k8s::manifest::yaml(std::slice::from_ref(value)).map_err(|error| Failure::Other(error.to_string()))?;
    Ok(if std::io::stdout().is_terminal() { yaml.split('\n').map(clean).collect::<Vec<_>>().join("\n") } else { yaml })
}

/// Returns JSON with its harmful characters escaped. They occur in strings only, so the value stays the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_harmful(letter) && letter != '\n' {
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Returns true if the output has colors.
pub(crate) fn has_colors(global: &Global) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// Returns the text with characters that could change what a terminal shows replaced. Names, messages and tags come from
/// other people.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|letter| if is_harmful(letter) { '\u{FFFD}' } else { letter }).collect()
}

/// Returns true for control characters and for those that change the direction of text. None of them needs more than four
/// hexadecimal digits.
fn is_harmful(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\n\u{9b}2J\u{202e}c"), "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}2J\u{FFFD}c");
        assert_eq!(clean("größe: 1.2.3-alpine"), "größe: 1.2.3-alpine");
    }

    #[test]
    fn json_keeps_its_value_and_no_harmful_character() {
        let value = serde_json::json!({"message": "größe\u{9b}2J\u{7f}\u{202e}\u{1b}\n\t\"x"});
        let text = escaped(&format!("{value:#}"));
        assert!(text.contains("größe\\u009b2J\\u007f\\u202e"), "{text}");
        assert!(!text.lines().any(|line| line.chars().any(is_harmful)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
