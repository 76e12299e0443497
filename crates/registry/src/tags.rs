//! A repository's list of tags: which tags are kept, and the limits.
//!
//! A page is read tag by tag, and only what the caller wants is kept. So memory holds one page and the kept tags,
//! whatever the registry sends.

use std::fmt;

use headwind_core::artifact::reference::is_tag;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Maximum number of pages of a list.
pub(crate) const PAGES: usize = 200;
/// Maximum size of one page, decompressed, in bytes.
pub(crate) const PAGE: usize = 4 * 1024 * 1024;
/// Maximum number of tags that are kept of a list.
const TAGS: usize = 50_000;
/// Maximum number of bytes of all kept tags of a list.
const BYTES: usize = 10_000_000;
/// Memory that a kept tag uses in addition to its text.
const TAG: usize = size_of::<String>();

/// The tags of a list that the caller wants.
#[derive(Clone, Copy)]
pub struct Keep<'a> {
    accepts: &'a (dyn Fn(&str) -> bool + Send + Sync),
    fingerprint: u64,
}

impl Keep<'static> {
    /// Keeps every tag.
    pub fn everything() -> Self {
        Self { accepts: &|_| true, fingerprint: 0 }
    }
}

impl<'a> Keep<'a> {
    /// Keeps the tags that `accepts` accepts. `fingerprint` identifies the filter: pages that were read with another
    /// filter are not reused.
    pub fn matching(fingerprint: u64, accepts: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Self {
        Self { accepts, fingerprint }
    }
}

impl fmt::Debug for Keep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The tags of a repository, as read page by page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pages: Vec<Page>,
    unchanged: bool,
    keep: u64,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Path and query.
    pub(crate) address: String,
    pub(crate) etag: Option<String>,
    pub(crate) tags: Vec<String>,
    /// True if the registry listed no tag on it.
    pub(crate) empty: bool,
    pub(crate) next: Option<String>,
}

impl Page {
    /// Returns its approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let Self { address, etag, tags, empty: _, next } = self;
        let texts = [Some(address), etag.as_ref(), next.as_ref()];
        texts.into_iter().flatten().chain(tags).map(|text| TAG + text.len()).sum()
    }
}

impl Listing {
    pub(crate) fn new(keep: &Keep<'_>) -> Self {
        Self { pages: Vec::new(), unchanged: true, keep: keep.fingerprint }
    }

    /// Returns every kept tag, in the registry's order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.pages.iter().flat_map(|page| page.tags.iter().map(String::as_str))
    }

    /// Returns true if the registry answered for every page that it is unchanged (304).
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Returns true if caching it saves work next time.
    pub fn is_worth_keeping(&self) -> bool {
        self.pages.iter().any(|page| page.etag.is_some())
    }

    /// Returns its approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        self.pages.iter().map(Page::size).sum()
    }

    /// Returns the page at an address that was read before with the same filter.
    pub(crate) fn page(&self, address: &str, keep: &Keep<'_>) -> Option<&Page> {
        self.pages.iter().find(|page| self.keep == keep.fingerprint && page.address == address)
    }

    pub(crate) fn push(&mut self, page: Page, changed: bool) {
        self.unchanged &= !changed;
        self.pages.push(page);
    }
}

/// The rest of the limits for one list.
#[derive(Debug)]
pub(crate) struct Remaining {
    tags: usize,
    bytes: usize,
}

/// The reasons why the tags of a page cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("its list of tags is not the expected JSON")]
    Json,
    #[error("it returned an error with a success status in place of the list of tags")]
    Errors,
    #[error("its list has more than {TAGS} usable tags")]
    Tags,
    #[error("its list has more than {} MB of usable tags", BYTES / 1_000_000)]
    Bytes,
}

impl Default for Remaining {
    fn default() -> Self {
        Self { tags: TAGS, bytes: BYTES }
    }
}

impl Remaining {
    /// Counts a tag against the limits.
    pub(crate) fn take(&mut self, tag: &str) -> Result<(), Unusable> {
        self.tags = self.tags.checked_sub(1).ok_or(Unusable::Tags)?;
        self.bytes = self.bytes.checked_sub(TAG + tag.len()).ok_or(Unusable::Bytes)?;
        Ok(())
    }
}

/// Reads the body of a page. Returns the kept tags, and the number of all tags.
pub(crate) fn read(body: &[u8], keep: &Keep<'_>, remaining: &mut Remaining) -> Result<(Vec<String>, usize), Unusable> {
    let mut page = Reader { keep, remaining, kept: Vec::new(), count: 0, full: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Body(&mut page).deserialize(&mut json).and_then(|shape| json.end().map(|()| shape));
    let Reader { kept, count, full, .. } = page;
    match (full, read) {
        (Some(full), _) => Err(full),
        (None, Err(_)) => Err(Unusable::Json),
        (None, Ok(Shape::Errors)) => Err(Unusable::Errors),
        (None, Ok(Shape::List)) => Ok((kept, count)),
    }
}

struct Reader<'a> {
    keep: &'a Keep<'a>,
    remaining: &'a mut Remaining,
    kept: Vec<String>,
    count: usize,
    /// The limit that was exceeded.
    full: Option<Unusable>,
}

/// The shape of the object.
enum Shape {
    List,
    Errors,
}

/// `{"name": …, "tags": […] or null}`. Other fields are ignored.
struct Body<'a, 'b>(&'a mut Reader<'b>);

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with tags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (mut list, mut errors) = (false, false);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Tags => {
                    list = true;
                    map.next_value_seed(Tags(self.0))?;
                }
                Key::Name => {
                    list = true;
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Errors => {
                    errors = true;
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (list, errors) {
            (true, _) => Ok(Shape::List),
            (false, true) => Ok(Shape::Errors),
            (false, false) => Err(A::Error::custom("no tags")),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Tags,
    Name,
    Errors,
    #[serde(other)]
    Other,
}

struct Tags<'a, 'b>(&'a mut Reader<'b>);

impl<'de> DeserializeSeed<'de> for Tags<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tags<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tags: A) -> Result<(), A::Error> {
        while tags.next_element_seed(Tag(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Tag<'a, 'b>(&'a mut Reader<'b>);

impl<'de> DeserializeSeed<'de> for Tag<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Tag<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag")
    }

    fn visit_str<E: serde::de::Error>(self, tag: &str) -> Result<(), E> {
        let Reader { keep, remaining, kept, count, full } = self.0;
        *count += 1;
        if is_tag(tag) && (keep.accepts)(tag) {
            if let Err(limit) = remaining.take(tag) {
                *full = Some(limit);
                return Err(E::custom("full"));
            }
            kept.push(tag.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn kept(body: &str) -> Result<(Vec<String>, usize), Unusable> {
        read(body.as_bytes(), &Keep::everything(), &mut Remaining::default())
    }

    #[rstest]
    #[case::list(r#"{"name":"a","tags":["1","2"]}"#, &["1", "2"], 2)]
    #[case::escaped(r#"{"tags":["1\u002e0"]}"#, &["1.0"], 1)]
    #[case::null(r#"{"name":"a","tags":null}"#, &[], 0)]
    #[case::left_out(r#"{"name":"a"}"#, &[], 0)]
    #[case::empty(r#"{"tags":[]}"#, &[], 0)]
    #[case::no_tags_of_that_form(r#"{"tags":["a b","-x","ok",""]}"#, &["ok"], 4)]
    #[case::more_in_it(r#"{"manifest":{"a":[1,{}]},"tags":["1"],"errors":[]}"#, &["1"], 1)]
    fn lists(#[case] body: &str, #[case] tags: &[&str], #[case] count: usize) {
        assert_eq!(kept(body), Ok((tags.iter().map(|&tag| tag.to_owned()).collect(), count)));
    }

    #[rstest]
    #[case::null("null", Unusable::Json)]
    #[case::array("[]", Unusable::Json)]
    #[case::no_list("{}", Unusable::Json)]
    #[case::numbers(r#"{"tags":[1]}"#, Unusable::Json)]
    #[case::text(r#"{"tags":"1"}"#, Unusable::Json)]
    #[case::half(r#"{"tags":["1""#, Unusable::Json)]
    #[case::more_behind_it(r#"{"tags":["1"]} x"#, Unusable::Json)]
    #[case::errors(r#"{"errors":[{"code":"DENIED"}]}"#, Unusable::Errors)]
    fn no_lists(#[case] body: &str, #[case] expected: Unusable) {
        assert_eq!(kept(body), Err(expected));
    }

    #[test]
    fn only_what_is_wanted_counts() {
        let body = format!(r#"{{"tags":[{}"1.0"]}}"#, r#""nightly","#.repeat(TAGS));
        assert_eq!(kept(&body), Err(Unusable::Tags));
        let wanted = |tag: &str| tag.starts_with('1');
        let (tags, count) = read(body.as_bytes(), &Keep::matching(1, &wanted), &mut Remaining::default()).unwrap();
        assert_eq!((tags, count), (vec!["1.0".to_owned()], TAGS + 1));
    }

    #[test]
    fn bytes_are_limited() {
        let mut remaining = Remaining::default();
        let tag = "x".repeat(1000);
        assert_eq!((0..TAGS).find_map(|_| remaining.take(&tag).err()), Some(Unusable::Bytes));
    }

    #[test]
    fn pages_of_another_filter_are_not_used_again() {
        let page = Page { address: "a".to_owned(), etag: None, tags: Vec::new(), empty: true, next: None };
        let mut listing = Listing::new(&Keep::everything());
        listing.push(page, true);
        assert!(listing.page("a", &Keep::everything()).is_some());
        assert!(listing.page("a", &Keep::matching(1, &|_| true)).is_none());
    }
}
