//! Reads Prometheus text, as far as tests need it.

use anyhow::{Context, Result, bail};

/// Returns the sum of the series with this name and these labels.
pub(super) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let mut sum = 0.0;
    let mut seen = false;
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            let family = (words.next() == Some("TYPE")).then(|| words.next()).flatten();
            seen |= family.is_some_and(|family| {
                family == name
                    || name.strip_prefix(family).is_some_and(|rest| ["_total", "_count", "_sum", "_bucket", "_info"].contains(&rest))
            });
            continue;
        }
        let Some(rest) = line.strip_prefix(name) else { continue };
        let (own, value) = match rest.strip_prefix('{') {
            Some(rest) => series(rest).with_context(|| format!("a line of /metrics: {line}"))?,
            None if rest.starts_with(' ') => (Vec::new(), rest),
            None => continue,
        };
        seen = true;
        if labels.iter().all(|(key, wanted)| own.iter().any(|(name, value)| name == key && value == wanted)) {
            // A timestamp or an exemplar may follow.
            let value = value.split_whitespace().next().with_context(|| format!("no value: {line}"))?;
            sum += value.parse::<f64>().with_context(|| format!("not a number: {line}"))?;
        }
    }
    if !seen {
        bail!("there is no metric {name}; there are: {}", families(text).join(" "));
    }
    Ok(sum)
}

/// Returns the labels up to the closing brace, and the rest.
fn series(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(value) = rest.strip_prefix('}') {
            return Some((labels, value));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        rest = after.get(end + 1..)?;
    }
}

fn families(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next()).collect()
}

#[cfg(test)]
mod tests {
    use super::sum;

    const TEXT: &str = "# HELP headwind_events Events.\n# TYPE headwind_events counter\nheadwind_events_total{sender=\"hub\",why=\"a \\\"b\\\", c}\"} 3\nheadwind_events_total{sender=\"registry\"} 4 1700000000\n# TYPE headwind_pending gauge\nheadwind_pending 2.5\n# TYPE headwind_empty counter\nheadwind_pending_more 9\n# EOF\n";

    #[test]
    fn sums_what_has_the_labels() {
        let get = |name, labels: &[(&str, &str)]| sum(TEXT, name, labels).map_err(|error| error.to_string());
        assert_eq!(get("headwind_events_total", &[]), Ok(7.0));
        assert_eq!(get("headwind_events_total", &[("sender", "hub"), ("why", "a \"b\", c}")]), Ok(3.0));
        assert_eq!(get("headwind_pending", &[]), Ok(2.5));
        assert_eq!(get("headwind_empty_total", &[("x", "y")]), Ok(0.0));
        assert!(get("headwind_pend", &[]).unwrap_err().contains("no metric headwind_pend"));
    }
}
