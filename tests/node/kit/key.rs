//! Keys of this test process, made by the machine's own gpg.

use super::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, RwLock};

/// When the expired key was alive.
const THEN: &str = "20200601T000000!";

/// How a generation is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// `InRelease`, as most archives have beside `Release`.
    Inline,
    /// `Release` and `Release.gpg`.
    Detached,
    /// `Release` alone.
    Unsigned,
}

/// A signing key, and the file that its readers have of it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    public: &'static Path,
    fingerprint: &'static str,
    time: Option<&'static str>,
}

struct Ring {
    home: PathBuf,
    good: Key,
    other: Key,
    expired: Key,
    revoked: Key,
}

/// Signatures are made under the read lock, the agent is ended under the write lock.
static AGENT: RwLock<()> = RwLock::new(());

impl Key {
    /// A key without fault.
    pub fn good() -> Self {
        ring().good
    }

    /// A second key without fault, for whom the first one is not enough.
    pub fn other() -> Self {
        ring().other
    }

    /// A key that ended years ago; its signatures are of its lifetime.
    pub fn expired() -> Self {
        ring().expired
    }

    /// A key that its owner revoked; the readers' file says so.
    pub fn revoked() -> Self {
        ring().revoked
    }

    /// The public key, for `signed-by` and `index.keyrings`.
    pub fn file(&self) -> PathBuf {
        self.public.to_owned()
    }

    /// Whether its signatures count for those who have its file.
    pub fn is_usable(&self) -> bool {
        [ring().good, ring().other]
            .iter()
            .any(|key| key.fingerprint == self.fingerprint)
    }

    /// 40 capital hex digits.
    pub fn fingerprint(&self) -> &'static str {
        self.fingerprint
    }

    /// `InRelease` of a `Release`.
    pub fn inline(keys: &[Self], text: &[u8]) -> Vec<u8> {
        Self::sign(keys, "--clearsign", text)
    }

    /// `Release.gpg` of a `Release`.
    pub fn detached(keys: &[Self], text: &[u8]) -> Vec<u8> {
        Self::sign(keys, "--detach-sign", text)
    }

    fn sign(keys: &[Self], how: &str, text: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (plain, signed) = (folder.path().join("plain"), folder.path().join("signed"));
        std::fs::write(&plain, text).unwrap();
        let _lock = AGENT.read().unwrap();
        let mut gpg = gpg(&ring().home);
        if let Some(time) = keys.iter().find_map(|key| key.time) {
            gpg.args(["--faked-system-time", time]);
        }
        for key in keys {
            gpg.args(["--local-user", key.fingerprint]);
        }
        gpg.args(["--armor", how, "-o"]);
        run(gpg.arg(&signed).arg(plain));
        std::fs::read(signed).unwrap()
    }
}

/// Ends the agent that gpg leaves behind; the next signature starts another.
pub(super) fn end_agent() {
    let _lock = AGENT.write().unwrap();
    let mut command = Command::new("gpgconf");
    command.env("GNUPGHOME", &ring().home);
    let _ = command.args(["--kill", "all"]).output();
}

fn ring() -> &'static Ring {
    static RING: OnceLock<Ring> = OnceLock::new();
    RING.get_or_init(|| {
        // The name lets `Archive` sweep it away when this process is gone.
        let name = format!("aptmesh-archive-{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&name).tempdir().unwrap();
        let home = folder.keep().join("gnupg");
        std::fs::create_dir(&home).unwrap();
        run(Command::new("chmod").arg("700").arg(&home));
        let good = make(&home, "good", None);
        let other = make(&home, "other", None);
        let expired = make(&home, "expired", Some(THEN));
        let mut revoked = make(&home, "revoked", None);
        revoked.public = revoke(&home, &revoked);
        Ring {
            home,
            good,
            other,
            expired,
            revoked,
        }
    })
}

fn make(home: &Path, name: &str, time: Option<&'static str>) -> Key {
    let mut command = gpg(home);
    let user = format!("{name} <{name}@example.org>");
    let mut until = "never";
    if let Some(time) = time {
        command.args(["--faked-system-time", time]);
        until = "1m";
    }
    run(command.args(["--quick-gen-key", &user, "ed25519", "sign", until]));
    let mut list = gpg(home);
    let list = run(list.args(["--with-colons", "--list-keys", &user])).stdout;
    let list = String::from_utf8(list).unwrap();
    let line = list.lines().find(|line| line.starts_with("fpr:")).unwrap();
    let fingerprint = line.split(':').nth(9).unwrap().to_owned();
    let public = export(home, &fingerprint, &home.with_file_name(name));
    Key {
        public,
        fingerprint: fingerprint.leak(),
        time,
    }
}

/// The file that says that the key is revoked; `home` goes on to sign with it.
fn revoke(home: &Path, key: &Key) -> &'static Path {
    let certificate = home
        .join("openpgp-revocs.d")
        .join(format!("{}.rev", key.fingerprint));
    let text = std::fs::read_to_string(certificate).unwrap();
    // gpg puts a colon before the armour, so that nobody imports it by mistake.
    let text = text.replace(":-----BEGIN", "-----BEGIN");
    let (aside, file) = (home.with_file_name("aside"), home.with_file_name("rev"));
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir(&aside).unwrap();
    run(Command::new("chmod").arg("700").arg(&aside));
    run(gpg(&aside).arg("--import").arg(key.public));
    run(gpg(&aside).arg("--import").arg(file));
    let public = export(
        &aside,
        key.fingerprint,
        &home.with_file_name("revoked-since"),
    );
    let mut command = Command::new("gpgconf");
    let _ = command
        .env("GNUPGHOME", aside)
        .args(["--kill", "all"])
        .output();
    public
}

/// A folder of the key's own, as `index.keyrings` and `signed-by` may name either.
fn export(home: &Path, fingerprint: &str, folder: &Path) -> &'static Path {
    let bytes = run(gpg(home).args(["--export", fingerprint])).stdout;
    std::fs::create_dir(folder).unwrap();
    let file = folder.join("key.gpg");
    std::fs::write(&file, bytes).unwrap();
    Box::leak(file.into_boxed_path())
}

fn gpg(home: &Path) -> Command {
    let mut command = Command::new("gpg");
    command.env("GNUPGHOME", home);
    let quiet = [
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ];
    command.args(quiet);
    command
}
