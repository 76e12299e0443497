//! Validates rendered manifests with kubeconform, by schemas made from the OpenAPI document of the test bed's API server.

use std::fs;
use std::path::Path;
use std::process::Command;

use headwind_testbed::Tools;
use headwind_testbed::skip::skipped;
use serde_json::{Map, Value, json};

/// Kinds of other projects, which the API server's own document lacks.
const ELSEWHERE: &str = "Certificate,HTTPRoute,PrometheusRule,ServiceMonitor,CustomResourceDefinition";

/// Validates each text with kubeconform, or reports why it cannot.
pub(super) fn validate(tools: &Tools, texts: &[(String, String)]) {
    let document = tools.folder().with_file_name("openapi").join("swagger.json");
    if !tools.has("kubeconform") || !document.is_file() {
        skipped("kubeconform", "it could not be built, see the reason above");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    write(&serde_json::from_slice(&fs::read(document).expect("the document")).expect("JSON"), folder.path());
    let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", folder.path().display());
    let check = |text: &str| {
        let file = folder.path().join("manifests.yaml");
        fs::write(&file, text).expect("writing the manifests");
        let mut command = Command::new(tools.path("kubeconform"));
        command.args(["-strict", "-output", "json", "-schema-location", &location, "-skip", ELSEWHERE]).arg(file);
        let output = command.output().expect("kubeconform");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let broken = check("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replica: 2}\n");
    assert!(!broken.0 && broken.1.contains("replica"), "kubeconform accepts a misspelt field: {}", broken.1);
    for (name, text) in texts {
        let (valid, said) = check(text);
        assert!(valid, "{name}: {said}");
    }
}

/// Writes a schema for each kind of the document, as kubeconform looks for them.
fn write(document: &Value, folder: &Path) {
    let definitions = document["definitions"].as_object().expect("definitions");
    let converted: Map<String, Value> = definitions.iter().map(|(name, one)| (name.clone(), convert(name, one, ""))).collect();
    fs::write(folder.join("_definitions.json"), json!({"definitions": converted}).to_string()).expect("writing");
    for (name, one) in definitions {
        for kind in one["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default().to_owned();
            let (group, version) = (text("group"), text("version"));
            let mut schema = convert(name, one, "_definitions.json");
            let api = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
            for (field, value) in [("kind", text("kind")), ("apiVersion", api)] {
                if schema["properties"][field].is_object() {
                    schema["properties"][field] = json!({"type": "string", "enum": [value]});
                }
            }
            schema["required"] = json!(["kind", "apiVersion"]);
            let parts = [text("kind").to_lowercase(), group.split('.').next().unwrap_or_default().to_owned(), version];
            let file = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
            fs::write(folder.join(format!("{file}.json")), schema.to_string()).expect("writing");
        }
    }
}

/// Converts a definition of OpenAPI v2 to JSON Schema. Unknown fields are refused, and optional ones may be null.
fn convert(name: &str, schema: &Value, file: &str) -> Value {
    if name.ends_with(".resource.Quantity") || name.ends_with(".intstr.IntOrString") || schema["format"] == "int-or-string" {
        return json!({"type": ["string", "number"]});
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return json!({"$ref": format!("{file}{reference}")});
    }
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut converted = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value.as_object()) {
            ("description" | "format", _) => continue,
            (key, _) if key.starts_with("x-kubernetes-") => continue,
            ("properties", Some(properties)) => {
                let property =
                    |(name, one): (&String, &Value)| (name.clone(), optional(convert("", one, file), required.contains(&name.as_str())));
                Value::Object(properties.iter().map(property).collect())
            }
            ("items" | "additionalProperties", Some(_)) => convert("", value, file),
            _ => value.clone(),
        };
        converted.insert(key.clone(), value);
    }
    if schema["properties"].is_object() && schema["additionalProperties"].is_null() {
        converted.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(converted)
}

fn optional(mut schema: Value, required: bool) -> Value {
    if let (false, Some(kind)) = (required, schema["type"].as_str()) {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}
