//! The top-level modules of the crates: no cycle in any of them, and in `operator` the order of the data flow.
//!
//! Tests and the builders for tests are not checked for cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Returns the top-level module of a file.
fn module(inside: &Path) -> String {
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn word(text: &str) -> &str {
    &text[..text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len())]
}

/// Returns the text without the unit tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Returns the names that the text imports from the root of its crate. `depth` is the number of `super` that lead
/// there.
fn imports(text: &str, depth: usize) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let from_root = "super::".repeat(depth);
    lines
        .flat_map(|line| {
            let by_name = line.split("crate::").skip(1).filter(|rest| !rest.starts_with('{')).map(word);
            let listed = line.split("crate::{").skip(1).flat_map(|rest| rest.split(['{', '}', ',', ' '])).map(word);
            let by_super = line.split(&from_root).skip(1).map(word);
            by_name.chain(listed).chain(by_super).collect::<Vec<_>>()
        })
        .collect()
}

/// The modules of `operator` in the order of the flow: each may only import from those before it.
const FLOW: &[&str] =
    &["clock", "tasks", "cluster", "observe", "report", "registries", "propose", "act", "api", "catalogue", "run", "testing"];

/// Returns the imports of a file of `operator` that are against the flow.
fn against_the_flow<'a>(own: &str, imported: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let place = |module: &str| FLOW.iter().position(|known| *known == module);
    imported.into_iter().filter(|import| place(import) > place(own)).collect()
}

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Returns a module that imports itself, with the path, if there is one.
fn circle(arrows: &Arrows) -> Option<Vec<String>> {
    fn walk(arrows: &Arrows, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let Some(next) = path.last().and_then(|last| arrows.get(last)) else { return false };
        for module in next {
            if let Some(begin) = path.iter().position(|known| known == module) {
                path.drain(..begin);
                path.push(module.clone());
                return true;
            }
            if done.contains(module) {
                continue;
            }
            path.push(module.clone());
            if walk(arrows, path, done) {
                return true;
            }
            done.extend(path.pop());
        }
        false
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|start| {
        let mut path = vec![start.clone()];
        walk(arrows, &mut path, &mut done).then_some(path)
    })
}

fn arrows(source: &Path) -> Arrows {
    let all: Vec<(PathBuf, String)> = files(source)
        .into_iter()
        .map(|file| (file.strip_prefix(source).unwrap().to_owned(), fs::read_to_string(&file).unwrap()))
        .filter(|(inside, _)| !inside.to_str().unwrap().contains("tests"))
        .collect();
    let modules: BTreeSet<String> = all.iter().map(|(inside, _)| module(inside)).collect();
    let mut arrows = Arrows::new();
    for (inside, text) in &all {
        let own = module(inside);
        if ["lib", "main", "testing"].contains(&own.as_str()) {
            continue;
        }
        let wanted = imports(without_tests(text), inside.components().count()).into_iter().map(str::to_owned);
        arrows.entry(own.clone()).or_default().extend(wanted.filter(|name| *name != own && modules.contains(name)));
    }
    arrows
}

#[test]
fn no_crate_has_a_circle_of_modules() {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = crates.filter_map(|folder| Some((folder.clone(), circle(&arrows(&folder.join("src")))?))).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_circle_is_found() {
    let text =
        "use crate::{b, c::D};\nfn a() { crate::e::f() }\n// use crate::x;\nuse super::g;\n#[cfg(test)]\nmod tests { use crate::h; }";
    assert_eq!(imports(without_tests(text), 1), BTreeSet::from(["b", "c", "e", "g", ""]));
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(from, to)| ((*from).to_owned(), BTreeSet::from([(*to).to_owned()]))).collect();
    assert_eq!(circle(&of(&[("a", "b"), ("b", "c")])), None);
    assert_eq!(circle(&of(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c", "b"]);
}

#[test]
fn every_import_of_operator_follows_the_flow() {
    let source = root().join("crates/operator/src");
    let mut seen = BTreeSet::new();
    for file in files(&source) {
        let inside = file.strip_prefix(&source).unwrap();
        let own = module(inside);
        if own == "lib" {
            continue;
        }
        assert!(FLOW.contains(&own.as_str()), "{own} has no place in the flow");
        let text = fs::read_to_string(&file).unwrap();
        let wrong = against_the_flow(&own, imports(&text, inside.components().count()));
        assert!(wrong.is_empty(), "{} imports {wrong:?}", file.display());
        seen.insert(own);
    }
    assert_eq!(seen.len(), FLOW.len(), "a module is missing: {seen:?}");
}

#[test]
fn an_import_against_the_flow_is_found() {
    let found = |text: &'static str| against_the_flow("observe", imports(text, 2));
    assert!(found("use crate::cluster::ClusterClient;\n// crate::act is further on\nuse crate::observe::index;").is_empty());
    assert_eq!(found("    crate::propose::Known { state }"), ["propose"]);
}
