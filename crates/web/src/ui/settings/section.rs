//! The sections of the page: each setting is in the first one that fits.

use headwind_operator::notify::Channel;

use super::Setting;

/// A part of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) anchor: &'static str,
    /// The channel of the settings, if they are about one.
    pub(super) channel: Option<Channel>,
    /// The beginnings of the variables.
    starts: &'static [&'static str],
}

impl Section {
    const fn new(title: &'static str, anchor: &'static str, starts: &'static [&'static str]) -> Self {
        Self { title, anchor, channel: None, starts }
    }

    fn of_channel(channel: Channel) -> Self {
        Self { title: channel.title(), anchor: channel.as_str(), channel: Some(channel), starts: &[] }
    }

    fn fits(&self, setting: &Setting) -> bool {
        let fits = |start: &str| setting.variable.starts_with(start);
        self.channel.map_or_else(|| self.starts.iter().any(|start| fits(start)), |channel| fits(channel.prefix()))
    }
}

/// The sections before those of the channels.
const BEFORE: &[Section] = &[
    Section::new("Polling", "polling", &["HEADWIND_POLLING_"]),
    Section::new("Helm charts", "helm", &["HEADWIND_HELM_", "HEADWIND_NO_CROSS_NAMESPACE_REFS"]),
];

/// The sections after those of the channels.
const AFTER: &[Section] = &[
    Section::new("Metrics source", "metrics", &["HEADWIND_METRICS_SOURCE", "HEADWIND_PROMETHEUS_", "HEADWIND_INFLUXDB_"]),
    Section::new("Webhooks", "webhooks", &["HEADWIND_WEBHOOK_"]),
    Section::new("Registries", "registries", &["HEADWIND_REGISTRY_", "HEADWIND_REGISTRIES"]),
    Section::new("Access", "access", &["HEADWIND_UI_", "HEADWIND_API_", "HEADWIND_ALLOWED_HOSTS", "HEADWIND_TLS_"]),
    Section::new("Process", "process", &[""]),
];

/// Returns the settings of each section that has some.
pub(super) fn sections(all: &[Setting]) -> Vec<(Section, Vec<&Setting>)> {
    let channels = Channel::ALL.iter().copied().map(Section::of_channel);
    let sections: Vec<Section> = BEFORE.iter().copied().chain(channels).chain(AFTER.iter().copied()).collect();
    let place = |setting: &Setting| sections.iter().position(|section| section.fits(setting));
    let of = |at: usize| all.iter().filter(|one| place(one) == Some(at)).collect::<Vec<_>>();
    sections.iter().enumerate().map(|(at, section)| (*section, of(at))).filter(|(_, all)| !all.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use headwind_operator::notify::variables_of;

    use super::*;
    use crate::ui::settings::{Input, Origin};

    fn setting(variable: &str) -> Setting {
        Setting {
            flag: String::new(),
            variable: variable.to_owned(),
            value: None,
            default: None,
            origin: Origin::Default,
            help: String::new(),
            store: None,
            input: Input::Text,
            problem: None,
        }
    }

    #[test]
    fn each_channel_has_a_section_with_all_of_its_settings() {
        for channel in Channel::ALL.iter().copied() {
            let all: Vec<_> = variables_of(channel).map(|variable| setting(variable.name)).collect();
            let sections = sections(&all);
            let [(section, settings)] = sections.as_slice() else { panic!("{channel}: {sections:?}") };
            assert_eq!((section.channel, section.anchor, settings.len()), (Some(channel), channel.as_str(), all.len()));
        }
    }

    #[test]
    fn no_section_takes_the_settings_of_another() {
        let anchors = |name: &str| sections(&[setting(name)]).iter().map(|(section, _)| section.anchor).collect::<Vec<_>>();
        for (name, anchor) in [
            ("HEADWIND_WEBHOOK_SECRET", "webhooks"),
            ("WEBHOOK_SECRET", "webhook"),
            ("HEADWIND_POLLING_INTERVAL", "polling"),
            ("HEADWIND_LOG_FORMAT", "process"),
        ] {
            assert_eq!(anchors(name), [anchor], "{name}");
        }
    }
}
