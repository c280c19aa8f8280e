#![allow(clippy::unwrap_used)]

use super::*;
use crate::debian::digest::Digest;
use proptest::prelude::*;

fn listed(kind: ListKind, text: impl AsRef<[u8]>) -> (Result<u64, String>, Vec<Listed>) {
    let mut files = Vec::new();
    let outcome = read(kind, text.as_ref(), |file| files.push(file));
    (outcome.map_err(|error| error.to_string()), files)
}

fn file(path: &str, digest: Digest, size: u64) -> Listed {
    Listed {
        path: path.to_owned(),
        vouched: Vouched { digest, size },
    }
}

fn package(path: &str) -> String {
    format!(
        "Package: x\nFilename: {path}\nSize: 7\nSHA256: {}\n\n",
        "ab".repeat(32)
    )
}

#[test]
fn paths_tell_the_kind() {
    for (stem, kind) in [
        ("main/binary-amd64/Packages", Some(ListKind::Packages)),
        ("Packages", Some(ListKind::Packages)),
        ("main/source/Sources", Some(ListKind::Sources)),
        ("main/Contents-amd64", None),
        ("main/Packages.diff/Index", None),
        ("", None),
    ] {
        assert_eq!(ListKind::of(stem), kind, "{stem}");
    }
}

#[test]
fn packages_name_one_file_a_stanza() {
    let (md5, sha1) = ("1".repeat(32), "2".repeat(40));
    let (sha256, sha512) = ("3".repeat(64), "4".repeat(128));
    let text = format!(
        "\n\n# comment\nPackage: a\nfilename: pool/a+b_1_all.deb\nSize: 12\nMD5sum: {md5}\nSHA1: {sha1}\n\
         SHA256: {sha256}\nSHA512: {sha512}\nDescription: a\n long\n .\n text\n\n\n\
         Package: b\r\nFilename: ./b.deb\r\nSHA512: {sha512}\r\nSize: 0\r\n\r\n\
         # only a comment\n\n\
         Package: no-name\n\nPackage: no-size\nFilename: c\nSHA256: {sha256}\n\n\
         Package: no-hash\nFilename: c\nSize: 1\n\n\
         Filename: d.deb\nMD5sum: {md5}\nSHA1: {sha1}\nSize: 9223372036854775807"
    );
    let (count, files) = listed(ListKind::Packages, text);
    assert_eq!(count, Ok(6));
    assert_eq!(
        files,
        [
            file("pool/a+b_1_all.deb", Digest::Sha256([0x33; 32]), 12),
            file("b.deb", Digest::Sha512([0x44; 64]), 0),
            file("d.deb", Digest::Sha1([0x22; 20]), i64::MAX as u64),
        ]
    );
}

#[test]
fn sources_name_several_files_in_a_folder() {
    let (md5, sha256) = ("1".repeat(32), "3".repeat(64));
    let text = format!(
        "Package: a\nDirectory: pool/main/a\nFiles:\n {md5} 5 a.dsc\n {md5} 6 a.tar.xz\n\
         Checksums-Sha256:\n {sha256} 5 a.dsc\n {sha256}\t6  a.tar.xz \n\n\
         Package: flat\nDirectory: .\nFiles: {md5} 7 f.dsc\n\n\
         Package: root\nFiles:\n {md5} 8 r.dsc\n\n\
         Package: none\nDirectory: x\n"
    );
    let (count, files) = listed(ListKind::Sources, text);
    assert_eq!(count, Ok(4));
    assert_eq!(
        files,
        [
            file("pool/main/a/a.dsc", Digest::Sha256([0x33; 32]), 5),
            file("pool/main/a/a.tar.xz", Digest::Sha256([0x33; 32]), 6),
            file("f.dsc", Digest::Md5([0x11; 16]), 7),
            file("r.dsc", Digest::Md5([0x11; 16]), 8),
        ]
    );
}

#[test]
fn errors_name_the_stanza() {
    let good = package("a.deb");
    let hash = "ab".repeat(32);
    for (stanza, message) in [
        (
            package("../etc/passwd"),
            "names a file `../etc/passwd` that can't be: the path climbs with `..`",
        ),
        (
            package("a.deb").replace("Size: 7", "Size: 9223372036854775808"),
            "has a field Size that has a size that is no number of bytes below 2^63",
        ),
        (
            package("a.deb").replace("Size: 7", "Size: -7"),
            "has a field Size that has a size that is no number of bytes below 2^63",
        ),
        (
            package("a.deb").replace(&hash, "ab"),
            "has a field SHA256 that has no SHA256 hash in hexadecimal digits",
        ),
        (
            "Filename: a\nSize: 1\nSize: 2\n".to_owned(),
            "has the field Size twice",
        ),
        (
            "<html>\n".to_owned(),
            "has a line that is no field: `<html>`",
        ),
        (
            " continues nothing\n".to_owned(),
            "has a line that is no field: ` continues nothing`",
        ),
    ] {
        let (outcome, files) = listed(ListKind::Packages, good.clone() + &stanza);
        assert_eq!(outcome, Err(format!("stanza 2 of the list {message}")));
        assert_eq!(files.len(), 1);
    }
    let (outcome, _) = listed(ListKind::Packages, b"Package: \xff\n");
    assert_eq!(outcome, Err("stanza 1 of the list is not UTF-8".to_owned()));
    let (outcome, _) = listed(ListKind::Sources, format!("Files:\n {hash} 1 a b\n"));
    let message = "stanza 1 of the list has a field MD5Sum that is not a hash, a size and a name";
    assert_eq!(outcome, Err(message.to_owned()));
}

#[test]
fn a_stanza_has_an_end() {
    let long = "stanza 1 of the list is longer than 4194304 bytes or 65536 lines";
    for endless in ["x", "a:\n", " \n", "# \n", "a: b\n c\n"] {
        let text = endless.repeat((5 << 20) / endless.len());
        let outcome = read(ListKind::Packages, text.as_bytes(), |_| ());
        assert_eq!(outcome.unwrap_err().to_string(), long, "{endless:?}");
    }
    // Between stanzas there may be any number of empty lines.
    let (count, files) = listed(
        ListKind::Packages,
        "\n".repeat(1 << 20) + &package("a") + &"\r\n".repeat(1 << 20),
    );
    assert_eq!((count, files.len()), (Ok(1), 1));
}

struct Breaks(usize);

impl io::Read for Breaks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0 -= 1;
        into.fill(b'\n');
        Ok(into.len())
    }
}

#[test]
fn the_sources_errors_come_through() {
    let outcome = read(ListKind::Packages, io::BufReader::new(Breaks(3)), |_| ());
    let message = "the list can't be read: the disk is gone";
    assert_eq!(outcome.unwrap_err().to_string(), message);
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = listed(ListKind::Packages, &bytes);
        let _ = listed(ListKind::Sources, &bytes);
    }

    #[test]
    fn any_fields_are_a_list_or_an_error(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "Filename: a", "Size: 1", "SHA1:", "Files:", "Directory: ..", "\t", " 0 0 0", "", "#", "x",
            ]),
            0..20,
        ),
    ) {
        let text = lines.join("\n");
        let _ = listed(ListKind::Packages, &text);
        let _ = listed(ListKind::Sources, &text);
    }

    #[test]
    fn buffers_do_not_matter(count in 0usize..40, capacity in 1usize..200) {
        let text: String = (0..count).map(|n| package(&format!("p{n}"))).collect();
        let mut paths = Vec::new();
        let source = io::BufReader::with_capacity(capacity, text.as_bytes());
        let stanzas = read(ListKind::Packages, source, |file| paths.push(file.path)).unwrap();
        prop_assert_eq!(stanzas, count as u64);
        let expected: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        prop_assert_eq!(paths, expected);
    }
}
