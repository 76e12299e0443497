//! `diff`: the field that each update would change.

use std::fmt::Write as _;

use headwind_core::workload::Kind;
use headwind_k8s::kinds::{ForKind, SlimWorkload, for_kind};
use headwind_k8s::update_request::UpdateRequest;
use kube::{Api, Client, ResourceExt as _};

use super::requests;
use crate::connect::Connection;
use crate::failure::{Failure, summed};
use crate::output::{self, clean};
use crate::table::Paint;
use crate::target::{Named, named};

/// Shows what the named requests would change, or all open ones. A failure does not stop the others.
pub(super) async fn diff(connection: &Connection, words: &[String]) -> Result<(), Failure> {
    let names: Vec<Named> = words.iter().map(|word| named(word)).collect::<Result<_, _>>()?;
    let open = |mut its: Vec<UpdateRequest>| {
        its.retain(|request| request.phase().is_open());
        its
    };
    let (all, mut failed) = if names.is_empty() {
        (open(requests::read(connection, &[]).await?), Vec::new())
    } else {
        super::named::read(connection, words, &names, |_, _, its| Ok(open(its))).await?
    };
    if all.is_empty() && failed.is_empty() {
        output::remark("No open updates.");
    }
    let colors = output::has_colors(connection.global());
    for request in &all {
        let text = match current(&connection.client, request).await {
            Ok(now) => text(request, now.as_deref(), colors),
            // The viewers of UpdateRequests need no permission for workloads.
            Err(Failure::Forbidden(_)) => {
                let remark = "  the current image is that of the UpdateRequest, because you may not read the workload\n";
                text(request, Some(request.spec.current_image.as_str()), colors) + remark
            }
            Err(failure) => {
                output::complain(&format!("{} in namespace {}: {failure}", request.name_any(), request.namespace().unwrap_or_default()));
                failed.push(failure);
                continue;
            }
        };
        output::raw(text.as_bytes())?;
    }
    summed(failed, "shown")
}

/// Returns the image that is in the workload now. For a release, this needs its source, so the image of the request is
/// used.
async fn current(client: &Client, request: &UpdateRequest) -> Result<Option<String>, Failure> {
    struct Read<'a>(&'a Client, &'a UpdateRequest);
    impl<'a> ForKind for Read<'a> {
        type Output = std::pin::Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + 'a>>;

        fn run<K: SlimWorkload>(self) -> Self::Output {
            let Read(client, request) = self;
            Box::pin(async move {
                let api: Api<K> = Api::namespaced(client.clone(), &request.namespace().unwrap_or_default());
                let found = api.get_opt(&request.spec.target_ref.name).await?.and_then(|object| object.read());
                let container = request.container().unwrap_or_default();
                Ok(found.and_then(|workload| Some(workload.container(container)?.image.clone())))
            })
        }
    }
    let kind = request.spec.target_ref.kind.0;
    if kind == Kind::HelmRelease {
        return Ok(Some(request.spec.current_image.clone()));
    }
    for_kind(kind, 0, Read(client, request)).await
}

fn text(request: &UpdateRequest, now: Option<&str>, colors: bool) -> String {
    let spec = &request.spec;
    let painted = |line: String, paint: Paint| if colors { paint.on(&line) } else { line };
    let field = if spec.target_ref.kind.0 == Kind::HelmRelease { "chart" } else { "image" };
    let mut out = clean(&format!("{} {}/{}", spec.target_ref.kind.0, request.namespace().unwrap_or_default(), spec.target_ref.name));
    out.push_str(&clean(&format!(", container {} ({}, {})", request.container().unwrap_or_default(), request.name_any(), request.phase())));
    out.push('\n');
    match now {
        None => out.push_str("  the workload or its container no longer exists\n"),
        Some(now) if now == spec.new_image => {
            let _ = writeln!(out, "  {field}: {}", clean(now));
        }
        Some(now) => {
            for (line, paint) in
                [(format!("- {field}: {}", clean(now)), Paint::Red), (format!("+ {field}: {}", clean(&spec.new_image)), Paint::Green)]
            {
                let _ = writeln!(out, "{}", painted(line, paint));
            }
            if now != spec.current_image {
                let _ = writeln!(out, "  the image was {} when the update was proposed", clean(&spec.current_image));
            }
        }
    }
    out
}
