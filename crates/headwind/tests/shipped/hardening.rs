//! The statements of `docs/guides/hardening.md` about the shipped manifests.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use headwind_core::workload::Kind;
use headwind_k8s::kinds::facts;
use serde_json::Value;

use super::chart::objects;
use super::{HEADWIND, headwind, read, tables};

fn manifests() -> Vec<Value> {
    objects(&read("deploy/k8s/install.yaml"))
}

fn deployment(all: &[Value]) -> &Value {
    all.iter().find(|one| one["kind"] == "Deployment").expect("a Deployment")
}

/// Returns what the page must say about who may connect.
fn peers(policy: &Value) -> String {
    let Some(from) = policy["spec"]["ingress"][0]["from"].as_array() else { return "From anywhere".to_owned() };
    assert_eq!(from.len(), 1, "{from:?}");
    match (&from[0]["podSelector"]["matchLabels"], &from[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]) {
        (Value::Object(labels), Value::Null) => {
            let (name, value) = labels.iter().next().expect("a label");
            format!("Pods with the label `{name}: {value}`")
        }
        (Value::Null, Value::String(namespace)) => format!("Pods in the namespace `{namespace}`"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hardening_names_who_reaches_each_port() {
    let (page, all) = (read("docs/guides/hardening.md"), manifests());
    let ports = deployment(&all)["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().expect("a list");
    for port in ports {
        let is_about = |one: &&Value| one["kind"] == "NetworkPolicy" && one["spec"]["ingress"][0]["ports"][0]["port"] == port["name"];
        let policy = all.iter().find(is_about).expect("a NetworkPolicy");
        let row = page.lines().find(|line| line.starts_with(&format!("| {} |", port["containerPort"]))).expect("a row");
        assert!(row.contains(&format!("| {} |", peers(policy))), "the manifests allow {}, and the page says {row}", peers(policy));
    }
}

#[test]
fn hardening_names_the_modes_of_callers() {
    let all = manifests();
    let env = deployment(&all)["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("a list");
    let mode = env.iter().find(|one| one["name"] == "HEADWIND_UI_AUTH_MODE").expect("the mode");
    assert_eq!(mode["value"], "token");
    let options = tables::options();
    let default = |name: &str| options.iter().find(|one| one.variable == name).and_then(|one| one.default.clone());
    assert_eq!(default("HEADWIND_UI_AUTH_MODE").as_deref(), Some("none"));
    assert_eq!(default("HEADWIND_UI_ANONYMOUS_ACTIONS").as_deref(), Some("false"));
}

#[test]
fn hardening_describes_the_container() {
    let all = manifests();
    let pod = &deployment(&all)["spec"]["template"]["spec"];
    assert_eq!((&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsNonRoot"]), (&65532.into(), &true.into()));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["containers"][0]["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert!(pod["volumes"].is_null() && pod["containers"][0]["volumeMounts"].is_null(), "it needs no volume: {pod}");
}

/// Returns the verbs of each rule for a resource in the roles with these names.
fn verbs<'a>(all: &'a [Value], role: &str, resource: &str) -> Vec<&'a Value> {
    let is_meant = |one: &&Value| ["Role", "ClusterRole"].iter().any(|kind| one["kind"] == *kind) && one["metadata"]["name"] == role;
    let rules = all.iter().filter(is_meant).flat_map(|one| one["rules"].as_array().into_iter().flatten());
    let concerns = |rule: &&Value| rule["resources"].as_array().is_some_and(|all| all.iter().any(|one| one == resource));
    rules.filter(concerns).map(|rule| &rule["verbs"]).collect()
}

#[test]
fn hardening_describes_the_rights() {
    let all = objects(&headwind(&["rbac"]));
    let cluster: Vec<Value> = all.iter().filter(|one| one["kind"] == "ClusterRole").cloned().collect();
    // Pull secrets are read by name, and no workload is created or deleted.
    assert_eq!(verbs(&cluster, "headwind", "secrets"), [&serde_json::json!(["get"])]);
    for resource in Kind::ALL.iter().map(|kind| facts(*kind).plural) {
        assert_eq!(verbs(&cluster, "headwind", resource), [&serde_json::json!(["get", "list", "watch", "patch"])], "{resource}");
    }
    assert!(verbs(&cluster, "headwind", "pods/exec").is_empty());

    // With namespaces, what is left for the whole cluster are reviews of callers.
    let limited = objects(&headwind(&["rbac", "--namespaces", "shop"]));
    let people = ["headwind-viewer", "headwind-approver", "headwind-manager", "headwind-plugin"];
    for role in limited.iter().filter(|one| one["kind"] == "ClusterRole") {
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        let resources = role["rules"].as_array().into_iter().flatten().flat_map(|rule| rule["resources"].as_array().into_iter().flatten());
        let others: Vec<&Value> = resources.filter(|one| !one.as_str().unwrap_or_default().ends_with("reviews")).collect();
        assert!(people.contains(&name) || others.is_empty(), "{name} has {others:?}");
    }
}

/// Starts Headwind without an API server, and returns what it logs between its start and the first other line.
fn warnings(settings: &[(&str, &str)]) -> String {
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
        clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: a, user: {}}]\n";
    std::fs::write(kubeconfig.path(), text).expect("a kubeconfig");
    let mut command = Command::new(HEADWIND);
    command.arg("run").env_clear().env("KUBECONFIG", kubeconfig.path()).stderr(Stdio::piped()).stdout(Stdio::null());
    for port in ["WEBHOOK", "API", "UI", "METRICS"] {
        command.env(format!("HEADWIND_{port}_ADDR"), "0.0.0.0:0");
    }
    let mut headwind = command.envs(settings.iter().copied()).spawn().expect("Headwind starts");
    let mut lines = BufReader::new(headwind.stderr.take().expect("its log")).lines().map_while(Result::ok);
    let started = lines.by_ref().any(|line| line.contains("starting"));
    let is_about_access = |line: &String| ["HEADWIND_UI_AUTH_MODE", "HEADWIND_WEBHOOK_SECRET"].iter().any(|name| line.contains(name));
    let said: Vec<String> = lines.take_while(is_about_access).collect();
    headwind.kill().expect("it runs");
    headwind.wait().expect("it ended");
    assert!(started, "it did not start");
    said.join("\n")
}

#[test]
fn hardening_names_the_warnings_at_start() {
    let open = warnings(&[]);
    assert!(open.contains("webhooks are not authenticated") && open.contains("HEADWIND_UI_AUTH_MODE is none"), "{open}");
    let believed = warnings(&[("HEADWIND_WEBHOOK_CONFIRM", "false"), ("HEADWIND_UI_AUTH_MODE", "simple")]);
    assert!(believed.contains("can set any tag") && believed.contains("under any name"), "{believed}");
    let token = warnings(&[("HEADWIND_UI_AUTH_MODE", "token"), ("HEADWIND_WEBHOOK_SECRET", "long-enough-for-a-test")]);
    assert!(token.contains("without TLS") && !token.contains("WEBHOOK"), "{token}");
    let proxy = [("HEADWIND_UI_AUTH_MODE", "proxy"), ("HEADWIND_UI_PROXY_CIDRS", "127.0.0.1"), ("HEADWIND_WEBHOOK_SECRET", "a-secret")];
    assert_eq!(warnings(&proxy), "");
}
