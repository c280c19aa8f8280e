//! An archive with one large list, and its generations one after the other.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use aptmesh::debian::naming::to_hex;
use sha2::{Digest as _, Sha256};

use crate::Bench;
use crate::list::List;

const NAME: &str = "large";
const SUITE: &str = "dists/bench";
const PACKAGES: &str = "main/binary-amd64/Packages";

/// How a generation's list can be had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `Packages.xz`.
    Whole,
    /// By a patch of the one before, and in no other way.
    Patch,
}

pub struct Archive {
    folder: PathBuf,
    origin: SocketAddr,
    pub list: List,
    /// What the Release lists: path, SHA-256, size.
    listed: Vec<(String, String, usize)>,
}

impl Archive {
    /// With its first generation.
    pub fn new(bench: &Bench) -> Self {
        let list = List::new(bench.options.packages.as_deref());
        let mut archive = Self {
            folder: bench.ground.served().join(NAME),
            origin: bench.nginx.address,
            list,
            listed: Vec::new(),
        };
        let text = archive.list.text();
        eprintln!(
            "  a list of {} packages, {:.1} MB",
            archive.list.paths().count(),
            text.len() as f64 / 1e6
        );
        archive.publish_whole(text.as_bytes());
        archive
    }

    /// Publishes the next generation.
    pub fn advance(&mut self, form: Form) {
        let before = (form == Form::Patch).then(|| self.list.text());
        let script = self.list.advance();
        let text = self.list.text();
        match before {
            None => self.publish_whole(text.as_bytes()),
            Some(before) => self.publish_patch(before.as_bytes(), text.as_bytes(), &script),
        }
    }

    /// The archive's root as an address at its origin.
    pub fn root(&self) -> String {
        format!("{}/{NAME}/", self.origin)
    }

    /// Path of the Release file at the node.
    pub fn release(&self) -> String {
        format!("/{}{SUITE}/Release", self.root())
    }

    /// Path of the list at the node, as apt asks for it.
    pub fn packages(&self) -> String {
        let wanted = format!("{PACKAGES}.xz");
        let mut listed = self.listed.iter();
        let (path, hash, _) = listed.find(|(path, ..)| *path == wanted).unwrap();
        format!("/{}{SUITE}/{}", self.root(), by_hash(path, hash))
    }

    fn publish_whole(&mut self, text: &[u8]) {
        self.listed.clear();
        self.list_only(PACKAGES, text);
        let packed = packed(text, "xz", &["--threads=2", "--lzma2=preset=0,dict=8MiB"]);
        self.add(&format!("{PACKAGES}.xz"), &packed);
        self.publish_release();
    }

    fn publish_patch(&mut self, before: &[u8], text: &[u8], script: &str) {
        let name = format!("2024-01-01-0000.{:02}", self.list.generation());
        let file = packed(script.as_bytes(), "gzip", &["--no-name"]);
        let index = format!(
            "SHA256-Current: {}\nSHA256-History:\n {} {name}\nSHA256-Patches:\n {} {name}\n\
             SHA256-Download:\n {} {name}.gz\n",
            told(text),
            told(before),
            told(script.as_bytes()),
            told(&file)
        );
        self.listed.clear();
        self.list_only(PACKAGES, text);
        // As a Release does that has patches; but who asks for it gets none.
        self.list_only(&format!("{PACKAGES}.xz"), name.as_bytes());
        self.write(&format!("{PACKAGES}.diff/{name}.gz"), &file);
        self.add(&format!("{PACKAGES}.diff/Index"), index.as_bytes());
        self.publish_release();
    }

    fn list_only(&mut self, path: &str, content: &[u8]) {
        let listed = (path.to_owned(), sha256(content), content.len());
        self.listed.push(listed);
    }

    fn add(&mut self, path: &str, content: &[u8]) {
        self.list_only(path, content);
        self.write(path, content);
        self.write(&by_hash(path, &sha256(content)), content);
    }

    fn publish_release(&self) {
        let date =
            UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * self.list.generation() as u64);
        let mut release = format!(
            "Suite: bench\nCodename: bench\nComponents: main\nArchitectures: amd64\nAcquire-By-Hash: yes\n\
             Date: {}\nSHA256:\n",
            httpdate::fmt_http_date(date).replace("GMT", "UTC")
        );
        for (path, hash, size) in &self.listed {
            let _ = writeln!(release, " {hash} {size} {path}");
        }
        self.write("Release", release.as_bytes());
        // Two generations in one second would have one validator.
        let file = File::options()
            .append(true)
            .open(self.path("Release"))
            .unwrap();
        file.set_modified(date).unwrap();
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(SUITE).join(path)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn by_hash(path: &str, hash: &str) -> String {
    let folder = Path::new(path).parent().unwrap();
    format!("{}/by-hash/SHA256/{hash}", folder.display())
}

/// As an Index tells of a file: hash and size.
fn told(content: &[u8]) -> String {
    format!("{} {}", sha256(content), content.len())
}

fn sha256(content: &[u8]) -> String {
    to_hex(&Sha256::digest(content))
}

fn packed(content: &[u8], packer: &str, options: &[&str]) -> Vec<u8> {
    let mut child = Command::new(packer)
        .args(options)
        .arg("--stdout")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("the bench needs {packer}: {error}"));
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(content).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{packer}: {output:?}");
    output.stdout
}
