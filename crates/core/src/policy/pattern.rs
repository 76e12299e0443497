//! Patterns over whole tags: `*`, `?`, `[…]`, `{a,b}`; case-sensitive.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::artifact::version::{Identifier, Version};

/// Maximum length of a pattern. A tag has at most 128 characters.
const LENGTH: usize = 512;
/// Maximum number of alternatives and classes in a pattern, so that it stays cheap to match.
const CHOICES: usize = 64;

/// A parsed pattern.
///
/// It is compiled at its first match, and a clone is compiled again. The settings of every workload are kept in memory,
/// and a compiled pattern is many times as large as its text.
#[derive(Debug)]
pub struct Pattern {
    text: Arc<str>,
    matcher: OnceLock<Option<Box<GlobMatcher>>>,
}

/// The reasons why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty.
    #[error("the pattern is empty")]
    Empty,
    /// It is longer or has more choices than any tag needs.
    #[error("the pattern is too long (at most 512 characters and 64 choices)")]
    TooLong,
    /// It is invalid.
    #[error("the pattern is invalid: {0}")]
    Grammar(String),
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > LENGTH || text.bytes().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count() > CHOICES {
            return Err(PatternError::TooLong);
        }
        glob(text).map_err(|error| PatternError::Grammar(error.kind().to_string()))?;
        Ok(Self { text: text.into(), matcher: OnceLock::new() })
    }

    /// Returns true if the whole tag matches.
    pub fn matches(&self, tag: &str) -> bool {
        let compile = || glob(&self.text).ok().map(|glob| Box::new(glob.compile_matcher()));
        self.matcher.get_or_init(compile).as_ref().is_some_and(|matcher| matcher.is_match(tag))
    }

    /// Returns true if the pattern contains the word of this pre-release: `*-rc*` does for `1.2.0-rc.1`, `*` does not.
    pub fn names_pre_release(&self, version: &Version) -> bool {
        version.pre.iter().any(|part| match part {
            Identifier::Word(word) => {
                let letters: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
                // The commit hash of `git describe` is not a word; its `g` is.
                let letters =
                    if word.len() > letters.len() || version.pre.len() == 1 || !word.starts_with('g') { letters } else { "g".to_owned() };
                let literal = without_classes(&self.text);
                literal.split(|c: char| !c.is_ascii_alphabetic()).any(|run| !run.is_empty() && run.eq_ignore_ascii_case(&letters))
            }
            Identifier::Number(_) => false,
        })
    }
}

/// Returns the pattern with a blank for each class of characters: `[a-z]` names no word.
fn without_classes(pattern: &str) -> String {
    let mut literal = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => literal.extend(chars.next()),
            '[' => {
                chars.next_if(|c| matches!(c, '!' | '^'));
                // The first character belongs to the class, also if it is a bracket.
                chars.next();
                chars.by_ref().find(|c| *c == ']');
                literal.push(' ');
            }
            c => literal.push(c),
        }
    }
    literal
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build()
}

impl Clone for Pattern {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), matcher: OnceLock::new() }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
