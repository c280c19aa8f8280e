//! The compose files, by whichever compose is here.

use crate::engine::{Image, Lot, address_of, docker, inspect, is_there};
use crate::goods::{EAST, Goods};
use crate::machine::neighbours;
use crate::{mirror, run, sha256, tell, until};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The plugin, or the older program of its own.
fn compose() -> Option<Vec<&'static str>> {
    let ways = [vec!["docker", "compose"], vec!["docker-compose"]];
    let works = |way: &Vec<&str>| {
        let output = Command::new(way[0]).args(&way[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    ways.into_iter().find(works)
}

/// One project, with what the test adds to the file.
struct Project {
    _lot: Lot,
    words: Vec<String>,
}

impl Project {
    fn of(file: &str, more: &Path) -> Option<Self> {
        let Some(way) = compose() else {
            tell(&format!("{file}: skipped. No compose is here."));
            return None;
        };
        let lot = Lot::new();
        let file = path_of(file).display().to_string();
        let more = more.display().to_string();
        let options = ["-p", lot.project(), "-f", &file, "-f", &more];
        let words = way.iter().chain(&options).map(|it| (*it).to_owned());
        let words = words.collect();
        Some(Self { _lot: lot, words })
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.words[0]);
        let output = run(command.args(&self.words[1..]).args(words));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn up(&self) {
        self.run(&["up", "-d", "--no-build"]);
    }

    /// The container of a service.
    fn container(&self, service: &str) -> String {
        self.run(&["ps", "-q", service])
    }
}

/// A file of the folder `docker`.
fn path_of(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docker")
        .join(file)
}

/// The ports of this machine that the files name, for one test at a time; none where somebody else
/// has one of them.
fn ports(file: &str, ports: &[u16]) -> Option<MutexGuard<'static, ()>> {
    static PORTS: Mutex<()> = Mutex::new(());
    let held = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    if ports.iter().all(|port| is_free(*port)) {
        return Some(held);
    }
    tell(&format!(
        "{file}: skipped. One of the ports {ports:?} is taken here."
    ));
    None
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The body of a file that a node serves at a port of this machine.
#[track_caller]
fn get(port: u16, url: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "GET {url} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    assert!(head.contains(" 200 "), "{url}: {head}");
    answer.split_off(end + 4)
}

/// What the file for three nodes lacks on a machine of tests: an image with a name of its own, and
/// a mirror on the same network, which is private.
fn addition(image: &str, nginx: &str, goods: &Goods, logs: &Path) -> String {
    let node = serde_json::json!({
        "image": image,
        "environment": {"APTMESH_UPSTREAM__ALLOW": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"},
        "volumes": [format!("{}:/etc/apt/keyrings/testbed.gpg:ro", goods.key().display())],
    });
    let (served, own) = (goods.root().display(), logs.display());
    let mirror = serde_json::json!({
        "image": nginx,
        "command": mirror::command(logs),
        "volumes": [format!("{served}:{served}:ro"), format!("{own}:{own}")],
    });
    // JSON is YAML.
    let services = serde_json::json!({"one": node, "two": node, "three": node, "mirror": mirror});
    serde_json::json!({ "services": services }).to_string()
}

fn status(container: &str) -> Value {
    let text = docker(&["exec", container, "aptmesh", "status", "--json"]);
    serde_json::from_str(&text).unwrap()
}

fn answers(container: &str) -> bool {
    let status = ["exec", container, "aptmesh", "status"];
    let output = Command::new("docker").args(status).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_mirror_alone_is_six_lines() {
    let text = std::fs::read_to_string(path_of("compose.yaml")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    assert!(lines.clone().count() <= 6, "{text}");

    if !is_there("compose.yaml") {
        return;
    }
    let Some(_ports) = ports("compose.yaml", &[3142]) else {
        return;
    };
    let image = Image::of_this_tree();
    let folder = tempfile::tempdir().unwrap();
    let more = folder.path().join("more.yaml");
    // The host's network may be somebody's LAN, which need not hear of it.
    let node = serde_json::json!({
        "image": image.name(),
        "environment": {"APTMESH_LAN__DISCOVER": "false", "APTMESH_PEER__MAP_PORTS": "false"},
    });
    let text = serde_json::json!({"services": {"aptmesh": node}}).to_string();
    std::fs::write(&more, text).unwrap();
    let Some(project) = Project::of("compose.yaml", &more) else {
        return;
    };
    project.up();
    let node = project.container("aptmesh");
    until("it answers", || answers(&node));
    // On the host's own network.
    assert!(!is_free(3142));
    assert_eq!(inspect(&node)["HostConfig"]["NetworkMode"], "host");
    project.run(&["down", "-v"]);
    assert!(is_free(3142));
}

#[test]
fn three_nodes_share() {
    if !is_there("compose.three.yaml") {
        return;
    }
    let Some(_ports) = ports("compose.three.yaml", &[3142, 3143, 3144]) else {
        return;
    };
    let (image, nginx, goods) = (Image::of_this_tree(), Image::of_mirror(), Goods::make());
    let logs = tempfile::tempdir().unwrap();
    mirror::configure(logs.path(), goods.root());
    let more = logs.path().join("more.yaml");
    std::fs::write(
        &more,
        addition(&image.name(), &nginx.name(), &goods, logs.path()),
    )
    .unwrap();
    let Some(project) = Project::of("compose.three.yaml", &more) else {
        return;
    };
    project.up();
    let mirror = project.container("mirror");
    let nodes = ["one", "two", "three"].map(|it| project.container(it));
    let [one, two, _] = &nodes;
    let url = format!("http://{}/debian", address_of(&mirror));
    let addresses = nodes.each_ref().map(|node| address_of(node));
    for (node, own) in nodes.iter().zip(addresses) {
        // A node of this machine's own may be there too.
        until("they find each other", || {
            let seen = answers(node).then(|| neighbours(&status(node)));
            let mut others = addresses.iter().filter(|it| **it != own);
            seen.is_some_and(|seen| others.all(|other| seen.contains(other)))
        });
    }
    for (node, port) in [(one, 3142), (two, 3143)] {
        for index in ["InRelease", "main/binary-amd64/Packages.xz"] {
            get(port, &format!("{url}/dists/stable/{index}"));
        }
        until("it knows the packages", || {
            status(node)["index"]["packages"].as_u64() > Some(0)
        });
    }
    let deb = format!("{url}/{}", goods.path(EAST));
    for port in [3142, 3143] {
        assert_eq!(sha256(&get(port, &deb)), sha256(&goods.deb(EAST)));
    }
    until("what came is counted", || {
        let traffic = status(two)["traffic"].take();
        traffic["from_peers"].as_u64() >= Some(goods.size(EAST) * 8 / 10)
    });
}
