//! The other commands: status, apt-conf, exit codes, and a second daemon.

use crate::kit::{Apt, Archive, Config, Manner, Node, Origin, Request, aptmesh, free_port, noise};
use std::process::Output;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn shown(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        out(output),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn status_is_a_readable_summary() {
    let origin = Origin::start();
    let body = noise(1, 3 * 1024 * 1024);
    origin.put("/pool/a_1_all.deb", &body);
    let node = Node::start();
    for _ in 0..4 {
        node.get(&origin.url("/pool/a_1_all.deb")).expect(&body);
        node.settle(&origin.url("/pool/a_1_all.deb"));
    }
    origin.put("/debian/README", b"as it was");
    node.get(&origin.url("/debian/README")).expect(b"as it was");
    node.calm();
    origin.behave_all(Manner::status(503));
    node.get(&origin.url("/debian/README")).expect(b"as it was");
    let output = node.cli(&["status"]);
    assert!(output.status.success(), "{}", shown(&output));
    let text = out(&output);
    let line = |begin: &str| {
        let found = text.lines().find(|line| line.starts_with(begin));
        found.unwrap_or_else(|| panic!("no {begin} in {text}"))
    };
    let words = ["Healthy: ", "Degraded: ", "Failing: "];
    assert!(words.iter().any(|word| text.starts_with(word)), "{text}");
    assert!(
        line("Cache").contains("] 3.0 MiB of 1 GiB, 2 files"),
        "{text}"
    );
    line("Mirrors that fail");
    assert!(text.contains(&origin.url("")), "{text}");
    assert!(text.contains("fetched 3.0 MiB from mirrors"), "{text}");
    assert!(!text.contains('\x1b'), "colour in a pipe: {text}");
    line("To clients");
    // The amount stands before its unit: four times 3 MiB and what settling took.
    let in_all: Vec<_> = line("  in all").split_whitespace().collect();
    assert_eq!(in_all[3], "MiB", "{text}");
    assert!(in_all[2].parse::<f64>().unwrap() >= 12.0, "{text}");
    line("Downloads  0 under way");
    line("DHT  switched off");
}

#[test]
fn status_json_is_the_json_of_the_api() {
    let node = Node::start();
    let output = node.cli(&["status", "--json"]);
    assert!(output.status.success(), "{}", shown(&output));
    let said: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let api = node.status();
    assert_eq!(said["version"], api["version"]);
    let keys = |value: &serde_json::Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&said), keys(&api));
}

#[test]
fn status_is_told_whoever_may_be_a_client() {
    let node = Node::with(Config {
        clients: vec!["192.0.2.0/24".to_owned()],
        ..Config::default()
    });
    node.get("/api/status").expect_refusal(403, "apt.allow");
    let output = node.cli(&["status"]);
    assert!(output.status.success(), "{}", shown(&output));
    // As `serve --set apt.listen=…` leaves it.
    let elsewhere = format!("apt.listen=127.0.0.1:{}", free_port());
    let output = node.cli(&["status", "--set", &elsewhere]);
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn who_has_no_right_to_the_folder_asks_for_the_status_as_a_client() {
    let node = Node::start();
    let output = node.cli(&["status", "--set", "data_dir=/nowhere"]);
    assert!(output.status.success(), "{}", shown(&output));
}

/// Prometheus is answered in the format that it asks for.
#[test]
fn metrics_come_as_they_are_asked_for() {
    let node = Node::start();
    let plain = node.get("/metrics").expect_status(200);
    assert_eq!(
        plain.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let build = format!(
        "aptmesh_build_info{{version=\"{}\"",
        env!("CARGO_PKG_VERSION")
    );
    assert!(plain.text().contains(&build), "{}", plain.text());
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let asked = node.ask(&Request::get("/metrics").header("Accept", accept));
    let kind = asked.header("Content-Type").unwrap_or_default();
    assert!(kind.starts_with("application/openmetrics-text;"), "{kind}");
    assert!(asked.text().ends_with("\n# EOF\n"), "{}", asked.text());
}

#[test]
fn status_without_a_daemon_fails_and_says_why() {
    let node = Node::asleep(Config::default());
    let output = node.cli(&["status"]);
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).len() > 10,
        "{}",
        shown(&output)
    );
    assert!(!shown(&output).contains("panicked"), "{}", shown(&output));
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused_in_one_clear_sentence() {
    let node = Node::start();
    let data_dir = node.data_dir();
    let output = aptmesh(&["serve", "--config", node.config_file().to_str().unwrap()])
        .env("APTMESH_APT__LISTEN", format!("127.0.0.1:{}", free_port()))
        .output()
        .unwrap();
    let said = shown(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(data_dir.to_str().unwrap()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    node.get("/healthz").expect_status(200);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let node = Node::start();
    let other = tempfile::tempdir().unwrap();
    let output = aptmesh(&["serve", "--config", node.config_file().to_str().unwrap()])
        .env("APTMESH_DATA_DIR", other.path())
        .output()
        .unwrap();
    let said = shown(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&node.port().to_string()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let node = Node::asleep(Config {
        data_dir: Some("/proc/nowhere/data".into()),
        ..Config::default()
    });
    let output = node.cli(&["serve"]);
    assert!(!output.status.success());
    assert!(
        shown(&output).contains("/proc/nowhere"),
        "{}",
        shown(&output)
    );
}

#[test]
fn wrong_words_on_the_command_line_are_2() {
    for arguments in [
        &["srve"][..],
        &["serve", "--no-such-flag"],
        &["import"],
        &[],
    ] {
        let output = aptmesh(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            shown(&output)
        );
    }
}

#[test]
fn help_and_version_are_0() {
    let help = aptmesh(&["--help"]).output().unwrap();
    assert!(help.status.success());
    for command in [
        "serve",
        "check-config",
        "status",
        "import",
        "verify",
        "gc",
        "apt-conf",
    ] {
        assert!(out(&help).contains(command), "no {command} in the help");
    }
    let version = aptmesh(&["--version"]).output().unwrap();
    assert!(
        out(&version).contains(env!("CARGO_PKG_VERSION")),
        "{}",
        shown(&version)
    );
}

#[test]
fn what_apt_conf_prints_points_apt_at_this_node() {
    let archive = Archive::new();
    let origin = Origin::start();
    origin.mirror("/debian", &archive.path("debian"));
    let node = Node::start();
    let output = node.cli(&["apt-conf"]);
    assert!(output.status.success(), "{}", shown(&output));
    let apt = Apt::new(
        &archive.key(),
        &[format!("{} stable main", origin.url("/debian"))],
        None,
    );
    apt.add_config(&out(&output));
    let proxy = apt.setting("Acquire::http::Proxy");
    assert_eq!(proxy.trim().trim_end_matches('/'), node.url());
    apt.update().expect();
    apt.download(&["hello"]).expect();
    node.until_number("/cache/files", 3);
}

#[test]
fn sigint_ends_a_node_like_sigterm() {
    let mut node = Node::start();
    rustix::process::kill_process(node.pid(), rustix::process::Signal::INT).unwrap();
    crate::kit::until("the node's end", || !node.is_running());
    assert!(node.ended().success());
}

#[test]
fn a_node_stops_and_starts_many_times() {
    let mut node = Node::start();
    for _ in 0..5 {
        node.stop();
        node.launch();
        node.get("/healthz").expect_status(200);
    }
}
