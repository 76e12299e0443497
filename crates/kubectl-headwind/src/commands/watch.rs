//! `watch`: changes of UpdateRequests as they happen.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::StreamExt as _;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as follow};
use serde_json::json;

use super::requests;
use crate::cli::{Filter, Format};
use crate::connect::Connection;
use crate::failure::{self, Failure};
use crate::output;
use crate::table::{Table, render};

/// Minimum widths of the columns from the name on: later rows should fit.
const WIDTHS: [usize; 7] = [36, 20, 10, 24, 24, 10, 4];

/// Shows requests, and again whenever their phase, their message or the reason for which they wait changes, until it is
/// interrupted.
pub(super) async fn watch(connection: &Connection, filter: &Filter) -> Result<(), Failure> {
    let global = connection.global();
    let mut config = watcher::Config::default();
    if let Some(selector) = &global.selector {
        config = config.labels(selector);
    }
    // The first list shows at once whether the user may do this.
    requests::api(connection).list_metadata(&kube::api::ListParams::default().limit(1)).await.map_err(requests::not_listed)?;
    let (everywhere, wide) = (connection.listed().is_none(), global.output == Some(Format::Wide));
    let table = Table::new(requests::header(everywhere, wide));
    let least = if everywhere { [&[16], WIDTHS.as_slice()].concat() } else { WIDTHS.to_vec() };
    let (widths, colors) = (table.widths(&least), output::has_colors(global));
    if matches!(global.output, None | Some(Format::Table | Format::Wide)) {
        let header: Vec<_> = requests::header(everywhere, wide).into_iter().map(crate::table::Cell::new).collect();
        output::line(&render(&header, &widths, colors))?;
    }
    let mut shown: BTreeMap<(String, String), [String; 3]> = BTreeMap::new();
    let mut events = pin!(follow(requests::api(connection), config).default_backoff());
    while let Some(event) = events.next().await {
        let request: UpdateRequest = match event {
            Ok(Event::Apply(request) | Event::InitApply(request)) => request,
            Ok(Event::Delete(request)) => {
                shown.remove(&(request.namespace().unwrap_or_default(), request.name_any()));
                continue;
            }
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                output::remark(&format!("the watch was interrupted and continues: {}", described(error)));
                continue;
            }
        };
        let key = (request.namespace().unwrap_or_default(), request.name_any());
        if !filter.phase.is_empty() && !filter.phase.contains(&request.phase()) {
            // It is shown again when it returns.
            shown.remove(&key);
            continue;
        }
        let status = request.status.clone().unwrap_or_default();
        let waiting = requests::waiting(&status).map(|condition| condition.reason.clone()).unwrap_or_default();
        let state = [request.phase().as_str().to_owned(), status.message.unwrap_or_default(), waiting];
        if shown.insert(key, state.clone()).as_ref() == Some(&state) {
            continue;
        }
        let mut request = request;
        request.metadata.managed_fields = None;
        match global.output {
            Some(Format::Json) => output::line(&output::escaped(&json!(request).to_string()))?,
            Some(Format::Yaml) => output::yaml(&json!(request))?,
            Some(Format::Name) => output::line(&requests::full_name(&request.name_any()))?,
            Some(Format::Table | Format::Wide) | None => {
                output::line(&render(&requests::row(&request, everywhere, wide, Timestamp::now()), &widths, colors))?;
            }
        }
    }
    Ok(())
}

/// Returns the message of an interruption, without the debug forms in the messages of the client.
fn described(error: watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            Failure::from(error).to_string()
        }
        watcher::Error::WatchError(status) => failure::of_status(&status).to_string(),
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn interruptions_read_well() {
        let status = || Status::failure("too old resource version: 1 (2)", "Expired").with_code(410).boxed();
        for error in [watcher::Error::WatchError(status()), watcher::Error::WatchStartFailed(kube::Error::Api(status()))] {
            assert_eq!(described(error), "too old resource version: 1 (2)");
        }
    }
}
