//! The settings of tracing: the standard variables of OpenTelemetry.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::sampler::Sampler;
use super::variable::BadVariable;

/// The beginnings of the variables for the exporter. The variable for traces takes precedence.
const PREFIXES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"];
/// The ends of the variables for the exporter that have no effect.
const UNSUPPORTED: [&str; 3] = ["CLIENT_CERTIFICATE", "CLIENT_KEY", "COMPRESSION"];

/// Maximum number of spans that wait, and of those in one call.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
/// Limits of the two.
const MOST: usize = 100_000;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address that traces are sent to.
    pub(super) url: Url,
    /// Further headers of each call. Their values may be secrets.
    pub(super) headers: HeaderMap,
    /// Timeout of a call.
    pub(super) timeout: Duration,
    /// Pause between calls.
    pub(super) delay: Duration,
    /// Maximum number of spans that wait.
    pub(super) queue: usize,
    /// Maximum number of spans in a call.
    pub(super) batch: usize,
    /// The attributes of the process.
    pub(super) resource: Vec<(String, String)>,
    /// The sampler.
    pub(super) sampler: Sampler,
    /// The variable that names a PEM file with further CAs, and the file.
    pub(super) certificate: Option<(String, PathBuf)>,
    /// The variables that have no effect, to be logged once.
    pub(super) warnings: Vec<BadVariable>,
}

impl Settings {
    /// Reads the variables; `None` if tracing is off. `value` returns the value of a variable.
    ///
    /// # Errors
    /// If a variable has an invalid value.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadVariable> {
        let text = |name: &str| value(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let is = |name: &str, wanted: &str| text(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let mut warnings = unsupported(text);
        let Some(sampler) = Sampler::read(text, &mut warnings) else { return Ok(None) };
        let of = |suffix: &str| {
            let names = PREFIXES.map(|prefix| format!("{prefix}{suffix}"));
            names.into_iter().find_map(|name| text(&name).map(|value| (name, value)))
        };
        let Some((name, endpoint)) = of("ENDPOINT") else { return Ok(None) };
        // The variable for traces has the whole path.
        let is_whole = name.contains("TRACES");
        let url = Url::parse(&endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let mut url = url.ok_or(BadVariable { name, problem: "must be an http or https URL, such as http://collector:4318" })?;
        if !is_whole {
            url.set_path(&format!("{}/v1/traces", url.path().trim_end_matches('/')));
        }
        if let Some((name, protocol)) = of("PROTOCOL")
            && !protocol.starts_with("http/")
        {
            return Err(BadVariable { name, problem: "must be http/json or http/protobuf; Headwind sends JSON over HTTP" });
        }
        let headers = match of("HEADERS") {
            Some((name, all)) => headers(&all).ok_or(BadVariable { name, problem: "must have the form NAME=VALUE,NAME=VALUE" })?,
            None => HeaderMap::new(),
        };
        let number = |found: Option<(String, String)>, default: u64, problem| match found {
            Some((name, value)) => value.parse::<u64>().ok().filter(|number| *number > 0).ok_or(BadVariable { name, problem }),
            None => Ok(default),
        };
        let plain = |name: &str| text(name).map(|value| (name.to_owned(), value));
        let milliseconds = "must be a number of milliseconds";
        let count = |name: &str, default: usize| {
            let read = number(plain(name), default as u64, "must be a number of spans")?;
            Ok::<_, BadVariable>(usize::try_from(read).unwrap_or(MOST).min(MOST))
        };
        let mut resource = match text("OTEL_RESOURCE_ATTRIBUTES") {
            Some(all) => pairs(&all)
                .ok_or(BadVariable { name: "OTEL_RESOURCE_ATTRIBUTES".to_owned(), problem: "must have the form NAME=VALUE,NAME=VALUE" })?,
            None => Vec::new(),
        };
        if let Some(name) = text("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), name));
        }
        Ok(Some(Self {
            url,
            headers,
            timeout: Duration::from_millis(number(of("TIMEOUT"), 10_000, milliseconds)?),
            delay: Duration::from_millis(number(plain("OTEL_BSP_SCHEDULE_DELAY"), 5000, milliseconds)?),
            queue: count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)?,
            batch: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH)?,
            resource,
            sampler,
            certificate: of("CERTIFICATE").map(|(name, file)| (name, file.into())),
            warnings,
        }))
    }
}

/// Returns a warning for each variable that is set and not supported.
fn unsupported(text: impl Fn(&str) -> Option<String>) -> Vec<BadVariable> {
    let is_default = |name: &str, value: &str| name.ends_with("COMPRESSION") && value.eq_ignore_ascii_case("none");
    let names = UNSUPPORTED.iter().flat_map(|suffix| PREFIXES.map(|prefix| format!("{prefix}{suffix}")));
    let set = names.filter(|name| text(name).is_some_and(|value| !is_default(name, &value)));
    set.map(|name| BadVariable { name, problem: "Headwind does not support this variable; it has no effect" }).collect()
}

/// Reads `NAME=VALUE,NAME=VALUE` with percent-encoded values, as W3C Baggage.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let one = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = decoded(value.trim())?;
        Some((name.trim().to_owned(), value)).filter(|(name, _)| !name.is_empty())
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(one).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn headers(text: &str) -> Option<HeaderMap> {
    let one = |(name, value): (String, String)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    pairs(text)?.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(value).map_err(|bad| bad.to_string())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn it_is_off_until_there_is_an_endpoint() {
        assert_eq!(read(&[]), Ok(None));
        for off in [
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ] {
            assert_eq!(read(&[ENDPOINT, off]), Ok(None), "{off:?}");
        }
        let settings = read(&[ENDPOINT]).unwrap().unwrap();
        assert_eq!(settings.url.as_str(), "http://collector:4318/v1/traces");
        assert_eq!(
            (settings.timeout, settings.delay, settings.queue, settings.batch),
            (Duration::from_secs(10), Duration::from_secs(5), 2048, 512)
        );
    }

    #[test]
    fn the_variable_for_traces_comes_first() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/custom");
        assert_eq!(read(&[ENDPOINT, traces]).unwrap().unwrap().url.as_str(), "https://traces.example/custom");
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_headers_are_not_printed() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20canary==, x-team = a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,service.name=other"),
            ("OTEL_SERVICE_NAME", "headwind-prod"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(
            (settings.headers["authorization"].to_str().unwrap(), &settings.headers["x-team"]),
            ("Basic canary==", &HeaderValue::from_static("a"))
        );
        assert!(!format!("{settings:?}").contains("canary"));
        let resource: Vec<_> = settings.resource.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(resource, [("deployment.environment", "prod"), ("service.name", "headwind-prod")]);
    }

    #[test]
    fn variables_without_effect_are_warnings() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/etc/canary.key"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ]);
        let settings = settings.unwrap().unwrap();
        let warned: Vec<&str> = settings.warnings.iter().map(|warning| warning.name.as_str()).collect();
        assert_eq!(warned, ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_TRACES_SAMPLER"]);
        assert!(settings.warnings.iter().all(|warning| !warning.to_string().contains("canary")), "{settings:?}");
        assert_eq!(read(&[ENDPOINT]).unwrap().unwrap().warnings, []);
    }

    #[test]
    fn the_certificate_for_traces_comes_first() {
        let (both, traces) = (("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a.pem"), ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/b.pem"));
        let of = |values: &[(&str, &str)]| read(values).unwrap().unwrap().certificate;
        assert_eq!(of(&[ENDPOINT, both]), Some((both.0.to_owned(), PathBuf::from("/a.pem"))));
        assert_eq!(of(&[ENDPOINT, both, traces]), Some((traces.0.to_owned(), PathBuf::from("/b.pem"))));
        assert_eq!(of(&[ENDPOINT]), None);
    }

    #[rstest::rstest]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]
    #[case("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
    #[case("OTEL_EXPORTER_OTLP_HEADERS", "canary")]
    #[case("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz")]
    #[case("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")]
    #[case("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]
    #[case("OTEL_BSP_MAX_QUEUE_SIZE", "0")]
    #[case("OTEL_RESOURCE_ATTRIBUTES", "=x")]
    fn bad_values(#[case] name: &str, #[case] value: &str) {
        let problem = read(&[(name, value), ENDPOINT]).unwrap_err();
        assert!(problem.starts_with(name) && !problem.contains("canary"), "{problem}");
    }
}
