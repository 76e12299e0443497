//! Queries over HTTP, with limits on time and size. Redirects are not followed: they could lead anywhere.

use std::time::Duration;

use reqwest::{RequestBuilder, Url};

/// Timeout for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Timeout for a whole answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Maximum size of an answer, in bytes.
const SIZE: usize = 4 << 20;
/// Maximum length of what is shown of an error, in characters.
const SHOWN: usize = 200;

/// The client of all sources.
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new() -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("headwind/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| error.to_string())
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.0.post(url)
    }

    /// Sends a query and returns the text of the answer.
    ///
    /// # Errors
    /// A problem, for a person. The text contains neither the address nor the query.
    pub(super) async fn text(request: RequestBuilder) -> Result<String, String> {
        let mut response = request.send().await.map_err(words)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words)? {
            if body.len() + chunk.len() > SIZE {
                return Err(format!("the answer has more than {} MiB", SIZE >> 20));
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(body).map_err(|_| "the answer is not text".to_owned())?;
        if status.is_redirection() {
            return Err(format!("it redirects ({status}), and Headwind does not follow redirects"));
        }
        if status.is_success() { Ok(text) } else { Err(format!("it answered {status}: {}", cut(&text))) }
    }
}

fn words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER.as_secs());
    }
    let what = if error.is_connect() { "failed to connect" } else { "the connection was interrupted" };
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("{what}: {cause}")
}

/// Returns the beginning of a text that came from outside, in one line.
pub(super) fn cut(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect()
}
