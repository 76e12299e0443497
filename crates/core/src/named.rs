//! Enumerations whose values have fixed names: in annotations, flags, labels and log lines.

use std::fmt;

/// The longest part of a text from outside that an error repeats, in characters.
const LONGEST: usize = 64;

/// A text that is not the name of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    what: &'static str,
    text: String,
    known: Vec<&'static str>,
}

impl UnknownName {
    /// Creates the error. `what` names the enumeration, as in "unknown policy", and `known` are all names.
    pub fn new(what: &'static str, text: &str, known: Vec<&'static str>) -> Self {
        Self { what, text: text.chars().take(LONGEST).collect(), known }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} {:?}; use ", self.what, self.text)?;
        for (at, name) in self.known.iter().enumerate() {
            let before = match at {
                0 => "",
                _ if at + 1 == self.known.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownName {}

/// Defines an enumeration with a name for each value: `ALL`, `as_str`, `Display` and `FromStr`.
///
/// After the name of the type stand what errors call it, and how a text is compared with a name.
///
/// ```
/// headwind_core::named! {
///     /// A size.
///     #[derive(Debug, Clone, Copy, PartialEq, Eq)]
///     pub enum Size("size", str::eq) {
///         /// Not large.
///         Small = "small",
///         /// Not small.
///         Large = "large",
///     }
/// }
///
/// assert_eq!("large".parse(), Ok(Size::Large));
/// assert_eq!("Large".parse::<Size>().unwrap_err().to_string(), r#"unknown size "Large"; use small or large"#);
/// ```
#[macro_export]
macro_rules! named {
    (
        $(#[$meta:meta])*
        $vis:vis enum $type:ident($what:literal, $is:expr) {
            $($(#[$inner:meta])* $value:ident = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        $vis enum $type {
            $($(#[$inner])* $value,)+
        }

        impl $type {
            /// Every value, in the order of lists for people.
            $vis const ALL: &'static [$type] = &[$($type::$value,)+];

            /// Returns the name of the value.
            $vis fn as_str(self) -> &'static str {
                match self {
                    $($type::$value => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::named::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let is: fn(&str, &str) -> bool = $is;
                let known = || Self::ALL.iter().map(|value| value.as_str()).collect();
                let value = Self::ALL.iter().copied().find(|value| is(value.as_str(), text));
                value.ok_or_else(|| $crate::named::UnknownName::new($what, text, known()))
            }
        }
    };
}
