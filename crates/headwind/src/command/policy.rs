//! `headwind policy`: shows which version a policy would choose, and why.

use std::io::Write;
use std::process::ExitCode;

use headwind_core::artifact::ArtifactKind;
use headwind_core::offline::{AnswerCandidate, PolicyAnswer, PolicyQuestion, answer};
use headwind_core::policy::{Outcome, Policy};

use super::lines::{self, Output};

/// `headwind policy --current REF_OR_TAG --policy P [--pattern G] CANDIDATE…`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Current image reference or tag or, with --chart, current version
    #[arg(long, required_unless_present = "stdin")]
    current: Option<String>,
    /// Policy: none, patch, minor, major, all, glob or force
    #[arg(long, required_unless_present = "stdin")]
    policy: Option<Policy>,
    /// Pattern that tags must match. Required by policy glob
    #[arg(long)]
    pattern: Option<String>,
    /// Read the versions as chart versions
    #[arg(long)]
    chart: bool,
    /// Candidate tags or versions
    candidates: Vec<String>,
    /// Read one JSON object {"current","policy","pattern","kind","candidates","digests","deprecated"} per line and print one
    /// JSON object for each
    #[arg(long, conflicts_with_all = ["current", "policy", "pattern", "chart", "candidates"])]
    stdin: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// Evaluates the arguments, or every line.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.stdin {
        lines::answer_each(std::io::stdin().lock(), out, |question: PolicyQuestion| answer(&question))?;
        return Ok(ExitCode::SUCCESS);
    }
    let question = PolicyQuestion {
        current: args.current.clone().unwrap_or_default(),
        policy: args.policy.unwrap_or_default(),
        pattern: args.pattern.clone(),
        kind: if args.chart { ArtifactKind::Chart } else { ArtifactKind::Image },
        candidates: args.candidates.clone(),
        digests: std::collections::BTreeMap::new(),
        deprecated: std::collections::BTreeSet::new(),
    };
    let answer = answer(&question).map_err(anyhow::Error::msg)?;
    match args.output {
        Output::Json => lines::write(out, &answer)?,
        Output::Text => print(&answer, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an answer as text.
pub(crate) fn print(answer: &PolicyAnswer, out: &mut impl Write) -> std::io::Result<()> {
    let PolicyAnswer { chosen, image, candidates, open } = answer;
    let width = candidates.iter().map(|candidate| candidate.tag.chars().count()).max().unwrap_or_default();
    for AnswerCandidate { tag, verdict, reason, message } in candidates {
        let verdict = match verdict {
            Outcome::Chosen => "chosen  ",
            Outcome::Eligible => "eligible",
            Outcome::Refused => "refused ",
        };
        writeln!(out, "{tag:width$}  {verdict}  {reason}: {message}")?;
    }
    match (chosen, image) {
        (Some(_), Some(image)) => writeln!(out, "=> {image}"),
        (Some(tag), None) if open.is_some() => writeln!(out, "=> the digest of {tag}"),
        (_, _) => writeln!(out, "=> nothing"),
    }
}
