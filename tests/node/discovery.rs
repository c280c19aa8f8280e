//! Scripts that look for an apt cache find one, by the questions that they really ask.

use crate::kit::{Config, Node, Request};
use std::process::Command;

/// What auto-apt-proxy greps for: `grep -q -i '<title>Apt-cacher'`.
fn is_apt_cacher(page: &str) -> bool {
    let mut lines = page.lines();
    lines.any(|line| line.to_lowercase().contains("<title>apt-cacher"))
}

/// auto-apt-proxy asks with apt's own helper, for the address without a path, and twice into
/// one file, as two of its guesses are about this port.
#[test]
fn auto_apt_proxy_sees_an_apt_cacher() {
    const HELPER: &str = "/usr/lib/apt/apt-helper";
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    std::fs::write(&file, b"").unwrap();
    let mut said = String::new();
    for _ in 0..2 {
        let output = Command::new("timeout")
            .args(["5", HELPER])
            .args(["-o", "Acquire::http::Proxy=DIRECT"])
            .args(["-o", "Acquire::Retries=0"])
            .arg("download-file")
            .args(["-o", "Acquire::http::Proxy::127.0.0.1=DIRECT"])
            .arg(node.url())
            .arg(&file)
            .env("http_proxy", "")
            .env_remove("APT_CONFIG")
            .output()
            .unwrap();
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        said += &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(is_apt_cacher(&page), "{said}{page}");
}

/// The same in a browser's and a script's words.
#[test]
fn the_page_names_itself_an_apt_cacher_wherever_it_is_asked_for() {
    let node = Node::start();
    for path in [
        "/",
        "/acng-report.html",
        "/acng-report.html?doCount=Count+Data",
    ] {
        let answer = node.get(path).expect_status(200);
        let kind = answer.header("Content-Type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{path}: {kind}");
        assert!(is_apt_cacher(&answer.text()), "{path}: {}", answer.text());
    }
}

/// Provisioning tools ask only whether the report is there: Python's http.client, curl --fail,
/// wget (HTTP/1.0 in busybox).
#[test]
fn the_report_of_apt_cacher_ng_is_there() {
    let node = Node::start();
    let report = Request::get("/acng-report.html");
    let host = format!("127.0.0.1:{}", node.port());
    for request in [
        report
            .clone()
            .header("Host", &host)
            .header("Accept-Encoding", "identity"),
        report.clone().header("Host", &host).header("Accept", "*/*"),
        report.clone().old(),
        Request::new("HEAD", "/acng-report.html"),
    ] {
        node.ask(&request).expect_status(200);
    }
}

/// A title is no secret, but whoever may not use the cache is not led to it.
#[test]
fn strangers_find_no_cache() {
    let node = Node::with(Config {
        clients: vec!["10.0.0.0/8".to_owned()],
        ..Config::default()
    });
    for path in ["/", "/acng-report.html"] {
        let answer = node.get(path).expect_refusal(403, "apt.allow");
        assert!(!is_apt_cacher(&answer.text()), "{path}");
    }
}
