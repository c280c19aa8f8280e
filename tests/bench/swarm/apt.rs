//! The machine's own apt, in a root of its own, at a host.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::archive::Package;
use crate::network::Host;

pub struct Apt {
    root: PathBuf,
    host: Host,
}

impl Apt {
    /// A client of the archive at an origin, through a proxy where there is one.
    pub fn new(root: &Path, host: &Host, origin: SocketAddr, proxy: Option<SocketAddr>) -> Self {
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
        let line = format!("deb [trusted=yes arch=amd64] http://{origin}/debian bench main\n");
        fs::write(root.join("etc/apt/sources.list"), line).unwrap();
        fs::write(root.join("apt.conf"), configuration(root, proxy)).unwrap();
        Self {
            root: root.to_owned(),
            host: host.clone(),
        }
    }

    pub fn update(&self) {
        self.run(&["update"], &self.root);
    }

    /// Downloads packages into a new folder: seconds.
    pub fn download(&self, packages: &[Package]) -> f64 {
        let into = self.root.join("downloads");
        let _ = fs::remove_dir_all(&into);
        fs::create_dir(&into).unwrap();
        let names = packages.iter().map(|package| package.name.as_str());
        let words: Vec<_> = ["download"].into_iter().chain(names).collect();
        let began = Instant::now();
        self.run(&words, &into);
        let time = began.elapsed().as_secs_f64();
        let count = fs::read_dir(&into).unwrap().count();
        assert_eq!(count, packages.len(), "apt-get left packages out");
        time
    }

    fn run(&self, words: &[&str], folder: &Path) {
        let mut command = self.host.command("apt-get");
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        let output = command
            .env("APT_CONFIG", self.root.join("apt.conf"))
            .env("LC_ALL", "C")
            .arg("-q")
            .args(words)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "apt-get {}: {said}", words[0]);
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
