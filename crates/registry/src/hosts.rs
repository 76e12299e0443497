//! All hosts: those with an entry of the administrator, and every other host that an image or a source names.
//!
//! Each lane (a host over one transport) has its own permits and back-off, so that a dead proxy or a wrong CA of one
//! source does not affect others. The state of hosts and transports without an entry is kept in caches of limited size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::budget::Budget;
use crate::error::{Class, Error};
use crate::host::{Clients, Host, Traffic};
use crate::lane::Lane;
use crate::quota::Quotas;
use crate::route::Route;
use crate::rules::{Guard, Resolver, Rules, is_loopback};
use crate::settings::{HostSettings, HostsError, Own, host_name, mirror_place};
use crate::timeouts::Timeouts;
use crate::transport::Transport;

/// Registries whose API is not under their own name.
const AUTHORITIES: &[(&str, &str)] = &[("docker.io", "registry-1.docker.io")];
/// Default number of concurrent requests to one host.
pub const AT_ONCE: usize = 4;
/// Maximum number of cached clients for the transports of sources, and how long each is kept after its last use. Each
/// client has its own copy of the roots.
const CLIENTS: (u64, Duration) = (64, Duration::from_hours(1));
/// Maximum number of lanes without an entry that are kept.
const LANES: u64 = 4096;

/// All hosts.
#[derive(Debug)]
pub struct Hosts {
    pub(crate) timeouts: Timeouts,
    pub(crate) budget: Budget,
    pub(crate) guard: Arc<Guard>,
    pub(crate) quotas: Arc<Quotas>,
    plain: Clients,
    /// The hosts with an entry.
    named: HashMap<String, Named>,
    lanes: moka::sync::Cache<Lane, Arc<Traffic>>,
    clients: Cache<Lane, Clients>,
}

/// A host with an entry.
#[derive(Debug)]
struct Named {
    host: Arc<Host>,
    own: Option<Own>,
    plain_http: Option<bool>,
}

impl Hosts {
    /// Creates the hosts from their entries. Reads the files that the entries name.
    ///
    /// # Errors
    /// See [`HostsError`].
    pub fn new(settings: Vec<HostSettings>, rules: Rules, timeouts: &Timeouts) -> Result<Self, HostsError> {
        let mut entries = Vec::new();
        let mut hosts = Vec::new();
        for entry in settings {
            let name = host_name(&entry.host)?;
            let mirrors = entry.mirrors.iter().map(|mirror| mirror_place(mirror)).collect::<Result<Vec<_>, _>>()?;
            hosts.extend(mirrors.iter().map(|(host, _)| host.clone()));
            hosts.extend(entry.token_issuers.iter().cloned());
            hosts.push(name.clone());
            entries.push((name, mirrors, entry));
        }
        let guard = Arc::new(Guard::new(rules, hosts));
        let client = |own: Option<&Own>, certified: bool| {
            let mut http = builder(&guard, timeouts);
            if let Some(own) = own {
                http = own.trust(http);
                if let Some(identity) = own.identity.as_ref().filter(|_| certified) {
                    http = http.identity(identity.clone());
                }
            }
            http.build().map_err(|error| HostsError::Client(error.to_string()))
        };
        let budget = Budget::default();
        // The hosts that the administrator names, and the registry whose quota is the best known.
        let reserved = entries.iter().map(|(name, ..)| name.as_str()).chain(AUTHORITIES.iter().map(|(host, _)| *host));
        let quotas = Arc::new(Quotas::new(reserved.map(str::to_owned).collect()));
        let plain = Clients::without_certificate(client(None, false)?);
        let mut named = HashMap::new();
        for (name, mirrors, entry) in entries {
            let own = entry.certificates(&name)?;
            let clients = match &own {
                Some(own) => Clients { own: client(Some(own), true)?, elsewhere: client(Some(own), false)? },
                None => plain.clone(),
            };
            let HostSettings { token_issuers: issuers, max_concurrent_requests, plain_http, .. } = entry;
            let host = Host {
                plain_http: plain_http.unwrap_or_else(|| own.is_none() && is_loopback(&name)),
                mirrors,
                issuers,
                ..bare(
                    &name,
                    &guard,
                    &budget,
                    &quotas,
                    &clients,
                    Arc::new(Traffic::new(max_concurrent_requests.unwrap_or(AT_ONCE).clamp(1, 1024))),
                )
            };
            if named.insert(name.clone(), Named { host: Arc::new(host), own, plain_http }).is_some() {
                return Err(HostsError::Twice(name));
            }
        }
        let (capacity, idle) = CLIENTS;
        Ok(Self {
            timeouts: timeouts.clone(),
            budget,
            guard,
            quotas,
            plain,
            named,
            lanes: moka::sync::Cache::builder().max_capacity(LANES).eviction_policy(EvictionPolicy::lru()).build(),
            clients: Cache::builder().max_capacity(capacity).time_to_idle(idle).build(),
        })
    }

    /// Returns the host with that name, with the administrator's configuration.
    pub(crate) fn get(&self, name: &str) -> Arc<Host> {
        match self.named.get(name) {
            Some(named) => Arc::clone(&named.host),
            None => {
                Arc::new(bare(name, &self.guard, &self.budget, &self.quotas, &self.plain, self.traffic(Lane::new(name, None), AT_ONCE)))
            }
        }
    }

    /// Returns the host with that name, over the transport of a source if there is one.
    pub(crate) async fn reach(&self, name: &str, transport: Option<&Arc<Transport>>) -> Result<Arc<Host>, Error> {
        let host = self.get(name);
        let Some(transport) = transport else { return Ok(host) };
        if let Some(proxy) = transport.proxy_address() {
            let allowed = crate::rules::authority(proxy).map_or(Ok(()), |authority| self.guard.allow(&authority));
            let admitted = self.guard.admit(proxy).await;
            let refused = |refusal| Error::new(Class::Refused, name, format!("the proxy of its source: {refusal}"));
            allowed.and(admitted).map_err(refused)?;
        }
        let lane = Lane::new(name, Some(transport));
        let named = self.named.get(name);
        let own = named.and_then(|named| named.own.as_ref());
        let below = || {
            let http = builder(&self.guard, &self.timeouts);
            match own {
                Some(own) => own.trust(http),
                None => http,
            }
        };
        let build = async {
            let elsewhere = transport.without_client_certificate().build(below())?;
            Ok::<_, &'static str>(Clients { own: transport.build(below())?, elsewhere })
        };
        let clients = if transport.is_own() {
            let refused = |words: Arc<&'static str>| Error::new(Class::Denied, name, *words);
            self.clients.try_get_with(lane.clone(), build).await.map_err(refused)?
        } else {
            // The certificate of the host's entry is Headwind's own identity.
            Clients::without_certificate(host.clients.elsewhere.clone())
        };
        // A source that sets certificates expects TLS.
        let by_default = named.is_none_or(|named| named.plain_http.is_none()) && transport.has_certificates();
        Ok(Arc::new(Host {
            plain_http: transport.plain_http || host.plain_http && !by_default,
            clients,
            route: Route::Tenant(Arc::clone(transport)),
            traffic: self.traffic(lane, host.traffic.at_once),
            ..Host::clone(&host)
        }))
    }

    fn traffic(&self, lane: Lane, at_once: usize) -> Arc<Traffic> {
        self.lanes.get_with(lane, || Arc::new(Traffic::new(at_once)))
    }
}

/// Creates a host without an entry.
fn bare(name: &str, guard: &Arc<Guard>, budget: &Budget, quotas: &Arc<Quotas>, clients: &Clients, traffic: Arc<Traffic>) -> Host {
    Host {
        name: name.to_owned(),
        authority: AUTHORITIES.iter().find(|(host, _)| *host == name).map_or(name, |(_, authority)| authority).to_owned(),
        plain_http: is_loopback(name),
        route: Route::Administrator,
        clients: clients.clone(),
        guard: Arc::clone(guard),
        budget: budget.clone(),
        quotas: Arc::clone(quotas),
        mirrors: Vec::new(),
        issuers: Vec::new(),
        traffic,
    }
}

fn builder(guard: &Arc<Guard>, timeouts: &Timeouts) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("headwind/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.request)
        .dns_resolver(Resolver(Arc::clone(guard)))
        // `send` checks each redirect.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default port of a scheme and other spellings of an address do not make another host.
    #[test]
    fn a_host_is_itself_in_every_spelling() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let plain = HostSettings { plain_http: Some(true), ..HostSettings::of("plain.example:80") };
        let hosts = Hosts::new(vec![plain], Rules::default(), &Timeouts::default()).unwrap();
        for (name, authority, expected) in [
            ("r.example:443", "r.example", true),
            ("r.example:80", "r.example", false),
            ("plain.example:80", "plain.example", true),
            ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000", true),
            ("r.example:5000", "r.example", false),
            ("docker.io", "registry-1.docker.io", true),
        ] {
            assert_eq!(hosts.get(name).is_at(authority), expected, "{name}");
        }
    }

    /// Anybody who sets an image names hosts. The state of the host that was used longest ago is dropped.
    #[test]
    fn the_lanes_of_unknown_hosts_have_a_limit() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let hosts = Hosts::new(Vec::new(), Rules::default(), &Timeouts::default()).unwrap();
        let name = |number: u64| format!("r{number}.example");
        for number in 0..=LANES {
            hosts.get(&name(number));
            hosts.lanes.run_pending_tasks();
        }
        let is_kept = |number: u64| hosts.lanes.contains_key(&Lane::new(&name(number), None));
        assert_eq!(hosts.lanes.entry_count(), 4096);
        assert!(!is_kept(0) && is_kept(1) && is_kept(LANES), "the oldest one is dropped");
    }
}
