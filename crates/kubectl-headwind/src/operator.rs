//! Calls to Headwind's API through the proxy of the API server.
//!
//! The API server removes the header `Authorization` before it forwards a request. The token of the user is therefore
//! sent in `Headwind-Authorization` too.

use std::fmt::Write as _;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;

use crate::connect::Connection;
use crate::failure::{self, Failure};

const PROXIED: HeaderName = HeaderName::from_static("headwind-authorization");

/// Returns a text as a part of a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = if plain(byte) { write!(out, "{}", char::from(byte)) } else { write!(out, "%{byte:02X}") };
        out
    })
}

/// Calls Headwind's API and returns the JSON of its response.
pub(crate) async fn call(connection: &Connection, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let global = connection.global();
    if global.impersonate.is_some() || !global.impersonate_groups.is_empty() {
        return Err(Failure::Usage("Headwind identifies you by your token, so --as has no effect on this command; use --token".to_owned()));
    }
    let (namespace, service) = (connection.headwind_namespace(), &global.headwind_service);
    let uri = format!("/api/v1/namespaces/{}/services/{service}/proxy{path}", escaped(namespace));
    let mut request = Request::builder().method(method).uri(&uri).header(CONTENT_TYPE, "application/json");
    let token = connection.token().await?;
    if let Some(token) = &token {
        let mut token = token.clone();
        token.set_sensitive(true);
        request = request.header(PROXIED, token);
    }
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = request.body(Body::from(body)).map_err(|error| Failure::Usage(format!("{service:?} is not a Service: {error}")))?;
    let response = connection.client.send(request).await?;
    let (head, body) = response.into_parts();
    let cut = |error: kube::Error| Failure::Unreachable(format!("the response of Headwind is incomplete: {error}"));
    let body = body.collect().await.map_err(cut)?.to_bytes();
    if head.status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Failure::Other(format!("the response is not Headwind's: {error}")));
    }
    let is_problem = head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
    if is_problem {
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        return Err(of_problem(head.status, problem["detail"].as_str().unwrap_or_default(), token.is_some()));
    }
    let status: Status = serde_json::from_slice(&body).unwrap_or_default();
    let message = if status.message.is_empty() { String::from_utf8_lossy(&body).into_owned() } else { status.message.clone() };
    Err(match head.status.as_u16() {
        404 => Failure::NotFound(format!("there is no Service {service} in namespace {namespace}; see --headwind-namespace: {message}")),
        403 => Failure::Forbidden(format!("{message}; the command needs the ClusterRole headwind-plugin in namespace {namespace}")),
        502..=504 => Failure::Unreachable(format!("Headwind does not answer in namespace {namespace}: {message}")),
        _ => failure::of_status(&Status { code: head.status.as_u16(), message, ..Status::default() }),
    })
}

/// Returns the failure for an error of Headwind's API.
fn of_problem(status: StatusCode, detail: &str, has_token: bool) -> Failure {
    let detail = detail.to_owned();
    match status.as_u16() {
        401 if !has_token => Failure::Forbidden(
            "Headwind identifies callers by a token, and your kubeconfig has none; use --token, for example with the output of \
             `kubectl create token`"
                .to_owned(),
        ),
        401 | 403 => Failure::Forbidden(detail),
        404 => Failure::NotFound(detail),
        409 => Failure::Conflict(detail),
        422 => Failure::Usage(detail),
        421 => Failure::Other(
            "Headwind does not know the name of the API server; add it to HEADWIND_ALLOWED_HOSTS (not needed in the mode token)".to_owned(),
        ),
        429 | 500..=599 => Failure::Unreachable(detail),
        _ => Failure::Other(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        assert_eq!(escaped("a/b?c=ü"), "a%2Fb%3Fc%3D%C3%BC");
        assert_eq!(escaped("web-1.2_3~"), "web-1.2_3~");
    }
}
