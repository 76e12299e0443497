//! A condition written by Kubernetes' own controllers, with only the fields that the rules use.

use serde::{Deserialize, Serialize};

/// One condition of a Deployment or a pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SlimCondition {
    pub(crate) r#type: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}
