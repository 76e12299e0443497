//! `GET /events`: the stream that keeps pages up to date.
//!
//! It carries hints: `u-<id>` means that a request changed, and the page fetches the row again. So permissions, filters
//! and the view are applied in one place.
//!
//! While Kubernetes does not say what the caller may see, the stream stays open and has only the banner. After that,
//! `resync` makes the page read its parts again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use headwind_operator::{Caller, Visible};
use jiff::Timestamp;
use maud::html;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::hub::{Hint, Missed, Numbered, id};
use super::query::pairs;
use super::{Trouble, Ui, dashboard, page, permissions};
use crate::stream::{CHECK, Place, respond};

/// Time that a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Minimum time between two events with the counts.
const COUNTS: Duration = Duration::from_secs(1);

/// Interval for checking whether Kubernetes responds.
const TROUBLE: Duration = Duration::from_secs(1);

/// One open stream.
struct Stream {
    ui: Arc<Ui>,
    caller: Caller,
    headers: HeaderMap,
    visible: Visible,
    /// Why the permissions of the caller are not known, if they are not.
    unavailable: Option<String>,
    receiver: broadcast::Receiver<Numbered>,
    queue: VecDeque<Event>,
    /// The number of the last hint that was sent.
    position: u64,
    /// When the counts are sent next, if they changed.
    counts_at: Option<Instant>,
    counts_sent: Instant,
    check_at: Instant,
    trouble_at: Instant,
    /// The reason for the banner of the page. Not known at first: the page may be older than the connection.
    trouble: Option<Trouble>,
    _place: Place,
}

/// `GET /events?v=&last=`
pub(super) async fn events(State(ui): State<Arc<Ui>>, Extension(caller): Extension<Caller>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(place) = ui.hub.streams.take(&caller) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", HeaderValue::from_static("5"))], "too many open streams")
            .into_response();
    };
    let parameter = |wanted: &str| pairs(uri.query().unwrap_or_default()).find(|(name, _)| name == wanted).map(|(_, value)| value);
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The browser's own reconnect sends the header; a new EventSource has `last`; a new page has `v`.
    let after = header.or_else(|| parameter("last")).or_else(|| parameter("v"));
    let (receiver, missed) = ui.hub.listen(after.as_deref());
    let (visible, unavailable) = match permissions::visible(&ui, &caller).await {
        Ok(visible) => (visible, None),
        Err(why) => (Visible::default(), Some(why)),
    };
    let now = Instant::now();
    let mut stream = Stream {
        trouble: None,
        trouble_at: now,
        position: ui.hub.number(),
        ui,
        caller,
        headers,
        visible,
        unavailable,
        receiver,
        queue: VecDeque::new(),
        counts_at: None,
        counts_sent: now,
        check_at: now + CHECK,
        _place: place,
    };
    stream.begin(missed);
    let events = stream::unfold(stream, async |mut stream| Some((Ok::<_, Infallible>(stream.next().await?), stream)));
    respond(events)
}

impl Stream {
    fn event(&self, name: &str) -> Event {
        Event::default().event(name).id(self.ui.hub.at(self.position))
    }

    fn begin(&mut self, missed: Missed) {
        self.queue.push_back(self.event("hello").retry(RETRY).data("hello"));
        match missed {
            Missed::Unknown => self.resync(),
            Missed::Hints(hints) => {
                for hint in hints {
                    self.hear(&hint);
                }
            }
        }
    }

    fn resync(&mut self) {
        // It is sent as soon as the permissions are known.
        if self.unavailable.is_none() {
            self.queue.push_back(self.event("resync").data("resync"));
            self.counts();
        }
    }

    fn hear(&mut self, numbered: &Numbered) {
        self.position = self.position.max(numbered.number);
        match &numbered.hint {
            Hint::Resync => self.resync(),
            Hint::Changed(change) if self.visible.includes(&change.namespace) => {
                let name = format!("u-{}", id(&change.namespace, &change.name));
                self.queue.push_back(self.event(&name).data("changed"));
                if change.is_new {
                    self.queue.push_back(self.event("news").data("news"));
                }
                let due = (self.counts_sent + COUNTS).max(Instant::now());
                self.counts_at.get_or_insert(due);
            }
            Hint::Changed(_) => {}
        }
    }

    /// Sends the counts of the dashboard, and those of the navigation. Only the dashboard has a place for the former.
    fn counts(&mut self) {
        self.counts_at = None;
        if self.unavailable.is_some() {
            return;
        }
        self.counts_sent = Instant::now();
        let counts = self.ui.handle.counts(&self.visible);
        let waiting = counts.awaiting_approval;
        let (top, bottom) = page::badges(waiting, true);
        let tiles = html! { (dashboard::tiles(&counts)) (dashboard::heading(waiting, true)) };
        self.queue.push_back(self.event("tiles").data(tiles.into_string()));
        self.queue.push_back(self.event("counts").data(html! { (top) (bottom) }.into_string()));
    }

    /// Sends the banner if its reason has changed or no longer exists.
    async fn tell_trouble(&mut self) {
        let trouble = self.ui.trouble(self.unavailable.as_deref());
        if self.trouble.as_ref() == Some(&trouble) {
            return;
        }
        let banner = trouble.banner(&self.ui, &self.caller, Timestamp::now()).await;
        let event = self.event("banner").data(banner.unwrap_or_else(|| html! { span hidden {} }).into_string());
        self.queue.push_back(event);
        let responds_again = !trouble.is_stale && self.trouble.as_ref().is_some_and(|before| before.is_stale);
        self.trouble = Some(trouble);
        if responds_again {
            // The buttons of the page are disabled.
            self.resync();
        }
    }

    /// Checks the caller again, and what it may see. Returns false if the headers no longer prove who it is.
    async fn check(&mut self) -> bool {
        let visible = match permissions::is_still_known(&self.ui, &self.headers, &self.caller).await {
            Ok(true) => permissions::visible(&self.ui, &self.caller).await,
            Ok(false) => return false,
            Err(why) => Err(why),
        };
        let was_unavailable = self.unavailable.is_some();
        (self.visible, self.unavailable) = match visible {
            Ok(visible) => (visible, None),
            Err(why) => (Visible::default(), Some(why)),
        };
        if was_unavailable {
            self.resync();
        }
        true
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            let counts_at = self.counts_at.unwrap_or(self.check_at);
            tokio::select! {
                () = self.ui.hub.stop.cancelled() => return None,
                hint = self.receiver.recv() => match hint {
                    Ok(hint) => self.hear(&hint),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.resync(),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(counts_at), if self.counts_at.is_some() => {
                    self.counts();
                }
                () = tokio::time::sleep_until(self.trouble_at) => {
                    self.trouble_at = Instant::now() + TROUBLE;
                    self.tell_trouble().await;
                }
                () = tokio::time::sleep_until(self.check_at) => {
                    self.check_at = Instant::now() + CHECK;
                    if !self.check().await {
                        return None;
                    }
                }
            }
        }
    }
}
