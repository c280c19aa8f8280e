//! Installed, used, upgraded, removed, purged: on a machine without a service manager.

use crate::deb::{deb, next_deb};
use crate::machine::{Machine, lacking};

#[test]
fn a_machine_without_systemd_installs_upgrades_removes_and_purges() {
    if let Some(why) = lacking() {
        return eprintln!("{why}");
    }
    let machine = Machine::bare();
    let before = machine.sh("dpkg -l | wc -l");
    let said = machine.install(deb());
    for complaint in ["warning", "W:", "E:", "not found"] {
        assert!(!said.contains(complaint), "{said}");
    }
    assert_eq!(
        machine.sh("stat -c %U:%G:%a /var/lib/aptmesh"),
        "aptmesh:aptmesh:750\n"
    );
    machine.sh("test -s /var/lib/dpkg/info/aptmesh.md5sums && dpkg --verify aptmesh");
    machine.sh("aptmesh check-config && aptmesh gc");
    assert_eq!(
        machine.sh("stat -c %U:%G /var/lib/aptmesh/aptmesh.db"),
        "aptmesh:aptmesh\n"
    );

    // The user itself finds the folder too.
    machine.sh("runuser -u aptmesh -- aptmesh gc && ! [ -e /nonexistent ]");

    machine.sh("echo '# mine' >>/etc/aptmesh/aptmesh.toml; chmod 700 /var/lib/aptmesh");
    machine.install(next_deb());
    assert_eq!(
        machine.sh("dpkg-query -W -f '${Version}' aptmesh"),
        "99.0-1"
    );
    machine.sh("grep -q '# mine' /etc/aptmesh/aptmesh.toml");
    assert_eq!(
        machine.sh("stat -c %a /var/lib/aptmesh"),
        "700\n",
        "it is the administrator's"
    );

    machine.sh("ln -s /usr/share/aptmesh/apt.conf /etc/apt/apt.conf.d/30aptmesh");
    machine.sh("apt-get remove -y aptmesh && ! [ -e /usr/bin/aptmesh ]");
    machine.sh("test -f /var/lib/aptmesh/aptmesh.db && test -f /etc/aptmesh/aptmesh.toml");
    let update = machine.sh("apt-get update");
    assert_eq!(
        update
            .lines()
            .filter(|line| line.starts_with(['W', 'E']))
            .count(),
        0,
        "{update}"
    );

    machine.sh("apt-get purge -y aptmesh");
    let left = machine.sh("find /etc /usr /var /run -xdev -name '*aptmesh*'");
    assert_eq!(left, "");
    machine.sh("! getent passwd aptmesh && ! getent group aptmesh");
    assert_eq!(machine.sh("dpkg -l | wc -l"), before);
}

#[test]
fn a_purge_leaves_what_is_somebody_elses() {
    if let Some(why) = lacking() {
        return eprintln!("{why}");
    }
    let machine = Machine::bare();
    machine.install(deb());
    machine.sh("echo '// mine' >/etc/apt/apt.conf.d/30aptmesh; touch /etc/aptmesh/mine");
    machine.sh(
        "mount -t tmpfs -o uid=aptmesh,gid=aptmesh,mode=750 tmpfs /var/lib/aptmesh && aptmesh gc",
    );
    machine.sh("test -f /var/lib/aptmesh/aptmesh.db && apt-get purge -y aptmesh");
    machine.sh("test -f /etc/apt/apt.conf.d/30aptmesh && test -f /etc/aptmesh/mine");
    // A mount point stays, with nothing in it.
    assert_eq!(machine.sh("find /var/lib/aptmesh"), "/var/lib/aptmesh\n");
    machine.sh("! getent passwd aptmesh");
}
