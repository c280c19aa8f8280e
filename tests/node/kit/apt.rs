//! The machine's own apt-get in a root of its own.

use super::Hash;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How one run of apt-get ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit status 0.
    pub ok: bool,
    /// Both outputs.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Fails with apt's own words unless it exited 0 and complained of nothing.
    #[track_caller]
    pub fn expect(self) -> Self {
        let complains = ["W: ", "E: ", "Err:"]
            .iter()
            .any(|mark| self.text.lines().any(|line| line.starts_with(mark)));
        assert!(self.ok && !complains, "{}", self.text);
        self
    }
}

/// An apt client that touches nothing outside its folder.
pub struct Apt {
    folder: TempDir,
}

impl Apt {
    /// A client with this `proxy` (or none). `sources` are lines without `deb [signed-by=…]`; one
    /// of source packages begins with `deb-src `.
    pub fn new(key: &Path, sources: &[String], proxy: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        for below in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg",
            "var/cache/apt/archives/partial",
            "downloads",
        ] {
            std::fs::create_dir_all(this.path(below)).unwrap();
        }
        std::fs::write(this.path("var/lib/dpkg/status"), "").unwrap();
        let lines = sources.iter().map(|line| {
            let (kind, rest) = match line.strip_prefix("deb-src ") {
                Some(rest) => ("deb-src", rest),
                None => ("deb", line.as_str()),
            };
            format!("{kind} [signed-by={}] {rest}\n", key.display())
        });
        std::fs::write(this.path("etc/apt/sources.list"), lines.collect::<String>()).unwrap();
        this.use_proxy(proxy);
        this
    }

    /// From now on through this proxy, or through none.
    pub fn use_proxy(&self, proxy: Option<&str>) {
        let root = self.folder.path().display();
        let proxy = proxy.map_or(String::new(), |url| {
            format!("Acquire::http::Proxy \"{url}\";\n")
        });
        let text = format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\n\
             Dir::Bin::methods \"/usr/lib/apt/methods\";\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\n\
             Acquire::Retries \"0\";\nAcquire::Languages \"none\";\n{proxy}"
        );
        std::fs::write(self.path("apt.conf"), text).unwrap();
    }

    /// One more file in `apt.conf.d`.
    pub fn add_config(&self, text: &str) {
        std::fs::write(self.path("etc/apt/apt.conf.d/90test"), text).unwrap();
    }

    /// From now on `Contents` too, as apt-file has it.
    pub fn want_contents(&self) {
        self.add_config(
            "Acquire::IndexTargets::deb::Contents-deb { \
             MetaKey \"$(COMPONENT)/Contents-$(ARCHITECTURE)\"; \
             ShortDescription \"Contents-$(ARCHITECTURE)\"; \
             Description \"$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents (deb)\"; \
             PDiffs \"true\"; KeepCompressed \"false\"; };",
        );
    }

    /// `apt-get update`.
    pub fn update(&self) -> Ran {
        self.get(&["update"])
    }

    /// `apt-get download`; the .debs land in the downloads folder.
    pub fn download(&self, packages: &[&str]) -> Ran {
        self.get(&[&["download"], packages].concat())
    }

    /// `apt-get install --download-only`, dependencies and all.
    pub fn install(&self, packages: &[&str]) -> Ran {
        self.get(&[&["install", "--download-only", "-y"], packages].concat())
    }

    /// The .debs of [`Self::download`] and [`Self::install`] by name.
    pub fn debs(&self) -> Vec<String> {
        let folders = ["downloads", "var/cache/apt/archives"];
        let files = folders
            .iter()
            .flat_map(|folder| super::files_under(&self.path(folder)));
        let names = files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".deb")).collect()
    }

    /// Takes the .debs away, as on a second machine.
    pub fn forget_debs(&self) {
        for folder in ["downloads", "var/cache/apt/archives"] {
            for file in super::files_under(&self.path(folder)) {
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    /// The .deb of a package in apt's own cache.
    pub fn archive(&self, package: &str) -> Vec<u8> {
        std::fs::read(self.archive_path(package)).unwrap()
    }

    /// Makes apt's copy of a package a partial one of so many bytes, with the time of change it
    /// got from the server, as a broken connection leaves it; gives the bytes it had.
    pub fn cut_archive(&self, package: &str, bytes: usize) -> Vec<u8> {
        let whole = self.archive_path(package);
        let content = std::fs::read(&whole).unwrap();
        let changed = whole.metadata().unwrap().modified().unwrap();
        let partial = whole
            .parent()
            .unwrap()
            .join("partial")
            .join(whole.file_name().unwrap());
        std::fs::write(&partial, &content[..bytes]).unwrap();
        std::fs::File::options()
            .append(true)
            .open(&partial)
            .unwrap()
            .set_modified(changed)
            .unwrap();
        std::fs::remove_file(whole).unwrap();
        content
    }

    fn archive_path(&self, package: &str) -> PathBuf {
        let files = super::files_under(&self.path("var/cache/apt/archives"));
        let name = format!("{package}_");
        let found = files.into_iter().find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&name)
        });
        found.unwrap_or_else(|| panic!("apt has no {package}"))
    }

    /// The version that apt would install.
    pub fn candidate(&self, package: &str) -> String {
        let output = self.run("apt-cache", &["policy", package]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "));
        line.unwrap_or_default().to_owned()
    }

    /// The number of the generation that its one suite is of, as its `Release` describes it. Fails
    /// unless every index that lies beside that `Release` is one it lists, and there are `indexes`
    /// of them, those of patches not counted.
    #[track_caller]
    pub fn generation(&self, indexes: usize) -> u64 {
        let mut files = super::files_under(&self.path("var/lib/apt/lists"));
        files.retain(|path| !path.to_string_lossy().contains("/partial/"));
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let release = files.iter().find(|path| name(path).ends_with("Release"));
        let release = release.unwrap_or_else(|| panic!("no Release in {files:?}"));
        let stem = name(release);
        let stem = stem
            .trim_end_matches("InRelease")
            .trim_end_matches("Release");
        let text = std::fs::read_to_string(release).unwrap();
        let mut found = 0;
        for file in &files {
            let Some(index) = name(file).strip_prefix(stem).map(|it| it.replace('_', "/")) else {
                continue;
            };
            // An index of patches stays behind when apt goes on without patches.
            if index.contains("Release") || index.contains(".diff/") {
                continue;
            }
            let bytes = std::fs::read(file).unwrap();
            let listed = [Hash::Sha256, Hash::Sha512].iter().any(|hash| {
                let line = format!(" {} {} {index}\n", hash.of(&bytes), bytes.len());
                text.contains(&line)
            });
            assert!(listed, "{index} is not of this {text}");
            found += 1;
        }
        assert_eq!(found, indexes, "indexes in {files:?}");
        let description = text.split_once("Description: generation ").unwrap().1;
        description.lines().next().unwrap().parse().unwrap()
    }

    /// The value of one configuration key as apt reads it.
    pub fn setting(&self, key: &str) -> String {
        let format = "--format=%v";
        let output = self.run("apt-config", &["dump", "--no-empty", format, key]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn get(&self, arguments: &[&str]) -> Ran {
        let started = Instant::now();
        let output = self.run("apt-get", arguments);
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        Ran {
            ok: output.status.success(),
            text,
            took: started.elapsed(),
        }
    }

    /// Runs a tool in this root; `timeout` ends one that hangs.
    fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["60", tool]).args(arguments).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("LC_ALL", "C")
            .env("APT_CONFIG", self.path("apt.conf"));
        command
            .current_dir(self.path("downloads"))
            .output()
            .unwrap()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }
}
