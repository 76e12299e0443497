//! Keel's polling schedules.

/// Returns the interval of a schedule, as a duration of Headwind; `None` for times of the day, which Headwind does not
/// have.
pub(super) fn interval(schedule: &str) -> Option<String> {
    let schedule = schedule.trim();
    match schedule {
        "@hourly" => return Some("1h".to_owned()),
        "@daily" | "@midnight" => return Some("1d".to_owned()),
        "@weekly" => return Some("7d".to_owned()),
        _ => {}
    }
    // As Go writes durations: 1h30m, 90s. Fractions of a unit are rare.
    let text = schedule.strip_prefix("@every ")?.trim();
    let duration = crate::settings::duration(text).ok()?;
    let is_go = text.ends_with(['h', 'm', 's']) && !text.contains('d');
    (is_go && !duration.is_zero()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (schedule, expected) in [
            ("@every 10m", Some("10m")),
            ("@every 1h30m", Some("1h30m")),
            ("@hourly", Some("1h")),
            ("@midnight", Some("1d")),
            ("@weekly", Some("7d")),
            ("@every 0s", None),
            ("@every 10", None),
            ("@every 1.5h", None),
            ("@monthly", None),
            ("*/5 * * * *", None),
            ("", None),
        ] {
            assert_eq!(interval(schedule).as_deref(), expected, "{schedule}");
        }
    }
}
