//! `list`: UpdateRequests as a table.

use headwind_core::request::Phase;
use headwind_k8s::update_request::{UpdateRequest, UpdateRequestStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::approvals::Approvals;
use crate::age::age;
use crate::cli::{Filter, Format};
use crate::connect::Connection;
use crate::failure::Failure;
use crate::output;
use crate::table::{Cell, Paint, Table};

/// Number of objects of a page, as kubectl has it.
const PAGE: u32 = 500;

/// Returns the API of UpdateRequests in the selected namespaces.
pub(super) fn api(connection: &Connection) -> Api<UpdateRequest> {
    match connection.listed() {
        Some(namespace) => Api::namespaced(connection.client.clone(), namespace),
        None => Api::all(connection.client.clone()),
    }
}

/// Returns the failure of a list. A namespace that does not exist has an empty list, so the API server answers 404 only if
/// it does not know the kind.
pub(super) fn not_listed(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            let words = "the cluster has no UpdateRequests; perhaps Headwind is not installed: `headwind crds` prints the missing CRD";
            Failure::NotFound(words.to_owned())
        }
        error => error.into(),
    }
}

/// Reads every page of a list.
async fn pages<K: Resource + Clone + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, selector: Option<&str>) -> Result<Vec<K>, Failure> {
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = selector.map(str::to_owned);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(not_listed)?;
        all.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the UpdateRequests of the selected namespaces that have one of these phases, by namespace and name.
pub(super) async fn read(connection: &Connection, phases: &[Phase]) -> Result<Vec<UpdateRequest>, Failure> {
    let mut all = pages(&api(connection), connection.global().selector.as_deref()).await?;
    all.retain(|request| phases.is_empty() || phases.contains(&request.phase()));
    all.sort_by_cached_key(|request| (request.namespace(), request.name_any()));
    Ok(all)
}

/// Returns the objects as Kubernetes has them, also with fields that this version does not know.
async fn read_whole(connection: &Connection, phases: &[Phase]) -> Result<Vec<Value>, Failure> {
    let resource = ApiResource::erase::<UpdateRequest>(&());
    let api: Api<DynamicObject> = match connection.listed() {
        Some(namespace) => Api::namespaced_with(connection.client.clone(), namespace, &resource),
        None => Api::all_with(connection.client.clone(), &resource),
    };
    let phase = |object: &DynamicObject| object.data["status"]["phase"].as_str().unwrap_or("Pending").to_owned();
    let mut all = pages(&api, connection.global().selector.as_deref()).await?;
    all.retain(|object| phases.is_empty() || phases.iter().any(|wanted| wanted.as_str() == phase(object)));
    all.sort_by_cached_key(|object| (object.namespace(), object.name_any()));
    Ok(all.into_iter().map(whole).collect())
}

/// Returns an object with its kind and without `managedFields`.
pub(super) fn whole(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let resource = ApiResource::erase::<UpdateRequest>(&());
    let mut value = json!({"apiVersion": resource.api_version, "kind": resource.kind});
    if let (Value::Object(value), Value::Object(fields)) = (&mut value, json!(object)) {
        value.extend(fields.into_iter().filter(|(key, _)| !["apiVersion", "kind"].contains(&key.as_str())));
    }
    value
}

/// Returns the objects as a list, as `kubectl get` prints several objects.
pub(super) fn list_of(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// Returns the name of a request as kubectl writes it.
pub(super) fn full_name(name: &str) -> String {
    format!("updaterequest.headwind.sh/{}", output::clean(name))
}

/// Returns the condition of an approved update that waits.
pub(super) fn waiting(status: &UpdateRequestStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == "Waiting" && condition.status == "True")
}

/// The titles of the columns.
pub(super) fn header(with_namespace: bool, wide: bool) -> Vec<&'static str> {
    let mut header = vec!["NAME", "WORKLOAD", "CONTAINER", "CURRENT", "NEW", "PHASE", "AGE"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.extend(["POLICY", "TRIGGER", "APPROVALS", "BY", "WAITING", "MESSAGE"]);
    }
    header
}

/// Returns the columns of a request.
pub(super) fn row(request: &UpdateRequest, with_namespace: bool, wide: bool, now: Timestamp) -> Vec<Cell> {
    let (spec, phase) = (&request.spec, request.phase());
    let created = request.metadata.creation_timestamp.as_ref().map(|time| age(time.0, now)).unwrap_or_default();
    let mut row = vec![
        Cell::new(request.name_any()),
        Cell::new(format!("{}/{}", spec.target_ref.kind.0.as_str().to_lowercase(), spec.target_ref.name)),
        Cell::new(request.container().unwrap_or_default()),
        Cell::new(&spec.current_image),
        Cell::new(&spec.new_image),
        Cell::painted(phase.as_str(), Paint::of(phase)),
        Cell::new(created),
    ];
    if with_namespace {
        row.insert(0, Cell::new(request.namespace().unwrap_or_default()));
    }
    if wide {
        let status = request.status.clone().unwrap_or_default();
        let approvals = Approvals::of(&request.read()).map(|approvals| approvals.short());
        let waiting = Cell::new(waiting(&status).map(|condition| condition.reason.as_str()).unwrap_or_default());
        row.extend([
            Cell::new(spec.policy.0.to_string()),
            Cell::new(json!(spec.trigger).as_str().unwrap_or_default()),
            Cell::new(approvals.unwrap_or_default()),
            Cell::new(status.approved_by.or(status.rejected_by).unwrap_or_default()),
            waiting,
            Cell::new(status.message.unwrap_or_default()),
        ]);
    }
    row
}

/// Lists UpdateRequests.
pub(super) async fn list(connection: &Connection, filter: &Filter) -> Result<(), Failure> {
    let global = connection.global();
    match global.output {
        Some(format @ (Format::Json | Format::Yaml)) => output::value(&list_of(&read_whole(connection, &filter.phase).await?), format),
        Some(Format::Name) => {
            let names = read(connection, &filter.phase).await?;
            output::raw(names.iter().map(|request| full_name(&request.name_any()) + "\n").collect::<String>().as_bytes())
        }
        Some(Format::Table | Format::Wide) | None => {
            let all = read(connection, &filter.phase).await?;
            if all.is_empty() {
                let place = connection.listed().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
                output::remark(&format!("No UpdateRequests found{place}."));
                return Ok(());
            }
            let (wide, everywhere, now) = (global.output == Some(Format::Wide), connection.listed().is_none(), Timestamp::now());
            let mut table = Table::new(header(everywhere, wide));
            for request in &all {
                table.push(row(request, everywhere, wide, now));
            }
            output::raw(table.render(output::has_colors(global)).as_bytes())
        }
    }
}
