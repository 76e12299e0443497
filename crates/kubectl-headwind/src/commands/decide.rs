//! `approve`, `reject` and `reopen`: decisions, written to Kubernetes as the user.
//!
//! The rules are those of the operator. The admission policy of the API server checks every write.

use std::time::Duration;

use headwind_core::request::action::{Action, act};
use headwind_core::request::quorum;
use headwind_core::workload::Kind;
use headwind_k8s::decision;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::Value;

use super::approvals::Approvals;
use super::{request, requests};
use crate::cli::{DecideArgs, Format};
use crate::connect::Connection;
use crate::failure::{Failure, summed};
use crate::output;
use crate::target::{Named, named};

/// The name of the field manager.
pub(super) const MANAGER: &str = "kubectl-headwind";
/// Maximum number of times that a decision is made again because the request changed meanwhile.
const TRIES: usize = 8;
/// Maximum number of times that a request is read until Headwind has recorded that it was reopened.
const LOOKS: usize = 10;
/// The pause between two of these reads.
const PAUSE: Duration = Duration::from_millis(500);

fn done(action: Action) -> &'static str {
    match action {
        Action::Approve => "approved",
        Action::Reject => "rejected",
        Action::Reopen => "reopened",
    }
}

/// Returns true if the action is possible on the request now.
fn is_possible(request: &UpdateRequest, action: Action) -> bool {
    act(&request.read(), action, "", None, Timestamp::now()).is_ok()
}

/// Returns true if the command applies to the request although nobody named it: an update that the policy approved waits
/// for something else, such as the end of a pause after failures, and the approval of a person would release it.
fn is_meant(request: &UpdateRequest, action: Action) -> bool {
    is_possible(request, action) && (action != Action::Approve || request.read().needs_approval())
}

/// Says that updates which the policy approved are left out.
fn remark_on_others(all: &[UpdateRequest], action: Action) {
    let others = all.iter().filter(|request| is_possible(request, action) && !is_meant(request, action)).count();
    if others > 0 {
        let them = if others == 1 { "1 UpdateRequest".to_owned() } else { format!("{others} UpdateRequests") };
        output::remark(&format!("Left out {them} that the policy approves. To approve such a request all the same, name it."));
    }
}

/// Returns the requests that the arguments name, and the failures of the names that have none.
async fn selected(connection: &Connection, action: Action, args: &DecideArgs) -> Result<(Vec<UpdateRequest>, Vec<Failure>), Failure> {
    let selector = connection.global().selector.as_deref();
    if args.names.is_empty() {
        if !args.all && selector.is_none_or(str::is_empty) {
            return Err(Failure::Usage("-l is empty; to select all UpdateRequests of the namespace, use --all".to_owned()));
        }
        let mut all = requests::read(connection, &[]).await?;
        remark_on_others(&all, action);
        all.retain(|request| is_meant(request, action));
        return Ok((all, Vec::new()));
    }
    // Invalid arguments stop the command before it changes anything.
    let names: Vec<Named> = args.names.iter().map(|name| named(name)).collect::<Result<_, _>>()?;
    let is_request = |name: &&Named| matches!(name, Named::Request(_));
    if let Some(Named::Request(name)) = names.iter().find(is_request).filter(|_| selector.is_some()) {
        return Err(Failure::Usage(format!("{name:?} is one UpdateRequest; -l selects among those of a namespace or a workload")));
    }
    let of_workload = |kind: Kind, name: &str, mut its: Vec<UpdateRequest>| {
        remark_on_others(&its, action);
        its.retain(|request| is_meant(request, action));
        if its.is_empty() {
            return Err(Failure::NotFound(format!("{kind} {name} has no UpdateRequest that could be {}", done(action))));
        }
        Ok(its)
    };
    super::named::read(connection, &args.names, &names, of_workload).await
}

/// Makes a decision about every selected request. A failure does not stop the others.
pub(super) async fn decide(connection: &Connection, action: Action, args: &DecideArgs) -> Result<(), Failure> {
    let (all, mut failed) = selected(connection, action, args).await?;
    if all.is_empty() && failed.is_empty() {
        output::remark(&format!("No UpdateRequest can be {}.", done(action)));
    }
    let person = if all.is_empty() { String::new() } else { connection.user().await? };
    let format = connection.global().output;
    let mut objects = Vec::new();
    for request in all {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        // The approval replaces the message with this number.
        let needed = quorum::needed_on_record(&request.read());
        match write(connection, action, &person, args, request).await {
            Ok((written, object)) => match format {
                Some(Format::Json | Format::Yaml) => objects.push(object),
                Some(Format::Name) => output::line(&requests::full_name(&name))?,
                Some(Format::Table | Format::Wide) | None => output::line(&described(connection, action, args, needed, &written))?,
            },
            Err(failure) => {
                output::complain(&format!("{name} in namespace {namespace}: {failure}"));
                failed.push(failure);
            }
        }
    }
    if let Some(format @ (Format::Json | Format::Yaml)) = format {
        print(args, &objects, format)?;
    }
    summed(failed, done(action))
}

/// Returns the line about a decision.
fn described(connection: &Connection, action: Action, args: &DecideArgs, needed: u32, written: &UpdateRequest) -> String {
    let namespace = written.namespace().unwrap_or_default();
    let place = if connection.listed().is_none() { format!(" in namespace {}", output::clean(&namespace)) } else { String::new() };
    let dry = if args.dry_run { " (dry run)" } else { "" };
    let approvals = if action == Action::Approve { Approvals::out_of(&written.read(), needed) } else { None };
    let missing = approvals.and_then(|approvals| approvals.outstanding()).map(|text| format!(" ({text})")).unwrap_or_default();
    let change = output::clean(&format!("{} to {}", written.spec.current_image, written.spec.new_image));
    format!("{} {}{place}{missing}{dry}: {change}", requests::full_name(&written.name_any()), done(action))
}

/// Prints the written objects: the object itself if the command names exactly one UpdateRequest, as `kubectl get` does, else
/// a list.
fn print(args: &DecideArgs, objects: &[Value], format: Format) -> Result<(), Failure> {
    let is_one = matches!(args.names.as_slice(), [name] if matches!(named(name), Ok(Named::Request(_))));
    if is_one {
        objects.iter().try_for_each(|object| output::value(object, format))
    } else {
        output::value(&requests::list_of(objects), format)
    }
}

/// Returns the request once Headwind has recorded that it was reopened. Until then, nobody can decide about it.
async fn recorded(api: &Api<UpdateRequest>, mut request: UpdateRequest) -> Result<UpdateRequest, Failure> {
    for _ in 0..LOOKS {
        if !request.read().is_reopening() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        request = api.get_opt(&name).await?.ok_or_else(|| request::not_found(&namespace, &name))?;
    }
    Ok(request)
}

/// Writes the decision, if the request has not changed since it was read; else decides again. Returns the written request,
/// and its object with all fields.
async fn write(
    connection: &Connection,
    action: Action,
    person: &str,
    args: &DecideArgs,
    mut request: UpdateRequest,
) -> Result<(UpdateRequest, Value), Failure> {
    let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
    let api: Api<UpdateRequest> = Api::namespaced(connection.client.clone(), &namespace);
    let resource = ApiResource::erase::<UpdateRequest>(&());
    let objects: Api<DynamicObject> = Api::namespaced_with(connection.client.clone(), &namespace, &resource);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), dry_run: args.dry_run, ..PatchParams::default() };
    for _ in 0..TRIES {
        request = recorded(&api, request).await?;
        let now = Timestamp::now();
        let read = request.read();
        if let Some(why) = quorum::objection(&read, person, quorum::needed_on_record(&read)).filter(|_| action == Action::Approve) {
            return Err(Failure::Conflict(why));
        }
        let status = act(&read, action, person, args.reason.as_deref(), now).map_err(|error| Failure::Conflict(error.to_string()))?;
        let status = if args.skip_cool_down && action == Action::Approve { status.skipping_cool_down() } else { status };
        let decided = request.with_status(&status, now);
        if decided.phase() == request.phase() {
            return Err(Failure::Conflict("the request has expired, and Headwind has not recorded that yet; try again".to_owned()));
        }
        match objects.patch_status(&name, &params, &Patch::Merge(decision::patch(&decided))).await.map_err(Failure::from) {
            Err(Failure::Conflict(_)) => request = api.get_opt(&name).await?.ok_or_else(|| request::not_found(&namespace, &name))?,
            Err(failure) => return Err(failure),
            Ok(object) => {
                let written = object.clone().try_parse::<UpdateRequest>().map_err(|error| Failure::Other(error.to_string()))?;
                return Ok((written, requests::whole(object)));
            }
        }
    }
    Err(Failure::Conflict("the request keeps changing; try again".to_owned()))
}
