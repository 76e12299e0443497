//! The test of a notification channel: sends a message that says that it is a test, with the settings in effect.

use std::collections::BTreeSet;
use std::time::Duration;

use super::audit::Action;
use super::caller::Caller;
use super::commands::to_the_end;
use super::handle::Handle;
use crate::report::notify::{self, Channel};

/// Maximum number of concurrent tests.
pub(crate) const TESTS: usize = 4;
/// Timeout of a test. A person waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A test that failed.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The channel is off.
    #[error("the channel {0} is not enabled; set {switch} to true and save", switch = .0.switch())]
    NotEnabled(Channel),
    /// Too many tests are in progress.
    #[error("too many tests are in progress; try again")]
    TooMany,
    /// The receiver did not accept the message. It never contains a secret.
    #[error("{0}")]
    Failed(String),
}

impl Handle {
    /// Returns the channels that are enabled.
    pub fn enabled_channels(&self) -> BTreeSet<Channel> {
        let settings = self.notifications.borrow();
        Channel::ALL.iter().copied().filter(|channel| settings.common(*channel).is_some()).collect()
    }

    /// Sends a test message to a channel, and returns what the receiver answered. Writes the audit line. Runs to its end
    /// even if the caller does not wait for it.
    ///
    /// # Errors
    /// See [`TestError`].
    pub async fn test_channel(&self, caller: Caller, channel: Channel) -> Result<String, TestError> {
        let handle = self.clone();
        to_the_end(async move {
            let tested = handle.test(channel).await;
            let about = Action::on_channel("test", &handle.own_namespace, channel.as_str());
            about.ended(&caller, tested.as_ref().err(), tested.as_deref().unwrap_or_default());
            tested
        })
        .await
        .unwrap_or_else(|failure| Err(TestError::Failed(failure)))
    }

    async fn test(&self, channel: Channel) -> Result<String, TestError> {
        let settings = self.notifications.borrow().clone();
        if settings.common(channel).is_none() {
            return Err(TestError::NotEnabled(channel));
        }
        let Ok(_turn) = self.tests.try_acquire() else { return Err(TestError::TooMany) };
        let late = |_| TestError::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, notify::test(&settings, channel)).await.map_err(late)?.map_err(TestError::Failed)
    }
}
