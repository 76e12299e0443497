//! The source of a version.

/// The trigger of an update (`spec.trigger` of an UpdateRequest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// A registry's webhook.
    Webhook,
    /// Headwind's own scan of a registry.
    Polling,
    /// A person: a rollback, or "update now".
    Manual,
}

impl Trigger {
    /// Returns the value in the UpdateRequest and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Webhook => "webhook",
            Trigger::Polling => "polling",
            Trigger::Manual => "manual",
        }
    }
}
