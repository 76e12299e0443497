//! The chart in `deploy/helm/headwind`: its generated files, its settings, and its RBAC rules.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use headwind_testbed::Tools;
use headwind_testbed::skip::skipped;
use serde_json::{Value, json};

use super::tables::Kind;
use super::{headwind, read, root};

#[path = "chart/files.rs"]
mod files;
#[path = "chart/rendered.rs"]
mod rendered;
#[path = "chart/schemas.rs"]
mod schemas;

const CHART: &str = "deploy/helm/headwind";

/// Returns the objects of a YAML stream.
pub(super) fn objects(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    all.into_iter().filter(|one| !one.is_null()).collect()
}

/// Returns the kind, the namespace and the name of an object.
fn identity(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// Returns whether this run writes the generated files in place of comparing them.
fn generates() -> bool {
    std::env::var_os("HEADWIND_GENERATE").is_some()
}

/// Compares a generated file with its expected text, or writes it.
fn expect(path: &str, text: &str) {
    let current = fs::read_to_string(root().join(path)).unwrap_or_default();
    if current == text {
        return;
    }
    assert!(generates(), "{path} is out of date: run `make generate`. Expected:\n{text}");
    fs::write(root().join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Compares or writes the generated files of the chart, once.
fn current() {
    static CURRENT: OnceLock<()> = OnceLock::new();
    CURRENT.get_or_init(files::all);
}

/// Returns Helm's program, and reports the skipped test if it could not be built.
fn helm(test: &str) -> Option<Tools> {
    if generates() {
        current();
    }
    let tools = Tools::locate().expect("testbed/tools.sh");
    if tools.has("helm") {
        return Some(tools);
    }
    skipped(test, "Helm could not be built, see the reason above");
    None
}

/// Runs Helm in the root of the repository.
fn run(tools: &Tools, args: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().expect("a folder");
    let output =
        Command::new(tools.path("helm")).args(args).current_dir(root()).env("HELM_CACHE_HOME", home.path()).output().expect("Helm");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Renders the chart for the release `headwind` in `headwind-system`.
fn template(tools: &Tools, args: &[&str]) -> Result<String, String> {
    let given = ["template", "headwind", CHART, "--namespace", "headwind-system", "--kube-version", "1.37.0"];
    run(tools, &[&given, args].concat())
}

#[test]
fn chart_files_are_what_the_code_says() {
    current();
}

/// Every setting of `headwind run` reaches the container.
#[test]
fn chart_sets_every_setting() {
    let Some(tools) = helm("chart_sets_every_setting") else { return };
    let values = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    let free = files::free();
    let settings: serde_json::Map<String, Value> = free
        .iter()
        .filter(|setting| !setting.is_secret)
        .map(|setting| {
            let value = match setting.kind {
                Kind::Boolean => json!(true),
                Kind::Number | Kind::Duration => json!(7),
                Kind::List => json!(["one", "two"]),
                Kind::Text => json!("text"),
            };
            (setting.variable.clone(), value)
        })
        .collect();
    let secret: serde_json::Map<String, Value> = free
        .iter()
        .filter(|setting| setting.is_secret)
        .map(|setting| (setting.variable.clone(), json!({"name": "secrets", "key": setting.variable})))
        .collect();
    let all = json!({
        "settings": settings, "secretSettings": secret, "watchNamespaces": ["shop"],
        "registries": {"config": {"registries": []}}, "tls": {"enabled": true, "existingSecret": "tls"},
    });
    fs::write(values.path(), all.to_string()).expect("writing the values");
    let rendered = objects(&template(&tools, &["-f", values.path().to_str().expect("UTF-8")]).expect("the chart renders"));
    let deployment = rendered.iter().find(|one| one["kind"] == "Deployment").expect("a Deployment");
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("a list");
    let set: BTreeSet<&str> = env.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(set.len(), env.len(), "a variable is set twice: {env:?}");
    let missing: Vec<String> =
        super::tables::options().into_iter().map(|setting| setting.variable).filter(|name| !set.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "the chart cannot set {missing:?}");
}

/// Kinds that `headwind rbac` prints.
const RIGHTS: [&str; 7] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The objects without the labels, in the order of their names.
fn rights(text: &str) -> Vec<Value> {
    let mut all: Vec<Value> = objects(text).into_iter().filter(|one| RIGHTS.iter().any(|kind| one["kind"] == *kind)).collect();
    for one in &mut all {
        let metadata = one["metadata"].as_object_mut().expect("metadata");
        metadata.remove("labels");
    }
    all.sort_by_key(identity);
    all
}

#[test]
fn chart_grants_what_headwind_rbac_prints() {
    let Some(tools) = helm("chart_grants_what_headwind_rbac_prints") else { return };
    for namespaces in [&[][..], &["shop", "store"][..]] {
        let list = namespaces.join(",");
        let (mut values, mut flags) =
            (vec!["--set".to_owned(), format!("watchNamespaces={{{list}}}")], vec!["rbac", "--namespaces", &list]);
        if namespaces.is_empty() {
            values.clear();
            flags.truncate(1);
        }
        let rendered = rights(&template(&tools, &values.iter().map(String::as_str).collect::<Vec<_>>()).expect("the chart renders"));
        let printed = rights(&headwind(&flags));
        assert_eq!(rendered.iter().map(identity).collect::<Vec<_>>(), printed.iter().map(identity).collect::<Vec<_>>());
        for (rendered, printed) in rendered.iter().zip(&printed) {
            assert_eq!(rendered, printed);
        }
    }
    // Another release in another namespace: the policy exempts its account.
    let other =
        run(&tools, &["template", "updates", CHART, "--namespace", "tools", "--set", "serviceAccount.name=bot"]).expect("it renders");
    assert_eq!(rights(&other), rights(&headwind(&["rbac", "--service-account", "tools:bot"])));
}

/// Without objects of the cluster, the chart needs rights in namespaces only.
#[test]
fn chart_without_cluster_scoped_objects() {
    let Some(tools) = helm("chart_without_cluster_scoped_objects") else { return };
    let rendered = template(&tools, &["--set", "clusterScoped=false,watchNamespaces={shop}"]).expect("it renders");
    let without: Vec<String> = objects(&rendered).iter().filter(|one| one["metadata"]["namespace"].is_null()).map(identity).collect();
    assert!(without.is_empty(), "{without:?}");
    let refused = template(&tools, &["--set", "clusterScoped=false"]).expect_err("it needs namespaces");
    assert!(refused.contains("watchNamespaces is required"), "{refused}");
}

/// The dashboard and the alert rules of the chart are those of `deploy/observability`, and are off by default.
#[test]
fn chart_has_the_dashboard_and_the_alerts() {
    let Some(tools) = helm("chart_has_the_dashboard_and_the_alerts") else { return };
    let values = ["--values", "crates/headwind/tests/shipped/chart/values/monitoring.yaml"];
    let rendered = objects(&template(&tools, &values).expect("it renders"));
    let of = |kind: &str| rendered.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let (dashboard, alerts) = (of("ConfigMap"), of("PrometheusRule"));
    assert_eq!([dashboard, alerts].map(identity), ["ConfigMap monitoring/headwind-dashboard", "PrometheusRule monitoring/headwind"]);
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(dashboard["metadata"]["annotations"]["grafana_folder"], "Headwind");
    assert_eq!(alerts["metadata"]["labels"]["release"], "prometheus");
    let json = dashboard["data"]["headwind.json"].as_str().expect("a text");
    assert_eq!(json.trim(), read("deploy/observability/dashboard.json").trim());
    assert_eq!(alerts["spec"], objects(&read("deploy/observability/alerts.yaml"))[0]);
    let default = objects(&template(&tools, &[]).expect("it renders"));
    assert!(default.iter().all(|one| one["kind"] != "ConfigMap" && one["kind"] != "PrometheusRule"), "they are off by default");
}

/// The value with every number as a float: Helm writes 0.0 as 0.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(all) => all.iter().map(floats).collect(),
        Value::Object(all) => Value::Object(all.iter().map(|(key, value)| (key.clone(), floats(value))).collect()),
        _ => value.clone(),
    }
}

#[test]
fn chart_keeps_the_crd_when_it_is_uninstalled() {
    let Some(tools) = helm("chart_keeps_the_crd_when_it_is_uninstalled") else { return };
    let rendered = objects(&template(&tools, &["--show-only", "templates/crd.yaml"]).expect("it renders"));
    assert_eq!(rendered[0]["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    assert!(read(&format!("{CHART}/templates/NOTES.txt")).contains("kubectl delete crd updaterequests.headwind.sh"));
}

/// The flat manifests have the CRD and the rights that the binary prints.
#[test]
fn install_manifest_has_what_the_binary_prints() {
    let text = read("deploy/k8s/install.yaml");
    assert_eq!(rights(&text), rights(&headwind(&["rbac"])), "run `make generate`");
    let crd = objects(&text).into_iter().find(|one| one["kind"] == "CustomResourceDefinition").expect("a CRD");
    assert_eq!(floats(&crd["spec"]), floats(&objects(&headwind(&["crds"]))[0]["spec"]), "run `make generate`");
}
