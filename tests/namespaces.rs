//! Hosts that are namespaces, all on one bridge that is in a namespace too.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Namespaces of all runs begin so; the process id of their run follows.
const PREFIX: &str = "aptmesh-net-";

/// What this machine lacks for networks, in a sentence.
pub fn lacking() -> Option<String> {
    if !geteuid().is_root() {
        return Some("Network namespaces are made, which takes root.".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    (!is_there("ip")).then(|| "The tool ip is not on the PATH (package iproute2).".to_owned())
}

/// The bridge. All hosts go with it.
pub struct Network {
    /// The namespace that it is in.
    pub hub: String,
    hosts: u8,
}

/// A machine of the network.
#[derive(Clone)]
pub struct Host {
    namespace: String,
    pub address: Ipv4Addr,
}

impl Network {
    /// A bridge without hosts, and without what a run left that was killed.
    pub fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let hub = format!("{PREFIX}{}-{number}", std::process::id());
        let network = Self { hub, hosts: 0 };
        let hub = &network.hub;
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add br0 type bridge"))?;
        ip(&format!("-n {hub} link set br0 up"))?;
        Ok(network)
    }

    /// One more host, at the next address.
    pub fn host(&mut self) -> Result<Host, String> {
        self.hosts += 1;
        let (hub, number) = (&self.hub, self.hosts);
        let namespace = format!("{hub}-{number}");
        let address = Ipv4Addr::new(10, 77, 0, number);
        ip(&format!("netns add {namespace}"))?;
        ip(&format!(
            "-n {namespace} link add eth0 type veth peer name port{number} netns {hub}"
        ))?;
        ip(&format!("-n {namespace} address add {address}/24 dev eth0"))?;
        for device in ["lo", "eth0"] {
            ip(&format!("-n {namespace} link set {device} up"))?;
        }
        ip(&format!("-n {hub} link set port{number} master br0 up"))?;
        Ok(Host { namespace, address })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let of = format!("{}-", self.hub);
        remove(|name| name == self.hub || name.starts_with(&of));
    }
}

impl Host {
    /// Its namespace.
    pub fn name(&self) -> &str {
        &self.namespace
    }
}

/// Removes the namespaces of runs that are over.
fn sweep() {
    remove(|name| {
        let run = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        run.is_some_and(|run| !Path::new("/proc").join(run).exists())
    });
}

/// Ends what still runs in these namespaces, and removes them.
fn remove(is_one: impl Fn(&str) -> bool) {
    let Ok(output) = run("ip", "netns list") else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    for name in names.filter(|name| is_one(name)) {
        end_processes(name);
        let _ = ip(&format!("netns del {name}"));
    }
}

/// A run that was killed leaves its daemons, which would keep the namespace alive.
fn end_processes(namespace: &str) {
    let Ok(output) = run("ip", &format!("netns pids {namespace}")) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = std::process::id().cast_signed();
    let pids = text.lines().filter_map(|line| line.trim().parse().ok());
    for pid in pids.filter(|pid| *pid != own).filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Runs `ip`.
pub fn ip(words: &str) -> Result<Output, String> {
    run("ip", words)
}

/// Runs a tool with these words.
pub fn run(tool: &str, words: &str) -> Result<Output, String> {
    let output = Command::new(tool)
        .args(words.split(' '))
        .output()
        .map_err(|error| format!("{tool} does not start: {error}."))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "This machine does not let a network be made: `{tool} {words}` says {:?}.",
        said.trim()
    ))
}
