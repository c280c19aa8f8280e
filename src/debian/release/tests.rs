#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn hex(digit: char, bytes: usize) -> String {
    digit.to_string().repeat(2 * bytes)
}

fn release() -> String {
    format!(
        "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\n\
         Date: Sat, 10 Jun 2023 09:01:22 UTC\nValid-Until: Sat, 17 Jun 2023 09:01:22 +0000\n\
         Acquire-By-Hash: yes\nMD5Sum:\n {} 5 main/a\n {} 6 main/m\nSHA1:\n {} 7 main/s\n\
         SHA256:\n {} 5 main/a\n {} 8 ./main/b+c.xz\nSHA512:\n {} 5 main/a\n {} 9 main/z\n",
        hex('1', 16),
        hex('2', 16),
        hex('3', 20),
        hex('4', 32),
        hex('5', 32),
        hex('6', 64),
        hex('7', 64),
    )
}

fn signed(payload: &str) -> String {
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{payload}\
         -----BEGIN PGP SIGNATURE-----\n\niQ==\n=AfjX\n-----END PGP SIGNATURE-----\n"
    )
}

#[test]
fn a_release_vouches_for_its_files_with_the_strongest_hash() {
    let release = Release::parse(&release()).unwrap();
    assert_eq!(release.origin.as_deref(), Some("Debian"));
    assert_eq!(release.label.as_deref(), Some("Debian"));
    assert_eq!(release.suite.as_deref(), Some("oldstable"));
    assert_eq!(release.codename.as_deref(), Some("bookworm"));
    assert_eq!(release.date, Some(1_686_387_682_000));
    assert_eq!(release.valid_until, Some(1_686_992_482_000));
    assert!(release.acquire_by_hash);
    let file = |path: &str, digest, size, sha512| ReleaseFile {
        path: path.to_owned(),
        vouched: Vouched { digest, size },
        sha512,
    };
    assert_eq!(
        release.files,
        [
            file("main/a", Digest::Sha256([0x44; 32]), 5, Some([0x66; 64])),
            file("main/b+c.xz", Digest::Sha256([0x55; 32]), 8, None),
            file("main/m", Digest::Md5([0x22; 16]), 6, None),
            file("main/s", Digest::Sha1([0x33; 20]), 7, None),
            file("main/z", Digest::Sha512([0x77; 64]), 9, None),
        ]
    );
}

#[test]
fn little_is_needed() {
    let text = format!("SHA256: {} 0 Packages", hex('0', 32));
    let release = Release::parse(&text).unwrap();
    assert_eq!(release.files.len(), 1);
    assert_eq!((release.date, release.valid_until), (None, None));
    assert_eq!((release.origin, release.acquire_by_hash), (None, false));
}

#[test]
fn dates_are_those_that_apt_takes() {
    for (text, millis) in [
        ("Sat, 10 Jun 2023 09:01:22 UTC", Some(1_686_387_682_000)),
        ("Sat, 10 Jun 2023 09:01:22 GMT", Some(1_686_387_682_000)),
        ("Sat, 10 Jun 2023 09:01:22 +0000", Some(1_686_387_682_000)),
        ("10 jun 2023 9:01:22 Z", Some(1_686_387_682_000)),
        ("Thu,  1 Jan 1970 00:00:01 UTC", Some(1000)),
        ("Sat, 10 Jun 2023 09:01:22 +0200", None),
        ("Sat, 10 Jun 2023 09:01:22", None),
        ("Sat, 31 Jun 2023 09:01:22 UTC", None),
        ("Sat, 10 Jun 2023 25:01:22 UTC", None),
        ("Sat, 10 Jun 99999 09:01:22 UTC", None),
        ("Sat, 10 Jun 1969 09:01:22 UTC", None),
        ("Sat, 10 Jun 2023 09:01:22 UTC tomorrow", None),
        ("2023-06-10T09:01:22Z", None),
        ("", None),
    ] {
        assert_eq!(millis_of(text), millis, "{text}");
    }
}

#[test]
fn what_is_no_release_is_refused() {
    let good = release();
    let entry = |line: &str| good.replace("main/b+c.xz", &format!("main/b+c.xz\n {line}"));
    let sha256 = hex('4', 32);
    for (text, message) in [
        (
            String::new(),
            "the text lists no files, so it is no Release file",
        ),
        (
            "Origin: x\n".into(),
            "the text lists no files, so it is no Release file",
        ),
        (
            "SHA256:\n".into(),
            "the text lists no files, so it is no Release file",
        ),
        (
            "\n\n<!DOCTYPE html>\n<title>Log in</title>".into(),
            "line 3 of the Release file is no field: `<!DOCTYPE html>`",
        ),
        (
            "<!DOCTYPE html PUBLIC \"http://w3\">\n<html>".into(),
            "line 2 of the Release file is no field: `<html>`",
        ),
        (
            good.clone() + "\nmore: x\n",
            "the Release file has more than one stanza",
        ),
        (
            good.clone() + "suite: x\n",
            "the Release file has the field Suite twice",
        ),
        (
            good.replace("UTC", "CEST"),
            "the field Date of the Release file is no date in UTC: `Sat, 10 Jun 2023 09:01:22 CEST`",
        ),
        (
            good.replace("Valid-Until: ", "Valid-Until: Tomorrow\nX: "),
            "the field Valid-Until of the Release file is no date in UTC: `Tomorrow`",
        ),
        (
            entry(&format!("{sha256} 5")),
            "line 16 of the Release file is not a hash, a size and a name",
        ),
        (
            entry(&format!("{} 5 x", hex('4', 20))),
            "line 16 of the Release file has no SHA256 hash in hexadecimal digits",
        ),
        (
            entry(&format!("{sha256} 9223372036854775808 x")),
            "line 16 of the Release file has a size that is no number of bytes below 2^63",
        ),
        (
            entry(&format!("{sha256} 5 x/../../y")),
            "line 16 of the Release file names a file that can't be: the path climbs with `..`",
        ),
        (
            entry(&format!("{sha256} 6 main/./a")),
            "line 16 of the Release file contradicts what it says of `main/a` before",
        ),
        (
            entry(&format!("{} 5 main/a", hex('f', 32))),
            "line 16 of the Release file contradicts what it says of `main/a` before",
        ),
        (
            good.replace(" 5 main/a\nSHA1", " 4 main/a\nSHA1")
                .replace(" 6 main/m", " 5 main/a"),
            "line 10 of the Release file contradicts what it says of `main/a` before",
        ),
    ] {
        assert_eq!(Release::parse(&text).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_release_has_an_end() {
    let long = "x".repeat(MAX_TEXT + 1);
    assert_eq!(Release::parse(&long), Err(ReleaseError::Long));
    assert_eq!(cleartext(long.as_bytes()), Err(ReleaseError::Long));
    let lines = "a:\n".repeat(MAX_LINES + 1);
    assert_eq!(Release::parse(&lines), Err(ReleaseError::Many));
    let list = |files: usize| {
        let hash = hex('0', 32);
        (0..files).fold("SHA256:\n".to_owned(), |text, file| {
            text + &format!(" {hash} 1 f{file}\n")
        })
    };
    assert_eq!(
        Release::parse(&list(MAX_FILES)).unwrap().files.len(),
        MAX_FILES
    );
    assert_eq!(
        Release::parse(&list(MAX_FILES + 1)),
        Err(ReleaseError::Many)
    );
}

#[test]
fn release_and_inrelease_of_one_generation_are_one() {
    let text = release();
    let identity = Release::parse(&text).unwrap().identity;
    let payload = cleartext(signed(&text).as_bytes()).unwrap();
    assert_eq!(payload, text);
    for same in [
        payload,
        text.replace('\n', " \t\n"),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
        text.clone() + "\n \n\n",
    ] {
        let same = cleartext(signed(&(same + "\n")).as_bytes()).unwrap();
        assert_eq!(Release::parse(&same).unwrap().identity, identity);
    }
    let other = text.replace("Label: Debian", "Label:  Debian");
    assert_ne!(Release::parse(&other).unwrap().identity, identity);
}

#[test]
fn dashes_are_unescaped() {
    let payload = cleartext(signed("- -----BEGIN\n- - x\n- From\n- \na - b \n\n").as_bytes());
    assert_eq!(payload.unwrap(), "-----BEGIN\n- x\nFrom\n\na - b\n\n");
}

#[test]
fn several_signatures_may_follow() {
    let good = signed("a: b\n");
    let (_, signature) = good.split_once("a: b\n").unwrap();
    let twice = format!("{good}\n \r\n{signature}\n");
    assert_eq!(cleartext(twice.as_bytes()).unwrap(), "a: b\n");
    let windows = good.replace('\n', "\r\n");
    assert_eq!(cleartext(windows.as_bytes()).unwrap(), "a: b\n");
}

#[test]
fn what_nobody_signed_is_refused() {
    let good = signed("a: b\n");
    for (text, error) in [
        (String::new(), ReleaseError::Unsigned(1)),
        ("a: b\n".into(), ReleaseError::Unsigned(1)),
        (format!("\n{good}"), ReleaseError::Unsigned(1)),
        (format!("x: y\n{good}"), ReleaseError::Unsigned(1)),
        (format!("{good}x: y\n"), ReleaseError::Unsigned(10)),
        (format!("{good}{good}"), ReleaseError::Unsigned(10)),
        (good.replace("a: b", "-a: b"), ReleaseError::Unsigned(4)),
        (good.replace("a: b", "-"), ReleaseError::Unsigned(4)),
        (good.replace("Hash", "Evil"), ReleaseError::Unsigned(2)),
        (
            good.replace("iQ==", "-----BEGIN PGP MESSAGE-----"),
            ReleaseError::Unsigned(7),
        ),
    ] {
        assert_eq!(cleartext(text.as_bytes()), Err(error), "{text}");
    }
    for lines in 1..9 {
        let part: Vec<&str> = good.lines().take(lines).collect();
        assert_eq!(
            cleartext(part.join("\n").as_bytes()),
            Err(ReleaseError::Truncated),
            "{lines}"
        );
    }
    let latin = [good.as_bytes(), b"\xfc"].concat();
    assert_eq!(cleartext(&latin), Err(ReleaseError::NotUtf8(10)));
}

proptest! {
    #[test]
    fn any_bytes_are_an_inrelease_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = cleartext(&bytes);
        let _ = cleartext(signed(&String::from_utf8_lossy(&bytes)).as_bytes());
        let _ = Release::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_change_of_a_release_is_one_or_an_error(at in 0usize..900, new in any::<char>()) {
        let text: String = release()
            .char_indices()
            .map(|(index, old)| if index == at { new } else { old })
            .collect();
        let _ = Release::parse(&text);
        let _ = millis_of(text.get(60..90).unwrap_or(""));
    }
}
