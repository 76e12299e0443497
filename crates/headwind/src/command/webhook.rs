//! `headwind webhook`: shows which events Headwind reads from a webhook payload.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use headwind_webhook::senders::{Envelope, Ignored, Sender, decode};
use serde::{Deserialize, Serialize};

use super::lines::{self, Output};

/// Maximum number of bytes that are read of a file.
const BODY: u64 = 64 * 1024 * 1024;

/// `headwind webhook [--sender NAME] [--header 'K: V']… FILE|-`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sender of the payload
    #[arg(long, help = format!("Sender of the payload ({}). If unset, Headwind recognizes it by structure and headers", Sender::ALL.iter().map(|sender| sender.as_str()).collect::<Vec<_>>().join(", ")))]
    sender: Option<Sender>,
    /// Registry host, for senders that do not send it
    #[arg(long)]
    registry: Option<String>,
    /// HTTP header of the webhook, as 'Name: value'. May be repeated
    #[arg(long, value_parser = header)]
    header: Vec<(String, String)>,
    /// File with the payload, or - for standard input
    #[arg(required_unless_present = "stdin")]
    file: Option<String>,
    /// Read one JSON object {"sender","registry","headers","body" or "raw"} per line and print one JSON object for each
    #[arg(long, conflicts_with_all = ["sender", "registry", "header", "file"])]
    stdin: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    output: Output,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("use the form 'Name: value'")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

#[derive(Debug, Deserialize)]
struct Question {
    #[serde(default)]
    sender: Option<String>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<serde_json::Value>,
    #[serde(default)]
    raw: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    sender: &'static str,
    events: Vec<Event>,
    ignored: Vec<Ignored>,
}

#[derive(Debug, Serialize)]
struct Event {
    repository: String,
    /// The chart, if the repository is a Helm repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    chart: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

fn answer(sender: Option<Sender>, registry: Option<&str>, headers: &BTreeMap<String, String>, body: &[u8]) -> Result<Answer, String> {
    let header = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let decoded = decode(&Envelope { sender, registry, header: &header, body }).map_err(|error| error.to_string())?;
    let events = decoded.events.into_iter().map(|event| Event {
        repository: event.origin.to_string(),
        chart: event.chart,
        tag: event.tag,
        digest: event.digest.map(|digest| digest.to_string()),
    });
    Ok(Answer { sender: decoded.sender.as_str(), events: events.collect(), ignored: decoded.ignored })
}

fn answer_line(question: Question) -> Result<Answer, String> {
    let Question { sender, registry, headers, body, raw } = question;
    let sender = sender.map(|name| name.parse::<Sender>().map_err(|error| error.to_string())).transpose()?;
    let body = match (body, raw) {
        (_, Some(raw)) => raw,
        (Some(body), None) => body.to_string(),
        (None, None) => return Err("the line has neither body nor raw".to_owned()),
    };
    answer(sender, registry.as_deref(), &headers, body.as_bytes())
}

/// Decodes the file, or every line.
pub(crate) fn run(args: &Args, mut stdin: impl BufRead, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.stdin {
        lines::answer_each(stdin, out, answer_line)?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = args.file.as_deref().unwrap_or("-");
    let mut body = Vec::new();
    if file == "-" {
        stdin.by_ref().take(BODY).read_to_end(&mut body).context("standard input")?;
    } else {
        std::fs::File::open(file).with_context(|| file.to_owned())?.take(BODY).read_to_end(&mut body).with_context(|| file.to_owned())?;
    }
    let headers = args.header.iter().cloned().collect();
    let answer = answer(args.sender, args.registry.as_deref(), &headers, &body).map_err(anyhow::Error::msg)?;
    match args.output {
        Output::Json => lines::write(out, &answer)?,
        Output::Text => {
            writeln!(out, "sender {}", answer.sender)?;
            for Event { repository, chart, tag, digest } in &answer.events {
                let chart = chart.as_ref().map(|chart| format!(" {chart}")).unwrap_or_default();
                writeln!(
                    out,
                    "push   {repository}{chart}:{}{}",
                    tag.as_deref().unwrap_or_default(),
                    digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default()
                )?;
            }
            for Ignored { reason, detail } in &answer.ignored {
                writeln!(out, "none   {}: {detail}", reason.code())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
