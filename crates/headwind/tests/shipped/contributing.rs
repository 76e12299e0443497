//! The lists of files in `CONTRIBUTING.md`: a section `### … : N files` has a table with one file in a row.

use super::{read, root};

#[test]
fn contributing_lists_files_that_exist() {
    let page = read("CONTRIBUTING.md");
    let mut lists = 0;
    for section in page.split("\n### ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let Some(count) = heading.strip_suffix(" files").and_then(|title| title.rsplit(": ").next()) else { continue };
        let section = section.split("\n## ").next().unwrap_or_default();
        let files: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(files.len().to_string(), count, "{heading}");
        let missing: Vec<&&str> = files.iter().filter(|file| !root().join(file).exists()).collect();
        assert!(missing.is_empty(), "{heading}: {missing:?}");
        lists += 1;
    }
    assert_eq!(lists, 8);
}
