#![no_main]
//! `Packages` and `Sources`.

use std::io::BufReader;

use aptmesh::debian::list::{ListKind, Listed, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for kind in [ListKind::Packages, ListKind::Sources] {
        let listed = |capacity| {
            let mut files: Vec<Listed> = Vec::new();
            let source = BufReader::with_capacity(capacity, bytes);
            let outcome = read(kind, source, |file| files.push(file));
            (outcome.map_err(|error| error.to_string()), files)
        };
        let (outcome, files) = listed(4096);
        for file in &files {
            assert!(!file.path.starts_with('/') && file.vouched.size <= i64::MAX as u64);
            assert!(file.path.split('/').all(|segment| segment != ".."));
        }
        assert_eq!((outcome, files), listed(7));
    }
});
