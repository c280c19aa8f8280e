//! Chores of root in a data folder that belongs to another user.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::deb::shown;
use crate::machine::lacking;

/// A user without a name.
const USER: u32 = 54_321;

/// A data folder of that user's.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        chown(folder.path().join("data"), Some(USER), Some(USER)).unwrap();
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aptmesh"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.0.path());
        for (key, value) in [
            ("APT__LISTEN", "127.0.0.1:0".to_owned()),
            ("PEER__ENABLED", "false".to_owned()),
            ("DHT__ENABLED", "false".to_owned()),
            ("LAN__DISCOVER", "false".to_owned()),
        ] {
            command.env(format!("APTMESH_{key}"), value);
        }
        command.env("TOKEN", "of root's");
        let data = format!("data_dir={}", self.0.path().join("data").display());
        command.args(["--set", &data]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A package that only root may read.
    fn secret(&self) -> PathBuf {
        let path = self.0.path().join("secret_1_all.deb");
        std::fs::write(&path, b"!<arch>\nsecret").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Files of the data folder that are not that user's; there must be some files.
    #[track_caller]
    fn of_others(&self) -> Vec<PathBuf> {
        let (mut open, mut files, mut others) = (vec![self.0.path().join("data")], 0, Vec::new());
        while let Some(path) = open.pop() {
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            if metadata.uid() != USER || metadata.gid() != USER {
                others.push(path.clone());
            }
            if metadata.is_dir() {
                let entries = std::fs::read_dir(&path).unwrap();
                open.extend(entries.map(|entry| entry.unwrap().path()));
            } else {
                files += 1;
            }
        }
        assert!(files > 0, "nothing was done");
        others
    }
}

/// A daemon that is stopped in the end.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(folder: &Folder) -> Self {
        let mut command = folder.command(&["serve"]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self(child);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !folder.0.path().join("data/control.sock").exists() {
            assert!(std::time::Instant::now() < end, "the daemon does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        daemon
    }

    fn user(&self) -> u32 {
        let proc = Path::new("/proc").join(self.0.id().to_string());
        std::fs::metadata(proc.join("task")).unwrap().uid()
    }
}

#[test]
fn what_root_does_without_a_daemon_belongs_to_the_folders_owner() {
    if lacking().is_some() {
        return eprintln!("only root can work for another user: skipped");
    }
    let folder = Folder::new();
    let open = folder.0.path().join("open_1_all.deb");
    std::fs::write(&open, b"!<arch>\nopen").unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    // The way to the binary may be closed to the owner.
    let closed = folder.0.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_aptmesh"), closed.join("aptmesh")).unwrap();
    let mut hidden = Command::new(closed.join("aptmesh"));
    let data = format!("data_dir={}", folder.0.path().join("data").display());
    let output = hidden.args(["gc", "--set", &data]).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert_eq!(folder.of_others(), [""; 0].map(PathBuf::from));
    for chore in [&["gc"][..], &["verify"], &["import", "open_1_all.deb"]] {
        let output = folder.run(chore);
        assert!(output.status.success(), "{chore:?}: {}", shown(&output));
        assert_eq!(folder.of_others(), [""; 0].map(PathBuf::from), "{chore:?}");
    }
}

#[test]
fn a_file_that_only_root_may_read_is_refused_with_what_to_do() {
    if lacking().is_some() {
        return eprintln!("only root can work for another user: skipped");
    }
    let folder = Folder::new();
    let secret = folder.secret();
    let output = folder.run(&["import", secret.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    for word in ["secret_1_all.deb", "user 54321", "while the daemon runs"] {
        assert!(shown(&output).contains(word), "{}", shown(&output));
    }
    assert!(!shown(&output).contains("panicked"));
}

#[test]
fn a_daemon_takes_from_root_what_only_root_may_read() {
    if lacking().is_some() {
        return eprintln!("only root can work for another user: skipped");
    }
    let folder = Folder::new();
    let daemon = Daemon::start(&folder);
    assert_eq!(daemon.user(), USER, "root serves as the folder's owner");
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.0.id())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("APTMESH_PEER__ENABLED=false"));
    assert!(!environment.contains("TOKEN"), "{environment}");
    let secret = folder.secret();
    let output = folder.run(&["import", secret.to_str().unwrap()]);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(
        shown(&output).contains("1 files imported"),
        "{}",
        shown(&output)
    );
    assert_eq!(folder.of_others(), [""; 0].map(PathBuf::from));
}

#[test]
fn root_tells_nothing_to_a_socket_that_is_not_the_owners() {
    if lacking().is_some() {
        return eprintln!("only root can work for another user: skipped");
    }
    let folder = Folder::new();
    let other = folder.0.path().join("other.sock");
    let listener = UnixListener::bind(&other).unwrap();
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut text = String::new();
            let _ = BufReader::new(stream.unwrap()).read_line(&mut text);
            sender.send(text).unwrap();
        }
    });
    symlink(&other, folder.0.path().join("data/control.sock")).unwrap();
    let output = folder.run(&["gc"]);
    assert!(output.status.success(), "{}", shown(&output));
    let heard: String = heard.try_iter().collect();
    assert_eq!(heard, "");
}
