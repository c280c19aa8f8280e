//! TLS: upstreams over HTTPS, and tunnels.

use crate::kit::{Certificate, Client, Config, Nginx, Node, Origin, Request, noise};
use std::io::{Read, Write};
use std::net::TcpListener;
use tempfile::TempDir;

const DEB: &str = "/pool/main/t/tls/tls_1+b1_all.deb";

/// An nginx with TLS and one file; `/away/` leads to a plain origin.
struct Secure {
    _root: TempDir,
    certificate: Certificate,
    nginx: Nginx,
    plain: Origin,
    body: Vec<u8>,
}

impl Secure {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let body = noise(71, 30_000);
        let file = root.path().join(&DEB[1..]);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &body).unwrap();
        let certificate = Certificate::new();
        let plain = Origin::start();
        plain.put("/secret.deb", b"over plain HTTP");
        let nginx = Nginx::serve_tls(root.path(), &certificate, &plain.url("/secret.deb"));
        Self {
            _root: root,
            certificate,
            nginx,
            plain,
            body,
        }
    }

    fn node(&self) -> Node {
        Node::with(Config {
            ca_files: vec![self.certificate.authority()],
            ..Config::default()
        })
    }

    fn gets(&self, path: &str) -> usize {
        let line = format!("GET {path} ");
        self.nginx
            .log()
            .iter()
            .filter(|seen| seen.starts_with(&line))
            .count()
    }
}

#[test]
fn https_prefix_in_both_forms_is_one_file_fetched_over_tls() {
    let secure = Secure::new();
    let node = secure.node();
    let host = secure.nginx.host();
    let proxied = format!("http://HTTPS///{host}{DEB}");
    node.get(&proxied).expect(&secure.body);
    node.settle(&proxied);
    let prefixed = format!("/HTTPS///{host}{DEB}");
    assert!(node.get(&prefixed).expect(&secure.body).is_hit());
    assert_eq!(secure.gets(DEB), 1);
}

#[test]
fn https_prefix_fetches_in_prefix_form_and_by_name() {
    let secure = Secure::new();
    let node = Node::with(Config {
        ca_files: vec![secure.certificate.authority()],
        upstreams: vec!["localhost".to_owned(), "127.0.0.0/8".to_owned()],
        ..Config::default()
    });
    let target = format!("/HTTPS///localhost:{}{DEB}", secure.nginx.port());
    node.get(&target).expect(&secure.body);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let secure = Secure::new();
    let node = Node::start();
    let answer = node.get(&format!("/HTTPS///{}{DEB}", secure.nginx.host()));
    assert!((500..=504).contains(&answer.status), "{}", answer.status);
    assert!(!answer.body.is_empty());
    assert_eq!(secure.gets(DEB), 0);
}

#[test]
fn a_redirect_from_https_to_http_is_never_followed() {
    let secure = Secure::new();
    let node = secure.node();
    let answer = node.get(&format!("/HTTPS///{}/away/secret.deb", secure.nginx.host()));
    assert!(answer.status >= 400, "{} {}", answer.status, answer.text());
    assert_eq!(secure.plain.all_seen().len(), 0);
}

#[test]
fn a_mirror_may_be_https() {
    let secure = Secure::new();
    let upstream = format!("https://{}/", secure.nginx.host());
    let node = Node::with(Config {
        ca_files: vec![secure.certificate.authority()],
        mirrors: vec![("safe".to_owned(), vec![upstream])],
        ..Config::default()
    });
    node.get(&format!("/safe{DEB}")).expect(&secure.body);
}

/// Sends a CONNECT and gives the connection with the answer's status and body.
fn connect(node: &Node, target: &str) -> (Client, u16, String) {
    let mut client = node.connect();
    client
        .send(&Request::new("CONNECT", target).header("Host", target))
        .unwrap();
    let head = client.head().unwrap();
    let body = match head.status {
        200 => Vec::new(),
        _ => client.rest(&head).unwrap(),
    };
    (client, head.status, String::from_utf8(body).unwrap())
}

#[test]
fn connect_is_a_tunnel_to_port_443() {
    let Ok(listener) = TcpListener::bind("127.0.0.1:443") else {
        eprintln!("skipped: port 443 of loopback cannot be bound here");
        return;
    };
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 1000];
        stream.read_exact(&mut bytes).unwrap();
        bytes.reverse();
        stream.write_all(&bytes).unwrap();
    });
    let node = Node::start();
    let (mut client, status, _) = connect(&node, "127.0.0.1:443");
    assert_eq!(status, 200);
    let mut bytes = noise(72, 1000);
    client.send_raw(&bytes).unwrap();
    bytes.reverse();
    assert_eq!(client.take(1000).unwrap(), bytes);
    assert!(client.is_closed(), "the tunnel outlives its far end");
    echo.join().unwrap();
}

#[test]
fn connect_to_another_port_is_403() {
    let origin = Origin::start();
    let node = Node::start();
    let (_, status, body) = connect(&node, &origin.host());
    assert_eq!(status, 403);
    assert!(body.contains("443"), "{body}");
}

#[test]
fn connect_is_403_when_it_is_switched_off() {
    let node = Node::with(Config {
        connect: false,
        ..Config::default()
    });
    let (_, status, body) = connect(&node, "127.0.0.1:443");
    assert_eq!(status, 403);
    assert!(body.contains("upstream.connect"), "{body}");
}

#[test]
fn connect_to_a_private_address_is_403_unless_allowed() {
    let node = Node::with(Config {
        upstreams: Vec::new(),
        ..Config::default()
    });
    for target in [
        "127.0.0.1:443",
        "localhost:443",
        "[::1]:443",
        "10.0.0.1:443",
        "169.254.169.254:443",
    ] {
        let (_, status, body) = connect(&node, target);
        assert_eq!(status, 403, "{target}: {body}");
        assert!(body.contains("upstream.allow"), "{target}: {body}");
    }
}
