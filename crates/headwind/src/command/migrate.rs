//! `headwind migrate keel`: replaces Keel's labels and annotations in manifests by Headwind's annotations.

mod document;
mod edit;
mod workload;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use headwind_core::keel;

use document::{Document, Node};
use edit::Edits;

/// Exit code if a setting was reported.
const REPORTED: u8 = 3;

/// `headwind migrate`
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Replace Keel's labels and annotations by Headwind's annotations
    ///
    /// Reads YAML or JSON manifests and writes them to standard output, otherwise unchanged. Reports to standard error what
    /// has no exact equivalent. Exit code: 0 if everything is translated, 3 if something is reported, 1 if a manifest
    /// cannot be read, 2 if the arguments are invalid. The `keel` section in the values of Helm charts is not translated.
    #[command(after_help = "Example: headwind migrate keel deployment.yaml > new.yaml")]
    Keel {
        /// Files to read. Default, and `-`: standard input
        files: Vec<PathBuf>,
    },
}

/// Translates every manifest.
pub(crate) fn run(args: &Migrate, mut input: impl Read, out: &mut impl Write, report: &mut impl Write) -> anyhow::Result<ExitCode> {
    let From::Keel { files } = &args.from;
    let standard = [PathBuf::from("-")];
    let files = if files.is_empty() { &standard[..] } else { files };
    let mut texts = Vec::new();
    for file in files {
        let mut text = String::new();
        let read = if file.as_os_str() == "-" {
            input.read_to_string(&mut text).map(drop)
        } else {
            std::fs::read_to_string(file).map(|read| text = read)
        };
        read.with_context(|| format!("reading {}", file.display()))?;
        texts.push((file, text));
    }
    // Nothing is written if one of the files is invalid.
    let mut translated = Vec::new();
    let mut notes = Vec::new();
    for (file, text) in &texts {
        let (text, found) = translate(text).with_context(|| file.display().to_string())?;
        translated.push(text);
        notes.extend(found);
    }
    for (number, text) in translated.iter().enumerate() {
        if number > 0 && !text.starts_with("---") {
            writeln!(out, "---")?;
        }
        out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(out)?;
        }
    }
    out.flush()?;
    for note in &notes {
        writeln!(report, "{note}")?;
    }
    Ok(if notes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REPORTED) })
}

/// Returns the text with Headwind's annotations, and what is reported.
fn translate(text: &str) -> anyhow::Result<(String, Vec<String>)> {
    let mut edits = Edits::new(text);
    let mut notes = Vec::new();
    for document in Document::read_all(text)? {
        each_object(&document.root, &mut |object| translate_object(object, &mut edits, &mut notes));
    }
    Ok((edits.apply(), notes))
}

/// Calls the function with each object. The objects of a List are objects.
fn each_object<'t>(node: &'t Node, visit: &mut impl FnMut(&'t Node)) {
    let is_list = node.at(&["kind"]).and_then(Node::text).is_some_and(|kind| kind.ends_with("List"));
    match node.at(&["items"]) {
        Some(items) if is_list => items.items().iter().for_each(|item| each_object(item, visit)),
        _ => visit(node),
    }
}

fn translate_object(object: &Node, edits: &mut Edits<'_>, notes: &mut Vec<String>) {
    let title = workload::title(object);
    let mut report = |key: &str, message: &str| notes.push(format!("{title}: {key}: {message}"));
    if workload::has_values_of_keel(object) {
        report("keel", "the section `keel` of chart values is not translated; annotate the workloads of the chart instead");
    }
    let shared = workload::shared(object);
    let is_set = workload::places(object).iter().any(|place| place.keys().into_iter().any(keel::is_keel));
    if !is_set && shared.is_none() {
        return;
    }
    let Some(manifest) = workload::read(object) else {
        let kind = object.at(&["kind"]).and_then(Node::text).unwrap_or("object without kind");
        report("keel.sh/policy", &format!("Keel does not update a {kind}; nothing is changed"));
        return;
    };
    let translation = keel::translate(&manifest);
    match shared.map_or_else(|| edits.settle(object, &translation.annotations), Err) {
        Ok(()) => {
            for note in &translation.notes {
                report(&note.key, &note.message);
            }
        }
        Err(place) => report(&place, "an anchor, an alias or a merge key; change this manifest by hand"),
    }
}
