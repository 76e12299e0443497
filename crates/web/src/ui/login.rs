//! `/login` and `/logout`: the session of a browser, in the mode that has one.
//!
//! A visitor without a session gets the form in place of the page, with the status 401. The login leads to that page.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::Ui;
use super::fault::{Fault, NOT_RESPONDING};
use super::page::bare;
use super::parts::copy::copyable;
use super::parts::note::{Tone, note};
use super::permissions;
use super::query::pairs;
use crate::auth::Refused;
use crate::server::Ends;

/// The page that opens after the login.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// Returns the address if it is a page of this origin, else the dashboard.
///
/// Browsers take a backslash for a slash, drop tabs and line breaks, and read `//host` as another origin.
pub(super) fn own(next: &str) -> &str {
    let printable = next.bytes().all(|byte| byte.is_ascii_graphic());
    let path = next.strip_prefix('/').filter(|rest| !rest.starts_with(['/', '\\']));
    let page = !["/login", "/logout", "/events", "/assets/"].iter().any(|other| next.starts_with(other));
    if printable && path.is_some() && page && !next.contains('\\') && next.len() <= 1024 { next } else { "/" }
}

/// `GET /login?next=`
pub(super) async fn login(
    State(ui): State<Arc<Ui>>,
    Query(Next { next }): Query<Next>,
    headers: HeaderMap,
    ends: Option<Extension<Ends>>,
) -> Response {
    if permissions::has_login(&ui) {
        return form(&next, None).into_response();
    }
    // In a mode without a login, the dashboard would send a caller that is not known back here.
    match permissions::is_known(&ui, &headers, ends.map(|Extension(ends)| ends.peer)).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(refused) => Fault::from(refused).bare(&headers),
    }
}

/// The problem of a login that failed.
fn title(refused: &Refused) -> &'static str {
    match refused {
        Refused::Unavailable(_) => NOT_RESPONDING,
        Refused::TooMany(_) => "Too many attempts",
        Refused::Unknown(_) | Refused::Forbidden(_) | Refused::Missing { .. } => "Kubernetes did not accept the token",
    }
}

/// The page with the form.
pub(super) fn form(next: &str, refused: Option<&Refused>) -> Markup {
    let invalid = refused.filter(|refused| !matches!(refused, Refused::Unavailable(_) | Refused::TooMany(_))).map(|_| "true");
    let body = html! {
        form method="post" action="/login" class="card p-6! space-y-4" {
            h1 { "Sign in" }
            @if let Some(refused) = refused { (note(Tone::Bad, "octagon-x", &html! { (title(refused)) }, Some(html! { (refused.to_string()) }))) }
            label class="block" {
                span class="label-text" { "Kubernetes token" }
                input class="input w-full font-mono" type="password" name="token" autocomplete="off" required autofocus aria-describedby="token-hint" aria-invalid=[invalid];
            }
            p class="text-muted text-sm" id="token-hint" { "The cluster checks the token (TokenReview). Its RBAC rules say what you can see and approve." }
            input type="hidden" name="next" value=(own(next));
            button class="btn btn-primary w-full" { "Sign in" }
            details class="more" { summary { "How to get a token" } (copyable("kubectl create token NAME -n NAMESPACE --duration 8h", "Command for a token")) }
        }
        p class="mt-4 text-center text-muted text-sm" { "The session ends with the token, after 8 hours at most." }
    };
    bare("Sign in", &body)
}

/// `POST /login`
pub(super) async fn sign_in(State(ui): State<Arc<Ui>>, headers: HeaderMap, ends: Option<Extension<Ends>>, body: String) -> Response {
    let field = |wanted: &str| pairs(&body).find(|(name, _)| name == wanted).map(|(_, value)| value).unwrap_or_default();
    let (token, next) = (field("token"), field("next"));
    match permissions::log_in(&ui, &token, &headers, ends.map(|Extension(ends)| ends.peer)).await {
        Ok(cookie) => {
            let place = HeaderValue::from_str(own(&next)).unwrap_or(HeaderValue::from_static("/"));
            (StatusCode::SEE_OTHER, [(LOCATION, place), (SET_COOKIE, cookie)]).into_response()
        }
        Err(refused) => (refused.status(), form(&next, Some(&refused))).into_response(),
    }
}

/// `POST /logout`
pub(super) async fn sign_out(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static("/login"))]).into_response();
    response.headers_mut().extend(permissions::log_out(&ui, &headers).map(|cookie| (SET_COOKIE, cookie)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/updates?phase=Pending", "/updates?phase=Pending")]
    #[case("/", "/")]
    #[case("", "/")]
    #[case("//evil.example", "/")]
    #[case("/\\evil.example", "/")]
    #[case("\\\\evil.example", "/")]
    #[case("/\t/evil.example", "/")]
    #[case("/a\r\nset-cookie:x", "/")]
    #[case("https://evil.example", "/")]
    #[case("javascript:alert(1)", "/")]
    #[case("/login?next=/", "/")]
    #[case("/é", "/")]
    fn only_pages_of_this_origin(#[case] next: &str, #[case] expected: &str) {
        assert_eq!(own(next), expected);
    }

    #[test]
    fn the_form_says_what_failed() {
        let why = "the reason".to_owned();
        for (refused, title, is_invalid) in [
            (Refused::Unknown(why.clone()), "Kubernetes did not accept the token", true),
            (Refused::TooMany(why.clone()), "Too many attempts", false),
            (Refused::Unavailable(why), "Kubernetes is not responding", false),
        ] {
            let page = form("/", Some(&refused)).into_string();
            assert!(page.contains(&format!(">{title}</p>")) && page.contains("the reason"), "{page}");
            assert_eq!(page.contains("aria-invalid"), is_invalid, "{page}");
            assert_eq!(page.matches("Kubernetes did not accept").count(), usize::from(is_invalid), "{page}");
        }
    }
}
