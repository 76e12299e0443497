//! Walks over the YAML of an index: keeps the wanted charts and skips the rest.
//!
//! It reads the parser's events one by one and builds no tree, so that memory holds only what is kept and the current
//! node. It never expands an alias: an alias of a text yields the text, any other is a value of the wrong type. So
//! nothing in a document can grow.
//!
//! An invalid entry affects only itself. Invalid YAML fails the whole index.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, FallibleBufferedInput, Parser, ScalarStyle, ScanError};
use tokio::sync::mpsc::Receiver;

use super::chars::{Chars, LONGEST, Progress};
use super::share::Share;
use super::{BYTES, ChartVersion, VERSIONS};
use crate::budget::Exhausted;

/// Maximum length of a text that is kept.
const TEXT: usize = 2048;
/// Maximum number of anchors in a document, and of characters in all their names.
const ANCHORS: (usize, usize) = (1000, 64 * 1024);
/// Maximum depth of nested collections.
const DEPTH: usize = 100;

/// The result: every wanted chart, including those that the index lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) charts: BTreeMap<String, Vec<ChartVersion>>,
    pub(super) skipped: usize,
}

/// The reasons why an index cannot be read. The messages quote nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it returned a web page instead of its index")]
    Page,
    #[error("its index is not valid YAML (line {0})")]
    Syntax(usize),
    #[error("its index has no entries: it is not a chart repository")]
    NoEntries,
    #[error("its index has a string of more than {LONGEST} characters (line {0})")]
    TooLong(usize),
    #[error("its index has too many anchors")]
    Anchors,
    #[error("its index has more than {VERSIONS} versions of the charts that are followed")]
    TooMany,
    #[error("its index has more than {} MB of the charts that are followed", BYTES / 1_000_000)]
    TooLarge,
    #[error("{0}")]
    NoRoom(#[from] Exhausted),
}

/// The next YAML element of the index.
enum Node {
    /// A text, and true if it is null.
    Scalar(String, bool),
    /// A list begins.
    List,
    /// A map begins.
    Map,
    /// The list or map ends.
    End,
    /// An alias of a list or map.
    Alias,
    /// The document ends.
    Nothing,
}

struct Walk {
    parser: Parser<'static, FallibleBufferedInput<Chars>>,
    progress: Rc<Progress>,
    share: Rc<RefCell<Share>>,
    texts: BTreeMap<usize, (String, bool)>,
    names: usize,
    kept: usize,
    bytes: usize,
    skipped: usize,
}

/// The reasons why an entry is skipped.
enum Odd {
    /// It is not a valid entry.
    Broken,
    /// It is marked as removed.
    Removed,
}

/// Reads a whole index.
pub(super) fn read(pieces: Receiver<Vec<u8>>, wanted: &BTreeSet<String>, share: Share) -> Result<Found, Unreadable> {
    let share = Rc::new(RefCell::new(share));
    let progress = Rc::<Progress>::default();
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_anchor_events: true,
    };
    options.set_emit_comments(false);
    let chars = Chars::new(pieces, Rc::clone(&progress), Rc::clone(&share));
    let parser = Parser::new_from_fallible_iter_with_options(chars, options);
    let mut walk = Walk { parser, progress, share, texts: BTreeMap::new(), names: 0, kept: 0, bytes: 0, skipped: 0 };
    let found = walk.document(wanted);
    match found {
        Err(Unreadable::Syntax(_) | Unreadable::NoEntries) if walk.progress.is_page.get() => Err(Unreadable::Page),
        other => other,
    }
}

impl Walk {
    fn next(&mut self) -> Result<Node, Unreadable> {
        loop {
            let event = match self.parser.next() {
                None => return Ok(Node::Nothing),
                Some(Err(error)) => return Err(unreadable(&error)),
                Some(Ok((event, _))) => event,
            };
            self.progress.since.set(0);
            return Ok(match event {
                Event::Scalar(text, style, anchor, _) => {
                    let none = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                    let text = text.into_owned();
                    if anchor != 0 && text.len() <= TEXT {
                        self.texts.insert(anchor, (text.clone(), none));
                    }
                    Node::Scalar(text, none)
                }
                Event::Alias(anchor) => match self.texts.get(&anchor) {
                    Some((text, none)) => Node::Scalar(text.clone(), *none),
                    None => Node::Alias,
                },
                Event::SequenceStart(..) => Node::List,
                Event::MappingStart(..) => Node::Map,
                Event::SequenceEnd | Event::MappingEnd => Node::End,
                Event::StreamEnd => Node::Nothing,
                Event::Anchor(count, name) => {
                    let (most, letters) = ANCHORS;
                    self.names += name.len();
                    if count > most || self.names > letters {
                        return Err(Unreadable::Anchors);
                    }
                    continue;
                }
                // Document borders. Comments are not requested.
                _ => continue,
            });
        }
    }

    /// Skips the rest of a node that has begun.
    fn pass(&mut self, begun: &Node) -> Result<(), Unreadable> {
        let mut depth = usize::from(matches!(begun, Node::List | Node::Map));
        while depth > 0 {
            match self.next()? {
                Node::List | Node::Map => depth += 1,
                Node::End => depth -= 1,
                Node::Scalar(..) | Node::Alias => {}
                Node::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    /// Returns the next key of a map; `None` at its end. Skips keys that are not texts.
    fn key(&mut self) -> Result<Option<String>, Unreadable> {
        loop {
            match self.next()? {
                Node::Scalar(key, _) => return Ok(Some(key)),
                Node::End | Node::Nothing => return Ok(None),
                odd @ (Node::List | Node::Map | Node::Alias) => {
                    self.pass(&odd)?;
                    let value = self.next()?;
                    self.pass(&value)?;
                }
            }
        }
    }

    fn document(&mut self, wanted: &BTreeSet<String>) -> Result<Found, Unreadable> {
        let mut charts = None;
        if !matches!(self.next()?, Node::Map) {
            return Err(Unreadable::NoEntries);
        }
        while let Some(key) = self.key()? {
            let value = self.next()?;
            match value {
                Node::Map if key == "entries" && charts.is_none() => charts = Some(self.entries(wanted)?),
                Node::Scalar(_, true) if key == "entries" && charts.is_none() => charts = Some(BTreeMap::new()),
                other => self.pass(&other)?,
            }
        }
        // Read to the end: a connection is reused only if its body was read completely.
        while !matches!(self.next()?, Node::Nothing) {}
        let mut charts = charts.ok_or(Unreadable::NoEntries)?;
        for name in wanted {
            charts.entry(name.clone()).or_default();
        }
        Ok(Found { charts, skipped: self.skipped })
    }

    fn entries(&mut self, wanted: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<ChartVersion>>, Unreadable> {
        let mut charts = BTreeMap::new();
        while let Some(name) = self.key()? {
            let value = self.next()?;
            if !wanted.contains(&name) || charts.contains_key(&name) {
                self.pass(&value)?;
            } else if matches!(value, Node::List) {
                charts.insert(name, self.versions()?);
            } else {
                self.skipped += 1;
                self.pass(&value)?;
            }
        }
        Ok(charts)
    }

    fn versions(&mut self) -> Result<Vec<ChartVersion>, Unreadable> {
        let (mut versions, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let entry = match self.next()? {
                Node::End | Node::Nothing => return Ok(versions),
                Node::Map => self.entry()?,
                other => {
                    self.pass(&other)?;
                    Err(Odd::Broken)
                }
            };
            match entry {
                // Helm uses the first of two equal versions.
                Ok(version) if seen.insert(version.version.clone()) => {
                    self.kept += 1;
                    self.bytes += version.size();
                    if self.kept > VERSIONS {
                        return Err(Unreadable::TooMany);
                    }
                    if self.bytes > BYTES {
                        return Err(Unreadable::TooLarge);
                    }
                    self.share.borrow_mut().keep(version.size())?;
                    versions.push(version);
                }
                Ok(_) | Err(Odd::Removed) => {}
                Err(Odd::Broken) => self.skipped += 1,
            }
        }
    }

    fn entry(&mut self) -> Result<Result<ChartVersion, Odd>, Unreadable> {
        let (mut found, mut broken, mut removed) = (ChartVersion::default(), false, false);
        while let Some(key) = self.key()? {
            let value = self.next()?;
            match (key.as_str(), value) {
                ("version", Node::Scalar(text, false)) if is_version(&text) => found.version = text,
                ("appVersion", Node::Scalar(text, none)) => found.app_version = kept(text, none),
                ("digest", Node::Scalar(text, none)) => found.digest = kept(text, none),
                // Go parses any offset and any number of fractional digits.
                ("created", Node::Scalar(text, _)) => found.created = text.parse().ok(),
                ("deprecated", Node::Scalar(text, none)) => match truth(&text, none) {
                    Some(yes) => found.deprecated = yes,
                    None => broken = true,
                },
                ("removed", Node::Scalar(text, none)) => removed = truth(&text, none) == Some(true),
                ("urls", Node::List) => found.url = self.first()?,
                ("urls", Node::Scalar(_, true)) => {}
                ("version" | "appVersion" | "digest" | "created" | "deprecated" | "removed" | "urls", odd) => {
                    broken = true;
                    self.pass(&odd)?;
                }
                (_, other) => self.pass(&other)?,
            }
        }
        Ok(if removed {
            Err(Odd::Removed)
        } else if broken || found.version.is_empty() {
            Err(Odd::Broken)
        } else {
            Ok(found)
        })
    }

    /// Returns the first text of a list. Further URLs of an archive are rare and ignored.
    fn first(&mut self) -> Result<Option<String>, Unreadable> {
        let mut first = None;
        loop {
            match self.next()? {
                Node::End | Node::Nothing => return Ok(first),
                Node::Scalar(text, none) if first.is_none() => first = kept(text, none),
                other => self.pass(&other)?,
            }
        }
    }
}

fn kept(text: String, none: bool) -> Option<String> {
    Some(text).filter(|text| !none && text.len() <= TEXT)
}

/// Returns true if a text could be a version. The rules for versions are not here.
fn is_version(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Parses a boolean as Helm's YAML does (YAML 1.1).
fn truth(text: &str, none: bool) -> Option<bool> {
    if none {
        return Some(false);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

fn unreadable(error: &ScanError) -> Unreadable {
    let line = error.marker().line();
    match error.kind() {
        ErrorKind::InputByteLimitExceeded { .. } => Unreadable::TooLong(line),
        _ => Unreadable::Syntax(line),
    }
}

#[cfg(test)]
mod tests;
