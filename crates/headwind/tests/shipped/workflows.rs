//! The workflows in `.github/workflows`, checked by actionlint.

use std::process::Command;

use headwind_testbed::Tools;
use headwind_testbed::skip::skipped;

use super::root;

/// Runs actionlint without the programs that it would use if the machine has them.
fn actionlint(tools: &Tools, files: &[std::path::PathBuf]) -> (bool, String) {
    let mut command = Command::new(tools.path("actionlint"));
    let output = command.args(["-shellcheck=", "-pyflakes=", "-no-color"]).args(files).current_dir(root()).output().expect("actionlint");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn workflows_are_valid() {
    let tools = Tools::locate().expect("testbed/tools.sh");
    if !tools.has("actionlint") {
        skipped("workflows_are_valid", "actionlint could not be built, see the reason above");
        return;
    }
    let folder = root().join(".github/workflows");
    let files: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    let (valid, said) = actionlint(&tools, &files);
    assert!(valid, "{said}");
    let bad = tempfile::NamedTempFile::with_suffix(".yml").expect("a file");
    std::fs::write(bad.path(), "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: \"echo ${{ nothing.at.all }}\"}]}}\n")
        .expect("a file");
    let (valid, said) = actionlint(&tools, &[bad.path().to_owned()]);
    assert!(!valid && said.contains("nothing"), "actionlint accepts an undefined context: {said}");
}
