//! `headwind check` for a chart: queries a registry or a Helm repository for its versions and evaluates each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use headwind_core::artifact::chart::{ChartReference, ChartRepository, version_of};
use headwind_core::artifact::reference::RepositoryKey;
use headwind_core::artifact::version::{Version, natural_order, parse_chart};
use headwind_core::artifact::{ArtifactKind, Origin};
use headwind_core::evidence::{Evidence, Trust};
use headwind_core::offline::{PolicyAnswer, PolicyQuestion, answer_on};
use headwind_core::policy::{Occasion, Policy};
use headwind_registry::{Client, Keep, Keyring};

use super::{Args, Opinion, Report, message, read_keyring};

/// The chart to check, and where its versions are published.
struct Asked {
    chart: ChartReference,
    origin: Origin,
}

/// Returns true if the arguments name a chart.
pub(super) fn is_asked(args: &Args) -> bool {
    args.repo.is_some() || args.image.starts_with("oci://")
}

/// Returns the registry that an `oci://` address names.
pub(super) fn registry(args: &Args) -> Option<String> {
    match read(args).ok()?.origin {
        Origin::Registry(repository) => Some(repository.registry().to_owned()),
        Origin::Charts(_) => None,
    }
}

fn read(args: &Args) -> anyhow::Result<Asked> {
    if let Some(address) = &args.repo {
        let (name, version) = args.image.split_once(':').unwrap_or((&args.image, ""));
        let chart = ChartReference::new(name, version).map_err(|error| anyhow::anyhow!("{:?}: {error}", args.image))?;
        let repository = ChartRepository::parse(address).map_err(|error| anyhow::anyhow!("{address:?}: {error}"))?;
        return Ok(Asked { chart, origin: Origin::Charts(repository) });
    }
    let address = args.image.strip_prefix("oci://").unwrap_or(&args.image);
    let (host, path) = address.split_once('/').with_context(|| format!("{:?} is not a chart; use oci://HOST/PATH/CHART", args.image))?;
    let (path, version) = path.split_once(':').unwrap_or((path, ""));
    let repository = RepositoryKey::from_parts(host, path).map_err(|error| anyhow::anyhow!("{:?}: {error}", args.image))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let chart = ChartReference::new(name, &version_of(version)).map_err(|error| anyhow::anyhow!("{:?}: {error}", args.image))?;
    Ok(Asked { chart, origin: Origin::Registry(repository) })
}

/// Queries the repository and evaluates the policies.
pub(super) async fn report(args: &Args, client: &Client) -> anyhow::Result<Report> {
    let Asked { chart, origin } = read(args)?;
    let (mut keyring, notes) = args.docker_config.as_deref().map_or_else(|| Ok((Keyring::default(), Vec::new())), read_keyring)?;
    if let Some(username) = &args.username {
        keyring.extend(&Keyring::basic(origin.host(), username, &password(args.password_file.as_deref())?));
    }
    let (mut versions, mut deprecated) = (Vec::new(), BTreeSet::new());
    match &origin {
        Origin::Registry(repository) => {
            let listing = client.tags(repository, &keyring, None, &Keep::everything()).await.context("failed to list the tags")?;
            versions.extend(listing.tags().map(version_of).filter(|version| parse_chart(version).is_some()));
        }
        Origin::Charts(repository) => {
            let wanted = BTreeSet::from([chart.name().to_owned()]);
            let index = client.index(repository, &wanted, &keyring, None).await.context("failed to read the index of the repository")?;
            for one in index.versions(chart.name()) {
                versions.push(one.version.clone());
                deprecated.extend(one.deprecated.then(|| one.version.clone()));
            }
        }
    }
    anyhow::ensure!(!versions.is_empty(), "{origin} has no version of the chart {}", chart.name());
    let mut opinions = Vec::new();
    if !chart.version().is_empty() {
        for policy in args.policy.as_ref().map_or(Policy::ALL, std::slice::from_ref) {
            opinions.push(opinion(&chart, *policy, args.pattern.as_deref(), &versions, &deprecated)?);
        }
    }
    Ok(Report {
        image: args.image.clone(),
        repository: origin.to_string(),
        tag: Some(chart.version().to_owned()).filter(|version| !version.is_empty()),
        digest: None,
        newest: newest(&versions, &deprecated),
        tags: versions,
        policies: opinions,
        notes,
    })
}

fn opinion(
    chart: &ChartReference,
    policy: Policy,
    pattern: Option<&str>,
    versions: &[String],
    deprecated: &BTreeSet<String>,
) -> anyhow::Result<Opinion> {
    let question = PolicyQuestion {
        current: chart.version().to_owned(),
        policy,
        pattern: pattern.map(ToOwned::to_owned),
        kind: ArtifactKind::Chart,
        candidates: versions.to_vec(),
        digests: BTreeMap::new(),
        deprecated: deprecated.clone(),
    };
    let PolicyAnswer { chosen, image, candidates, .. } =
        answer_on(&question, Occasion::Scan, &Evidence::new(Trust::REGISTRY)).map_err(anyhow::Error::msg)?;
    let image = image.map(|version| chart.with_version(&version).to_string());
    let message = message(policy, &candidates, "accepts every version that an event names, and nothing while polling");
    Ok(Opinion { policy, chosen, image, message, candidates })
}

/// Returns the highest version that is neither a pre-release nor deprecated, else the highest of all.
fn newest(versions: &[String], deprecated: &BTreeSet<String>) -> Option<String> {
    let read = |text: &String| parse_chart(text).map(|version| (version, text.clone()));
    let stable =
        versions.iter().filter(|text| !deprecated.contains(*text)).filter_map(read).filter(|(version, _)| !version.is_pre_release());
    let order = |(a, x): &(Version, String), (b, y): &(Version, String)| {
        // As for a release: of versions that differ only in their metadata, the highest.
        a.cmp_precedence(b).then_with(|| natural_order(&a.metadata, &b.metadata)).then_with(|| natural_order(y, x))
    };
    let highest = |all: Vec<(Version, String)>| all.into_iter().max_by(order).map(|(_, text)| text);
    highest(stable.collect()).or_else(|| highest(versions.iter().filter_map(read).collect()))
}

fn password(file: Option<&Path>) -> anyhow::Result<String> {
    let file = file.context("--username needs --password-file")?;
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index may list its versions in any order.
    #[test]
    fn the_newest_version_does_not_depend_on_the_order_of_the_index() {
        let mut versions = ["1.2.0+build.9", "1.2.0+build.10", "1.2.0", "1.1.0+build.11"].map(str::to_owned);
        for order in ["listed", "reversed"] {
            assert_eq!(newest(&versions, &BTreeSet::new()).as_deref(), Some("1.2.0+build.10"), "{order}");
            versions.reverse();
        }
    }
}
