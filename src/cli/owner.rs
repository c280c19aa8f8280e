//! Whose the data folder is. Root works in it as the user that it belongs to:
//! what root makes there, the daemon that runs as that user can't change, and
//! what that user makes there, root should not follow.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::anyhow;

/// A user that root works as.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    gid: u32,
    data_dir: PathBuf,
}

/// What of root's environment is for that user to see: all of it could be read
/// in `/proc`, and may hold secrets that are not aptmesh's.
fn is_for_owner(variable: &OsStr) -> bool {
    const NAMES: [&str; 9] = [
        "PATH",
        "LANG",
        "TERM",
        "NO_COLOR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ];
    variable.to_str().is_some_and(|name| {
        NAMES.contains(&name) || name.starts_with("LC_") || name.starts_with("APTMESH_")
    })
}

impl Owner {
    /// The data folder's owner, where that is somebody else and this process
    /// is root.
    pub(super) fn behind_root(data_dir: &Path) -> Option<Self> {
        Self::of(data_dir, rustix::process::geteuid().is_root())
    }

    fn of(data_dir: &Path, is_root: bool) -> Option<Self> {
        let folder = std::fs::metadata(data_dir).ok().filter(|_| is_root)?;
        (folder.uid() != 0).then(|| Self {
            uid: folder.uid(),
            gid: folder.gid(),
            data_dir: data_dir.to_owned(),
        })
    }

    /// Starts this command over as the owner, in this process, without root's
    /// groups. It comes back only where that fails.
    pub(super) fn start_over(&self) -> anyhow::Error {
        // By its path, from which the process has its name. The way there may
        // be closed to the owner; the process's own file is not.
        let path = std::env::current_exe().unwrap_or_default();
        self.start(&path);
        let error = self.start(Path::new("/proc/self/exe"));
        anyhow!(
            "the data folder {} belongs to user {}, and the command can't go on as that user: {error}; run it as that user",
            self.data_dir.display(),
            self.uid
        )
    }

    fn start(&self, program: &Path) -> std::io::Error {
        let mut arguments = std::env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        let kept = std::env::vars_os().filter(|(name, _)| is_for_owner(name));
        command.env_clear().envs(kept);
        command.args(arguments).uid(self.uid).gid(self.gid);
        command.exec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_root_has_somebody_to_become() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(folder.path()).unwrap().uid();
        assert!(Owner::of(folder.path(), false).is_none());
        let other = Owner::of(folder.path(), true).map(|owner| owner.uid);
        assert_eq!(other, (own != 0).then_some(own));
        assert!(Owner::of(&folder.path().join("none"), true).is_none());
    }
}
