//! A machine to install on: this one's own file system with an overlay over it, in namespaces of
//! its own, without a network; with systemd as its first process, or without any service manager.
//! Nothing of it is left when it goes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::deb::shown;

/// Makes the file system and becomes the first process. `$1` is a folder of the test's, which is
/// `/srv/share` in there, `$2` the program to become.
const SETUP: &str = r#"
set -e
mount --make-rprivate /
base=$1/base; m=$base/m
mkdir "$base"; mount -t tmpfs tmpfs "$base"; mkdir "$base/u" "$base/w" "$m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/u,workdir=$base/w" "$m"
mkdir -p "$m/srv/share"; mount --bind "$1/share" "$m/srv/share"
mount -t proc proc "$m/proc"
mount -t sysfs sysfs "$m/sys"
mount -t tmpfs tmpfs "$m/sys/fs/cgroup"; mkdir "$m/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$m/sys/fs/cgroup/systemd" 2>/dev/null \
    || mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup"
for at in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$m/$at"; done
chmod 755 "$m/run"
mount -t tmpfs -o mode=755 tmpfs "$m/dev"; ln -s /proc/self/fd "$m/dev/fd"
mkdir "$m/dev/shm" "$m/dev/pts"; ln -s pts/ptmx "$m/dev/ptmx"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$m/dev/pts"
mount -t tmpfs tmpfs "$m/dev/shm"
for at in null zero full random urandom tty; do
    touch "$m/dev/$at"; mount --bind "/dev/$at" "$m/dev/$at"
done
ip link set lo up
# None of this machine's services, and no word that none may be started.
rm -rf "$m"/etc/systemd/system/* "$m/usr/sbin/policy-rc.d"
ln -s /lib/systemd/system/multi-user.target "$m/etc/systemd/system/default.target"
for unit in systemd-udevd.service systemd-udev-trigger.service getty.target; do
    ln -s /dev/null "$m/etc/systemd/system/$unit"
done
# What is installed is here already, and what is fetched is of the test's own archive.
rm -rf "$m"/etc/apt/sources.list "$m"/etc/apt/sources.list.d/*
for at in var/lib/apt/lists var/cache/apt var/lib/docker; do
    if [ -d "$m/$at" ]; then mount -t tmpfs -o mode=755 tmpfs "$m/$at"; fi
done
mkdir -p "$m/var/cache/apt/archives/partial" "$m/var/lib/apt/lists/partial"
rm -f "$m"/etc/apt/apt.conf "$m"/etc/apt/apt.conf.d/*roxy*
# Not chroot: in one nobody may make a user namespace.
cd "$m"; mkdir -p mnt; pivot_root . mnt; umount -l /mnt
exec env -i container=aptmesh PATH=/usr/sbin:/usr/bin:/sbin:/bin $2
"#;

/// What keeps a test from having a machine, for it to say so.
pub fn lacking() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("a machine to install on takes root: skipped")
}

/// A machine of the test's own.
pub struct Machine {
    holder: Child,
    folder: TempDir,
}

impl Machine {
    /// One without a service manager, as a container or a chroot.
    pub fn bare() -> Self {
        Self::new("sleep infinity", "[ $(cat /proc/1/comm) = sleep ]")
    }

    /// One that systemd has started.
    pub fn with_systemd() -> Self {
        let is_up = "systemctl is-system-running | grep -q -x -e running -e degraded";
        Self::new("/lib/systemd/systemd", is_up)
    }

    fn new(init: &str, is_up: &str) -> Self {
        // Until its root is in place, what runs there sees this machine's.
        let is_up = format!("test -d /srv/share && {is_up}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("share")).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut holder = Command::new("unshare");
        holder
            .args([
                "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--fork",
            ])
            .args(["--kill-child", "bash", "-c", SETUP, "setup"])
            .arg(folder.path())
            .arg(init)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let holder = holder.spawn().unwrap();
        let mut machine = Self { holder, folder };
        let end = Instant::now() + Duration::from_mins(1);
        while !machine.try_sh(&is_up).status.success() {
            let log = std::fs::read_to_string(machine.folder.path().join("log")).unwrap();
            let is_over = machine.holder.try_wait().unwrap().is_some();
            assert!(
                !is_over && Instant::now() < end,
                "the machine does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        machine
    }

    /// Brings a file in; answers where it is in there.
    pub fn bring(&self, file: &Path) -> PathBuf {
        let name = file.file_name().unwrap();
        std::fs::copy(file, self.folder.path().join("share").join(name)).unwrap();
        Path::new("/srv/share").join(name)
    }

    /// Runs a script as root in there.
    pub fn try_sh(&self, script: &str) -> Output {
        let own = |name: &str| format!("/proc/{}/ns/{name}", self.holder.id());
        let mut command = Command::new("timeout");
        command
            .args(["120", "nsenter"])
            .args(["mnt", "net", "uts", "ipc"].map(|name| {
                let option = if name == "mnt" { "mount" } else { name };
                format!("--{option}={}", own(name))
            }))
            .arg(format!("--pid={}", own("pid_for_children")))
            .args(["sh", "-c", script])
            .env_clear()
            .envs([
                ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
                ("LC_ALL", "C"),
                ("DEBIAN_FRONTEND", "noninteractive"),
                ("HOME", "/root"),
            ])
            .current_dir("/")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The same; it must succeed. Both of its outputs.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        assert!(output.status.success(), "{script}: {}", shown(&output));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        String::from_utf8_lossy(&output.stdout).into_owned() + &err
    }

    /// Waits until a script succeeds.
    #[track_caller]
    pub fn until(&self, script: &str) {
        let end = Instant::now() + Duration::from_secs(40);
        while !self.try_sh(script).status.success() {
            let log = "journalctl -u aptmesh -o cat -n 50 2>/dev/null; cat /srv/log";
            assert!(
                Instant::now() < end,
                "{script}: {}",
                shown(&self.try_sh(log))
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Installs a package as an administrator does.
    #[track_caller]
    pub fn install(&self, deb: &Path) -> String {
        let path = self.bring(deb);
        self.sh(&format!(
            "apt-get install -y --allow-downgrades {}",
            path.display()
        ))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process goes with it, and all others with that.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
