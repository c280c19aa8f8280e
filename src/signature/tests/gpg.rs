//! Keys and signatures that `GnuPG` makes.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A `GnuPG` of its own, without keys.
pub(super) struct Gpg {
    home: TempDir,
}

impl Gpg {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.home.path());
        command
    }

    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Vec<u8> {
        let mut gpg = self
            .command("gpg")
            .args(["--batch", "--yes", "--quiet", "--no-tty"])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need gpg");
        gpg.stdin.take().unwrap().write_all(input).unwrap();
        let output = gpg.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        output.stdout
    }

    /// Makes a key, with more options to `GnuPG`, and tells its fingerprint.
    pub(super) fn key(&self, name: &str, algorithm: &str, expires: &str, more: &[&str]) -> String {
        let make = ["--quick-gen-key", name, algorithm, "sign", expires];
        self.run([more, &make].concat(), b"");
        self.fingerprints(name)[0].clone()
    }

    /// The fingerprints of a certificate: the primary key's and the subkeys'.
    pub(super) fn fingerprints(&self, name: &str) -> Vec<String> {
        let list = ["--with-colons", "--with-subkey-fingerprint", "--list-keys"];
        let listed = self.run([&list, &[name][..]].concat(), b"");
        let listed = String::from_utf8(listed).unwrap();
        let lines = listed.lines().filter(|line| line.starts_with("fpr:"));
        lines
            .map(|l| l.split(':').nth(9).unwrap().to_owned())
            .collect()
    }

    /// Writes the public half of a certificate.
    pub(super) fn export(&self, name: &str, to: &Path) {
        let armour: &[&str] = match to.extension().and_then(OsStr::to_str) {
            Some("asc") => &["--armor"],
            _ => &[],
        };
        fs::write(to, self.run([armour, &["--export", name]].concat(), b"")).unwrap();
    }

    /// Signs `text` in the way of these options.
    pub(super) fn sign(&self, text: &[u8], options: &[&str]) -> Vec<u8> {
        self.run(options, text)
    }

    /// Revokes a certificate.
    pub(super) fn revoke(&self, fingerprint: &str) {
        let name = format!("openpgp-revocs.d/{fingerprint}.rev");
        let written = fs::read_to_string(self.home.path().join(name)).unwrap();
        self.run(["--import"], written.replace(":-----", "-----").as_bytes());
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let agent = ["--kill", "gpg-agent"];
        drop(self.command("gpgconf").args(agent).status());
    }
}
