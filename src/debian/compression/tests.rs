#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::io::{BufReader, Cursor, Write as _};
use std::process::{Command, Stdio};

const TOOLS: [(Compression, &str, &[&str]); 6] = [
    (Compression::Gzip, "gzip", &["-c"]),
    (Compression::Bzip2, "bzip2", &["-c"]),
    (Compression::Xz, "xz", &["-c"]),
    (Compression::Lzma, "xz", &["-c", "--format=lzma"]),
    (Compression::Zstd, "zstd", &["-qc"]),
    (Compression::Lz4, "lz4", &["-qc"]),
];

fn packed(tool: &str, options: &[&str], content: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(content).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{tool}");
        output.stdout
    })
}

fn unpacked(packed: Vec<u8>, how: Compression, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let source = BufReader::with_capacity(1000, Cursor::new(packed));
    unpack(source, how, limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Text that is neither all the same nor incompressible.
fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| (n.wrapping_mul(n) >> 7).to_string().into_bytes())
        .take(length)
        .collect()
}

#[test]
fn names_tell_the_compression() {
    for (path, stem, compression) in [
        ("main/Packages.xz", "main/Packages", Compression::Xz),
        ("Packages.gz", "Packages", Compression::Gzip),
        ("Packages.bz2", "Packages", Compression::Bzip2),
        ("Packages.lzma", "Packages", Compression::Lzma),
        ("Packages.zst", "Packages", Compression::Zstd),
        ("Packages.lz4", "Packages", Compression::Lz4),
        ("Packages", "Packages", Compression::None),
        ("a/.xz", "a/.xz", Compression::None),
        (".gz", ".gz", Compression::None),
        ("Packages.xz/Index", "Packages.xz/Index", Compression::None),
    ] {
        assert_eq!(Compression::split(path), (stem, compression), "{path}");
    }
}

#[test]
fn what_the_tools_pack_unpacks() {
    for (how, tool, options) in TOOLS {
        for length in [0, 1, 70_000, 3_000_000] {
            let content = text(length);
            let mut once = packed(tool, options, &content);
            let size = content.len() as u64;
            assert!(
                unpacked(once.clone(), how, size).unwrap() == content,
                "{how:?} {length}"
            );
            if how != Compression::Lzma {
                once.extend(packed(tool, options, b"and more"));
                let twice = [&content[..], b"and more"].concat();
                assert!(
                    unpacked(once, how, u64::MAX).unwrap() == twice,
                    "{how:?} twice"
                );
            }
        }
    }
    assert_eq!(
        unpacked(b"plain".into(), Compression::None, 5).unwrap(),
        b"plain"
    );
}

#[test]
fn a_truncated_file_is_an_error() {
    let content = text(50_000);
    for (how, tool, options) in TOOLS {
        let whole = packed(tool, options, &content);
        let ends = (0..whole.len()).filter(|end| end % 97 == 0 || whole.len() - end < 40);
        for end in ends {
            let error = unpacked(whole[..end].into(), how, u64::MAX).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::UnexpectedEof,
                "{how:?} {end}: {error}"
            );
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    let limit = 100_000;
    for (how, tool, options) in TOOLS {
        let bomb = packed(tool, options, &zeros);
        let mut reader = unpack(Cursor::new(bomb), how, limit);
        let mut content = Vec::new();
        let error = reader.read_to_end(&mut content).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file unpacks to more than 100000 bytes",
            "{how:?}"
        );
        assert!(content.len() as u64 <= limit, "{how:?}");
        assert!(
            reader.read(&mut [0; 10]).is_err(),
            "{how:?}: an error stays one"
        );
    }
    assert!(unpacked(zeros, Compression::None, limit).is_err());
}

#[test]
fn the_memory_that_a_file_asks_for_has_a_limit() {
    let mut file = packed("xz", &["-c", "--format=lzma"], &text(1000));
    // The dictionary's size, in the header.
    file[1..5].copy_from_slice(&(1u32 << 30).to_le_bytes());
    let error = unpacked(file, Compression::Lzma, u64::MAX).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[test]
fn an_error_says_which_file_and_why() {
    let error = unpacked(b"<html>".into(), Compression::Gzip, 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Gzip file does not unpack: Invalid gzip header"
    );
}

proptest! {
    #[test]
    fn any_bytes_unpack_or_fail(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        which in 0usize..6,
    ) {
        let (how, ..) = TOOLS[which];
        let _ = unpacked(bytes.clone(), how, 10_000);
        let magic: &[u8] = match how {
            Compression::Gzip => b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            Compression::Bzip2 => b"BZh9",
            Compression::Xz => b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46",
            Compression::Lzma => b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff",
            Compression::Zstd => b"\x28\xb5\x2f\xfd",
            _ => b"\x04\x22\x4d\x18\x64\x40\xa7",
        };
        let _ = unpacked([magic, &bytes].concat(), how, 10_000);
    }
}
