//! Changes of a text: only the lines of labels and annotations change, so comments and formats stay.

use std::collections::BTreeMap;
use std::ops::Range;

use headwind_core::keel;
use headwind_core::settings::key;

use super::document::{Content, Node};
use super::workload;

/// A place that cannot be changed.
type Refused = String;

/// The changes of a text.
#[derive(Debug)]
pub(super) struct Edits<'t> {
    text: &'t str,
    newline: &'static str,
    changes: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { text, newline, changes: Vec::new() }
    }

    /// Returns the changed text.
    pub(super) fn apply(mut self) -> String {
        self.changes.sort_by_key(|(place, _)| (place.start, place.end));
        let (mut out, mut done) = (String::with_capacity(self.text.len()), 0);
        for (place, new) in self.changes {
            out.push_str(self.text.get(done..place.start).unwrap_or_default());
            out.push_str(&new);
            done = done.max(place.end);
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }

    /// Removes Keel's keys from the object and its pod template, and adds the annotations to the object.
    ///
    /// # Errors
    /// The key of the place that cannot be changed. Then nothing of the object is changed.
    pub(super) fn settle(&mut self, object: &Node, annotations: &BTreeMap<String, String>) -> Result<(), Refused> {
        let before = self.changes.len();
        let done = self.settle_all(object, annotations);
        if done.is_err() {
            self.changes.truncate(before);
        }
        done
    }

    fn settle_all(&mut self, object: &Node, annotations: &BTreeMap<String, String>) -> Result<(), Refused> {
        let nothing = BTreeMap::new();
        let metadata = object.at(&["metadata"]).ok_or("metadata")?;
        self.metadata(metadata, &keel::is_keel, annotations)?;
        // Removing what Keel wrote would restart the pods.
        let is_setting = |key: &str| keel::is_keel(key) && !keel::is_state(key);
        let Some(template) = workload::template(object) else { return Ok(()) };
        match template.pair("metadata") {
            // A key without value would remain.
            Some((key, metadata)) if is_block(template) && goes_whole(metadata, &is_setting) => {
                let place = self.lines(key)?;
                self.changes.push((place, String::new()));
                Ok(())
            }
            Some((_, metadata)) => self.metadata(metadata, &is_setting, &nothing),
            None => Ok(()),
        }
    }

    fn metadata(&mut self, metadata: &Node, goes: &dyn Fn(&str) -> bool, add: &BTreeMap<String, String>) -> Result<(), Refused> {
        is_plain(metadata, "metadata")?;
        let nothing = BTreeMap::new();
        let parts = [("labels", &nothing), ("annotations", add)];
        for (name, _) in parts {
            if let Some((_, part)) = metadata.pair(name) {
                is_plain(part, name)?;
            }
        }
        let changes = |name: &str, add: &BTreeMap<String, String>| {
            !add.is_empty() || metadata.pair(name).is_some_and(|(_, part)| part.keys().into_iter().any(goes))
        };
        if !parts.iter().any(|(name, add)| changes(name, add)) {
            return Ok(());
        }
        if matches!(metadata.content, Content::Pairs(_, true)) {
            let new = self.flow_metadata(metadata, goes, add);
            self.changes.push((metadata.place.clone(), new));
            return Ok(());
        }
        for (name, add) in parts.into_iter().filter(|(name, add)| changes(name, add)) {
            self.part(metadata, name, goes, add)?;
        }
        Ok(())
    }

    /// Changes the labels or annotations of a block.
    fn part(&mut self, metadata: &Node, name: &str, goes: &dyn Fn(&str) -> bool, add: &BTreeMap<String, String>) -> Result<(), Refused> {
        let Some((key, part)) = metadata.pair(name) else {
            let (last, _) = metadata.pairs().last().ok_or(name)?;
            let end = self.lines(last)?.end;
            let text = format!("{}{name}:{}{}", " ".repeat(last.column), self.newline, self.block(last.column + 2, add));
            self.insert_line(end, &text);
            return Ok(());
        };
        let stays = part.keys().into_iter().any(|key| !goes(key));
        if !stays && add.is_empty() {
            let place = self.lines(key)?;
            self.changes.push((place, String::new()));
            return Ok(());
        }
        match &part.content {
            Content::Pairs(pairs, false) => {
                let (first, _) = pairs.first().ok_or(name)?;
                let start = self.lines(first)?.start;
                self.changes.push((start..start, self.block(first.column, add)));
                for (key, _) in pairs.iter().filter(|(key, _)| key.text().is_some_and(goes)) {
                    let place = self.lines(key)?;
                    self.changes.push((place, String::new()));
                }
            }
            Content::Pairs(_, true) => {
                let new = self.flow(part, goes, add);
                self.changes.push((part.place.clone(), new));
            }
            // A key without value.
            _ => {
                let end = self.lines(key)?.end;
                self.changes.push((part.place.clone(), String::new()));
                self.insert_line(end, &self.block(key.column + 2, add));
            }
        }
        Ok(())
    }

    /// Inserts lines at the start of a line, or after the last line if it has no end.
    fn insert_line(&mut self, at: usize, text: &str) {
        let is_open = at > 0 && !self.text.get(..at).unwrap_or_default().ends_with('\n');
        let new = if is_open { format!("{}{}", self.newline, text.trim_end()) } else { text.to_owned() };
        self.changes.push((at..at, new));
    }

    fn block(&self, column: usize, add: &BTreeMap<String, String>) -> String {
        let line = |(key, value): (&String, &String)| format!("{}{key}: {}{}", " ".repeat(column), quoted(value), self.newline);
        sorted(add).into_iter().map(line).collect()
    }

    /// Returns the lines of a pair of a block: that of the key, and those after it that are indented further.
    fn lines(&self, key: &Node) -> Result<Range<usize>, Refused> {
        let start = self.text.get(..key.place.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let before = self.text.get(start..key.place.start).unwrap_or_default();
        if !before.chars().all(|letter| letter == ' ') {
            return Err(key.text().unwrap_or_default().to_owned());
        }
        let rest = self.text.get(start..).unwrap_or_default();
        let (mut end, mut read) = (0, 0);
        for line in rest.split_inclusive('\n') {
            let inner = line.trim_start_matches(' ');
            let (indent, is_blank) = (line.len() - inner.len(), inner.trim().is_empty());
            let belongs = read == 0 || indent > key.column || (indent == key.column && (inner.starts_with("- ") || inner.trim() == "-"));
            if !is_blank && !belongs {
                break;
            }
            read += line.len();
            if !is_blank {
                end = read;
            }
        }
        Ok(start..start + end)
    }

    fn flow_metadata(&self, metadata: &Node, goes: &dyn Fn(&str) -> bool, add: &BTreeMap<String, String>) -> String {
        let nothing = BTreeMap::new();
        let mut pairs = Vec::new();
        for (key, value) in metadata.pairs() {
            let name = key.text().unwrap_or_default();
            let (head, add) = (self.slice(&(key.place.start..value.place.start)), if name == "annotations" { add } else { &nothing });
            let is_part = ["labels", "annotations"].contains(&name);
            if !is_part {
                pairs.push(format!("{head}{}", self.slice(&value.place)));
            } else if !add.is_empty() || value.keys().into_iter().any(|key| !goes(key)) {
                pairs.push(format!("{head}{}", self.flow(value, goes, add)));
            }
        }
        if metadata.pair("annotations").is_none() && !add.is_empty() {
            pairs.push(format!("\"annotations\": {{{}}}", flow_pairs(add).join(", ")));
        }
        self.joined(metadata, &pairs)
    }

    /// Returns a mapping in flow style without the keys that go, with the new ones first.
    fn flow(&self, part: &Node, goes: &dyn Fn(&str) -> bool, add: &BTreeMap<String, String>) -> String {
        let stay = part.pairs().iter().filter(|(key, _)| !key.text().is_some_and(goes));
        let stay = stay.map(|(key, value)| self.slice(&(key.place.start..value.place.end)).to_owned());
        self.joined(part, &flow_pairs(add).into_iter().chain(stay).collect::<Vec<_>>())
    }

    /// Writes pairs with the line breaks of the mapping that they replace.
    fn joined(&self, old: &Node, pairs: &[String]) -> String {
        let blank = |place: Range<usize>| Some(self.slice(&place)).filter(|text| text.trim().is_empty()).unwrap_or_default();
        let (Some((first, _)), Some((_, last))) = (old.pairs().first(), old.pairs().last()) else {
            return format!("{{{}}}", pairs.join(", "));
        };
        let begin = blank(old.place.start + 1..first.place.start);
        let end = blank(last.place.end..old.place.end.saturating_sub(1));
        let between = if begin.is_empty() { " " } else { begin };
        format!("{{{begin}{}{end}}}", pairs.join(&format!(",{between}")))
    }

    fn slice(&self, place: &Range<usize>) -> &'t str {
        self.text.get(place.clone()).unwrap_or_default()
    }
}

fn is_block(node: &Node) -> bool {
    matches!(node.content, Content::Pairs(_, false))
}

/// Returns true if the metadata consists of labels and annotations that all go.
fn goes_whole(metadata: &Node, goes: &dyn Fn(&str) -> bool) -> bool {
    let is_going = |(name, part): &(Node, Node)| {
        let keys = part.keys();
        ["labels", "annotations"].map(Some).contains(&name.text())
            && keys.len() == part.pairs().len()
            && !keys.is_empty()
            && keys.into_iter().all(goes)
    };
    !metadata.pairs().is_empty() && metadata.pairs().iter().all(is_going)
}

/// Checks that the mapping and its keys are written in full: no anchor, alias or merge key.
fn is_plain(node: &Node, name: &str) -> Result<(), Refused> {
    let is_whole = |(key, _): &(Node, Node)| !key.is_shared && key.text().is_some_and(|text| text != "<<");
    let is_whole = !node.is_shared && node.pairs().iter().all(is_whole);
    if is_whole { Ok(()) } else { Err(name.to_owned()) }
}

/// The policy first.
fn sorted(all: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|(name, _)| (*name != key::POLICY, name.as_str()));
    all
}

fn flow_pairs(all: &BTreeMap<String, String>) -> Vec<String> {
    sorted(all).into_iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect()
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
