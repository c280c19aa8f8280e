#![allow(clippy::unwrap_used)]

use super::super::{MAX_CHAIN, MAX_SCRIPT};
use super::*;
use proptest::prelude::*;
use std::io::{BufReader, Cursor};
use std::process::Command;

fn script(text: impl AsRef<[u8]>) -> EdScript {
    EdScript::parse(text.as_ref()).unwrap()
}

fn apply(old: &[u8], scripts: Vec<EdScript>, capacity: usize) -> io::Result<Vec<u8>> {
    let source = BufReader::with_capacity(capacity, Cursor::new(old.to_owned()));
    let mut text: Box<dyn BufRead + Send> = Box::new(source);
    for script in scripts {
        text = Box::new(patched(text, script));
    }
    let mut new = Vec::new();
    text.read_to_end(&mut new)?;
    Ok(new)
}

fn diff(old: &[u8], new: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old"), old).unwrap();
    std::fs::write(folder.path().join("new"), new).unwrap();
    let output = Command::new("diff")
        .args(["--text", "--ed", "old", "new"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.code() < Some(2), "{output:?}");
    output.stdout
}

#[test]
fn commands_do_what_ed_does() {
    for (old, commands, new) in [
        ("a\nb\nc\n", "", "a\nb\nc\n"),
        (
            "a\nb\nc\n",
            "3a\nd\n.\n2d\n0a\nx\ny\n.\n",
            "x\ny\na\nc\nd\n",
        ),
        ("a\nb\nc\n", "2,3c\nB\n.\n", "a\nB\n"),
        ("a\nb\nc\n", "1,3d\n", ""),
        ("", "0a\nnew\n.\n", "new\n"),
        ("a\nb\n", "2a\n2\n.\n2a\n1\n.\n2c\nB\n.\n", "a\nB\n1\n2\n"),
        ("a\n", "1c\n..\n.\ns/.//\n", ".\n"),
        (
            "a\n",
            "1c\n..\n.\ns/.//\na\nb\n..\n.\ns/.//\na\n...\n.\n",
            ".\nb\n.\n...\n",
        ),
        ("a\nb\n", "2c\n..\n.\ns/.//\n1d\n", ".\n"),
        ("a\n", "1a\ns/.//\n.\n", "a\ns/.//\n"),
    ] {
        for capacity in [1, 3, 100] {
            let outcome = apply(old.as_bytes(), vec![script(commands)], capacity).unwrap();
            assert_eq!(outcome, new.as_bytes(), "{old:?} {commands:?}");
        }
    }
}

#[test]
fn a_missing_last_newline_is_appended() {
    for (old, commands, new) in [
        ("a\nb", "", "a\nb\n"),
        ("a\nb", "2a\nc\n.\n", "a\nb\nc\n"),
        ("a\nb", "2d\n", "a\n"),
        ("a\nb", "1,2d\n", ""),
        ("a\nb", "1c\nA\n.\n", "A\nb\n"),
        ("", "", ""),
    ] {
        for capacity in [1, 3, 100] {
            let outcome = apply(old.as_bytes(), vec![script(commands)], capacity).unwrap();
            assert_eq!(outcome, new.as_bytes(), "{old:?} {commands:?}");
        }
    }
}

#[test]
fn what_diff_does_not_make_is_refused() {
    for (text, error) in [
        ("1p\n", PatchError::Command(1)),
        ("\n", PatchError::Command(1)),
        ("d\n", PatchError::Command(1)),
        ("a\n", PatchError::Command(1)),
        ("s/.//\n", PatchError::Command(1)),
        ("0d\n", PatchError::Command(1)),
        ("0c\nx\n.\n", PatchError::Command(1)),
        ("2,1d\n", PatchError::Command(1)),
        ("1,2a\nx\n.\n", PatchError::Command(1)),
        ("1,2,3d\n", PatchError::Command(1)),
        ("+1d\n", PatchError::Command(1)),
        ("$d\n", PatchError::Command(1)),
        ("1,d\n", PatchError::Command(1)),
        ("4294967296d\n", PatchError::Command(1)),
        ("\u{fc}d\n", PatchError::Command(1)),
        ("1d\n1d\n", PatchError::Order(2)),
        ("1d\n2d\n", PatchError::Order(2)),
        ("3,5d\n2,3d\n", PatchError::Order(2)),
        ("3d\n3a\nx\n.\n", PatchError::Order(2)),
        ("0a\nx\n.\n1d\n", PatchError::Order(4)),
        ("1c\n.x\n.\ns/.//\n", PatchError::Command(4)),
        ("1c\n.\ns/.//\n", PatchError::Command(3)),
        ("2c\n..\n.\ns/.//\nb\n", PatchError::Command(5)),
        ("1d", PatchError::Truncated(1)),
        ("1a\n", PatchError::Truncated(1)),
        ("1a\nx\n", PatchError::Truncated(2)),
        ("1a\nx\n.", PatchError::Truncated(3)),
        ("1a\nx\n..\n", PatchError::Truncated(3)),
        ("1a\n..\n.\ns/.//\na\n", PatchError::Truncated(5)),
    ] {
        assert_eq!(EdScript::parse(text.as_bytes()), Err(error), "{text:?}");
    }
    let long = vec![b'x'; MAX_SCRIPT + 1];
    assert_eq!(EdScript::parse(&long), Err(PatchError::Long));
}

#[test]
fn a_script_for_a_longer_text_is_an_error() {
    for (commands, line) in [
        ("3a\nx\n.\n", 3),
        ("3d\n", 3),
        ("2,9d\n", 9),
        ("4294967295c\nx\n.\n1d\n", u32::MAX),
    ] {
        for old in ["a\nb\n", "a\nb"] {
            let error = apply(old.as_bytes(), vec![script(commands)], 3).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let inner = error.into_inner().unwrap().downcast::<PatchError>();
            assert_eq!(*inner.unwrap(), PatchError::Beyond(line), "{commands:?}");
        }
    }
}

#[test]
fn the_longest_chain_fits_on_half_a_threads_stack() {
    let links = (0..MAX_CHAIN).map(|n| script(format!("{}a\n{n}\n.\n1d\n", n % 3 + 1)));
    let links: Vec<EdScript> = links.collect();
    let run = move || apply(b"a\nb\nc\nd\n", links, 100).unwrap();
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let new = thread.spawn(run).unwrap().join().unwrap();
    assert_eq!(new.split(|byte| *byte == b'\n').count(), 5);
}

/// Texts of few different lines, so that diff finds much in common.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "",
        ".",
        "..",
        "...",
        "s/.//",
        "a",
        "1d",
        ".a",
        "Package: x",
        "\u{fc}",
        "\r",
    ]);
    prop::collection::vec((line, 1usize..6), 0..30).prop_map(|lines| {
        let repeated = lines
            .into_iter()
            .map(|(line, times)| format!("{line}\n").repeat(times));
        repeated.collect::<String>().into_bytes()
    })
}

fn edited(text: &[u8], from: usize, count: usize, insert: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let from = from.min(lines.len());
    let rest = (from + count).min(lines.len());
    [
        lines[..from].concat(),
        insert.to_owned(),
        lines[rest..].concat(),
    ]
    .concat()
}

proptest! {
    #[test]
    fn what_diff_makes_applies(old in lines(), new in lines(), capacity in 1usize..40) {
        let patch = diff(&old, &new);
        prop_assert_eq!(apply(&old, vec![script(&patch)], capacity).unwrap(), new);
    }

    #[test]
    fn chains_apply(
        first in lines(),
        edits in prop::collection::vec((0usize..90, 0usize..60, lines()), 3),
        capacity in 1usize..40,
    ) {
        let mut scripts = Vec::new();
        let mut text = first.clone();
        for (from, count, insert) in edits {
            let next = edited(&text, from, count, &insert);
            scripts.push(script(diff(&text, &next)));
            text = next;
        }
        prop_assert_eq!(apply(&first, scripts, capacity).unwrap(), text);
    }

    #[test]
    fn any_script_is_applied_or_an_error(
        commands in prop::collection::vec(
            prop::sample::select(vec![
                "9a\n", "7,8c\n", "5d\n", "3,4d\n", "2a\n", "1c\n", "0a\n", "x\n", ".\n", "..\n", "s/.//\n", "a\n",
            ]),
            0..12,
        ),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        old in lines(),
    ) {
        if let Ok(script) = EdScript::parse(commands.concat().as_bytes()) {
            let _ = apply(&old, vec![script.clone(), script], 7);
        }
        if let Ok(script) = EdScript::parse(&bytes) {
            let _ = apply(&bytes, vec![script], 7);
        }
    }
}
