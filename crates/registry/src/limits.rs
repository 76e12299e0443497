//! Time limits of queries.

use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Making a connection.
    pub connect: Duration,
    /// One request with its whole answer.
    pub request: Duration,
    /// A list of tags, with all its pages.
    pub list: Duration,
    /// The index of a chart repository, whole. 50 MB in this time are a slow line; Flux gives up
    /// after a minute.
    pub index: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            list: Duration::from_mins(1),
            index: Duration::from_mins(2),
        }
    }
}
