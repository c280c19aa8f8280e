//! An aptmesh daemon at a host, as a person would run it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::apt::Apt;
use crate::network::Host;
use crate::probe::{self, Answer};
use crate::usage;

pub struct Node {
    child: Child,
    pub host: Host,
    folder: PathBuf,
}

impl Node {
    /// Starts a node with an empty cache in `folder` that joins the DHT through another.
    pub fn start(host: &Host, folder: &Path, bootstrap: Option<&Self>) -> Self {
        Self::with(host, folder, &configuration(host, folder, bootstrap))
    }

    /// Starts a node with an empty cache in `folder` that is told nothing else.
    pub fn plain(host: &Host, folder: &Path) -> Self {
        let data = folder.join("data");
        Self::with(
            host,
            folder,
            &format!("data_dir = \"{}\"\n", data.display()),
        )
    }

    fn with(host: &Host, folder: &Path, text: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let config = folder.join("aptmesh.toml");
        fs::write(&config, text).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = host.command(env!("CARGO_BIN_EXE_aptmesh"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"APTMESH_"))
        {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let node = Self {
            child,
            host: host.clone(),
            folder: folder.to_owned(),
        };
        node.until("it answers", 10, || {
            probe::get(host, node.apt_face(), "/healthz").is_ok_and(|answer| answer.status == 200)
        });
        node
    }

    pub fn apt_face(&self) -> SocketAddr {
        (self.host.address, 3142).into()
    }

    /// Where others are told that it is.
    pub fn peer_face(&self) -> SocketAddr {
        (self.host.address, 9977).into()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Has it know an archive of so many packages, as a person at its host does, and others.
    pub fn learn(&self, origin: SocketAddr, packages: usize) -> Apt {
        let apt = Apt::new(
            &self.folder.join("apt"),
            &self.host,
            origin,
            Some(self.apt_face()),
        );
        apt.update();
        self.until("it knows the archive", 30, || {
            self.number("/index/packages") == packages as u64
        });
        self.until("it knows others", 30, || self.number("/dht/nodes") > 0);
        apt
    }

    /// A GET of a file at an origin, whole and right.
    pub fn fetch(&self, origin: SocketAddr, path: &str, sha256: &str) -> Answer {
        let path = format!("/{origin}{path}");
        let answer = probe::get(&self.host, self.apt_face(), &path);
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.sha256, sha256, "{path} is not the file");
        answer
    }

    pub fn status(&self) -> Value {
        let answer = probe::get(&self.host, self.apt_face(), "/api/status");
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        serde_json::from_str(&answer.text).unwrap()
    }

    /// A number of the status by its JSON pointer.
    pub fn number(&self, pointer: &str) -> u64 {
        let status = self.status();
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no {pointer} in {status}"))
    }

    /// Waits until others keep what it says of at least so many files, and of all it has.
    pub fn until_announced(&self, files: u64) {
        self.until("its files are announced", 300, || {
            let dht = &self.status()["dht"];
            let announced = dht["announced"].as_u64().unwrap();
            announced >= files && dht["announcements"] == announced
        });
    }

    /// CPU time so far, in seconds.
    pub fn cpu(&self) -> f64 {
        usage::tree(self.child.id())
    }

    /// Memory that is its own or mapped, in millions of bytes.
    pub fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
    }

    fn until(&self, what: &str, seconds: u64, done: impl FnMut() -> bool) {
        assert!(
            within(seconds, done),
            "not within {seconds} s: {what}\n{}",
            self.log()
        );
    }

    /// The end of what it logged.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// The defaults but for the places, and room enough not to evict what is measured.
fn configuration(host: &Host, folder: &Path, bootstrap: Option<&Node>) -> String {
    let (address, folder) = (host.address, folder.display());
    let bootstrap = bootstrap.map_or_else(String::new, |node| format!("\"{}\"", node.peer_face()));
    format!(
        "data_dir = \"{folder}/data\"

[apt]
listen = [\"{address}:3142\"]

[upstream]
allow = [\"10.77.0.0/24\"]

[cache]
max_size = \"20GiB\"
min_free = \"16MiB\"

[lan]
discover = false

[peer]
listen = [\"{address}:9977\"]
advertise = \"{address}:9977\"
allow_private = true

[dht]
listen = \"{address}:9977\"
bootstrap = [{bootstrap}]
"
    )
}

/// Fails unless it is done within so many seconds.
pub fn until(what: &str, seconds: u64, done: impl FnMut() -> bool) {
    assert!(within(seconds, done), "not within {seconds} s: {what}");
}

/// Whether it is done within so many seconds.
pub fn within(seconds: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !done() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Asks a process to end and sees that it did.
pub fn stop(child: &mut Child) {
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let end = Instant::now() + Duration::from_secs(10);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > end {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
