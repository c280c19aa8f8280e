//! What the package holds.

use std::path::Path;
use std::process::Command;

use crate::deb::{deb, run};

#[test]
fn lintian_has_nothing_to_say() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--info"]);
    run(lintian.arg(deb()));
}

#[test]
fn files_are_where_debian_has_them() {
    let list = run(Command::new("dpkg-deb").arg("--contents").arg(deb()));
    for (mode, path) in [
        ("-rwxr-xr-x", "usr/bin/aptmesh"),
        ("-rw-r--r--", "etc/aptmesh/aptmesh.toml"),
        ("-rw-r--r--", "usr/lib/systemd/system/aptmesh.service"),
        ("-rwxr-xr-x", "usr/libexec/aptmesh/detect"),
        ("-rw-r--r--", "usr/share/aptmesh/apt.conf"),
        ("-rw-r--r--", "usr/share/man/man1/aptmesh.1.gz"),
        (
            "-rw-r--r--",
            "usr/share/bash-completion/completions/aptmesh",
        ),
        ("-rw-r--r--", "usr/share/zsh/vendor-completions/_aptmesh"),
        (
            "-rw-r--r--",
            "usr/share/fish/vendor_completions.d/aptmesh.fish",
        ),
        ("-rw-r--r--", "usr/share/doc/aptmesh/copyright"),
        ("-rw-r--r--", "usr/share/doc/aptmesh/changelog.Debian.gz"),
    ] {
        let found = list
            .lines()
            .find(|line| line.ends_with(&format!(" ./{path}")));
        let line = found.unwrap_or_else(|| panic!("no {path} in {list}"));
        let owners = ["root/root", "0/0"].map(|owner| format!("{mode} {owner} "));
        assert!(owners.iter().any(|begin| line.starts_with(begin)), "{line}");
    }
    assert!(
        !list.contains("/debian/"),
        "scripts among the files: {list}"
    );
    let conffiles = run(Command::new("dpkg-deb")
        .args(["-I"])
        .arg(deb())
        .arg("conffiles"));
    assert_eq!(conffiles, "/etc/aptmesh/aptmesh.toml\n");
}

#[test]
fn the_control_file_is_whole() {
    let field = |name: &str| {
        let value = run(Command::new("dpkg-deb").arg("--field").arg(deb()).arg(name));
        value.trim().to_owned()
    };
    assert_eq!(field("Package"), "aptmesh");
    assert_eq!(field("Version"), concat!(env!("CARGO_PKG_VERSION"), "-1"));
    let here = run(Command::new("dpkg").arg("--print-architecture"));
    assert_eq!(field("Architecture"), here.trim());
    assert!(field("Installed-Size").parse::<u64>().unwrap() > 1000);
    for needed in ["libc6", "adduser"] {
        assert!(field("Depends").contains(needed), "{}", field("Depends"));
    }
    assert_eq!(field("Recommends"), "ca-certificates");
}

#[test]
fn the_changelog_is_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/debian/changelog");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = concat!("aptmesh (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(
        text.starts_with(begin),
        "docker/debian/changelog wants an entry: {text}"
    );
}

#[test]
fn the_service_is_shut_in() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/debian/aptmesh.service");
    // Of 10: the exposure in tenths.
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--no-pager", "--offline=true", "--threshold=15"]);
    run(analyze.arg(unit));
}
