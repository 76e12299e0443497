//! The generated tables of the docs, each from its source in the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use headwind_core::keel;
use headwind_core::reason::Reason;
use headwind_k8s::access::{self, Reach};
use headwind_k8s::manifest;
use serde_json::Value;

use super::headwind;

/// Returns every table with its page and its name there.
pub(super) fn all() -> [(&'static str, &'static str, String); 7] {
    [
        ("docs/reference/settings.md", "environment", settings()),
        ("docs/reference/reasons.md", "reasons", reasons()),
        ("docs/reference/rbac.md", "rights", rights()),
        ("docs/reference/metrics.md", "metrics", metrics()),
        ("docs/guides/migrate-from-keel.md", "keel", keel()),
        ("docs/reference/updaterequest.md", "spec", fields("spec")),
        ("docs/reference/updaterequest.md", "status", fields("status")),
    ]
}

/// An option of `headwind run --help`.
pub(super) struct Setting {
    pub(super) variable: String,
    flag: String,
    pub(super) default: Option<String>,
    pub(super) meaning: String,
    pub(super) kind: Kind,
    /// The help shows no value of it.
    pub(super) is_secret: bool,
}

/// The type of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Number,
    /// A number of seconds, or a text with a unit.
    Duration,
    /// Separated by commas.
    List,
    Text,
}

/// Returns the options of `headwind run --help`, in its order.
pub(super) fn options() -> Vec<Setting> {
    let help = headwind(&["run", "--help"]);
    let mut options: Vec<String> = Vec::new();
    for line in help.lines().skip_while(|line| *line != "Options:").skip(1) {
        // Lines of text are indented further, and may start with a flag as well.
        if line.starts_with("      -") || line.starts_with("  -") {
            options.push(String::new());
        }
        let option = options.last_mut().expect("an option comes first");
        write!(option, " {}", line.trim()).expect("a String");
    }
    let setting = |option: &String| {
        let (head, tail) = option.split_once(" [env: ")?;
        let (flag, meaning) = head.trim().split_once("> ").expect("a flag with a value and its meaning");
        let (flag, value) = flag.split_once(" <").expect("a flag with a value");
        let default = tail.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        let end = tail.find(['=', ']']).expect("the end of the variable");
        Some(Setting {
            variable: tail[..end].to_owned(),
            flag: flag.to_owned(),
            default: default.map(|(default, _)| default.to_owned()),
            meaning: meaning.trim().to_owned(),
            kind: match value {
                "BOOL" => Kind::Boolean,
                "DURATION" => Kind::Duration,
                _ if default.is_some_and(|(default, _)| default.parse::<u64>().is_ok()) => Kind::Number,
                _ if meaning.starts_with("Comma-separated list") => Kind::List,
                _ => Kind::Text,
            },
            is_secret: tail[end..].starts_with(']'),
        })
    };
    let settings: Vec<Setting> = options.iter().filter_map(setting).collect();
    assert!(settings.len() > 5, "the help was read wrongly:\n{help}");
    settings
}

fn settings() -> String {
    let mut table = "| Variable | Flag | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for Setting { variable, flag, default, meaning, .. } in options() {
        let default = default.map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        writeln!(table, "| `{variable}` | `{flag}` | {default} | {meaning} |").expect("a String");
    }
    table
}

/// Returns a table for each group of reasons.
fn reasons() -> String {
    let mut text = String::new();
    for (title, reasons) in Reason::GROUPS {
        write!(text, "\n## {title}\n\n| Reason | Meaning |\n|---|---|\n").expect("a String");
        for reason in *reasons {
            writeln!(text, "| `{}` | {} |", reason.code(), reason.sentence()).expect("a String");
        }
    }
    text + "\n"
}

/// Returns the settings of Keel with their translation.
fn keel() -> String {
    let mut table = "| Keel | Value | Headwind | Remarks |\n|---|---|---|---|\n".to_owned();
    let listed = |all: &[&str]| all.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
    for keel::Row { keel, value, headwind, difference } in keel::TABLE {
        let value = if value.is_empty() { "–".to_owned() } else { format!("`{value}`") };
        let headwind = if headwind.is_empty() { "–".to_owned() } else { listed(&headwind.split(", ").collect::<Vec<_>>()) };
        writeln!(table, "| {} | {value} | {headwind} | {difference} |", listed(keel)).expect("a String");
    }
    table
}

fn rights() -> String {
    let mut table = "| API group | Resource | Verbs | Where | What for |\n|---|---|---|---|---|\n".to_owned();
    for right in access::rights() {
        let place = match right.reach {
            Reach::Watched => "every watched namespace",
            Reach::Cluster => "the cluster, when all namespaces are watched",
            Reach::Listed => "every namespace of `HEADWIND_WATCH_NAMESPACES`, when it is set",
            Reach::Own => "Headwind's own namespace",
            Reach::Callers => "the cluster",
        };
        let group = if right.group.is_empty() { "core" } else { right.group };
        let name = right.name.map(|name| format!(" (only `{name}`)")).unwrap_or_default();
        writeln!(table, "| {group} | `{}`{name} | {} | {place} | {} |", right.resource, right.verbs.join(", "), right.why)
            .expect("a String");
    }
    table
}

/// Returns every metric as scraped, from the registry of a replica that has just started.
fn metrics() -> String {
    let text = headwind_operator::metrics_catalogue().expect("the metrics are encoded");
    // By name: type, help text, labels.
    let mut rows: BTreeMap<String, (&str, &str, &str)> = BTreeMap::new();
    let mut help = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.insert(name, words.trim_end_matches('.'));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            rows.insert(format!("{name}{suffix}"), (kind, help[name], "–"));
        } else if let Some((name, label)) = line.split_once('{')
            && let Some(row) = rows.get_mut(name)
        {
            row.2 = label.split_once('=').expect("a label").0;
        }
    }
    assert!(rows.len() > 40 && rows.contains_key("headwind_helm_updates_found_total"), "the metrics were read wrongly: {rows:?}");
    let mut table = "| Metric | Type | Label | Meaning |\n|---|---|---|---|\n".to_owned();
    for (name, (kind, help, label)) in rows {
        let label = if label == "–" { label.to_owned() } else { format!("`{label}`") };
        writeln!(table, "| `{name}` | {kind} | {label} | {help} |").expect("a String");
    }
    table
}

/// Returns every field of the CRD's `spec` or `status`, including those of nested objects.
fn fields(part: &str) -> String {
    let schema = manifest::crd();
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
    let mut table = "| Field | Type | Meaning |\n|---|---|---|\n".to_owned();
    rows_of(schema, "", &mut table);
    table
}

fn rows_of(schema: &Value, parent: &str, table: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().expect("an object") {
        let path = format!("{parent}{name}");
        let kind = field["type"].as_str().unwrap_or("object");
        let kind = match field["format"].as_str() {
            Some("date-time") => "time",
            _ if kind == "array" => "list",
            _ => kind,
        };
        let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let words = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        let words = words.collect::<Vec<_>>().join(" ");
        let words = if words.is_empty() { words } else { format!(" One of {words}") };
        let meaning = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(table, "| `{path}` | {kind}{optional} | {}{words} |", meaning.trim()).expect("a String");
        if kind == "object" && field["properties"].is_object() {
            rows_of(field, &format!("{path}."), table);
        }
    }
}
