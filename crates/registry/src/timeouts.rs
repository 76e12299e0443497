//! The timeouts of queries.

use std::time::Duration;

/// The timeouts.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Timeout for a connection.
    pub connect: Duration,
    /// Timeout for one request with its whole response.
    pub request: Duration,
    /// Timeout for a list of tags with all its pages.
    pub list: Duration,
    /// Timeout for the whole index of a chart repository. 50 MB in this time is a slow connection; Flux stops after a
    /// minute.
    pub index: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            list: Duration::from_mins(1),
            index: Duration::from_mins(2),
        }
    }
}
