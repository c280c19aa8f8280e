//! Hosts with limited links, and what the bench needs of the machine.

pub use crate::namespaces::{Host, Network};

use std::path::Path;
use std::process::{Command, Stdio};

use crate::namespaces::{self, run};

/// Tools, and the packages they are in.
const TOOLS: [(&str, &str); 3] = [
    ("tc", "iproute2"),
    ("nginx", "nginx-light"),
    ("apt-get", "apt"),
];

/// What this machine lacks, in a sentence.
pub fn lacking() -> Option<String> {
    if let Some(lacking) = namespaces::lacking() {
        return Some(lacking);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let (tool, package) = TOOLS.into_iter().find(|(tool, _)| !is_there(tool))?;
    Some(format!(
        "The swarm bench needs {tool}, which is not on the PATH (package {package})."
    ))
}

impl Host {
    /// A command that runs there.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]);
        command.arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// So many bits a second at most go out from now on.
    pub fn limit(&self, bits: u64) {
        let namespace = self.name();
        let words = format!(
            "-n {namespace} qdisc replace dev eth0 root tbf rate {bits}bit burst 64kb latency 100ms"
        );
        run("tc", &words).unwrap();
    }

    /// As much as goes out from now on.
    pub fn lift_limit(&self) {
        // Where there is none, that is no mistake.
        let _ = run("tc", &format!("-n {} qdisc del dev eth0 root", self.name()));
    }
}
