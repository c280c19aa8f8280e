//! The package, built once for all tests from the binary that cargo built for them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Runs a tool that must succeed; its output otherwise becomes the failure.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How a command ended, and what it said.
pub fn shown(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The package of this version.
pub fn deb() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| build(&[]));
    path
}

/// The same as if of a later version.
pub fn next_deb() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| build(&["--deb-version", "99.0-1"]));
    path
}

fn build(options: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    // As `cargo deb` does it, only that the optimised binary is the one of the tests.
    let target = folder.path().join("target");
    std::fs::create_dir_all(target.join("release")).unwrap();
    symlink(
        env!("CARGO_BIN_EXE_aptmesh"),
        target.join("release/aptmesh"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "deb",
            "--no-build",
            "--no-dbgsym",
            "--strip",
            "--fast",
            "--locked",
            "--offline",
        ])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "cargo deb does not work (cargo install --locked cargo-deb): {}",
        shown(&output)
    );
    let made = std::fs::read_dir(target.join("debian")).unwrap();
    let mut paths = made.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "deb"));
    (folder, path.expect("cargo deb makes a package"))
}
