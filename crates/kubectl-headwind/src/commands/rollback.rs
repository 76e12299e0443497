//! `history` and `rollback`: the earlier images of a workload, and back to one of them.

use headwind_core::workload::Kind;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::requests;
use crate::age::age;
use crate::cli::Format;
use crate::connect::Connection;
use crate::failure::Failure;
use crate::operator::{call, escaped};
use crate::output::{self, clean};
use crate::table::{Cell, Table};
use crate::target;

fn path(connection: &Connection, kind: Kind, name: &str) -> Result<String, Failure> {
    Ok(format!("/api/v1/rollback/{}/{kind}/{}", escaped(connection.namespace()?), escaped(name)))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Lists the earlier images.
pub(super) async fn history(connection: &Connection, words: &[String]) -> Result<(), Failure> {
    let (kind, name) = target::workload(words)?;
    let history = call(connection, Method::GET, &path(connection, kind, &name)?, None).await?;
    let entries = history["entries"].as_array().cloned().unwrap_or_default();
    match connection.global().output {
        Some(format @ (Format::Json | Format::Yaml)) => return output::value(&history, format),
        Some(Format::Name) => {
            let names = entries.iter().map(|entry| text(entry, "updateRequestName")).filter(|name| !name.is_empty());
            return output::raw(names.map(|name| requests::full_name(name) + "\n").collect::<String>().as_bytes());
        }
        Some(Format::Table | Format::Wide) | None => {}
    }
    if entries.is_empty() {
        output::remark(&format!("Headwind has not updated {kind} {name}."));
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table = Table::new(vec!["INDEX", "CONTAINER", "IMAGE", "AGE", "APPROVED BY", "UPDATE"]);
    for entry in &entries {
        let index = entry["index"].as_u64().unwrap_or_default();
        let shown = if index == 0 { "current".to_owned() } else { index.to_string() };
        table.push(vec![
            Cell::new(shown),
            Cell::new(text(entry, "container")),
            Cell::new(text(entry, "image")),
            Cell::new(text(entry, "timestamp").parse().map(|then| age(then, now)).unwrap_or_default()),
            Cell::new(text(entry, "approvedBy")),
            Cell::new(text(entry, "updateRequestName")),
        ]);
    }
    output::raw(table.render(output::has_colors(connection.global())).as_bytes())
}

/// Rolls back.
pub(super) async fn roll_back(
    connection: &Connection,
    words: &[String],
    container: Option<String>,
    index: usize,
    reason: Option<String>,
) -> Result<(), Failure> {
    let (kind, name) = target::workload(words)?;
    let mut body = json!({"index": index});
    for (field, value) in [("container", container), ("reason", reason)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let request = call(connection, Method::POST, &path(connection, kind, &name)?, Some(&body)).await?;
    match connection.global().output {
        Some(format @ (Format::Json | Format::Yaml)) => output::value(&request, format),
        Some(Format::Name) => output::line(&requests::full_name(text(&request["metadata"], "name"))),
        Some(Format::Table | Format::Wide) | None => {
            let (spec, created) = (&request["spec"], requests::full_name(text(&request["metadata"], "name")));
            let change = clean(&format!("{} to {}", text(spec, "currentImage"), text(spec, "newImage")));
            output::line(&format!("{created} approved: {kind} {} rolls back from {change}", clean(&name)))
        }
    }
}
