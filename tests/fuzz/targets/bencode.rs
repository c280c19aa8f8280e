#![no_main]
//! Bencode, checked against a plain reader that builds what it reads; values
//! and torrent strings, which have one form.

use std::collections::HashMap;

use aptmesh::bencode::{MAX_DEPTH, MAX_UNSORTED, Value, decode, encode, scan};
use aptmesh::swarm::torrent::TorrentString;
use aptmesh::swarm::value::FileValue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let expected =
        value(bytes, MAX_DEPTH).and_then(|(value, rest)| rest.is_empty().then_some(value));
    assert_eq!(scan(bytes).is_ok(), expected.is_some());
    assert_eq!(decode(bytes).ok(), expected);
    if let Some(value) = expected {
        let written = encode(&value);
        assert_eq!(written.len(), bytes.len());
        assert_eq!(decode(&written), Ok(value));
    }
    if let Ok(torrent) = TorrentString::decode(bytes, None) {
        assert_eq!(torrent.encode(), bytes);
    }
    if let Ok(value) = FileValue::decode(bytes) {
        assert_eq!(value.encode(), bytes);
    }
});

/// The value at the start, which may hold others `depth` deep, and what follows.
fn value(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    match first {
        b'i' => {
            let (text, rest) = until(rest, b'e')?;
            let number: i64 = text.parse().ok()?;
            (number.to_string() == text).then_some((Value::Int(number), rest))
        }
        b'l' => {
            let mut list = Vec::new();
            loop {
                if let Some(rest) = rest.strip_prefix(b"e") {
                    return (depth > 0).then_some((Value::List(list), rest));
                }
                let (item, behind) = value(rest, depth.checked_sub(1)?)?;
                list.push(item);
                rest = behind;
            }
        }
        b'd' => {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            let mut dict = HashMap::new();
            loop {
                if let Some(rest) = rest.strip_prefix(b"e") {
                    let orderly = keys.is_sorted() || keys.len() <= MAX_UNSORTED;
                    return (depth > 0 && orderly).then_some((Value::Dict(dict), rest));
                }
                let (key, behind) = string(rest)?;
                let (item, behind) = value(behind, depth.checked_sub(1)?)?;
                keys.push(key.clone());
                if dict.insert(key, item).is_some() {
                    return None;
                }
                rest = behind;
            }
        }
        _ => string(bytes).map(|(string, rest)| (Value::Bytes(string), rest)),
    }
}

fn string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (text, rest) = until(bytes, b':')?;
    let len: usize = text.parse().ok()?;
    let (string, rest) = rest.split_at_checked(len)?;
    (len.to_string() == text).then(|| (string.to_vec(), rest))
}

fn until(bytes: &[u8], end: u8) -> Option<(&str, &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..]))
}
