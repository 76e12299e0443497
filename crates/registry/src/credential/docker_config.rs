//! The two formats of a pull secret: `kubernetes.io/dockerconfigjson` and
//! `kubernetes.io/dockercfg`. `~/.docker/config.json` is the first.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::pattern::Pattern;
use super::{Credential, Proof};

/// The format of a pull secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.dockerconfigjson`: `{"auths": {KEY: …}}`.
    DockerConfigJson,
    /// `.dockercfg`: `{KEY: …}`.
    DockerCfg,
}

impl Format {
    /// Returns the format of a file that does not state it; `None` if it is not a JSON object.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let Ok(Value::Object(root)) = serde_json::from_slice::<Value>(bytes) else { return None };
        let holds_credentials = |value: &Value| ENTRY.iter().any(|key| value.get(key).is_some());
        let is_old = !root.contains_key("auths") && root.values().any(holds_credentials);
        Some(if is_old { Self::DockerCfg } else { Self::DockerConfigJson })
    }
}

/// Maximum size of a pull secret, in bytes.
const BYTES: usize = 256 * 1024;
/// Maximum number of entries of a pull secret.
const ENTRIES: usize = 256;
/// The fields of an entry.
const ENTRY: [&str; 5] = ["auth", "username", "password", "identitytoken", "registrytoken"];

/// An unusable part of a pull secret. It quotes the key at most, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry, in the form that Docker and the kubelet accept.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

pub(super) fn read(format: Format, bytes: &[u8]) -> (Vec<(Pattern, Credential)>, Vec<Fault>) {
    let fault = |text: &str| (Vec::new(), vec![Fault(text.to_owned())]);
    if bytes.len() > BYTES {
        return fault(&format!("it is larger than {} KiB", BYTES >> 10));
    }
    // The parser's error would quote the text that it failed to parse.
    let Ok(Value::Object(mut root)) = serde_json::from_slice::<Value>(bytes) else {
        return fault("it is not a JSON object");
    };
    let has_store = root.contains_key("credsStore") || root.contains_key("credHelpers");
    let auths = match format {
        Format::DockerCfg => Value::Object(root),
        Format::DockerConfigJson => match root.remove("auths") {
            Some(auths) => auths,
            None if has_store => {
                return fault("it has no auths; credential helpers are not supported");
            }
            None => return fault("it has no auths"),
        },
    };
    let Value::Object(auths) = auths else { return fault("auths is not a JSON object") };
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    if auths.len() > ENTRIES {
        faults.push(Fault(format!("it has {} entries, and only the first {ENTRIES} are read", auths.len())));
    }
    for (key, value) in auths.into_iter().take(ENTRIES) {
        let shown: String = key.chars().filter(|c| !c.is_control()).take(128).collect();
        let pattern = match Pattern::read(&key) {
            Ok(pattern) => pattern,
            Err(error) => {
                faults.push(Fault(format!("{shown:?} {error}")));
                continue;
            }
        };
        match serde_json::from_value::<Entry>(value).map_err(|_| "has an unexpected structure").and_then(proof) {
            Ok(Some(proof)) => entries.push((pattern, Credential::new(proof))),
            // Desktop engines keep the credential in the store and write an empty entry.
            Ok(None) if has_store => faults.push(Fault(format!(
                "the entry for {shown:?} is empty: its credential is in a store (credsStore, credHelpers) that Headwind cannot read"
            ))),
            Ok(None) => faults.push(Fault(format!("the entry for {shown:?} is empty"))),
            Err(what) => faults.push(Fault(format!("the entry for {shown:?} {what}"))),
        }
    }
    (entries, faults)
}

fn proof(entry: Entry) -> Result<Option<Proof>, &'static str> {
    let Entry { username, password, auth, identitytoken, registrytoken } = entry;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(registrytoken) {
        return Ok(Some(Proof::Token(SecretString::from(token))));
    }
    if let Some(token) = filled(identitytoken) {
        return Ok(Some(Proof::Identity(SecretString::from(token))));
    }
    if let Some(auth) = filled(auth) {
        let (username, password) = decode(&auth).ok_or("has an auth that is not base64 of user:password")?;
        return Ok(Some(Proof::Login { username, password }));
    }
    match (filled(username), filled(password)) {
        (None, None) => Ok(None),
        (username, password) => {
            Ok(Some(Proof::Login { username: username.unwrap_or_default(), password: password.unwrap_or_default().into() }))
        }
    }
}

/// Decodes `auth` with or without padding, line breaks and trailing NULs. All of these occur and the kubelet accepts
/// them.
fn decode(auth: &str) -> Option<(String, SecretString)> {
    let text: String = auth.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = if text.ends_with('=') { STANDARD.decode(&text) } else { STANDARD_NO_PAD.decode(&text) }.ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned().into()))
}
