//! The service under a real systemd.

use std::path::Path;

use crate::deb::{deb, next_deb};
use crate::machine::{Machine, lacking};

/// One property of the unit.
fn property(machine: &Machine, name: &str) -> String {
    let value = machine.sh(&format!("systemctl show aptmesh -P {name}"));
    value.trim().to_owned()
}

/// Waits until the service runs as another process than this.
#[track_caller]
fn another_than(machine: &Machine, pid: &str) -> String {
    machine.until(&format!(
        "[ \"$(systemctl is-active aptmesh)\" = active ] && [ \"$(systemctl show aptmesh -P MainPID)\" != {pid} ]"
    ));
    property(machine, "MainPID")
}

#[test]
fn systemd_starts_watches_upgrades_and_stops_it() {
    if let Some(why) = lacking() {
        return eprintln!("{why}");
    }
    assert!(
        Path::new("/lib/systemd/systemd").exists(),
        "the service is tried under systemd: apt-get install systemd"
    );
    let machine = Machine::with_systemd();
    machine.install(deb());
    let first = another_than(&machine, "0");
    machine.sh("aptmesh status && systemctl is-enabled aptmesh");
    assert_eq!(
        property(&machine, "StatusText"),
        "apt is served at [::]:3142"
    );
    assert_eq!(machine.sh(&format!("ps -o user= -p {first}")), "aptmesh\n");
    let said = machine.sh("journalctl -u aptmesh -o cat");
    for trouble in ["WARN", "ERROR", "Failed", "denied"] {
        assert!(!said.contains(trouble), "{said}");
    }
    assert!(said.contains("data_dir=/var/lib/aptmesh"), "{said}");

    // Root's chores reach the daemon, or work in its folder as its user.
    machine.sh("aptmesh gc && aptmesh verify && aptmesh import /var/cache/apt/archives");
    machine.sh("systemctl stop aptmesh");
    assert!(
        machine
            .sh("journalctl -u aptmesh -o cat")
            .contains("Stopped")
    );
    assert_eq!(property(&machine, "Result"), "success");
    machine.sh("rm -rf /var/lib/aptmesh/*; aptmesh gc; aptmesh verify");
    assert_eq!(machine.sh("find /var/lib/aptmesh ! -user aptmesh"), "");
    machine.sh("systemctl start aptmesh");

    // Who hangs is ended and started again; more often than it says that it works.
    machine.sh(
        "mkdir -p /run/systemd/system/aptmesh.service.d
         printf '[Service]\\nWatchdogSec=10\\nTimeoutAbortSec=1\\n' >/run/systemd/system/aptmesh.service.d/watch.conf
         systemctl daemon-reload; systemctl restart aptmesh",
    );
    let watched = property(&machine, "MainPID");
    machine.sh("sleep 12");
    assert_eq!(
        property(&machine, "MainPID"),
        watched,
        "it says that it works"
    );
    machine.sh(&format!("kill -STOP {watched}"));
    let again = another_than(&machine, &watched);
    assert!(
        machine
            .sh("journalctl -u aptmesh -o cat")
            .contains("Watchdog timeout")
    );

    // A mistake of the configuration is told once, not every five seconds.
    machine.sh("echo 'nonsense = 1' >>/etc/aptmesh/aptmesh.toml; ! systemctl restart aptmesh");
    assert_eq!(property(&machine, "ExecMainStatus"), "2");
    assert_eq!(property(&machine, "ActiveState"), "failed");
    machine.sh("sed -i '/nonsense/d' /etc/aptmesh/aptmesh.toml; systemctl restart aptmesh");
    let before = another_than(&machine, &again);

    machine.install(next_deb());
    another_than(&machine, &before);
    assert_eq!(property(&machine, "NRestarts"), "0");

    machine.sh("apt-get remove -y aptmesh; ! pgrep -x aptmesh");
    machine.sh("test -f /var/lib/aptmesh/aptmesh.db && apt-get purge -y aptmesh");
    assert_eq!(
        machine
            .sh("find /etc /usr /var /run -xdev -name '*aptmesh*' ! -path '*/aptmesh.service.d*'"),
        ""
    );
}
