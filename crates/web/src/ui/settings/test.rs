//! `POST /settings/notifications/{channel}/test`: sends a test message, and shows what the receiver answered.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use headwind_operator::notify::Channel;

use super::content;
use super::form::{Outcome, Typed};
use crate::api::test_status;
use crate::ui::fault::Fault;
use crate::ui::visitor::Visitor;
use crate::ui::{Ui, permissions};

/// `POST /settings/notifications/{channel}/test`
pub(in crate::ui) async fn test(State(ui): State<Arc<Ui>>, Path(channel): Path<String>, visitor: Visitor, body: String) -> Response {
    if let Err(refused) = permissions::check(&ui, &visitor.caller, &permissions::tests(&ui, &channel)).await {
        return Fault::from(refused).answer(&visitor, None);
    }
    let Ok(channel) = channel.parse::<Channel>() else { return Fault::no_page().answer(&visitor, None) };
    // What the person typed and did not save stays in the form.
    let typed = Typed::read(&body).in_section(channel.as_str());
    let begun = Instant::now();
    let tested = ui.handle.test_channel(visitor.caller.clone(), channel).await;
    let status = tested.as_ref().err().map_or(StatusCode::OK, test_status);
    let outcome = Outcome::Tested(tested.map_err(|error| error.to_string()), begun.elapsed());
    (status, content(&ui, &visitor, Some((&typed, &outcome))).await).into_response()
}
