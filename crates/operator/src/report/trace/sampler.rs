//! The sampler: selects the updates that have a trace.
//!
//! The ID of a trace decides, and it follows from the UID of the request. So all replicas and later leaders decide alike,
//! and a trace is whole or absent. Headwind takes over no trace of another program, so the `parentbased` samplers decide as
//! for a root span.

use super::variable::BadVariable;

/// The variable with the name of the sampler.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// The variable with the share of the traces.
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampler {
    /// Every trace is sampled.
    All,
    /// Traces with a number below this bound are sampled; see [`number`].
    Below(u64),
}

impl Sampler {
    /// Reads the variables; `None` if no trace is sampled. An invalid value has the effect of the default, which samples
    /// every trace, and adds a warning.
    pub(super) fn read(text: impl Fn(&str) -> Option<String>, warnings: &mut Vec<BadVariable>) -> Option<Self> {
        let mut warn = |name: &str, problem| {
            warnings.push(BadVariable { name: name.to_owned(), problem });
            Some(Self::All)
        };
        match text(SAMPLER).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "always_on" | "parentbased_always_on" => Some(Self::All),
            "always_off" | "parentbased_always_off" => None,
            "traceidratio" | "parentbased_traceidratio" => match text(ARGUMENT).map(|ratio| ratio.parse::<f64>()) {
                None => Some(Self::All),
                Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Self::of(ratio),
                Some(_) => warn(ARGUMENT, "must be a number from 0 to 1; every update is traced"),
            },
            _ => warn(
                SAMPLER,
                "must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or \
                 parentbased_traceidratio; every update is traced",
            ),
        }
    }

    /// Returns the sampler for a share of the traces, from 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^63 fits")]
    fn of(ratio: f64) -> Option<Self> {
        if ratio >= 1.0 {
            return Some(Self::All);
        }
        let bound = (ratio * 2_f64.powi(63)) as u64;
        (bound > 0).then_some(Self::Below(bound))
    }

    /// Returns true if the trace with this ID is sampled.
    pub(super) fn samples(self, trace_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(bound) => number(trace_id).is_some_and(|number| number < bound),
        }
    }
}

/// Returns the number that the sampler compares: the upper 63 bits of the last 8 bytes of the ID.
///
/// The specification of `TraceIdRatioBased` leaves the algorithm open. This is that of OpenTelemetry's SDK for Go
/// (`sdk/trace/sampling.go`).
fn number(trace_id: &str) -> Option<u64> {
    let last = u64::from_str_radix(trace_id.get(16..)?, 16).ok()?;
    Some(last >> 1)
}

#[cfg(test)]
mod tests {
    use super::super::trace_id;
    use super::*;

    fn read(name: &str, ratio: Option<&str>) -> (Option<Sampler>, Vec<String>) {
        let text = |variable: &str| match variable {
            SAMPLER => Some(name.to_owned()),
            ARGUMENT => ratio.map(str::to_owned),
            _ => None,
        };
        let mut warnings = Vec::new();
        let sampler = Sampler::read(text, &mut warnings);
        (sampler, warnings.iter().map(ToString::to_string).collect())
    }

    #[rstest::rstest]
    #[case("always_on", None, Some(Sampler::All))]
    #[case("parentbased_always_on", Some("0"), Some(Sampler::All))]
    #[case("always_off", None, None)]
    #[case("parentbased_always_off", None, None)]
    #[case("traceidratio", None, Some(Sampler::All))]
    #[case("traceidratio", Some("1"), Some(Sampler::All))]
    #[case("TraceIdRatio", Some("0"), None)]
    #[case("parentbased_traceidratio", Some("0.25"), Some(Sampler::Below(1 << 61)))]
    fn samplers(#[case] name: &str, #[case] ratio: Option<&str>, #[case] expected: Option<Sampler>) {
        assert_eq!(read(name, ratio), (expected, Vec::new()));
    }

    #[rstest::rstest]
    #[case("jaeger_remote", None, SAMPLER)]
    #[case("traceidratio", Some("10%"), ARGUMENT)]
    #[case("traceidratio", Some("1.1"), ARGUMENT)]
    #[case("traceidratio", Some("-0.1"), ARGUMENT)]
    #[case("traceidratio", Some("NaN"), ARGUMENT)]
    fn an_invalid_value_has_the_effect_of_the_default(#[case] name: &str, #[case] ratio: Option<&str>, #[case] variable: &str) {
        let (sampler, warnings) = read(name, ratio);
        assert_eq!((sampler, warnings.len()), (Some(Sampler::All), 1));
        assert!(warnings[0].starts_with(&format!("{variable}: must be")), "{warnings:?}");
    }

    #[test]
    fn the_last_bytes_of_the_id_decide() {
        let half = Sampler::of(0.5).unwrap();
        for (last, expected) in
            [("0000000000000000", true), ("7fffffffffffffff", true), ("8000000000000000", false), ("ffffffffffffffff", false)]
        {
            assert_eq!(half.samples(&format!("ffffffffffffffff{last}")), expected, "{last}");
        }
        assert!(!half.samples("short"));
    }

    #[test]
    fn a_share_of_the_updates_is_sampled_and_a_larger_one_contains_it() {
        let [tenth, quarter] = [0.1, 0.25].map(|ratio| Sampler::of(ratio).unwrap());
        let ids: Vec<String> = (0..4000).map(|number| trace_id(&format!("uid-{number}"))).collect();
        let count = ids.iter().filter(|id| quarter.samples(id)).count();
        assert!((850..1150).contains(&count), "{count}");
        assert!(ids.iter().filter(|id| tenth.samples(id)).all(|id| quarter.samples(id)));
    }
}
