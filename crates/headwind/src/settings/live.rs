//! The settings that change while Headwind runs: flag before variable before ConfigMap and Secret before default.
//!
//! The flags define them: an entry of the ConfigMap is parsed by the parser of its flag.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue};
use clap::{Args as _, Command, FromArgMatches as _};
use headwind_core::config::{Fault, Known, Problem, Store, Stored, Values, accept};
use headwind_operator::{Adopt, Polling, notify};
use headwind_web::ui::settings::{Origin, STORED, Setting};
use headwind_web::ui::source::MetricsSource;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::args::{self, Run};

/// Adopts the stored settings, and says what is in effect.
pub(crate) struct Live {
    /// Every setting of the process, as flags, variables and defaults have it.
    start: Vec<Setting>,
    /// The flags of the settings for polling and for the source of metrics, without variables.
    command: Command,
    /// The values of flags, variables and defaults for notifications.
    notifications: Values,
    /// The values that flags and variables fix.
    fixed: Values,
    /// The values of ConfigMap and Secret that are in effect.
    effective: Mutex<Values>,
    outlets: Outlets,
}

/// The receivers of changed settings.
struct Outlets {
    polling: watch::Sender<Polling>,
    metrics: watch::Sender<MetricsSource>,
    notifications: watch::Sender<Arc<notify::Settings>>,
    shown: watch::Sender<Arc<[Setting]>>,
}

/// The settings that the parts of the process follow.
pub(crate) struct Followed {
    /// The settings for polling.
    pub(crate) polling: watch::Receiver<Polling>,
    /// The source of the page Observability.
    pub(crate) metrics: watch::Receiver<MetricsSource>,
    /// The settings of notifications.
    pub(crate) notifications: watch::Receiver<Arc<notify::Settings>>,
    /// Every setting with its value and its origin.
    pub(crate) shown: watch::Receiver<Arc<[Setting]>>,
}

/// Returns the flags with a parser of their own, without variables.
pub(super) fn command() -> Command {
    let command = Command::new("settings").no_binary_name(true).disable_help_flag(true);
    let command = args::MetricsSourceArgs::augment_args(args::PollingArgs::augment_args(command));
    command.mut_args(|arg| arg.env(None::<&'static str>))
}

impl Live {
    /// Begins with flags, variables and defaults.
    ///
    /// # Errors
    /// Every flag or variable of the notifications that has an invalid value. One that is missing may be in the Secret.
    pub(crate) fn new(args: &Run) -> anyhow::Result<(Arc<Self>, Followed)> {
        let mut notifications: Values =
            notify::variables().filter_map(|one| Some((one.name.to_owned(), args.notifications.get(one.name)?.to_owned()))).collect();
        for (name, url) in [("HEADWIND_UI_URL", &args.ui_url), ("HEADWIND_API_URL", &args.api_url)] {
            notifications.extend(url.as_ref().map(|url| (name.to_owned(), url.to_string())));
        }
        let (settings, faults) = channels(|name| notifications.get(name).cloned());
        let bad: Vec<String> = faults.iter().filter(|fault| notifications.contains_key(&fault.name)).map(ToString::to_string).collect();
        anyhow::ensure!(bad.is_empty(), "{}", bad.join("; "));
        for fault in faults {
            tracing::warn!("{fault}; the channel is off until the Secret headwind has the value");
        }
        let (outlets, followed) = {
            let (polling, followed_polling) = watch::channel(args.polling.read());
            let (metrics, followed_metrics) = watch::channel(args.metrics_source.read());
            let (notifications, followed_notifications) = watch::channel(Arc::new(settings));
            let (shown, followed_shown) = watch::channel(args.settings.clone().into());
            (
                Outlets { polling, metrics, notifications, shown },
                Followed {
                    polling: followed_polling,
                    metrics: followed_metrics,
                    notifications: followed_notifications,
                    shown: followed_shown,
                },
            )
        };
        let live = Self {
            start: args.settings.clone(),
            command: command(),
            fixed: args.fixed.clone(),
            notifications,
            effective: Mutex::default(),
            outlets,
        };
        Ok((Arc::new(live), followed))
    }

    /// Returns what the operator calls when ConfigMap or Secret change.
    pub(crate) fn adopter(self: &Arc<Self>) -> Adopt {
        let live = Arc::clone(self);
        Adopt::new(move |stored| live.adopt(stored))
    }

    /// Returns the entries that would have no effect.
    pub(crate) fn problems(&self, stored: &Stored) -> Vec<Problem> {
        self.accept(stored, &self.effective.lock().clone()).1
    }

    fn adopt(&self, stored: &Stored) -> Vec<Problem> {
        let mut effective = self.effective.lock();
        let (values, problems) = self.accept(stored, &effective);
        effective.clone_from(&values);
        // `accept` has checked the values.
        if let Ok((polling, metrics)) = self.parsed(&values) {
            send(&self.outlets.polling, polling.read());
            send(&self.outlets.metrics, metrics.read());
        }
        send(&self.outlets.notifications, Arc::new(channels(|name| self.of_notifications(&values, name)).0));
        send(&self.outlets.shown, self.shown(&values, &problems));
        problems
    }

    fn accept(&self, stored: &Stored, before: &Values) -> (Values, Vec<Problem>) {
        let known = self
            .start
            .iter()
            .filter_map(|setting| Some(Known { name: &setting.variable, store: setting.store?, is_fixed: setting.is_fixed() }));
        accept(&known.collect::<Vec<_>>(), stored, before, |values| self.faults(values))
    }

    fn faults(&self, values: &Values) -> Vec<Fault> {
        let one = |(name, value): (&String, &String)| {
            let one = BTreeMap::from([(name.clone(), value.clone())]);
            self.parsed(&one).err().map(|why| Fault { name: name.clone(), why })
        };
        let (_, faults) = channels(|name| self.of_notifications(values, name));
        let of_channels = faults.into_iter().map(|fault| Fault { name: fault.name, why: fault.problem });
        values.iter().filter_map(one).chain(of_channels).collect()
    }

    /// Parses the settings that have a parser of their own. `values` are those of ConfigMap and Secret.
    fn parsed(&self, values: &Values) -> Result<(args::PollingArgs, args::MetricsSourceArgs), String> {
        let of = |setting: &&Setting| self.command.get_arguments().any(|arg| Some(setting.flag.trim_start_matches('-')) == arg.get_long());
        let line = self.start.iter().filter(of).filter_map(|setting| {
            let fixed = || self.fixed.get(&setting.variable);
            let value = if setting.is_fixed() { fixed() } else { values.get(&setting.variable) };
            Some(format!("{}={}", setting.flag, value?))
        });
        let matches = self.command.clone().try_get_matches_from(line).map_err(|error| why(&error))?;
        let polling = args::PollingArgs::from_arg_matches(&matches).map_err(|error| why(&error))?;
        Ok((polling, args::MetricsSourceArgs::from_arg_matches(&matches).map_err(|error| why(&error))?))
    }

    fn of_notifications(&self, values: &Values, name: &str) -> Option<String> {
        values.get(name).or_else(|| self.notifications.get(name)).cloned()
    }

    fn shown(&self, values: &Values, problems: &[Problem]) -> Arc<[Setting]> {
        let one = |setting: &Setting| {
            let mut setting = setting.clone();
            if let (Some(store), Some(value)) = (setting.store, values.get(&setting.variable)) {
                let is_secret = store == Store::Secret;
                setting.value = Some(if is_secret { STORED.to_owned() } else { value.clone() });
                setting.origin = Origin::Stored(store);
            }
            setting.problem = problems.iter().find(|problem| problem.name == setting.variable).map(ToString::to_string);
            setting
        };
        self.start.iter().map(one).collect()
    }
}

/// Sends a value that differs from the last one.
fn send<T: PartialEq>(outlet: &watch::Sender<T>, value: T) {
    outlet.send_if_modified(|last| {
        let changed = *last != value;
        *last = value;
        changed
    });
}

/// Reads the settings of notifications. A channel with a fault is off.
fn channels(value: impl Fn(&str) -> Option<String>) -> (notify::Settings, Vec<notify::Invalid>) {
    let (mut off, mut faults) = (BTreeSet::new(), Vec::new());
    loop {
        match notify::Settings::read(|name| if off.contains(name) { None } else { value(name) }) {
            Ok(settings) => return (settings, faults),
            Err(found) => {
                let count = off.len();
                for fault in &found {
                    let of_channel = notify::Channel::ALL.iter().filter(|channel| fault.name.starts_with(channel.prefix()));
                    off.extend(of_channel.map(|channel| channel.switch()));
                }
                faults.extend(found);
                if off.len() == count {
                    // A fault of no channel.
                    return (notify::Settings::default(), faults);
                }
            }
        }
    }
}

/// Returns what is wrong, without the value and the flag.
fn why(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && !valid.is_empty()
    {
        return format!("must be one of {}", valid.join(", "));
    }
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once("': ").map_or(line, |(_, why)| why).trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests;
