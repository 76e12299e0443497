//! The common parts of the event streams of the API and the UI.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use headwind_operator::Caller;
use parking_lot::Mutex;

/// Interval of the comments that keep the connection open.
const BEAT: Duration = Duration::from_secs(15);
/// Interval at which the caller's permissions are checked again.
pub(crate) const CHECK: Duration = Duration::from_secs(5);

/// Maximum number of open streams.
const STREAMS: usize = 512;
/// Maximum number of open streams of one authenticated caller. In the other modes, all callers have the same name, or
/// choose any name.
const STREAMS_OF_ONE: usize = 128;

/// The places for open streams. A single caller cannot take all of them.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<String, usize>>);

/// The place of one open stream. Freed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    caller: String,
}

impl Places {
    /// Takes a place, if one is free for this caller.
    pub(crate) fn take(self: &Arc<Self>, caller: &Caller) -> Option<Place> {
        let most = if caller.method.is_proven() { STREAMS_OF_ONE } else { STREAMS };
        let mut open = self.0.lock();
        if open.values().sum::<usize>() >= STREAMS || open.get(&caller.name).is_some_and(|own| *own >= most) {
            return None;
        }
        *open.entry(caller.name.clone()).or_default() += 1;
        Some(Place { places: Arc::clone(self), caller: caller.name.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock();
        if let Entry::Occupied(mut own) = open.entry(std::mem::take(&mut self.caller)) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// Returns the response that sends the events. Proxies must not buffer it.
pub(crate) fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let headers = [
        (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT).text("beat"))).into_response()
}

#[cfg(test)]
mod tests {
    use headwind_operator::AuthMethod;

    use super::*;

    fn caller(name: &str, method: AuthMethod) -> Caller {
        Caller { name: name.to_owned(), method, ..Caller::default() }
    }

    fn taken(places: &Arc<Places>, caller: &Caller) -> Vec<Place> {
        std::iter::repeat_with(|| places.take(caller)).take(2 * STREAMS).flatten().collect()
    }

    #[test]
    fn one_caller_leaves_places_for_the_others() {
        let places = Arc::<Places>::default();
        let eve = taken(&places, &caller("eve", AuthMethod::Token));
        assert_eq!(eve.len(), STREAMS_OF_ONE);
        assert!(places.take(&caller("eve", AuthMethod::Cookie)).is_none(), "the same person in a browser");
        let others: Vec<Vec<Place>> = ["ann", "bob", "cid"].map(|name| taken(&places, &caller(name, AuthMethod::Proxy))).into();
        assert!(others.iter().all(|own| own.len() == STREAMS_OF_ONE));
        assert!(places.take(&caller("dan", AuthMethod::Token)).is_none(), "all places are taken");
        drop(eve);
        assert!(places.take(&caller("dan", AuthMethod::Token)).is_some());
        drop(others);
        assert!(places.0.lock().is_empty());
    }

    #[test]
    fn without_authentication_all_callers_have_one_name() {
        let places = Arc::<Places>::default();
        assert_eq!(taken(&places, &caller("web-ui-user", AuthMethod::None)).len(), STREAMS);
    }
}
