//! Machines that are containers.

use crate::cable::Cable;
use crate::engine::{self, Image, Lot, address_of, docker, inspect};
use crate::goods::Goods;
use crate::machine::{House, Machine};
use crate::mirror;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// Where the image keeps its data.
const DATA: &str = "/var/lib/aptmesh";

/// Where a node looks for keys unasked, and where apt has them.
const KEYRING: &str = "/etc/apt/keyrings/testbed.gpg";

/// Addresses of a network stay as they are where its machines are moved to another bridge; nobody
/// needs a way out.
const NO_NAT: &str = "com.docker.network.bridge.enable_ip_masquerade=false";

struct Container {
    name: &'static str,
    /// By this the engine knows it.
    id: String,
}

/// What the containers are made of.
struct Ground {
    _lot: Lot,
    _images: (Arc<Image>, Image),
    _logs: Arc<TempDir>,
}

/// Six containers on a network: the mirror, and nodes that are told nothing but that the mirror has
/// a private address. The last one runs `previous`, where there is one.
pub fn house(goods: &Goods, logs: &Arc<TempDir>, previous: Option<&Path>) -> House {
    let (lot, image, nginx) = (Lot::new(), Image::of_this_tree(), Image::of_mirror());
    let networks = ["net", "island"].map(|thing| {
        let name = lot.name(thing);
        docker(&["network", "create", "-o", NO_NAT, &name]);
        name
    });
    let subnet = inspect(&networks[0])["IPAM"]["Config"][0]["Subnet"].take();
    let run = |name: &'static str, options: &[&str], image: &str, words: &[&str]| {
        let id = lot.name(name);
        let fixed = ["run", "-d", "--name", &id, "--network", &networks[0]];
        docker(&[&fixed[..], options, &[image], words].concat());
        Box::new(Container { name, id }) as Box<dyn Machine>
    };
    mirror::configure(logs.path(), goods.root());
    let shown = |path: &Path, rights: &str| format!("{0}:{0}:{rights}", path.display());
    let (served, own) = (shown(goods.root(), "ro"), shown(logs.path(), "rw"));
    let words = mirror::command(logs.path());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mirror = run(
        "mirror",
        &["-v", &served, "-v", &own],
        &nginx.name(),
        &words,
    );
    let key = format!("{}:{KEYRING}:ro", goods.key().display());
    let allow = format!("APTMESH_UPSTREAM__ALLOW={}", subnet.as_str().unwrap());
    let program = previous.map(|path| format!("{}:/usr/bin/aptmesh:ro", path.display()));
    let nodes = ["one", "two", "three", "four", "five"].map(|short| {
        let mut options = vec!["-v", &key, "-e", &allow];
        if let (Some(program), "five") = (&program, short) {
            options.extend(["-v", program]);
        }
        run(short, &options, &image.name(), &[])
    });
    let bridge = |name: &String| engine::bridge(inspect(name)["Id"].as_str().unwrap());
    House {
        mirror,
        nodes: nodes.into(),
        switches: networks.each_ref().map(bridge),
        _ground: Box::new(Ground {
            _lot: lot,
            _images: (image, nginx),
            _logs: Arc::clone(logs),
        }),
    }
}

impl Machine for Container {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> Ipv4Addr {
        address_of(&self.id)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", "-i", "-u", "0", &self.id, program]);
        command.stdin(Stdio::null());
        command
    }

    fn aptmesh(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", &self.id, "aptmesh"]);
        command
    }

    fn apt_get(&self) -> Command {
        self.command("apt-get")
    }

    fn root(&self) -> PathBuf {
        "/".into()
    }

    fn data(&self) -> PathBuf {
        DATA.into()
    }

    fn keyring(&self) -> PathBuf {
        KEYRING.into()
    }

    fn cable(&self) -> Cable {
        let read = |file: &str| docker(&["exec", &self.id, "cat", file]);
        let far = read("/sys/class/net/eth0/iflink");
        let port = std::fs::read_dir("/sys/class/net")
            .unwrap()
            .find_map(|device| {
                let path = device.unwrap().path();
                let index = std::fs::read_to_string(path.join("ifindex")).ok()?;
                (index.trim() == far)
                    .then(|| path.file_name().unwrap().to_string_lossy().into_owned())
            });
        Cable {
            hub: None,
            port: port.expect("the engine's network is on this machine"),
        }
    }

    fn start(&self) {
        docker(&["start", &self.id]);
    }

    fn kill(&self) {
        docker(&["kill", &self.id]);
    }
}
