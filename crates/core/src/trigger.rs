//! How Headwind learned of a version.

/// What made Headwind look at a workload (`spec.trigger` of an UpdateRequest).
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
    /// Returns the word that the UpdateRequest and the metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Webhook => "webhook",
            Trigger::Polling => "polling",
            Trigger::Manual => "manual",
        }
    }
}
