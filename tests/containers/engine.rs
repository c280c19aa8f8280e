//! The container engine, by its command line. Everything that tests make has a name that begins
//! with [`PREFIX`] and the process id of their run: nothing else is touched, and what a run leaves
//! that was killed goes with the next one.

use super::{run, tell};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};
use std::time::Instant;

/// How names begin.
const PREFIX: &str = "aptmesh-test-";

/// What images are told of their source, so that those of tests are known, and what they say of it.
const OWN_REVISION: &str = "REVISION=aptmesh-test";
const OWN_LABEL: &str = "org.opencontainers.image.revision=aptmesh-test";

/// Kinds of things: how they are listed, and how one is removed. Containers go before what they use.
const KINDS: [(&[&str], &[&str]); 4] = [
    (&["ps", "-a", "--format", "{{.Names}}"], &["rm", "-f", "-v"]),
    (
        &["network", "ls", "--format", "{{.Name}}"],
        &["network", "rm"],
    ),
    (
        &["volume", "ls", "--format", "{{.Name}}"],
        &["volume", "rm", "-f"],
    ),
    // Layers stay, as after any build: they are what makes the next one fast.
    (
        &["images", "--format", "{{.Repository}}"],
        &["rmi", "-f", "--no-prune"],
    ),
];

/// Why there are no containers here, in a sentence.
pub fn lacking() -> Option<String> {
    static LACKING: OnceLock<Option<String>> = OnceLock::new();
    LACKING.get_or_init(look).clone()
}

fn look() -> Option<String> {
    if std::env::var_os("TEST_WITHOUT_ENGINE").is_some() {
        return Some("TEST_WITHOUT_ENGINE is set.".to_owned());
    }
    let version = ["version", "--format", "{{.Server.Version}}"];
    match Command::new("docker").args(version).output() {
        Ok(output) if output.status.success() => is_elsewhere(),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(format!("No container engine answers: {}", said.trim()))
        }
        Err(error) => Some(format!("No container engine is here: docker: {error}.")),
    }
}

/// Cables are pulled and files are shown to containers by this machine, which an engine without
/// root's rights, in a virtual machine or at the far end of `DOCKER_HOST` knows nothing of.
fn is_elsewhere() -> Option<String> {
    let lot = Lot::new();
    let made = ["network", "create", &lot.name("look")];
    let output = match Command::new("docker").args(made).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Some(format!("The container engine makes no network: {said}"));
        }
        Err(error) => return Some(format!("docker can't be run: {error}.")),
    };
    let bridge = bridge(String::from_utf8_lossy(&output.stdout).trim());
    let is_here = Path::new("/sys/class/net").join(bridge).exists();
    (!is_here).then(|| "The container engine's networks are not on this machine.".to_owned())
}

/// The bridge of a network of this id.
pub fn bridge(id: &str) -> String {
    format!("br-{}", &id[..12])
}

/// Whether there are containers; says so where a test is skipped for that.
pub fn is_there(test: &str) -> bool {
    let lacking = lacking();
    if let Some(lacking) = &lacking {
        tell(&format!("{test}: skipped. {lacking}"));
    }
    lacking.is_none()
}

/// Runs `docker`, which must succeed; what it printed.
#[track_caller]
pub fn docker(words: &[&str]) -> String {
    let output = run(Command::new("docker").args(words));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `docker inspect` tells of a container, a network, a volume or an image.
#[track_caller]
pub fn inspect(name: &str) -> serde_json::Value {
    let mut all: serde_json::Value = serde_json::from_str(&docker(&["inspect", name])).unwrap();
    all[0].take()
}

/// A container's address on its one network.
#[track_caller]
pub fn address_of(container: &str) -> Ipv4Addr {
    let networks = inspect(container)["NetworkSettings"]["Networks"].take();
    let mut all = networks.as_object().unwrap().values();
    let address = &all.next().unwrap()["IPAddress"];
    address.as_str().unwrap().parse().unwrap()
}

/// A name of its own: whatever begins with it and a dash is removed at the end, also of a test that
/// fails.
pub struct Lot {
    name: String,
}

impl Lot {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        Self { name }
    }

    /// The name of a thing of this lot.
    pub fn name(&self, thing: &str) -> String {
        format!("{}-{thing}", self.name)
    }

    /// The whole lot's name, as a project of compose has one.
    pub fn project(&self) -> &str {
        &self.name
    }
}

impl Drop for Lot {
    fn drop(&mut self) {
        // Compose puts a dash or an underscore after the project.
        let own = |name: &str| {
            let rest = name.strip_prefix(&self.name);
            rest.is_some_and(|rest| rest.starts_with(['-', '_']))
        };
        if std::thread::panicking() {
            tell_logs(own);
        }
        remove(own);
    }
}

/// The last lines of containers, for whoever looks why a test failed.
fn tell_logs(is_one: impl Fn(&str) -> bool) {
    for name in names(KINDS[0].0).filter(|name| is_one(name)) {
        let logs = Command::new("docker")
            .args(["logs", "--tail", "40", &name])
            .output();
        let text = logs.map(|it| [it.stdout, it.stderr].concat());
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        tell(&format!("--- {name}:\n{text}---"));
    }
}

/// Removes what runs left that are over.
fn sweep() {
    remove(|name| {
        let rest = name.strip_prefix(PREFIX);
        let run = rest.and_then(|rest| rest.split(['-', '_']).next());
        run.is_some_and(|run| !Path::new("/proc").join(run).exists())
    });
}

fn remove(is_one: impl Fn(&str) -> bool) {
    for (list, remove) in KINDS {
        let names: Vec<_> = names(list).filter(|name| is_one(name)).collect();
        if !names.is_empty() {
            let _ = Command::new("docker").args(remove).args(names).output();
        }
    }
}

fn names(list: &[&str]) -> impl Iterator<Item = String> {
    let listed = Command::new("docker").args(list).output();
    let text =
        String::from_utf8_lossy(&listed.map(|it| it.stdout).unwrap_or_default()).into_owned();
    let names: Vec<_> = text.lines().map(str::to_owned).collect();
    names.into_iter()
}

/// An image of this run.
pub struct Image {
    lot: Lot,
}

impl Image {
    pub fn name(&self) -> String {
        self.lot.name("image")
    }

    fn build(folder: &Path, words: &[&str]) -> Self {
        let image = Self { lot: Lot::new() };
        let mut command = Command::new("docker");
        command.args(["build", "-q", "-t", &image.name()]);
        run(command.args(words).arg(".").current_dir(folder));
        image
    }

    /// What `docker/Dockerfile` makes of this tree. It is built for the first test that asks, and
    /// goes with the last.
    pub fn of_this_tree() -> Arc<Self> {
        static BUILT: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        let mut built = BUILT.lock().expect("the image could not be built");
        built.upgrade().unwrap_or_else(|| {
            make_bases();
            let began = Instant::now();
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let words = ["-f", "docker/Dockerfile", "--build-arg", OWN_REVISION];
            let image = Arc::new(Self::build(root, &words));
            tell(&format!("docker build took {:.0?}", began.elapsed()));
            tidy();
            *built = Arc::downgrade(&image);
            image
        })
    }

    /// An nginx on the same base.
    pub fn of_mirror() -> Self {
        // One at a time: two builds of the same would do the work twice.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _lock = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        make_bases();
        let folder = tempfile::tempdir().unwrap();
        let text = "FROM debian:bookworm-slim\n\
                    RUN apt-get update && apt-get install -y --no-install-recommends nginx-light\n";
        std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
        Self::build(folder.path(), &[])
    }
}

/// Removes what older builds left of both stages, a gigabyte each. The newest of each stays, with
/// the dependencies below it: they are what makes the next build fast.
fn tidy() {
    for label in ["org.aptmesh.stage=build", OWN_LABEL] {
        let label = format!("label={label}");
        let list = ["images", "-q", "-f", "dangling=true", "-f", &label];
        // The newest comes first. One that somebody else builds on just now is refused.
        for old in names(&list).skip(1) {
            let _ = Command::new("docker").args(["rmi", &old]).output();
        }
    }
}

/// The images that both start from, where they are not here yet.
fn make_bases() {
    static MAKING: Mutex<()> = Mutex::new(());
    let _lock = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/base-images");
    let output = run(Command::new("sh").arg(script));
    // Such as that it left images of its own under names that others use.
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        tell(line);
    }
    tell(&format!("docker/base-images took {:.0?}", began.elapsed()));
}
