//! The command line: one file a command.

mod apt_conf;
mod backup;
mod check_config;
mod chore;
mod client;
mod find;
mod gc;
mod import;
mod log;
mod owner;
mod serve;
mod status;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Mistakes, Sources};

/// Moves Debian packages: an apt proxy and LAN mirror that keeps what it fetches.
///
/// `aptmesh serve` with no configuration at all does the right thing. Point a
/// client at it with the line that `aptmesh apt-conf` prints.
#[derive(Debug, Parser)]
#[command(name = "aptmesh", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Flags of every command.
#[derive(Debug, Args)]
struct Common {
    /// Configuration file; without it /etc/aptmesh/aptmesh.toml where it exists, else defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one configuration key, such as `cache.max_size=5GiB`; outweighs environment and file
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground, until SIGTERM or Ctrl-C
    Serve,
    /// Check the configuration: exit 0, or 2 with every mistake named by key and line
    CheckConfig,
    /// Ask the running daemon how it is
    Status {
        /// Print the JSON of /api/status
        #[arg(long)]
        json: bool,
    },
    /// Add .deb files that are on this machine already, for instance /var/cache/apt/archives
    Import {
        /// Files, or folders that are searched for .deb files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Hash every cached file again and remove what differs; exit 1 where something was removed
    Verify,
    /// Evict least recently used files down to the limits, now
    Gc,
    /// Copy the database to a new file, while the daemon runs or not; README.md tells how to restore
    Backup {
        /// The file to make, such as /var/backups/aptmesh.db
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Ask the DHT which nodes have a file; exit 1 where none is found
    Find {
        /// The file's SHA-256 in hexadecimal digits, or a copy of the file
        #[arg(value_name = "SHA256|FILE")]
        what: String,
    },
    /// Print the apt configuration line that points a client at this node
    AptConf {
        /// Print only the address that this machine itself reaches the node by, as HOST:PORT
        #[arg(long)]
        local: bool,
    },
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What a person has to know, in sentences.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = || -> Result<Config, Mistakes> {
            Config::load(&Sources::from_process(self.common.config, self.common.set)?)
        };
        match self.command {
            Command::CheckConfig => Ok(check_config::run(config())),
            Command::AptConf { local } => apt_conf::run(&config()?, local),
            Command::Serve => serve::run(&config()?),
            Command::Status { json } => status::run(&config()?, json),
            Command::Import { paths } => import::run(&config()?, &paths),
            Command::Verify => verify::run(&config()?),
            Command::Gc => gc::run(&config()?),
            Command::Backup { to } => backup::run(&config()?, &to),
            Command::Find { what } => find::run(&config()?, &what),
        }
    }
}

/// 2 for mistakes of the configuration, as for those of the command line; 1
/// for everything else.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Mistakes>() { 2 } else { 1 })
}
