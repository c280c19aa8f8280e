//! Downloads that break off, lie about their length, or lead elsewhere.

use crate::kit::{Framing, Manner, Node, Origin, Request, Response, is_cut, noise, sha256, until};
use std::time::Duration;

const DEB: &str = "/debian/pool/main/b/broken/broken_1_amd64.deb";
const SIZE: usize = 400_000;

/// A node, and an origin that serves one file so.
fn served(manner: Manner) -> (Node, Origin, Vec<u8>) {
    let origin = Origin::start();
    let body = noise(41, SIZE);
    origin.put(DEB, &body);
    origin.behave(DEB, manner);
    (Node::start(), origin, body)
}

/// What to show of an answer that should have been cut.
fn brief(answer: &std::io::Result<Response>) -> String {
    match answer {
        Ok(whole) => format!("{} {:?}", whole.status, whole.headers),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_broken_download_is_resumed_with_a_range() {
    let (node, origin, body) = served(Manner::good().cut_after(150_000).times(1));
    node.get(&origin.url(DEB)).expect(&body);
    let seen = origin.seen(DEB);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("Range"), Some("bytes=150000-"));
    assert!(
        seen[1].header("If-Range").is_some(),
        "{:?}",
        seen[1].headers
    );
    node.settle(&origin.url(DEB));
    node.get(&origin.url(DEB)).expect(&body);
}

#[test]
fn a_download_that_breaks_off_three_times_comes_to_its_end() {
    let (node, origin, body) = served(Manner::good().cut_after(90_000).times(3));
    node.get(&origin.url(DEB)).expect(&body);
    assert_eq!(origin.hits(DEB), 4);
}

#[test]
fn where_ranges_are_not_known_a_broken_download_starts_afresh() {
    let (node, origin, body) = served(Manner::dumb().cut_after(150_000).times(1));
    node.get(&origin.url(DEB)).expect(&body);
    node.settle(&origin.url(DEB));
    node.get(&origin.url(DEB)).expect(&body);
}

#[test]
fn a_download_cut_before_its_first_byte_is_tried_again() {
    let (node, origin, body) = served(Manner::good().cut_after(0).times(1));
    node.get(&origin.url(DEB)).expect(&body);
}

#[test]
fn a_resume_never_mixes_two_versions() {
    for manner in [Manner::good(), Manner::dumb()] {
        let (node, origin, old) = served(manner.hold_after(150_000).cut_after(150_001).times(1));
        let mut client = node.connect();
        client.send(&Request::get(&origin.url(DEB))).unwrap();
        let head = client.head().unwrap();
        let mut got = client.take(150_000).unwrap();
        let new = noise(42, SIZE);
        origin.put(DEB, &new);
        origin.release(DEB);
        // What began as the old version ends as it, or is cut: never the new one's tail.
        if let Ok(rest) = client.take(SIZE - 150_000) {
            got.extend(rest);
            assert!(got == old, "a mixture was sent as {:?}", head.headers);
        }
        until("the new version", || {
            node.try_get(&origin.url(DEB))
                .is_ok_and(|answer| answer.body == new)
        });
    }
}

#[test]
fn an_upstream_that_gives_up_for_good_leaves_the_client_with_a_cut_and_the_cache_empty() {
    let (node, origin, body) = served(Manner::good().cut_after(100_000));
    origin.behave(DEB, Manner::dumb().cut_after(100_000));
    let cut = node.try_get(&origin.url(DEB));
    assert!(is_cut(&cut), "no visible end: {}", brief(&cut));
    assert_eq!(node.number("/cache/files"), 0);
    origin.behave(DEB, Manner::good());
    until("the whole file", || {
        node.try_get(&origin.url(DEB))
            .is_ok_and(|answer| answer.status == 200 && answer.body == body)
    });
}

#[test]
fn an_upstream_that_fails_is_not_stormed() {
    let stormed: Vec<_> = [
        Manner::dumb().cut_after(100_000),
        Manner::dumb().framing(Framing::Chunked).cut_after(100_000),
        Manner::dumb().claim_more(1000),
        Manner::good().cut_after(0),
        Manner::good().cut_after(100),
        Manner::status(503),
    ]
    .into_iter()
    .filter_map(|manner| {
        let (node, origin, _) = served(manner.clone());
        let mut client = node.connect();
        client.send(&Request::get(&origin.url(DEB))).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let asked = origin.hits(DEB);
        (asked > 20).then(|| format!("{asked} requests in 1 s to {manner:?}"))
    })
    .collect();
    assert!(stormed.is_empty(), "{stormed:#?}");
}

#[test]
fn a_file_shorter_than_it_says_is_never_cached() {
    let (node, origin, body) = served(Manner::dumb().claim_more(1000));
    for _ in 0..2 {
        let cut = node.try_get(&origin.url(DEB));
        let told = cut.as_ref().is_ok_and(|answer| answer.status >= 500);
        assert!(told || is_cut(&cut), "no visible end: {}", brief(&cut));
    }
    assert_eq!(node.number("/cache/files"), 0);
    assert!(node.copies_of(&body).is_empty() || node.number("/cache/bytes") == 0);
}

#[test]
fn a_body_whose_end_nobody_told_is_served_and_not_cached() {
    let (node, origin, body) = served(Manner::dumb().framing(Framing::Close));
    for asked in 1..=2 {
        node.get(&origin.url(DEB)).expect(&body);
        assert_eq!(origin.hits(DEB), asked);
    }
    assert_eq!(node.number("/cache/files"), 0);
}

#[test]
fn a_chunked_body_cut_in_the_middle_is_not_whole() {
    let (node, origin, body) = served(Manner::dumb().framing(Framing::Chunked).cut_after(100_000));
    let cut = node.try_get(&origin.url(DEB));
    assert!(is_cut(&cut), "no visible end: {}", brief(&cut));
    assert_eq!(node.number("/cache/files"), 0);
    origin.behave(DEB, Manner::good());
    until("the whole file", || {
        node.try_get(&origin.url(DEB))
            .is_ok_and(|answer| answer.status == 200 && answer.body == body)
    });
}

#[test]
fn a_by_hash_file_with_other_bytes_is_never_cached() {
    let origin = Origin::start();
    let body = noise(43, 50_000);
    let path = format!(
        "/debian/dists/sid/main/binary-amd64/by-hash/SHA256/{}",
        sha256(&body)
    );
    origin.put(&path, &body);
    origin.behave(&path, Manner::corrupt().times(1));
    let node = Node::start();
    let _spoilt = node.try_get(&origin.url(&path));
    until("the right bytes", || {
        node.try_get(&origin.url(&path))
            .is_ok_and(|answer| answer.body == body)
    });
    node.settle(&origin.url(&path));
    node.get(&origin.url(&path)).expect(&body);
    node.until_number("/cache/files", 1);
}

#[test]
fn errors_are_passed_on_and_not_cached() {
    let (node, origin, body) = served(Manner::status(503));
    let status = node.get(&origin.url(DEB)).status;
    assert!((500..=504).contains(&status), "{status}");
    origin.behave(DEB, Manner::status(403));
    until("the 403", || {
        (400..=502).contains(&node.get(&origin.url(DEB)).status)
    });
    origin.behave(DEB, Manner::good());
    until("the file", || {
        let answer = node.get(&origin.url(DEB));
        answer.status == 200 && answer.body == body
    });
}

#[test]
fn a_refusing_upstream_without_a_copy_fails_fast() {
    let (node, origin, _) = served(Manner::good());
    origin.close();
    let answer = node.get(&origin.url(DEB));
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
    assert!(answer.took < Duration::from_secs(5), "{:?}", answer.took);
    assert!(!answer.body.is_empty());
}

#[test]
fn a_silent_upstream_without_a_copy_fails_before_apt_gives_up() {
    let (node, origin, _) = served(Manner::silent());
    let answer = node.get(&origin.url(DEB));
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
    assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
}

#[test]
fn an_upstream_that_falls_silent_in_the_middle_is_given_up() {
    let (node, origin, body) = served(Manner::good().hold_after(100_000).times(1));
    // After upstream.timeout the node takes the rest from a new connection.
    node.get(&origin.url(DEB)).expect(&body);
    assert!(origin.hits(DEB) >= 2);
}

#[test]
fn redirects_are_followed_and_cached_under_the_name_that_was_asked() {
    let (node, origin, _) = served(Manner::good());
    let target = Origin::start();
    let body = noise(44, 30_000);
    target.put("/real/file_1_all.deb", &body);
    origin.behave("/pool/a_1_all.deb", Manner::redirect("/pool/b_1_all.deb"));
    origin.behave(
        "/pool/b_1_all.deb",
        Manner::redirect(&target.url("/real/file_1_all.deb")),
    );
    node.get(&origin.url("/pool/a_1_all.deb")).expect(&body);
    node.settle(&origin.url("/pool/a_1_all.deb"));
    node.get(&origin.url("/pool/a_1_all.deb")).expect(&body);
    assert_eq!(target.hits("/real/file_1_all.deb"), 1);
}

#[test]
fn five_redirects_are_followed_and_a_circle_is_not() {
    let (node, origin, body) = served(Manner::good());
    for step in 1..5 {
        let next = format!("/hop{}", step + 1);
        origin.behave(&format!("/hop{step}"), Manner::redirect(&next));
    }
    origin.behave("/hop5", Manner::redirect(DEB));
    node.get(&origin.url("/hop1")).expect(&body);
    origin.behave("/circle", Manner::redirect("/circle"));
    let status = node.get(&origin.url("/circle")).status;
    assert!((500..=508).contains(&status), "{status}");
    assert!(
        origin.hits("/circle") <= 12,
        "{} rounds",
        origin.hits("/circle")
    );
}
