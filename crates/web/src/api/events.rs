//! `GET /api/v1/events/updates`: transitions of updates, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use headwind_core::reason::Reason;
use headwind_operator::{Caller, ReportEntry, Visible};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::extract::Query;
use super::{Api, Shared, flat};
use crate::auth::Action;
use crate::problem::Problem;
use crate::stream::{CHECK, Place, respond};

/// The filter.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Only this namespace.
    namespace: Option<String>,
}

/// A transition of an update: the data of an event `update`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateEvent {
    namespace: String,
    /// The name of the UpdateRequest.
    name: String,
    kind: &'static str,
    /// The name of the workload.
    workload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    current_image: String,
    new_image: String,
    /// The phase before. Not set for a new UpdateRequest.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// The phase now.
    phase: &'static str,
    /// The reason, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The reason as a message for people.
    message: String,
}

impl From<&ReportEntry> for UpdateEvent {
    fn from(entry: &ReportEntry) -> Self {
        let ReportEntry { workload, request, transition, .. } = entry;
        Self {
            namespace: workload.namespace.clone(),
            name: request.name.clone(),
            kind: workload.kind.as_str(),
            workload: workload.name.clone(),
            container: request.spec.container.clone(),
            current_image: request.spec.current_image.clone(),
            new_image: request.spec.new_image.clone(),
            from: transition.from.map(headwind_core::request::Phase::as_str),
            phase: transition.to.as_str(),
            reason: transition.reason.map(Reason::code),
            message: transition.message.clone(),
        }
    }
}

/// One open stream.
struct Stream {
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    namespace: Option<String>,
    visible: Visible,
    receiver: broadcast::Receiver<Arc<ReportEntry>>,
    check_at: Instant,
    _place: Place,
}

#[utoipa::path(get, path = "/api/v1/events/updates", summary = "Stream transitions of updates", description = "Server-sent events. An event `update` has the data that is described here. An event `resync` means that events were missed: read the list again.", params(Parameters), responses((status = 200, body = UpdateEvent, content_type = "text/event-stream"), (status = 403, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn updates(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(parameters): Query<Parameters>,
) -> Response {
    flat(open(api, caller, headers, parameters).await)
}

async fn open(api: Api, caller: Caller, headers: HeaderMap, Parameters { namespace }: Parameters) -> Result<Response, Problem> {
    let visible = api.auth.listed(&caller, namespace.as_deref()).await?;
    // It would get no event, and take the place of somebody else.
    if visible.is_empty() {
        api.auth.authorize(&caller, &Action::List { namespace: None }).await?;
    }
    let place = api.streams.take(&caller).ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many open streams"))?;
    let receiver = api.handle.subscribe();
    let stream = Stream { api, caller, headers, namespace, visible, receiver, check_at: Instant::now() + CHECK, _place: place };
    let events = stream::unfold(stream, async |mut stream| Some((Ok::<_, Infallible>(stream.next().await?), stream)));
    Ok(respond(events))
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                () = self.api.stop.cancelled() => return None,
                heard = self.receiver.recv() => match heard {
                    Ok(entry) if self.visible.includes(&entry.workload.namespace) => {
                        let event = Event::default().event("update").id(entry.transition.id.replace(['\r', '\n', '\0'], " "));
                        match event.json_data(UpdateEvent::from(&*entry)) {
                            Ok(event) => return Some(event),
                            Err(error) => tracing::error!(%error, "failed to encode an event"),
                        }
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return Some(Event::default().event("resync").data("{}")),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.check_at) => {
                    self.check_at = Instant::now() + CHECK;
                    if !self.api.auth.still_knows(&self.caller, &self.headers).await {
                        return None;
                    }
                    self.visible = self.api.auth.listed(&self.caller, self.namespace.as_deref()).await.ok()?;
                }
            }
        }
    }
}
