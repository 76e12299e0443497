//! The rooms of this crate, in the order of the flow: each may import from those above it in [`ROOMS`], and from no
//! other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms (top-level modules), the lowest first.
const ROOMS: &[&str] =
    &["clock", "tasks", "cluster", "observe", "report", "registries", "propose", "act", "api", "catalogue", "run", "testing"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The rooms that the text imports from.
fn imports(text: &str) -> BTreeSet<&'static str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    let room = |path: &str| {
        let name: String = path.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect();
        ROOMS.iter().copied().find(|room| *room == name)
    };
    paths.filter_map(room).collect()
}

/// Returns what is wrong with one file, if anything.
fn against_the_flow(room: &str, text: &str) -> Option<String> {
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let own = place(room);
    let wrong: Vec<_> = imports(text).into_iter().filter(|import| place(import) > own).collect();
    (!wrong.is_empty()).then(|| format!("{room} imports {wrong:?}"))
}

#[test]
fn every_import_follows_the_flow() {
    let source = Path::new("src");
    let mut seen = BTreeSet::new();
    for file in files(source) {
        let inside = file.strip_prefix(source).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if ["lib", "rooms"].contains(&room) {
            continue;
        }
        assert!(ROOMS.contains(&room), "{room} has no place in the flow");
        seen.insert(room.to_owned());
        assert_eq!(against_the_flow(room, &fs::read_to_string(&file).unwrap()), None, "{}", file.display());
    }
    assert_eq!(seen.len(), ROOMS.len(), "a room is missing: {seen:?}");
}

#[test]
fn an_import_against_the_flow_is_found() {
    assert_eq!(
        against_the_flow("observe", "use crate::cluster::ClusterClient;\n// crate::act is further on\nuse crate::observe::index;"),
        None
    );
    assert_eq!(against_the_flow("observe", "    crate::propose::Known { state }"), Some("observe imports [\"propose\"]".to_owned()));
}
