#![no_main]
//! pdiff indexes; and ed scripts with the old text behind a NUL byte, checked
//! against a plain ed that has the whole text in memory.

use std::io::{BufRead, BufReader, Cursor, Read as _};

use aptmesh::debian::digest::Digest;
use aptmesh::debian::pdiff::{EdScript, PdiffIndex, patched};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(index) = PdiffIndex::parse(text)
    {
        let first = index.patches.first().map(|patch| patch.from.digest);
        let _ = index.chain(&first.unwrap_or(Digest::Md5([0; 16])));
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (script, old) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    if let Ok(parsed) = EdScript::parse(script) {
        let expected = ed(old, script);
        assert_eq!(apply(old, &parsed, 4096), expected);
        assert_eq!(apply(old, &parsed, 3), expected);
    }
});

/// Twice, to stream through a chain too; the second time is not checked.
fn apply(old: &[u8], script: &EdScript, capacity: usize) -> Option<Vec<u8>> {
    let source = BufReader::with_capacity(capacity, Cursor::new(old.to_vec()));
    let first: Box<dyn BufRead + Send> = Box::new(patched(source, script.clone()));
    let _ = patched(first, script.clone()).read_to_end(&mut Vec::new());
    let source = BufReader::with_capacity(capacity, Cursor::new(old.to_vec()));
    let mut new = Vec::new();
    let outcome = patched(source, script.clone()).read_to_end(&mut new);
    outcome.is_ok().then_some(new)
}

/// `None` where a line is addressed that is not there.
fn ed(old: &[u8], script: &[u8]) -> Option<Vec<u8>> {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut text = if old.is_empty() {
        Vec::new()
    } else {
        lines(old)
    };
    let mut dot = 0;
    let mut commands = lines(script).into_iter();
    while let Some(command) = commands.next().filter(|command| !command.is_empty()) {
        if command == b"s/.//" {
            text.get_mut(dot - 1)?.remove(0);
            continue;
        }
        let (letter, range) = command.split_last()?;
        let range = str::from_utf8(range).ok()?;
        let (first, last) = range.split_once(',').unwrap_or((range, range));
        let mut from = if range.is_empty() {
            dot
        } else {
            first.parse().ok()?
        };
        let to: usize = if range.is_empty() {
            dot
        } else {
            last.parse().ok()?
        };
        if to > text.len() {
            return None;
        }
        if *letter != b'a' {
            text.drain(from - 1..to);
            from -= 1;
        }
        if *letter != b'd' {
            let new: Vec<_> = commands.by_ref().take_while(|line| line != b".").collect();
            dot = from + new.len();
            text.splice(from..from, new);
        }
    }
    Some(
        text.into_iter()
            .flat_map(|line| [&line[..], b"\n"].concat())
            .collect(),
    )
}
