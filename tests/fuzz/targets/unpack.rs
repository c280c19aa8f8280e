#![no_main]
//! Packed files: the first byte says how.

use std::io::{BufReader, Cursor, Read as _};

use aptmesh::debian::compression::{Compression, unpack};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, packed)) = bytes.split_first() else {
        return;
    };
    let compression = match how {
        b'g' => Compression::Gzip,
        b'b' => Compression::Bzip2,
        b'x' => Compression::Xz,
        b'm' => Compression::Lzma,
        b'z' => Compression::Zstd,
        b'4' => Compression::Lz4,
        _ => Compression::None,
    };
    let unpacked = |capacity| {
        let source = BufReader::with_capacity(capacity, Cursor::new(packed.to_vec()));
        let mut content = Vec::new();
        let outcome = unpack(source, compression, LIMIT).read_to_end(&mut content);
        assert!(content.len() as u64 <= LIMIT);
        outcome.is_ok().then_some(content)
    };
    let (whole, piecewise) = (unpacked(4096), unpacked(13));
    // Whether the library refuses odd padding behind an xz stream depends on
    // where buffers end.
    if compression != Compression::Xz || (whole.is_some() && piecewise.is_some()) {
        assert_eq!(whole, piecewise);
    }
});
