//! The settings for registries, shared by the operator and `headwind check`.

use std::path::PathBuf;

use anyhow::Context as _;
use headwind_registry::credential::cloud;
use headwind_registry::{Client, HostSettings, Hosts, Rules, Timeouts};

/// The settings for connections to registries.
#[derive(Debug, clap::Args)]
pub(crate) struct Registries {
    /// File (YAML or JSON) with connection settings for registries: plain HTTP, CA, client certificate, mirrors, token
    /// issuers, number of concurrent requests
    #[arg(long, env = "HEADWIND_REGISTRY_CONFIG", value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,

    /// Comma-separated list of globs, such as `ghcr.io` or `*.example.com`, for registry hosts that Headwind may contact.
    /// Default: all
    #[arg(long, env = "HEADWIND_REGISTRY_ALLOW", default_value = "", hide_default_value = true, value_parser = allow, value_name = "GLOBS")]
    pub(crate) registry_allow: Rules,
}

/// Returns the rules for the place where the process runs, restricted to the hosts of the list.
fn allow(text: &str) -> Result<Rules, String> {
    Rules::from_env(&|name| std::env::var(name).ok()).allowing(text.split(',')).map_err(|error| error.to_string())
}

impl Registries {
    /// Reads the entries of the file.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<HostSettings>> {
        let Some(file) = &self.registry_config else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("HEADWIND_REGISTRY_CONFIG {}", file.display()))?;
        HostSettings::read(&text).with_context(|| format!("HEADWIND_REGISTRY_CONFIG {}", file.display()))
    }

    /// Returns a client with the entries of the file and the cloud identities of the process.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.client_of(self.entries()?)
    }

    /// Returns a client with these entries and the cloud identities of the process.
    pub(crate) fn client_of(&self, entries: Vec<HostSettings>) -> anyhow::Result<Client> {
        let hosts = Hosts::new(entries, self.registry_allow.clone(), &Timeouts::default()).context("HEADWIND_REGISTRY_CONFIG")?;
        let exchanges = cloud::from_env(&|name| std::env::var(name).ok()).context("failed to set up cloud identities")?;
        Ok(Client::new(hosts, exchanges))
    }
}
