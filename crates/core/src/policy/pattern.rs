//! Patterns over whole tags: `*`, `?`, `[…]`, `{a,b}`; case counts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::artifact::version::{Identifier, Version};

/// The longest pattern; a tag has at most 128 characters.
const LENGTH: usize = 512;
/// How many alternatives and classes a pattern may have, so that it stays cheap to match.
const CHOICES: usize = 64;

/// A pattern that was read.
///
/// It is compiled when it is first matched, and a clone is compiled again: the settings of every workload are kept in
/// memory, and what is compiled is many times as large as the text.
#[derive(Debug)]
pub struct Pattern {
    text: Arc<str>,
    matcher: OnceLock<Option<Box<GlobMatcher>>>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing would match.
    #[error("the pattern is empty")]
    Empty,
    /// Longer or with more choices than any tag needs.
    #[error("the pattern is too long (at most 512 characters and 64 choices)")]
    TooLong,
    /// It breaks the grammar.
    #[error("the pattern cannot be read: {0}")]
    Grammar(String),
}

impl Pattern {
    /// Reads a pattern.
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

    /// Whether the whole tag matches.
    pub fn matches(&self, tag: &str) -> bool {
        let compile = || glob(&self.text).ok().map(|glob| Box::new(glob.compile_matcher()));
        self.matcher.get_or_init(compile).as_ref().is_some_and(|matcher| matcher.is_match(tag))
    }

    /// Whether the pattern names the word of this pre-release: `*-rc*` does for `1.2.0-rc.1`, `*`
    /// does not.
    pub fn names_pre_release(&self, version: &Version) -> bool {
        version.pre.iter().any(|part| match part {
            Identifier::Word(word) => {
                let letters: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
                // A commit's hash behind `git describe` is no word; its `g` is.
                let letters =
                    if word.len() > letters.len() || version.pre.len() == 1 || !word.starts_with('g') { letters } else { "g".to_owned() };
                self.text.split(|c: char| !c.is_ascii_alphabetic()).any(|run| !run.is_empty() && run.eq_ignore_ascii_case(&letters))
            }
            Identifier::Number(_) => false,
        })
    }
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
