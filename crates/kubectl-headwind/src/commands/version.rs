//! `version`: of the plugin and of Headwind.

use http::Method;
use serde_json::{Value, json};

use crate::cli::{Format, Global};
use crate::connect::Connection;
use crate::failure::Failure;
use crate::operator::call;
use crate::output::{self, clean};

const OWN: &str = env!("CARGO_PKG_VERSION");

fn print(global: &Global, server: Option<&str>) -> Result<(), Failure> {
    if let Some(format @ (Format::Json | Format::Yaml)) = global.output {
        return output::value(&json!({"plugin": OWN, "headwind": server}), format);
    }
    output::line(&format!("kubectl-headwind {OWN}"))?;
    server.map_or(Ok(()), |server| output::line(&format!("headwind {}", clean(server))))
}

/// Prints the version of the plugin.
pub(super) fn of_the_plugin(global: &Global) -> Result<(), Failure> {
    print(global, None)
}

/// Prints both versions. Fails if Headwind does not answer, after the plugin's own version.
pub(super) async fn of_both(connection: &Connection) -> Result<(), Failure> {
    let server = call(connection, Method::GET, "/openapi.json", None).await;
    let version = server.as_ref().ok().and_then(|document| document["info"]["version"].as_str());
    print(connection.global(), version)?;
    server.map(|_: Value| ())
}
