//! One aptmesh process, driven from outside only.

use super::config::{Config, Ports};
use super::krpc::Id;
use super::{Client, PATIENCE, Request, Response, files_under, within};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary with a clean environment and these arguments.
pub fn aptmesh(arguments: &[&str]) -> Command {
    command_in(&[], arguments)
}

fn command_in(wrap: &[String], arguments: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_aptmesh");
    let mut command = match wrap {
        [] => Command::new(binary),
        [tool, options @ ..] => {
            let mut command = Command::new(tool);
            command.args(options).arg(binary);
            command
        }
    };
    command.args(arguments).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
        .env("HOME", std::env::temp_dir().join("no-home"))
        .stdin(Stdio::null());
    command
}

/// A node: its folder, its configuration, and the process while it runs.
pub struct Node {
    folder: TempDir,
    config: Config,
    ports: Ports,
    process: Option<Child>,
    began: Duration,
}

impl Node {
    /// A running node with the configuration fit for tests.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(Config::default())
    }

    /// A running node.
    #[track_caller]
    pub fn with(config: Config) -> Self {
        let mut node = Self::asleep(config);
        node.launch();
        node
    }

    /// A node that was never started.
    pub fn asleep(config: Config) -> Self {
        let node = Self {
            folder: tempfile::tempdir().unwrap(),
            config,
            ports: Ports::free(),
            process: None,
            began: Duration::ZERO,
        };
        node.write_config();
        node
    }

    /// Changes the configuration file; a running process does not see it.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.write_config();
    }

    fn write_config(&self) {
        let text = self.config.toml(&self.data_dir(), self.ports);
        std::fs::write(self.config_file(), text).unwrap();
    }

    /// Starts the process on the same data folder and waits until it answers.
    #[track_caller]
    pub fn launch(&mut self) {
        let path = self.config_file();
        let arguments = ["serve", "--config", path.to_str().unwrap()];
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let started = Instant::now();
        let child = command_in(&self.config.wrap, &arguments)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        // A node whose apt.allow shuts this client out is ready when it says so.
        let ready = within(PATIENCE, || {
            assert!(self.is_running(), "the node ended at once");
            self.try_get("/healthz")
                .is_ok_and(|health| matches!(health.status, 200 | 403))
        });
        assert!(ready, "the node never got ready");
        self.began = started.elapsed();
    }

    /// From the start of the process to its first answer.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub fn stop(&mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        assert!(
            within(PATIENCE, || !self.is_running()),
            "the node does not end on SIGTERM"
        );
        let status = self.ended();
        assert!(status.success(), "SIGTERM ended the node with {status}");
    }

    /// The exit status of a process that ended by itself or by a signal of the test's own.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        self.process.take().unwrap().wait().unwrap()
    }

    /// The process, for a thread that shall kill it.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().unwrap())
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Another command with the same configuration, run to its end.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let path = self.config_file();
        let mut command = aptmesh(arguments);
        command.args(["--config", path.to_str().unwrap()]);
        command.output().unwrap()
    }

    /// The port of the apt face.
    pub fn port(&self) -> u16 {
        self.ports.apt
    }

    /// Where it serves apt.
    pub fn apt_addr(&self) -> SocketAddr {
        SocketAddr::new(self.config.at, self.ports.apt)
    }

    /// Where it is in the DHT.
    pub fn dht_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.ports.dht)
    }

    /// Where it serves other nodes.
    pub fn peer_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.ports.peer)
    }

    fn ip(&self) -> IpAddr {
        let ip = self.config.dht.clone().unwrap_or_default().ip;
        if ip.is_unspecified() && !self.config.at.is_loopback() {
            return self.config.at;
        }
        ip
    }

    /// Its id in the DHT, as the status tells it.
    #[track_caller]
    pub fn id(&self) -> Id {
        let status = self.status();
        let id = status["node_id"].as_str().unwrap();
        assert_eq!(id.len(), 40, "{id}");
        std::array::from_fn(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap())
    }

    /// `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.apt_addr())
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("aptmesh.toml")
    }

    /// Where database and bodies lie.
    pub fn data_dir(&self) -> PathBuf {
        let own = || self.folder.path().join("data");
        self.config.data_dir.clone().unwrap_or_else(own)
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::to(self.apt_addr()).unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    /// Asks on a new connection.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        self.try_ask(request)
            .unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// GET on a new connection.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.ask(&Request::get(target))
    }

    /// As [`Self::get`], where failing is an answer too.
    pub fn try_get(&self, target: &str) -> std::io::Result<Response> {
        self.try_ask(&Request::get(target))
    }

    /// As [`Self::ask`], where failing is an answer too.
    pub fn try_ask(&self, request: &Request) -> std::io::Result<Response> {
        Client::to(self.apt_addr())?.ask(request)
    }

    /// GETs until the node says that it has the file: the end of a download is not the moment
    /// in which its row is written.
    #[track_caller]
    pub fn settle(&self, target: &str) {
        super::until(&format!("{target} is a hit"), || self.get(target).is_hit());
    }

    /// The JSON of `/api/status`.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let answer = self.get("/api/status").expect_status(200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What the status says is wrong, as `state: sentence reason`, the gravest first.
    #[track_caller]
    pub fn findings(&self) -> Vec<String> {
        let health = self.status()["health"].take();
        let findings = health["findings"].as_array();
        let findings = findings.unwrap_or_else(|| panic!("no findings in {health}"));
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let gravest = findings
            .first()
            .filter(|it| it["state"] != "notice")
            .map_or("healthy".to_owned(), |it| text(&it["state"]));
        assert_eq!(health["state"], gravest, "{health}");
        let advised = |it: &serde_json::Value| !it["advice"].as_str().unwrap().is_empty();
        assert!(findings.iter().all(advised), "{health}");
        let told = |it: &serde_json::Value| {
            let [state, sentence, reason] =
                ["state", "sentence", "reason"].map(|key| text(&it[key]));
            format!("{state}: {sentence} {reason}")
                .trim_end()
                .to_owned()
        };
        findings.iter().map(told).collect()
    }

    /// One number of the status, named by its JSON pointer.
    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        let status = self.status();
        let number = status.pointer(pointer).and_then(serde_json::Value::as_u64);
        number.unwrap_or_else(|| panic!("no number {pointer} in {status}"))
    }

    /// Waits for a number of the status, which counts in batches.
    #[track_caller]
    pub fn until_number(&self, pointer: &str, wanted: u64) {
        let mut last = 0;
        let reached = within(PATIENCE, || {
            last = self.number(pointer);
            last == wanted
        });
        assert!(reached, "{pointer} is {last}, not {wanted}");
    }

    /// What the node's database answers, by the sqlite3 tool.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        let database = self.data_dir().join("aptmesh.db");
        let mut command = Command::new("sqlite3");
        let output = command.arg(database).arg(query).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until no download runs: the last byte a client gets is not a download's last act.
    #[track_caller]
    pub fn calm(&self) {
        super::until("no download runs", || {
            self.status()["downloads"].as_array().unwrap().is_empty()
        });
    }

    /// Files below the data folder that are no database: whole bodies and growing ones.
    pub fn bodies(&self) -> Vec<PathBuf> {
        let mut files = files_under(&self.data_dir());
        files.retain(|path| !is_database(path));
        files
    }

    /// The sum of the sizes of [`Self::bodies`].
    pub fn bytes_on_disk(&self) -> u64 {
        let sizes = self
            .bodies()
            .into_iter()
            .filter_map(|path| path.metadata().ok());
        sizes.map(|data| data.len()).sum()
    }

    /// The files on disk that hold exactly these bytes.
    pub fn copies_of(&self, body: &[u8]) -> Vec<PathBuf> {
        let mut files = self.bodies();
        files.retain(|path| std::fs::read(path).is_ok_and(|bytes| bytes == body));
        files
    }

    /// The most memory that the process ever had in RAM, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.process.as_ref().unwrap().id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = line.unwrap().trim().trim_end_matches(" kB");
        size.parse::<u64>().unwrap() * 1024
    }

    /// What the process wrote to its standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(200);
            let tail: Vec<&str> = log.lines().skip(skipped).collect();
            eprintln!(
                "--- node on port {}:\n{}\n---",
                self.ports.apt,
                tail.join("\n")
            );
        }
    }
}

fn is_database(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let mut magic = [0; 15];
    let begins = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    ["-wal", "-shm", "-journal", "lock"]
        .iter()
        .any(|end| name.ends_with(end))
        || (begins.is_ok() && &magic == b"SQLite format 3")
}
