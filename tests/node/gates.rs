//! Who may ask, and for what: refusals with a sentence that helps.

use crate::kit::{Config, Manner, Node, Origin, Request, noise};

const DEB: &str = "/pool/main/g/gate/gate_1_all.deb";

/// Pages of the node itself.
const OWN: [&str; 9] = [
    "/",
    "/acng-report.html",
    "/api/status",
    "/metrics",
    "/healthz",
    "/favicon.ico",
    "/status.css",
    "/status.js",
    "/icon.svg",
];

/// A node that may not fetch from any private address, and a private origin.
fn forbidden() -> (Node, Origin) {
    let origin = Origin::start();
    origin.put(DEB, b"private");
    let node = Node::with(Config {
        upstreams: Vec::new(),
        ..Config::default()
    });
    (node, origin)
}

fn port(origin: &Origin) -> String {
    origin.host().rsplit(':').next().unwrap().to_owned()
}

#[test]
fn a_private_upstream_is_403_and_names_the_key() {
    let (node, origin) = forbidden();
    node.get(&origin.url(DEB))
        .expect_refusal(403, "upstream.allow");
    node.get(&origin.prefixed(DEB))
        .expect_refusal(403, "upstream.allow");
    assert_eq!(origin.hits(DEB), 0);
}

#[test]
fn a_name_that_resolves_to_loopback_is_403() {
    let (node, origin) = forbidden();
    let target = format!("http://localhost:{}{DEB}", port(&origin));
    node.get(&target).expect_refusal(403, "upstream.allow");
    node.get(&format!("http://localhost{DEB}"))
        .expect_refusal(403, "upstream.allow");
    assert_eq!(origin.all_seen().len(), 0);
}

#[test]
fn loopback_in_disguise_is_refused() {
    let (node, origin) = forbidden();
    let port = port(&origin);
    for host in [
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[::]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.255.255.254",
    ] {
        let answer = node.get(&format!("http://{host}:{port}{DEB}"));
        let refused = matches!(answer.status, 400 | 403 | 502);
        assert!(refused, "{host}: {} {}", answer.status, answer.text());
    }
    assert_eq!(origin.all_seen().len(), 0);
}

#[test]
fn private_networks_are_refused_without_a_packet() {
    let (node, _origin) = forbidden();
    for host in [
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "100.64.0.1",
    ] {
        let answer = node.get(&format!("http://{host}{DEB}"));
        assert_eq!(answer.status, 403, "{host}: {}", answer.text());
        assert!(
            answer.took.as_secs() < 2,
            "{host} was asked: {:?}",
            answer.took
        );
    }
}

#[test]
fn another_port_of_a_public_host_is_403() {
    let (node, _origin) = forbidden();
    let answer = node.get(&format!("http://203.0.113.7:8080{DEB}"));
    answer.expect_refusal(403, "upstream.allow");
}

#[test]
fn allow_takes_a_host_with_its_port() {
    let origin = Origin::start();
    let other = Origin::start();
    origin.put(DEB, b"allowed");
    other.put(DEB, b"not allowed");
    let node = Node::with(Config {
        upstreams: vec![origin.host()],
        ..Config::default()
    });
    node.get(&origin.url(DEB)).expect(b"allowed");
    node.get(&other.url(DEB))
        .expect_refusal(403, "upstream.allow");
    assert_eq!(other.hits(DEB), 0);
}

#[test]
fn allow_takes_a_network() {
    let origin = Origin::start();
    origin.put(DEB, b"allowed");
    let node = Node::with(Config {
        upstreams: vec!["127.0.0.0/8".to_owned()],
        ..Config::default()
    });
    node.get(&origin.url(DEB)).expect(b"allowed");
}

#[test]
fn a_redirect_to_an_address_that_is_not_allowed_is_not_followed() {
    let origin = Origin::start();
    let inner = Origin::start();
    inner.put("/secret", b"secret");
    let node = Node::with(Config {
        upstreams: vec![origin.host()],
        ..Config::default()
    });
    let by_name = format!("http://localhost:{}/secret", port(&inner));
    for target in [
        inner.url("/secret"),
        by_name,
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/x".to_owned(),
    ] {
        origin.behave(DEB, Manner::redirect(&target));
        let answer = node.get(&origin.url(DEB));
        assert!(
            matches!(answer.status, 403 | 502),
            "{target}: {}",
            answer.status
        );
        assert!(!answer.text().contains("root:"), "{target}");
    }
    assert_eq!(inner.all_seen().len(), 0);
}

#[test]
fn a_mirror_of_the_configuration_needs_no_allow() {
    let origin = Origin::start();
    let body = noise(81, 5000);
    origin.put(&format!("/debian{DEB}"), &body);
    let node = Node::with(Config {
        upstreams: vec![origin.host()],
        mirrors: vec![("debian".to_owned(), vec![origin.url("/debian")])],
        ..Config::default()
    });
    node.get(&format!("/debian{DEB}")).expect(&body);
}

#[test]
fn clients_outside_apt_allow_are_403_and_told_the_key() {
    let origin = Origin::start();
    origin.put(DEB, b"not for everybody");
    let node = Node::with(Config {
        clients: vec!["10.0.0.0/8".to_owned()],
        ..Config::default()
    });
    node.get(&origin.url(DEB)).expect_refusal(403, "apt.allow");
    node.get(&origin.prefixed(DEB))
        .expect_refusal(403, "apt.allow");
    let connect = Request::new("CONNECT", "127.0.0.1:443");
    node.ask(&connect).expect_refusal(403, "apt.allow");
    for path in OWN {
        for method in ["GET", "HEAD", "POST"] {
            let answer = node.ask(&Request::new(method, path));
            assert_eq!(answer.status, 403, "{method} {path}");
        }
        node.get(path).expect_refusal(403, "apt.allow");
    }
    assert_eq!(origin.all_seen().len(), 0);
}

/// No request changes anything: there is nothing that a page of another site could do here by
/// its visitor's browser, and nothing that it could read.
#[test]
fn no_request_to_an_own_page_changes_anything() {
    let origin = Origin::start();
    origin.put(DEB, b"kept");
    let node = Node::start();
    node.get(&origin.url(DEB)).expect(b"kept");
    node.settle(&origin.url(DEB));
    let lasting = || {
        let mut status = node.status();
        let keep = ["node_id", "cache", "traffic", "index", "failing_mirrors"];
        let fields = status.as_object_mut().unwrap();
        fields.retain(|name, _| keep.contains(&name.as_str()));
        let cache = fields["cache"].as_object_mut().unwrap();
        for drifts in ["free_bytes", "eviction_age_seconds"] {
            cache.remove(drifts);
        }
        status
    };
    let before = lasting();
    for path in OWN {
        for method in [
            "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE",
        ] {
            let request = Request::new(method, path)
                .header("Origin", "http://elsewhere.example")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Content-Length", "0");
            let answer = node.ask(&request);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.header("Allow").is_some(), "{method} {path}");
        }
        for query in ["?doDelete=yes", "?action=gc&method=DELETE"] {
            let request = Request::get(&format!("{path}{query}"));
            let answer = node.ask(&request.header("Origin", "http://elsewhere.example"));
            let shared = answer.header("Access-Control-Allow-Origin");
            assert!(shared.is_none(), "{path} is for every site: {shared:?}");
            assert!(!answer.text().contains("<form"), "{path} has a form");
        }
    }
    assert_eq!(lasting(), before);
    node.get(&origin.url(DEB)).expect(b"kept");
}

#[test]
fn clients_inside_apt_allow_are_served() {
    let origin = Origin::start();
    origin.put(DEB, b"for loopback");
    for allow in ["127.0.0.0/8", "127.0.0.1/32", "loopback"] {
        let node = Node::with(Config {
            clients: vec![allow.to_owned(), "10.0.0.0/8".to_owned()],
            ..Config::default()
        });
        node.get(&origin.url(DEB)).expect(b"for loopback");
    }
}

#[test]
fn path_tricks_are_400() {
    let origin = Origin::start();
    origin.put("/etc/passwd", b"root:x");
    let node = Node::start();
    for trick in [
        "/pool/../etc/passwd",
        "/../etc/passwd",
        "/pool/..",
        "/pool/%2e%2e/etc/passwd",
        "/pool/%2E./etc/passwd",
        "/pool%2f..%2fetc/passwd",
        "/pool/..%5cetc/passwd",
        "/pool/%5c..%5cetc",
        "/pool/a%00b",
        "/pool/a%0d%0aHost:%20evil",
        "/pool/%zz",
        "/pool/%2",
    ] {
        for target in [origin.url(trick), origin.prefixed(trick)] {
            let answer = node.get(&target);
            assert_eq!(answer.status, 400, "{target}: {}", answer.text());
            assert!(!answer.body.is_empty(), "{target}: no sentence");
        }
    }
    assert_eq!(origin.all_seen().len(), 0);
    node.get("/healthz").expect_status(200);
}

#[test]
fn raw_bytes_that_are_no_request_end_in_400_or_a_close() {
    let node = Node::start();
    for bytes in [
        &b"GET /pool/a\0b HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://:80/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://user:pw@127.0.0.1:1/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://127.0.0.1:99999/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET ftp://127.0.0.1/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut client = node.connect();
        client.send_raw(bytes).unwrap();
        if let Ok(answer) = client.answer(false) {
            let shown = String::from_utf8_lossy(bytes);
            assert!(
                (400..=505).contains(&answer.status),
                "{shown}: {}",
                answer.status
            );
        }
        node.get("/healthz").expect_status(200);
    }
}

#[test]
fn credentials_stay_with_the_host_they_were_given_to() {
    let (door, store) = (Origin::start(), Origin::start());
    let body = noise(77, 3000);
    store.put(DEB, &body);
    door.behave(DEB, Manner::redirect(&store.url(DEB)));
    let node = Node::start();
    let request = Request::get(&door.url(DEB)).header("Authorization", "Basic c2VjcmV0");
    node.ask(&request).expect(&body);
    assert_eq!(
        door.seen(DEB)[0].header("Authorization"),
        Some("Basic c2VjcmV0")
    );
    assert_eq!(store.seen(DEB)[0].header("Authorization"), None);
    assert_eq!(node.number("/cache/files"), 0, "not shared with others");
}
