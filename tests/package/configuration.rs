//! `/etc/aptmesh/aptmesh.toml` as it is installed.

use std::collections::BTreeSet;
use std::path::Path;

use aptmesh::config::{Config, Sources};

/// The rows of the README's table of keys, without backticks and with `|` for `\|`.
pub fn readme_keys(readme: &str) -> Vec<[String; 3]> {
    let (_, rest) = readme.split_once("| key | default | meaning |\n").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let rows = table.lines().skip(1).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let cell = |at: usize| cells[at].trim().replace('`', "");
        [
            cell(0),
            cell(1),
            cells[2..].join(" | ").trim().replace('`', ""),
        ]
    });
    rows.collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What this text, as a file, makes of the configuration. Without variables the data folder is that
/// of root, whoever runs this.
fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aptmesh.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        file: Some(path),
        ..Sources::default()
    };
    Config::load(&sources).unwrap()
}

/// The settings that stand behind a `#`, which is followed by no space.
fn without_marks(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            setting
        }
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_installed_file_changes_nothing() {
    let text = read("docker/debian/aptmesh.toml");
    assert_eq!(load(&text), load(""));
}

#[test]
fn every_value_in_the_installed_file_is_the_default() {
    let text = without_marks(&read("docker/debian/aptmesh.toml"));
    let mut config = load(&text);
    assert_eq!(config.mirrors.len(), 1, "the example of a mirror");
    config.mirrors.clear();
    assert_eq!(config, load(""));
}

#[test]
fn every_key_stands_in_the_installed_file() {
    let text = without_marks(&read("docker/debian/aptmesh.toml"));
    let (mut section, mut there) = (String::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            section = format!("{}.", header.trim_matches(['[', ']']));
        } else if let Some((key, _)) = line.split_once(" = ") {
            there.insert(format!("{section}{key}"));
        }
    }
    let rows = readme_keys(&read("README.md"));
    let wanted: BTreeSet<String> = rows
        .iter()
        .flat_map(|[keys, ..]| keys.split(", ").map(str::to_owned))
        .collect();
    assert_eq!(there, wanted);
}
