//! The preferences of a person, from cookies of the browser: theme, density of rows, keyboard shortcuts.

use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::query::pairs;

/// One year, in seconds.
const AGE: u32 = 31_536_000;

/// The theme of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The preferences of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Preferences {
    /// The theme.
    pub(super) theme: Theme,
    /// Lists show each row on one line.
    pub(super) compact: bool,
    /// Keyboard shortcuts are off.
    pub(super) no_keys: bool,
}

impl Theme {
    /// Returns the word in the cookie.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

impl Preferences {
    /// Reads the cookies. Unknown values count as not set.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        for (name, value) in texts.flat_map(|text| text.split(';')).filter_map(|cookie| cookie.trim().split_once('=')) {
            match (name, value) {
                ("theme", "light") => read.theme = Theme::Light,
                ("theme", "dark") => read.theme = Theme::Dark,
                ("density", "compact") => read.compact = true,
                ("keys", "off") => read.no_keys = true,
                _ => {}
            }
        }
        read
    }

    /// Reads the form of the settings page.
    fn of_form(body: &str) -> Self {
        let mut read = Self { no_keys: true, ..Self::default() };
        for (name, value) in pairs(body) {
            match (name.as_str(), value.as_str()) {
                ("theme", "light") => read.theme = Theme::Light,
                ("theme", "dark") => read.theme = Theme::Dark,
                ("density", "compact") => read.compact = true,
                ("keys", _) => read.no_keys = false,
                _ => {}
            }
        }
        read
    }
}

/// `POST /preferences`: for browsers without script. The script of the pages writes the cookies by itself.
pub(super) async fn save(body: String) -> Response {
    let Preferences { theme, compact, no_keys } = Preferences::of_form(&body);
    let values = [
        ("theme", theme.as_str()),
        ("density", if compact { "compact" } else { "comfortable" }),
        ("keys", if no_keys { "off" } else { "on" }),
    ];
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static("/settings#you"))]).into_response();
    for (name, value) in values {
        if let Ok(cookie) = format!("{name}={value}; Path=/; Max-Age={AGE}; SameSite=Strict").parse() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_and_nothing_else_of_them() {
        let headers = [(COOKIE, "a=b; theme=dark; density=compact; keys=\"><script>".parse().unwrap())].into_iter().collect();
        assert_eq!(Preferences::read(&headers), Preferences { theme: Theme::Dark, compact: true, no_keys: false });
        let headers = [(COOKIE, "theme=\"><script>".parse().unwrap())].into_iter().collect();
        assert_eq!(Preferences::read(&headers), Preferences::default());
    }

    #[tokio::test]
    async fn a_form_writes_only_known_values() {
        let response = save("theme=dark%0d%0aSet-Cookie:x=y&density=compact".to_owned()).await;
        let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        assert_eq!(cookies.len(), 3);
        assert!(
            cookies[0].starts_with("theme=system;") && cookies[1].starts_with("density=compact;") && cookies[2].starts_with("keys=off;")
        );
    }
}
