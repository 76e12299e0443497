//! Shapes of the API's answers, for the answers themselves and for the OpenAPI document.

use std::borrow::Cow;
use std::sync::Arc;

use headwind_k8s::manifest;
use headwind_k8s::update_request::UpdateRequest;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An UpdateRequest, as it stands in Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Update(pub(crate) Arc<UpdateRequest>);

impl Serialize for Update {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialSchema for Update {
    /// The schema of the CRD, so that the two cannot differ.
    fn schema() -> RefOr<Schema> {
        let crd = manifest::crd();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
            .and_then(|schema| serde_json::from_value(schema.clone()).ok())
            .unwrap_or_else(|| RefOr::T(Schema::Object(ObjectBuilder::new().build())))
    }
}

impl ToSchema for Update {
    fn name() -> Cow<'static, str> {
        "UpdateRequest".into()
    }
}

/// A page of requests, in the shape of a Kubernetes list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateList {
    /// `headwind.sh/v1alpha1`
    pub(crate) api_version: &'static str,
    /// `UpdateRequestList`
    pub(crate) kind: &'static str,
    pub(crate) metadata: ListMeta,
    /// In the order of namespace and name.
    pub(crate) items: Vec<Update>,
}

/// Where the next page is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta {
    /// Send it back as `continue` for the next page; empty on the last one.
    pub(crate) r#continue: String,
    /// How many requests the further pages have.
    pub(crate) remaining_item_count: usize,
}

/// What may come with an action.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Who the caller says it acts for: noted, but never taken for who it is.
    pub(crate) approver: Option<String>,
    /// Why, for those who read it later.
    pub(crate) reason: Option<String>,
}

/// Several requests at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    pub(crate) updates: Vec<Name>,
    /// Who the caller says it acts for: noted, but never taken for who it is.
    pub(crate) approver: Option<String>,
    /// Why, for all of them.
    pub(crate) reason: Option<String>,
}

/// Which request.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkResults {
    /// In the order of the question.
    pub(crate) results: Vec<BulkResult>,
}

/// What became of one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkResult {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The HTTP status that the action would have had alone.
    pub(crate) status: u16,
    /// Where the request stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<&'static str>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}
