//! `workloads` and `explain`: what Headwind tracks, and why a workload runs its version.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};

use crate::cli::Format;
use crate::connect::Connection;
use crate::failure::Failure;
use crate::operator::{call, escaped};
use crate::output::{self, clean};
use crate::table::{Cell, Paint, Table};
use crate::target;

/// Number of workloads of a page.
const PAGE: usize = 500;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn list_of<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Lists the tracked workloads.
pub(super) async fn list(connection: &Connection, kind: Option<&str>, query: Option<&str>) -> Result<(), Failure> {
    let mut filters = vec![format!("limit={PAGE}")];
    if let Some(word) = kind {
        let kind = target::kind(word)?;
        filters.push(format!("kind={kind}"));
    }
    filters.extend(query.map(|text| format!("q={}", escaped(text))));
    filters.extend(connection.listed().map(|namespace| format!("namespace={}", escaped(namespace))));
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let more = if after.is_empty() { String::new() } else { format!("&continue={}", escaped(&after)) };
        let page = call(connection, Method::GET, &format!("/api/v1/workloads?{}{more}", filters.join("&")), None).await?;
        all.extend(list_of(&page, "items").iter().cloned());
        text(&page["metadata"], "continue").clone_into(&mut after);
        if after.is_empty() {
            break;
        }
    }
    let global = connection.global();
    match global.output {
        Some(format @ (Format::Json | Format::Yaml)) => return output::value(&json!({"items": all}), format),
        Some(Format::Name) => {
            let name = |one: &Value| format!("{}/{}\n", clean(&text(one, "kind").to_lowercase()), clean(text(one, "name")));
            return output::raw(all.iter().map(name).collect::<String>().as_bytes());
        }
        Some(Format::Table | Format::Wide) | None => {}
    }
    if all.is_empty() {
        output::remark("Headwind tracks no workloads here.");
        return Ok(());
    }
    let (everywhere, wide) = (connection.listed().is_none(), global.output == Some(Format::Wide));
    let mut header = vec!["WORKLOAD", "CONTAINER", "IMAGE", "NEWEST", "POLICY", "STATE"];
    if everywhere {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.push("MESSAGE");
    }
    let mut table = Table::new(header);
    for one in &all {
        for container in list_of(one, "containers") {
            let mut row = vec![
                Cell::new(format!("{}/{}", text(one, "kind").to_lowercase(), text(one, "name"))),
                Cell::new(text(container, "name")),
                Cell::new(text(container, "image")),
                Cell::new(text(container, "newest")),
                Cell::new(text(container, "policy")),
                state(text(container, "reason")),
            ];
            if everywhere {
                row.insert(0, Cell::new(text(one, "namespace")));
            }
            if wide {
                row.push(Cell::new(text(container, "message")));
            }
            table.push(row);
        }
    }
    output::raw(table.render(output::has_colors(global)).as_bytes())
}

fn state(reason: &str) -> Cell {
    match reason {
        "UpToDate" => Cell::painted(reason, Paint::Green),
        "InvalidAnnotation" | "RegistryError" => Cell::painted(reason, Paint::Red),
        "NotQueried" => Cell::painted(reason, Paint::Gray),
        _ => Cell::painted(reason, Paint::Yellow),
    }
}

/// Explains the version of a workload.
pub(super) async fn explain(connection: &Connection, words: &[String], container: Option<&str>) -> Result<(), Failure> {
    let (kind, name) = target::workload(words)?;
    let path = format!("/api/v1/workloads/{}/{kind}/{}/explain", escaped(connection.namespace()?), escaped(&name));
    let mut view = call(connection, Method::GET, &path, None).await?;
    if let (Some(container), Some(all)) = (container, view.get_mut("containers").and_then(Value::as_array_mut)) {
        all.retain(|one| one["name"] == container);
        if all.is_empty() {
            return Err(Failure::NotFound(format!("{kind} {name} has no tracked container {container}")));
        }
    }
    match connection.global().output {
        Some(format @ (Format::Json | Format::Yaml)) => output::value(&view, format),
        _ => output::raw(explained(&view, output::has_colors(connection.global())).as_bytes()),
    }
}

/// Returns the explanation as text.
fn explained(view: &Value, colors: bool) -> String {
    let mut out = format!("{} {}/{}\n", clean(text(view, "kind")), clean(text(view, "namespace")), clean(text(view, "name")));
    for one in list_of(view, "containers") {
        let mut add = |title: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(out, "  {:<11}{}", format!("{title}:"), clean(value));
            }
        };
        add("Container", text(one, "name"));
        add("Image", text(one, "image"));
        add("Running", text(one, "running"));
        add("Policy", text(one, "policy"));
        add("Newest", text(one, "newest"));
        add("Would take", text(one, "wouldTake"));
        add(text(one, "reason"), text(one, "message"));
        add("Waits for", text(&one["waiting"], "message"));
        add("Unrecorded", text(&one["recordingFailure"], "message"));
        let mut table = Table::new(vec!["TAG", "VERDICT", "REASON", "MESSAGE"]);
        for candidate in list_of(one, "candidates") {
            let verdict = text(candidate, "verdict");
            let cell = match verdict {
                "chosen" => Cell::painted(verdict, Paint::Green),
                "eligible" => Cell::painted(verdict, Paint::Blue),
                _ => Cell::painted(verdict, Paint::Gray),
            };
            table.push(vec![
                Cell::new(text(candidate, "tag")),
                cell,
                Cell::new(text(candidate, "reason")),
                Cell::new(text(candidate, "message")),
            ]);
        }
        if !list_of(one, "candidates").is_empty() {
            for line in table.render(colors).lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    for (repository, error) in view["registryErrors"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "  {}: {}", clean(repository), clean(error.as_str().unwrap_or_default()));
    }
    out
}
