//! Spans as the JSON of OTLP (`ExportTraceServiceRequest`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ROOT, Span, span_id, trace_id};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// Returns the body of a call.
pub(super) fn body(resource: &[(String, String)], spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let resource: Vec<Value> = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    json!({
        "resourceSpans": [{
            "resource": {"attributes": resource},
            "scopeSpans": [{"scope": {"name": "headwind", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
        }],
    })
}

fn span(span: &Span) -> Value {
    let Span { uid, name, key, start, end, attributes, error } = span;
    let mut value = json!({
        "traceId": trace_id(uid),
        "spanId": span_id(uid, name, key),
        "name": name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(*start),
        "endTimeUnixNano": nanoseconds(*end),
        "attributes": attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
    });
    if *name != ROOT {
        value["parentSpanId"] = span_id(uid, ROOT, "").into();
    }
    if let Some(error) = error {
        value["status"] = json!({"code": ERROR, "message": error});
    }
    value
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

/// A 64-bit number is a string in the JSON of protobuf.
fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_the_root_as_its_parent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let root = Span {
            uid: "uid-1".to_owned(),
            name: ROOT,
            key: "x".to_owned(),
            start: at(1),
            end: at(3),
            attributes: vec![("headwind.policy", "minor".to_owned())],
            error: Some("failed".to_owned()),
        };
        let child = Span { name: "apply", error: None, ..root.clone() };
        let body = body(&[("service.name".to_owned(), "headwind".to_owned())], &[root, child]);
        let of = &body["resourceSpans"][0];
        assert_eq!(of["resource"]["attributes"][0], json!({"key": "service.name", "value": {"stringValue": "headwind"}}));
        let [root, child] = [0, 1].map(|n| &of["scopeSpans"][0]["spans"][n]);
        assert_eq!((&root["parentSpanId"], &child["parentSpanId"]), (&Value::Null, &root["spanId"]));
        assert_eq!(root["traceId"], child["traceId"]);
        assert_eq!(root["startTimeUnixNano"], "1000000000");
        assert_eq!(root["status"], json!({"code": 2, "message": "failed"}));
    }
}
