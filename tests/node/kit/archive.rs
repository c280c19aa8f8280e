//! A signed archive, made by the machine's own dpkg-deb, apt-ftparchive and gpg.

use super::{noise, run, sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Package, version, dependency: names and versions with all that URLs make trouble with.
const PACKAGES: [(&str, &str, &str); 12] = [
    ("hello", "2.10-3", "libhello1"),
    ("libhello1", "2.10-3", ""),
    ("libodd++6", "1:1.0+b1~rc1-2", ""),
    ("g++-odd", "4:12.2.0-3+deb12u1~bpo1", "libodd++6"),
    ("alpha", "0.1", ""),
    ("beta", "0.1~beta2", ""),
    ("gamma", "3.0+dfsg-1", ""),
    ("delta", "4.4", ""),
    ("epsilon", "5", ""),
    ("zeta", "6.0.0", ""),
    ("eta", "7-1+b2", ""),
    ("theta", "8.8", ""),
];

/// Options that make `Release` one of a suite.
const RELEASE: [&str; 5] = [
    "Origin=Testbed",
    "Label=Testbed",
    "Suite=stable",
    "Codename=stable",
    "Architectures=amd64",
];

/// An archive in a folder: `debian/` with dists and pool, `flat/` with everything in one place.
/// It publishes further generations of itself.
pub struct Archive {
    folder: TempDir,
    by_hash: bool,
    generation: u64,
}

impl Archive {
    /// Twelve packages of some kilobytes each, indexes by hash as well as by name.
    pub fn new() -> Self {
        static FIRST: OnceLock<Archive> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            sweep();
            let mut archive = Self::empty(&format!("aptmesh-archive-{}-", std::process::id()));
            for (seed, (name, version, depends)) in (1..).zip(PACKAGES) {
                let size = 3_000 + usize::try_from(seed * seed * 911 % 90_000).unwrap();
                archive.package(name, version, depends, &noise(seed, size));
            }
            archive.publish();
            archive.end_agent();
            archive
        });
        let folder = tempfile::tempdir().unwrap();
        let from = first.folder.path().join(".");
        run(Command::new("cp").arg("-a").arg(from).arg(folder.path()));
        Self { folder, ..*first }
    }

    /// `count` packages `pkg000`, `pkg001` and so on of `size` bytes each.
    pub fn of(count: usize, size: usize) -> Self {
        let content = |index: usize| noise(index as u64 + 1000, size);
        Self::holding((0..count).map(|index| (format!("pkg{index:03}"), "", content(index))))
    }

    /// These packages: name, what it depends on, content.
    pub fn holding<'a>(packages: impl IntoIterator<Item = (String, &'a str, Vec<u8>)>) -> Self {
        let mut archive = Self::empty("aptmesh-many-");
        for (name, depends, content) in packages {
            archive.package(&name, "1.0", depends, &content);
        }
        archive.publish();
        archive
    }

    fn empty(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let archive = Self {
            folder,
            by_hash: true,
            generation: 0,
        };
        std::fs::create_dir_all(archive.path("debian/pool/main")).unwrap();
        std::fs::create_dir_all(archive.path("flat")).unwrap();
        archive.make_key();
        archive
    }

    /// Whether `Release` offers by-hash from the next generation on.
    pub fn by_hash(mut self, offered: bool) -> Self {
        self.by_hash = offered;
        self
    }

    /// The folder to serve.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the root.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The public key, for `signed-by`.
    pub fn key(&self) -> PathBuf {
        self.path("key.gpg")
    }

    /// The pool path of a package's .deb, such as `pool/main/h/hello/hello_2.10-3_amd64.deb`.
    pub fn pool_path(&self, package: &str) -> String {
        let index = self.path("debian/dists/stable/main/binary-amd64/Packages");
        let index = std::fs::read_to_string(index).unwrap();
        let stanza = index
            .split("\n\n")
            .find(|stanza| stanza.starts_with(&format!("Package: {package}\n")))
            .unwrap_or_else(|| panic!("no package {package}"));
        let line = stanza
            .lines()
            .find_map(|line| line.strip_prefix("Filename: "));
        line.unwrap().to_owned()
    }

    /// The by-hash path below the root under which the present `Packages.xz` is to be had.
    pub fn by_hash_path(&self) -> String {
        let folder = "debian/dists/stable/main/binary-amd64";
        let index = std::fs::read(self.path(folder).join("Packages.xz")).unwrap();
        format!("{folder}/by-hash/SHA256/{}", sha256(&index))
    }

    /// Adds or replaces a package; it appears with the next [`Self::publish`].
    pub fn package(&mut self, name: &str, version: &str, depends: &str, content: &[u8]) {
        let tree = tempfile::tempdir().unwrap();
        let share = tree.path().join("usr/share").join(name);
        std::fs::create_dir_all(&share).unwrap();
        std::fs::write(share.join("data"), content).unwrap();
        std::fs::create_dir(tree.path().join("DEBIAN")).unwrap();
        let depends = match depends {
            "" => String::new(),
            name => format!("Depends: {name}\n"),
        };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{depends}\
             Maintainer: Nobody <nobody@example.org>\nDescription: a test package\n"
        );
        std::fs::write(tree.path().join("DEBIAN/control"), control).unwrap();
        let first = if name.starts_with("lib") {
            &name[..4]
        } else {
            &name[..1]
        };
        let folder = self.path("debian/pool/main").join(first).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for old in super::files_under(&folder) {
            std::fs::remove_file(self.path("flat").join(old.file_name().unwrap())).unwrap();
            std::fs::remove_file(old).unwrap();
        }
        let plain = version
            .split_once(':')
            .map_or(version, |(_epoch, rest)| rest);
        let deb = folder.join(format!("{name}_{plain}_amd64.deb"));
        let build = ["-Znone", "--root-owner-group", "--build"];
        run(Command::new("dpkg-deb")
            .args(build)
            .arg(tree.path())
            .arg(&deb));
        self.stamp(&deb);
        let flat = self.path("flat").join(deb.file_name().unwrap());
        run(Command::new("cp").arg("-a").arg(deb).arg(flat));
    }

    /// Writes and signs the indexes of what is there now: the next generation.
    pub fn publish(&mut self) {
        self.generation += 1;
        let binary = "dists/stable/main/binary-amd64";
        std::fs::create_dir_all(self.path("debian").join(binary)).unwrap();
        self.index("debian", "pool", &format!("{binary}/Packages"));
        self.index("flat", ".", "Packages");
        self.sign("debian/dists/stable", &["Components=main"], self.by_hash);
        self.sign("flat", &[], false);
    }

    /// Takes all by-hash files of other generations away.
    pub fn forget_old_hashes(&self) {
        let keep = self.path(&self.by_hash_path());
        for file in super::files_under(&self.path("debian/dists")) {
            if file.to_string_lossy().contains("/by-hash/") && file != keep {
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    fn index(&self, base: &str, debs: &str, packages: &str) {
        let base = self.path(base);
        let mut scan = Command::new("apt-ftparchive");
        let text = run(scan.args(["packages", debs]).current_dir(&base)).stdout;
        let path = base.join(packages);
        std::fs::write(&path, text).unwrap();
        run(Command::new("xz").args(["-k", "-f", "-0"]).arg(&path));
        self.stamp(&path);
        self.stamp(&path.with_extension("xz"));
    }

    fn sign(&self, folder: &str, extra: &[&str], by_hash: bool) {
        let folder = self.path(folder);
        for name in ["Release", "Release.gpg", "InRelease"] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        let mut command = Command::new("apt-ftparchive");
        command.args(["-o", &format!("APT::FTPArchive::DoByHash={by_hash}")]);
        command.args(["-o", "APT::FTPArchive::By-Hash-Keep=1000"]);
        // As the Debian archive does: SHA-256 is the strongest hash, so by-hash paths are of it.
        command.args(["-o", "APT::FTPArchive::Release::SHA512=false"]);
        for field in RELEASE.iter().chain(extra) {
            command.args(["-o", &format!("APT::FTPArchive::Release::{field}")]);
        }
        let text = run(command.args(["release", "."]).current_dir(&folder)).stdout;
        std::fs::write(folder.join("Release"), text).unwrap();
        let clear = ["--clearsign", "-o", "InRelease", "Release"];
        run(self.gpg().args(clear).current_dir(&folder));
        let detached = ["--detach-sign", "--armor", "-o", "Release.gpg", "Release"];
        run(self.gpg().args(detached).current_dir(&folder));
        for name in ["Release", "Release.gpg", "InRelease"] {
            self.stamp(&folder.join(name));
        }
    }

    fn make_key(&self) {
        let home = self.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        run(Command::new("chmod").arg("700").arg(&home));
        let key = [
            "--quick-gen-key",
            "Testbed <testbed@example.org>",
            "ed25519",
            "sign",
            "never",
        ];
        run(self.gpg().args(key));
        let export = run(self.gpg().arg("--export")).stdout;
        std::fs::write(self.key(), export).unwrap();
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.path("gnupg"));
        command.args([
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        command
    }

    fn end_agent(&self) {
        let mut command = Command::new("gpgconf");
        command.env("GNUPGHOME", self.path("gnupg"));
        let _ = command.args(["--kill", "all"]).output();
    }

    /// A generation has a time of its own, so that no server takes two for one.
    fn stamp(&self, path: &Path) {
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.generation * 3600);
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.end_agent();
    }
}

/// Removes what processes left that are gone: the shared archive outlives its last test.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("aptmesh-archive-"));
        let owner = owner.and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
