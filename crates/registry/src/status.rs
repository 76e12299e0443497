//! The meaning of a response's status.
//!
//! Messages contain Headwind's own words and the codes of the specification. Free text of a registry could be the
//! credential itself, echoed back.

use reqwest::{Method, StatusCode};

use crate::credential::{Credential, Proof};
use crate::error::{Class, Error};
use crate::host::Host;
use crate::question::Question;
use crate::send::Answer;

/// The error codes of a registry that Headwind repeats (distribution-spec "Error Codes", and those of token issuers).
const CODES: &[&str] = &[
    "UNAUTHORIZED",
    "DENIED",
    "NAME_UNKNOWN",
    "NAME_INVALID",
    "MANIFEST_UNKNOWN",
    "MANIFEST_INVALID",
    "TOOMANYREQUESTS",
    "UNSUPPORTED",
    "PAGINATION_NUMBER_INVALID",
];

pub(crate) fn denied(host: &Host, message: &str) -> Error {
    Error::new(Class::Denied, &host.name, message)
}

/// Returns the error for a response that does not answer the query. `credential` is the one that was sent.
pub(crate) fn classify(host: &Host, answer: &Answer, question: &Question<'_>, credential: Option<&Credential>) -> Result<(), Error> {
    let status = answer.status;
    let code = code(&answer.body).map(|code| format!(": {code}")).unwrap_or_default();
    let error = |class, what: &str, hint: &str| {
        let error = Error::new(class, &host.name, format!("{what} ({}{code}){hint}", status.as_u16()));
        Err(error.reported_by(host.elsewhere(&answer.url)))
    };
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_MODIFIED if question.etag.is_some() => Ok(()),
        // HEAD is not supported; GET may be.
        StatusCode::METHOD_NOT_ALLOWED if question.method == Method::HEAD => Ok(()),
        StatusCode::NOT_FOUND => error(Class::NotFound, "it does not exist", ""),
        StatusCode::FORBIDDEN => match credential.map(Credential::proof) {
            None => error(Class::Denied, "it denied access without a credential", ""),
            Some(Proof::Login { .. }) => {
                error(Class::Denied, "it denied access with this credential", "; the password lacks the permission or has expired")
            }
            Some(Proof::Identity(_) | Proof::Token(_) | Proof::Cloud(_)) => {
                error(Class::Denied, "it denied access with this credential", "")
            }
        },
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => error(Class::Denied, "the proxy in front of it rejected the login", ""),
        // HTTPS servers answer this to a plain HTTP request.
        StatusCode::BAD_REQUEST if host.plain_http => {
            let hint = "; the request used plain HTTP; if it uses HTTPS, set plainHttp: false for it in HEADWIND_REGISTRY_CONFIG";
            error(Class::Broken, "it rejected the request", hint)
        }
        _ => error(Class::Broken, "it returned a response outside the specification", ""),
    }
}

/// Returns the error for a 401 that cannot be answered. `sent` is true if the credential was sent.
pub(crate) fn unauthorized(host: &Host, answer: &Answer, credential: Option<&Credential>, sent: bool) -> Error {
    let code = code(&answer.body).map(|code| format!(": {code}")).unwrap_or_default();
    let elsewhere = host.elsewhere(&answer.url);
    let what = match (credential, sent) {
        _ if elsewhere.is_some() => "it requires a credential, but a credential is sent only to its own host",
        (None, _) => "it requires a credential, and none is configured for it",
        (Some(_), true) => "it rejected the credential",
        (Some(_), false) => "it supports no known authentication scheme (Basic, Bearer), so the credential was not sent",
    };
    denied(host, &format!("{what} (401{code})")).reported_by(elsewhere)
}

/// Returns the first error code of a response that the specification defines.
fn code(body: &[u8]) -> Option<&'static str> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let stated = body.get("errors")?.get(0)?.get("code")?.as_str()?;
    CODES.iter().copied().find(|code| *code == stated)
}
