//! The plugin as a process, with an API server that answers from memory: its output, its exit codes, completion in real
//! shells, and the time that it needs for 5,000 requests.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use axum::Json;
use axum::extract::Query;
use axum::routing::{get, patch, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-headwind");
const LIST: &str = "/apis/headwind.sh/v1alpha1/namespaces/shop/updaterequests";

fn request(number: usize, phase: &str, message: &str) -> Value {
    json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {
            "name": format!("web-{number:05}"), "namespace": "shop", "resourceVersion": "7", "uid": format!("u{number}"),
            // Its age is always 0.
            "creationTimestamp": "2999-01-01T00:00:00Z", "labels": {"app": "web"},
            "managedFields": [{"manager": "headwind", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"}, "updateType": "image",
            "containerName": "web", "currentImage": "registry.example.com/shop/web:1.0.0",
            "newImage": "registry.example.com/shop/web:1.1.0", "policy": "minor", "reason": "1.1.0 is the highest", "requireApproval": true,
            "trigger": "webhook", "newerField": "kept",
        },
        "status": {"phase": phase, "message": message, "approvedBy": if phase == "Completed" { json!("ann") } else { Value::Null }},
    })
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    r#continue: Option<String>,
}

/// An API server with some requests, and a kubeconfig for it.
struct Server {
    folder: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(requests: Vec<Value>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (first, second) = (requests.first().cloned(), requests.get(1).cloned());
        let list = get(move |Query(page): Query<Page>| async move {
            let begin: usize = page.r#continue.and_then(|token| token.parse().ok()).unwrap_or_default();
            let end = requests.len().min(begin + page.limit.unwrap_or(usize::MAX - begin));
            let more = if end < requests.len() { end.to_string() } else { String::new() };
            Json(json!({
                "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequestList",
                "metadata": {"resourceVersion": "9", "continue": more}, "items": requests[begin..end],
            }))
        });
        let one = get(async move || Json(first.clone().unwrap()));
        let again = second.clone();
        let two = get(async move || Json(again.clone().unwrap()));
        let decided = patch(async move |Json(change): Json<Value>| {
            let mut object = second.unwrap();
            for (field, value) in change["status"].as_object().unwrap() {
                object["status"][field] = value.clone();
            }
            Json(object)
        });
        let me = post(async || {
            Json(
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}, "status": {"userInfo": {"username": "ann"}}}),
            )
        });
        let missing = |code: u16, message: &'static str| {
            let status =
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": "NotFound"});
            (axum::http::StatusCode::from_u16(code).unwrap(), Json(status))
        };
        let app = axum::Router::new()
            .route(LIST, list)
            .route(&format!("{LIST}/web-00000"), one)
            .route(&format!("{LIST}/web-00001"), two)
            .route(&format!("{LIST}/web-00001/status"), decided)
            .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", me)
            .fallback(async move || missing(404, "the server could not find the requested resource"));
        runtime.spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}],
        });
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Self { folder, _runtime: runtime }
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.folder.path().join("config")
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&self.kubeconfig(), args)
    }
}

fn run(kubeconfig: &Path, args: &[&str]) -> Output {
    Command::new(PLUGIN).args(args).env("KUBECONFIG", kubeconfig).env_remove("HEADWIND_NAMESPACE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn some() -> Vec<Value> {
    let mut counted = request(0, "Pending", "approved by bob; 1 of 2 approvals");
    counted["spec"]["approvals"] = json!(2);
    counted["status"]["reason"] = json!("AwaitingApproval");
    counted["status"]["approvals"] = json!([{"by": "bob", "at": "2999-01-01T00:01:00Z"}]);
    let mut waiting = request(3, "Approved", "approved by ann");
    waiting["status"]["approvedBy"] = json!("ann");
    waiting["status"]["conditions"] = json!([{
        "type": "Waiting", "status": "True", "reason": "UpdateWindow", "lastTransitionTime": "2999-01-01T00:00:00Z",
        "message": "until 2999-01-05T06:00:00Z: outside the time windows in which updates may start",
    }]);
    vec![counted, request(1, "Completed", "2 of 2 pods are available"), request(2, "Failed", "a\u{1b}[31m\nb\u{202e}"), waiting]
}

#[test]
fn the_output_in_every_format() {
    let server = Server::start(some());
    let said = |args: &[&str]| {
        let output = server.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut all = String::new();
    for args in [
        &["list"][..],
        &["list", "-o", "wide"],
        &["--color=always", "list"],
        &["list", "-o", "name"],
        &["get", "web-00000"],
        &["get", "web-00000", "-o", "yaml"],
    ] {
        writeln!(all, "$ kubectl headwind {}\n{}", args.join(" "), said(args)).unwrap();
    }
    let expected = Path::new("tests/output.txt");
    if std::env::var_os("HEADWIND_GENERATE").is_some() {
        std::fs::write(expected, &all).unwrap();
    }
    assert_eq!(all, std::fs::read_to_string(expected).unwrap_or_default());
    assert!(!said(&["list", "-o", "wide"]).contains(['\u{1b}', '\u{202e}']), "control characters of other people's objects");
    let list: Value = serde_json::from_str(&said(&["list", "-o", "json"])).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]["spec"]["newerField"]), (&json!("List"), &json!("kept")));
    assert!(list["items"][0]["metadata"]["managedFields"].is_null());
}

#[test]
fn exit_codes() {
    let server = Server::start(some());
    for (args, code, words) in [
        (&["get", "web-00000"][..], 0, ""),
        (&["get", "no-such"], 3, "there is no UpdateRequest no-such in namespace shop"),
        (&["get", "deploy/web"], 2, "list"),
        (&["get", "ur/"], 2, "no valid name"),
        (&["approve", ""], 2, "no valid name"),
        (&["approve", "-l", ""], 2, "-l is empty"),
        (&["approve", "deploy", "web"], 3, "for a workload, use deploy/web"),
        (&["list", "-n", ""], 0, ""),
        (&["list", "-n", "no-such-list"], 3, "perhaps Headwind is not installed"),
        (&["diff", "-o", "json"], 2, "prints only text"),
        (&["freeze", "-o", "name"], 2, "prints only text"),
        (&["freeze", "-n", "shop"], 2, "annotation headwind.sh/freeze"),
        (&["freeze", "-n", ""], 2, "annotation headwind.sh/freeze"),
        (&["resume", "-A"], 2, "annotation headwind.sh/freeze"),
        (&["resume"], 0, "Headwind does not seem to run in namespace headwind-system"),
        (&["approve", "web-00000"], 3, "could not find"),
        (&["reopen", "web-00000"], 5, "cannot reopen a request that is Pending"),
        (&["list", "--phase", "Unknown"], 2, "use Pending, Approved"),
        (&["list", "--no-such-flag"], 2, "unexpected argument"),
        (&["approve"], 2, "required"),
        (&["approve", "a", "--all"], 2, "cannot be used with"),
        (&["get", "web-00000", "-l", "a=b"], 2, "-l selects"),
        (&["approve", "web-00000", "-l", "a=b"], 2, "-l selects among"),
        (&["get", "web-00000", "-A"], 2, "-n instead of -A"),
        (&["explain", "pod/web"], 2, "not a kind that Headwind knows"),
        (&["--context", "none", "list"], 2, "the kubeconfig cannot be used"),
        (&["--kubeconfig", "/no/such/file", "list"], 2, "the kubeconfig cannot be used"),
        (&["workloads"], 3, "there is no Service headwind:api in namespace headwind-system"),
        (&["--as", "bob", "workloads"], 2, "--as has no effect"),
        (&["freeze", "--for", "1h", "--until", "2030-01-01T00:00:00Z"], 2, "cannot be used with"),
    ] {
        let output = server.run(args);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.contains(words)), (Some(code), true), "{args:?}: {error}");
    }
    let nobody = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(server.kubeconfig()).unwrap();
    let port = config.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let file = nobody.path().join("config");
    // Port 1 of loopback: nothing listens there.
    std::fs::write(&file, config.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:1")).unwrap();
    let output = run(&file, &["list"]);
    assert_eq!((output.status.code(), text(&output.stderr).contains("does not answer")), (Some(6), true), "{}", text(&output.stderr));
}

/// An update that the policy approved waits for something else. Approving everything does not release it.
#[test]
fn approve_all_leaves_out_what_the_policy_approves() {
    let mut by_policy = request(0, "Pending", "");
    by_policy["spec"]["requireApproval"] = json!(false);
    let server = Server::start(vec![by_policy, request(1, "Completed", "")]);
    let output = server.run(&["approve", "--all"]);
    let error = text(&output.stderr);
    assert!(output.status.success() && error.contains("Left out 1 UpdateRequest that the policy approves"), "{error}");
    assert!(error.contains("No UpdateRequest can be approved"), "{error}");
    let output = server.run(&["approve", "deployment/web"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let output = server.run(&["approve", "web-00000"]);
    assert!(text(&output.stderr).contains("could not find"), "it is approved if it is named: {}", text(&output.stderr));
    let output = server.run(&["reject", "--all"]);
    assert!(text(&output.stderr).contains("could not find"), "a rejection releases nothing: {}", text(&output.stderr));
}

/// Each name that has no request is a failure, and does not stop the others.
#[test]
fn one_wrong_name_does_not_stop_the_others() {
    let server = Server::start(vec![request(0, "Completed", ""), request(1, "Pending", "")]);
    let output = server.run(&["approve", "no-such", "sts/none", "web-00001"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    for words in ["there is no UpdateRequest no-such", "StatefulSet none has no UpdateRequest", "2 UpdateRequests not approved"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(text(&output.stdout).starts_with("updaterequest.headwind.sh/web-00001 approved: "), "{}", text(&output.stdout));
    // The API server does not know the workload, so its container no longer exists.
    let output = server.run(&["diff", "no-such", "web-00001"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("web-00001, Pending"), "{}", text(&output.stdout));
}

#[test]
fn decisions_print_the_written_objects() {
    let server = Server::start(vec![request(0, "Completed", ""), request(1, "Pending", "")]);
    let said = |args: &[&str]| {
        let output = server.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let one: Value = serde_json::from_str(&said(&["approve", "web-00001", "-o", "json", "--dry-run"])).unwrap();
    assert_eq!((&one["kind"], &one["status"]["phase"]), (&json!("UpdateRequest"), &json!("Approved")));
    assert_eq!((&one["spec"]["newerField"], &one["metadata"]["managedFields"]), (&json!("kept"), &Value::Null));
    let list: Value = serde_json::from_str(&said(&["approve", "--all", "-o", "json"])).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]), (&json!("List"), &one));
    assert!(said(&["approve", "web-00001", "-o", "yaml"]).starts_with("apiVersion: headwind.sh/v1alpha1\nkind: UpdateRequest\n"));
    assert_eq!(said(&["approve", "deploy/web", "-o", "name"]), "updaterequest.headwind.sh/web-00001\n");
}

/// Files of `KUBECONFIG` that do not exist are skipped, as with kubectl.
#[test]
fn missing_files_of_the_kubeconfig_are_skipped() {
    let server = Server::start(some());
    let listed = |kubeconfig: &str| {
        let mut command = Command::new(PLUGIN);
        command.arg("list").env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST").output().unwrap()
    };
    let output = listed(&format!("/no/such/file:{}", server.kubeconfig().display()));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = listed("/no/such/file");
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.contains("no such file exists")), (Some(2), true), "{error}");
}

/// If the number was raised after the request was created, the last message of Headwind has it.
#[test]
fn approve_says_how_many_people_are_missing() {
    for (needed, message, approvals, expected) in [
        (2, "", json!([]), "approved (1 of 2 approvals; one more person must approve): "),
        (2, "approved by bob; 1 of 2 approvals", json!([{"by": "bob"}]), "approved: "),
        (1, "0 of 3 approvals", json!([]), "approved (1 of 3 approvals; 2 more people must approve): "),
        (1, "", json!([]), "approved: "),
    ] {
        let mut asked = request(1, "Pending", message);
        asked["spec"]["approvals"] = json!(needed);
        asked["status"]["approvals"] = approvals;
        if !message.is_empty() {
            asked["status"]["reason"] = json!("AwaitingApproval");
        }
        let server = Server::start(vec![request(0, "Completed", ""), asked]);
        let output = server.run(&["approve", "--all"]);
        let line = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(line.starts_with(&format!("updaterequest.headwind.sh/web-00001 {expected}")), "{needed} {message}: {line}");
    }
}

/// If the reader closes the output, that is not a failure.
#[test]
fn a_closed_pipe() {
    let server = Server::start((0..2000).map(|number| request(number, "Pending", "x")).collect());
    let script = format!("set -o pipefail; {PLUGIN} list | head -n 1");
    let output = Command::new("bash").args(["-c", &script]).env("KUBECONFIG", server.kubeconfig()).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).starts_with("NAME"), "{output:?}");
}

/// 5,000 requests in at most 300 ms of own time; a debug build gets more.
#[test]
fn many_requests_take_little_time() {
    let server = Server::start((0..5000).map(|number| request(number, "Completed", "2 of 2 pods are available")).collect());
    let script = format!("TIMEFORMAT='%U %S'; time {PLUGIN} list | wc -l");
    let output = Command::new("bash").args(["-c", &script]).env("KUBECONFIG", server.kubeconfig()).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "5001");
    let error = text(&output.stderr);
    let seconds: f64 = error.split_whitespace().map(|number| number.parse::<f64>().unwrap()).sum();
    let limit = if cfg!(debug_assertions) { 1.5 } else { 0.3 };
    assert!(seconds <= limit, "{seconds} s of own time");
}

/// The scripts of the plugin, run by the shells themselves.
#[test]
fn completion_in_real_shells() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completion");
    let complete = |shell: &str| {
        let output = Command::new(PLUGIN).args(["completion", shell]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::write(&script, &output.stdout).unwrap();
    };
    complete("bash");
    for (words, expected) in [("ap", "approve"), ("approve --dr", "--dry-run"), ("list -o js", "json"), ("list --phas", "--phase")] {
        let ask = format!(
            "source {}; COMP_WORDS=(kubectl-headwind {words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); \
             _kubectl__headwind kubectl-headwind \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
        assert_eq!(text(&output.stdout).trim(), expected, "{words}: {}", text(&output.stderr));
    }
    complete("fish");
}

/// Types into an interactive zsh and presses Tab. On a machine without zsh this shows nothing; `.ci/run` installs it.
#[test]
fn completion_in_a_real_zsh() {
    if Command::new("zsh").arg("--version").output().is_err() {
        eprintln!("zsh is not installed: its completion is not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Command::new(PLUGIN).args(["completion", "zsh"]).output().unwrap();
    std::fs::write(folder.path().join("_kubectl-headwind"), &script.stdout).unwrap();
    let typed = [
        ("kubectl-headwind ap", "kubectl-headwind approve "),
        ("kubectl-headwind approve --dr", "kubectl-headwind approve --dry-run "),
        ("kubectl-headwind list -o js", "kubectl-headwind list -o json "),
        ("kubectl-headwind list --phas", "kubectl-headwind list --phase="),
    ];
    let output = Command::new("timeout")
        .args(["60", "zsh", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/complete.zsh")])
        .arg(folder.path())
        .args(typed.map(|(line, _)| line))
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(line, _)| line).collect();
    assert_eq!(lines, typed.map(|(_, line)| line), "{shown}\n{}", text(&output.stderr));
}

/// kubectl asks the program `kubectl_complete-headwind`, which runs the plugin with `__complete`.
#[test]
fn completion_for_kubectl() {
    let server = Server::start(some());
    for (words, expected) in [
        (&["ap"][..], "approve\tApprove pending updates\n:4\n"),
        (&["approve", "--dr"], "--dry-run\tLet the API server check the change without storing it\n:4\n"),
        (&["approve", "web-"], "web-00000\tdeployment/web: 1.1.0\n:4\n"),
        (&["reopen", ""], "web-00001\tdeployment/web: 1.1.0\nweb-00002\tdeployment/web: 1.1.0\n:4\n"),
        (&["-n", "shop", "get", "web-00002"], "web-00002\tdeployment/web: 1.1.0\n:4\n"),
        (&["no-such-command", ""], ":4\n"),
    ] {
        let output = server.run(&[&["__complete"], words].concat());
        assert_eq!(text(&output.stdout), expected, "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_man_page_has_every_command() {
    let output = Command::new(PLUGIN).arg("man").output().unwrap();
    let page = text(&output.stdout);
    assert!(page.contains(".TH kubectl-headwind"), "{page}");
    for command in ["LIST", "APPROVE", "ROLLBACK", "EXPLAIN", "FREEZE"] {
        assert!(page.contains(&format!(".SH {command}\n")), "{command}");
    }
}
