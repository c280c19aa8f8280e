//! What `docker/Dockerfile` makes, on the real engine.

use crate::engine::{Image, Lot, docker, inspect, is_there};
use crate::{run, tell, until};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes that the image may have beyond its base.
const LARGEST: u64 = 25_000_000;

/// Where its data is.
const DATA: &str = "/var/lib/aptmesh";

/// No rights, and nothing that can be written but the volume.
const BARE: [&str; 5] = [
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
];

/// So that a test need not wait for the image's own half minute.
const OFTEN: [&str; 3] = [
    "--health-interval=1s",
    "--health-timeout=2s",
    "--health-retries=2",
];

/// Starts a container of the image; its name.
fn start(lot: &Lot, thing: &str, image: &Image, options: &[&str], words: &[&str]) -> String {
    let name = lot.name(thing);
    let image = image.name();
    let fixed = ["run", "-d", "--name", &name];
    docker(&[&fixed[..], &BARE, &OFTEN, options, &[&image], words].concat());
    name
}

fn health(container: &str) -> String {
    let health = inspect(container)["State"]["Health"].take();
    health["Status"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn until_health(container: &str, wanted: &str) {
    until(&format!("{container} is {wanted}"), || {
        health(container) == wanted
    });
}

/// The node's own status.
fn status(container: &str) -> Value {
    let text = docker(&["exec", container, "aptmesh", "status", "--json"]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn it_is_small_and_says_what_it_is() {
    if !is_there("the image") {
        return;
    }
    let image = Image::of_this_tree();
    let (built, base) = (inspect(&image.name()), inspect("debian:bookworm-slim"));
    let size = |image: &Value| image["Size"].as_u64().unwrap();
    let over = size(&built) - size(&base);
    tell(&format!("the image is {over} bytes larger than its base"));
    assert!(over <= LARGEST, "{over}");
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().unwrap().clone();
    assert!(layers(&built).starts_with(&layers(&base)), "another base");

    let config = &built["Config"];
    assert_eq!(config["User"], "3142:3142");
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(
        config["Healthcheck"]["Test"],
        serde_json::json!(["CMD", "aptmesh", "status"])
    );
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&config["Volumes"]), [DATA]);
    assert_eq!(
        keys(&config["ExposedPorts"]),
        ["3142/tcp", "5353/udp", "9977/tcp", "9977/udp"]
    );
    for label in [
        "title",
        "description",
        "licenses",
        "version",
        "revision",
        "base.name",
    ] {
        let value = &config["Labels"][format!("org.opencontainers.image.{label}")];
        assert!(value.as_str().is_some_and(|it| !it.is_empty()), "{label}");
    }
    let version = docker(&["run", "--rm", &image.name(), "--version"]);
    let label = config["Labels"]["org.opencontainers.image.version"].as_str();
    assert_eq!(
        Some(version.as_str()),
        label.map(|it| format!("aptmesh {it}")).as_deref()
    );
}

#[test]
fn it_trusts_whom_debian_trusts() {
    if !is_there("the roots of TLS") {
        return;
    }
    let image = Image::of_this_tree();
    let file = "/etc/ssl/certs/ca-certificates.crt";
    let cat = ["run", "--rm", "--entrypoint", "cat", &image.name(), file];
    let shipped = docker(&cat);
    assert!(shipped.matches("BEGIN CERTIFICATE").count() > 100);
    let Ok(own) = std::fs::read_dir("/usr/local/share/ca-certificates") else {
        return;
    };
    // What this machine trusts beyond that is nobody else's business.
    for path in own.map(|file| file.unwrap().path()) {
        let root = std::fs::read_to_string(&path).unwrap_or_default();
        let ships = !root.trim().is_empty() && shipped.contains(root.trim());
        assert!(!ships, "{}", path.display());
    }
}

#[test]
fn it_runs_without_rights_and_says_how_it_is() {
    if !is_there("health of a container") {
        return;
    }
    let (lot, image) = (Lot::new(), Image::of_this_tree());
    let node = start(&lot, "node", &image, &[], &[]);
    until_health(&node, "healthy");
    let written = ["exec", &node, "touch", "/tmp/file"];
    let written = Command::new("docker").args(written).output().unwrap();
    assert!(
        !written.status.success(),
        "the root file system can be written"
    );
    docker(&["kill", "--signal", "STOP", &node]);
    until_health(&node, "unhealthy");
    docker(&["kill", "--signal", "CONT", &node]);
    until_health(&node, "healthy");
}

#[test]
fn it_is_healthy_however_it_is_configured() {
    if !is_there("health of configured containers") {
        return;
    }
    let (lot, image) = (Lot::new(), Image::of_this_tree());
    let allow = ["-e", "APTMESH_APT__ALLOW=192.0.2.0/24"];
    let listen = ["-e", "APTMESH_APT__LISTEN=[::]:8080"];
    let flag = ["serve", "--set", "apt.listen=[::]:80"];
    let nodes = [
        start(&lot, "strangers", &image, &allow, &[]),
        start(&lot, "port", &image, &listen, &[]),
        start(
            &lot,
            "flag",
            &image,
            &["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"],
            &flag,
        ),
    ];
    for node in nodes {
        until_health(&node, "healthy");
    }
}

#[test]
fn a_stop_is_clean_and_the_volume_keeps_all() {
    if !is_there("a container's stop") {
        return;
    }
    let (lot, image) = (Lot::new(), Image::of_this_tree());
    let volume = format!("{}:{DATA}", lot.name("data"));
    let debs = tempfile::tempdir().unwrap();
    let deb = debs.path().join("some_1.0_all.deb");
    std::fs::write(&deb, [b"!<arch>\n".as_slice(), &[7; 5000]].concat()).unwrap();
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(debs.path()));
    let debs = format!("{}:/debs:ro", debs.path().display());
    let first = start(&lot, "first", &image, &["-v", &volume, "-v", &debs], &[]);
    until_health(&first, "healthy");
    docker(&["exec", &first, "aptmesh", "import", "/debs"]);
    let before = status(&first);
    assert_eq!(before["cache"]["files"], 1, "{before}");
    let began = Instant::now();
    docker(&["stop", &first]);
    let took = began.elapsed();
    let state = inspect(&first)["State"].take();
    assert_eq!(state["ExitCode"], 0, "{state}");
    assert!(took < Duration::from_secs(10), "{took:?}: it was killed");

    let second = start(&lot, "second", &image, &["-v", &volume], &[]);
    until_health(&second, "healthy");
    let after = status(&second);
    assert_eq!(after["cache"]["files"], 1, "{after}");
    assert_eq!(after["node_id"], before["node_id"]);
}

#[test]
fn a_folder_of_another_owner_is_refused_in_a_sentence() {
    if !is_there("a container's folder") {
        return;
    }
    let (lot, image) = (Lot::new(), Image::of_this_tree());
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("{}:{DATA}", folder.path().display());
    let refused = start(&lot, "refused", &image, &["-v", &mount], &[]);
    until("it ends", || inspect(&refused)["State"]["Running"] == false);
    let output = run(Command::new("docker").args(["logs", &refused]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(inspect(&refused)["State"]["ExitCode"], 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let names_all = [DATA, "3142", "owner"]
        .iter()
        .all(|word| said.contains(word));
    assert!(names_all, "{said}");
}
