//! Lists the versions of an origin: the tags of a registry's repository, or the index of a classic Helm repository.
//!
//! The result is cached (`lists`) and converted into candidates for each workload's kind of artifact: a tag list may
//! serve an image and a chart at once.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::artifact::reference::{Digest, RepositoryKey};
use headwind_core::artifact::{Artifact, ArtifactKind, Origin};
use headwind_core::evidence::Answer;
use headwind_registry::{Class as RegistryClass, Client, Error, Fingerprint, Keep, Keyring};

use crate::cluster::Failure;
use crate::registries::listed::Listed;
use crate::registries::lists::{ListKey, Lists};
use crate::registries::secrets::{PullPlace, Secrets};
use crate::report::metrics::{ClassLabel, Metrics};

/// Queries origins with credentials.
pub(crate) struct Asking {
    pub(crate) client: Client,
    pub(crate) secrets: Secrets,
    pub(crate) metrics: Metrics,
    pub(crate) lists: Lists,
}

/// The wanted versions of an origin.
pub(crate) struct Versions<'a> {
    /// The wanted charts of a Helm repository.
    charts: &'a BTreeSet<String>,
    /// The wanted tags of a registry's repository.
    keep: Keep<'a>,
    fingerprint: u64,
}

impl<'a> Versions<'a> {
    /// Selects the tags that `accepts` accepts, or every version of these charts. `fingerprint` identifies the
    /// selection.
    pub(crate) fn matching(charts: &'a BTreeSet<String>, fingerprint: u64, accepts: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Self {
        Self { charts, keep: Keep::matching(fingerprint, accepts), fingerprint }
    }

    /// Selects every tag, or every version of these charts.
    pub(crate) fn all(charts: &'a BTreeSet<String>) -> Self {
        let mut hash = DefaultHasher::new();
        charts.hash(&mut hash);
        Self { charts, keep: Keep::everything(), fingerprint: hash.finish() }
    }
}

impl Asking {
    /// Returns a fingerprint of how a keyring accesses an origin: keyrings with the same fingerprint see the same.
    pub(crate) fn access(&self, origin: &Origin, keyring: &Keyring) -> Fingerprint {
        match origin {
            Origin::Registry(repository) => self.client.access(repository, keyring),
            Origin::Charts(repository) => self.client.index_access(repository, keyring),
        }
    }

    /// Returns the versions of the origin. A cached list younger than `fresh` is returned unchanged; an older one is
    /// revalidated with its `ETag`.
    pub(crate) async fn read(
        &self,
        origin: &Origin,
        access: Fingerprint,
        versions: &Versions<'_>,
        keyring: &Keyring,
        fresh: Option<Duration>,
    ) -> Result<Arc<Listed>, Error> {
        let key = ListKey { origin: origin.clone(), access, wanted: versions.fingerprint };
        let known = self.lists.get(&key).await;
        if let Some((listed, _)) = known.as_ref().filter(|(_, age)| fresh.is_some_and(|fresh| *age <= fresh)) {
            return Ok(Arc::clone(listed));
        }
        let listed = Arc::new(self.list(origin, versions, keyring, known.as_ref().map(|(listed, _)| &**listed)).await?);
        if fresh.is_some() || listed.is_worth_keeping() {
            self.lists.insert(key, Arc::clone(&listed)).await;
        }
        Ok(listed)
    }

    /// Lists every wanted version.
    async fn list(&self, origin: &Origin, versions: &Versions<'_>, keyring: &Keyring, known: Option<&Listed>) -> Result<Listed, Error> {
        let Versions { charts, keep, fingerprint: _ } = versions;
        let began = Instant::now();
        let listed = match origin {
            Origin::Registry(repository) => {
                let known = known.and_then(Listed::tags);
                self.client.tags(repository, keyring, known, keep).await.map(Listed::Tags)
            }
            Origin::Charts(repository) => {
                let known = known.and_then(Listed::index);
                self.client.index(repository, charts, keyring, known).await.map(Listed::Index)
            }
        };
        if !charts.is_empty() {
            let helm = &self.metrics.helm;
            helm.repository_queries.inc();
            helm.repository_query_duration.observe(began.elapsed().as_secs_f64());
            if let Err(error) = &listed {
                helm.repository_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
            }
        }
        listed
    }

    /// Checks that the version of an event exists, with the credentials of the first place that is not denied.
    pub(crate) async fn confirm(
        &self,
        origin: &Origin,
        chart: Option<&str>,
        tag: &str,
        places: &BTreeSet<PullPlace>,
    ) -> Result<Answer, AskError> {
        let mut last = None;
        for place in places {
            let keyring = self.secrets.keyring(place).await?;
            let answer = match origin {
                Origin::Registry(repository) => self.client.digest(repository, tag, &keyring).await.map(exists),
                Origin::Charts(_) => {
                    let charts: BTreeSet<String> = chart.map(str::to_owned).into_iter().collect();
                    let has = |listed: &Listed| {
                        listed.index().zip(chart).is_some_and(|(index, chart)| index.versions(chart).any(|one| one.version == tag))
                    };
                    let listed = self.list(origin, &Versions::all(&charts), &keyring, None).await;
                    listed.map(|listed| if has(&listed) { Answer::exists(None) } else { Answer::Missing })
                }
            };
            match answer {
                Err(error) if error.class == RegistryClass::Denied => {
                    self.secrets.forget(place).await;
                    last = Some(error);
                }
                other => return Ok(other?),
            }
        }
        last.map_or(Ok(Answer::Missing), |error| Err(error.into()))
    }

    /// Returns the digest and the platforms of a tag, with the credentials of the first place that is not denied.
    pub(crate) async fn platforms(&self, repository: &RepositoryKey, tag: &str, places: &BTreeSet<PullPlace>) -> Result<Answer, AskError> {
        let mut last = None;
        for place in places {
            let keyring = self.secrets.keyring(place).await?;
            match self.platforms_with(repository, tag, &keyring).await {
                Err(error) if error.class == RegistryClass::Denied => {
                    self.secrets.forget(place).await;
                    last = Some(error);
                }
                other => return Ok(other?),
            }
        }
        last.map_or(Ok(Answer::Missing), |error| Err(error.into()))
    }

    /// Returns the same, as seen with `keyring`.
    pub(crate) async fn platforms_with(&self, repository: &RepositoryKey, tag: &str, keyring: &Keyring) -> Result<Answer, Error> {
        let found = self.client.platforms(repository, tag, keyring).await?;
        let of = |(digest, platforms)| Answer::Found { digest: Some(digest), platforms: Some(platforms) };
        Ok(found.map_or(Answer::Missing, of))
    }

    /// Returns the digest of a tag, as seen with `keyring`.
    pub(crate) async fn digest(&self, repository: &RepositoryKey, tag: &str, keyring: &Keyring) -> Result<Option<Digest>, Error> {
        self.client.digest(repository, tag, keyring).await
    }
}

fn exists(digest: Option<Digest>) -> Answer {
    digest.map_or(Answer::Missing, |digest| Answer::exists(Some(digest)))
}

/// Returns the chart to query a Helm repository for.
pub(crate) fn chart_of(artifact: &Artifact) -> Option<String> {
    (artifact.kind() == ArtifactKind::Chart).then(|| artifact.name().to_owned())
}

/// The reasons why a query failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("{0}")]
    Secrets(#[from] Failure),
    #[error("{0}")]
    Registry(#[from] Error),
}
