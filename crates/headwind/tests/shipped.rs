//! Compares what ships beside the binary with the code: manifests, tables, examples, links, and the crates' dependencies.
//!
//! A table in `docs/` that is generated from the code is between `<!-- generated: NAME -->` and `<!-- end -->`.
//! `make generate` writes the tables (`HEADWIND_GENERATE=1`), and a test compares them.
//! Every fenced block marked `console` is a session: a test runs its `$ headwind …` lines at the root of the repository
//! and compares the output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail like the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwind_core::policy::Policy;
use headwind_core::request::Phase;
use headwind_core::settings::{Settings, key};
use headwind_operator::AuthMethod;
use headwind_operator::notify::Channel;
use headwind_web::auth::Mode;

#[path = "shipped/chart.rs"]
mod chart;
#[path = "shipped/contributing.rs"]
mod contributing;
#[path = "shipped/hardening.rs"]
mod hardening;
#[path = "shipped/image.rs"]
mod image;
#[path = "shipped/modules.rs"]
mod modules;
#[path = "shipped/site.rs"]
mod site;
#[path = "shipped/tables.rs"]
mod tables;
#[path = "shipped/workflows.rs"]
mod workflows;

const HEADWIND: &str = env!("CARGO_BIN_EXE_headwind");

fn root() -> PathBuf {
    // Cargo runs a test in the folder of its package.
    Path::new("../..").canonicalize().expect("the repository")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs the binary without the settings of the caller.
fn headwind(args: &[&str]) -> String {
    let mut command = Command::new(HEADWIND);
    command.args(args);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWIND_")) {
        command.env_remove(name);
    }
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "headwind {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the pages at the root, that of the examples, and every page under `docs/`.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, pages);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    let beside = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"];
    let mut pages: Vec<PathBuf> = beside.iter().map(|page| root().join(page)).collect();
    walk(&root().join("docs"), &mut pages);
    pages.sort();
    pages
}

#[test]
fn tables_are_what_the_code_says() {
    for (page, name, table) in tables::all() {
        let text = read(page);
        let (start, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
        let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{page} has no {start}"));
        let (is, after) = rest.split_once(end).unwrap_or_else(|| panic!("{page}: {name} has no {end}"));
        if std::env::var_os("HEADWIND_GENERATE").is_some() {
            fs::write(root().join(page), format!("{before}{start}{table}{end}{after}")).expect("writing the page");
        } else {
            assert!(is == table, "{page}: the table {name} is out of date: run `make generate`. Expected:\n{table}");
        }
    }
}

#[test]
fn the_pages_name_everything_there_is() {
    let names = |page: &str, all: &[&str]| {
        let text = read(page);
        let missing: Vec<_> = all.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{page} does not mention {missing:?}");
    };
    let keys: Vec<&str> = key::SET_BY_USERS.iter().chain(key::MANAGED).map(|key| key.trim_start_matches(key::PREFIX)).collect();
    names("docs/reference/annotations.md", &keys);
    let policies: Vec<String> = Policy::ALL.iter().map(ToString::to_string).collect();
    names("docs/reference/policies.md", &policies.iter().map(String::as_str).collect::<Vec<_>>());
    names("docs/reference/updaterequest.md", &Phase::ALL.iter().map(|phase| phase.as_str()).collect::<Vec<_>>());
    let document = headwind_web::api::document();
    assert!(document.paths.paths.len() >= 12, "{:?}", document.paths.paths.keys());
    let http = read("docs/reference/api.md");
    for (path, item) in &document.paths.paths {
        for (method, operation) in [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)] {
            let route = format!("`{method} {path}`");
            assert!(operation.is_none() || http.contains(&route), "docs/reference/api.md does not mention {route}");
        }
    }
}

/// A channel is complete only with a page, a row in the list of channels, and its name where channels are chosen.
#[test]
fn each_channel_is_in_the_docs() {
    let (guide, annotations) = (read("docs/guides/notifications.md"), read("docs/reference/annotations.md"));
    let notify = annotations.lines().find(|line| line.starts_with("| `notify` |")).expect("a row");
    let document = headwind_web::api::document();
    let test = &document.paths.paths["/api/v1/settings/notifications/{channel}/test"];
    let test = serde_json::to_string(test).expect("JSON");
    for channel in Channel::ALL {
        let page = format!("notifications/{channel}.md");
        assert!(root().join("docs/guides").join(&page).is_file(), "docs/guides/{page}");
        assert!(guide.lines().any(|line| line.starts_with("| [") && line.contains(&format!("]({page}) | "))), "a row for {page}");
        assert!(guide.contains(&format!("`{}`", channel.prefix())), "docs/guides/notifications.md: the prefix of {channel}");
        assert!(notify.contains(&format!("`{channel}`")), "docs/reference/annotations.md, notify: {channel}");
        assert!(test.contains(channel.as_str()), "the description of the API: {channel}");
    }
}

/// The docs and the chart know every mode of authentication, and the docs every method in audit lines.
#[test]
fn each_mode_of_authentication_is_in_the_docs() {
    for page in ["docs/guides/auth.md", "docs/guides/hardening.md"] {
        let text = read(page);
        for mode in Mode::ALL {
            assert!(text.lines().any(|line| line.starts_with(&format!("| `{mode}`"))), "{page} has no row for mode {mode}");
        }
    }
    let schema: serde_json::Value = serde_json::from_str(&read("deploy/helm/headwind/values.schema.json")).expect("JSON");
    let modes: Vec<&str> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    assert_eq!(schema["properties"]["auth"]["properties"]["mode"]["enum"], serde_json::json!(modes));
    let api = read("docs/reference/api.md");
    let (_, methods) = api.split_once("`method` says").expect("the methods");
    let (methods, _) = methods.split_once("\n\n").expect("an end");
    for method in AuthMethod::ALL {
        assert!(methods.contains(&format!("`{method}`")), "docs/reference/api.md does not mention method {method}");
    }
}

#[test]
fn the_defaults_of_annotations_are_true() {
    let Settings {
        policy,
        pattern: _,
        require_approval,
        approvals,
        min_update_interval,
        images: _,
        event_source,
        polling_interval: _,
        auto_rollback,
        rollback_timeout,
        health_check_retries,
        settle_time,
        digest_update,
        cool_down,
        schedule: _,
        frozen,
        gitops,
        platforms,
    } = Settings::default();
    let page = read("docs/reference/annotations.md");
    for (key, default) in [
        ("policy", policy.to_string()),
        ("require-approval", require_approval.to_string()),
        ("approvals", approvals.to_string()),
        ("min-update-interval", min_update_interval.as_secs().to_string()),
        ("event-source", format!("{event_source:?}").to_lowercase()),
        ("auto-rollback", auto_rollback.to_string()),
        ("rollback-timeout", rollback_timeout.as_secs().to_string()),
        ("health-check-retries", health_check_retries.to_string()),
        ("settle-time", settle_time.as_secs().to_string()),
        ("digest-update", format!("{digest_update:?}").to_lowercase()),
        ("cool-down", cool_down.as_secs().to_string()),
        ("freeze", frozen.is_some().to_string()),
        ("gitops", format!("{gitops:?}").to_lowercase()),
        ("platforms", format!("{platforms:?}").to_lowercase()),
    ] {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap_or_default();
        let cell = row.split(" | ").nth(2).unwrap_or_default();
        assert_eq!(cell, format!("`{default}`"), "the default of {key} in docs/reference/annotations.md");
    }
}

#[test]
fn examples_print_what_the_pages_say() {
    let folder = Path::new(HEADWIND).parent().expect("a folder");
    let path = std::env::join_paths(
        std::iter::once(folder.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a PATH");
    let mut run = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for session in text.split("```console\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(session, _)| session) {
            let mut commands: Vec<(String, String)> = Vec::new();
            for line in session.lines() {
                match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(command), _) => commands.push((command.to_owned(), String::new())),
                    (None, Some((command, _))) if command.ends_with('\\') => {
                        *command = format!("{} {}", command.trim_end_matches('\\').trim(), line.trim());
                    }
                    (None, Some((_, output))) => writeln!(output, "{line}").expect("a String"),
                    (None, None) => panic!("{}: a session begins with a command", page.display()),
                }
            }
            for (command, expected) in commands {
                let output = Command::new("bash").arg("-c").arg(&command).current_dir(root()).env("PATH", &path).output().expect("bash");
                let printed = String::from_utf8_lossy(&output.stdout);
                assert!(
                    printed.trim_end() == expected.trim_end(),
                    "{}: $ {command}\nprints\n{printed}{}and the page says\n{expected}",
                    page.display(),
                    String::from_utf8_lossy(&output.stderr)
                );
                run += 1;
            }
        }
    }
    assert!(run >= 5, "only {run} examples were found");
}

#[test]
fn links_and_targets_are_there() {
    let makefile = read("Makefile");
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                assert!(page.parent().expect("a folder").join(file).exists(), "{} links to {link}, which is not there", page.display());
            }
        }
        for target in text
            .split("make ")
            .skip(1)
            .filter(|_| page.ends_with("README.md"))
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next())
        {
            assert!(makefile.contains(&format!("\n{target}:")), "{}: there is no `make {target}`", page.display());
        }
    }
}

/// The crates that each crate may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("headwind-core", &[]),
    ("headwind-k8s", &["headwind-core"]),
    ("headwind-webhook", &["headwind-core"]),
    ("headwind-registry", &["headwind-core"]),
    ("headwind-operator", &["headwind-core", "headwind-k8s", "headwind-registry", "headwind-webhook"]),
    ("headwind-web", &["headwind-core", "headwind-k8s", "headwind-webhook", "headwind-operator"]),
    ("headwind", &["headwind-core", "headwind-k8s", "headwind-registry", "headwind-webhook", "headwind-operator", "headwind-web"]),
    ("kubectl-headwind", &["headwind-core", "headwind-k8s"]),
    ("headwind-testbed", &["headwind-k8s"]),
    ("headwind-bench", &["headwind-k8s", "headwind-testbed"]),
];
/// The crates whose tests may use the test bed.
const TESTED: &[&str] = &["headwind", "headwind-registry"];
/// Crates that the rules must not be able to import: I/O, Kubernetes, a runtime.
const NOT_IN_CORE: &[&str] = &["kube", "tokio", "k8s-openapi", "reqwest", "hyper", "axum"];

#[test]
fn crates_depend_only_on_allowed_crates() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();

    let members: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
    let ours: Vec<serde_json::Value> =
        list(&metadata["packages"]).into_iter().filter(|package| members.contains(&text(&package["id"]))).collect();
    let names: BTreeSet<String> = ours.iter().map(|package| text(&package["name"])).collect();
    assert!(
        names.iter().eq(ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>().iter()),
        "the crates are {names:?}: add a new one to ALLOWED"
    );
    for package in &ours {
        let name = text(&package["name"]);
        let (_, may) = ALLOWED.iter().find(|(one, _)| *one == name).expect("checked above");
        for dependency in list(&package["dependencies"]) {
            let (on, kind) = (text(&dependency["name"]), text(&dependency["kind"]));
            if names.contains(&on) {
                let of_a_test = kind == "dev" && on == "headwind-testbed" && TESTED.contains(&name.as_str());
                assert!(
                    of_a_test || may.contains(&on.as_str()),
                    "{name} must not depend on {on} ({})",
                    if kind.is_empty() { "normal" } else { &kind }
                );
            }
        }
    }

    // Indirect dependencies count too.
    let nodes: BTreeMap<String, serde_json::Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let packages: BTreeMap<String, String> =
        list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let mut open: Vec<String> =
        ours.iter().filter(|package| package["name"] == "headwind-core").map(|package| text(&package["id"])).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let name = packages.get(&id).cloned().unwrap_or_default();
        assert!(!NOT_IN_CORE.contains(&name.as_str()), "headwind-core depends on {name}");
        if seen.insert(id.clone()) {
            let normal = |edge: &serde_json::Value| list(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            open.extend(
                nodes
                    .get(&id)
                    .map(|node| list(&node["deps"]))
                    .unwrap_or_default()
                    .iter()
                    .filter(|edge| normal(edge))
                    .map(|edge| text(&edge["pkg"])),
            );
        }
    }
    assert!(seen.len() > 5, "the graph was read wrongly");
}
