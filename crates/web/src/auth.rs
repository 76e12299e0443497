//! Authentication and authorization for the API and the UI.
//!
//! Each mode is in one file. The recorded approver is always the authenticated caller, never a field of a form.
//!
//! | function | called by |
//! |---|---|
//! | [`Auth::authenticate`] | the guard, for every request before its handler ([`crate::guard`]) |
//! | [`Auth::authorize`] | the handler, before it reads or changes anything |
//! | [`Auth::authorize_all`] | the handler of a bulk action, before the first change |
//! | [`Auth::visible`] | the handler of a list, a count or a stream |
//! | [`Auth::may`] | a page, to hide buttons that would end in 403 |
//!
//! In the modes `none` and `simple`, everybody may read, and may act if the administrator allows it. In the modes
//! `token` and `proxy`, the API server authorizes every action (`access`).

mod access;
mod action;
mod answers;
#[cfg(test)]
pub(crate) mod fake;
mod flood;
mod mode;
mod none;
pub mod proxy;
mod refused;
mod reviewed;
mod reviews;
mod session;
mod simple;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue};
use headwind_operator::{AuthMethod, BearerToken, Caller, Permission, Visible};
use jiff::Timestamp;

use self::access::AccessReviews;
pub use self::action::Action;
pub use self::mode::Mode;
use self::proxy::Proxy;
pub use self::refused::Refused;
pub(crate) use self::reviewed::Reviewed;
pub use self::reviews::{Answer, Reviews};
use self::session::Sessions;
use self::token::{Checked, Presenter, Tokens};

/// The authentication and authorization of callers.
#[derive(Clone)]
pub struct Auth(Arc<Method>);

/// The modes, with their dependencies.
#[expect(clippy::large_enum_variant, reason = "the process has one, behind an Arc")]
enum Method {
    /// Callers prove nothing. `anonymous_actions` is true if they may act.
    Open {
        simple: bool,
        anonymous_actions: bool,
    },
    Token {
        tokens: Tokens,
        sessions: Sessions,
        access: AccessReviews,
    },
    Proxy {
        proxy: Proxy,
        access: AccessReviews,
    },
}

/// The settings of mode `token`.
#[derive(Debug, Clone, Default)]
pub struct TokenSettings {
    /// Accepted audiences; empty for the API server's own.
    pub audiences: Vec<String>,
    /// True if Headwind itself serves HTTPS.
    pub tls: bool,
    /// Hosts with ports that browsers reach over HTTPS.
    pub https: BTreeSet<String>,
}

impl Auth {
    /// Creates mode `none`, or with `simple` that mode: callers prove nothing.
    pub fn open(simple: bool, anonymous_actions: bool) -> Self {
        Self(Arc::new(Method::Open { simple, anonymous_actions }))
    }

    /// Creates mode `token`.
    pub fn token(settings: TokenSettings, reviews: &Arc<dyn Reviews>) -> Self {
        Self(Arc::new(Method::Token {
            tokens: Tokens::new(Arc::clone(reviews), settings.audiences),
            sessions: Sessions::new(Arc::clone(reviews), settings.tls, settings.https),
            access: AccessReviews::new(Arc::clone(reviews)),
        }))
    }

    /// Creates mode `proxy`.
    pub fn proxy(proxy: Proxy, reviews: &Arc<dyn Reviews>) -> Self {
        Self(Arc::new(Method::Proxy { proxy, access: AccessReviews::new(Arc::clone(reviews)) }))
    }

    /// Returns the mode.
    pub fn mode(&self) -> Mode {
        match &*self.0 {
            Method::Open { simple: false, .. } => Mode::None,
            Method::Open { simple: true, .. } => Mode::Simple,
            Method::Token { .. } => Mode::Token,
            Method::Proxy { .. } => Mode::Proxy,
        }
    }

    /// Returns true if the request came through the proxy of the API server with a token of its own. Its host is that of
    /// the API server. A page of another site cannot make such a request, because it does not have the token.
    pub(crate) fn is_proxied(&self, headers: &HeaderMap) -> bool {
        self.mode() == Mode::Token && headers.contains_key(token::PROXIED)
    }

    /// Returns the caller of a request from `peer`. The guard calls it before every handler. An open stream calls it
    /// again at least twice a minute with the headers of its request, and ends if it fails.
    ///
    /// # Errors
    /// If the headers do not prove the caller's identity.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Refused> {
        let nobody = self.nobody(peer);
        match &*self.0 {
            Method::Open { simple: false, .. } => Ok(Caller { name: none::user(), ..nobody }),
            // Everybody may read.
            Method::Open { simple: true, .. } => Ok(Caller { name: simple::user(headers).unwrap_or_else(none::user), ..nobody }),
            Method::Proxy { proxy, .. } => proxy.identify(headers, peer, nobody),
            Method::Token { tokens, sessions, .. } => {
                let (token, method, from) = match token::bearer(headers)? {
                    Some(token) => (Some(token), AuthMethod::Token, Presenter::Peer(peer)),
                    None => (sessions.token(headers, Timestamp::now()).await?, AuthMethod::Cookie, Presenter::Session),
                };
                let token = token.ok_or_else(|| Refused::Unknown(token::EXPECTED.to_owned()))?;
                let checked = tokens.check(&token, from, Instant::now()).await?;
                Ok(Caller { method, ..with(&checked, token, nobody) })
            }
        }
    }

    /// Returns true if the headers of an open stream still prove its caller's identity.
    pub(crate) async fn still_knows(&self, caller: &Caller, headers: &HeaderMap) -> bool {
        let known = self.authenticate(headers, caller.peer.parse().ok()).await;
        known.is_ok_and(|known| known.name == caller.name)
    }

    /// Returns the caller before authentication.
    pub(crate) fn nobody(&self, peer: Option<IpAddr>) -> Caller {
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        Caller { name: "unknown".to_owned(), method: self.mode().method(), peer, ..Caller::default() }
    }

    /// Returns true if there is a login page: browsers have no other way to present a token.
    pub fn has_login(&self) -> bool {
        matches!(&*self.0, Method::Token { .. })
    }

    /// Opens a session with a token: returns its user, and the value of `Set-Cookie`.
    ///
    /// # Errors
    /// If the mode has no sessions, or the API server rejects the token (with its own message).
    pub async fn log_in(&self, token: &str, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(Caller, HeaderValue), Refused> {
        let Method::Token { tokens, sessions, .. } = &*self.0 else { return Err(no_sessions()) };
        let token = BearerToken::new(token.trim());
        let checked = tokens.check(&token, Presenter::Peer(peer), Instant::now()).await?;
        let cookie = sessions.begin(&token, checked.expires, headers, Timestamp::now()).await?;
        Ok((Caller { method: AuthMethod::Cookie, ..with(&checked, token, self.nobody(peer)) }, cookie))
    }

    /// Ends the session of a browser: returns the value of `Set-Cookie`.
    ///
    /// # Errors
    /// If the mode has no sessions.
    pub fn log_out(&self, headers: &HeaderMap) -> Result<HeaderValue, Refused> {
        let Method::Token { sessions, .. } = &*self.0 else { return Err(no_sessions()) };
        sessions.end(headers)
    }

    /// Checks that the caller may act at all. [`Auth::authorize`] checks the specific action.
    ///
    /// # Errors
    /// If the mode does not prove the caller's identity, and the administrator does not allow such callers to act.
    pub(crate) fn may_act(&self, caller: &Caller) -> Result<(), Refused> {
        match &*self.0 {
            Method::Open { anonymous_actions: false, .. } => Err(Refused::Forbidden(format!(
                "mode {} does not prove who the caller is, so this port only answers reads; approve with kubectl, or set HEADWIND_UI_ANONYMOUS_ACTIONS=true",
                self.mode()
            ))),
            Method::Open { simple: true, .. } if !simple::names(caller) => Err(Refused::Unknown(simple::EXPECTED.to_owned())),
            Method::Open { .. } | Method::Token { .. } | Method::Proxy { .. } => Ok(()),
        }
    }

    /// Checks that the caller may perform the action. Writes a line to the audit log if it is denied.
    ///
    /// # Errors
    /// [`Refused::Missing`] with the missing permission.
    pub async fn authorize(&self, caller: &Caller, action: &Action) -> Result<(), Refused> {
        let allowed = self.decide(caller, action, false).await;
        audit_denied(caller, action, &allowed);
        allowed
    }

    /// Checks the actions of one request, and returns the results in the same order. At most one question is asked for a
    /// permission and a namespace that the caller may act on as a whole.
    pub async fn authorize_all(&self, caller: &Caller, actions: &[Action]) -> Vec<Result<(), Refused>> {
        let Some(access) = self.access().filter(|_| !caller.name.is_empty()) else {
            let mut results = Vec::with_capacity(actions.len());
            for action in actions {
                results.push(self.authorize(caller, action).await);
            }
            return results;
        };
        let needed: Vec<Vec<Permission>> = actions.iter().map(|action| needed(caller, action)).collect();
        let flat: Vec<Permission> = needed.iter().flatten().cloned().collect();
        let mut answers = access.ask_all(caller, &flat).await.into_iter();
        let mut results = Vec::with_capacity(actions.len());
        for (action, permissions) in actions.iter().zip(needed) {
            let mut result = Ok(());
            for (permission, answer) in permissions.into_iter().zip(answers.by_ref()) {
                let allowed = answer.and_then(|allowed| {
                    if allowed { Ok(()) } else { Err(Refused::Missing { user: caller.name.clone(), permission: Box::new(permission) }) }
                });
                result = result.and(allowed);
            }
            audit_denied(caller, action, &result);
            results.push(result);
        }
        results
    }

    /// Returns true if the caller may perform the action. For pages: they hide buttons for other actions. The answer
    /// may be some seconds old, so the action itself is authorized again.
    pub async fn may(&self, caller: &Caller, action: &Action) -> bool {
        self.denial(caller, action).await.is_none()
    }

    /// Returns why the caller may not do it; `None` if the caller may. For pages, as [`Auth::may`].
    pub async fn denial(&self, caller: &Caller, action: &Action) -> Option<Refused> {
        self.decide(caller, action, true).await.err()
    }

    /// Decides about an action. For a page, the answer may be some seconds old.
    async fn decide(&self, caller: &Caller, action: &Action, for_a_page: bool) -> Result<(), Refused> {
        let Some(access) = self.access() else {
            return if action.is_read() { Ok(()) } else { self.may_act(caller) };
        };
        if caller.name.is_empty() {
            return Err(Refused::Unknown("the request does not identify the caller".to_owned()));
        }
        for permission in needed(caller, action) {
            let allowed = if for_a_page {
                access.recall_one(caller, &permission, Instant::now()).await?
            } else if action.is_read() {
                access.recall(caller, &permission, Instant::now()).await?
            } else {
                access.ask(caller, &permission).await?
            };
            if !allowed {
                return Err(Refused::Missing { user: caller.name.clone(), permission: Box::new(permission) });
            }
        }
        Ok(())
    }

    fn access(&self) -> Option<&AccessReviews> {
        match &*self.0 {
            Method::Open { .. } => None,
            Method::Token { access, .. } | Method::Proxy { access, .. } => Some(access),
        }
    }

    /// Returns the namespaces that the caller may list. Lists, counts and streams contain nothing from other
    /// namespaces.
    ///
    /// # Errors
    /// [`Refused::Unavailable`] if the API server does not respond.
    pub async fn visible(&self, caller: &Caller) -> Result<Visible, Refused> {
        match self.access() {
            None => Ok(Visible::All),
            // A page that needs no caller.
            Some(_) if caller.name.is_empty() => Ok(Visible::default()),
            Some(access) => access.visible(caller, Instant::now()).await,
        }
    }

    /// Returns the namespaces that a list may contain, limited to the given one, if any.
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

/// Writes a line to the audit log if an action is denied.
fn audit_denied(caller: &Caller, action: &Action, result: &Result<(), Refused>) {
    if let (Err(refused), Some(audited)) = (result, action.audited()) {
        audited.denied(caller, refused.status().as_u16(), &refused.to_string());
    }
}

/// Returns the permissions that an action needs. If a decision is written with the caller's own token, the caller also
/// needs permission to write the status, as with kubectl.
fn needed(caller: &Caller, action: &Action) -> Vec<Permission> {
    let permission = action.permission();
    let decides = matches!(action, Action::Decide { .. } | Action::RollBack { .. });
    let status = (decides && caller.token.is_some()).then(|| Permission { verb: "patch", ..permission.clone() }.on("status"));
    std::iter::once(permission).chain(status).collect()
}

/// Returns the caller with the identity of a valid token.
fn with(checked: &Checked, token: BearerToken, caller: Caller) -> Caller {
    let identity = checked.identity.clone();
    Caller {
        name: identity.name,
        uid: identity.uid,
        groups: identity.groups,
        extra: identity.extra,
        token: Some(token).filter(|_| checked.for_api_server),
        ..caller
    }
}

fn no_sessions() -> Refused {
    Refused::Forbidden("there are no sessions in this mode of authentication".to_owned())
}
