//! Text from outside (tags, pod messages, reasons), made safe for every channel. Each channel also escapes its own markup.

/// Returns the text as one line of at most `limit` characters, without control characters and characters that change how
/// other text is shown (direction, zero width, tags).
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    let mut space = false;
    for letter in text.chars() {
        if letter.is_whitespace() || letter.is_control() {
            space = count > 0;
            continue;
        }
        if is_hidden(letter) {
            continue;
        }
        if count + usize::from(space) >= limit {
            line.push('…');
            return line;
        }
        if std::mem::take(&mut space) {
            line.push(' ');
            count += 1;
        }
        line.push(letter);
        count += 1;
    }
    line
}

/// Returns true for a character that changes how other text is shown, and is itself not visible.
fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes Markdown as in `CommonMark`: each ASCII punctuation mark gets a backslash, so that it is shown as itself. A link
/// needs its `:` and `/`.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        // These have no meaning inside a line, and tags and names are full of them.
        if letter.is_ascii_punctuation() && !matches!(letter, '.' | ',' | '-' | '\'' | ';' | '/') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_and_no_hidden_characters() {
        assert_eq!(one_line(" a\r\n\tb\u{0}\u{7f}c \u{2028} d ", 20), "a b c d");
        assert_eq!(one_line("safe\u{202e}gnp.exe\u{200b}\u{e0041}\u{feff}", 20), "safegnp.exe");
        assert_eq!(one_line("Ünï ✓ 日本", 20), "Ünï ✓ 日本");
    }

    #[test]
    fn a_long_line_is_cut_between_letters() {
        assert_eq!(one_line("ääää", 4), "ääää");
        assert_eq!(one_line("ääääa", 4), "ääää…");
        assert_eq!(one_line("aa  bb", 3), "aa…");
        assert_eq!(one_line("aa  ", 2), "aa");
    }

    #[test]
    fn markdown_is_shown_as_text() {
        assert_eq!(markdown("v1.2-rc_1"), "v1.2-rc\\_1");
        assert_eq!(markdown("[a](https://e)"), "\\[a\\]\\(https\\://e\\)");
        assert_eq!(markdown("**x** `y` <@1> @all #c"), "\\*\\*x\\*\\* \\`y\\` \\<\\@1\\> \\@all \\#c");
    }
}
