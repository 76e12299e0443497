//! Texts with parts of code in them.

use maud::{Markup, html};

/// A text in which backquotes enclose code.
pub(in crate::ui) fn with_code(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The name of a variable, which a narrow page may break after an underscore.
pub(in crate::ui) fn variable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive('_') { (part) wbr; } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("plain <b>", "plain &lt;b&gt;")]
    #[case("if `A_B` is set", "if <code>A_B</code> is set")]
    #[case("`--flag`", "<code>--flag</code>")]
    #[case("an open ` quote", "an open <code> quote</code>")]
    fn code_in_texts(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(with_code(text).into_string(), expected);
    }

    #[test]
    fn variables_break_after_underscores() {
        assert_eq!(variable("MAIL_TO").into_string(), "MAIL_<wbr>TO<wbr>");
    }
}
