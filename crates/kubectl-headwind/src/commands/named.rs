//! The UpdateRequests that the names on the command line stand for.

use headwind_core::workload::Kind;
use headwind_k8s::update_request::UpdateRequest;

use super::{request, requests};
use crate::connect::Connection;
use crate::failure::Failure;
use crate::output;
use crate::target::{Named, hinted};

/// Returns the requests of the names, and the failures of the names that have none. These failures are shown; that of a
/// single name is returned. `words` are the names as they were written. `of_workload` selects among the requests of a
/// workload.
pub(super) async fn read(
    connection: &Connection,
    words: &[String],
    names: &[Named],
    of_workload: impl Fn(Kind, &str, Vec<UpdateRequest>) -> Result<Vec<UpdateRequest>, Failure>,
) -> Result<(Vec<UpdateRequest>, Vec<Failure>), Failure> {
    connection.namespace()?;
    let (mut found, mut failed, mut listed) = (Vec::new(), Vec::new(), None);
    for (number, name) in names.iter().enumerate() {
        let its = match name {
            Named::Request(name) => request::read(connection, name).await.map(|request| vec![request]),
            Named::Workload(kind, name) => all_of(connection, *kind, name, &mut listed).await.and_then(|all| of_workload(*kind, name, all)),
        };
        match its.map_err(|failure| hinted(failure, &words[number..])) {
            Ok(its) => found.extend(its),
            Err(failure) if names.len() == 1 => return Err(failure),
            Err(failure) => {
                output::complain(&failure.to_string());
                failed.push(failure);
            }
        }
    }
    Ok((found, failed))
}

/// Returns the requests of a workload. `listed` keeps those of the namespace for the next workload.
async fn all_of(
    connection: &Connection,
    kind: Kind,
    name: &str,
    listed: &mut Option<Vec<UpdateRequest>>,
) -> Result<Vec<UpdateRequest>, Failure> {
    if listed.is_none() {
        *listed = Some(requests::read(connection, &[]).await?);
    }
    let is_its = |request: &&UpdateRequest| request.spec.target_ref.kind.0 == kind && request.spec.target_ref.name == name;
    Ok(listed.iter().flatten().filter(is_its).cloned().collect())
}
