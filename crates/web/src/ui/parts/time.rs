//! Renders times as relative text, with the exact time in the `title` attribute.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icon::icon;

/// Below this number of seconds, an expiry is a warning.
const SOON: i64 = 3 * 3600;

/// Describes a time relative to `now`. The script of the pages uses the same rules.
pub(in crate::ui) fn relative(at: Timestamp, now: Timestamp) -> String {
    let millis = at.as_millisecond() - now.as_millisecond();
    let seconds = (millis + 500).div_euclid(1000);
    let size = seconds.abs();
    let text = match size {
        ..45 => return "just now".to_owned(),
        45..5400 => format!("{} min", (size + 30) / 60),
        5400..10_800 if seconds > 0 => format!("{} h {} min", size / 3600, size % 3600 / 60),
        5400..172_800 => format!("{} h", size / 3600),
        _ => format!("{} d", size / 86_400),
    };
    if seconds < 0 { format!("{text} ago") } else { format!("in {text}") }
}

/// Describes a length of time in seconds.
pub(in crate::ui) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3600 if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A timestamp in whole seconds.
pub(in crate::ui) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time.
pub(in crate::ui) fn time(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(stamp(at)) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) { (relative(at, now)) } }
}

/// When a request expires. Below 3 hours, another icon and another colour warn.
pub(in crate::ui) fn expiry(at: Timestamp, now: Timestamp) -> Markup {
    let soon = at.as_second() - now.as_second() < SOON;
    let classes = if soon {
        "inline-flex items-center gap-1.5 tone-warn text-tone font-medium"
    } else {
        "inline-flex items-center gap-1.5 text-muted"
    };
    html! {
        span class=(classes) {
            (icon(if soon { "clock-alert" } else { "clock" }))
            span { span class="sr-only" { "expires " } (time(at, now)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, "just now")]
    #[case(-44, "just now")]
    #[case(-180, "3 min ago")]
    #[case(9_360, "in 2 h 36 min")]
    #[case(72_000, "in 20 h")]
    #[case(-9_360, "2 h ago")]
    #[case(-300_000, "3 d ago")]
    fn relative_times(#[case] seconds: i64, #[case] expected: &str) {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(relative(Timestamp::from_second(1_800_000_000 + seconds).unwrap(), now), expected);
    }

    #[rstest::rstest]
    #[case(-5, "0 s")]
    #[case(190, "3 min 10 s")]
    #[case(300, "5 min")]
    #[case(7_200, "2 h")]
    #[case(9_000, "2 h 30 min")]
    fn spans(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(span(seconds), expected);
    }
}
