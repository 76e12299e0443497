//! `headwind policy`: what a policy would choose, and why.

use std::io::Write;
use std::process::ExitCode;

use headwind_core::policy::{Answer, AnswerCandidate, Kind, Outcome, Policy, Question, answer};

use super::lines::{self, Output};

/// `headwind policy --current REF_OR_TAG --policy P [--pattern G] CANDIDATE…`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What runs: an image reference, a tag, or, with --chart, a version
    #[arg(long, required_unless_present = "stdin")]
    current: Option<String>,
    /// none, patch, minor, major, all, glob or force
    #[arg(long, required_unless_present = "stdin")]
    policy: Option<Policy>,
    /// What tags have to match; policy glob needs it
    #[arg(long)]
    pattern: Option<String>,
    /// The versions are a chart's
    #[arg(long)]
    chart: bool,
    /// What could run
    candidates: Vec<String>,
    /// Read lines {"current","policy","pattern","kind","candidates","digests","deprecated"} and answer each with a line
    #[arg(long, conflicts_with_all = ["current", "policy", "pattern", "chart", "candidates"])]
    stdin: bool,
    /// How to print
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// Answers the question, or every line.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.stdin {
        lines::answer_each(std::io::stdin().lock(), out, |question: Question| answer(&question))?;
        return Ok(ExitCode::SUCCESS);
    }
    let question = Question {
        current: args.current.clone().unwrap_or_default(),
        policy: args.policy.unwrap_or_default(),
        pattern: args.pattern.clone(),
        kind: if args.chart { Kind::Chart } else { Kind::Image },
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

/// Prints an answer for a person.
pub(crate) fn print(answer: &Answer, out: &mut impl Write) -> std::io::Result<()> {
    let Answer { chosen, image, candidates } = answer;
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
        (_, _) => writeln!(out, "=> nothing"),
    }
}
