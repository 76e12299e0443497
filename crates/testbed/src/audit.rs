//! The API server's audit log: requests and their results.
//!
//! A request is one entry, however many lines it has (a watch has one at its start and one at its end). The file is
//! read on from the last position.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ListParams};
use serde::Deserialize;
use serde_json::Value;

use crate::unique::unique;
use crate::wait::eventually;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The user; with impersonation, the impersonated one.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method for a
    /// request without an object.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource; empty for a request without an object (`/version`).
    pub resource: String,
    /// The subresource, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object's name, if the request contains it.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The HTTP status.
    pub code: u16,
    /// When the request arrived.
    pub received: Timestamp,
    /// When its latest stage was reached: the response, or the start of a running watch.
    pub at: Timestamp,
    /// The client's user agent.
    pub user_agent: String,
    /// The request body, if the audit policy records it (`testbed/audit-policy.yaml`).
    pub body: Option<Value>,
}

/// A permission that was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsedRule {
    /// The API group.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource, or empty.
    pub subresource: String,
    /// The verb.
    pub verb: String,
}

/// Selects requests. Fields that are not set match everything.
#[derive(Debug, Clone, Default)]
pub struct Query {
    user: Option<String>,
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<(String, String)>,
    namespace: Option<String>,
    name: Option<String>,
    code: Option<u16>,
    successful: bool,
    since: Option<Timestamp>,
}

impl Query {
    /// Selects every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects requests of a service account.
    #[must_use]
    pub fn account(self, namespace: &str, name: &str) -> Self {
        self.user(&format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// Selects requests of a user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Selects requests with this verb; with several calls, with any of the verbs.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verbs.push(verb.to_owned());
        self
    }

    /// Selects writes.
    #[must_use]
    pub fn writes(self) -> Self {
        ["create", "update", "patch", "delete", "deletecollection"].into_iter().fold(self, Self::verb)
    }

    /// Selects requests in this API group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// Selects requests on this resource: `deployments` (without its subresources), or `updaterequests/status`.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        self.resource = Some((resource.to_owned(), subresource.to_owned()));
        self
    }

    /// Selects requests in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Selects requests on the object with this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Selects responses with this status.
    #[must_use]
    pub fn code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }

    /// Selects responses with a status below 300.
    #[must_use]
    pub fn successful(mut self) -> Self {
        self.successful = true;
        self
    }

    /// Selects requests that arrived at or after this time.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Returns true if the entry matches.
    pub fn takes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|wanted| wanted == got);
        is(&self.user, &entry.user)
            && (self.verbs.is_empty() || self.verbs.contains(&entry.verb))
            && is(&self.group, &entry.group)
            && self.resource.as_ref().is_none_or(|(resource, subresource)| *resource == entry.resource && *subresource == entry.subresource)
            && is(&self.namespace, &entry.namespace)
            && is(&self.name, &entry.name)
            && self.code.is_none_or(|code| code == entry.code)
            && (!self.successful || entry.code < 300)
            && self.since.is_none_or(|since| entry.received >= since)
    }
}

/// A reader of the log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

impl Audit {
    /// Opens the log from its beginning.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, rest: Vec::new(), entries: Vec::new(), places: HashMap::new() }
    }

    /// Opens the log from `offset` on. If that is within a line, the line is skipped. At the end of a long run, reading
    /// the whole log takes many seconds.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn open_at(path: &Path, offset: u64) -> Result<Self> {
        let mut audit = Self { offset, ..Self::open(path) };
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        file.seek(SeekFrom::Start(offset.saturating_sub(1)))?;
        let mut byte = [0];
        while audit.offset > 0 && file.read(&mut byte)? == 1 && byte != *b"\n" {
            audit.offset += 1;
        }
        Ok(audit)
    }

    /// Waits until every request up to now is in the log: sends a request of its own, and waits for its entry.
    pub async fn catch_up(&mut self, client: &Client) -> Result<()> {
        let marker = unique("audit-marker");
        Api::<Namespace>::all(client.clone()).list(&ListParams::default().fields(&format!("metadata.name={marker}"))).await?;
        let this = tokio::sync::Mutex::new(self);
        eventually("the audit log has caught up", Duration::from_secs(20), || async {
            let mut this = this.lock().await;
            this.refresh().map_err(|error| error.to_string())?;
            let last = this.entries.last().map_or("nothing", |entry| entry.uri.as_str()).to_owned();
            if this.entries.iter().rev().any(|entry| entry.uri.contains(&marker)) { Ok(()) } else { Err(format!("last entry: {last}")) }
        })
        .await
    }

    /// Reads the new lines.
    pub fn refresh(&mut self) -> Result<()> {
        let mut file = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let read = file.read_to_end(&mut self.rest)?;
        self.offset += u64::try_from(read)?;
        let complete = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..complete).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line =
                serde_json::from_slice(line).with_context(|| format!("a line of the audit log: {}", String::from_utf8_lossy(line)))?;
            self.add(line);
        }
        Ok(())
    }

    fn add(&mut self, line: Line) {
        let id = line.audit_id.clone();
        let entry = line.entry();
        if let Some(known) = self.places.get(&id).and_then(|place| self.entries.get_mut(*place)) {
            *known = entry;
        } else {
            self.places.insert(id, self.entries.len());
            self.entries.push(entry);
        }
    }

    /// Returns the matching requests, in the order of their first lines.
    pub fn entries(&mut self, query: &Query) -> Result<Vec<Entry>> {
        self.refresh()?;
        Ok(self.entries.iter().filter(|entry| query.takes(entry)).cloned().collect())
    }

    /// Returns the number of matching requests.
    pub fn count(&mut self, query: &Query) -> Result<usize> {
        self.refresh()?;
        Ok(self.entries.iter().filter(|entry| query.takes(entry)).count())
    }

    /// Returns the matching requests that were denied (403).
    pub fn forbidden(&mut self, query: &Query) -> Result<Vec<Entry>> {
        self.entries(&query.clone().code(403))
    }

    /// Returns the permissions that were used successfully. Requests without an object (`/version`, discovery) and
    /// reviews of the caller's own permissions need none and are left out.
    pub fn used_rules(&mut self, query: &Query) -> Result<BTreeSet<UsedRule>> {
        self.refresh()?;
        // After a conflict, a name that exists or a missing object, the permission was still used.
        let granted = |entry: &&Entry| entry.code < 300 || matches!(entry.code, 404 | 409 | 410 | 422);
        Ok(self
            .entries
            .iter()
            .filter(|entry| query.takes(entry) && !entry.resource.is_empty() && !entry.resource.starts_with("selfsubject"))
            .filter(granted)
            .map(|entry| UsedRule {
                group: entry.group.clone(),
                resource: entry.resource.clone(),
                subresource: entry.subresource.clone(),
                verb: entry.verb.clone(),
            })
            .collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    user: Who,
    impersonated_user: Option<Who>,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    #[serde(default)]
    user_agent: String,
    request_object: Option<Value>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Who {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl Line {
    fn entry(self) -> Entry {
        let Self {
            audit_id: _,
            verb,
            uri,
            user,
            impersonated_user,
            object_ref,
            response_status,
            user_agent,
            request_object,
            request_received_timestamp,
            stage_timestamp,
        } = self;
        let ObjectRef { api_group, resource, subresource, namespace, name } = object_ref.unwrap_or_default();
        Entry {
            user: impersonated_user.unwrap_or(user).username,
            verb,
            group: api_group,
            resource,
            subresource,
            namespace,
            name,
            uri,
            code: response_status.map_or(0, |status| status.code),
            received: request_received_timestamp,
            at: stage_timestamp,
            user_agent,
            body: request_object,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(id: &str, verb: &str, code: u16) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/a/deployments/web","verb":"{verb}","user":{{"username":"system:serviceaccount:a:headwind"}},"objectRef":{{"resource":"deployments","namespace":"a","name":"web","apiGroup":"apps","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"2026-11-24T01:00:00.000000Z","stageTimestamp":"2026-11-24T01:00:01.000000Z"}}"#
        )
    }

    #[test]
    fn a_request_counts_once_and_half_a_line_waits() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let third = line("3", "patch", 200);
        let (half, rest) = third.split_at(40);
        write!(file, "{}\n{}\n{}\n{half}", line("1", "watch", 200), line("1", "watch", 200), line("2", "get", 403)).unwrap();
        let mut audit = Audit::open(file.path());
        let own = Query::new().account("a", "headwind");
        assert_eq!(audit.count(&own).unwrap(), 2);
        assert_eq!(audit.forbidden(&own).unwrap().len(), 1);
        writeln!(file, "{rest}").unwrap();
        assert_eq!(audit.count(&own.clone().writes().resource("deployments").since("2026-11-24T01:00:00Z".parse().unwrap())).unwrap(), 1);
        assert_eq!(audit.count(&own.clone().resource("deployments/scale")).unwrap(), 0);
        let verbs: Vec<String> = audit.used_rules(&own).unwrap().into_iter().map(|rule| rule.verb).collect();
        assert_eq!(verbs, ["patch", "watch"]);
    }
}
