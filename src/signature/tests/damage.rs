//! Files that are not what they should be.

use std::{fs, time::SystemTime};

use proptest::prelude::*;

use super::{Archive, PAYLOAD, TEXT, joined, refuses, replaced};
use crate::signature::{Keyrings, Verdict};

#[test]
fn nothing_stands_outside_of_the_message() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    let outside = "text stands outside of the signed message";
    for (before, after) in [("x\n", ""), ("\n", ""), ("", "x"), ("", "\n\nSuite: x\n")] {
        let file = joined(&[before.as_bytes(), &file, after.as_bytes()]);
        refuses(&archive.clear(&file), outside);
    }
    refuses(&archive.clear(&joined(&[&file, &file])), outside);
    assert_eq!(
        archive.clear(&joined(&[&file, b"\n \r\n"])),
        archive.good(Some(PAYLOAD))
    );

    let header = replaced(&file, "Hash: ", "Comment: x\nHash: ");
    refuses(
        &archive.clear(&header),
        "the signed message has a header other than",
    );
    let header = replaced(&file, "\n\nOrigin", "\nSuite: x\n\nOrigin");
    refuses(
        &archive.clear(&header),
        "the signed message has a header other than",
    );
    let dash = replaced(&file, "Suite", "-Suite");
    refuses(
        &archive.clear(&dash),
        "the signed text has a line that begins with a dash",
    );
}

#[test]
fn what_is_not_signed_is_unsigned() {
    let archive = Archive::new();
    let page = b"<html>Please log in</html>\n";
    for file in [&b""[..], b"\n", TEXT, page, b"\xff\xfe\0", &[0x99; 300]] {
        assert_eq!(archive.clear(file), Verdict::Unsigned);
        assert_eq!(archive.detached(TEXT, file), Verdict::Unsigned);
    }
    let key = archive.gpg.run(["--armor", "--export"], b"");
    assert_eq!(archive.detached(TEXT, &key), Verdict::Unsigned);
    let key = archive.gpg.run(["--export"], b"");
    assert_eq!(archive.detached(TEXT, &key), Verdict::Unsigned);
}

#[test]
fn a_part_of_a_file_is_never_good() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    let begin = b"-----BEGIN PGP SIGNED MESSAGE-----".len();
    for end in 0..file.len() - 1 {
        let verdict = archive.clear(&file[..end]);
        if end < begin {
            assert_eq!(verdict, Verdict::Unsigned);
        } else {
            refuses(&verdict, "the signed message is cut off");
        }
    }
    for options in [&["--detach-sign"][..], &["--detach-sign", "--armor"]] {
        let signature = archive.gpg.sign(TEXT, options);
        for end in 0..signature.len() - 1 {
            let verdict = archive.detached(TEXT, &signature[..end]);
            assert!(!matches!(verdict, Verdict::Good { .. }), "{end}");
        }
    }
}

#[test]
fn no_slip_changes_what_is_good() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    for at in 0..file.len() {
        let mut slipped = file.clone();
        for bit in [1, 1 << 5, 1 << 7] {
            slipped[at] = file[at] ^ bit;
            if let Verdict::Good { payload, .. } = archive.clear(&slipped) {
                assert_eq!(payload.as_deref(), Some(PAYLOAD));
            }
        }
    }
    let signature = archive.gpg.sign(TEXT, &["--detach-sign"]);
    let mut refused = 0;
    for at in 0..signature.len() {
        let mut slipped = signature.clone();
        slipped[at] ^= 1;
        refused += usize::from(matches!(
            archive.detached(TEXT, &slipped),
            Verdict::Refused { .. }
        ));
    }
    assert!(
        refused > signature.len() / 2,
        "{refused} of {}",
        signature.len()
    );
}

#[test]
fn many_signatures_are_too_many() {
    let archive = Archive::new();
    let signature = archive.gpg.sign(TEXT, &["--detach-sign"]);
    assert_eq!(
        archive.detached(TEXT, &signature.repeat(32)),
        archive.good(None)
    );
    refuses(
        &archive.detached(TEXT, &signature.repeat(33)),
        "there are more than 32 signatures",
    );
}

#[test]
fn any_bytes_are_judged() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    let signature = archive.gpg.sign(TEXT, &["--detach-sign"]);
    let whole = fs::read(archive.file("archive.gpg")).unwrap();
    let slip = || {
        (
            any::<prop::sample::Index>(),
            prop::collection::vec(any::<u8>(), 0..8),
            0_usize..8,
        )
    };
    let slipped = |body: &[u8], (at, insert, cut): &(prop::sample::Index, Vec<u8>, usize)| {
        let at = at.index(body.len());
        let rest = &body[body.len().min(at + cut)..];
        [&body[..at], insert, rest].concat()
    };
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    proptest!(|(bytes in bytes, clear in slip(), detached in slip(), keyring in slip())| {
        let verdicts = [
            archive.clear(&bytes),
            archive.detached(TEXT, &bytes),
            archive.detached(&bytes, &signature),
        ];
        for verdict in verdicts {
            let good = matches!(verdict, Verdict::Good { .. });
            prop_assert!(!good);
        }
        if let Verdict::Good { payload, .. } = archive.clear(&slipped(&file, &clear)) {
            prop_assert_eq!(payload.as_deref(), Some(PAYLOAD));
        }
        archive.detached(TEXT, &slipped(&signature, &detached));

        let path = archive.file("slipped.bin");
        for body in [slipped(&whole, &keyring), bytes] {
            fs::write(&path, body).unwrap();
            let keyrings = Keyrings::new(vec![path.clone()]);
            let _ = keyrings.verify_detached(TEXT, &signature, SystemTime::now());
        }
    });
}
