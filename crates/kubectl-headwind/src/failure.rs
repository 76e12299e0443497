//! Failures, with a message for the person at the terminal and an exit code for scripts.

use std::process::ExitCode;

use kube::core::Status;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// The user may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// It is not possible now.
    #[error("{0}")]
    Conflict(String),
    /// Kubernetes or Headwind does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// Any other failure.
    #[error("{0}")]
    Other(String),
    /// The output cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// Returns the exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Other(_) | Failure::Output(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NotFound(_) => 3,
            Failure::Forbidden(_) => 4,
            Failure::Conflict(_) => 5,
            Failure::Unreachable(_) => 6,
        })
    }
}

impl Failure {
    /// Returns the same kind of failure with another message.
    pub(crate) fn with(self, message: String) -> Self {
        match self {
            Failure::Usage(_) => Failure::Usage(message),
            Failure::NotFound(_) => Failure::NotFound(message),
            Failure::Forbidden(_) => Failure::Forbidden(message),
            Failure::Conflict(_) => Failure::Conflict(message),
            Failure::Unreachable(_) => Failure::Unreachable(message),
            Failure::Other(_) => Failure::Other(message),
            Failure::Output(error) => Failure::Output(error),
        }
    }
}

/// Returns the first of the failures, which sets the exit code, with the number of them. Each is shown already.
pub(crate) fn summed(failed: Vec<Failure>, done: &str) -> Result<(), Failure> {
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(()),
        Some(failure) => Err(failure.with(format!("{count} UpdateRequest{} not {done}", if count == 1 { "" } else { "s" }))),
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => of_status(&status),
            kube::Error::Service(error) => Failure::Unreachable(format!("the API server does not answer: {}", chain(&*error))),
            kube::Error::HyperError(error) => Failure::Unreachable(format!("the API server does not answer: {}", chain(&error))),
            kube::Error::Auth(error) => Failure::Forbidden(format!("the credentials of the kubeconfig cannot be used: {}", chain(&error))),
            other => Failure::Other(chain(&other)),
        }
    }
}

/// Returns the failure for a response of the API server.
pub(crate) fn of_status(status: &Status) -> Failure {
    let message = reason(&status.message);
    match status.code {
        401 => Failure::Forbidden("the API server does not accept the credentials of the kubeconfig; log in again".to_owned()),
        403 => Failure::Forbidden(message),
        404 => Failure::NotFound(message),
        409 => Failure::Conflict(message),
        // Admission policies without a reason of their own.
        422 if status.message.contains("denied request") => Failure::Forbidden(message),
        429 | 500..=599 => Failure::Unreachable(format!("the API server answered {}: {message}", status.code)),
        _ => Failure::Other(message),
    }
}

/// Returns the sentence of an admission policy without the names of the policy and its binding.
fn reason(message: &str) -> String {
    let (policy, words) = message.rsplit_once("denied request: ").unwrap_or(("", message));
    if policy.contains("ValidatingAdmissionPolicy") { words.to_owned() } else { message.to_owned() }
}

/// Returns the messages of an error and its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str) -> Failure {
        of_status(&Status { code, message: message.to_owned(), ..Status::default() })
    }

    #[test]
    fn the_first_failure_sets_the_kind() {
        assert!(summed(Vec::new(), "approved").is_ok());
        let failed = vec![Failure::NotFound("a".to_owned()), Failure::Conflict("b".to_owned())];
        assert!(matches!(summed(failed, "approved"), Err(Failure::NotFound(text)) if text == "2 UpdateRequests not approved"));
    }

    #[test]
    fn denials_read_well() {
        let denied = "updaterequests.headwind.sh \"r\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: \
                      changing the phase of an UpdateRequest needs the verb approve on updaterequests.headwind.sh";
        let words = "changing the phase of an UpdateRequest needs the verb approve on updaterequests.headwind.sh";
        assert!(matches!(of(403, denied), Failure::Forbidden(text) if text == words));
        assert!(matches!(of(422, denied), Failure::Forbidden(text) if text == words));
        assert!(matches!(of(403, "User \"eve\" cannot list"), Failure::Forbidden(text) if text == "User \"eve\" cannot list"));
        assert!(matches!(of(401, ""), Failure::Forbidden(_)));
        assert!(matches!(of(503, "x"), Failure::Unreachable(_)));
    }
}
