//! The modules of the crates: no cycle of modules in any of them, and in `operator` the order of the data flow.
//!
//! A file and the folder of its submodules are one module. An import is an arrow between the two sibling modules that
//! contain its ends: for `settings`, both `gate/freeze` and `gate/limits` are `gate`. Tests and the builders for tests are
//! not checked for cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{read, root};

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
    &["clock", "tasks", "cluster", "observe", "report", "settings", "registries", "propose", "act", "api", "catalogue", "run", "testing"];

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

/// Returns the module path of a file: its folders and its name.
fn path_of(inside: &Path) -> Vec<String> {
    inside.with_extension("").components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect()
}

/// Splits the list of a `use` at its top-level commas.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut items) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[begin..]);
    items
}

/// Adds the paths of a `use` after `prefix`.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    for item in items(tree) {
        let item = item.trim();
        let (head, list) = match item.split_once('{') {
            Some((head, list)) => (head, list.strip_suffix('}')),
            None => (item.split(" as ").next().unwrap_or(item), None),
        };
        let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        let path: Vec<String> = prefix.iter().cloned().chain(parts).collect();
        match list {
            Some(list) => expand(&path, list, paths),
            None => paths.push(path),
        }
    }
}

/// Returns every path that the text names and that begins with `crate`, `self` or `super`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let (mut paths, mut rest) = (Vec::new(), String::new());
    for statement in code.split(';') {
        match statement.rsplit_once("use ").filter(|(before, _)| before.trim_end().is_empty() || before.ends_with(['\n', ' ', '}'])) {
            Some((before, tree)) if ["crate", "self", "super"].contains(&word(tree)) => {
                expand(&[], tree, &mut paths);
                rest.push_str(before);
            }
            _ => rest.push_str(statement),
        }
        rest.push(';');
    }
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in rest.match_indices(start) {
            if rest[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter)) {
                continue;
            }
            let end = rest[at..].find(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter));
            paths.push(
                rest[at..at + end.unwrap_or(rest.len() - at)].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            );
        }
    }
    paths
}

/// Returns the module of `modules` that a path in the module `own` leads to.
fn target(own: &[String], path: &[String], modules: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let mut full: Vec<String> = if path.first()? == "crate" { Vec::new() } else { own.to_vec() };
    for part in path.iter().skip(usize::from(path.first()? == "crate")) {
        match part.as_str() {
            "super" => drop(full.pop()),
            "self" => {}
            _ => full.push(part.clone()),
        }
    }
    (1..=full.len()).rev().map(|length| full[..length].to_vec()).find(|known| modules.contains(known))
}

/// Returns the sibling modules that contain the two ends of an import, or `None` if one end contains the other.
fn siblings(own: &[String], target: &[String]) -> Option<(String, String)> {
    let shared = own.iter().zip(target).take_while(|(one, other)| one == other).count();
    (shared < own.len().min(target.len())).then(|| (own[..=shared].join("/"), target[..=shared].join("/")))
}

fn arrows(source: &Path) -> Arrows {
    let all: Vec<(Vec<String>, String)> = files(source)
        .into_iter()
        .map(|file| (path_of(file.strip_prefix(source).unwrap()), fs::read_to_string(&file).unwrap()))
        .filter(|(path, _)| !path.iter().any(|part| part == "tests") && !["lib", "main", "testing"].contains(&path[0].as_str()))
        .collect();
    let modules: BTreeSet<Vec<String>> = all.iter().map(|(path, _)| path.clone()).collect();
    let mut arrows = Arrows::new();
    for (own, text) in &all {
        let targets = paths(without_tests(text)).into_iter().filter_map(|path| target(own, &path, &modules));
        for (from, to) in targets.filter_map(|target| siblings(own, &target)) {
            arrows.entry(from).or_default().insert(to);
        }
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
    let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let named = paths("use crate::a::{b::C, d::{self, E as F}};\nuse std::fmt;\nfn f() { super::g::h(); not_crate::i(); }");
    assert_eq!(named, ["crate/a/b/C", "crate/a/d/self", "crate/a/d/E", "super/g/h"].map(path));
    let modules = ["a", "a/b", "a/c", "d"].map(path).into();
    assert_eq!(target(&path("a/b"), &path("super/c/E"), &modules), Some(path("a/c")));
    assert_eq!(target(&path("a/b"), &path("crate/a/b/f"), &modules), Some(path("a/b")));
    let ends = |from: &str, to: &str| siblings(&path(from), &path(to));
    assert_eq!(ends("a/b", "c/d/e"), Some(("a".to_owned(), "c".to_owned())));
    assert_eq!(ends("a/b/c", "a/d"), Some(("a/b".to_owned(), "a/d".to_owned())));
    assert_eq!((ends("a", "a/b"), ends("a/b", "a")), (None, None));
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
        // Tests are built on `testing`, and ask any module.
        let is_test = inside.components().any(|part| ["tests", "tests.rs"].map(AsRef::as_ref).contains(&part.as_os_str()));
        let production = if is_test { "" } else { without_tests(&text) };
        let wrong = against_the_flow(&own, imports(production, inside.components().count()));
        assert!(wrong.is_empty(), "{} imports {wrong:?}", file.display());
        seen.insert(own);
    }
    assert_eq!(seen.len(), FLOW.len(), "a module is missing: {seen:?}");
}

/// Returns the modules that a table of `docs/architecture.md` names in its first column.
fn documented(heading: &str) -> Vec<String> {
    let page = read("docs/architecture.md");
    let section = page.split(&format!("## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_docs_list_every_module() {
    assert_eq!(documented("Modules of the operator"), FLOW);
    let source = root().join("crates/core/src");
    let modules: BTreeSet<String> = files(&source).iter().map(|file| module(file.strip_prefix(&source).unwrap())).collect();
    let listed: BTreeSet<String> = documented("Modules of `core`").into_iter().chain(["lib".to_owned()]).collect();
    assert_eq!(modules, listed);
}

#[test]
fn an_import_against_the_flow_is_found() {
    let found = |text: &'static str| against_the_flow("observe", imports(text, 2));
    assert!(found("use crate::cluster::ClusterClient;\n// crate::act is further on\nuse crate::observe::index;").is_empty());
    assert_eq!(found("    crate::propose::Known { state }"), ["propose"]);
}
