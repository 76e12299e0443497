//! A fake receiver of notifications: the webhook of a chat, or of another program.
//!
//! It gives the configured answer, and keeps every body that it answered with success.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::Value;

use crate::fake_server::{Fault, Seen, Site};

/// The receiver. It ends with the value.
pub struct Receiver(Site);

impl Receiver {
    /// Starts one that answers with that status and body.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(status: u16, body: &'static str) -> anyhow::Result<Self> {
        let status = StatusCode::from_u16(status)?;
        Ok(Self(Site::start(move |_, _| async move { (status, body).into_response() }).await?))
    }

    /// Its URL, with a path that is a secret.
    pub fn url(&self) -> String {
        format!("http://{}/hooks/{SECRET_PATH}", self.0.host())
    }

    /// Everything that came, the oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.log()
    }

    /// The bodies that were accepted, as JSON, the oldest first.
    pub fn accepted(&self) -> Vec<Value> {
        let accepted = self.seen().into_iter().filter(|seen| (200..300).contains(&seen.status));
        accepted.map(|seen| serde_json::from_str(&seen.body).unwrap_or(Value::Null)).collect()
    }

    /// Sets bad behaviour.
    pub fn misbehave(&self, fault: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        self.0.misbehave(fault);
    }

    /// Ends its misbehavior.
    pub fn behave(&self) {
        self.0.behave();
    }
}

/// A part of the path of every receiver: no log may have it.
pub const SECRET_PATH: &str = "canary-path-of-a-hook";
