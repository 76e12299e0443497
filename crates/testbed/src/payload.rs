//! Webhook bodies in the formats of the senders, for tests that send them directly.

use jiff::Timestamp;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Returns a push in the format of a distribution registry (3.1).
pub fn distribution(host: &str, repo: &str, tag: &str, digest: &str) -> Value {
    distribution_events(&[distribution_event("push", host, repo, tag, digest)])
}

/// Returns a body with several events.
pub fn distribution_events(events: &[Value]) -> Value {
    json!({"events": events})
}

/// Returns one event with the given action (`push`, `pull`, `delete`, `mount`).
pub fn distribution_event(action: &str, host: &str, repo: &str, tag: &str, digest: &str) -> Value {
    let method = match action {
        "push" => "PUT",
        "delete" => "DELETE",
        _ => "GET",
    };
    json!({
        "id": format!("test-{repo}-{tag}-{action}"),
        "timestamp": Timestamp::now().to_string(),
        "action": action,
        "target": {
            "mediaType": MANIFEST, "digest": digest, "size": 400, "length": 400,
            "repository": repo, "url": format!("http://{host}/v2/{repo}/manifests/{digest}"), "tag": tag,
        },
        "request": {"id": "00000000-0000-4000-8000-000000000000", "addr": "127.0.0.1:40000", "host": host, "method": method, "useragent": "headwind-testbed"},
        "actor": {},
        "source": {"addr": host, "instanceID": "00000000-0000-4000-8000-000000000001"},
    })
}

/// Returns a push in Docker Hub's format; `repo_name` is `namespace/name`.
pub fn docker_hub(repo_name: &str, tag: &str) -> Value {
    let (namespace, name) = repo_name.split_once('/').unwrap_or(("library", repo_name));
    json!({
        "callback_url": format!("https://registry.hub.docker.com/u/{repo_name}/hook/test/"),
        "push_data": {"pushed_at": Timestamp::now().as_second(), "pusher": "tester", "tag": tag},
        "repository": {
            "comment_count": 0, "date_created": 1_417_494_799, "description": "", "dockerfile": "", "full_description": "",
            "is_official": false, "is_private": false, "is_trusted": false, "name": name, "namespace": namespace, "owner": namespace,
            "repo_name": repo_name, "repo_url": format!("https://registry.hub.docker.com/u/{repo_name}/"), "star_count": 0, "status": "Active",
        },
    })
}
