//! Hosts that are namespaces, all on one bridge that is in a namespace too.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Namespaces of all runs begin so; the process id of their run follows.
const PREFIX: &str = "aptmesh-bench-";

/// Tools, and the packages they are in.
const TOOLS: [(&str, &str); 4] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nginx", "nginx-light"),
    ("apt-get", "apt"),
];

/// What this machine lacks, in a sentence.
pub fn lacking() -> Option<String> {
    if !geteuid().is_root() {
        return Some("The swarm bench makes network namespaces and has to run as root.".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let (tool, package) = TOOLS.into_iter().find(|(tool, _)| !is_there(tool))?;
    Some(format!(
        "The swarm bench needs {tool}, which is not on the PATH (package {package})."
    ))
}

/// The bridge. All hosts go with it.
pub struct Network {
    hub: String,
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
        sweep();
        let hub = format!("{PREFIX}{}-hub", std::process::id());
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
        let namespace = format!("{PREFIX}{}-{number}", std::process::id());
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
        remove(|run| run == std::process::id());
    }
}

impl Host {
    /// A command that runs there.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        command.arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// So many bits a second at most go out from now on.
    pub fn limit(&self, bits: u64) {
        let namespace = &self.namespace;
        let words = format!(
            "-n {namespace} qdisc replace dev eth0 root tbf rate {bits}bit burst 64kb latency 100ms"
        );
        run("tc", &words).unwrap();
    }

    /// As much as goes out from now on.
    pub fn lift_limit(&self) {
        // Where there is none, that is no mistake.
        let _ = run(
            "tc",
            &format!("-n {} qdisc del dev eth0 root", self.namespace),
        );
    }
}

/// Removes the namespaces of runs that are over.
fn sweep() {
    remove(|run| !Path::new("/proc").join(run.to_string()).exists());
}

/// Ends what still runs in the namespaces of these runs, and removes them.
fn remove(of: impl Fn(u32) -> bool) {
    let Ok(output) = run("ip", "netns list") else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    for name in names {
        let run_of = name.strip_prefix(PREFIX).and_then(|rest| {
            let (process, _) = rest.split_once('-')?;
            process.parse().ok()
        });
        if run_of.is_some_and(&of) {
            end_processes(name);
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// A run that was killed leaves its daemons, which would keep the namespace alive.
fn end_processes(namespace: &str) {
    let Ok(output) = run("ip", &format!("netns pids {namespace}")) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pids = text.lines().filter_map(|line| line.trim().parse().ok());
    for pid in pids.filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn ip(words: &str) -> Result<Output, String> {
    run("ip", words)
}

fn run(tool: &str, words: &str) -> Result<Output, String> {
    let output = Command::new(tool)
        .args(words.split(' '))
        .output()
        .map_err(|error| format!("{tool} does not start: {error}."))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "This machine does not let the swarm bench make its network: `{tool} {words}` says {:?}.",
        said.trim()
    ))
}
