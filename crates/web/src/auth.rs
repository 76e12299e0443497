//! Who the caller is, and what the caller may do, for the API and the UI.
//!
//! Each mode lives in one file. The recorded approver is always the caller found here, never a field of a form.
//!
//! | question | asked by |
//! |---|---|
//! | [`Auth::authenticate`] | the gate, for every request before its handler ([`crate::gate`]) |
//! | [`Auth::authorize`] | the handler, before it reads or changes anything |
//! | [`Auth::visible`] | the handler of a list, a count or a stream |
//! | [`Auth::may`] | a page, to show no button that would end in 403 |

mod action;
mod mode;
mod none;
mod refused;
mod simple;

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use headwind_operator::{Caller, Visible};

pub use self::action::Action;
pub use self::mode::{Mode, UnknownMode};
pub use self::refused::Refused;

/// How callers are authenticated and authorized.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    mode: Mode,
    /// Whether callers that prove nothing may act: the port is bound to loopback, or the administrator says so.
    anonymous_actions: bool,
}

impl Auth {
    /// Callers prove nothing: the mode is `none` or `simple`.
    pub fn open(mode: Mode, anonymous_actions: bool) -> Self {
        Self { mode, anonymous_actions }
    }

    /// Returns the mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the caller of a request from `peer`. The gate has done so before a handler runs; a stream that stays
    /// open calls it again at least once a minute with the headers of its request, and ends if it fails.
    ///
    /// # Errors
    /// When the headers do not prove who the caller is.
    #[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
    pub async fn authenticate(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Refused> {
        let name = match self.mode {
            Mode::None => none::user(),
            // Everybody may read.
            Mode::Simple => simple::user(headers).unwrap_or_else(none::user),
        };
        Ok(Caller { name, ..self.nobody(peer) })
    }

    /// Returns the caller before anything is known of it.
    pub(crate) fn nobody(&self, peer: Option<IpAddr>) -> Caller {
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        Caller { name: "unknown".to_owned(), method: self.mode.as_str(), peer, ..Caller::default() }
    }

    /// Checks that the caller may act at all, whatever the action is. [`Auth::authorize`] decides about the action.
    ///
    /// # Errors
    /// When the mode does not prove who the caller is, and nobody allowed such callers to act.
    pub(crate) fn may_act(&self, caller: &Caller) -> Result<(), Refused> {
        match self.mode {
            Mode::None | Mode::Simple if !self.anonymous_actions => Err(Refused::Forbidden(format!(
                "mode {} does not prove who the caller is, so this port only answers reads; approve with kubectl, or set HEADWIND_UI_ANONYMOUS_ACTIONS=true",
                self.mode
            ))),
            Mode::Simple if !simple::names(caller) => Err(Refused::Unknown(simple::EXPECTED.to_owned())),
            Mode::None | Mode::Simple => Ok(()),
        }
    }

    /// Checks that the caller may do it. Writes a line to the audit log if an action is denied.
    ///
    /// # Errors
    /// [`Refused::Missing`] with the permission that is missing.
    pub async fn authorize(&self, caller: &Caller, action: &Action) -> Result<(), Refused> {
        let allowed = self.decide(caller, action).await;
        if let (Err(refused), Some(audited)) = (&allowed, action.audited()) {
            audited.denied(caller, refused.status().as_u16(), &refused.to_string());
        }
        allowed
    }

    #[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
    async fn decide(&self, caller: &Caller, action: &Action) -> Result<(), Refused> {
        if action.is_read() { Ok(()) } else { self.may_act(caller) }
    }

    /// Returns true if the caller may do it. For pages: a button that this denies is not shown. The answer may be some
    /// seconds old, so the action itself is authorized again.
    pub async fn may(&self, caller: &Caller, action: &Action) -> bool {
        self.decide(caller, action).await.is_ok()
    }

    /// Returns the namespaces that the caller may list. Lists, counts and streams hold nothing of any other namespace.
    ///
    /// # Errors
    /// [`Refused::Unavailable`] if the API server does not answer.
    #[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
    pub async fn visible(&self, _caller: &Caller) -> Result<Visible, Refused> {
        Ok(Visible::All)
    }

    /// Returns what a list may hold that is limited to a namespace, if one is given.
    ///
    /// # Errors
    /// [`Refused::Missing`] if the caller may not list that namespace. Without one, the list has the namespaces that
    /// the caller may list.
    pub async fn listed(&self, caller: &Caller, namespace: Option<&str>) -> Result<Visible, Refused> {
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else { return self.visible(caller).await };
        self.authorize(caller, &Action::List { namespace: Some(namespace.to_owned()) }).await?;
        Ok(Visible::Only(Arc::new([namespace.to_owned()].into())))
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::request::action::Action as Decision;

    use super::*;

    #[tokio::test]
    async fn everybody_may_read_and_nobody_acts_without_a_name() {
        let auth = Auth::open(Mode::Simple, true);
        let caller = auth.authenticate(&HeaderMap::new(), None).await.unwrap();
        assert_eq!(caller.name, "web-ui-user");
        let action = Action::Decide { decision: Decision::Approve, namespace: "n".to_owned(), name: "r".to_owned() };
        assert!(matches!(auth.authorize(&caller, &action).await, Err(Refused::Unknown(_))));
        assert!(auth.may(&caller, &Action::List { namespace: None }).await && !auth.may(&caller, &action).await);
    }
}
