//! Faults in the variables of OpenTelemetry.

/// A variable with a value that cannot be used. It does not quote the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct BadVariable {
    /// The variable.
    pub name: String,
    /// The problem, and the expected form.
    pub problem: &'static str,
}
