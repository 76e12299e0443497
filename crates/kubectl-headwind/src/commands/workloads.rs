//! `workloads` and `explain`: what Headwind tracks, and why a workload runs its version.

use std::fmt::Write as _;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::age::whole;
use crate::cli::Format;
use crate::connect::Connection;
use crate::failure::Failure;
use crate::operator::{call, escaped};
use crate::output::{self, clean};
use crate::table::{Cell, Paint, Table};
use crate::target;

/// Number of workloads of a page.
const PAGE: usize = 500;
/// Maximum number of spans of an outlook that are shown.
const SPANS: usize = 3;

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
        header.extend(["WAITING", "MESSAGE"]);
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
                row.extend([Cell::new(text(&container["waiting"], "reason")), Cell::new(text(container, "message"))]);
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

/// Returns a time of the API as the plugin writes times.
fn time(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |time| whole(time).to_string())
}

/// Returns the next spans of the outlook. A single span repeats what the other lines say.
fn outlook(spans: &[Value]) -> Vec<String> {
    let shown: &[Value] = if spans.len() < 2 { &[] } else { spans };
    let described = |span: &Value| {
        let until = time(text(span, "until"));
        let until = if until.is_empty() { until } else { format!(" until {until}") };
        let reason = Some(text(span, "reason")).filter(|reason| !reason.is_empty()).unwrap_or("may be applied");
        format!("from {}{until}: {reason}", time(text(span, "from")))
    };
    shown.iter().take(SPANS).map(described).collect()
}

/// Adds a line, unless the value is empty.
fn add(out: &mut String, title: &str, value: &str) {
    if !value.is_empty() {
        let title = if title.is_empty() { String::new() } else { format!("{title}:") };
        let _ = writeln!(out, "  {title:<10} {}", clean(value));
    }
}

/// Returns the explanation as text.
fn explained(view: &Value, colors: bool) -> String {
    let mut out = format!("{} {}/{}\n", clean(text(view, "kind")), clean(text(view, "namespace")), clean(text(view, "name")));
    let owner = &view["owner"];
    if owner.is_object() {
        add(&mut out, "Owner", &format!("{} ({})", text(owner, "name"), text(owner, "manager")));
    }
    for one in list_of(view, "containers") {
        let mut add = |title: &str, value: &str| add(&mut out, title, value);
        add("Container", text(one, "name"));
        add("Image", text(one, "image"));
        add("Running", text(one, "running"));
        add("Policy", text(one, "policy"));
        add("Newest", text(one, "newest"));
        add("Would take", text(one, "wouldTake"));
        add(text(one, "reason"), text(one, "message"));
        add("Waits for", text(&one["waiting"], "message"));
        add("Until", &time(text(&one["waiting"], "until")));
        for (number, span) in outlook(list_of(one, "outlook")).iter().enumerate() {
            add(if number == 0 { "Outlook" } else { "" }, span);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn view(waiting: &Value, outlook: &Value) -> Value {
        json!({
            "namespace": "shop", "kind": "Deployment", "name": "web",
            "owner": {"manager": "Flux", "name": "Kustomization flux-system/apps"},
            "containers": [{
                "name": "web", "image": "shop/web:1.0.0", "policy": "minor", "newest": "1.1.0", "wouldTake": "shop/web:1.1.0",
                "reason": "HigherVersion", "message": "a higher version that the policy accepts", "waiting": waiting, "outlook": outlook,
                "candidates": [{"tag": "1.1.0", "verdict": "chosen", "reason": "HigherVersion", "message": "1.1.0 is higher"}],
            }],
        })
    }

    #[test]
    fn an_explanation_says_until_when_an_update_waits() {
        let waiting = json!({
            "reason": "UpdateWindow", "message": "outside the time windows in which updates may start", "until": "2026-12-04T06:00:00Z",
        });
        let outlook = json!([
            {"from": "2026-12-03T07:46:14.123456789Z", "until": "2026-12-04T06:00:00Z", "reason": "UpdateWindow"},
            {"from": "2026-12-04T06:00:00Z", "until": "2026-12-04T08:00:00Z"},
            {"from": "2026-12-04T08:00:00Z", "until": "2026-12-05T06:00:00Z", "reason": "UpdateWindow"},
            {"from": "2026-12-05T06:00:00Z", "until": "2026-12-05T08:00:00Z"},
        ]);
        let expected = "\
Deployment shop/web
  Owner:     Kustomization flux-system/apps (Flux)
  Container: web
  Image:     shop/web:1.0.0
  Policy:    minor
  Newest:    1.1.0
  Would take: shop/web:1.1.0
  HigherVersion: a higher version that the policy accepts
  Waits for: outside the time windows in which updates may start
  Until:     2026-12-04T06:00:00Z
  Outlook:   from 2026-12-03T07:46:14Z until 2026-12-04T06:00:00Z: UpdateWindow
             from 2026-12-04T06:00:00Z until 2026-12-04T08:00:00Z: may be applied
             from 2026-12-04T08:00:00Z until 2026-12-05T06:00:00Z: UpdateWindow
    TAG     VERDICT   REASON          MESSAGE
    1.1.0   chosen    HigherVersion   1.1.0 is higher
";
        assert_eq!(explained(&view(&waiting, &outlook), false), expected);
    }

    #[test]
    fn an_outlook_has_a_change() {
        let now = json!({"from": "2026-12-03T07:46:14Z"});
        let frozen = json!({"from": "2026-12-03T07:46:14Z", "until": "2026-12-04T06:00:00Z", "reason": "Frozen"});
        let later = json!({"from": "2026-12-04T06:00:00Z"});
        assert!(outlook(&[]).is_empty() && outlook(&[now]).is_empty());
        assert_eq!(
            outlook(&[frozen, later]),
            ["from 2026-12-03T07:46:14Z until 2026-12-04T06:00:00Z: Frozen", "from 2026-12-04T06:00:00Z: may be applied"]
        );
        let text = explained(&view(&Value::Null, &Value::Null), false);
        assert!(!text.contains("Until") && !text.contains("Outlook"), "{text}");
    }
}
