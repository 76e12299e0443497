//! The settings of registries, shared by the operator and `headwind check`.

use std::path::PathBuf;

use anyhow::Context as _;
use headwind_registry::credential::cloud;
use headwind_registry::{Client, HostSettings, Hosts, Limits, Rules};

/// How registries are reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Registries {
    /// A file (YAML or JSON) with an entry for each registry that needs one: plain HTTP, own CA, client certificate, mirrors, token issuers, requests at once
    #[arg(long, env = "HEADWIND_REGISTRY_CONFIG", value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,

    /// Registry hosts that Headwind may contact: a comma-separated list of globs such as `ghcr.io` or `*.example.com`. Default: all
    #[arg(long, env = "HEADWIND_REGISTRY_ALLOW", default_value = "", hide_default_value = true, value_parser = allow, value_name = "GLOBS")]
    pub(crate) registry_allow: Rules,
}

/// The rules for where the process runs, for the hosts of the list.
fn allow(text: &str) -> Result<Rules, String> {
    Rules::from_env(&|name| std::env::var(name).ok()).allowing(text.split(',')).map_err(|error| error.to_string())
}

impl Registries {
    /// The entries of the file.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<HostSettings>> {
        let Some(file) = &self.registry_config else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("HEADWIND_REGISTRY_CONFIG {}", file.display()))?;
        HostSettings::read(&text).with_context(|| format!("HEADWIND_REGISTRY_CONFIG {}", file.display()))
    }

    /// A client of the registries, with the logins of the cloud that the process runs in.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.client_of(self.entries()?)
    }

    /// A client with these entries.
    pub(crate) fn client_of(&self, entries: Vec<HostSettings>) -> anyhow::Result<Client> {
        let hosts = Hosts::new(entries, self.registry_allow.clone(), &Limits::default()).context("HEADWIND_REGISTRY_CONFIG")?;
        let exchanges = cloud::from_env(&|name| std::env::var(name).ok()).context("the clients of the clouds")?;
        Ok(Client::new(hosts, exchanges))
    }
}
