use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use self::gpg::Gpg;
use super::{Keyrings, Verdict};

mod damage;
mod gpg;

const TEXT: &[u8] = b"Origin: Example\nSuite: stable\nSHA256:\n 00 1 main/Packages\n";
const PAYLOAD: &str = "Origin: Example\nSuite: stable\nSHA256:\n 00 1 main/Packages";
const NAME: &str = "Example Archive <archive@example.org>";
const OTHER: &str = "Other Archive <other@example.org>";
const DAY: Duration = Duration::from_hours(24);

/// A key, and a folder of keyrings that holds it.
struct Archive {
    gpg: Gpg,
    key: String,
    folder: TempDir,
}

impl Archive {
    fn new() -> Self {
        Self::with_key("ed25519", "never", &[])
    }

    fn with_key(algorithm: &str, expires: &str, options: &[&str]) -> Self {
        let gpg = Gpg::new();
        let key = gpg.key(NAME, algorithm, expires, options);
        let folder = tempfile::tempdir().unwrap();
        gpg.export(NAME, &folder.path().join("archive.gpg"));
        Self { gpg, key, folder }
    }

    /// Makes another key, which is in no keyring.
    fn with_stranger(self) -> Self {
        self.gpg.key(OTHER, "ed25519", "never", &[]);
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keyrings(&self) -> Keyrings {
        Keyrings::new(vec![self.folder.path().to_owned()])
    }

    fn clearsigned(&self) -> Vec<u8> {
        self.gpg.sign(TEXT, &["-u", NAME, "--clearsign"])
    }

    fn clear(&self, file: &[u8]) -> Verdict {
        self.clear_after(file, Duration::ZERO)
    }

    fn clear_after(&self, file: &[u8], later: Duration) -> Verdict {
        self.keyrings()
            .verify_clear(file, SystemTime::now() + later)
    }

    fn detached(&self, text: &[u8], signature: &[u8]) -> Verdict {
        self.keyrings()
            .verify_detached(text, signature, SystemTime::now())
    }

    fn good(&self, payload: Option<&str>) -> Verdict {
        Verdict::Good {
            fingerprint: self.key.clone(),
            signer: NAME.to_owned(),
            payload: payload.map(str::to_owned),
        }
    }

    /// What is told of this archive's key.
    fn refuses(&self, verdict: &Verdict, before: &str, after: &str) {
        let whom = format!("{NAME} ({})", self.key);
        refuses(verdict, &format!("{before}{whom}{after}"));
    }
}

#[track_caller]
fn refuses(verdict: &Verdict, start: &str) {
    let Verdict::Refused { reason } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(reason.starts_with(start), "{reason}\n{start}");
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `file` with other line endings.
fn with_endings(file: &[u8], ending: &[u8]) -> Vec<u8> {
    file.split(|byte| *byte == b'\n')
        .collect::<Vec<_>>()
        .join(ending)
}

/// `file` with the first `from` in it made `to`.
fn replaced(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = str::from_utf8(file).unwrap();
    assert!(text.contains(from));
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_signed_file_is_good() {
    for algorithm in ["ed25519", "rsa2048", "nistp256"] {
        let archive = Archive::with_key(algorithm, "never", &[]);
        assert_eq!(
            archive.clear(&archive.clearsigned()),
            archive.good(Some(PAYLOAD))
        );
    }
}

#[test]
fn signatures_stand_beside_in_any_form() {
    let archive = Archive::new();
    for options in [
        &["--detach-sign"][..],
        &["--detach-sign", "--armor"],
        &["--detach-sign", "--textmode"],
        &["--detach-sign", "--armor", "--textmode"],
    ] {
        let signature = archive.gpg.sign(TEXT, options);
        assert_eq!(archive.detached(TEXT, &signature), archive.good(None));
        let longer = joined(&[TEXT, b" "]);
        archive.refuses(
            &archive.detached(&longer, &signature),
            "a signature by ",
            " does not belong to this text",
        );
    }
    let of_text = archive.gpg.sign(TEXT, &["--detach-sign", "--textmode"]);
    assert_eq!(
        archive.detached(&with_endings(TEXT, b"\r\n"), &of_text),
        archive.good(None)
    );
    refuses(
        &archive.detached(&with_endings(TEXT, b"\r"), &of_text),
        "a signature by ",
    );
}

#[test]
fn what_was_signed_is_the_payload() {
    let archive = Archive::new();
    let text =
        "- dash\n-----BEGIN PGP SIGNATURE-----\n--\n-\n\nFrom me \t\n \n\u{e9}\u{7f}\rx\r\nend\t";
    let signed = "- dash\n-----BEGIN PGP SIGNATURE-----\n--\n-\n\nFrom me\n\n\u{e9}\u{7f}\rx\nend";
    let file = archive.gpg.sign(text.as_bytes(), &["--clearsign"]);
    assert_eq!(archive.clear(&file), archive.good(Some(signed)));

    let nothing = archive.gpg.sign(b"", &["--clearsign"]);
    assert_eq!(archive.clear(&nothing), archive.good(Some("")));
    let windows = with_endings(&archive.clearsigned(), b"\r\n");
    assert_eq!(archive.clear(&windows), archive.good(Some(PAYLOAD)));
    let spaced = replaced(&archive.clearsigned(), "stable\n", "stable \t\n");
    assert_eq!(archive.clear(&spaced), archive.good(Some(PAYLOAD)));
    let latin = archive.gpg.sign(b"Label: \xe9\n", &["--clearsign"]);
    refuses(&archive.clear(&latin), "the signed text is not UTF-8");
}

#[test]
fn another_text_is_refused() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    let told = " does not belong to this text";
    for (from, to) in [
        ("stable", "unstable"),
        ("\n 00", "\n00"),
        ("SHA256:\n", "SHA256:"),
        ("Suite", "\nSuite"),
    ] {
        archive.refuses(
            &archive.clear(&replaced(&file, from, to)),
            "a signature by ",
            told,
        );
    }
}

#[test]
fn unknown_keys_are_named() {
    let archive = Archive::new();
    let none = Keyrings::new(Vec::new());
    let file = archive.clearsigned();
    let keys = vec![archive.key.clone()];
    assert_eq!(
        none.verify_clear(&file, SystemTime::now()),
        Verdict::Unknown { keys: keys.clone() }
    );
    let signature = archive.gpg.sign(TEXT, &["--detach-sign"]);
    assert_eq!(
        none.verify_detached(TEXT, &signature, SystemTime::now()),
        Verdict::Unknown { keys }
    );
}

#[test]
fn one_good_signature_is_enough() {
    let archive = Archive::new().with_stranger();
    for order in [[NAME, OTHER], [OTHER, NAME]] {
        let both = ["-u", order[0], "-u", order[1], "--clearsign"];
        let file = archive.gpg.sign(TEXT, &both);
        assert_eq!(archive.clear(&file), archive.good(Some(PAYLOAD)));
    }
    // The archive's older key is weak, expired or revoked by now.
    let archive = Archive::with_key("ed25519", "never", &[]).with_stranger();
    archive.gpg.export(OTHER, &archive.file("other.gpg"));
    let file = archive
        .gpg
        .sign(TEXT, &["-u", OTHER, "-u", NAME, "--clearsign"]);
    archive.gpg.revoke(&archive.gpg.fingerprints(OTHER)[0]);
    archive.gpg.export(OTHER, &archive.file("other.gpg"));
    assert_eq!(archive.clear(&file), archive.good(Some(PAYLOAD)));
}

#[test]
fn a_signature_of_another_text_spoils_the_good_one() {
    let archive = Archive::new().with_stranger();
    let sign = |text, name, how: &[&str]| {
        archive
            .gpg
            .sign(text, &[&["-u", name, "--detach-sign"], how].concat())
    };
    let armour = ["--armor"];
    let binary = joined(&[&sign(TEXT, NAME, &[]), &sign(b"x", OTHER, &[])]);
    let blocks = joined(&[
        &sign(TEXT, NAME, &armour),
        b"\n",
        &sign(b"x", OTHER, &armour),
    ]);
    for signatures in [binary, blocks] {
        assert_eq!(archive.detached(TEXT, &signatures), archive.good(None));
        archive.gpg.export(OTHER, &archive.file("other.asc"));
        refuses(
            &archive.detached(TEXT, &signatures),
            "a signature by Other Archive ",
        );
        fs::remove_file(archive.file("other.asc")).unwrap();
    }
}

#[test]
fn keys_expire() {
    let archive = Archive::with_key("ed25519", "30d", &[]);
    let file = archive.clearsigned();
    assert_eq!(
        archive.clear_after(&file, 29 * DAY),
        archive.good(Some(PAYLOAD))
    );
    let told = ", whose key is not accepted: Expired on ";
    archive.refuses(
        &archive.clear_after(&file, 31 * DAY),
        "the signature is by ",
        told,
    );

    archive
        .gpg
        .run(["--quick-set-expire", &archive.key, "60d"], b"");
    archive.gpg.export(NAME, &archive.file("renewed.asc"));
    assert_eq!(
        archive.clear_after(&file, 31 * DAY),
        archive.good(Some(PAYLOAD))
    );
}

#[test]
fn subkeys_expire_and_are_revoked() {
    let archive = Archive::new();
    archive.gpg.run(
        ["--quick-add-key", &archive.key, "ed25519", "sign", "30d"],
        b"",
    );
    archive.gpg.export(NAME, &archive.file("archive.gpg"));
    let subkey = format!("{}!", archive.gpg.fingerprints(NAME)[1]);
    let file = archive.gpg.sign(TEXT, &["-u", &subkey, "--clearsign"]);
    assert_eq!(archive.clear(&file), archive.good(Some(PAYLOAD)));
    let told = ", whose key is not accepted: Expired on ";
    archive.refuses(
        &archive.clear_after(&file, 31 * DAY),
        "the signature is by ",
        told,
    );

    let edit = ["--command-fd", "0", "--edit-key", &archive.key];
    archive.gpg.run(edit, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    archive.gpg.export(NAME, &archive.file("revoked.asc"));
    let told = ", whose key is not accepted: it is revoked";
    archive.refuses(&archive.clear(&file), "the signature is by ", told);
}

#[test]
fn a_revocation_counts_wherever_it_stands() {
    let archive = Archive::new();
    archive
        .gpg
        .run(["--quick-add-key", &archive.key, "ed25519", "sign"], b"");
    archive.gpg.export(NAME, &archive.file("archive.gpg"));
    let file = archive.gpg.sign(TEXT, &["-u", NAME, "--clearsign"]);
    assert_eq!(archive.clear(&file), archive.good(Some(PAYLOAD)));

    archive.gpg.revoke(&archive.key);
    let primary = format!("{}!", archive.key);
    let lone = [
        "--export-filter",
        "drop-subkey=key_created_d -gt 1970-01-01",
        "--export",
        &primary,
    ];
    fs::write(archive.file("0.pgp"), archive.gpg.run(lone, b"")).unwrap();
    let told = ", whose key is not accepted: it is revoked";
    archive.refuses(&archive.clear(&file), "the signature is by ", told);
}

#[test]
fn signatures_have_their_time() {
    let archive = Archive::with_key(
        "ed25519",
        "never",
        &["--faked-system-time", "20200101T000000!"],
    );
    let file = archive
        .gpg
        .sign(TEXT, &["--default-sig-expire", "2d", "--clearsign"]);
    assert_eq!(archive.clear_after(&file, DAY), archive.good(Some(PAYLOAD)));
    let told = " is not accepted: Expired on ";
    archive.refuses(
        &archive.clear_after(&file, 3 * DAY),
        "the signature by ",
        told,
    );

    let now = SystemTime::now();
    let earlier = |by: u64| {
        archive
            .keyrings()
            .verify_clear(&file, now - Duration::from_secs(by))
    };
    assert_eq!(earlier(30), archive.good(Some(PAYLOAD)));
    archive.refuses(
        &earlier(600),
        "the signature by ",
        " is not accepted: Not live until ",
    );
}

#[test]
fn what_is_weak_is_refused() {
    let archive = Archive::new();
    let file = archive
        .gpg
        .sign(TEXT, &["--digest-algo", "SHA1", "--clearsign"]);
    archive.refuses(
        &archive.clear(&file),
        "the signature by ",
        " is not accepted: SHA1 is not considered secure",
    );

    for (algorithm, options, why) in [
        ("rsa1024", &[][..], "RSA1024 is not considered secure"),
        (
            "rsa2048",
            &["--cert-digest-algo", "SHA1"],
            "SHA1 is not considered secure",
        ),
    ] {
        let archive = Archive::with_key(algorithm, "never", options);
        let told = format!(", whose key is not accepted: {why}");
        archive.refuses(
            &archive.clear(&archive.clearsigned()),
            "the signature is by ",
            &told,
        );
    }
}

#[test]
fn keys_that_are_not_for_signing_are_refused() {
    let archive = Archive::new();
    let key = archive.gpg.fingerprints(NAME)[0].clone();
    let file = archive.clearsigned();
    let edit = ["--command-fd", "0", "--expert", "--edit-key", &key];
    archive.gpg.run(edit, b"change-usage\nS\nQ\nsave\n");
    archive.gpg.export(NAME, &archive.file("archive.gpg"));
    let told = ", whose key is not accepted: it is not for signing";
    archive.refuses(&archive.clear(&file), "the signature is by ", told);
}

#[test]
fn an_old_key_that_does_not_say_what_it_is_for_is_for_signing() {
    use openpgp::{
        Cert, Packet,
        packet::{
            UserID,
            key::{Key4, PrimaryRole, SecretParts},
            signature::SignatureBuilder,
        },
        serialize::MarshalInto as _,
        types::{Curve, SignatureType},
    };
    use sequoia_openpgp as openpgp;

    let key: Key4<SecretParts, PrimaryRole> = Key4::generate_ecc(true, Curve::Ed25519).unwrap();
    let mut pair = key.clone().into_keypair().unwrap();
    let cert = Cert::try_from(Packet::from(openpgp::packet::Key::from(key))).unwrap();
    let id = UserID::from(NAME);
    let binding = SignatureBuilder::new(SignatureType::PositiveCertification);
    let binding = id.bind(&mut pair, &cert, binding).unwrap();
    let (cert, _) = cert
        .insert_packets([Packet::from(id), binding.into()])
        .unwrap();
    let signature = SignatureBuilder::new(SignatureType::Binary)
        .sign_message(&mut pair, TEXT)
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.gpg");
    fs::write(&path, cert.to_vec().unwrap()).unwrap();
    let signature = Packet::from(signature).to_vec().unwrap();
    let verdict = Keyrings::new(vec![path]).verify_detached(TEXT, &signature, SystemTime::now());
    let good = Verdict::Good {
        fingerprint: cert.fingerprint().to_hex(),
        signer: NAME.to_owned(),
        payload: None,
    };
    assert_eq!(verdict, good);
}

#[test]
fn what_this_build_cannot_check_is_unknown() {
    let archive = Archive::with_key("brainpoolP256r1", "never", &[]);
    let keys = vec![archive.key.clone()];
    assert_eq!(
        archive.clear(&archive.clearsigned()),
        Verdict::Unknown { keys }
    );
}

#[test]
fn keyrings_are_files_and_folders() {
    let archive = Archive::new();
    let file = archive.clearsigned();
    let verify =
        |paths: &[PathBuf]| Keyrings::new(paths.to_vec()).verify_clear(&file, SystemTime::now());
    let good = |paths: &[PathBuf]| verify(paths) == archive.good(Some(PAYLOAD));
    let whole = fs::read(archive.file("archive.gpg")).unwrap();

    for name in ["a.txt", "a.asc", "a.pgp"] {
        archive.gpg.export(NAME, &archive.file(name));
        assert!(good(&[archive.file(name)]), "{name}");
    }
    assert!(good(&["/nonexistent".into(), archive.file("a.txt")]));
    assert!(!good(&["/nonexistent".into()]));

    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, body: &[u8]| fs::write(folder.path().join(name), body).unwrap();
    let folders = [folder.path().to_owned()];
    put("README", &whole);
    put("empty.gpg", b"");
    put("text.asc", b"no key\n");
    put(
        "box.gpg",
        b"\0\0\0\x20\x01\x01\0\x02KBXf\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    );
    put("cut.gpg", &whole[..40]);
    fs::create_dir(folder.path().join("folder.gpg")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", folder.path().join("gone.gpg")).unwrap();
    put("large.gpg", &whole);
    let large = fs::File::options()
        .write(true)
        .open(folder.path().join("large.gpg"));
    large.unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(!good(&folders));
    for name in ["z.gpg", "z.asc", "z.pgp"] {
        archive.gpg.export(NAME, &folder.path().join(name));
        assert!(good(&folders), "{name}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(archive.file("archive.gpg"), folder.path().join("link.gpg"))
        .unwrap();
    assert!(good(&folders));
}

#[test]
fn an_upgraded_keyring_counts_at_once() {
    let archive = Archive::new();
    let keyrings = archive.keyrings();
    let file = archive.clearsigned();
    let verify = || keyrings.verify_clear(&file, SystemTime::now());
    assert_eq!(verify(), archive.good(Some(PAYLOAD)));
    fs::remove_file(archive.file("archive.gpg")).unwrap();
    assert_eq!(
        verify(),
        Verdict::Unknown {
            keys: vec![archive.key.clone()]
        }
    );
    archive.gpg.export(NAME, &archive.file("archive.asc"));
    assert_eq!(verify(), archive.good(Some(PAYLOAD)));
}
