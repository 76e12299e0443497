//! The settings for polling and for look-ups of charts. They may change while Headwind runs.

use std::time::Duration;

use clap::ArgAction;
use clap::builder::BoolishValueParser;

/// The flags and variables.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PollingArgs {
    /// Poll registries for workloads with event-source polling or both
    #[arg(long, env = "HEADWIND_POLLING_ENABLED", default_value_t = false, action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    polling_enabled: bool,

    /// Default polling interval, in seconds. The annotation polling-interval overrides it for a workload
    #[arg(long, env = "HEADWIND_POLLING_INTERVAL", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    polling_interval: u32,

    /// Minimum polling-interval that a workload may set, in seconds. Headwind raises a shorter one to this value. If
    /// `HEADWIND_POLLING_INTERVAL` is shorter, that value is the minimum
    #[arg(long, env = "HEADWIND_POLLING_MIN_INTERVAL", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    polling_min_interval: u32,

    /// Look up the chart versions of HelmReleases at start and when a release is new or changed, without waiting for a poll
    #[arg(long, env = "HEADWIND_HELM_AUTO_DISCOVERY", default_value_t = true, action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    helm_auto_discovery: bool,
}

impl PollingArgs {
    /// Returns the settings for the operator.
    pub(crate) fn read(&self) -> headwind_operator::Polling {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        headwind_operator::Polling {
            interval: self.polling_enabled.then(|| seconds(self.polling_interval)),
            min_interval: seconds(self.polling_min_interval),
            discovery: self.helm_auto_discovery,
        }
    }
}
