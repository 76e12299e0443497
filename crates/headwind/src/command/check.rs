//! `headwind check`: queries the registry for an image (or a chart: [`chart`]) and evaluates each policy.

mod chart;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use headwind_core::artifact::ArtifactKind;
use headwind_core::artifact::reference::{Digest, ImageReference};
use headwind_core::decide::{Answers, settle};
use headwind_core::evidence::{self, Evidence, Trust};
use headwind_core::offline::{AnswerCandidate, PolicyAnswer, PolicyQuestion, answer_on};
use headwind_core::policy::{Occasion, Outcome, Policy};
use headwind_registry::credential::Format;
use headwind_registry::{Client, HostSettings, Keep, Keyring};
use serde::Serialize;

use super::lines::{self, Output};
use crate::registries::Registries;

/// `headwind check IMAGE [--policy P] [--pattern G]`, `headwind check oci://HOST/PATH/CHART[:VERSION]`,
/// `headwind check --repo URL CHART[:VERSION]`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image reference as in a workload, or a chart as `oci://HOST/PATH/CHART[:VERSION]`, or, with --repo, `CHART[:VERSION]`
    image: String,
    /// URL of the Helm repository of the chart
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// User name for the repository of a chart
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Policy to show with its verdict on every tag. If unset, a summary of every policy
    #[arg(long)]
    policy: Option<Policy>,
    /// Pattern that tags must match. Required by policy glob
    #[arg(long)]
    pattern: Option<String>,
    /// Docker configuration with credentials, such as ~/.docker/config.json
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
    /// Use plain HTTP for the registry
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    registries: Registries,
    /// Output format
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// The versions that the registry has, and the verdicts on them.
#[derive(Debug, Serialize)]
struct Report {
    image: String,
    repository: String,
    tag: Option<String>,
    /// The digest behind the tag now; none if the registry does not have the tag.
    digest: Option<String>,
    /// For a chart: the highest version that is neither a pre-release nor deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    tags: Vec<String>,
    policies: Vec<Opinion>,
    /// The faults of the Docker configuration, if it has no credential for this registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// The verdict of one policy.
#[derive(Debug, Serialize)]
struct Opinion {
    policy: Policy,
    chosen: Option<String>,
    image: Option<String>,
    message: String,
    candidates: Vec<AnswerCandidate>,
}

/// Queries the registry and prints the report.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    rustls_ready();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the async runtime")?;
    match (runtime.block_on(report(args)), args.output) {
        (Ok(report), Output::Json) => lines::write(out, &report)?,
        (Ok(report), Output::Text) => print(&report, args.policy.is_some(), out)?,
        // Programs read the output; the caller prints the line for a person.
        (Err(error), Output::Json) => {
            lines::write(out, &serde_json::json!({"image": args.image, "error": format!("{error:#}")}))?;
            return Err(error);
        }
        (Err(error), Output::Text) => return Err(error),
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs the TLS provider of the process.
fn rustls_ready() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

async fn report(args: &Args) -> anyhow::Result<Report> {
    if chart::is_asked(args) {
        return chart::report(args, &client(args, chart::registry(args).as_deref())?).await;
    }
    let reference = ImageReference::parse(&args.image).map_err(|error| anyhow::anyhow!("{:?}: {error}", args.image))?;
    let client = client(args, Some(reference.registry()))?;
    let (keyring, faults) = args.docker_config.as_deref().map_or_else(|| Ok((Keyring::default(), Vec::new())), read_keyring)?;
    let repository = reference.repository();
    let notes = if keyring.lookup(repository).is_empty() { faults } else { Vec::new() };
    let asked = reference.effective_tag().map(ToOwned::to_owned).or_else(|| reference.digest().map(ToString::to_string));
    let digest = match &asked {
        Some(asked) => client.digest(repository, asked, &keyring).await.context("failed to get the digest")?,
        None => None,
    };
    let listing = client.tags(repository, &keyring, None, &Keep::everything()).await.context("failed to list the tags")?;
    let tags: Vec<String> = listing.tags().map(ToOwned::to_owned).collect();
    let mut policies = Vec::new();
    for policy in args.policy.as_ref().map_or(Policy::ALL, std::slice::from_ref) {
        let mut asking = Asking { client: &client, keyring: &keyring, reference: &reference, digest: digest.as_ref(), tags: &tags };
        policies.push(asking.opinion(*policy, args.pattern.as_deref()).await?);
    }
    Ok(Report {
        image: args.image.clone(),
        repository: repository.to_string(),
        tag: reference.effective_tag().map(ToOwned::to_owned),
        digest: digest.map(|digest| digest.to_string()),
        newest: None,
        tags,
        policies,
        notes,
    })
}

fn client(args: &Args, registry: Option<&str>) -> anyhow::Result<Client> {
    let Some(registry) = registry.filter(|_| args.plain_http) else { return args.registries.client() };
    let mut entries = args.registries.entries()?;
    match entries.iter_mut().find(|entry| entry.host == registry) {
        Some(entry) => entry.plain_http = Some(true),
        None => entries.push(HostSettings { plain_http: Some(true), ..HostSettings::of(registry) }),
    }
    args.registries.client_of(entries)
}

/// Reads credentials from a file in either format, with the faults of the entries that cannot be used.
fn read_keyring(file: &Path) -> anyhow::Result<(Keyring, Vec<String>)> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let format = Format::of(&bytes).with_context(|| format!("{}: not a JSON object", file.display()))?;
    let (keyring, faults) = Keyring::read(format, &bytes);
    Ok((keyring, faults.iter().map(|fault| format!("{}: {fault}", file.display())).collect()))
}

struct Asking<'a> {
    client: &'a Client,
    keyring: &'a Keyring,
    reference: &'a ImageReference,
    digest: Option<&'a Digest>,
    tags: &'a [String],
}

impl Asking<'_> {
    /// Evaluates this policy as polling would.
    async fn opinion(&mut self, policy: Policy, pattern: Option<&str>) -> anyhow::Result<Opinion> {
        let mut question = PolicyQuestion {
            current: self.reference.to_string(),
            policy,
            pattern: pattern.map(ToOwned::to_owned),
            kind: ArtifactKind::Image,
            candidates: self.tags.to_vec(),
            digests: BTreeMap::new(),
            deprecated: BTreeSet::new(),
        };
        if let (Some(tag), Some(digest)) = (self.reference.effective_tag(), self.digest) {
            question.digests.insert(tag.to_owned(), digest.to_string());
        }
        let decide = |evidence: &Evidence| answer_on(&question, Occasion::Scan, evidence).map_err(anyhow::Error::msg);
        let PolicyAnswer { chosen, image, candidates, .. } = settle(self, Evidence::new(Trust::REGISTRY), decide).await?;
        let message =
            message(policy, &candidates, "follows the digest of this tag when polling, and accepts every tag that an event names");
        Ok(Opinion { policy, chosen, image, message, candidates })
    }
}

impl Answers for Asking<'_> {
    type Error = anyhow::Error;

    async fn answer(&mut self, question: &evidence::Question) -> anyhow::Result<Option<evidence::Answer>> {
        let digest = self.client.digest(self.reference.repository(), &question.tag, self.keyring).await?;
        Ok(digest.map(|digest| evidence::Answer::exists(Some(digest))))
    }
}

/// Returns why a version was chosen, or why none was. `force` is the text for policy force.
fn message(policy: Policy, candidates: &[AnswerCandidate], force: &str) -> String {
    match candidates.iter().find(|candidate| candidate.verdict == Outcome::Chosen) {
        Some(_) if policy.follows_digest() => force.to_owned(),
        Some(taken) => taken.message.clone(),
        None => counted(candidates),
    }
}

/// Returns the number of refusals for each reason, the most frequent first.
fn counted(candidates: &[AnswerCandidate]) -> String {
    if candidates.is_empty() {
        return "the registry has no tags".to_owned();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in candidates {
        *counts.entry(candidate.reason.code()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    let parts: Vec<String> = counts.into_iter().map(|(code, count)| format!("{count} {code}")).collect();
    parts.join(", ")
}

fn print(report: &Report, whole: bool, out: &mut impl Write) -> std::io::Result<()> {
    let Report { image, repository, tag: _, digest, newest, tags, policies, notes } = report;
    let chart = image.starts_with("oci://") || repository.contains("://");
    writeln!(out, "{}  {image}", if chart { "chart     " } else { "image     " })?;
    writeln!(out, "repository  {repository}")?;
    if chart {
        writeln!(out, "versions    {}", tags.len())?;
        writeln!(out, "newest      {}", newest.as_deref().unwrap_or("(none)"))?;
    } else {
        writeln!(out, "digest      {}", digest.as_deref().unwrap_or("(the registry does not have it)"))?;
        writeln!(out, "tags        {}", tags.len())?;
    }
    for note in notes {
        writeln!(out, "note        {note}")?;
    }
    if policies.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    if whole {
        for Opinion { chosen, image, candidates, .. } in policies {
            let answer = PolicyAnswer { chosen: chosen.clone(), image: image.clone(), candidates: candidates.clone(), open: None };
            super::policy::print(&answer, out)?;
        }
        return Ok(());
    }
    let width = policies.iter().filter_map(|opinion| Some(opinion.chosen.as_ref()?.len())).max().unwrap_or_default().max("nothing".len());
    for Opinion { policy, chosen, message, .. } in policies {
        writeln!(out, "{:<6}  {:width$}  {message}", policy.as_str(), chosen.as_deref().unwrap_or("nothing"))?;
    }
    Ok(())
}
