//! `get`: one UpdateRequest with its timeline.

use std::fmt::Write as _;

use headwind_core::request::Phase;
use headwind_core::request::timeline::timeline;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use serde_json::json;

use super::approvals::Approvals;
use super::requests;
use crate::cli::Format;
use crate::connect::Connection;
use crate::failure::Failure;
use crate::output::{self, clean};
use crate::table::{Paint, Table};
use crate::target::{Named, named};

/// Returns the UpdateRequest with that name.
pub(super) async fn read(connection: &Connection, name: &str) -> Result<UpdateRequest, Failure> {
    let namespace = connection.namespace()?;
    let found = Api::<UpdateRequest>::namespaced(connection.client.clone(), namespace).get_opt(name).await?;
    found.ok_or_else(|| not_found(namespace, name))
}

pub(super) fn not_found(namespace: &str, name: &str) -> Failure {
    Failure::NotFound(format!("there is no UpdateRequest {name} in namespace {namespace}"))
}

/// Shows an UpdateRequest.
pub(super) async fn get(connection: &Connection, name: &str) -> Result<(), Failure> {
    let Named::Request(name) = named(name)? else {
        return Err(Failure::Usage("get needs the name of an UpdateRequest; `list` shows the names".to_owned()));
    };
    let global = connection.global();
    match global.output {
        Some(format @ (Format::Json | Format::Yaml)) => {
            let namespace = connection.namespace()?;
            let resource = ApiResource::erase::<UpdateRequest>(&());
            let api: Api<DynamicObject> = Api::namespaced_with(connection.client.clone(), namespace, &resource);
            let found = api.get_opt(&name).await?.ok_or_else(|| not_found(namespace, &name))?;
            output::value(&requests::whole(found), format)
        }
        Some(Format::Name) => output::line(&requests::full_name(&read(connection, &name).await?.name_any())),
        Some(format @ (Format::Table | Format::Wide)) => {
            let (request, wide) = (read(connection, &name).await?, format == Format::Wide);
            let mut table = Table::new(requests::header(false, wide));
            table.push(requests::row(&request, false, wide, Timestamp::now()));
            output::raw(table.render(output::has_colors(global)).as_bytes())
        }
        None => {
            let request = read(connection, &name).await?;
            output::raw(described(&request, output::has_colors(global)).as_bytes())
        }
    }
}

/// Returns the request as text.
fn described(request: &UpdateRequest, colors: bool) -> String {
    let (spec, phase) = (&request.spec, request.phase());
    let status = request.status.clone().unwrap_or_default();
    let trigger = json!(spec.trigger);
    let read = request.read();
    let approvals = Approvals::of(&read).map(|approvals| approvals.described());
    let waits = requests::waiting(&status);
    let painted = if colors { Paint::of(phase).on(phase.as_str()) } else { phase.as_str().to_owned() };
    let rows = [
        ("Name", clean(&request.name_any())),
        ("Namespace", clean(&request.namespace().unwrap_or_default())),
        ("Workload", clean(&format!("{} {}", spec.target_ref.kind.0, spec.target_ref.name))),
        ("Container", clean(request.container().unwrap_or_default())),
        ("Current", clean(&spec.current_image)),
        ("New", clean(&spec.new_image)),
        ("Digest", clean(spec.new_digest.as_deref().unwrap_or_default())),
        ("Policy", spec.policy.0.to_string()),
        ("Trigger", clean(trigger.as_str().unwrap_or_default())),
        ("Reason", clean(&spec.reason)),
        ("Phase", painted),
        ("Approvals", clean(&approvals.unwrap_or_default())),
        ("Message", clean(status.message.as_deref().unwrap_or_default())),
        ("Waits", clean(waits.map(|waits| waits.message.as_str()).unwrap_or_default())),
        ("Expires", if phase == Phase::Pending { read.expires_at().to_string() } else { String::new() }),
    ];
    let mut text = String::new();
    for (title, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{:<12}{value}", format!("{title}:"));
    }
    let _ = writeln!(text, "Timeline:");
    for moment in timeline(&read) {
        let who = moment.who.map(|who| format!(" by {who}")).unwrap_or_default();
        let _ = writeln!(text, "  {:<22}{:<12}{}", moment.at.to_string(), moment.what, clean(&(moment.message + &who)));
    }
    text
}
