//! Who may use whom: reads the `crate::` edges of every module and compares
//! them with the floors that `lib.rs` draws.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Floors from the ground up; on each, groups whose modules may use each other.
const FLOORS: [&[&[&str]]; 5] = [
    &[&[
        "debian",
        "dht",
        "swarm",
        "router",
        "bencode",
        "mirrors",
        "health",
        "skew",
        "validators",
        "meter",
        "visitors",
        "config",
        "clock",
        "human",
    ]],
    &[
        &["db"],
        &["store"],
        &["upstream"],
        &["overlay"],
        &["discovery"],
        &["portmap"],
        &["signature"],
        &["lifecycle"],
    ],
    &[&["core", "truth", "upkeep"]],
    &[&["http"], &["worker"]],
    &[&["cli", "node"]],
];

fn place(module: &str) -> (usize, usize) {
    FLOORS
        .iter()
        .enumerate()
        .find_map(|(floor, groups)| {
            let group = groups.iter().position(|group| group.contains(&module))?;
            Some((floor, group))
        })
        .unwrap_or_else(|| {
            panic!("the module {module} has no floor: give it one here and in lib.rs")
        })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Modules that a source names after `crate::`, alone or in braces.
fn uses(source: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut used = BTreeSet::new();
    for line in source
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
    {
        for (_, rest) in line
            .match_indices("crate::")
            .map(|(at, found)| (at, &line[at + found.len()..]))
        {
            match rest.strip_prefix('{') {
                Some(list) => used.extend(list.split(',').map(|item| name(item.trim()))),
                None => drop(used.insert(name(rest))),
            }
        }
    }
    used.remove("");
    used
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn parts_use_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let inside = path.strip_prefix(src()).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "main" | "lib" | "ground") {
            continue;
        }
        let here = place(module);
        for used in uses(&std::fs::read_to_string(&path).unwrap()) {
            let there = place(&used);
            if there.0 > here.0 || (there.0 == here.0 && there.1 != here.1) {
                wrong.push(format!("{} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sql_stands_only_in_db() {
    for path in sources(&src()) {
        let inside = path.strip_prefix(src()).unwrap();
        if !inside.starts_with("db") && inside != Path::new("db.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(!source.contains("sqlx::"), "SQL in {}", inside.display());
        }
    }
}

#[test]
fn no_file_has_outgrown_its_name() {
    for path in sources(&src()) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines: it wants a new noun",
            path.display()
        );
    }
}

/// The arguments of each call that writes to the log.
fn log_calls(source: &str) -> Vec<Vec<String>> {
    let calls = source.split("tracing::").skip(1).filter_map(|rest| {
        let (level, rest) = rest.split_once("!(")?;
        ["error", "warn", "info", "debug", "trace"]
            .contains(&level)
            .then(|| arguments(rest))
    });
    calls.collect()
}

/// What stands between commas up to the bracket that closes the call.
fn arguments(text: &str) -> Vec<String> {
    let (mut found, mut depth, mut is_text) = (vec![String::new()], 0, false);
    for c in text.chars() {
        match c {
            '"' => is_text = !is_text,
            '(' | '[' | '{' if !is_text => depth += 1,
            ')' if !is_text && depth == 0 => break,
            ')' | ']' | '}' if !is_text => depth -= 1,
            ',' if !is_text && depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(c);
    }
    let trimmed = found.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

#[test]
fn log_lines_are_a_sentence_and_fields_of_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("| field | is |").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let fields: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for path in sources(&src()) {
        for call in log_calls(&std::fs::read_to_string(&path).unwrap()) {
            let sentence = call.iter().find_map(|said| said.strip_prefix('"'));
            let is_sentence = sentence.is_some_and(|said| {
                said.starts_with(|c: char| c.is_lowercase() || c == '{') && !said.ends_with(".\"")
            });
            let names: Vec<String> = call
                .iter()
                .take_while(|argument| !argument.starts_with('"'))
                .map(|argument| {
                    let name = argument.split('=').next().unwrap().trim();
                    name.trim_start_matches(['%', '?']).to_owned()
                })
                .collect();
            if !is_sentence || names.iter().any(|name| !fields.contains(name.as_str())) {
                wrong.push(format!("{}: {call:?}", path.display()));
            }
            used.extend(names);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unused: Vec<_> = fields
        .iter()
        .filter(|name| !used.contains(**name))
        .collect();
    assert!(
        unused.is_empty(),
        "in README.md, but in no line: {unused:?}"
    );
}

#[test]
fn log_calls_are_really_read() {
    let source = "tracing::warn!(\n url = a(b, c),\n %error,\n \"it (fails), so\"\n); tracing::field::Empty;";
    let expected = vec![vec!["url = a(b, c)", "%error", "\"it (fails), so\""]];
    assert_eq!(log_calls(source), expected);
}

#[test]
fn the_edges_are_really_read() {
    let source = "use crate::db::Db;\n//! crate::no\nuse crate::{store, http::x};\nlet a = crate::clock::now();";
    let expected: BTreeSet<_> = ["db", "store", "http", "clock"].map(str::to_owned).into();
    assert_eq!(uses(source), expected);
}
