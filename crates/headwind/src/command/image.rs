//! `headwind image`: parses image references.

use std::io::Write;
use std::process::ExitCode;

use headwind_core::artifact::reference::ImageReference;
use serde::{Deserialize, Serialize};

use super::lines::{self, Output};

/// `headwind image REF…`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image references to parse
    #[arg(required_unless_present = "stdin")]
    references: Vec<String>,
    /// Read one JSON object {"input": REF} per line and print one JSON object for each
    #[arg(long, conflicts_with = "references")]
    stdin: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Debug, Deserialize)]
struct Question {
    input: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    input: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

fn answer(input: &str) -> Result<Answer, String> {
    let reference = ImageReference::parse(input).map_err(|error| format!("{input:?}: {error}"))?;
    Ok(Answer {
        input: input.to_owned(),
        registry: reference.registry().to_owned(),
        repository: reference.repository().to_string(),
        tag: reference.effective_tag().map(str::to_owned),
        digest: reference.digest().map(ToString::to_string),
    })
}

/// Prints every reference. The exit code is a failure if one of them is not valid.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.stdin {
        lines::answer_each(std::io::stdin().lock(), out, |question: Question| answer(&question.input))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for input in &args.references {
        match (answer(input), args.output) {
            (Ok(answer), Output::Json) => lines::write(out, &answer)?,
            (Ok(Answer { input, registry, repository, tag, digest }), Output::Text) => {
                let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                writeln!(
                    out,
                    "{input}\n  registry    {registry}\n  repository  {repository}\n  tag         {}\n  digest      {}",
                    or_none(tag),
                    or_none(digest)
                )?;
            }
            (Err(error), output) => {
                code = ExitCode::FAILURE;
                match output {
                    Output::Json => lines::write(out, &serde_json::json!({"input": input, "error": error}))?,
                    Output::Text => writeln!(out, "{error}")?,
                }
            }
        }
    }
    Ok(code)
}
