//! `check-config`, the environment, and what a mistake sounds like.

use crate::kit::{Config, Node, Origin, aptmesh, free_port, noise, until};
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

/// A configuration file with this text.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        std::fs::write(&path, text).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn check(&self, environment: &[(&str, &str)]) -> Output {
        let path = self.path.to_str().unwrap();
        let mut command = aptmesh(&["check-config", "--config", path]);
        command.envs(environment.iter().copied()).output().unwrap()
    }
}

fn shown(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// The file is refused with exit code 2, and every word is in what is said; `:3` is line 3.
#[track_caller]
fn expect_mistake(text: &str, words: &[&str]) {
    let output = File::new(text).check(&[]);
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

#[test]
fn a_good_file_is_good() {
    let text = r#"
data_dir = "/nonexistent/aptmesh"
[apt]
listen = ["[::]:3142", "127.0.0.1:3143"]
allow = ["loopback", "private", "2001:db8::/32"]
[upstream]
allow = ["mirror.example", "mirror.example:8080", "10.0.0.0/8"]
connect = false
timeout = "1m 30s"
ca_files = []
[[mirror]]
name = "debian"
upstreams = ["http://one.example/debian", "https://two.example/debian/"]
[cache]
max_size = "512MiB"
min_free = "0"
[index]
verify = "require"
keyrings = ["/usr/share/keyrings", "/nonexistent/repo.asc"]
[log]
level = "debug"
format = "json"
"#;
    let output = File::new(text).check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn an_empty_file_is_good() {
    let output = File::new("").check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
    expect_mistake(
        "[cache]\n\nmax_siez = \"1GiB\"\n",
        &["max_siez", "max_size", ":3"],
    );
    expect_mistake("data_dri = \"/x\"\n", &["data_dri", "data_dir", ":1"]);
    expect_mistake(
        "[upstrem]\nconnect = true\n",
        &["upstrem", "upstream", ":1"],
    );
    expect_mistake(
        "[[mirror]]\nname = \"a\"\nupstream = [\"http://x/\"]\n",
        &["upstreams", ":3"],
    );
}

#[test]
fn every_mistake_is_named_not_only_the_first() {
    let text = "[apt]\nlisten = [\"nowhere\"]\n[cache]\nmax_siez = \"1GiB\"\nmin_free = \"lots\"\n\
                [upstream]\ntimeout = \"soon\"\n[log]\nlevel = \"loud\"\n";
    let words = [
        "apt.listen",
        "max_siez",
        "cache.min_free",
        "upstream.timeout",
        "log.level",
    ];
    expect_mistake(text, &words);
}

#[test]
fn wrong_values_are_named_with_key_and_line() {
    for (text, key, line) in [
        ("[cache]\nmax_size = \"lots\"\n", "cache.max_size", ":2"),
        (
            "[cache]\n\n\nmax_size = \"-1GiB\"\n",
            "cache.max_size",
            ":4",
        ),
        ("[upstream]\ntimeout = 30\n", "upstream.timeout", ":2"),
        (
            "[upstream]\nconnect = \"maybe\"\n",
            "upstream.connect",
            ":2",
        ),
        (
            "[upstream]\nallow = [\"10.0.0.0/99\"]\n",
            "upstream.allow",
            ":2",
        ),
        ("[apt]\nallow = [\"everybody\"]\n", "apt.allow", ":2"),
        ("[apt]\nlisten = [\"127.0.0.1\"]\n", "apt.listen", ":2"),
        ("[apt]\nlisten = \"\"\n", "apt.listen", ":2"),
        ("[log]\nformat = \"xml\"\n", "log.format", ":2"),
        ("[index]\nverify = \"maybe\"\n", "index.verify", ":2"),
        (
            "[index]\nkeyrings = \"/etc/apt/keyrings\"\n",
            "index.keyrings",
            ":2",
        ),
        (
            "[[mirror]]\nname = \"a/b\"\nupstreams = [\"http://x/\"]\n",
            "name",
            ":2",
        ),
        (
            "[[mirror]]\nname = \"a\"\nupstreams = [\"gopher://x/\"]\n",
            "upstreams",
            ":3",
        ),
        (
            "[[mirror]]\nname = \"a\"\nupstreams = []\n",
            "upstreams",
            ":3",
        ),
    ] {
        expect_mistake(text, &[key, line]);
    }
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    expect_mistake("[cache]\nmax_size = \n", &[":2"]);
    expect_mistake("[cache\n", &[":1"]);
}

#[test]
fn two_mirrors_of_one_name_are_a_mistake() {
    let one = "[[mirror]]\nname = \"debian\"\nupstreams = [\"http://x/\"]\n";
    expect_mistake(&one.repeat(2), &["debian"]);
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_that_names_it() {
    let output = aptmesh(&["check-config", "--config", "/nonexistent.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        shown(&output).contains("/nonexistent.toml"),
        "{}",
        shown(&output)
    );
}

#[test]
fn serve_with_a_mistake_ends_with_2_and_says_the_same() {
    let file = File::new("[cache]\nmax_siez = \"1GiB\"\n");
    let output = aptmesh(&["serve", "--config", file.path.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("max_size"), "{}", shown(&output));
}

#[test]
fn a_wrong_value_in_the_environment_is_named() {
    let output = File::new("").check(&[("APTMESH_CACHE__MAX_SIZE", "lots")]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(
        shown(&output).contains("APTMESH_CACHE__MAX_SIZE"),
        "{}",
        shown(&output)
    );
}

#[test]
fn an_unknown_name_in_the_environment_is_named_with_the_nearest() {
    let output = File::new("").check(&[("APTMESH_CACHE__MAX_SIEZ", "1GiB")]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    let said = shown(&output);
    assert!(said.contains("APTMESH_CACHE__MAX_SIEZ"), "{said}");
    assert!(
        said.contains("APTMESH_CACHE__MAX_SIZE") || said.contains("max_size"),
        "{said}"
    );
}

#[test]
fn good_values_in_the_environment_are_good() {
    let environment = [
        ("APTMESH_DATA_DIR", "/nonexistent/elsewhere"),
        ("APTMESH_APT__LISTEN", r#"["127.0.0.1:3142", "[::1]:3142"]"#),
        ("APTMESH_UPSTREAM__ALLOW", r#"["10.0.0.0/8"]"#),
        ("APTMESH_UPSTREAM__CONNECT", "false"),
        ("APTMESH_UPSTREAM__TIMEOUT", "10s"),
        ("APTMESH_CACHE__MAX_SIZE", "5GiB"),
        ("APTMESH_INDEX__VERIFY", "off"),
        ("APTMESH_INDEX__KEYRINGS", "/nonexistent/repo.asc"),
        ("APTMESH_LOG__LEVEL", "warn"),
    ];
    let output = File::new("[cache]\nmax_size = \"1GiB\"\n").check(&environment);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn the_environment_mends_a_wrong_value_of_the_file() {
    let file = File::new("[cache]\nmax_size = \"lots\"\n");
    assert_eq!(file.check(&[]).status.code(), Some(2));
    let mended = file.check(&[("APTMESH_CACHE__MAX_SIZE", "1GiB")]);
    // Either is defensible; what must not be is a crash.
    assert!(
        matches!(mended.status.code(), Some(0 | 2)),
        "{}",
        shown(&mended)
    );
}

#[test]
fn the_environment_outweighs_the_file() {
    let mut node = Node::asleep(Config::default());
    let other = tempfile::tempdir().unwrap();
    let mut daemon = aptmesh(&["serve", "--config", node.config_file().to_str().unwrap()])
        .env("APTMESH_DATA_DIR", other.path().join("other"))
        .spawn()
        .unwrap();
    let listens = crate::kit::within(crate::kit::PATIENCE, || node.try_get("/healthz").is_ok());
    let there = other.path().join("other").is_dir();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(listens && there);
    assert!(!node.data_dir().exists());
    assert!(!node.is_running());
}

#[test]
fn serve_runs_without_any_file() {
    if std::path::Path::new("/etc/aptmesh/aptmesh.toml").exists() {
        eprintln!("skipped: this machine has a configuration of its own");
        return;
    }
    let origin = Origin::start();
    origin.put("/pool/a_1_all.deb", &noise(1, 3000));
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut daemon = aptmesh(&["serve"])
        .env("APTMESH_DATA_DIR", folder.path().join("data"))
        .env("APTMESH_APT__LISTEN", format!("127.0.0.1:{port}"))
        .env("APTMESH_UPSTREAM__ALLOW", "127.0.0.1")
        .env("APTMESH_DHT__LISTEN", format!("127.0.0.1:{}", free_port()))
        .spawn()
        .unwrap();
    let get =
        |target: &str| crate::kit::Client::connect(port)?.ask(&crate::kit::Request::get(target));
    let ready = crate::kit::within(crate::kit::PATIENCE, || {
        get("/healthz").is_ok_and(|answer| answer.status == 200)
    });
    let answer = get(&origin.url("/pool/a_1_all.deb"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(ready);
    answer.unwrap().expect(&noise(1, 3000));
}

#[test]
fn json_logs_are_json() {
    let mut node = Node::asleep(Config::default());
    let text = std::fs::read_to_string(node.config_file()).unwrap();
    std::fs::write(node.config_file(), text + "[log]\nformat = \"json\"\n").unwrap();
    node.launch();
    until("a log line", || node.log().lines().next().is_some());
    node.stop();
    for line in node.log().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
}
