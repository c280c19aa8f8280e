//! Request forms: every way in which a client names a file, and every kind of file.

use crate::kit::{Manner, Node, Origin, Request, noise, until};
use std::time::Instant;

const DEB: &str = "/debian/pool/main/h/hello/hello_2.10-3_amd64.deb";

/// A node, and an origin that has one .deb.
fn node_and_deb() -> (Node, Origin, Vec<u8>) {
    let origin = Origin::start();
    let body = noise(11, 40_000);
    origin.put(DEB, &body);
    (Node::start(), origin, body)
}

#[test]
fn proxy_form_and_prefix_form_are_one_file() {
    let (node, origin, body) = node_and_deb();
    let first = node.get(&origin.url(DEB)).expect(&body);
    assert!(first.is_miss(), "{:?}", first.headers);
    assert!(
        first.cache_status().contains("detail=mirror"),
        "{:?}",
        first.headers
    );
    node.settle(&origin.prefixed(DEB));
    let second = node.get(&origin.prefixed(DEB)).expect(&body);
    assert!(second.is_hit(), "{:?}", second.headers);
    assert_eq!(origin.hits(DEB), 1);
    node.until_number("/cache/files", 1);
}

#[test]
fn prefix_form_fetches_too() {
    let (node, origin, body) = node_and_deb();
    let first = node.get(&origin.prefixed(DEB)).expect(&body);
    assert!(first.is_miss(), "{:?}", first.headers);
    node.settle(&origin.url(DEB));
    node.get(&origin.url(DEB)).expect(&body);
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn the_upstream_is_asked_for_the_path_under_its_own_name() {
    let (node, origin, body) = node_and_deb();
    node.get(&origin.prefixed(DEB)).expect(&body);
    let seen = &origin.seen(DEB)[0];
    assert_eq!(seen.target, DEB);
    assert_eq!(seen.header("Host"), Some(origin.host().as_str()));
}

#[test]
fn a_plus_and_its_escape_are_one_path() {
    let (node, origin, _) = node_and_deb();
    let plain = "/debian/pool/main/g/g++/g++_12.2.0-3+b1~bpo_amd64.deb";
    let escaped = "/debian/pool/main/g/g%2b%2b/g%2B%2b_12.2.0-3%2bb1%7ebpo_amd64.deb";
    let body = noise(12, 9000);
    origin.put(plain, &body);
    node.get(&origin.url(escaped)).expect(&body);
    node.settle(&origin.url(plain));
    assert!(node.get(&origin.prefixed(plain)).expect(&body).is_hit());
    assert!(node.get(&origin.prefixed(escaped)).expect(&body).is_hit());
    assert_eq!(origin.hits(plain), 1);
}

#[test]
fn a_host_name_in_capitals_is_the_same_host() {
    let origin = Origin::start();
    let body = noise(13, 3000);
    origin.put("/pool/x/x_1_all.deb", &body);
    let port = origin.host().rsplit(':').next().unwrap().to_owned();
    let config = crate::kit::Config {
        upstreams: vec!["localhost".to_owned(), "127.0.0.0/8".to_owned()],
        ..Default::default()
    };
    let node = Node::with(config);
    node.get(&format!("http://LocalHost:{port}/pool/x/x_1_all.deb"))
        .expect(&body);
    node.settle(&format!("http://localhost:{port}/pool/x/x_1_all.deb"));
    assert_eq!(origin.hits("/pool/x/x_1_all.deb"), 1);
}

#[test]
fn the_same_name_in_two_folders_is_two_files() {
    let (node, origin, _) = node_and_deb();
    let main = "/debian/pool/main/h/hello/hello_1_all.deb";
    let contrib = "/debian/pool/contrib/h/hello/hello_1_all.deb";
    origin.put(main, b"the bytes of main");
    origin.put(contrib, b"the bytes of contrib");
    for _ in 0..2 {
        node.get(&origin.url(main)).expect(b"the bytes of main");
        node.get(&origin.url(contrib))
            .expect(b"the bytes of contrib");
    }
}

#[test]
fn the_same_path_on_two_hosts_is_two_files() {
    let (node, one, body) = node_and_deb();
    let two = Origin::start();
    two.put(DEB, b"another archive's hello");
    for _ in 0..2 {
        node.get(&one.url(DEB)).expect(&body);
        node.get(&two.url(DEB)).expect(b"another archive's hello");
    }
}

#[test]
fn a_query_is_part_of_the_name() {
    let (node, origin, _) = node_and_deb();
    origin.put("/get?file=a.deb", b"a");
    origin.put("/get?file=b.deb", b"b");
    node.get(&origin.url("/get?file=a.deb")).expect(b"a");
    node.get(&origin.url("/get?file=b.deb")).expect(b"b");
}

#[test]
fn every_kind_of_file_is_served_twice() {
    let (node, origin, _) = node_and_deb();
    let names = [
        "/debian/pool/main/h/hello/hello_2.10.orig.tar.gz",
        "/debian/pool/main/h/hello/hello_2.10-3.debian.tar.xz",
        "/debian/pool/main/h/hello/hello_2.10-3.dsc",
        "/debian/pool/main/h/hello/hello_2.10-3_amd64.buildinfo",
        "/debian/pool/main/h/hello/hello-dbgsym_2.10-3_amd64.ddeb",
        "/debian/pool/main/h/hello/hello-udeb_2.10-3_amd64.udeb",
        "/debian/dists/sid/main/dep11/Components-amd64.yml.xz",
        "/debian/dists/sid/main/dep11/icons-128x128.tar.gz",
        "/debian/dists/sid/main/cnf/Commands-amd64.xz",
        "/debian/dists/sid/main/i18n/Translation-de.bz2",
        "/debian/dists/sid/main/Contents-amd64.gz",
        "/debian/dists/sid/main/source/Sources.xz",
        "/debian/dists/sid/main/binary-amd64/Packages.diff/Index",
        "/debian/dists/sid/main/binary-amd64/Packages.diff/2026-01-01-0000.00.gz",
        "/debian/dists/sid/main/installer-amd64/current/images/netboot/mini.iso",
        "/debian/dists/sid/main/installer-amd64/current/images/MANIFEST",
        "/debian/dists/sid/Release.gpg",
        "/debian/project/trace/ftp-master",
        "/keys/archive-key.asc",
        "/an/odd name/with spaces",
        "/no-extension",
        "/ünïcode.deb",
    ];
    for (seed, name) in (100..).zip(names) {
        origin.put(name, &noise(seed, 2000));
    }
    for (seed, name) in (100..).zip(names) {
        let asked = name
            .replace(' ', "%20")
            .replace('ü', "%c3%bc")
            .replace('ï', "%C3%AF");
        node.get(&origin.url(&asked)).expect(&noise(seed, 2000));
        node.settle(&origin.url(&asked));
        node.get(&origin.prefixed(&asked))
            .expect(&noise(seed, 2000));
    }
}

#[test]
fn a_flat_repository_is_served_with_its_dots() {
    let (node, origin, _) = node_and_deb();
    origin.put("/repo/Packages.xz", b"flat index");
    origin.put("/repo/sub/x_1_all.deb", b"flat deb");
    for _ in 0..2 {
        node.get(&origin.url("/repo/./Packages.xz"))
            .expect(b"flat index");
        node.get(&origin.prefixed("/repo/./sub/x_1_all.deb"))
            .expect(b"flat deb");
    }
}

#[test]
fn an_empty_file_is_a_file() {
    let (node, origin, _) = node_and_deb();
    origin.put("/debian/dists/sid/main/binary-all/Packages", b"");
    for _ in 0..2 {
        let path = origin.url("/debian/dists/sid/main/binary-all/Packages");
        node.get(&path).expect(b"");
    }
}

#[test]
fn head_tells_the_length_and_sends_no_body() {
    let (node, origin, body) = node_and_deb();
    let mut client = node.connect();
    for state in ["cold", "cached"] {
        let head = client.ask(&Request::new("HEAD", &origin.url(DEB))).unwrap();
        assert_eq!(head.status, 200, "{state}");
        assert_eq!(head.header("Content-Length"), Some("40000"), "{state}");
        // Were there a body, this answer would begin in the middle of it.
        client
            .ask(&Request::get(&origin.url(DEB)))
            .unwrap()
            .expect(&body);
        node.settle(&origin.url(DEB));
    }
    node.ask(&Request::new("HEAD", &origin.url("/none")))
        .expect_status(404);
}

#[test]
fn a_missing_file_is_404_at_once_and_not_for_ever() {
    let (node, origin, _) = node_and_deb();
    let path = "/debian/pool/main/n/new/new_1_all.deb";
    let started = Instant::now();
    node.get(&origin.url(path)).expect_status(404);
    assert!(started.elapsed().as_secs() < 2);
    origin.put(path, b"new");
    until("the file that came later", || {
        node.get(&origin.url(path)).status == 200
    });
}

#[test]
fn an_old_client_is_served() {
    let (node, origin, body) = node_and_deb();
    for _ in 0..2 {
        node.ask(&Request::get(&origin.prefixed(DEB)).old())
            .expect(&body);
        node.settle(&origin.url(DEB));
    }
}

#[test]
fn other_methods_are_refused() {
    let (node, origin, _) = node_and_deb();
    for method in ["POST", "PUT", "DELETE", "PROPFIND"] {
        let request = Request::new(method, &origin.url(DEB)).header("Content-Length", "0");
        let status = node.ask(&request).status;
        assert!(
            (400..500).contains(&status) || status == 501,
            "{method}: {status}"
        );
    }
    assert_eq!(origin.hits(DEB), 0);
}

#[test]
fn answers_carry_one_last_modified_and_a_tag() {
    let (node, origin, body) = node_and_deb();
    let cold = node.get(&origin.url(DEB)).expect(&body);
    node.settle(&origin.url(DEB));
    let warm = node.get(&origin.url(DEB)).expect(&body);
    let changed = cold
        .header("Last-Modified")
        .expect("Last-Modified on a miss");
    assert_eq!(warm.header("Last-Modified"), Some(changed));
    assert!(cold.header("ETag").is_some() && warm.header("ETag").is_some());
}

#[test]
fn a_dumb_upstreams_file_has_a_last_modified_that_stays() {
    let (node, origin, body) = node_and_deb();
    origin.behave(DEB, Manner::dumb());
    let cold = node.get(&origin.url(DEB)).expect(&body);
    node.settle(&origin.url(DEB));
    let warm = node.get(&origin.url(DEB)).expect(&body);
    let changed = warm
        .header("Last-Modified")
        .expect("Last-Modified on a hit");
    assert_eq!(
        node.get(&origin.url(DEB)).header("Last-Modified"),
        Some(changed)
    );
    // What apt stamps its partial file with must be what it is asked with later.
    assert_eq!(cold.header("Last-Modified"), Some(changed));
    assert!(warm.header("ETag").is_some());
}

#[test]
fn the_node_has_pages_of_its_own() {
    let node = Node::start();
    node.get("/healthz").expect_status(200);
    let page = node.get("/").expect_status(200);
    assert!(
        page.header("Content-Type")
            .unwrap()
            .starts_with("text/html")
    );
    node.get("/acng-report.html").expect_status(200);
    let status = node.status();
    for key in ["version", "uptime_seconds", "cache", "traffic", "downloads"] {
        assert!(status.get(key).is_some(), "no {key} in {status}");
    }
    let json = node.get("/api/status");
    assert!(
        json.header("Content-Type")
            .unwrap()
            .starts_with("application/json")
    );
}

#[test]
fn a_node_asked_for_itself_does_not_turn_in_a_circle() {
    let node = Node::start();
    let asked = Instant::now();
    node.get(&format!("http://127.0.0.1:{}/127.0.0.1:{0}/x", node.port()));
    assert!(asked.elapsed().as_secs() < 10);
    node.get("/healthz").expect_status(200);
}

#[test]
fn the_numbers_count_bodies() {
    let (node, origin, body) = node_and_deb();
    node.get(&origin.url(DEB)).expect(&body);
    node.until_number("/cache/files", 1);
    node.get(&origin.url(DEB)).expect(&body);
    node.until_number("/cache/misses", 1);
    node.until_number("/cache/hits", 1);
    node.until_number("/cache/bytes", 40_000);
    node.until_number("/traffic/from_mirrors", 40_000);
    node.until_number("/traffic/to_clients", 80_000);
}
