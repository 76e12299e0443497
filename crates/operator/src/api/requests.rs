//! Queries about requests: lists and single ones.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_k8s::update_request::UpdateRequest;

use super::commands::ActError;
use super::handle::Handle;
use crate::cluster::Failure;
use crate::cluster::object::is_object_name;
use crate::observe::requests::{Filter, Listing};

/// Maximum number of requests that one list reads at the same time.
const READ_AT_ONCE: usize = 8;

/// A page of the matching requests.
#[derive(Debug, Clone)]
pub struct Page {
    /// The requests, sorted by namespace and name.
    pub items: Vec<UpdateRequest>,
    /// Namespace and name of the last one, if there are more pages.
    pub more_after: Option<(String, String)>,
    /// The number of requests after this page.
    pub remaining: usize,
}

impl Handle {
    /// Returns the matching requests, at most `limit` of them, after that namespace and name. Finished ones are read
    /// from the API server. A request that was deleted meanwhile is skipped.
    ///
    /// # Errors
    /// [`ActError::Forbidden`] and [`ActError::Unavailable`] if a request could not be read.
    pub async fn list(&self, filter: &Filter, after: Option<&(String, String)>, limit: usize) -> Result<Page, ActError> {
        let Listing { names, remaining } = self.state.requests.read().page(filter, after, limit);
        let more_after = names.last().filter(|_| remaining > 0).cloned();
        let read = stream::iter(names).map(|(namespace, name)| async move { self.whole(&namespace, &name).await });
        let items: Vec<Option<UpdateRequest>> = read.buffered(READ_AT_ONCE).try_collect().await?;
        // The workload of a request that changed meanwhile may be another one.
        let items = items.into_iter().flatten().filter(|request| filter.takes(request)).collect();
        Ok(Page { items, more_after, remaining })
    }

    /// Returns a request: from memory while it is open, else from the API server.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn get(&self, namespace: &str, name: &str) -> Result<UpdateRequest, ActError> {
        let not_found = || ActError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
        if !self.serves(namespace) || !is_object_name(namespace) || !is_object_name(name) {
            return Err(not_found());
        }
        self.whole(namespace, name).await?.ok_or_else(not_found)
    }

    async fn whole(&self, namespace: &str, name: &str) -> Result<Option<UpdateRequest>, Failure> {
        if let Some(open) = self.state.requests.read().open(namespace, name) {
            return Ok(Some((*open).clone()));
        }
        let _one_of_few = self.reads.acquire().await;
        let mut read = self.cluster.request(namespace, name).await?;
        if let Some(read) = &mut read {
            read.metadata.managed_fields = None;
            self.state.record(read.clone());
        }
        Ok(read)
    }
}
