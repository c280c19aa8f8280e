//! The row of 500 cold packages: the machine's own apt, in a root of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Bench;
use crate::files::{Ground, SMALL, noise};
use crate::node::Node;
use crate::table::{Bar, Pair, Row, Unit};

const PACKAGES: usize = 500;
const SUITE: &str = "dists/bench/main/binary-amd64";

/// Time of `apt-get download` through a node that was just started, beside the same without it.
pub fn measure(bench: &Bench) -> Row {
    let origin = bench.nginx.address;
    build_archive(&bench.ground);
    let direct = Client::new(&bench.ground.folder("apt-direct"), origin, None);
    direct.update();
    direct.download();

    let pairs = (0..bench.options.rounds)
        .map(|round| {
            if round.is_multiple_of(2) {
                let time = direct.download();
                Pair::new(through_new_node(bench, round), time)
            } else {
                let time = through_new_node(bench, round);
                Pair::new(time, direct.download())
            }
        })
        .collect();
    Row {
        name: "apt-500",
        work: "500 cold files of 50 KB by real apt",
        bar: Bar::AtMost(1.5),
        unit: Unit::Milliseconds,
        pairs,
        note: String::new(),
    }
}

/// A cold download through a node of its own, in milliseconds.
fn through_new_node(bench: &Bench, round: usize) -> f64 {
    let folder = bench.ground.folder(&format!("apt-{round}"));
    let node = Node::start(&folder);
    let client = Client::new(&folder.join("apt"), bench.nginx.address, Some(node.address));
    client.update();
    // A person reads what is new before installing it; the node reads the index meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    let time = client.download();
    drop(node);
    let _ = fs::remove_dir_all(folder);
    time
}

/// The same through the bench's own node, without a clock.
pub fn fetch_once(bench: &Bench) {
    build_archive(&bench.ground);
    let client = Client::new(
        &bench.ground.folder("apt-main"),
        bench.nginx.address,
        Some(bench.node.address),
    );
    client.update();
    client.download();
}

/// An apt that knows one archive and touches nothing else of the machine.
struct Client {
    root: PathBuf,
}

impl Client {
    fn new(root: &Path, origin: SocketAddr, proxy: Option<SocketAddr>) -> Self {
        let folders = [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg",
            "var/cache/apt/archives/partial",
        ];
        for folder in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        fs::write(
            root.join("etc/apt/sources.list"),
            format!("deb [trusted=yes arch=amd64] http://{origin}/debian bench main\n"),
        )
        .unwrap();
        fs::write(root.join("apt.conf"), configuration(root, proxy)).unwrap();
        Self {
            root: root.to_owned(),
        }
    }

    fn update(&self) {
        self.run(&["update"], &self.root);
    }

    /// Downloads every package into a new folder: milliseconds.
    fn download(&self) -> f64 {
        let into = self.root.join("downloads");
        let _ = fs::remove_dir_all(&into);
        fs::create_dir(&into).unwrap();
        let names: Vec<_> = (0..PACKAGES).map(package).collect();
        let words: Vec<_> = std::iter::once("download")
            .chain(names.iter().map(String::as_str))
            .collect();
        let begin = Instant::now();
        self.run(&words, &into);
        let time = begin.elapsed();
        assert_eq!(
            fs::read_dir(&into).unwrap().count(),
            PACKAGES,
            "apt-get left packages out"
        );
        time.as_secs_f64() * 1e3
    }

    fn run(&self, words: &[&str], folder: &Path) {
        let mut command = Command::new("apt-get");
        for name in [
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
            "no_proxy",
            "NO_PROXY",
        ] {
            command.env_remove(name);
        }
        command
            .env("APT_CONFIG", self.root.join("apt.conf"))
            .env("LC_ALL", "C")
            .arg("-q");
        succeed(
            command
                .args(words)
                .current_dir(folder)
                .stdout(Stdio::null()),
        );
    }
}

fn configuration(root: &Path, proxy: Option<SocketAddr>) -> String {
    let root = root.display();
    let proxy = proxy.map_or_else(
        || "DIRECT".to_owned(),
        |address| format!("http://{address}"),
    );
    format!(
        "Dir \"{root}\";
Dir::State::status \"{root}/var/lib/dpkg/status\";
Dir::Bin::methods \"/usr/lib/apt/methods\";
APT::Architecture \"amd64\";
APT::Architectures {{ \"amd64\"; }};
APT::Sandbox::User \"root\";
Acquire::Languages \"none\";
Acquire::http::Proxy \"{proxy}\";
"
    )
}

fn package(index: usize) -> String {
    format!("bench-{index:03}")
}

/// Builds packages and index once; later calls find them.
fn build_archive(ground: &Ground) {
    let archive = ground.served().join("debian");
    let suite = archive.join(SUITE);
    if suite.exists() {
        return;
    }
    eprintln!("  building {PACKAGES} packages");
    fs::create_dir_all(&suite).unwrap();
    let (pool, trees) = (archive.join("pool/main/a"), ground.folder("trees"));
    fs::create_dir_all(&pool).unwrap();
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (pool, trees) = (&pool, &trees);
            scope.spawn(move || {
                for index in (part..PACKAGES).step_by(2) {
                    build_package(index, trees, pool);
                }
            });
        }
    });
    index(&archive, &suite);
}

fn build_package(index: usize, trees: &Path, pool: &Path) {
    let name = package(index);
    let tree = trees.join(&name);
    let content = tree.join("usr/share").join(&name);
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(&content).unwrap();
    let control = format!(
        "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Bench <bench@example.org>\n\
         Description: noise\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    fs::write(content.join("noise"), noise(1000 + index as u64, SMALL)).unwrap();
    let file = pool.join(format!("{name}_1.0_all.deb"));
    succeed(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&tree, &file])
            .stdout(Stdio::null()),
    );
}

/// Writes Packages and Release as `apt-ftparchive` makes them.
fn index(archive: &Path, suite: &Path) {
    let ftparchive = |words: &[&str], into: &Path| {
        let out = File::create(into).unwrap();
        succeed(
            Command::new("apt-ftparchive")
                .args(words)
                .current_dir(archive)
                .stdout(out),
        );
    };
    ftparchive(&["packages", "pool/main/a"], &suite.join("Packages"));
    let fields = [
        "Suite=bench",
        "Codename=bench",
        "Components=main",
        "Architectures=amd64",
    ];
    let options = fields.map(|field| format!("-oAPT::FTPArchive::Release::{field}"));
    let mut words: Vec<_> = options.iter().map(String::as_str).collect();
    words.extend(["release", "dists/bench"]);
    let unfinished = archive.join("Release.new");
    ftparchive(&words, &unfinished);
    fs::rename(unfinished, archive.join("dists/bench/Release")).unwrap();
}

fn succeed(command: &mut Command) {
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output);
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
