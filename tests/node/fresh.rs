//! Names that can change are asked after; an ill upstream is not waited for.

use crate::kit::{Manner, Node, Origin, Request, STALE_WITHIN, noise, sha256, until};
use std::thread;
use std::time::{Duration, Instant};

const INRELEASE: &str = "/debian/dists/sid/InRelease";

/// A node that holds the first version of `path`.
fn holding(path: &str) -> (Node, Origin, Vec<u8>) {
    let origin = Origin::start();
    let body = noise(51, 4000);
    origin.put(path, &body);
    let node = Node::start();
    node.get(&origin.url(path)).expect(&body);
    node.until_number("/cache/files", 1);
    (node, origin, body)
}

/// Asks as apt does for an index.
fn as_apt(origin: &Origin, path: &str) -> Request {
    Request::get(&origin.url(path)).header("Cache-Control", "max-age=0")
}

#[test]
fn a_changed_inrelease_is_seen_at_once() {
    let (node, origin, _) = holding(INRELEASE);
    for version in 2..6 {
        let body = noise(50 + version, 4000);
        origin.put(INRELEASE, &body);
        node.ask(&as_apt(&origin, INRELEASE)).expect(&body);
        node.calm();
    }
}

#[test]
fn revalidation_is_conditional_and_304_keeps_the_copy() {
    let (node, origin, body) = holding(INRELEASE);
    node.ask(&as_apt(&origin, INRELEASE)).expect(&body);
    let seen = origin.seen(INRELEASE);
    let second = seen.get(1).expect("no second request");
    assert!(second.is_conditional(), "{:?}", second.headers);
    assert_eq!(second.answered, 304);
    node.until_number("/traffic/from_mirrors", 4000);
    node.until_number("/cache/files", 1);
}

#[test]
fn every_name_that_can_change_is_revalidated() {
    for path in [
        "/debian/dists/sid/Release",
        "/debian/dists/sid/Release.gpg",
        "/debian/dists/sid/main/binary-amd64/Packages.xz",
        "/debian/dists/sid/main/source/Sources.gz",
        "/debian/dists/sid/main/i18n/Translation-en.bz2",
        "/debian/dists/sid/main/Contents-all.gz",
        "/flat/Packages",
        "/flat/InRelease",
        "/flat/tool_1_all.deb",
        "/isos/current/mini.iso",
    ] {
        let (node, origin, _) = holding(path);
        let new = noise(52, 4100);
        origin.put(path, &new);
        let answer = node.ask(&as_apt(&origin, path));
        assert!(answer.body == new, "{path} is stale: {:?}", answer.headers);
    }
}

#[test]
fn pool_and_by_hash_files_are_not_asked_for_again() {
    let by_hash = format!(
        "/debian/dists/sid/main/binary-amd64/by-hash/SHA256/{}",
        sha256(&noise(51, 4000))
    );
    for path in ["/debian/pool/main/h/hello/hello_1_all.deb", &by_hash] {
        let (node, origin, body) = holding(path);
        for _ in 0..5 {
            assert!(node.get(&origin.url(path)).expect(&body).is_hit());
        }
        assert_eq!(origin.hits(path), 1, "{path}");
    }
}

#[test]
fn several_clients_cause_one_revalidation() {
    let (node, origin, body) = holding(INRELEASE);
    origin.behave(INRELEASE, Manner::good().delay(Duration::from_millis(500)));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| node.ask(&as_apt(&origin, INRELEASE)).expect(&body));
        }
    });
    assert_eq!(origin.hits(INRELEASE), 2);
}

#[test]
fn several_clients_cause_one_download_of_the_new_version() {
    let (node, origin, _) = holding(INRELEASE);
    let new = noise(53, 5000);
    origin.put(INRELEASE, &new);
    origin.behave(INRELEASE, Manner::good().delay(Duration::from_millis(500)));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| node.ask(&as_apt(&origin, INRELEASE)).expect(&new));
        }
    });
    assert_eq!(origin.hits(INRELEASE), 2);
}

#[test]
fn the_clients_own_condition_is_answered_after_asking_upstream() {
    let (node, origin, body) = holding(INRELEASE);
    let date = node
        .get(&origin.url(INRELEASE))
        .header("Last-Modified")
        .unwrap()
        .to_owned();
    let since = as_apt(&origin, INRELEASE).header("If-Modified-Since", &date);
    node.ask(&since).expect_status(304);
    let new = noise(54, body.len());
    origin.put(INRELEASE, &new);
    node.ask(&since).expect(&new);
}

#[test]
fn a_cold_conditional_request_gets_a_right_answer() {
    let origin = Origin::start();
    origin.put(INRELEASE, &noise(55, 4000));
    let node = Node::start();
    let since = |date| as_apt(&origin, INRELEASE).header("If-Modified-Since", date);
    // apt has it from elsewhere; the node has nothing and must not cache an empty 304.
    let answer = node.ask(&since("Sat, 01 Nov 2025 00:00:00 GMT"));
    assert!(
        answer.status == 304 || answer.body == noise(55, 4000),
        "{:?}",
        answer.headers
    );
    node.get(&origin.url(INRELEASE)).expect(&noise(55, 4000));
    node.ask(&since("Mon, 01 Jan 2001 00:00:00 GMT"))
        .expect(&noise(55, 4000));
}

/// The stored copy comes within the bound, every time and also to several clients.
fn expect_stale(node: &Node, origin: &Origin, body: &[u8]) {
    for _ in 0..3 {
        let answer = node.ask(&as_apt(origin, INRELEASE)).expect(body);
        assert!(answer.took < STALE_WITHIN, "{:?}", answer.took);
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let answer = node.ask(&as_apt(origin, INRELEASE)).expect(body);
                assert!(answer.took < STALE_WITHIN, "{:?}", answer.took);
            });
        }
    });
}

/// Without any client the node asks again, and the next client gets the new version.
fn expect_recovery(node: &Node, origin: &Origin) {
    let new = noise(56, 4200);
    origin.put(INRELEASE, &new);
    origin.behave(INRELEASE, Manner::good());
    origin.forget();
    origin.wait_for(INRELEASE, 1);
    until("the new version", || {
        node.get(&origin.url(INRELEASE)).body == new
    });
}

#[test]
fn upstream_refuses_stale_within_a_second_and_recovered_by_itself() {
    let (node, origin, body) = holding(INRELEASE);
    origin.close();
    expect_stale(&node, &origin, &body);
    origin.open();
    expect_recovery(&node, &origin);
}

#[test]
fn upstream_is_silent_stale_within_a_second_and_recovered_by_itself() {
    let (node, origin, body) = holding(INRELEASE);
    origin.behave(INRELEASE, Manner::silent());
    expect_stale(&node, &origin, &body);
    expect_recovery(&node, &origin);
}

#[test]
fn upstream_answers_5xx_stale_within_a_second_and_recovered_by_itself() {
    for status in [500, 503] {
        let (node, origin, body) = holding(INRELEASE);
        origin.behave(INRELEASE, Manner::status(status));
        expect_stale(&node, &origin, &body);
        expect_recovery(&node, &origin);
    }
}

#[test]
fn upstream_cuts_the_new_version_stale_or_new_but_never_a_part() {
    let (node, origin, body) = holding(INRELEASE);
    let new = noise(57, 6000);
    origin.put(INRELEASE, &new);
    origin.behave(INRELEASE, Manner::dumb().cut_after(3000).times(4));
    for _ in 0..5 {
        if let Ok(answer) = node.try_ask(&as_apt(&origin, INRELEASE)) {
            assert!(answer.body == body || answer.body == new);
        }
    }
    until("the new version", || {
        node.try_get(&origin.url(INRELEASE))
            .is_ok_and(|answer| answer.body == new)
    });
}

#[test]
fn the_background_asks_with_growing_pauses() {
    let (node, origin, _) = holding(INRELEASE);
    origin.behave(INRELEASE, Manner::status(503));
    node.ask(&as_apt(&origin, INRELEASE)).expect_status(200);
    origin.forget();
    thread::sleep(Duration::from_secs(5));
    let asked = origin.hits(INRELEASE);
    assert!(
        asked <= 12,
        "{asked} requests in 5 s to an upstream that is ill"
    );
}

#[test]
fn a_restarted_node_serves_stale_too() {
    let (mut node, origin, body) = holding(INRELEASE);
    origin.close();
    node.stop();
    node.launch();
    expect_stale(&node, &origin, &body);
}

#[test]
fn a_404_for_a_name_that_was_there_is_true() {
    let (node, origin, _) = holding(INRELEASE);
    origin.remove(INRELEASE);
    until("the 404", || {
        node.ask(&as_apt(&origin, INRELEASE)).status == 404
    });
}

#[test]
fn a_republished_deb_of_a_flat_repository_is_seen_at_once() {
    let path = "/flat/./tool_1_all.deb";
    let origin = Origin::start();
    origin.put("/flat/tool_1_all.deb", b"first");
    let node = Node::start();
    node.get(&origin.url(path)).expect(b"first");
    node.until_number("/cache/files", 1);
    origin.put("/flat/tool_1_all.deb", b"second");
    node.get(&origin.url(path)).expect(b"second");
}

#[test]
fn a_dumb_upstreams_changes_are_seen_at_once() {
    let origin = Origin::start();
    origin.put(INRELEASE, &noise(58, 4000));
    origin.behave(INRELEASE, Manner::dumb());
    let node = Node::start();
    node.get(&origin.url(INRELEASE)).expect(&noise(58, 4000));
    node.until_number("/cache/files", 1);
    node.ask(&as_apt(&origin, INRELEASE))
        .expect(&noise(58, 4000));
    // The same length and no validator: only the bytes tell.
    origin.put(INRELEASE, &noise(59, 4000));
    node.ask(&as_apt(&origin, INRELEASE))
        .expect(&noise(59, 4000));
}

#[test]
fn an_unchanged_file_of_a_dumb_upstream_keeps_its_last_modified() {
    let origin = Origin::start();
    origin.put(INRELEASE, &noise(60, 4000));
    origin.behave(INRELEASE, Manner::dumb());
    let node = Node::start();
    node.get(&origin.url(INRELEASE)).expect_status(200);
    node.until_number("/cache/files", 1);
    let date = node
        .get(&origin.url(INRELEASE))
        .header("Last-Modified")
        .unwrap()
        .to_owned();
    thread::sleep(Duration::from_millis(1100));
    let since = as_apt(&origin, INRELEASE).header("If-Modified-Since", &date);
    node.ask(&since).expect_status(304);
}

#[test]
fn a_slow_upstream_does_not_hold_the_copy_back() {
    let (node, origin, body) = holding(INRELEASE);
    let new = noise(61, 4000);
    origin.put(INRELEASE, &new);
    origin.behave(INRELEASE, Manner::good().delay(Duration::from_millis(2500)));
    let answer = node.ask(&as_apt(&origin, INRELEASE)).expect(&body);
    assert!(answer.took < STALE_WITHIN, "{:?}", answer.took);
    let asked = Instant::now();
    until("the new version", || {
        node.get(&origin.url(INRELEASE)).body == new
    });
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_stale_answer_says_so() {
    let (node, origin, body) = holding(INRELEASE);
    origin.close();
    let answer = node.ask(&as_apt(&origin, INRELEASE)).expect(&body);
    assert!(
        answer.is_hit() || answer.cache_status().contains("fwd=stale"),
        "{:?}",
        answer.headers
    );
}
