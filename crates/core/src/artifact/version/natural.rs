//! Natural order of text: digit runs as numbers (`build-9` < `build-10`).

use std::cmp::Ordering;

use super::Number;

/// Compares two texts with their digit runs as numbers. A total order: texts that differ only in leading zeros are
/// ordered by their spelling.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (x, y) = (take(&mut left), take(&mut right));
        let order = match (x, y) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match (Number::new(x), Number::new(y)) {
                (Some(x), Some(y)) => x.cmp(&y),
                (_, _) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Returns the text with `0` for every run of digits.
pub fn skeleton(text: &str) -> String {
    let mut skeleton = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if skeleton.ends_with('0') => {}
            '0'..='9' => skeleton.push('0'),
            c => skeleton.push(c),
        }
    }
    skeleton
}

/// Consumes a run of digits, or one other character.
fn take<'a>(text: &mut &'a str) -> Option<&'a str> {
    let first = text.chars().next()?;
    let end = if first.is_ascii_digit() { text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()) } else { first.len_utf8() };
    let (part, rest) = text.split_at(end);
    *text = rest;
    Some(part)
}
