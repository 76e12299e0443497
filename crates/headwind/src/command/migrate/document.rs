//! A YAML stream as trees whose nodes know their place in the text.

use std::collections::HashSet;
use std::ops::Range;

use anyhow::{Context as _, bail, ensure};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use headwind_core::keel;

/// Maximum depth of a document.
const DEPTH: usize = 100;

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
}

/// A node of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// Its place, in bytes. For a block collection only the start is exact.
    pub(super) place: Range<usize>,
    /// The column of its start.
    pub(super) column: usize,
    /// True if something refers to it, or it to something.
    pub(super) is_shared: bool,
    pub(super) content: Content,
}

/// The content of a node.
#[derive(Debug)]
pub(super) enum Content {
    /// A scalar; `true` if it is written plain.
    Scalar(String, bool),
    Items(Vec<Node>),
    /// The pairs; `true` in flow style, as in JSON.
    Pairs(Vec<(Node, Node)>, bool),
    /// An alias; `true` if its anchor has a key of Keel.
    Alias(bool),
}

impl Node {
    /// Returns the text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Returns the pairs of a mapping.
    pub(super) fn pairs(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Pairs(pairs, _) => pairs,
            _ => &[],
        }
    }

    /// Returns the items of a sequence.
    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::Items(items) => items,
            _ => &[],
        }
    }

    /// Returns the texts of the keys.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.pairs().iter().filter_map(|(key, _)| key.text()).collect()
    }

    /// Returns the pair with that key.
    pub(super) fn pair(&self, key: &str) -> Option<&(Node, Node)> {
        self.pairs().iter().find(|(name, _)| name.text() == Some(key))
    }

    /// Returns the node at the end of a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| Some(&node.pair(key)?.1))
    }

    /// Returns true for null, `{}` and `[]`.
    pub(super) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Scalar(text, is_plain) => *is_plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_str()),
            Content::Items(items) => items.is_empty(),
            Content::Pairs(pairs, _) => pairs.is_empty(),
            Content::Alias(_) => false,
        }
    }

    /// Returns true if the node has a key of Keel, itself or through an alias.
    pub(super) fn mentions_keel(&self) -> bool {
        match &self.content {
            Content::Scalar(text, _) => keel::is_keel(text),
            Content::Items(items) => items.iter().any(Self::mentions_keel),
            Content::Pairs(pairs, _) => pairs.iter().any(|(key, value)| key.mentions_keel() || value.mentions_keel()),
            Content::Alias(mentions_keel) => *mentions_keel,
        }
    }
}

impl Document {
    /// Reads every document that is not empty. JSON is YAML.
    pub(super) fn read_all(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut options = granit_parser::options! { flow_nesting_limit: DEPTH, block_nesting_limit: DEPTH };
        options.set_emit_comments(false);
        let mut reader = Reader { events: Parser::new_from_str_with_options(text, options), of_keel: HashSet::new() };
        let mut documents = Vec::new();
        loop {
            match reader.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(..), _) => {
                    let (event, span) = reader.next()?;
                    let root = reader.node(event, &span, 0)?;
                    if !root.is_empty() {
                        ensure!(!root.pairs().is_empty(), "a manifest must be a mapping");
                        documents.push(Self { root });
                    }
                }
                _ => {}
            }
        }
    }
}

struct Reader<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> {
    events: I,
    /// The anchors of nodes that have a key of Keel.
    of_keel: HashSet<usize>,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reader<'t, I> {
    fn next(&mut self) -> anyhow::Result<(Event<'t>, Span)> {
        let event = self.events.next().context("the text ends in a document")?;
        event.map_err(|error| anyhow::anyhow!("line {}: {error}", error.marker().line()))
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> anyhow::Result<Node> {
        ensure!(depth < DEPTH, "the document is nested more than {DEPTH} times");
        let start = span.start.byte_offset().context("a place without an offset")?;
        let mut place = start..span.end.byte_offset().unwrap_or(start);
        let (content, anchor) = match event {
            Event::Alias(anchor) => (Content::Alias(self.of_keel.contains(&anchor)), anchor),
            Event::Scalar(text, style, anchor, _) => (Content::Scalar(text.into_owned(), style == ScalarStyle::Plain), anchor),
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => break span,
                        (event, span) => items.push(self.node(event, &span, depth + 1)?),
                    }
                };
                place.end = end.end.byte_offset().unwrap_or(place.end);
                (Content::Items(items), anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                let mut pairs = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::MappingEnd, span) => break span,
                        (event, span) => {
                            let key = self.node(event, &span, depth + 1)?;
                            let (event, span) = self.next()?;
                            pairs.push((key, self.node(event, &span, depth + 1)?));
                        }
                    }
                };
                place.end = end.end.byte_offset().unwrap_or(place.end);
                (Content::Pairs(pairs, style == StructureStyle::Flow), anchor)
            }
            other => bail!("unexpected {other:?}"),
        };
        let node = Node { place, column: span.start.col(), is_shared: anchor != 0, content };
        if node.is_shared && node.mentions_keel() {
            self.of_keel.insert(anchor);
        }
        Ok(node)
    }
}
