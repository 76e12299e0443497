//! The rendered chart for the value sets in `chart/values`, and `deploy/k8s/install.yaml`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{CHART, expect, helm, objects, run, schemas, template};
use crate::{read, root};

/// The templates whose objects other tests compare with the output of the binary or with `deploy/observability`.
const COMPARED: [&str; 6] = ["crd.yaml", "rbac.yaml", "people.yaml", "admissionpolicy.yaml", "dashboards.yaml", "prometheusrule.yaml"];

/// Returns the files with values, and the names of the sets.
fn sets() -> Vec<(String, PathBuf)> {
    let folder = root().join("crates/headwind/tests/shipped/chart/values");
    let mut all: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned(), path))
        .collect();
    all.sort();
    assert!(all.len() >= 8, "{all:?}");
    all
}

#[test]
fn chart_renders_what_the_snapshots_show() {
    let Some(tools) = helm("chart_renders_what_the_snapshots_show") else { return };
    let mut rendered = Vec::new();
    for (name, path) in sets() {
        let values = path.to_str().expect("UTF-8");
        let text = template(&tools, &["--values", values]).unwrap_or_else(|error| panic!("{name}: {error}"));
        run(&tools, &["lint", CHART, "--strict", "--quiet", "--values", values]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let own = text.split("---\n").filter(|one| {
            !one.trim().is_empty() && !COMPARED.iter().any(|template| one.contains(&format!("# Source: headwind/templates/{template}")))
        });
        let own = own.flat_map(|one| ["---\n", one]).collect::<String>();
        expect(&format!("crates/headwind/tests/shipped/chart/snapshots/{name}.yaml"), &own);
        is_restricted(&name, &objects(&text));
        rendered.push((name, text));
    }
    schemas::validate(&tools, &rendered);
}

/// The pods fulfil the Pod Security Standard `restricted`.
fn is_restricted(name: &str, all: &[Value]) {
    let deployment = all.iter().find(|one| one["kind"] == "Deployment").expect("a Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
    assert!(pod["hostNetwork"].is_null(), "{name}");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["capabilities"], serde_json::json!({"drop": ["ALL"]}), "{name}");
    assert_eq!((&container["allowPrivilegeEscalation"], &container["readOnlyRootFilesystem"]), (&false.into(), &true.into()), "{name}");
}

/// Each port has one Service and one `NetworkPolicy`. Probes have a longer timeout than the kubelet's default of one second.
#[test]
fn install_manifest_publishes_each_port_once() {
    let objects = objects(&read("deploy/k8s/install.yaml"));
    let of = |kind: &str| objects.iter().filter(|one| one["kind"] == kind).collect::<Vec<_>>();
    let container = &of("Deployment")[0]["spec"]["template"]["spec"]["containers"][0];
    let names = |ports: &Value, field: &str| -> Vec<String> {
        ports.as_array().into_iter().flatten().filter_map(|port| port[field].as_str().map(str::to_owned)).collect()
    };
    let ports = names(&container["ports"], "name");
    assert_eq!(ports.len(), 4, "{ports:?}");
    for port in &ports {
        let services = of("Service").into_iter().filter(|one| names(&one["spec"]["ports"], "targetPort").contains(port)).count();
        let policies = of("NetworkPolicy").into_iter().filter(|one| names(&one["spec"]["ingress"][0]["ports"], "port") == [port.as_str()]);
        assert_eq!((services, policies.count()), (1, 1), "{port}");
    }
    // The only Service that a cluster may publish as a whole has only the webhook port.
    let public = of("Service").into_iter().find(|one| one["metadata"]["name"] == "headwind-webhook").expect("a Service");
    assert_eq!(names(&public["spec"]["ports"], "name"), ["webhook"]);
    for probe in ["livenessProbe", "readinessProbe"] {
        assert!(container[probe]["timeoutSeconds"].as_u64().is_some_and(|seconds| seconds > 1), "{probe}");
    }
    let kustomization = read("deploy/k8s/kustomization.yaml");
    for file in fs::read_dir(root().join("deploy/k8s")).expect("a folder").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(name == "kustomization.yaml" || kustomization.contains(&format!("- {name}\n")), "kustomization.yaml lacks {name}");
    }
}

#[test]
fn chart_install_manifest_is_what_the_chart_renders() {
    let Some(tools) = helm("chart_install_manifest_is_what_the_chart_renders") else { return };
    let text = template(&tools, &["--set", "flatManifests=true"]).expect("it renders");
    let text = text.split_inclusive('\n').filter(|line| !line.starts_with("# Source: ")).collect::<String>();
    assert!(!text.contains("helm.sh/") && !text.contains("Helm\n"), "a label of Helm");
    let head = "# Generated by `make generate` from the chart in deploy/helm/headwind.\n# kubectl apply --server-side -f deploy/k8s/install.yaml\n";
    expect("deploy/k8s/install.yaml", &format!("{head}{text}"));
    assert_eq!(objects(&text).first().expect("an object")["kind"], "Namespace", "kubectl creates the objects in this order");
    schemas::validate(&tools, &[("install".to_owned(), text)]);
}

#[test]
fn chart_refuses_values_that_cannot_work() {
    let Some(tools) = helm("chart_refuses_values_that_cannot_work") else { return };
    for (values, expected) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("replicas=two", "replicas"),
        ("auth.mode=tokn", "value must be one of"),
        ("settings.HEADWIND_POLING_ENABLED=true", "additional properties 'HEADWIND_POLING_ENABLED' not allowed"),
        ("settings.HEADWIND_POLLING_INTERVAL=soon", "want null or integer"),
        ("settings.HEADWIND_WEBHOOK_SECRET=in-the-values", "additional properties 'HEADWIND_WEBHOOK_SECRET' not allowed"),
        ("tls.enabled=true", "tls.existingSecret or tls.certManager.enabled is required"),
        ("tls.enabled=true,tls.certManager.enabled=true", "tls.certManager.issuerRef.name is required"),
        ("ingress.ui.enabled=true", "ingress.ui.host is required"),
        ("httpRoute.ui.enabled=true,httpRoute.ui.hostnames={a.example}", "httpRoute.ui.parentRefs is required"),
        ("auth.mode=proxy", "settings.HEADWIND_UI_PROXY_CIDRS is required"),
        ("dashboards.label.a=b", "additional properties 'label' not allowed"),
        ("prometheusRule.enabled=yes", "prometheusRule"),
    ] {
        let refused = template(&tools, &["--set", values]).expect_err(values);
        assert!(refused.contains(expected), "{values}: {refused}");
    }
}
