//! What the README shows works as it stands there.

use std::{fs, path::Path, process::Command};

/// The README's first block of YAML: its own Rollout.
fn rollout() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let (_, from) = readme.split_once("```yaml\n").expect("a block of YAML");
    from.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn b2_the_readmes_own_rollout_is_rehearsed_and_its_approval_given() {
    let file = std::env::temp_dir().join(format!("breakwater-readme-{}.yaml", std::process::id()));
    fs::write(&file, rollout()).expect("a file");
    let rehearse = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_breakwater"))
            .args(["rehearse", "-f", &file.display().to_string(), "--scenario", "errors-double"])
            .args(more)
            .env("NO_COLOR", "1")
            .output()
            .expect("the program runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let (ran, approved) = rehearse(&["--until", "14h"]);
    assert!(ran, "{approved}");
    for line in
        ["api-errors measures 300; approve wave early", "a human asks: Approve wave early", "✖ Reverted"]
    {
        assert!(approved.contains(line), "{line}: {approved}");
    }
    let (ran, waiting) = rehearse(&["--until", "3h", "--approve-after", "never"]);
    assert!(ran && waiting.contains("OutOfTime") && !waiting.contains("a human asks"), "{waiting}");
    fs::remove_file(&file).expect("the file");
}
