//! An aptmesh daemon as a person would run it: a configuration file and `serve`.

use std::fmt;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client;
use crate::files::free_address;

/// The configuration file in a node's folder.
pub const CONFIG: &str = "aptmesh.toml";

pub struct Node {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
}

impl Node {
    /// Starts a node on what is in `folder`, and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        let address = free_address();
        let config = folder.join(CONFIG);
        fs::write(&config, configuration(address, &folder.join("data"))).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_aptmesh"));
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
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let node = Self {
            child,
            folder: folder.to_owned(),
            address,
        };
        client::wait_for(address, "/healthz", Duration::from_secs(10))
            .unwrap_or_else(|| panic!("the node does not answer:\n{}", node.log()));
        node
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Fetches `path` until it comes from the cache.
    pub fn warm(&self, path: &str) {
        client::fetch(self.address, path);
        self.wait_until_cached(path);
    }

    /// Waits until the node has stored `path`: what it does after the last byte belongs to nobody else's time.
    pub fn wait_until_cached(&self, path: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while !client::head(self.address, path).is_hit() {
            assert!(
                Instant::now() < end,
                "{path} does not enter the cache:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// From now on the peak is that of what follows.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process()), "5").unwrap();
    }

    pub fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let megabytes = |key: &str| -> f64 {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
                .map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
        };
        Memory {
            resident: megabytes("VmRSS"),
            peak: megabytes("VmHWM"),
            anonymous: megabytes("RssAnon"),
            files: megabytes("RssFile"),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// What the kernel counts for a process, in MB (of a million bytes, as everywhere in the table).
pub struct Memory {
    pub resident: f64,
    pub peak: f64,
    pub anonymous: f64,
    files: f64,
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resident,
            peak,
            anonymous,
            files,
        } = self;
        write!(
            out,
            "VmRSS {resident:.1} MB ({anonymous:.1} anonymous, {files:.1} of files mapped), at its peak {peak:.1} MB"
        )
    }
}

/// Every figure is taken with the defaults; only the places are ours, and room enough not to evict what is measured.
fn configuration(address: SocketAddr, data: &Path) -> String {
    format!(
        "data_dir = \"{}\"

[apt]
listen = [\"{address}\"]

[upstream]
allow = [\"127.0.0.1\"]

[cache]
max_size = \"20GiB\"
min_free = \"16MiB\"

[dht]
listen = \"127.0.0.1:0\"

[lan]
discover = false
",
        data.display()
    )
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
