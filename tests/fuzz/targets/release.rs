#![no_main]
//! `Release` and `InRelease`.

use aptmesh::debian::release::{Release, cleartext};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(payload) = cleartext(bytes) {
        let _ = Release::parse(&payload);
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(release) = Release::parse(text) {
        assert!(release.files.is_sorted_by(|one, next| one.path < next.path));
        for file in &release.files {
            assert!(!file.path.starts_with('/') && file.vouched.size <= i64::MAX as u64);
        }
        let signed = cleartext(sign(text).as_bytes()).unwrap();
        assert_eq!(Release::parse(&signed), Ok(release));
    }
});

fn sign(text: &str) -> String {
    let escaped: String = text.split('\n').map(|line| format!("- {line}\n")).collect();
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{escaped}\
         -----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----"
    )
}
